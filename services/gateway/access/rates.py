"""How often anybody may ask, and how much at a time. Counted in this process: n gateways allow n times as much.

The counting is `limits`' sliding window. It stays in the process on purpose: a shared counter would cost every request
a round trip, and what the limit is for (one client running wild) it stops all the same.
"""

import math
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from limits import RateLimitItemPerMinute
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter

from services.gateway.access.callers import Caller
from services.gateway.problems import Problem

MINUTE: Final = 60


class Rates:
    """Requests a minute, by caller."""

    def __init__(self, requests_per_minute: int) -> None:
        self._requests = RateLimitItemPerMinute(requests_per_minute)
        self._limiter = SlidingWindowCounterRateLimiter(MemoryStorage())

    async def admit(self, caller: Caller) -> Mapping[str, str]:
        """The `RateLimit` headers of the answer. Raises a Problem (429) when there were too many."""
        admitted = await self._limiter.hit(self._requests, "requests", caller.name)
        stats = await self._limiter.get_window_stats(self._requests, "requests", caller.name)
        seconds = max(math.ceil(stats.reset_time - time.time()), 1)
        headers = {
            "RateLimit-Policy": f'"key";q={self._requests.amount};w={MINUTE}',
            "RateLimit": f'"key";r={max(stats.remaining, 0)};t={seconds}',
        }
        if not admitted:
            raise Problem(
                429,
                "rate_limited",
                f"At most {self._requests.amount} requests a minute; the next one in {seconds} s.",
                headers={**headers, "Retry-After": str(seconds)},
            )
        return headers


class AtOnce:
    """How many requests of one caller, or from one address, are answered at a time."""

    def __init__(self, limit: int, whose: str) -> None:
        self._limit = limit
        self._whose = whose
        self._under_way: dict[str, int] = {}

    def __len__(self) -> int:
        """How many requests are under way, of everybody."""
        return sum(self._under_way.values())

    @contextmanager
    def one(self, who: str) -> Iterator[None]:
        """While inside: a request of `who`. Raises a Problem (429) where there are too many."""
        count = self._under_way.get(who, 0)
        if count >= self._limit:
            raise Problem(
                429,
                "rate_limited",
                f"At most {self._limit} requests at a time {self._whose}; wait for answers, then go on.",
                headers={"Retry-After": "1"},
            )
        self._under_way[who] = count + 1
        try:
            yield
        finally:
            if self._under_way[who] == 1:
                del self._under_way[who]
            else:
                self._under_way[who] -= 1
