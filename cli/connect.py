"""Connect a command to the ledger and the broker, with clear messages when they are unavailable."""

import asyncio
import logging
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final, Literal, TypeVar
from urllib.parse import urlsplit

import asyncpg
from aiokafka.errors import KafkaError

from cli.errors import BrokerUnavailableError, CommandFailedError, DatabaseUnavailableError, describe
from cli.locations import find_settings
from shared.domain.model.customer import IdentityRules
from shared.ledger.database import SERVICE_ROLE, UNAVAILABLE, Connection, Pool, open_pool
from shared.ledger.identity import rules_of
from shared.ledger.service_pool import SSL_REJECTED, TLS_REFUSALS, tls_refusal
from shared.messaging.access import check_access
from shared.messaging.connection import is_transient
from shared.runtime.logging import configure_logging
from shared.runtime.settings import CommonSettings, CustomerSettings, DatabaseSettings, KafkaSettings, load_settings

Result = TypeVar("Result")
APPLICATION: Final = "couponry-cli"


def run(work: Coroutine[Any, Any, Result]) -> Result:
    """Run `work` to its end in a new event loop. Only errors are logged; commands print messages of their own."""
    configure_logging(load_settings(_Logging), "couponry")
    for name in ("aiokafka", "kafka"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # a missing broker is reported once, not at each attempt
    try:
        return asyncio.run(work)
    except asyncio.CancelledError:
        raise CommandFailedError("The command was interrupted before it finished. Run it again.") from None


class _Logging(CommonSettings):
    log_format: Literal["auto", "json", "console"] = "console"
    log_level: Literal["debug", "info", "warning", "error"] = "error"


def identity_rules() -> IdentityRules:
    """Return the installation's rules for customers' identifiers."""
    return rules_of(load_settings(CustomerSettings))


@asynccontextmanager
async def ledger(role: str | None = SERVICE_ROLE) -> AsyncIterator[Pool]:
    """Open a pool on the ledger that `find_settings` finds. Raises DatabaseUnavailableError and asyncpg's errors."""
    url = find_settings(DatabaseSettings).database_url.get_secret_value()
    with database_errors(url):
        async with await open_pool(url, max_size=2, role=role, application_name=APPLICATION) as pool:
            yield pool


@asynccontextmanager
async def reading() -> AsyncIterator[Connection]:
    """Open a read-only connection. The login may be a member of any of the ledger's roles."""
    async with ledger(role=None) as pool, pool.acquire() as connection, connection.transaction(readonly=True):
        yield connection


@contextmanager
def database_errors(url: str) -> Iterator[None]:
    """Turn connection errors of the database into messages with its address."""
    try:
        yield
    except asyncpg.exceptions.ClientConfigurationError as error:
        raise CommandFailedError(
            f"COUPONRY_DATABASE_URL can't be read ({error}): write it as postgresql://user:password@host:port/name."
        ) from error
    except TLS_REFUSALS as error:
        raise CommandFailedError(tls_refusal(error)) from error
    except (asyncpg.InsufficientResourcesError, asyncpg.PostgresSystemError) as error:
        raise DatabaseUnavailableError(
            f"PostgreSQL at {address_of(url)} is out of disk space or can't use its files ({describe(error)}). Fix "
            "that first. Nothing was lost; run the same command again."
        ) from error
    except UNAVAILABLE as error:
        if SSL_REJECTED in str(error):
            raise CommandFailedError(tls_refusal(error)) from error
        raise DatabaseUnavailableError(
            f"PostgreSQL doesn't answer at {address_of(url)} ({describe(error)}): start it, or correct "
            "COUPONRY_DATABASE_URL. Nothing was lost; run the same command again."
        ) from error


def address_of(url: str) -> str:
    """Return host, port and database of a URL, without login; all hosts if it names several for a failover."""
    parts = urlsplit(url)
    if "," in parts.netloc:
        return f"{parts.netloc.rpartition('@')[2]}{parts.path}"
    return f"{parts.hostname or 'localhost'}:{parts.port or 5432}{parts.path}"


@asynccontextmanager
async def broker() -> AsyncIterator[KafkaSettings]:
    """Check access to the broker and yield its settings, to connect with. Raises BrokerUnavailableError."""
    settings = find_settings(KafkaSettings)
    with broker_errors(settings):
        await check_access(settings)
        yield settings


@contextmanager
def broker_errors(settings: KafkaSettings) -> Iterator[None]:
    """Turn connection errors of the broker into messages with its address, and its refusals into messages."""
    try:
        yield
    except (KafkaError, OSError, TimeoutError) as error:
        if not (is_transient(error) or isinstance(error, OSError | TimeoutError)):
            raise CommandFailedError(f"The broker refused: {describe(error)}.") from error
        raise BrokerUnavailableError(
            f"The broker doesn't answer at {settings.kafka_bootstrap_servers} ({describe(error)}): start it, or "
            "correct COUPONRY_KAFKA_BOOTSTRAP_SERVERS. Then run the same command again."
        ) from error
