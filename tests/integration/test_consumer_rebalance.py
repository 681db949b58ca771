"""Partitions change hands on a real broker: no event is lost, and none is executed by two once it is committed."""

import asyncio
from collections import Counter
from collections.abc import Sequence

import pytest

from shared.messaging.consumer import ConsumerLoop, Poison, TransientError
from shared.messaging.records import ReceivedEvent
from shared.runtime.backoff import Backoff
from shared.runtime.settings import Settings
from tests.backends import Broker
from tests.integration.kafka_tools import write_orders
from tests.integration.service_process import skip_on_the_development_broker
from tests.integration.test_consumer import (
    Remembers,
    committed_count,
    consumer,
    names,
    running,
    settings,  # noqa: F401 - a fixture
    until,
)

pytestmark = pytest.mark.broker


async def a_moment(events: Sequence[ReceivedEvent]) -> Sequence[Poison]:
    await asyncio.sleep(0.05)
    return ()


@pytest.fixture(autouse=True)
def a_broker_that_rebalances(kafka: Broker) -> None:
    skip_on_the_development_broker(kafka, "now and then leaves a consumer out of a rebalance")


async def test_two_consumers_share_the_events_and_each_is_executed_once(settings: Settings) -> None:  # noqa: F811
    handlers = [Remembers(a_moment), Remembers(a_moment), Remembers(a_moment)]

    def done() -> int:
        return sum(len(handler.order_ids) for handler in handlers)

    await write_orders(settings, range(1_000))
    async with running(consumer(settings, handlers[0])) as first:
        await until(lambda: done() >= 1, first)
        async with running(consumer(settings, handlers[1])) as second:
            await until(lambda: len(handlers[1].order_ids) >= 40, first, second)
            await write_orders(settings, range(1_000, 1_300))
        # The second has left in good order; a third takes its place.
        async with running(consumer(settings, handlers[2])) as third:
            await until(lambda: done() >= 1_300, first, third)
    assert Counter(name for handler in handlers for name in handler.order_ids) == dict.fromkeys(names(range(1_300)), 1)
    assert await committed_count(settings) == 1_300


async def test_a_batch_that_outlasts_a_rebalance_commits_nothing(
    settings: Settings,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COUPONRY_REBALANCE_TIMEOUT_MS", "2000")
    hurried = Settings()
    entered, go_on = asyncio.Event(), asyncio.Event()

    async def stuck_once(events: Sequence[ReceivedEvent]) -> Sequence[Poison]:
        entered.set()
        await go_on.wait()
        return ()

    await write_orders(settings, range(10))
    slow, quick = Remembers(stuck_once), Remembers()
    async with running(consumer(hurried, slow)) as first:
        await until(entered.is_set, first)
        async with running(consumer(hurried, quick)) as second:
            await until(lambda: len(quick.order_ids) > 0, first, second)
            assert slow.order_ids == []
            go_on.set()
            # Nothing of the stale batch was committed, so each event is executed again by its current consumer.
            await until(lambda: len(slow.order_ids) + len(quick.order_ids) == 20, first, second)
    assert await committed_count(settings) == 10


async def test_a_batch_waiting_for_the_database_gives_way_to_a_rebalance(settings: Settings) -> None:  # noqa: F811
    tried = asyncio.Event()

    async def away(events: Sequence[ReceivedEvent]) -> Sequence[Poison]:
        tried.set()
        raise TransientError("away")

    await write_orders(settings, range(10))
    without, with_database = Remembers(away), Remembers()
    patient = ConsumerLoop(settings, "redeemer", ["orders"], without, backoff=Backoff(0.5, 1))
    async with running(patient) as first:
        await until(tried.is_set, first)
        async with running(consumer(settings, with_database)) as second:
            await until(lambda: len(with_database.order_ids) > 0, first, second)
