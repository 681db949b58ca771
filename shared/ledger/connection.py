"""The ledger's connection: what a COMMIT that gets no answer means, in one place for everybody who writes.

Three rules hold on every connection of `open_pool`:

- **Nothing is ever cancelled.** asyncpg sends a cancel request when a statement takes too long or its task is
  cancelled. A COMMIT that waits for a synchronous standby takes such a request as leave to commit here alone: the
  transaction becomes visible, and a failover loses it. So the connection is closed instead; what was asked may or may
  not have happened, and the caller finds out by asking again.
- **A COMMIT is answered within `commit_seconds`**, or counts as unanswered. While a COMMIT of this process is still
  waiting in the server, no new transaction is begun: each would leave one more session waiting there.
- **A COMMIT is answered when everything the transaction read is replicated too**, not only what it wrote. A rerun that
  finds its journal row has nothing to write, and PostgreSQL would not wait for the row's own COMMIT, which may have
  ended without the standby. So a COMMIT under synchronous replication always writes a small record, and waits for it.
"""

import socket
from asyncio import AbstractEventLoop, CancelledError
from typing import Any, Final

import asyncpg
from asyncpg.transaction import Transaction

from shared.ledger.sql import sql

COMMIT_SECONDS: Final = 10.0
"""A commit takes milliseconds. Ten seconds are above a checkpoint's worst stall and far below the time after which
somebody would call the service stuck."""

KEEPALIVE_IDLE_SECONDS: Final = 10
KEEPALIVE_INTERVAL_SECONDS: Final = 5
KEEPALIVE_PROBES: Final = 3
UNACKNOWLEDGED_SECONDS: Final = 20
"""A peer that doesn't acknowledge what was sent for so long is gone (`TCP_USER_TIMEOUT`)."""

_WAITS_FOR_STANDBY: Final = "SyncRepWaitForLSN"
"""The server's function that warns when its wait for a standby was ended; the warning's text depends on the locale."""


class CommitUnansweredError(ConnectionError):
    """A COMMIT got no answer, or one that says that it isn't replicated: it may or may not last. Do it again."""


class CommitWaitsError(ConnectionError):
    """A COMMIT of this process still waits in the server, for a synchronous standby as a rule. Try again later."""


_waiting: set[int] = set()
"""Sessions (by their process in the server) whose COMMIT this process gave up waiting for."""


class LedgerTransaction(Transaction):
    """As asyncpg's, but never begun while an earlier COMMIT waits, and no second error about a closed connection."""

    __slots__ = ()
    _connection: "LedgerConnection"
    _readonly: bool

    async def start(self) -> None:
        """Begin. Raises CommitWaitsError."""
        if _waiting and not self._readonly and not self._connection.is_in_transaction():
            await self._connection.refuse_while_commits_wait()
        await super().start()

    async def __aexit__(self, kind: object, error: object, trace: object) -> None:
        # A rollback on a closed connection would replace the error (or the cancellation) that closed it.
        if kind is None or not self._connection.is_closed():
            await super().__aexit__(kind, error, trace)


class LedgerConnection(asyncpg.Connection):
    """A connection with the rules above. A wait for the standby that an operator ends (`pg_cancel_backend`) is noticed.

    Some of what it overrides is asyncpg's own business; tests/integration/test_ledger_connection.py and
    tests/faults/test_standby.py fail where a release of asyncpg changes that.
    """

    commit_seconds = COMMIT_SECONDS
    _loop: AbstractEventLoop
    _protocol: Any

    def __init__(self, protocol: Any, transport: Any, *args: Any) -> None:
        super().__init__(protocol, transport, *args)
        self._left = False  # closed as soon as the event loop gets to it
        self._unreplicated = False
        _notice_dead_peers(transport)

    def transaction(
        self, *, isolation: Any = None, readonly: bool = False, deferrable: bool = False
    ) -> LedgerTransaction:
        """A transaction or, inside of one, a savepoint."""
        self._check_open()  # type: ignore[attr-defined]  # not in asyncpg's stubs
        return LedgerTransaction(self, isolation, readonly, deferrable)

    async def execute(self, query: str, *args: Any, timeout: float | None = None) -> str:  # noqa: ASYNC109 - asyncpg's
        """As asyncpg's; a COMMIT is bounded by `commit_seconds` and raises CommitUnansweredError."""
        if not args and query.strip(" ;").upper() == "COMMIT":
            await self._commit()
            return "COMMIT"
        status = await super().execute(query, *args, timeout=timeout)
        self._refuse_unreplicated()
        return status

    async def refuse_while_commits_wait(self) -> None:
        """Raise CommitWaitsError while a COMMIT that this process gave up still runs in the server."""
        pids = list(_waiting)
        still = {record[0] for record in await self.fetch(sql("commits_waiting"), pids)}
        _waiting.difference_update(set(pids) - still)
        if still:
            raise CommitWaitsError(
                f"{len(still)} COMMIT(s) of this process still wait in PostgreSQL for a synchronous standby: "
                "see pg_stat_replication and synchronous_standby_names"
            )

    def is_closed(self) -> bool:
        """Whether it is closed, or about to be."""
        return self._left or super().is_closed()

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
            self._leave()
            raise CommitUnansweredError(
                "somebody ended a COMMIT's wait for the synchronous standby: it isn't replicated"
            )

    def _leave(self) -> None:
        """Drop the connection to the server soon: asyncpg is amid its own bookkeeping where this is called.

        Only the protocol is ended here. What the pool has to forget, it forgets when the connection is released.
        """
        if not self._left:
            self._left = True
            self._loop.call_soon(self._protocol.abort)

    # What asyncpg calls

    def _cancel_current_command(self, waiter: Any, cancel_waiter: Any = None) -> None:
        self._leave()

    def _process_log_message(self, fields: dict[str, str], last_query: str) -> None:
        if fields.get("R") == _WAITS_FOR_STANDBY:
            self._unreplicated = True
        super()._process_log_message(fields, last_query)  # type: ignore[misc]  # not in asyncpg's stubs

    async def _do_execute(self, *args: Any, **kwargs: Any) -> Any:
        result = await super()._do_execute(*args, **kwargs)  # type: ignore[misc]  # not in asyncpg's stubs
        self._refuse_unreplicated()
        return result


def connection_class(commit_seconds: float) -> type[LedgerConnection]:
    """The class of connections that wait `commit_seconds` for a COMMIT: asyncpg takes a class, and no arguments."""
    return type("LedgerConnection", (LedgerConnection,), {"commit_seconds": commit_seconds})


def _notice_dead_peers(transport: Any) -> None:
    """Have the kernel end a connection whose other side is gone, where the platform can."""
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
