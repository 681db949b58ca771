"""Fair scheduling of heavy requests: one at a time, and waiting callers take turns."""

import asyncio
from collections import Counter, OrderedDict, deque

from services.gateway.batching import OverloadedError


class Turns:
    """A fair queue for one turn at a time: each waiting caller gets a turn before any caller gets a second one.

    A request is refused if more than `max_waiting` are before it, or if its expected wait, at `usual_seconds` per turn,
    is longer than `seconds`. One caller may use half of either limit.
    """

    def __init__(self, max_waiting: int, seconds: float, usual_seconds: float) -> None:
        self._max_waiting = max_waiting
        self._seconds = seconds
        self.usual_seconds = usual_seconds
        self._inside: Counter[str] = Counter()
        self._taken = False
        self._lines: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()

    def __len__(self) -> int:
        """Return the number of requests that have or await their turn."""
        return self._inside.total()

    async def take(self, caller: str) -> None:
        """Wait for a turn, which must be given back. Raises OverloadedError at once if too many wait."""
        if self._is_too_much(len(self), 1) or self._is_too_much(self._inside[caller], 2):
            raise OverloadedError(
                f"{len(self)} heavy requests are waiting or running, {self._inside[caller]} of this caller"
            )
        self._inside[caller] += 1
        if not self._taken:
            self._taken = True
            return
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._lines.setdefault(caller, deque()).append(place)
        try:
            await place
        except BaseException:
            if place.cancelled():
                self._leave(caller)
            else:  # the turn arrived at the same time as the cancellation
                self.give_back(caller)
            raise

    def give_back(self, caller: str) -> None:
        """Pass the turn on to the next request."""
        self._leave(caller)
        while self._lines:
            following, line = self._lines.popitem(last=False)
            place = line.popleft()
            if line:
                self._lines[following] = line  # after the other callers
            if not place.done():
                place.set_result(None)
                return
        self._taken = False

    def took(self, seconds: float, weight: float) -> None:
        """Update the expected duration of a turn."""
        self.usual_seconds += weight * (seconds - self.usual_seconds)

    def _is_too_much(self, before: int, share: int) -> bool:
        return before > self._max_waiting // share or before * self.usual_seconds > self._seconds / share

    def _leave(self, caller: str) -> None:
        self._inside[caller] -= 1
        if not self._inside[caller]:
            del self._inside[caller]
