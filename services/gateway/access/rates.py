"""How often anybody may ask, and how long guessing takes. Counted in this process: n gateways allow n times as much.

The counting is `limits`' sliding window. It stays in the process on purpose: a shared counter would cost every request
a round trip, and what the limit is for (one client running wild) it stops all the same.
"""

import asyncio
import math
import time
from collections.abc import Mapping
from typing import Final

from limits import RateLimitItemPerMinute
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter

from services.gateway.access.callers import Caller
from services.gateway.problems import Problem

MINUTE: Final = 60
DELAY_SECONDS: Final = 2.0
"""What an answer about an unknown code takes for who asked about too many of them."""


class Rates:
    """Requests and unknown codes a minute, by caller."""

    def __init__(self, requests_per_minute: int, unknown_per_minute: int) -> None:
        self._requests = RateLimitItemPerMinute(requests_per_minute)
        self._unknown = RateLimitItemPerMinute(unknown_per_minute)
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

    async def slow_down(self, caller: Caller, unknown_codes: int) -> None:
        """Note that a request named unknown codes, and wait where there were too many.

        Who mistypes never notices. Who guesses waits with every guess, and the answers to others don't.
        """
        if unknown_codes and not await self._limiter.hit(self._unknown, "unknown", caller.name):
            await asyncio.sleep(DELAY_SECONDS)
