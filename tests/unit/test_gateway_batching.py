"""The micro-batcher: one batch at a time takes what waits, everybody gets their own answer, and no queue is endless."""

import asyncio
from collections.abc import Sequence

import pytest

from services.gateway.access import rates as rates_module
from services.gateway.access.callers import Caller
from services.gateway.access.rates import DELAY_SECONDS, Rates
from services.gateway.batching import MicroBatcher, OverloadedError

pytestmark = pytest.mark.asyncio


class Work:
    """Doubles numbers, batch by batch, when it is let."""

    def __init__(self, *, held: bool = False) -> None:
        self.batches: list[list[int]] = []
        self.go = asyncio.Event()
        if not held:
            self.go.set()

    async def __call__(self, asked: Sequence[int]) -> list[int]:
        self.batches.append(list(asked))
        await self.go.wait()
        if -1 in asked:
            raise RuntimeError("no number")
        return [2 * one for one in asked]


async def test_what_arrives_while_a_batch_runs_goes_into_the_next() -> None:
    work = Work(held=True)
    batcher: MicroBatcher[int, int] = MicroBatcher(work, size=3)
    waiting = [asyncio.create_task(batcher.submit(number)) for number in range(6)]
    await asyncio.sleep(0)
    work.go.set()
    assert await asyncio.gather(*waiting) == [0, 2, 4, 6, 8, 10]
    assert work.batches == [[0, 1, 2], [3, 4, 5]]
    assert await batcher.submit(7) == 14
    await batcher.drained()


async def test_an_idle_batcher_runs_one_request_at_once_time_after_time() -> None:
    work = Work()
    batcher: MicroBatcher[int, int] = MicroBatcher(work, size=100)
    for number in range(50):
        assert await batcher.submit(number) == 2 * number
    assert work.batches == [[number] for number in range(50)]


async def test_as_many_batches_as_are_allowed_run_side_by_side() -> None:
    work = Work(held=True)
    batcher: MicroBatcher[int, int] = MicroBatcher(work, size=1, batches=2)
    waiting = [asyncio.create_task(batcher.submit(number)) for number in range(3)]
    for _ in range(5):
        await asyncio.sleep(0)
    assert work.batches == [[0], [1]]
    work.go.set()
    assert await asyncio.gather(*waiting) == [0, 2, 4]


async def test_what_fails_fails_for_its_batch_and_for_no_other() -> None:
    work = Work(held=True)
    batcher: MicroBatcher[int, int] = MicroBatcher(work, size=2)
    waiting = [asyncio.create_task(batcher.submit(number)) for number in (1, -1, 3)]
    await asyncio.sleep(0)
    work.go.set()
    answers = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(answer) for answer in answers] == [RuntimeError, RuntimeError, int]


async def test_a_queue_that_is_full_takes_no_more() -> None:
    work = Work(held=True)
    batcher: MicroBatcher[int, int] = MicroBatcher(work, size=1, waiting=2)
    waiting = [asyncio.create_task(batcher.submit(number)) for number in range(2)]
    await asyncio.sleep(0)
    waiting.append(asyncio.create_task(batcher.submit(2)))
    await asyncio.sleep(0)
    with pytest.raises(OverloadedError):
        await batcher.submit(3)
    work.go.set()
    assert await asyncio.gather(*waiting) == [0, 2, 4]


async def test_who_gives_up_waiting_is_left_out() -> None:
    work = Work(held=True)
    batcher: MicroBatcher[int, int] = MicroBatcher(work, size=1)
    first, second = (asyncio.create_task(batcher.submit(number)) for number in (1, 2))
    await asyncio.sleep(0)
    second.cancel()
    work.go.set()
    assert await first == 2
    await batcher.drained()
    assert work.batches == [[1]]


async def test_who_asks_about_too_many_unknown_codes_waits_and_nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr(rates_module.asyncio, "sleep", sleep)
    rates = Rates(1_000, 2)
    guesser, other = Caller("guesser", frozenset()), Caller("other", frozenset())
    for _ in range(2):
        await rates.slow_down(guesser, 1)
    assert slept == []
    await rates.slow_down(guesser, 5)
    assert slept == [DELAY_SECONDS]
    await rates.slow_down(other, 1)
    await rates.slow_down(guesser, 0)
    assert slept == [DELAY_SECONDS]
