"""How many failures somebody may have a minute: unknown codes, unknown keys.

A budget counts failures in slots of five seconds and forgets them after a minute. What is under way counts as if it
failed, so that a thousand attempts at once can't all begin before the first is counted; who finds no room waits in
line. Once the failures of the last minute reach the limit, everybody in line is refused.
"""

import asyncio
import time
from collections import deque
from typing import Final

SLOT_SECONDS: Final = 5
SLOTS: Final = 13
"""A minute, and the slot that it begins in."""

MINUTES_AHEAD: Final = 10
"""What is beyond the limit is paid for within so many minutes."""

MOST_BUDGETS: Final = 50_000


class OverBudgetError(Exception):
    """Too many failures within a minute. `seconds`: when there will be room again."""

    def __init__(self, limit: int, seconds: int) -> None:
        super().__init__(f"{limit} failures within a minute; room again in {seconds} s")
        self.limit = limit
        self.seconds = seconds


class Clock:
    """The time of who counts for all, in seconds since 1970. It goes on by itself between two looks at theirs."""

    def __init__(self) -> None:
        self._offset = time.time() - time.monotonic()

    def set(self, seconds: float) -> None:
        """Say what time it is there."""
        self._offset = seconds - time.monotonic()

    def seconds(self) -> float:
        """Return the time."""
        return time.monotonic() + self._offset

    def slot(self) -> int:
        """Return the number of the present slot."""
        return int(self.seconds()) // SLOT_SECONDS


def spread(failures: int, limit: int) -> list[tuple[int, int]]:
    """Return (slots ahead, failures): what is beyond the limit counts in the minutes that follow."""
    failures = min(failures, limit * MINUTES_AHEAD)
    parts = [(SLOTS * number, limit) for number in range(failures // limit)]
    rest = failures % limit
    return [*parts, (SLOTS * (failures // limit), rest)] if rest else parts


class Budget:
    """The failures of one caller or address, and what it has under way."""

    __slots__ = ("_clock", "_line", "_slots", "limit", "under_way")

    def __init__(self, limit: int, clock: Clock) -> None:
        self.limit = limit
        self._clock = clock
        self.under_way = 0
        self._slots: dict[int, int] = {}
        self._line: deque[tuple[int, asyncio.Future[None]]] = deque()

    @property
    def failures(self) -> int:
        """How many failures count now."""
        if not self._slots:
            return 0
        present = self._clock.slot()
        oldest, newest = present - SLOTS, present + SLOTS * MINUTES_AHEAD
        if min(self._slots) <= oldest or max(self._slots) > newest:  # the latter by a clock that was set back
            self._slots = {slot: count for slot, count in self._slots.items() if oldest < slot <= newest}
        return sum(self._slots.values())

    @property
    def is_unused(self) -> bool:
        """Whether nothing would be forgotten with it."""
        return self.is_idle and not self.failures

    @property
    def is_idle(self) -> bool:
        """Whether nothing is under way or waits."""
        return not self.under_way and not self._line

    def check(self) -> None:
        """Raise OverBudgetError where there is no room."""
        failures = self.failures
        if failures < self.limit:
            return
        for slot in sorted(self._slots):
            failures -= self._slots[slot]
            if failures < self.limit:
                wait = (slot + SLOTS) * SLOT_SECONDS - self._clock.seconds()
                raise OverBudgetError(self.limit, max(int(wait) + 1, 1))

    async def take(self, attempts: int) -> int:
        """Wait for room for so many attempts. Return what to `give_back`. Raises OverBudgetError.

        More than the limit has room when nothing else is under way; they count in full when they fail.
        """
        wanted = min(attempts, self.limit)
        self.check()
        if not self._line and self._has_room(wanted):
            self.under_way += wanted
            return wanted
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._line.append((wanted, place))
        try:
            await place
        except asyncio.CancelledError:
            if place.done() and not place.cancelled() and place.exception() is None:
                self.give_back(wanted)
            else:
                self._line = deque(one for one in self._line if one[1] is not place)
                self._advance()
            raise
        return wanted

    def give_back(self, taken: int) -> None:
        """The attempts are over, and counted where they failed."""
        self.under_way -= taken
        self._advance()

    def add(self, counts: dict[int, int], *, known: bool) -> None:
        """Count failures by slot. `known`: these are totals that include what was counted before."""
        for slot, count in counts.items():
            before = self._slots.get(slot, 0)
            self._slots[slot] = max(before, count) if known else before + count

    def _has_room(self, wanted: int) -> bool:
        return not self.under_way or self.under_way + wanted + self.failures <= self.limit

    def _advance(self) -> None:
        while self._line:
            wanted, place = self._line[0]
            if place.done():
                self._line.popleft()
                continue
            try:
                self.check()
            except OverBudgetError as error:
                self._line.popleft()
                place.set_exception(error)
                continue
            if not self._has_room(wanted):
                return
            self._line.popleft()
            self.under_way += wanted
            place.set_result(None)


class Budgets:
    """Budgets by who they are of; those with nothing to remember are dropped."""

    def __init__(self, limit: int, clock: Clock) -> None:
        self.limit = limit
        self._clock = clock
        self._budgets: dict[str, Budget] = {}

    def __len__(self) -> int:
        return len(self._budgets)

    def of(self, who: str) -> Budget:
        """Return the budget, which is remembered until `drop_unused`."""
        budget = self._budgets.get(who)
        if budget is None:
            if len(self._budgets) >= MOST_BUDGETS:
                self._make_room()
            budget = self._budgets[who] = Budget(self.limit, self._clock)
        return budget

    def check(self, who: str) -> None:
        """Raise OverBudgetError where there is no room."""
        budget = self._budgets.get(who)
        if budget is not None:
            budget.check()

    def drop_unused(self, who: str) -> None:
        """Forget the budget where there is nothing to remember."""
        budget = self._budgets.get(who)
        if budget is not None and budget.is_unused:
            del self._budgets[who]

    def _make_room(self) -> None:
        self.tidy()
        excess = len(self._budgets) - MOST_BUDGETS + 1
        for who in [who for who, budget in self._budgets.items() if budget.is_idle][: max(excess, 0)]:
            del self._budgets[who]

    def tidy(self) -> None:
        """Drop those whose failures are forgotten."""
        for who in [who for who, budget in self._budgets.items() if budget.is_unused]:
            del self._budgets[who]
