"""The poll loop on a real broker: what happens to records and offsets."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

import pytest

from shared.messaging.consumer import ConsumerLoop, Poison, TransientError
from shared.messaging.dead_letters import DeadLetter, list_dead_letters
from shared.messaging.isolation import STOP_AFTER, ServiceBrokenError
from shared.messaging.records import ReceivedEvent
from shared.messaging.topics_admin import create_topics
from shared.runtime.backoff import Backoff
from shared.runtime.settings import Settings
from tests.integration.kafka_tools import committed, order_event, write_all, write_bad_header, write_orders

pytestmark = pytest.mark.broker

QUICK = Backoff(first_seconds=0.01, longest_seconds=0.05)
Behaviour = Callable[[Sequence[ReceivedEvent]], Awaitable[Sequence[Poison]]]


class Remembers:
    """A handler that records the order of the events it executes, after calling `behaviour`."""

    def __init__(self, behaviour: Behaviour | None = None) -> None:
        self.order_ids: list[str] = []
        self._behaviour = behaviour

    async def handle(self, events: Sequence[ReceivedEvent]) -> Sequence[Poison]:
        poison = await self._behaviour(events) if self._behaviour else ()
        self.order_ids += [event.data.order_id for event in events]
        return poison


@pytest.fixture
async def settings(monkeypatch: pytest.MonkeyPatch, environment: dict[str, str]) -> Settings:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("COUPONRY_BATCH_MAX_RECORDS", "20")
    settings = Settings()
    await create_topics(settings)
    return settings


def consumer(settings: Settings, handler: Remembers) -> ConsumerLoop:
    return ConsumerLoop(settings, "redeemer", ["orders"], handler, backoff=QUICK)


@asynccontextmanager
async def running(loop: ConsumerLoop) -> AsyncIterator[asyncio.Task[None]]:
    stopping = asyncio.Event()
    task = asyncio.create_task(loop.run(stopping))
    try:
        yield task
    finally:
        stopping.set()
        await asyncio.wait({task}, timeout=20)
        assert task.done()


async def until(reached: Callable[[], bool], *tasks: "asyncio.Task[None]") -> None:
    """Wait until `reached`; fail if the task ends before."""
    async with asyncio.timeout(40):
        while not reached():
            for task in tasks:
                if task.done():
                    task.result()
                    raise AssertionError("the consumer left early")
            await asyncio.sleep(0.02)


async def dead_letters(settings: Settings) -> list[DeadLetter]:
    return await list_dead_letters(settings, settings.topic("orders.redeemer.dlq"))


async def committed_count(settings: Settings) -> int:
    return sum((await committed(settings, settings.group("redeemer"), settings.topic("orders"))).values())


def names(numbers: Sequence[int] | range) -> list[str]:
    return sorted(f"ORD{number}" for number in numbers)


async def test_events_are_executed_in_the_order_of_their_key_and_then_committed(settings: Settings) -> None:
    await write_orders(settings, [number % 10 for number in range(100)])
    handler = Remembers()
    async with running(consumer(settings, handler)) as task:
        await until(lambda: len(handler.order_ids) == 100, task)
    assert Counter(handler.order_ids) == dict.fromkeys(names(range(10)), 10)
    assert await committed_count(settings) == 100


async def test_a_committed_event_is_not_executed_by_the_next_process(settings: Settings) -> None:
    await write_orders(settings, range(30))
    first, second = Remembers(), Remembers()
    async with running(consumer(settings, first)) as task:
        await until(lambda: len(first.order_ids) == 30, task)
    await write_orders(settings, range(30, 60))
    async with running(consumer(settings, second)) as task:
        await until(lambda: len(second.order_ids) >= 30, task)
    assert sorted(second.order_ids) == names(range(30, 60))


async def test_an_unreadable_record_becomes_a_dead_letter_and_other_records_are_executed(settings: Settings) -> None:
    topic = settings.topic("orders")
    values = [order_event(1), b"\x80 not json", order_event(2), b"{}", None, order_event(3)]
    await write_all(settings, [(topic, b"key", value, 0) for value in values])
    handler = Remembers()
    async with running(consumer(settings, handler)) as task:
        await until(lambda: len(handler.order_ids) == 3, task)
    assert handler.order_ids == ["ORD1", "ORD2", "ORD3"]
    assert [
        (letter.record.offset, letter.record.key, letter.record.value) for letter in await dead_letters(settings)
    ] == [
        (1, b"key", b"\x80 not json"),
        (3, b"key", b"{}"),
        (4, b"key", None),
    ]
    assert await committed_count(settings) == 6


async def test_poison_of_the_handler_becomes_a_dead_letter(settings: Settings) -> None:
    async def refuse_second(events: Sequence[ReceivedEvent]) -> Sequence[Poison]:
        return [Poison(event, "IdReused", "other content") for event in events if event.data.order_id == "ORD2"]

    await write_orders(settings, range(5))
    handler = Remembers(refuse_second)
    async with running(consumer(settings, handler)) as task:
        await until(lambda: len(handler.order_ids) == 5, task)
    [letter] = await dead_letters(settings)
    assert (letter.record.key, letter.record.value) == (b"ORD2", order_event(2))
    assert (letter.error_class, letter.error_text) == ("IdReused", "other content")


async def test_a_record_whose_header_the_client_cannot_decode_does_not_hold_up_its_partition(
    settings: Settings,
) -> None:
    topic = settings.topic("orders")
    await write_all(settings, [(topic, b"key", order_event(number), 0) for number in range(3)])
    await write_bad_header(settings, topic, 0)
    await write_all(settings, [(topic, b"key", order_event(number), 0) for number in range(3, 6)])
    handler = Remembers()
    async with running(consumer(settings, handler)) as task:
        await until(lambda: len(handler.order_ids) == 6, task)
    assert handler.order_ids == names(range(6))
    [letter] = await dead_letters(settings)
    assert (letter.record.offset, letter.error_class) == (3, "bad_header_name")
    assert await committed_count(settings) == 7


async def test_during_an_outage_nothing_is_lost_or_committed_or_becomes_a_dead_letter(settings: Settings) -> None:
    failures = 0

    async def away_three_times(events: Sequence[ReceivedEvent]) -> Sequence[Poison]:
        nonlocal failures
        if failures < 3:
            failures += 1
            assert await committed_count(settings) == 0
            raise TransientError("the database is away")
        return ()

    await write_orders(settings, range(50))
    handler = Remembers(away_three_times)
    async with running(consumer(settings, handler)) as task:
        await until(lambda: len(handler.order_ids) == 50, task)
    assert failures == 3
    assert sorted(handler.order_ids) == names(range(50))
    assert await dead_letters(settings) == []
    assert await committed_count(settings) == 50


async def test_after_too_many_attempts_it_exits_and_the_next_process_executes(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def always_away(events: Sequence[ReceivedEvent]) -> Sequence[Poison]:
        raise ConnectionRefusedError("5432")

    monkeypatch.setenv("COUPONRY_TRANSIENT_ATTEMPTS", "3")
    await write_orders(settings, range(10))
    with pytest.raises(TransientError, match="3 attempts"):
        await consumer(Settings(), Remembers(always_away)).run(asyncio.Event())
    assert await committed_count(settings) == 0
    handler = Remembers()
    async with running(consumer(settings, handler)) as task:
        await until(lambda: len(handler.order_ids) == 10, task)


async def test_a_bug_only_ends_its_own_event(settings: Settings) -> None:
    async def buggy(events: Sequence[ReceivedEvent]) -> Sequence[Poison]:
        if any(event.data.order_id in {"ORD3", "ORD17"} for event in events):
            raise AssertionError("held uses below zero")
        return ()

    await write_orders(settings, range(40))
    handler = Remembers(buggy)
    async with running(consumer(settings, handler)) as task:
        await until(lambda: len(handler.order_ids) == 38, task)
    assert sorted({*handler.order_ids}) == sorted({*names(range(40))} - {"ORD3", "ORD17"})
    letters = await dead_letters(settings)
    assert {(letter.record.key, letter.error_class) for letter in letters} == {(b"ORD3", "bug"), (b"ORD17", "bug")}
    assert "AssertionError: held uses below zero" in letters[0].error_text
    assert await committed_count(settings) == 40


async def test_a_service_in_which_every_event_fails_stops_and_commits_nothing(settings: Settings) -> None:
    async def buggy(events: Sequence[ReceivedEvent]) -> Sequence[Poison]:
        raise AssertionError("held uses below zero")

    written = STOP_AFTER + 60
    await write_orders(settings, range(written))
    with pytest.raises(ServiceBrokenError, match="held uses"):
        await consumer(settings, Remembers(buggy)).run(asyncio.Event())
    letters_count = len(await dead_letters(settings))
    assert letters_count < STOP_AFTER
    assert await committed_count(settings) == letters_count


async def test_asked_to_stop_during_an_outage_it_exits_without_committing(settings: Settings) -> None:
    tried = asyncio.Event()

    async def away(events: Sequence[ReceivedEvent]) -> Sequence[Poison]:
        tried.set()
        raise TransientError("away")

    await write_orders(settings, range(10))
    patient = ConsumerLoop(settings, "redeemer", ["orders"], Remembers(away), backoff=Backoff(60, 60))
    async with running(patient):
        await asyncio.wait_for(tried.wait(), 30)
    assert await committed_count(settings) == 0


async def test_asked_to_stop_the_current_batch_is_finished_and_committed(settings: Settings) -> None:
    entered, go_on = asyncio.Event(), asyncio.Event()

    async def slow(events: Sequence[ReceivedEvent]) -> Sequence[Poison]:
        entered.set()
        await go_on.wait()
        return ()

    await write_all(settings, [(settings.topic("orders"), b"key", order_event(number), 0) for number in range(40)])
    handler = Remembers(slow)
    stopping = asyncio.Event()
    task = asyncio.create_task(consumer(settings, handler).run(stopping))
    await asyncio.wait_for(entered.wait(), 30)
    stopping.set()
    go_on.set()
    await asyncio.wait_for(task, 20)
    assert len(handler.order_ids) == 20  # one batch, without the one polled ahead
    assert await committed_count(settings) == 20


async def test_a_missing_topic_is_waited_for_and_then_named(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COUPONRY_TRANSIENT_ATTEMPTS", "2")
    monkeypatch.setenv("COUPONRY_TOPIC_PREFIX", settings.topic_prefix + "other.")
    with pytest.raises(TransientError, match=r"no topic .*orders; create it"):
        await consumer(Settings(), Remembers()).run(asyncio.Event())
