"""Limits of failures per minute, for example of unknown codes or unknown keys.

A budget counts failures in slots of five seconds and forgets them after a minute. Attempts in progress count as
failures, so that a thousand concurrent attempts can't all begin before the first one is counted. An attempt without
room waits in a queue. Once the failures of the last minute reach the limit, all attempts in the queue are refused.
"""

import asyncio
import time
from collections import deque
from typing import Final

SLOT_SECONDS: Final = 5
SLOTS: Final = 13
"""The slots of a minute, plus the one in which it begins."""

MINUTES_AHEAD: Final = 10
"""The number of following minutes over which failures beyond the limit are spread."""

MAX_BUDGETS: Final = 50_000


class OverBudgetError(Exception):
    """Too many failures within a minute. `seconds`: the time until there is room again."""

    def __init__(self, limit: int, seconds: int) -> None:
        super().__init__(f"{limit} failures within a minute; room again in {seconds} s")
        self.limit = limit
        self.seconds = seconds


class Clock:
    """The ledger's clock, in seconds since 1970. Between two calls of `set` it advances with the local clock."""

    def __init__(self) -> None:
        self._offset = time.time() - time.monotonic()

    def set(self, seconds: float) -> None:
        """Set the time."""
        self._offset = seconds - time.monotonic()

    def seconds(self) -> float:
        """Return the time."""
        return time.monotonic() + self._offset

    def slot(self) -> int:
        """Return the number of the current slot."""
        return int(self.seconds()) // SLOT_SECONDS


def spread(failures: int, limit: int) -> list[tuple[int, int]]:
    """Return pairs of (slots ahead, failures). Failures beyond the limit count in the minutes that follow."""
    failures = min(failures, limit * MINUTES_AHEAD)
    parts = [(SLOTS * number, limit) for number in range(failures // limit)]
    remainder = failures % limit
    return [*parts, (SLOTS * (failures // limit), remainder)] if remainder else parts


class Budget:
    """The failures of one caller or address, and its attempts in progress."""

    __slots__ = ("_clock", "_queue", "_slots", "limit", "under_way")

    def __init__(self, limit: int, clock: Clock) -> None:
        self.limit = limit
        self._clock = clock
        self.under_way = 0
        self._slots: dict[int, int] = {}
        self._queue: deque[tuple[int, asyncio.Future[None]]] = deque()

    @property
    def failures(self) -> int:
        """The number of failures that count now."""
        if not self._slots:
            return 0
        current = self._clock.slot()
        oldest, newest = current - SLOTS, current + SLOTS * MINUTES_AHEAD
        if min(self._slots) <= oldest or max(self._slots) > newest:  # newer ones exist if the clock was set back
            self._slots = {slot: count for slot, count in self._slots.items() if oldest < slot <= newest}
        return sum(self._slots.values())

    @property
    def is_unused(self) -> bool:
        """Return whether the budget can be dropped without losing anything."""
        return self.is_idle and not self.failures

    @property
    def is_idle(self) -> bool:
        """Return whether no attempt is in progress or waits."""
        return not self.under_way and not self._queue

    def check(self) -> None:
        """Check that there is room. Raises OverBudgetError."""
        failures = self.failures
        if failures < self.limit:
            return
        for slot in sorted(self._slots):
            failures -= self._slots[slot]
            if failures < self.limit:
                wait = (slot + SLOTS) * SLOT_SECONDS - self._clock.seconds()
                raise OverBudgetError(self.limit, max(int(wait) + 1, 1))

    async def take(self, attempts: int) -> int:
        """Wait for room for `attempts`. Return the number to `give_back`. Raises OverBudgetError.

        More attempts than the limit are admitted when no other is in progress. They count in full when they fail.
        """
        wanted = min(attempts, self.limit)
        self.check()
        if not self._queue and self._has_room(wanted):
            self.under_way += wanted
            return wanted
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue.append((wanted, place))
        try:
            await place
        except asyncio.CancelledError:
            if place.done() and not place.cancelled() and place.exception() is None:
                self.give_back(wanted)
            else:
                self._queue = deque(one for one in self._queue if one[1] is not place)
                self._advance()
            raise
        return wanted

    def give_back(self, taken: int) -> None:
        """End attempts. Failed ones must have been counted before."""
        self.under_way -= taken
        self._advance()

    def add(self, counts: dict[int, int], *, known: bool) -> None:
        """Count failures by slot. `known`: `counts` are totals that include earlier failures."""
        for slot, count in counts.items():
            before = self._slots.get(slot, 0)
            self._slots[slot] = max(before, count) if known else before + count

    def _has_room(self, wanted: int) -> bool:
        return not self.under_way or self.under_way + wanted + self.failures <= self.limit

    def _advance(self) -> None:
        while self._queue:
            wanted, place = self._queue[0]
            if place.done():
                self._queue.popleft()
                continue
            try:
                self.check()
            except OverBudgetError as error:
                self._queue.popleft()
                place.set_exception(error)
                continue
            if not self._has_room(wanted):
                return
            self._queue.popleft()
            self.under_way += wanted
            place.set_result(None)


class Budgets:
    """Budgets of callers or addresses. Unused ones are dropped."""

    def __init__(self, limit: int, clock: Clock) -> None:
        self.limit = limit
        self._clock = clock
        self._budgets: dict[str, Budget] = {}

    def __len__(self) -> int:
        return len(self._budgets)

    def of(self, owner: str) -> Budget:
        """Return the budget of a caller or address. It is kept until `drop_unused`."""
        budget = self._budgets.get(owner)
        if budget is None:
            if len(self._budgets) >= MAX_BUDGETS:
                self._make_room()
            budget = self._budgets[owner] = Budget(self.limit, self._clock)
        return budget

    def check(self, owner: str) -> None:
        """Check that there is room. Raises OverBudgetError."""
        budget = self._budgets.get(owner)
        if budget is not None:
            budget.check()

    def drop_unused(self, owner: str) -> None:
        """Drop the budget if it is unused."""
        budget = self._budgets.get(owner)
        if budget is not None and budget.is_unused:
            del self._budgets[owner]

    def _make_room(self) -> None:
        self.tidy()
        excess = len(self._budgets) - MAX_BUDGETS + 1
        for owner in [owner for owner, budget in self._budgets.items() if budget.is_idle][: max(excess, 0)]:
            del self._budgets[owner]

    def tidy(self) -> None:
        """Drop all unused budgets."""
        for owner in [owner for owner, budget in self._budgets.items() if budget.is_unused]:
            del self._budgets[owner]
