"""The ledger's connection: handles COMMITs without an answer, for all code that writes.

Three rules apply to every connection of `open_pool`:

- **Nothing is ever cancelled.** asyncpg sends a cancel request when a statement times out or its task is cancelled. A
  COMMIT that waits for a synchronous standby then ends without it: the transaction becomes visible, and a failover
  loses it. So the connection is closed instead. The transaction may or may not have happened; the caller runs it again
  to find out.
- **A COMMIT is answered within `commit_seconds`**, or counts as unanswered. While a COMMIT of this process still waits
  in the server, no new transaction begins: each would leave one more session waiting there.
- **A COMMIT is answered when everything the transaction read is replicated too**, not only what it wrote. A rerun that
  finds its journal row writes nothing, and PostgreSQL would not wait for the row's own COMMIT, which may have ended
  without the standby. So under synchronous replication a COMMIT always writes a small record and waits for it.
"""

import socket
from asyncio import AbstractEventLoop, CancelledError
from typing import Any, Final

import asyncpg
from asyncpg.transaction import Transaction

from shared.ledger.sql import sql

COMMIT_SECONDS: Final = 10.0
"""A commit takes milliseconds. Ten seconds are more than a checkpoint's worst stall and less than the time after which
a service counts as stuck."""

KEEPALIVE_IDLE_SECONDS: Final = 10
KEEPALIVE_INTERVAL_SECONDS: Final = 5
KEEPALIVE_PROBES: Final = 3
UNACKNOWLEDGED_SECONDS: Final = 20
"""A peer that acknowledges nothing for this long is dead (`TCP_USER_TIMEOUT`)."""

_WAITS_FOR_STANDBY: Final = "SyncRepWaitForLSN"
"""Name of the server function that warns when a wait for a standby was ended; the warning's text is localized."""


class CommitUnansweredError(ConnectionError):
    """A COMMIT got no answer, or isn't replicated, so it may be lost. Run the transaction again."""


class CommitWaitsError(ConnectionError):
    """A COMMIT of this process still waits in the server, usually for a synchronous standby. Try again later."""


_waiting: set[int] = set()
"""Server process ids of the sessions whose COMMIT this process stopped waiting for."""


class LedgerTransaction(Transaction):
    """asyncpg's transaction. Doesn't start while an earlier COMMIT waits, and raises no second error once closed."""

    __slots__ = ()
    _connection: "LedgerConnection"
    _readonly: bool

    async def start(self) -> None:
        """Begin the transaction. Raises CommitWaitsError."""
        if _waiting and not self._readonly and not self._connection.is_in_transaction():
            await self._connection.refuse_while_commits_wait()
        await super().start()

    async def __aexit__(self, kind: object, error: object, trace: object) -> None:
        # A rollback on a closed connection would replace the error (or the cancellation) that closed it.
        if kind is None or not self._connection.is_closed():
            await super().__aexit__(kind, error, trace)


