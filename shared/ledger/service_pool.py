"""A service's connections to the ledger: waited for at the start, watched by `/readyz`, closed at the end."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final, TypeVar

import asyncpg

from shared.ledger.database import UNAVAILABLE, Pool, open_pool
from shared.ledger.sql import sql
from shared.runtime.backoff import Backoff
from shared.runtime.errors import OperatorError, TransientError
from shared.runtime.logging import get_logger
from shared.runtime.service import ServiceContext
from shared.runtime.settings import ServiceSettings
from shared.runtime.shutdown import sleep_unless

log = get_logger("ledger")
SomeSettings = TypeVar("SomeSettings", bound=ServiceSettings)

CLOSE_SECONDS: Final = 5.0
"""Closing waits for connections that are in use; none should be, and a stopping process can't wait for ever."""

SSL_REJECTED: Final = "rejected SSL upgrade"
"""What asyncpg says of a server without TLS where the URL insists on it; it has no class of its own."""

TLS_REFUSALS: Final = (ssl.SSLError, ssl.CertificateError, FileNotFoundError)
"""Before others: a certificate that isn't trusted is an OSError too, and no outage."""

_NOT_YET: Final[tuple[type[BaseException], ...]] = (
    *UNAVAILABLE,
    asyncpg.UndefinedTableError,
    asyncpg.InvalidParameterValueError,
)
"""Away, or not migrated yet (no tables; no role to act as, which Postgres calls an invalid parameter)."""


@asynccontextmanager
async def service_pool(context: ServiceContext[SomeSettings], *, max_size: int = 4) -> AsyncIterator[Pool]:
    """The pool of a service's process, as `couponry_service`.

    Waits for a database that is away or not migrated yet. Raises TransientError after `transient_attempts` or when
    asked to stop before it answered, OperatorError when it refuses the log-in.
    """
    pool = await _open(context, max_size)

    async def answers() -> str | None:
        await pool.execute(sql("ledger_answers"))
        return None

    context.health.add_check("database", answers)
    try:
        yield pool
    finally:
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await pool.close()
        except UNAVAILABLE:  # a timeout among them
            pool.terminate()


async def _open(context: ServiceContext[SomeSettings], max_size: int) -> Pool:
    url = context.settings.database_url.get_secret_value()
    backoff = Backoff()
    for attempt in range(1, context.settings.transient_attempts + 1):
        try:
            pool = await open_pool(
                url,
                max_size=max_size,
                application_name=f"couponry-{context.name}",
                commit_seconds=context.settings.commit_seconds,
            )
            await _look(pool)
        except TLS_REFUSALS as error:
            raise OperatorError(tls_refusal(error)) from error
        except ValueError:  # its text may hold a piece of the password
            raise OperatorError(
                "COUPONRY_DATABASE_URL can't be understood: write postgresql://user:password@host:port/name, "
                "with special characters percent-encoded and files of certificates that exist."
            ) from None
        except _NOT_YET as error:
            if SSL_REJECTED in str(error):
                raise OperatorError(tls_refusal(error)) from error
            problem = f"{type(error).__name__}: {error}"
        except asyncpg.PostgresError as error:
            raise OperatorError(f"PostgreSQL refuses: {error}. Check COUPONRY_DATABASE_URL and its log-in.") from error
        else:
            return pool
        context.health.note_progress()
        wait_seconds = backoff.seconds(attempt)
        log.warning("waiting for the ledger", problem=problem, attempt=attempt, seconds=wait_seconds)
        if await sleep_unless(context.stopping, wait_seconds):
            raise TransientError("asked to stop before the ledger answered")
    raise TransientError(f"the ledger did not answer: {problem}. Is it migrated (`couponry migrate`)?")


def tls_refusal(error: BaseException) -> str:
    """Return what to do when PostgreSQL can't be reached by TLS as the URL wants it."""
    if isinstance(error, ssl.SSLCertVerificationError):
        what = f"PostgreSQL shows a certificate that isn't trusted ({error.verify_message})"
    elif isinstance(error, FileNotFoundError):
        what = f"A file of certificates isn't there ({error.filename})"
    elif SSL_REJECTED in str(error):
        what = "PostgreSQL offers no TLS, and COUPONRY_DATABASE_URL insists on it"
    else:
        what = f"TLS with PostgreSQL failed ({error})"
    return f"{what}: check sslmode, sslrootcert and the host's name in COUPONRY_DATABASE_URL."


async def _look(pool: Pool) -> None:
    """Find out whether the ledger's tables are there; closes the pool when they aren't."""
    try:
        await pool.execute(sql("ledger_answers"))
    except BaseException:
        pool.terminate()
        raise
