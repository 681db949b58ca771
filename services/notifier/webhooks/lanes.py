"""Two lanes for concurrent webhook calls: one for quick endpoints, one for slow ones.

A call that lasts longer than `slow_seconds` moves to the slow lane with its endpoint, until the endpoint responds
quickly again. Each lane has `concurrency` calls. Calls that were started before their endpoint was known to be slow may
exceed the slow lane, so endpoints that hang take no calls from quick ones. Within a lane, endpoints without a running
call come first, and part of the calls is reserved for them.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from typing import Final
from uuid import UUID

from services.notifier.webhooks.deliveries import Capacity, Delivery
from services.notifier.webhooks.policy import WebhookPolicy

FIRST_CALLS_PART: Final = 4
"""One in this many of a lane's calls is reserved for endpoints without a running call."""

OVERFLOW_LANES: Final = 4
"""Calls are started before their endpoint is known to be slow, so the slow lane may get more than it has. Up to so many
lanes of these take nothing from the quick lane; each ends with its timeout."""

LANES: Final = 2 + OVERFLOW_LANES
"""The most running calls, as a multiple of `concurrency`."""

SLOW_ENDPOINTS_MAX: Final = 10_000
"""The most slow endpoints remembered. Beyond it the oldest is dropped; its next slow call marks it again."""


class Lanes:
    """The running calls of a sender. `clock` returns seconds; tests replace it to avoid waiting."""

    def __init__(self, policy: WebhookPolicy, clock: Callable[[], float] = time.monotonic) -> None:
        self._policy = policy
        self._clock = clock
        self._calls: dict[asyncio.Task[None], tuple[UUID, float]] = {}
        self._slow: dict[UUID, None] = {}  # a set that remembers the order

    def __len__(self) -> int:
        return len(self._calls)

    @property
    def tasks(self) -> frozenset[asyncio.Task[None]]:
        """The running calls."""
        return frozenset(self._calls)

    def start(self, task: asyncio.Task[None], delivery: Delivery) -> None:
        """Count `task`, which calls the endpoint of `delivery`, as a running call."""
        self._calls[task] = (delivery.endpoint_id, self._clock())

    def collect(self) -> None:
        """Remove finished calls and mark slow endpoints. Raises the error of a failed call, which is a bug."""
        now = self._clock()
        finished = [task for task in self._calls if task.done()]
        for task in finished:
            endpoint_id, started = self._calls.pop(task)
            self._mark(endpoint_id, is_slow=now - started >= self._policy.slow_seconds)
        # After the finished calls: one quick response doesn't make an endpoint quick while other calls to it hang.
        for endpoint_id, started in self._calls.values():
            if now - started >= self._policy.slow_seconds:
                self._mark(endpoint_id, is_slow=True)
        for task in finished:
            task.result()

    def _mark(self, endpoint_id: UUID, *, is_slow: bool) -> None:
        if not is_slow:
            self._slow.pop(endpoint_id, None)
            return
        self._slow[endpoint_id] = None
        while len(self._slow) > SLOW_ENDPOINTS_MAX:
            del self._slow[next(iter(self._slow))]

    def free_capacity(self) -> list[Capacity]:
        """Return the capacity of each lane in which a call can start now, the quick lane first."""
        lanes = (self._capacity(slow=False), self._capacity(slow=True))
        return [capacity for capacity in lanes if capacity.calls > 0]

    def seconds_until_slow(self) -> float:
        """Return the seconds until the next running call becomes slow and frees its place, or infinity."""
        now = self._clock()
        return min(
            (
                max(started + self._policy.slow_seconds - now, 0.0)
                for endpoint_id, started in self._calls.values()
                if endpoint_id not in self._slow
            ),
            default=float("inf"),
        )

    def _capacity(self, *, slow: bool) -> Capacity:
        busy = Counter(endpoint_id for endpoint_id, _ in self._calls.values())
        lane = {endpoint_id: calls for endpoint_id, calls in busy.items() if (endpoint_id in self._slow) == slow}
        other = sum(busy.values()) - sum(lane.values())
        # All calls of a slow endpoint are in the slow lane. Those over it and the overflow count in the quick lane.
        overflow = max(other - (1 + OVERFLOW_LANES) * self._policy.concurrency, 0)
        free = self._policy.concurrency - sum(lane.values()) - overflow
        if slow and not self._slow:
            free = 0
        reserved = self._policy.concurrency // FIRST_CALLS_PART
        further = sum(calls - 1 for calls in lane.values())
        return Capacity(
            slow=slow,
            calls=max(free, 0),
            further_calls=max(min(free, self._policy.concurrency - reserved - further), 0),
            busy=busy,
            slow_endpoints=tuple(self._slow),
        )
