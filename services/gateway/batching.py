"""The micro-batcher: requests that arrive while a batch runs form the next batch.

A coupon's row is locked until its transaction commits. With one transaction per request, many requests for one coupon
would wait for one commit each; in a batch, they share one. An idle batcher runs a request at once.
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

RequestT = TypeVar("RequestT")
ResultT = TypeVar("ResultT")
log = get_logger("gateway")
MAX_FAILED_ALONE: Final = 8
"""If this many requests of a batch fail alone and none succeeds, the error counts for the whole batch."""


class OverloadedError(Exception):
    """The queue is full; another request would wait too long."""


TEMPORARY_ERRORS: Final[tuple[type[BaseException], ...]] = (
    *UNAVAILABLE,
    *NOT_MIGRATED,
    LedgerUnavailableError,
    OverloadedError,
    asyncpg.QueryCanceledError,
    asyncpg.LockNotAvailableError,
    asyncpg.InsufficientResourcesError,
)
"""Temporary errors that don't depend on the request: a retry later can succeed."""


class MicroBatcher(Generic[RequestT, ResultT]):
    """Runs `work` on batches of up to `size` requests, `batches` of them concurrently, with `waiting` in the queue.

    `work` returns one result per request, in the same order. An error in `for_all` is raised for all requests of the
    batch. For any other error the batch is halved until the request that causes it is found; the others get their
    results. So `work` must be safe to repeat, in part and in smaller batches.
    """

    def __init__(
        self,
        work: Callable[[Sequence[RequestT]], Awaitable[Sequence[ResultT]]],
        *,
        size: int,
        batches: int = 1,
        waiting: int = 10_000,
        for_all: tuple[type[BaseException], ...] = TEMPORARY_ERRORS,
    ) -> None:
        self._work = work
        self._size = size
        self._batches = batches
        self._waiting = waiting
        self._for_all = for_all
        self._queue: deque[tuple[RequestT, asyncio.Future[ResultT]]] = deque()
        self._under_way = 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def submit(self, request: RequestT) -> ResultT:
        """Return the result of `request`. Raises OverloadedError and the errors of `work`.

        A cancelled request is left out of a batch that has not begun; a batch that has begun continues.
        """
        if len(self._queue) >= self._waiting:
            raise OverloadedError(f"{len(self._queue)} requests are waiting")
        result: asyncio.Future[ResultT] = asyncio.get_running_loop().create_future()
        self._queue.append((request, result))
        if self._under_way < self._batches:
            self._under_way += 1
            task = asyncio.create_task(self._run())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return await result

    async def drained(self) -> None:
        """Wait until no batch is running or queued."""
        while self._tasks:
            await asyncio.gather(*self._tasks)

    async def _run(self) -> None:
        try:
            while self._queue:
                await self.run_once()
        finally:
            self._under_way -= 1  # no await since the queue was seen empty, so that a later request starts a new run

    async def run_once(self) -> None:
        """Run one batch from the queue."""
        batch: list[tuple[RequestT, asyncio.Future[ResultT]]] = []
        while self._queue and len(batch) < self._size:
            queued = self._queue.popleft()
            if not queued[1].cancelled():
                batch.append(queued)
        if not batch:
            return
        await self._settle(batch, _Failures())

    async def _settle(self, batch: Sequence[tuple[RequestT, "asyncio.Future[ResultT]"]], failed: "_Failures") -> None:
        """Set the result or the error of each request of a batch."""
        if failed.for_all is not None:
            self._raise_to(batch, failed.for_all, failed)
            return
        try:
            results = await self._work([request for request, _ in batch])
            finished = list(zip(batch, results, strict=True))
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
            for (_, waiting), result in finished:
                if not waiting.done():
                    waiting.set_result(result)
            return
        middle = len(batch) // 2
        await self._settle(batch[:middle], failed)
        await self._settle(batch[middle:], failed)

    def _raise_to(
        self, batch: Sequence[tuple[RequestT, "asyncio.Future[ResultT]"]], error: Exception, failed: "_Failures"
    ) -> None:
        log.warning("requests failed", requests=len(batch), error=repr(error))
        failed.alone += 1
        if isinstance(error, self._for_all) or (failed.alone >= MAX_FAILED_ALONE and not failed.succeeded):
            failed.for_all = error
        for _, waiting in batch:
            if not waiting.done():
                waiting.set_exception(error)


@dataclass
class _Failures:
    """The failures of one batch so far."""

    alone: int = 0
    succeeded: bool = False
    for_all: Exception | None = None
