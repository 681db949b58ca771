"""The ledger and the broker for one command: found, opened, closed, and a clear word when they are away."""

import asyncio
import logging
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final, Literal, TypeVar
from urllib.parse import urlsplit

import asyncpg
from aiokafka.errors import KafkaError

from cli.errors import BrokerAwayError, CommandFailedError, DatabaseAwayError, describe
from cli.where import find_settings
from shared.ledger.database import SERVICE_ROLE, UNAVAILABLE, Connection, Pool, open_pool
from shared.ledger.service_pool import SSL_REJECTED, TLS_REFUSALS, tls_refusal
from shared.messaging.access import check_access
from shared.messaging.connection import is_transient
from shared.runtime.logging import configure_logging
from shared.runtime.settings import CommonSettings, DatabaseSettings, KafkaSettings, load_settings

Result = TypeVar("Result")
APPLICATION: Final = "couponry-cli"


def run(work: Coroutine[Any, Any, Result]) -> Result:
    """Run `work` to its end in an event loop of its own. Only errors are logged: a person is told in words."""
    configure_logging(load_settings(_Logging), "couponry")
    for name in ("aiokafka", "kafka"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # an absent broker is one sentence, not a page of attempts
    try:
        return asyncio.run(work)
    except asyncio.CancelledError:
        raise CommandFailedError("The command was interrupted before it was done; give it again.") from None


class _Logging(CommonSettings):
    log_format: Literal["auto", "json", "console"] = "console"
    log_level: Literal["debug", "info", "warning", "error"] = "error"


@asynccontextmanager
async def ledger(role: str | None = SERVICE_ROLE) -> AsyncIterator[Pool]:
    """A pool on the ledger that `find_settings` finds. Raises DatabaseAwayError, and asyncpg's own refusals."""
    url = find_settings(DatabaseSettings).database_url.get_secret_value()
    with database_errors(url):
        async with await open_pool(url, max_size=2, role=role, application_name=APPLICATION) as pool:
            yield pool


@asynccontextmanager
async def reading() -> AsyncIterator[Connection]:
    """A connection that can only read, as the log-in itself: a member of any of the ledger's roles will do."""
    async with ledger(role=None) as pool, pool.acquire() as connection, connection.transaction(readonly=True):
        yield connection


@contextmanager
def database_errors(url: str) -> Iterator[None]:
    """Turn an absent database into a sentence that names it."""
    try:
        yield
    except asyncpg.exceptions.ClientConfigurationError as error:
        raise CommandFailedError(
            f"COUPONRY_DATABASE_URL can't be read ({error}): write it as postgresql://user:password@host:port/name."
        ) from error
    except TLS_REFUSALS as error:
        raise CommandFailedError(tls_refusal(error)) from error
    except (asyncpg.InsufficientResourcesError, asyncpg.PostgresSystemError) as error:
        raise DatabaseAwayError(
            f"PostgreSQL at {address_of(url)} is short of room or can't use its files ({describe(error)}): mend that "
            "there. Nothing was lost; the same command can be given again."
        ) from error
    except UNAVAILABLE as error:
        if SSL_REJECTED in str(error):
            raise CommandFailedError(tls_refusal(error)) from error
        raise DatabaseAwayError(
            f"PostgreSQL doesn't answer at {address_of(url)} ({describe(error)}): start it, or correct "
            "COUPONRY_DATABASE_URL. Nothing was lost; the same command can be given again."
        ) from error


def address_of(url: str) -> str:
    """Host, port and database of a URL, without its log-in; all hosts, where it names several for a failover."""
    parts = urlsplit(url)
    if "," in parts.netloc:
        return f"{parts.netloc.rpartition('@')[2]}{parts.path}"
    return f"{parts.hostname or 'localhost'}:{parts.port or 5432}{parts.path}"


@asynccontextmanager
async def broker() -> AsyncIterator[KafkaSettings]:
    """The broker's settings, for work that connects by itself. Raises BrokerAwayError."""
    settings = find_settings(KafkaSettings)
    with broker_errors(settings):
        await check_access(settings)
        yield settings


@contextmanager
def broker_errors(settings: KafkaSettings) -> Iterator[None]:
    """Turn an absent broker into a sentence that names it, and what it refuses into what it said."""
    try:
        yield
    except (KafkaError, OSError, TimeoutError) as error:
        if not (is_transient(error) or isinstance(error, OSError | TimeoutError)):
            raise CommandFailedError(f"The broker refused: {describe(error)}.") from error
        raise BrokerAwayError(
            f"The broker doesn't answer at {settings.kafka_bootstrap_servers} ({describe(error)}): start it, or "
            "correct COUPONRY_KAFKA_BOOTSTRAP_SERVERS. The same command can be given again."
        ) from error
