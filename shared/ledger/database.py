"""Connections to Postgres: where the search path, the role and the bounds of every wait are set."""

import asyncio
from typing import TYPE_CHECKING, Final

import asyncpg

from shared.ledger.connection import COMMIT_SECONDS, connection_class

SCHEMA: Final = "couponry"
SERVICE_ROLE: Final = "couponry_service"

CONNECT_SECONDS: Final = 10.0
"""A database that doesn't answer for this long is away; the caller backs off and tries again."""

COMMAND_SECONDS: Final = 35.0
"""Above every server-side bound below, so that the server's own, clearer error comes first. Then the connection is
closed: see shared/ledger/connection.py, which also bounds a COMMIT."""

SERVER_SETTINGS: Final = {
    "search_path": SCHEMA,
    # A batch waits for another batch's rows, which are held for tens of milliseconds; ten seconds means something is
    # stuck.
    "lock_timeout": "10s",
    "statement_timeout": "30s",
    # A frozen process must not hold the rows of a coupon, nor the outbox's turn, for longer than this.
    "idle_in_transaction_session_timeout": "15s",
    # A client that is gone must not keep its session, and the locks of it, for hours.
    "tcp_keepalives_idle": "10",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": "20s",
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
    # Class 53: no room left on the disk, in memory, among the connections. Somebody makes room; no command is at fault.
    asyncpg.InsufficientResourcesError,
    # Class 58: the operating system refused (an I/O error, a file that is missing). XX000 to XX002, an internal error
    # or corrupted data, are not here: waiting mends nothing, and a person has to hear of it.
    asyncpg.PostgresSystemError,
    asyncpg.IdleSessionTimeoutError,
    asyncpg.ObjectNotInPrerequisiteStateError,  # a database that takes nobody in, as amid a failover or maintenance
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.ReadOnlySQLTransactionError,
    ConnectionError,
    OSError,
    asyncio.TimeoutError,
)
"""Errors that say the database is away or was away: what was asked may or may not have happened; ask again later."""


NOT_MIGRATED: Final[tuple[type[BaseException], ...]] = (asyncpg.SyntaxOrAccessError, asyncpg.InvalidSchemaNameError)
"""The tables, columns or rights that this version needs aren't there. No command can cause that: nothing is executed
until somebody runs `couponry migrate`.
"""


async def open_pool(
    database_url: str,
    *,
    min_size: int = 1,
    max_size: int = 4,
    role: str | None = SERVICE_ROLE,
    application_name: str = "couponry",
    commit_seconds: float = COMMIT_SECONDS,
) -> Pool:
    """A pool whose connections see the ledger's tables and act as `role`.

    The log-in of `database_url` must be a member of `role`; None acts as the log-in itself. Raises one of `UNAVAILABLE`
    when the database can't be reached, asyncpg.PostgresError when it refuses. A COMMIT without an answer for
    `commit_seconds` raises CommitUnansweredError, one of `UNAVAILABLE`: run the transaction again.
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
        connection_class=connection_class(commit_seconds),
        server_settings=settings,
    )
