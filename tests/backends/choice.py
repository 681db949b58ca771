"""Choose the servers for a test run and start them."""

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

from tests.backends import apache, configured, containers, embedded
from tests.backends.handles import Backend, BackendError, Broker, Postgres

BROKER_CHOICE = "COUPONRY_TEST_BROKER"
DATABASE_CHOICE = "COUPONRY_TEST_DATABASE"


@dataclass(frozen=True, slots=True)
class Option:
    """One way to get a server. `unavailable` returns why it can't be used here, None if it probably can."""

    name: str
    title: str
    unavailable: Callable[[], str | None]
    make: Callable[[], Backend]


@cache
def _no_engine() -> str | None:
    return None if containers.engine_answers() else "no container engine answers"


def _unset(variable: str) -> Callable[[], str | None]:
    return lambda: None if os.environ.get(variable) else f"{variable} is not set"


BROKERS = (
    Option(
        "given",
        f"the Kafka of {configured.BROKER_VARIABLE}",
        _unset(configured.BROKER_VARIABLE),
        configured.ConfiguredKafka,
    ),
    Option("docker", f"{containers.KAFKA_IMAGE} in a container", _no_engine, containers.ContainerKafka),
    Option("apache", "Apache Kafka as a Java process", apache.unavailable, apache.ApacheKafka),
    Option("embedded", "the embedded development broker", lambda: None, embedded.EmbeddedKafka),
)
DATABASES = (
    Option(
        "given",
        f"the PostgreSQL of {configured.DATABASE_VARIABLE}",
        _unset(configured.DATABASE_VARIABLE),
        configured.ConfiguredPostgres,
    ),
    Option("docker", f"{containers.POSTGRES_IMAGE} in a container", _no_engine, containers.ContainerPostgres),
    Option("embedded", "PostgreSQL 18 of the embedded extra", lambda: None, embedded.EmbeddedPostgresServer),
)


def start_kafka(choice: str | None = None) -> Broker:
    """Start a broker (or use the given one) and print which.

    Raises BackendError if the chosen one, or any, can't be started. Call it from the main thread: the broker ends
    together with the thread that started it.
    """
    broker = _start(BROKERS, choice or os.environ.get(BROKER_CHOICE), "broker")
    assert isinstance(broker, Broker)
    return broker


def start_postgres(choice: str | None = None) -> Postgres:
    """Start a PostgreSQL (or use the given one) and print which. Otherwise like `start_kafka`."""
    postgres = _start(DATABASES, choice or os.environ.get(DATABASE_CHOICE), "database")
    assert isinstance(postgres, Postgres)
    return postgres


def describe_choices() -> list[str]:
    """Return one line each for the broker and the database that would be used now, without starting them."""
    lines = []
    for kind, options, variable in (("broker", BROKERS, BROKER_CHOICE), ("database", DATABASES, DATABASE_CHOICE)):
        forced = os.environ.get(variable)
        first = next(iter(_candidates(options, forced, kind)))
        lines.append(f"{kind}: {first.title}" + (f" ({variable}={forced})" if forced else ""))
    return lines


def _candidates(options: tuple[Option, ...], forced: str | None, kind: str) -> list[Option]:
    if forced:
        named = [option for option in options if option.name == forced]
        if not named:
            raise BackendError(f"Unknown {kind} {forced!r}; choose one of {', '.join(o.name for o in options)}.")
        reason = named[0].unavailable()
        if reason:
            raise BackendError(f"The {kind} {forced!r} can't be used: {reason}.")
        return named
    return [option for option in options if option.unavailable() is None]


def _start(options: tuple[Option, ...], forced: str | None, kind: str) -> Backend:
    failures = []
    for option in _candidates(options, forced, kind):
        backend = None
        try:
            backend = option.make()
            backend.start()
        except Exception as error:
            if backend is not None:
                backend.close()
            failures.append(f"{option.title}: {error}")
            if forced:
                break
            _say(f"{kind}: {option.title} could not be started, trying the next: {error}")
        else:
            _say(f"{kind}: {backend.description}")
            return backend
    raise BackendError(f"No {kind} could be started. " + " | ".join(failures))


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")