class LedgerConnection(asyncpg.Connection):
    """A connection with the rules above. It notices when an operator ends a wait for the standby (`pg_cancel_backend`).

    Some overridden methods are private to asyncpg; tests/integration/test_ledger_connection.py and
    tests/faults/test_standby.py fail if a release of asyncpg changes them.
    """

    commit_seconds = COMMIT_SECONDS
    _loop: AbstractEventLoop
    _protocol: Any

    def __init__(self, protocol: Any, transport: Any, *args: Any) -> None:
        super().__init__(protocol, transport, *args)
        self._closing = False  # closed in the next round of the event loop
        self._unreplicated = False
        _notice_dead_peers(transport)

    def transaction(
        self, *, isolation: Any = None, readonly: bool = False, deferrable: bool = False
    ) -> LedgerTransaction:
        """Return a transaction or, inside of one, a savepoint."""
        self._check_open()  # type: ignore[attr-defined]  # not in asyncpg's stubs
        return LedgerTransaction(self, isolation, readonly, deferrable)

    async def execute(self, query: str, *args: Any, timeout: float | None = None) -> str:  # noqa: ASYNC109 - asyncpg's
        """Run a statement. A COMMIT is limited to `commit_seconds` and raises CommitUnansweredError."""
        if not args and query.strip(" ;").upper() == "COMMIT":
            await self._commit()
            return "COMMIT"
        status = await super().execute(query, *args, timeout=timeout)
        self._refuse_unreplicated()
        return status

    async def refuse_while_commits_wait(self) -> None:
        """Raise CommitWaitsError while an unanswered COMMIT of this process still runs in the server."""
        pids = list(_waiting)
        still = {record[0] for record in await self.fetch(sql("commits_waiting"), pids)}
        _waiting.difference_update(set(pids) - still)
        if still:
            raise CommitWaitsError(
                f"{len(still)} COMMIT(s) of this process still wait in PostgreSQL for a synchronous standby: "
                "see pg_stat_replication and synchronous_standby_names"
            )

    def is_closed(self) -> bool:
        """Return whether the connection is closed, or about to be."""
        return self._closing or super().is_closed()

    async def _commit(self) -> None:
        self._check_open()  # type: ignore[attr-defined]  # not in asyncpg's stubs
        pid: int = self.get_server_pid()
        try:
            # One message with two statements: no further round trip.
            await super().execute(f"{sql('commit_after_standby')};\nCOMMIT", timeout=self.commit_seconds)
        except TimeoutError as error:
            _waiting.add(pid)
            raise CommitUnansweredError(f"COMMIT got no answer within {self.commit_seconds:g} s") from error
        except (CancelledError, OSError, asyncpg.InterfaceError, asyncpg.PostgresConnectionError):
            _waiting.add(pid)
            raise
        except asyncpg.PostgresError:
            if not self.is_closed() and self.is_in_transaction():
                await super().execute("ROLLBACK")
            raise
        self._refuse_unreplicated()

    def _refuse_unreplicated(self) -> None:
        if self._unreplicated:
            self._abort_soon()
            raise CommitUnansweredError("a COMMIT's wait for the synchronous standby was ended: it isn't replicated")

    def _abort_soon(self) -> None:
        """Drop the connection in the next round of the event loop, because asyncpg's state is in use in this one.

        Only the protocol is aborted here. The pool removes the connection when it is released.
        """
        if not self._closing:
            self._closing = True
            self._loop.call_soon(self._protocol.abort)

    # Called by asyncpg

    def _cancel_current_command(self, waiter: Any, cancel_waiter: Any = None) -> None:
        self._abort_soon()

    def _process_log_message(self, fields: dict[str, str], last_query: str) -> None:
        if fields.get("R") == _WAITS_FOR_STANDBY:
            self._unreplicated = True
        super()._process_log_message(fields, last_query)  # type: ignore[misc]  # not in asyncpg's stubs

    async def _do_execute(self, *args: Any, **kwargs: Any) -> Any:
        result = await super()._do_execute(*args, **kwargs)  # type: ignore[misc]  # not in asyncpg's stubs
        self._refuse_unreplicated()
        return result


def connection_class(commit_seconds: float) -> type[LedgerConnection]:
    """Return a connection class that waits `commit_seconds` for a COMMIT. asyncpg takes a class without arguments."""
    return type("LedgerConnection", (LedgerConnection,), {"commit_seconds": commit_seconds})


def _notice_dead_peers(transport: Any) -> None:
    """Set the kernel's options that end a connection to a dead peer, if the platform has them."""
    peer = transport.get_extra_info("socket")
    if peer is None or peer.family not in (socket.AF_INET, socket.AF_INET6):
        return
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (
        ("TCP_KEEPIDLE", KEEPALIVE_IDLE_SECONDS),
        ("TCP_KEEPINTVL", KEEPALIVE_INTERVAL_SECONDS),
        ("TCP_KEEPCNT", KEEPALIVE_PROBES),
        ("TCP_USER_TIMEOUT", UNACKNOWLEDGED_SECONDS * 1_000),
    ):
        if hasattr(socket, option):
            peer.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
