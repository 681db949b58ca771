"""The micro-batcher: what arrives while a batch is under way goes into the next.

A hot coupon's row is locked until a transaction is committed, so one transaction a request would let a crowd pass one
by one; together they cost one commit. Nobody waits for others to come: an idle batcher runs a request at once.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

import asyncpg

from shared.ledger.database import NOT_MIGRATED, UNAVAILABLE
from shared.ledger.engine import LedgerUnavailableError
from shared.runtime.logging import get_logger

Asked = TypeVar("Asked")
Answered = TypeVar("Answered")
log = get_logger("gateway")
MOST_FAILED_ALONE: Final = 8
"""Requests of one batch that may fail one by one, none of it succeeding, before its error counts as everybody's."""


class OverloadedError(Exception):
    """So much waits already that another request would wait too long."""


NOT_NOW: Final[tuple[type[BaseException], ...]] = (
    *UNAVAILABLE,
    *NOT_MIGRATED,
    LedgerUnavailableError,
    OverloadedError,
    asyncpg.QueryCanceledError,
    asyncpg.LockNotAvailableError,
    asyncpg.InsufficientResourcesError,
)
"""Errors of the moment, not of a request: the same request later is right."""


class MicroBatcher(Generic[Asked, Answered]):
    """Runs `work` on up to `size` of what is asked at a time, `batches` of them side by side, `waiting` in the queue.

    `work` answers a list with one answer each, in the same order. What it raises of `for_all`, everybody of that batch
    gets. Anything else is somebody's own: the batch is halved until the one is found, and the others are answered. So
    `work` must be one that may be done again, in part and in smaller batches.
    """

    def __init__(
        self,
        work: Callable[[Sequence[Asked]], Awaitable[Sequence[Answered]]],
        *,
        size: int,
        batches: int = 1,
        waiting: int = 10_000,
        for_all: tuple[type[BaseException], ...] = NOT_NOW,
    ) -> None:
        self._work = work
        self._size = size
        self._batches = batches
        self._waiting = waiting
        self._for_all = for_all
        self._queue: deque[tuple[Asked, asyncio.Future[Answered]]] = deque()
        self._under_way = 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def submit(self, asked: Asked) -> Answered:
        """The answer to `asked`. Raises OverloadedError, and whatever `work` raises.

        Who gives up waiting is left out of a batch that has not begun; one that has begun runs on.
        """
        if len(self._queue) >= self._waiting:
            raise OverloadedError(f"{len(self._queue)} requests are waiting")
        answer: asyncio.Future[Answered] = asyncio.get_running_loop().create_future()
        self._queue.append((asked, answer))
        if self._under_way < self._batches:
            self._under_way += 1
            task = asyncio.create_task(self._run())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return await answer

    async def drained(self) -> None:
        """Wait until nothing is under way."""
        while self._tasks:
            await asyncio.gather(*self._tasks)

    async def _run(self) -> None:
        try:
            while self._queue:
                await self.run_once()
        finally:
            self._under_way -= 1  # in the same moment as the last look: what comes later starts a run of its own

    async def run_once(self) -> None:
        """Run one batch of what waits."""
        batch: list[tuple[Asked, asyncio.Future[Answered]]] = []
        while self._queue and len(batch) < self._size:
            one = self._queue.popleft()
            if not one[1].cancelled():
                batch.append(one)
        if not batch:
            return
        await self._settle(batch, _Failures())

    async def _settle(self, batch: Sequence[tuple[Asked, "asyncio.Future[Answered]"]], failed: "_Failures") -> None:
        """Answer each of a batch, or raise to each what is its own."""
        if failed.for_all is not None:
            self._raise_to(batch, failed.for_all, failed)
            return
        try:
            answers = await self._work([asked for asked, _ in batch])
            answered = list(zip(batch, answers, strict=True))
        except Exception as error:
            if len(batch) == 1 or isinstance(error, self._for_all):
                self._raise_to(batch, error, failed)
                return
            log.warning("a batch failed and is halved", requests=len(batch), error=repr(error))
        except BaseException:
            for _, waiting in batch:
                waiting.cancel()
            raise
        else:
            failed.succeeded = True
            for (_, waiting), answer in answered:
                if not waiting.done():
                    waiting.set_result(answer)
            return
        middle = len(batch) // 2
        await self._settle(batch[:middle], failed)
        await self._settle(batch[middle:], failed)

    def _raise_to(
        self, batch: Sequence[tuple[Asked, "asyncio.Future[Answered]"]], error: Exception, failed: "_Failures"
    ) -> None:
        log.warning("requests failed", requests=len(batch), error=repr(error))
        failed.alone += 1
        if isinstance(error, self._for_all) or (failed.alone >= MOST_FAILED_ALONE and not failed.succeeded):
            failed.for_all = error
        for _, waiting in batch:
            if not waiting.done():
                waiting.set_exception(error)


@dataclass
class _Failures:
    """What became of one batch so far."""

    alone: int = 0
    succeeded: bool = False
    for_all: Exception | None = None
