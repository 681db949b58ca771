"""The micro-batcher: a batch takes all waiting requests, each gets its own answer, and the queue has a limit."""

import asyncio
from collections.abc import Sequence

import pytest

from services.gateway.batching import MAX_FAILED_ALONE, MicroBatcher, OverloadedError
from shared.ledger.engine import LedgerUnavailableError

pytestmark = pytest.mark.asyncio


class Away:
    """A ledger that is unavailable."""

    def __init__(self) -> None:
        self.batches = 0

    async def __call__(self, asked: Sequence[int]) -> list[int]:
        self.batches += 1
        raise LedgerUnavailableError("away")


class Broken(Away):
    """Work with a bug that affects every request."""

    async def __call__(self, asked: Sequence[int]) -> list[int]:
        self.batches += 1
        raise KeyError("unexpected")


class Work:
    """Work that doubles numbers, batch by batch, once `go` is set."""

    def __init__(self, *, held: bool = False) -> None:
        self.batches: list[list[int]] = []
        self.go = asyncio.Event()
        if not held:
            self.go.set()

    async def __call__(self, asked: Sequence[int]) -> list[int]:
        self.batches.append(list(asked))
        await self.go.wait()
        if -1 in asked:
            raise RuntimeError("negative")
        return [2 * one for one in asked]


async def test_requests_during_a_batch_form_the_next_batch() -> None:
    work = Work(held=True)
    batcher: MicroBatcher[int, int] = MicroBatcher(work, size=3)
    waiting = [asyncio.create_task(batcher.submit(number)) for number in range(6)]
    await asyncio.sleep(0)
    work.go.set()
    assert await asyncio.gather(*waiting) == [0, 2, 4, 6, 8, 10]
    assert work.batches == [[0, 1, 2], [3, 4, 5]]
    assert await batcher.submit(7) == 14
    await batcher.drained()


async def test_an_idle_batcher_runs_each_request_at_once() -> None:
    work = Work()
    batcher: MicroBatcher[int, int] = MicroBatcher(work, size=100)
    for number in range(50):
        assert await batcher.submit(number) == 2 * number
    assert work.batches == [[number] for number in range(50)]


async def test_batches_run_concurrently_up_to_the_limit() -> None:
    work = Work(held=True)
    batcher: MicroBatcher[int, int] = MicroBatcher(work, size=1, batches=2)
    waiting = [asyncio.create_task(batcher.submit(number)) for number in range(3)]
    for _ in range(5):
        await asyncio.sleep(0)
    assert work.batches == [[0], [1]]
    work.go.set()
    assert await asyncio.gather(*waiting) == [0, 2, 4]


async def test_an_error_of_one_request_is_raised_only_for_it() -> None:
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
    assert len(work.batches) <= 2 + 2 * 8, "batches are halved, requests are not run one by one"


async def test_a_temporary_error_is_raised_for_the_whole_batch_without_retries() -> None:
    work = Away()
    batcher: MicroBatcher[int, int] = MicroBatcher(work, size=4)
    answers = await asyncio.gather(*[batcher.submit(number) for number in range(4)], return_exceptions=True)
    assert [type(answer) for answer in answers] == [LedgerUnavailableError] * 4
    assert work.batches == 1


async def test_an_error_of_all_requests_is_recognized_after_a_few_attempts() -> None:
    work = Broken()
    batcher: MicroBatcher[int, int] = MicroBatcher(work, size=200)
    answers = await asyncio.gather(*[batcher.submit(number) for number in range(200)], return_exceptions=True)
    assert [type(answer) for answer in answers] == [KeyError] * 200
    assert work.batches < 3 * MAX_FAILED_ALONE
    await batcher.drained()


async def test_missing_answers_are_an_error_for_the_whole_batch() -> None:
    async def short(asked: Sequence[int]) -> list[int]:
        return [1] * (len(asked) - 1)

    batcher: MicroBatcher[int, int] = MicroBatcher(short, size=3)
    answers = await asyncio.gather(*[batcher.submit(number) for number in range(3)], return_exceptions=True)
    assert [type(answer) for answer in answers] == [ValueError] * 3


async def test_a_full_queue_refuses_requests() -> None:
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


async def test_a_cancelled_request_is_left_out() -> None:
    work = Work(held=True)
    batcher: MicroBatcher[int, int] = MicroBatcher(work, size=1)
    first, second = (asyncio.create_task(batcher.submit(number)) for number in (1, 2))
    await asyncio.sleep(0)
    second.cancel()
    work.go.set()
    assert await first == 2
    await batcher.drained()
    assert work.batches == [[1]]
