"""The micro-batcher: one batch at a time takes what waits, everybody gets their own answer, and no queue is endless."""

import asyncio
from collections.abc import Sequence

import pytest

from services.gateway.batching import MOST_FAILED_ALONE, MicroBatcher, OverloadedError
from shared.ledger.engine import LedgerUnavailableError

pytestmark = pytest.mark.asyncio


class Away:
    """A ledger that isn't there."""

    def __init__(self) -> None:
        self.batches = 0

    async def __call__(self, asked: Sequence[int]) -> list[int]:
        self.batches += 1
        raise LedgerUnavailableError("away")


class Broken(Away):
    """A bug that every request meets."""

    async def __call__(self, asked: Sequence[int]) -> list[int]:
        self.batches += 1
        raise KeyError("nobody thought of it")


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


async def test_what_one_request_raises_is_raised_to_it_alone() -> None:
    work = Work(held=True)
    batcher: MicroBatcher[int, int] = MicroBatcher(work, size=200)
    waiting = [asyncio.create_task(batcher.submit(-1 if number == 77 else number)) for number in range(200)]
    await asyncio.sleep(0)
    work.go.set()
    answers = await asyncio.gather(*waiting, return_exceptions=True)
    assert isinstance(answers[77], RuntimeError)
    assert [answer for number, answer in enumerate(answers) if number != 77] == [
        2 * number for number in range(200) if number != 77
    ]
    assert len(work.batches) <= 2 + 2 * 8, "halved, not tried one by one"


async def test_an_error_of_the_moment_is_everybodys_and_nothing_is_tried_again() -> None:
    work = Away()
    batcher: MicroBatcher[int, int] = MicroBatcher(work, size=4)
    answers = await asyncio.gather(*[batcher.submit(number) for number in range(4)], return_exceptions=True)
    assert [type(answer) for answer in answers] == [LedgerUnavailableError] * 4
    assert work.batches == 1


async def test_an_error_that_every_request_meets_is_found_to_be_everybodys_soon() -> None:
    work = Broken()
    batcher: MicroBatcher[int, int] = MicroBatcher(work, size=200)
    answers = await asyncio.gather(*[batcher.submit(number) for number in range(200)], return_exceptions=True)
    assert [type(answer) for answer in answers] == [KeyError] * 200
    assert work.batches < 3 * MOST_FAILED_ALONE
    await batcher.drained()


async def test_work_that_answers_too_few_leaves_nobody_waiting() -> None:
    async def short(asked: Sequence[int]) -> list[int]:
        return [1] * (len(asked) - 1)

    batcher: MicroBatcher[int, int] = MicroBatcher(short, size=3)
    answers = await asyncio.gather(*[batcher.submit(number) for number in range(3)], return_exceptions=True)
    assert [type(answer) for answer in answers] == [ValueError] * 3


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
