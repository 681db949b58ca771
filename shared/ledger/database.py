"""Connections to Postgres: where the search path, the role and the bounds of every wait are set."""

import asyncio
from typing import TYPE_CHECKING, Final

import asyncpg

SCHEMA: Final = "couponry"
SERVICE_ROLE: Final = "couponry_service"

CONNECT_SECONDS: Final = 10.0
"""A database that doesn't answer for this long is away; the caller backs off and tries again."""

COMMAND_SECONDS: Final = 60.0
"""Above every server-side bound below, so that the server's own, clearer error comes first."""

SERVER_SETTINGS: Final = {
    "search_path": SCHEMA,
    # A batch waits for another batch's rows, which are held for tens of milliseconds; ten seconds means something is
    # stuck.
    "lock_timeout": "10s",
    "statement_timeout": "30s",
    # A frozen process must not hold the rows of a coupon, nor the outbox's turn, for longer than this.
    "idle_in_transaction_session_timeout": "15s",
    # Statements over arrays look expensive to the planner; compiling them costs more than running them.
    "jit": "off",
}

if TYPE_CHECKING:  # asyncpg's classes are generic for the type checker only
    Connection = asyncpg.Connection[asyncpg.Record] | asyncpg.pool.PoolConnectionProxy[asyncpg.Record]
    Pool = asyncpg.Pool[asyncpg.Record]
else:
    Connection = asyncpg.Connection | asyncpg.pool.PoolConnectionProxy
    Pool = asyncpg.Pool

UNAVAILABLE: Final[tuple[type[BaseException], ...]] = (
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # what asyncpg says when a connection is lost between two steps of its protocol
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.TooManyConnectionsError,
    asyncpg.ObjectNotInPrerequisiteStateError,  # a database that takes nobody in, as amid a failover or maintenance
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.ReadOnlySQLTransactionError,
    ConnectionError,
    OSError,
    asyncio.TimeoutError,
)
"""Errors that say the database is away or was away: what was asked may or may not have happened; ask again later."""


async def open_pool(
    database_url: str,
    *,
    min_size: int = 1,
    max_size: int = 4,
    role: str | None = SERVICE_ROLE,
    application_name: str = "couponry",
) -> Pool:
    """A pool whose connections see the ledger's tables and act as `role`.

    The log-in of `database_url` must be a member of `role`; None acts as the log-in itself. Raises one of `UNAVAILABLE`
    when the database can't be reached, asyncpg.PostgresError when it refuses.
    """
    settings = {**SERVER_SETTINGS, "application_name": application_name}
    if role is not None:
        settings["role"] = role
    return await asyncpg.create_pool(
        database_url,
        min_size=min_size,
        max_size=max_size,
        timeout=CONNECT_SECONDS,
        command_timeout=COMMAND_SECONDS,
        server_settings=settings,
    )
