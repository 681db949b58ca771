"""Deciding without holding anybody up: a batch's transaction has a bound, and other tasks get their turn.

How much a command takes is estimated beforehand: `shared.domain.offers.work`.
"""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Final, TypeVar

from shared.domain.model.commands import Command
from shared.domain.model.state import State
from shared.domain.offers.work import HEAVY_WORK, MAX_BATCH_WORK, split_place, work_of

_Answer = TypeVar("_Answer")

SIDE_BY_SIDE: Final = 1
"""Heavy judgements of one process at once. They share one core whatever their number."""

WAITING: Final = 8
"""Heavy judgements that may wait for their turn: about twenty seconds at worst."""


class SplitBatchError(Exception):
    """A batch takes too much work for one transaction. Its first `count` commands fit into one."""

    def __init__(self, count: int) -> None:
        super().__init__(f"the first {count} commands fit into one transaction")
        self.count = count


class TooMuchAtOnceError(Exception):
    """So many heavy requests are being judged that another one would wait too long. The same request later is fine."""


def works_of(commands: Sequence[Command], state: State, now: datetime) -> list[int]:
    """The work of each command. Raises SplitBatchError where all of them are too much for one transaction."""
    works = [work_of(command, state, now) for command in commands]
    count = split_place(works, MAX_BATCH_WORK)
    if count < len(works):
        raise SplitBatchError(count)
    return works


class Pace:
    """Runs the work of one batch: that of heavy commands in a thread, and with pauses for others between light ones."""

    def __init__(self) -> None:
        self._since_pause = 0

    async def make(self, work: int, make: Callable[..., _Answer], *arguments: Any) -> _Answer:
        """What `make` gives for a command that takes `work`. Nobody else may touch its arguments meanwhile."""
        if work > HEAVY_WORK:
            return await asyncio.to_thread(make, *arguments)
        self._since_pause += work
        if self._since_pause > HEAVY_WORK:
            self._since_pause = 0
            await asyncio.sleep(0)
        return make(*arguments)


class HeavyWork:
    """Runs heavy judgements in threads: one at a time, and few that wait."""

    beyond: int = HEAVY_WORK
    """What takes less work is judged at once, by whoever asks."""

    def __init__(self, side_by_side: int = SIDE_BY_SIDE, waiting: int = WAITING) -> None:
        self._turns = asyncio.Semaphore(side_by_side)
        self._most = side_by_side + waiting
        self._inside = 0

    async def judge(self, judge: Callable[..., _Answer], *arguments: Any) -> _Answer:
        """What `judge` gives. Raises TooMuchAtOnceError at once where too many wait, and what `judge` raises."""
        if self._inside >= self._most:
            raise TooMuchAtOnceError(f"{self._inside} heavy requests are being judged; send this one again later.")
        self._inside += 1
        try:
            async with self._turns:
                # A thread can't be stopped: whoever gives up waiting leaves its turn only when the thread is done.
                return await _to_its_end(asyncio.create_task(asyncio.to_thread(judge, *arguments)))
        finally:
            self._inside -= 1


async def _to_its_end(task: "asyncio.Task[_Answer]") -> _Answer:
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise
