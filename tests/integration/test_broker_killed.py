"""Test a consumer and a relay while their broker is killed and restarted."""

from collections.abc import Iterator

import pytest

from services.relay.settings import RelaySettings
from shared.ledger.database import Pool
from shared.messaging.consumer import ConsumerLoop
from shared.runtime.health import Health
from tests.backends import Broker, NotStoppableError, start_kafka
from tests.integration.kafka_tools import write_orders
from tests.integration.relay_tools import fill, in_order, relay_process, seen, until_published
from tests.integration.service_process import skip_where_a_kill_loses_records
from tests.integration.test_consumer import Remembers, names, running, until
from tests.integration.test_relay import pool, settings  # noqa: F401 - fixtures

pytestmark = [pytest.mark.broker, pytest.mark.postgres]


@pytest.fixture(scope="module")
def kafka() -> Iterator[Broker]:
    """Start a broker for this module only: it restarts faster without the topics of other tests."""
    with start_kafka() as broker:
        skip_where_a_kill_loses_records(broker)
        yield broker


async def test_a_broker_restart_loses_no_event_and_counts_as_no_progress(
    settings: RelaySettings,  # noqa: F811
    kafka: Broker,
) -> None:
    handler, health = Remembers(), Health(60)
    await write_orders(settings, range(100))
    async with running(ConsumerLoop(settings, "redeemer", ["orders"], handler, health=health)) as task:
        await until(lambda: len(handler.order_ids) >= 100, task)
        try:
            kafka.kill()
        except NotStoppableError as reason:
            pytest.skip(str(reason))
        silent_since = health.seconds_since_progress()
        await until(lambda: health.seconds_since_progress() > silent_since + 2, task)  # ten empty polls
        kafka.start()  # not in a thread: the broker would end with it
        await write_orders(settings, range(100, 200))
        await until(lambda: len(set(handler.order_ids)) >= 200, task)
    assert set(handler.order_ids) == set(names(range(200)))


async def test_a_broker_killed_under_a_relay_loses_no_event_and_duplicates_none(
    settings: RelaySettings,  # noqa: F811
    pool: Pool,  # noqa: F811
    environment: dict[str, str],
    kafka: Broker,
) -> None:
    await fill(pool, range(3_000))
    with relay_process(environment, COUPONRY_RELAY_MAX_EVENTS="50") as relay:
        await until_published(pool, 500)
        try:
            kafka.kill()
        except NotStoppableError as reason:
            pytest.skip(str(reason))
        kafka.start()  # not in a thread: the broker would end with it
        await fill(pool, range(3_000, 3_500))
        await until_published(pool, 3_500)
        assert relay.poll() is None
    assert await seen(settings) == in_order(range(3_500))
