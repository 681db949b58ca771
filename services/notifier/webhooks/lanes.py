"""Which calls run at a time: endpoints that are slow to answer share calls of their own, apart from the others.

A call that lasts longer than `slow_seconds` moves to the slow lane, and so does its endpoint until it answers quickly
again. Each lane has `concurrency` calls. Calls that were started before their endpoint was known to be slow may exceed
the slow lane, so endpoints that hang take no call from one that doesn't. Within a lane an endpoint without a call comes
before one that has some, and a part of the calls is kept for such endpoints.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from typing import Final
from uuid import UUID

from services.notifier.webhooks.deliveries import Delivery, Room
from services.notifier.webhooks.policy import WebhookPolicy

FIRST_CALLS_PART: Final = 4
"""A quarter of a lane's calls is for endpoints that have none under way."""

OVERFLOW_LANES: Final = 4
"""Calls are started before their endpoint is known to be slow, so the slow lane may get more than it has. Up to so many
lanes of these take nothing from the quick lane; each ends with its timeout."""

LANES: Final = 2 + OVERFLOW_LANES
"""How many times `concurrency` may be under way at most."""

SLOW_ENDPOINTS_MAX: Final = 10_000
"""Slow endpoints remembered; beyond it the one found first is forgotten and is found slow again at its next call."""


class Lanes:
    """The calls that a sender has under way. `clock` returns seconds, for tests that don't wait."""

    def __init__(self, policy: WebhookPolicy, clock: Callable[[], float] = time.monotonic) -> None:
        self._policy = policy
        self._clock = clock
        self._calls: dict[asyncio.Task[None], tuple[UUID, float]] = {}
        self._slow: dict[UUID, None] = {}  # a set that remembers the order

    def __len__(self) -> int:
        return len(self._calls)

    @property
    def tasks(self) -> frozenset[asyncio.Task[None]]:
        """The calls under way, as tasks."""
        return frozenset(self._calls)

    def start(self, task: asyncio.Task[None], delivery: Delivery) -> None:
        """Count `task`, which calls the endpoint of `delivery`, as under way."""
        self._calls[task] = (delivery.endpoint_id, self._clock())

    def collect(self) -> None:
        """Forget finished calls and note which endpoints are slow. Raises what a call raised, which is a bug."""
        now = self._clock()
        finished = [task for task in self._calls if task.done()]
        for task in finished:
            endpoint_id, started = self._calls.pop(task)
            self._note(endpoint_id, is_slow=now - started >= self._policy.slow_seconds)
        # After those that ended: one quick answer doesn't make an endpoint quick while other calls to it hang.
        for endpoint_id, started in self._calls.values():
            if now - started >= self._policy.slow_seconds:
                self._note(endpoint_id, is_slow=True)
        for task in finished:
            task.result()

    def _note(self, endpoint_id: UUID, *, is_slow: bool) -> None:
        if not is_slow:
            self._slow.pop(endpoint_id, None)
            return
        self._slow[endpoint_id] = None
        while len(self._slow) > SLOW_ENDPOINTS_MAX:
            del self._slow[next(iter(self._slow))]

    def rooms(self) -> list[Room]:
        """Return the lanes in which a call may be started now, the quick one first."""
        return [room for room in (self._room(slow=False), self._room(slow=True)) if room.calls > 0]

    def seconds_until_slow(self) -> float:
        """Return when the next call under way becomes slow and leaves its place to another; infinity for never."""
        now = self._clock()
        return min(
            (
                max(started + self._policy.slow_seconds - now, 0.0)
                for endpoint_id, started in self._calls.values()
                if endpoint_id not in self._slow
            ),
            default=float("inf"),
        )

    def _room(self, *, slow: bool) -> Room:
        busy = Counter(endpoint_id for endpoint_id, _ in self._calls.values())
        lane = {endpoint_id: calls for endpoint_id, calls in busy.items() if (endpoint_id in self._slow) == slow}
        other = sum(busy.values()) - sum(lane.values())
        # An endpoint found slow takes its calls along, which may be more than the slow lane and the overflow have.
        overflow = max(other - (1 + OVERFLOW_LANES) * self._policy.concurrency, 0)
        free = self._policy.concurrency - sum(lane.values()) - overflow
        if slow and not self._slow:
            free = 0
        kept = self._policy.concurrency // FIRST_CALLS_PART
        further = sum(calls - 1 for calls in lane.values())
        return Room(
            slow=slow,
            calls=max(free, 0),
            further_calls=max(min(free, self._policy.concurrency - kept - further), 0),
            busy=busy,
            slow_endpoints=tuple(self._slow),
        )
