"""Who is next: one request at a time, and the callers that wait take turns."""

import asyncio
from collections import Counter, OrderedDict, deque

from services.gateway.batching import OverloadedError


class Turns:
    """One at a time. Of those who wait, each caller gets one turn before any gets a second.

    Refuses those for whom more than `most` would be before them, or whose wait would be longer than `seconds` at
    `usual_seconds` a turn. One caller may have half of both.
    """

    def __init__(self, most: int, seconds: float, usual_seconds: float) -> None:
        self._most = most
        self._seconds = seconds
        self.usual_seconds = usual_seconds
        self._inside: Counter[str] = Counter()
        self._taken = False
        self._lines: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()

    def __len__(self) -> int:
        """How many have their turn or wait for it."""
        return self._inside.total()

    async def take(self, who: str) -> None:
        """Wait for a turn, which must be given back. Raises OverloadedError at once where too many wait."""
        if self._is_too_much(len(self), 1) or self._is_too_much(self._inside[who], 2):
            raise OverloadedError(f"{len(self)} heavy requests are under way, {self._inside[who]} of this caller")
        self._inside[who] += 1
        if not self._taken:
            self._taken = True
            return
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._lines.setdefault(who, deque()).append(place)
        try:
            await place
        except BaseException:
            if place.cancelled():
                self._leave(who)
            else:  # its turn came in the same moment
                self.give_back(who)
            raise

    def give_back(self, who: str) -> None:
        """Let the next one have its turn."""
        self._leave(who)
        while self._lines:
            caller, line = self._lines.popitem(last=False)
            place = line.popleft()
            if line:
                self._lines[caller] = line  # behind the others
            if not place.done():
                place.set_result(None)
                return
        self._taken = False

    def took(self, seconds: float, weight: float) -> None:
        """Learn how long a turn takes."""
        self.usual_seconds += weight * (seconds - self.usual_seconds)

    def _is_too_much(self, before: int, share: int) -> bool:
        return before > self._most // share or before * self.usual_seconds > self._seconds / share

    def _leave(self, who: str) -> None:
        self._inside[who] -= 1
        if not self._inside[who]:
            del self._inside[who]
