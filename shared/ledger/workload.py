"""Limit how long decisions take: split large batches, and let other tasks run between commands.

`shared.domain.offers.work` estimates the work of a command.
"""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Final, TypeVar

from shared.domain.model.commands import Command
from shared.domain.model.state import State
from shared.domain.offers.work import HEAVY_WORK, MAX_BATCH_WORK, split_place, work_of

_Answer = TypeVar("_Answer")

MAX_CONCURRENT: Final = 1
"""Heavy judgements that run at once in a process. More would share the same core."""

WAITING: Final = 8
"""Heavy judgements that may wait: about twenty seconds at worst."""


class SplitBatchError(Exception):
    """A batch takes too much work for one transaction. Its first `count` commands fit into one."""

    def __init__(self, count: int) -> None:
        super().__init__(f"the first {count} commands fit into one transaction")
        self.count = count


class TooMuchAtOnceError(Exception):
    """Too many heavy requests are waiting. Retry the same request later."""


def works_of(commands: Sequence[Command], state: State, now: datetime) -> list[int]:
    """Return the work of each command. Raises SplitBatchError if the sum is too much for one transaction."""
    works = [work_of(command, state, now) for command in commands]
    count = split_place(works, MAX_BATCH_WORK)
    if count < len(works):
        raise SplitBatchError(count)
    return works


class Pace:
    """Runs the work of one batch: heavy commands in a thread, light ones with pauses for other tasks."""

    def __init__(self) -> None:
        self._since_pause = 0

    async def call(self, work: int, function: Callable[..., _Answer], *arguments: Any) -> _Answer:
        """Call `function`, which takes `work`, and return its result. Its arguments must not be used meanwhile."""
        if work > HEAVY_WORK:
            return await asyncio.to_thread(function, *arguments)
        self._since_pause += work
        if self._since_pause > HEAVY_WORK:
            self._since_pause = 0
            await asyncio.sleep(0)
        return function(*arguments)


class HeavyWork:
    """Runs heavy judgements in threads, one at a time, and limits how many wait."""

    threshold: int = HEAVY_WORK
    """Judgements that take less work run at once, in the calling thread."""

    def __init__(self, max_concurrent: int = MAX_CONCURRENT, waiting: int = WAITING) -> None:
        self._turns = asyncio.Semaphore(max_concurrent)
        self._max_inside = max_concurrent + waiting
        self._inside = 0

    async def judge(self, judge: Callable[..., _Answer], *arguments: Any) -> _Answer:
        """Call `judge` and return its result. Raises TooMuchAtOnceError if too many wait, and what `judge` raises."""
        if self._inside >= self._max_inside:
            raise TooMuchAtOnceError(f"{self._inside} heavy requests are in progress; retry this one later.")
        self._inside += 1
        try:
            async with self._turns:
                # A thread can't be stopped: after a cancellation, keep the turn until the thread is done.
                return await _to_its_end(asyncio.create_task(asyncio.to_thread(judge, *arguments)))
        finally:
            self._inside -= 1


async def _to_its_end(task: "asyncio.Task[_Answer]") -> _Answer:
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise
