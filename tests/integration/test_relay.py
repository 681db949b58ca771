"""The relay on a real broker and a real Postgres: every event once and in order, even if transactions fail."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import ProducerFenced

from services.relay.leadership import LostLeadershipError
from services.relay.position import position_partition
from services.relay.pruner import Pruner
from services.relay.relay import Relay
from services.relay.settings import RelaySettings
from shared.ledger.database import Pool, open_pool
from shared.messaging.connection import client_options
from shared.messaging.producer import TransactionalProducer
from shared.messaging.topics_admin import create_topics
from shared.runtime.errors import OperatorError
from tests.integration.kafka_tools import committed, read_all
from tests.integration.relay_tools import TOPIC, fill, in_order, seen

pytestmark = [pytest.mark.broker, pytest.mark.postgres]


@pytest.fixture
async def settings(monkeypatch: pytest.MonkeyPatch, environment: dict[str, str]) -> RelaySettings:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("COUPONRY_RELAY_MAX_EVENTS", "100")
    settings = RelaySettings()
    await create_topics(settings)
    return settings


@pytest.fixture
async def pool(settings: RelaySettings) -> AsyncIterator[Pool]:
    pool = await open_pool(settings.database_url.get_secret_value())
    yield pool
    await pool.close()


async def publish_all(relay: Relay) -> int:
    published = 0
    while count := await relay.run_once():
        published += count
    return published


async def position(settings: RelaySettings) -> int:
    return (await committed(settings, settings.group("relay"), settings.topic("couponry.relay-position")))[0]


async def test_events_are_published_in_order_with_their_attributes(settings: RelaySettings, pool: Pool) -> None:
    await fill(pool, range(250))
    relay = Relay(settings, pool)
    assert await publish_all(relay) == 250
    await relay.close()
    assert await seen(settings) == in_order(range(250))
    assert await position(settings) == 251
    record = (await read_all(settings, settings.topic(TOPIC)))[0]
    headers = dict(record.headers)
    assert headers["ce_type"] == b"coupon.redeemed"
    assert headers["ce_source"] == b"/couponry/ledger"
    assert headers["ce_subject"] == record.key
    assert headers["content-type"] == b"application/json"


async def test_the_next_relay_continues_after_the_last_committed_transaction(
    settings: RelaySettings, pool: Pool
) -> None:
    await fill(pool, range(150))
    first = Relay(settings, pool)
    assert await first.run_once() == 100
    await first.close()
    second = Relay(settings, pool)
    assert await publish_all(second) == 50
    await fill(pool, range(150, 160))
    assert await publish_all(second) == 10
    await second.close()
    assert await seen(settings) == in_order(range(160))


@pytest.mark.parametrize("committed_in_kafka", [False, True])
async def test_a_transaction_whose_commit_got_no_answer_is_published_once(
    settings: RelaySettings, pool: Pool, monkeypatch: pytest.MonkeyPatch, committed_in_kafka: bool
) -> None:
    publish = TransactionalProducer.publish

    async def publish_and_die(self: TransactionalProducer, *arguments: object) -> None:
        if not committed_in_kafka:
            self._producer.commit_transaction = fail
        await publish(self, *arguments)  # type: ignore[arg-type]
        await fail()

    async def fail() -> None:
        raise ConnectionResetError("the reply was lost")

    await fill(pool, range(150))
    relay = Relay(settings, pool)
    assert await relay.run_once() == 100
    with monkeypatch.context() as patch:
        patch.setattr(TransactionalProducer, "publish", publish_and_die)
        with pytest.raises(ConnectionResetError):
            await relay.run_once()
    assert await publish_all(relay) == (0 if committed_in_kafka else 50)
    await relay.close()
    assert await seen(settings) == in_order(range(150))


async def test_a_second_relay_stands_by_and_leads_when_the_first_has_ended(settings: RelaySettings, pool: Pool) -> None:
    await fill(pool, range(50))
    first, second = Relay(settings, pool), Relay(settings, pool)
    assert await first.run_once() == 50
    assert await second.run_once() is None
    await fill(pool, range(50, 100))
    await first.close()
    assert await second.run_once() == 50
    await second.close()
    assert await seen(settings) == in_order(range(100))


async def test_a_relay_without_heartbeats_is_replaced_and_fenced(
    settings: RelaySettings, pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COUPONRY_RELAY_TAKEOVER_SECONDS", "0.3")
    hurried = RelaySettings()
    await fill(pool, range(50))
    frozen, fresh = Relay(hurried, pool), Relay(hurried, pool)
    assert await frozen.run_once() == 50
    await fill(pool, range(50, 100))
    await pool.execute("UPDATE relay_positions SET alive_at = now() - interval '1 second'")
    assert await fresh.run_once() == 50
    await fill(pool, range(100, 150))
    with pytest.raises((ProducerFenced, LostLeadershipError)):
        await frozen.run_once()
    assert await frozen.run_once() is None  # it has released its lock, and the other one has not yet taken it
    assert await fresh.run_once() == 50
    await fresh.close()
    await frozen.close()
    assert await seen(settings) == in_order(range(150))


async def test_a_quiet_leader_is_not_replaced(settings: RelaySettings, pool: Pool) -> None:
    await fill(pool, range(10))
    leader, other = Relay(settings, pool), Relay(settings, pool)
    assert await leader.run_once() == 10
    await pool.execute("UPDATE relay_positions SET alive_at = now() - interval '1 hour'")
    assert await other.run_once() is None  # nothing is unpublished
    await other.close()
    await leader.close()


async def test_a_position_lost_by_the_broker_is_not_guessed(
    settings: RelaySettings, pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.relay.position.STALE_READS", 2)
    await fill(pool, range(30))
    await pool.execute("INSERT INTO relay_positions (relay, published_up_to) VALUES ($1, 20)", settings.group("relay"))
    relay = Relay(settings, pool)
    with pytest.raises(OperatorError, match="no committed position"):
        await relay.run_once()
    assert await seen(settings) == {}
    monkeypatch.setenv("COUPONRY_RELAY_START_AT", "21")
    ordered = Relay(RelaySettings(), pool)
    assert await ordered.run_once() == 10
    await ordered.close()
    # The same setting is ignored now, because broker and ledger agree.
    again = Relay(RelaySettings(), pool)
    assert await again.run_once() == 0
    await again.close()
    assert sorted(number for numbers in (await seen(settings)).values() for number in numbers) == list(range(20, 30))


async def test_a_ledger_older_than_the_broker_is_noticed(settings: RelaySettings, pool: Pool) -> None:
    await fill(pool, range(10))
    consumer = AIOKafkaConsumer(
        **client_options(settings, "tests"), group_id=settings.group("relay"), enable_auto_commit=False
    )
    consumer.assign([position_partition(settings)])
    await consumer.start()
    await consumer.commit({position_partition(settings): 1_000})
    await consumer.stop()
    relay = Relay(settings, pool)
    with pytest.raises(OperatorError, match="only assigned positions up to 10"):
        await relay.run_once()


@pytest.mark.parametrize("lost", ["the row", "another row in its place"])
async def test_a_ledger_that_went_back_is_noticed_though_no_number_shows_it(
    settings: RelaySettings, pool: Pool, database_url: str, lost: str
) -> None:
    """As after a failover to a standby that lacked commits: sequences are logged ahead, so positions continue."""
    await fill(pool, range(10))
    relay = Relay(settings, pool)
    await publish_all(relay)
    async with await open_pool(database_url, role=None) as owner:
        if lost == "the row":
            await owner.execute("DELETE FROM outbox WHERE position = 10")
        else:
            await owner.execute("UPDATE outbox SET time = time + interval '1 s' WHERE position = 10")
    assert await relay.run_once() == 0  # nothing to publish, so nothing to detect
    await fill(pool, range(10, 12))
    with pytest.raises(OperatorError, match="event at outbox position 10 was published"):
        await relay.run_once()
    with pytest.raises(OperatorError, match="COUPONRY_RELAY_START_AT to the first position"):
        await Relay(settings, pool).run_once()
    ordered = Relay(settings.model_copy(update={"relay_start_at": 11}), pool)
    assert await publish_all(ordered) == 2
    await ordered.close()
    assert await seen(settings) == in_order(range(12))


async def test_a_position_without_a_mark_is_accepted(settings: RelaySettings, pool: Pool) -> None:
    """As committed by an older version."""
    await fill(pool, range(10))
    producer = TransactionalProducer(settings, "tests", transactional_id=settings.group("relay"))
    await producer.start()
    await producer.publish(producer.prepare(), {position_partition(settings): (6, "")}, settings.group("relay"))
    await producer.discard()
    relay = Relay(settings, pool)
    assert await publish_all(relay) == 5
    await relay.close()


async def test_the_last_published_event_is_never_deleted(settings: RelaySettings, pool: Pool) -> None:
    await fill(pool, range(10), time=datetime.now(UTC) - timedelta(days=8))
    relay = Relay(settings, pool)
    await publish_all(relay)
    assert await Pruner(pool, lambda: relay.position, retention_seconds=0).run_once() == 9
    await fill(pool, range(10, 12))
    assert await publish_all(relay) == 2
    await relay.close()


async def test_only_events_published_long_ago_are_deleted(settings: RelaySettings, pool: Pool) -> None:
    await fill(pool, range(10), time=datetime.now(UTC) - timedelta(days=8))
    await fill(pool, range(10, 20))
    relay = Relay(settings, pool)
    pruner = Pruner(pool, lambda: relay.position, retention_seconds=7 * 86_400)
    assert await pruner.run_once() == 0  # nothing is published yet
    await publish_all(relay)
    await fill(pool, range(20, 30), time=datetime.now(UTC) - timedelta(days=8))
    assert await pruner.run_once() == 10
    assert await pool.fetchval("SELECT count(*) FROM outbox") == 20
    assert await publish_all(relay) == 10
    await relay.close()
    assert await seen(settings) == in_order(range(30))
