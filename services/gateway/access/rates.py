"""Limits of requests per minute and of concurrent requests. Counted per process: n gateways allow n times as much.

Requests are counted by the sliding window of `limits`, in this process on purpose: a shared counter would cost every
request a round trip, and a counter per process is enough to stop a runaway client.
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
    """A limit of requests per minute and caller."""

    def __init__(self, requests_per_minute: int) -> None:
        self._requests = RateLimitItemPerMinute(requests_per_minute)
        self._limiter = SlidingWindowCounterRateLimiter(MemoryStorage())

    async def admit(self, caller: Caller) -> Mapping[str, str]:
        """Count a request. Return the `RateLimit` headers of its response. Raises a Problem (429) over the limit."""
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
                f"At most {self._requests.amount} requests per minute are allowed. Try again in {seconds} s.",
                headers={**headers, "Retry-After": str(seconds)},
            )
        return headers


class ConcurrencyLimit:
    """A limit of concurrent requests of one caller, or from one address."""

    def __init__(self, limit: int, whose: str) -> None:
        self._limit = limit
        self._whose = whose
        self._under_way: dict[str, int] = {}

    def __len__(self) -> int:
        """Return the number of all requests in progress."""
        return sum(self._under_way.values())

    @contextmanager
    def admit(self, owner: str) -> Iterator[None]:
        """Count a request of the caller or address while it runs. Raises a Problem (429) over the limit."""
        count = self._under_way.get(owner, 0)
        if count >= self._limit:
            raise Problem(
                429,
                "rate_limited",
                f"At most {self._limit} concurrent requests {self._whose} are allowed. Wait for responses first.",
                headers={"Retry-After": "1"},
            )
        self._under_way[owner] = count + 1
        try:
            yield
        finally:
            if self._under_way[owner] == 1:
                del self._under_way[owner]
            else:
                self._under_way[owner] -= 1
