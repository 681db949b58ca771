"""Open a service's connections to the ledger: wait for it at the start, check it in `/readyz`, close it at the end."""

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
"""Limit of closing, which waits for connections in use. None should be, and a stopping process can't wait forever."""

SSL_REJECTED: Final = "rejected SSL upgrade"
"""asyncpg's message if the server has no TLS and the URL requires it; the error has no class of its own."""

TLS_REFUSALS: Final = (ssl.SSLError, ssl.CertificateError, FileNotFoundError)
"""Checked first: an untrusted certificate is an OSError too, but not an outage."""

_NOT_YET: Final[tuple[type[BaseException], ...]] = (
    *UNAVAILABLE,
    asyncpg.UndefinedTableError,
    asyncpg.InvalidParameterValueError,
)
"""Unavailable, or not migrated yet (no tables, or no role, which PostgreSQL reports as an invalid parameter)."""


@asynccontextmanager
async def service_pool(context: ServiceContext[SomeSettings], *, max_size: int = 4) -> AsyncIterator[Pool]:
    """Open the pool of a service's process, as `couponry_service`.

    Wait for a database that is unavailable or not migrated yet. Raises TransientError after `transient_attempts`, or if
    the service is stopped first; OperatorError if the database refuses the login.
    """
    pool = await _open(context, max_size)

    async def ping() -> str | None:
        await pool.execute(sql("ledger_ping"))
        return None

    context.health.add_check("database", ping)
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
            await _check_tables(pool)
        except TLS_REFUSALS as error:
            raise OperatorError(tls_refusal(error)) from error
        except ValueError:  # its text may contain part of the password
            raise OperatorError(
                "COUPONRY_DATABASE_URL is not a valid URL: write postgresql://user:password@host:port/name, "
                "percent-encode special characters, and check that the certificate files exist."
            ) from None
        except _NOT_YET as error:
            if SSL_REJECTED in str(error):
                raise OperatorError(tls_refusal(error)) from error
            problem = f"{type(error).__name__}: {error}"
        except asyncpg.PostgresError as error:
            raise OperatorError(f"PostgreSQL refuses: {error}. Check COUPONRY_DATABASE_URL and its login.") from error
        else:
            return pool
        context.health.note_progress()
        wait_seconds = backoff.seconds(attempt)
        log.warning("waiting for the ledger", problem=problem, attempt=attempt, seconds=wait_seconds)
        if await sleep_unless(context.stopping, wait_seconds):
            raise TransientError("stopped before the ledger answered")
    raise TransientError(f"the ledger did not answer: {problem}. Is it migrated (`couponry migrate`)?")


def tls_refusal(error: BaseException) -> str:
    """Return the message for a TLS connection that failed, with what to check."""
    if isinstance(error, ssl.SSLCertVerificationError):
        what = f"PostgreSQL's certificate isn't trusted ({error.verify_message})"
    elif isinstance(error, FileNotFoundError):
        what = f"A certificate file doesn't exist ({error.filename})"
    elif SSL_REJECTED in str(error):
        what = "PostgreSQL offers no TLS, but COUPONRY_DATABASE_URL requires it"
    else:
        what = f"TLS with PostgreSQL failed ({error})"
    return f"{what}: check sslmode, sslrootcert and the host name in COUPONRY_DATABASE_URL."


async def _check_tables(pool: Pool) -> None:
    """Check that the ledger's tables exist; close the pool if they don't."""
    try:
        await pool.execute(sql("ledger_ping"))
    except BaseException:
        pool.terminate()
        raise
