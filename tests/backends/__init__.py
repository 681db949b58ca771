"""Start the real broker and the real PostgreSQL for tests, benchmarks and examples.

    with start_kafka() as broker, start_postgres() as postgres:
        broker.bootstrap_servers, postgres.create_database("mine")

The first available choice is used, unless an argument or a variable (COUPONRY_TEST_BROKER, COUPONRY_TEST_DATABASE)
forces one:

| choice | broker | PostgreSQL |
|---|---|---|
| `given` | COUPONRY_KAFKA_BOOTSTRAP_SERVERS | COUPONRY_DATABASE_URL |
| `docker` | apache/kafka through testcontainers | postgres:18 through testcontainers |
| `apache` | Apache Kafka as a Java process, its jars by Maven | |
| `embedded` | the development broker of the embedded extra | PostgreSQL 18 of the embedded extra |

A forced choice that isn't available fails; there is no fallback to another one.
"""

from tests.backends.choice import describe_choices, start_kafka, start_postgres
from tests.backends.handles import Backend, BackendError, Broker, Folders, NotStoppableError, Postgres

__all__ = [
    "Backend",
    "BackendError",
    "Broker",
    "Folders",
    "NotStoppableError",
    "Postgres",
    "describe_choices",
    "start_kafka",
    "start_postgres",
]
