"""The micro-batcher: what arrives while a batch is under way goes into the next.

A hot coupon's row is locked until a transaction is committed, so one transaction a request would let a crowd pass one
by one; together they cost one commit. Nobody waits for others to come: an idle batcher runs a request at once.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from shared.runtime.logging import get_logger

Asked = TypeVar("Asked")
Answered = TypeVar("Answered")
log = get_logger("gateway")


class OverloadedError(Exception):
    """So much waits already that another request would wait too long."""


class MicroBatcher(Generic[Asked, Answered]):
    """Runs `work` on up to `size` of what is asked at a time, `batches` of them side by side, `waiting` in the queue.

    `work` answers a list with one answer each, in the same order; what it raises, everybody of that batch gets.
    """

    def __init__(
        self,
        work: Callable[[Sequence[Asked]], Awaitable[Sequence[Answered]]],
        *,
        size: int,
        batches: int = 1,
        waiting: int = 10_000,
    ) -> None:
        self._work = work
        self._size = size
        self._batches = batches
        self._waiting = waiting
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
        try:
            answers = await self._work([asked for asked, _ in batch])
        except Exception as error:
            log.warning("a batch failed", requests=len(batch), error=repr(error))
            for _, waiting in batch:
                if not waiting.done():
                    waiting.set_exception(error)
            return
        for (_, waiting), answer in zip(batch, answers, strict=True):
            if not waiting.done():
                waiting.set_result(answer)
