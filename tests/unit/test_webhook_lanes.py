"""The two lanes of the sender and their calls, with a clock that the test moves."""

import asyncio
from uuid import UUID

import pytest

from services.notifier.webhooks.deliveries import Delivery
from services.notifier.webhooks.lanes import LANES, Lanes
from services.notifier.webhooks.policy import WebhookPolicy

POLICY = WebhookPolicy(concurrency=8, endpoint_concurrency=4, slow_seconds=1.0)
HANGS, QUICK = UUID(int=1), UUID(int=2)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def delivery(endpoint_id: UUID) -> Delivery:
    return Delivery(1, endpoint_id, "https://example.com/", secret="", event_id="e", type="t", payload="{}", attempt=1)


class Calls:
    """Calls that end when the test ends them."""

    def __init__(self, lanes: Lanes) -> None:
        self._lanes = lanes
        self._ends: list[asyncio.Event] = []

    def start(self, endpoint_id: UUID, count: int = 1) -> list[asyncio.Event]:
        ends = [asyncio.Event() for _ in range(count)]
        for end in ends:
            self._lanes.start(asyncio.create_task(self._call(end)), delivery(endpoint_id))
        self._ends += ends
        return ends

    async def _call(self, end: asyncio.Event) -> None:
        await end.wait()

    async def finish(self, *ends: asyncio.Event) -> None:
        for end in ends or self._ends:
            end.set()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        self._lanes.collect()


def calls(lanes: Lanes, *, slow: bool) -> tuple[int, int]:
    """Return the (calls, further calls) that the lane can start."""
    return next(((lane.calls, lane.further_calls) for lane in lanes.free_capacity() if lane.slow == slow), (0, 0))


@pytest.fixture
def clock() -> Clock:
    return Clock()


async def test_a_quarter_of_a_lane_is_reserved_for_endpoints_without_a_call(clock: Clock) -> None:
    lanes = Lanes(POLICY, clock)
    assert calls(lanes, slow=False) == (8, 6)
    started = Calls(lanes)
    started.start(HANGS, 4)
    started.start(UUID(int=3), 2)
    assert calls(lanes, slow=False) == (2, 2)
    started.start(UUID(int=4))
    assert calls(lanes, slow=False) == (1, 1)
    await started.finish()


async def test_a_call_that_becomes_slow_frees_its_place_in_the_quick_lane(clock: Clock) -> None:
    lanes = Lanes(POLICY, clock)
    started = Calls(lanes)
    started.start(HANGS, 4)
    started.start(UUID(int=3), 4)
    assert lanes.free_capacity() == []
    assert lanes.seconds_until_slow() == 1.0
    clock.now = 1.0
    lanes.collect()
    assert calls(lanes, slow=False) == (8, 6)
    assert calls(lanes, slow=True) == (0, 0)
    assert lanes.seconds_until_slow() == float("inf")
    await started.finish()


async def test_slow_calls_beyond_their_lane_count_in_the_quick_one(
    clock: Clock,
) -> None:
    lanes = Lanes(POLICY, clock)
    started = Calls(lanes)
    for wave in range(LANES):
        (quick,) = lanes.free_capacity()[:1]
        assert (quick.slow, quick.calls) == (False, POLICY.concurrency), (
            "hanging calls take nothing from the quick lane"
        )
        for number in range(POLICY.concurrency):
            started.start(UUID(int=100 * wave + number))
        clock.now += 1.0
        lanes.collect()
    assert lanes.free_capacity() == []
    assert len(lanes.tasks) == LANES * POLICY.concurrency
    await started.finish()


async def test_one_quick_answer_makes_an_endpoint_quick_again_unless_other_calls_to_it_hang(clock: Clock) -> None:
    lanes = Lanes(POLICY, clock)
    started = Calls(lanes)
    (hanging,) = started.start(HANGS)
    clock.now = 1.5
    lanes.collect()
    (quick,) = started.start(HANGS)
    await started.finish(quick)
    assert [lane.slow_endpoints for lane in lanes.free_capacity()] == [(HANGS,)] * 2
    await started.finish(hanging)
    assert [lane.slow_endpoints for lane in lanes.free_capacity()] == [(HANGS,)] * 2
    (quick,) = started.start(HANGS)
    await started.finish(quick)
    assert [lane.slow_endpoints for lane in lanes.free_capacity()] == [()]


async def test_the_error_of_a_call_is_raised_and_the_call_is_removed(clock: Clock) -> None:
    async def bug() -> None:
        raise ZeroDivisionError

    lanes = Lanes(POLICY, clock)
    lanes.start(asyncio.create_task(bug()), delivery(QUICK))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    with pytest.raises(ZeroDivisionError):
        lanes.collect()
    assert lanes.tasks == frozenset()
