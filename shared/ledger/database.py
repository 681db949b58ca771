"""Open connections to PostgreSQL, with search path, role and timeouts."""

import asyncio
from typing import TYPE_CHECKING, Final

import asyncpg

from shared.ledger.connection import COMMIT_SECONDS, connection_class

SCHEMA: Final = "couponry"
SERVICE_ROLE: Final = "couponry_service"

CONNECT_SECONDS: Final = 10.0
"""A database that doesn't answer for this long is unavailable; the caller backs off and retries."""

COMMAND_SECONDS: Final = 35.0
"""Longer than every server-side timeout below, so that the server's own, clearer error comes first. Then the connection
is closed: see shared/ledger/connection.py, which also limits a COMMIT."""

SERVER_SETTINGS: Final = {
    "search_path": SCHEMA,
    # Batches hold rows for tens of milliseconds; after ten seconds something is stuck.
    "lock_timeout": "10s",
    "statement_timeout": "30s",
    # A frozen process must not hold a coupon's rows, or the outbox lock, for longer than this.
    "idle_in_transaction_session_timeout": "15s",
    # A session of a dead client must not keep its locks for hours.
    "tcp_keepalives_idle": "10",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": "20s",
    # The planner overestimates statements over arrays; compiling them costs more than running them.
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
    asyncpg.InternalClientError,  # raised by asyncpg when a connection is lost between two steps of its protocol
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    # Class 53: out of disk, memory or connections. An operator has to act; no command is the cause.
    asyncpg.InsufficientResourcesError,
    # Class 58: an error of the operating system (I/O, a missing file). XX000 to XX002, internal errors and corrupted
    # data, aren't listed: waiting doesn't help, and an operator must see them.
    asyncpg.PostgresSystemError,
    asyncpg.IdleSessionTimeoutError,
    asyncpg.ObjectNotInPrerequisiteStateError,  # a database without connections, as during a failover or maintenance
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.ReadOnlySQLTransactionError,
    ConnectionError,
    OSError,
    asyncio.TimeoutError,
)
"""Errors of an unavailable database. The statement may or may not have happened; retry later."""


NOT_MIGRATED: Final[tuple[type[BaseException], ...]] = (asyncpg.SyntaxOrAccessError, asyncpg.InvalidSchemaNameError)
"""Tables, columns or rights that this version needs are missing. No command can cause that; nothing is executed until
`couponry migrate` has run.
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
    """Open a pool whose connections use the ledger's schema and act as `role`.

    The login of `database_url` must be a member of `role`; None acts as the login itself. Raises one of `UNAVAILABLE`
    if the database can't be reached, asyncpg.PostgresError if it refuses. A COMMIT without an answer for
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
