"""Fixtures for all tests: a real broker, a real PostgreSQL, a migrated database and unique topic names.

Servers start when the first test needs them, so unit tests start none. tests/backends describes how they are chosen.
"""

import base64
import os
import uuid
from collections.abc import Iterator
from typing import Any

import hypothesis
import pytest
import structlog

from tests.backends import BackendError, Broker, Folders, Postgres, describe_choices, start_kafka, start_postgres

# CI uses the same examples in each run, so that its failures can be reproduced; local runs use new ones. There is no
# deadline, because a slow machine must not fail a test.
hypothesis.settings.register_profile("here", deadline=None, print_blob=True)
hypothesis.settings.register_profile("ci", deadline=None, print_blob=True, derandomize=True)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "here")

Folders.in_memory()

# Tracebacks as services print them; structlog's default also prints local variables, which takes seconds.
structlog.configure(
    processors=[
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback),
    ]
)

# Secrets at rest are encrypted in every test, as in production; this key is only for tests.
os.environ.setdefault("COUPONRY_ENCRYPTION_KEYS", base64.urlsafe_b64encode(bytes(range(32))).decode())

taken: set[str] = set()
"""Descriptions of the servers of this run, including those of the worker processes."""


def pytest_report_header() -> list[str]:
    try:
        return describe_choices()
    except BackendError as error:
        raise pytest.UsageError(str(error)) from None


def pytest_sessionfinish(session: pytest.Session) -> None:
    output: dict[str, list[str]] | None = getattr(session.config, "workeroutput", None)
    if output is not None:
        output["taken"] = sorted(taken)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    taken.update(getattr(node, "workeroutput", {}).get("taken", ()))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for server in sorted(taken):
        terminalreporter.write_line(server)


@pytest.fixture(scope="session")
def kafka() -> Iterator[Broker]:
    """The broker of this run. `stop`, `kill` and `start` work if this run started it. Leave it running."""
    with start_kafka() as broker:
        taken.add(f"broker: {broker.description}")
        yield broker


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """The PostgreSQL of this run. `stop`, `kill` and `start` work if this run started it."""
    with start_postgres() as server:
        taken.add(f"database: {server.description}")
        yield server


@pytest.fixture(scope="session")
def migrated_template(postgres: Postgres) -> Iterator[str]:
    """The name of a migrated database that `database_url` copies. Never connect to it: a copy needs it idle."""
    from shared.ledger.migrate import migrate

    name = f"couponry_template_{os.getpid()}"
    migrate(postgres.create_database(name))
    yield name
    postgres.drop_database(name)


@pytest.fixture
def database_url(postgres: Postgres, migrated_template: str) -> Iterator[str]:
    """The URL of a new, migrated database for one test, as superuser. It is dropped after the test."""
    name = f"test_{uuid.uuid4().hex}"
    yield postgres.create_database(name, template=migrated_template)
    postgres.drop_database(name)


@pytest.fixture
def topic_prefix() -> str:
    """A unique prefix for the topics and groups of one test."""
    return f"t{uuid.uuid4().hex[:12]}."


@pytest.fixture
def environment(kafka: Broker, database_url: str, topic_prefix: str) -> dict[str, str]:
    """The variables for a service process on this test's database and topics; merge them into `os.environ`."""
    return {
        **kafka.environment,
        "COUPONRY_DATABASE_URL": database_url,
        "COUPONRY_TOPIC_PREFIX": topic_prefix,
        "COUPONRY_LOG_FORMAT": "json",
    }
