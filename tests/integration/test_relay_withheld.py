"""Events that can't be published, on a real broker: they are withheld, all others go on, nothing is lost or doubled."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from services.relay.leadership import LostLeadershipError
from services.relay.pruner import Pruner
from services.relay.relay import Relay
from services.relay.settings import RelaySettings
from shared.ledger.database import Pool, open_pool
from shared.ledger.outbox import OutboxRow, append
from shared.ledger.withheld import (
    NotLeadingError,
    Unpublishable,
    count_withheld,
    list_withheld,
    publish_again,
    withhold,
)
from shared.messaging.codec import Codec
from shared.messaging.connection import client_options
from shared.messaging.polling import records_of
from shared.messaging.producer import TransactionalProducer
from shared.messaging.topics_admin import create_topics
from tests.integration.kafka_tools import committed, read_all
from tests.integration.relay_tools import TOPIC, relay_process, seen

pytestmark = [pytest.mark.broker, pytest.mark.postgres]

LIFECYCLE = "coupons.lifecycle"
STEPS = 60
"""Far more time than finding the refused events takes."""


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
    pool.terminate()  # a failed test has left its relay's connection open


def row(number: int, *, size: int = 100, topic: str = TOPIC, data: str | None = None, kind: str = "x") -> OutboxRow:
    text = data or orjson.dumps({"number": number, "padding": "x" * size}).decode()
    key = f"ORD{number % 7}"
    return OutboxRow(
        event_id=str(uuid.uuid5(uuid.NAMESPACE_OID, str(number))),
        topic=topic,
        key=key,
        type="coupon.redeemed" if kind == "x" else kind,
        source="/couponry/ledger",
        subject=key,
        time=datetime.now(UTC),
        data=text,
    )


async def write(pool: Pool, rows: Sequence[OutboxRow]) -> None:
    async with pool.acquire() as connection, connection.transaction():
        await append(connection, rows)


async def limit_topic(settings: RelaySettings, topic: str, max_bytes: int) -> None:
    admin = AIOKafkaAdminClient(**client_options(settings, "tests-admin"))
    await admin.start()
    try:
        name = settings.topic(topic)
        config = {"max.message.bytes": str(max_bytes), "retention.ms": "7776000000"}
        responses = await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, name, configs=config)])
        assert all(one[0] == 0 for response in responses for one in response.resources), responses
    finally:
        await admin.close()
    await asyncio.sleep(0.5)  # the broker needs a moment to apply what it has acknowledged


async def run_to_the_end(relay: Relay, settings: RelaySettings, pool: Pool) -> None:
    """Step until the relay's committed position is that of the outbox's last event."""
    for _ in range(STEPS):
        if await relay.run_once() is None:
            await asyncio.sleep(0.5)  # the lock of a killed relay is free once PostgreSQL notices
        last = await pool.fetchval("SELECT max(position) FROM outbox")
        if relay.position == last:
            break
    else:
        pytest.fail("the relay doesn't get to the end")
    [offset] = (await committed(settings, settings.group("relay"), settings.topic("couponry.relay-position"))).values()
    assert offset == last + 1


async def notices(settings: RelaySettings) -> list[dict[str, Any]]:
    codec = Codec(topic_prefix=settings.topic_prefix, event_format=settings.event_format)
    events = [codec.decode(record) for record in records_of(await read_all(settings, settings.topic(LIFECYCLE)))]
    return [event.data.model_dump() for event in events if event.type == "ledger.event_withheld"]


async def withheld(pool: Pool, *, republished: bool = False) -> list[Any]:
    async with pool.acquire() as connection:
        return await list_withheld(connection, republished=republished)


def numbers_of(by_key: dict[str, list[int]]) -> list[int]:
    assert all(numbers == sorted(numbers) for numbers in by_key.values())
    return sorted(number for numbers in by_key.values() for number in numbers)


async def test_events_too_large_for_their_topic_are_withheld_and_all_others_are_published(
    settings: RelaySettings, pool: Pool
) -> None:
    await limit_topic(settings, TOPIC, 20_000)
    large = {30, 31, 150}
    await write(pool, [row(number, size=50_000 if number in large else 1_000) for number in range(220)])
    relay = Relay(settings, pool)
    await run_to_the_end(relay, settings, pool)
    assert numbers_of(await seen(settings)) == [number for number in range(220) if number not in large]
    events = await withheld(pool)
    assert [(one.position, one.error_class, one.topic) for one in events] == [
        (number + 1, "too_large", TOPIC) for number in sorted(large)
    ]
    reported = await notices(settings)
    assert {one["position"] for one in reported} == {31, 32, 151}
    assert len(reported) == 3
    [about] = [one for one in reported if one["position"] == 31]
    assert about["event_id"] == str(row(30).event_id)
    assert (about["event_type"], about["topic"], about["key"]) == ("coupon.redeemed", TOPIC, "ORD2")
    assert about["reason"] == "too_large"
    # Fixed: the withheld events are published once, with their own ids.
    await limit_topic(settings, TOPIC, 100_000)
    assert sorted(await publish_again(pool, None)) == [31, 32, 151]
    assert await publish_again(pool, None) == []
    await run_to_the_end(relay, settings, pool)
    await relay.close()
    records = await read_all(settings, settings.topic(TOPIC))
    ids = [dict(record.headers)["ce_id"].decode() for record in records]
    assert sorted(ids) == sorted(str(row(number).event_id) for number in range(220))
    assert await count_withheld(pool) == 0
    assert len(await withheld(pool, republished=True)) == 3


async def test_an_event_beyond_the_brokers_own_limit_delays_no_other(settings: RelaySettings, pool: Pool) -> None:
    await write(pool, [row(0), row(1, size=1_200_000), row(2, size=10_000_000), row(3)])
    relay = Relay(settings, pool)
    await run_to_the_end(relay, settings, pool)
    await relay.close()
    assert numbers_of(await seen(settings)) == [0, 3]
    assert [(one.position, one.error_class) for one in await withheld(pool)] == [(2, "too_large"), (3, "too_large")]


async def test_an_event_that_has_no_topic_is_withheld_after_a_while(
    settings: RelaySettings, pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.relay.publisher.MISSING_SECONDS", 0.5)
    rows = [row(0), row(1, topic="coupons.nowhere"), row(2, topic=" ", kind="x" * 300), row(3)]
    await write(pool, rows)
    relay = Relay(settings, pool)
    await run_to_the_end(relay, settings, pool)
    await relay.close()
    assert numbers_of(await seen(settings)) == [0, 3]
    assert [(one.position, one.error_class) for one in await withheld(pool)] == [(2, "no_topic"), (3, "no_topic")]
    assert [one["topic"] for one in await notices(settings)] == ["coupons.nowhere", "none"]


async def test_an_event_that_can_not_be_encoded_is_withheld(
    settings: RelaySettings, pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COUPONRY_EVENT_FORMAT", "avro")
    avro = RelaySettings()
    good = {"coupon_id": "c1", "campaign_id": "save10", "voided_at": "2026-11-22T09:30:00Z"}
    voided = "coupon.voided"
    rows = [
        row(0, topic=LIFECYCLE, kind=voided, data=orjson.dumps(good).decode()),
        row(1, topic=LIFECYCLE, kind=voided, data='{"coupon_id": 7, "secret": "s3cr3t"}'),
        row(2, topic=LIFECYCLE, kind="coupon.unheard_of", data="{}"),
        row(3, topic=LIFECYCLE, kind=voided, data=orjson.dumps(good).decode()),
    ]
    await write(pool, rows)
    relay = Relay(avro, pool)
    await run_to_the_end(relay, avro, pool)
    await relay.close()
    records = await read_all(avro, avro.topic(LIFECYCLE))
    ids = {dict(record.headers)["ce_id"].decode() for record in records}
    assert {str(rows[0].event_id), str(rows[3].event_id)} < ids
    assert len(records) == 4
    events = await withheld(pool)
    assert [(one.position, one.error_class) for one in events] == [(2, "unencodable"), (3, "unencodable")]
    assert "campaign_id" in events[0].error_text
    assert "s3cr3t" not in events[0].error_text
    reported = await notices(avro)
    assert [one["position"] for one in reported] == [2, 3]
    assert "s3cr3t" not in str(reported)
    # JSON accepts them.
    assert await publish_again(pool, [2]) == [2]
    plain = Relay(settings, pool)
    await run_to_the_end(plain, settings, pool)
    await plain.close()
    ids_now = [dict(record.headers)["ce_id"].decode() for record in await read_all(avro, avro.topic(LIFECYCLE))]
    assert ids_now.count(str(rows[1].event_id)) == 1


async def test_a_codec_that_encodes_nothing_withholds_nothing(
    settings: RelaySettings, pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise AssertionError("a bug")

    await write(pool, [row(0), row(1)])
    relay = Relay(settings, pool)
    with monkeypatch.context() as patch:
        patch.setattr(relay._codec, "encode", broken)
        with pytest.raises(AssertionError):
            await relay.run_once()
    assert await withheld(pool) == []
    await run_to_the_end(relay, settings, pool)
    await relay.close()
    assert numbers_of(await seen(settings)) == [0, 1]


@pytest.mark.parametrize("committed_in_kafka", [False, True])
async def test_a_crash_after_withholding_reports_and_publishes_everything_once(
    settings: RelaySettings, pool: Pool, monkeypatch: pytest.MonkeyPatch, committed_in_kafka: bool
) -> None:
    publish = TransactionalProducer.publish
    died = False

    async def publish_and_die(self: TransactionalProducer, *arguments: Any) -> None:
        nonlocal died
        if committed_in_kafka or await pool.fetchval("SELECT count(*) FROM outbox_withheld") == 0:
            await publish(self, *arguments)
        if not died and await pool.fetchval("SELECT count(*) FROM outbox_withheld"):
            died = True
            raise ConnectionResetError("killed")
        if not committed_in_kafka:
            await publish(self, *arguments)

    await write(pool, [row(0), row(1, size=1_500_000), row(2), row(3, size=9_000_000), row(4)])
    relay = Relay(settings, pool)
    with monkeypatch.context() as patch:
        patch.setattr(TransactionalProducer, "publish", publish_and_die)
        for _ in range(STEPS):
            try:
                await relay.run_once()
            except ConnectionResetError:
                break
    assert died
    fresh = Relay(settings, pool)
    await run_to_the_end(fresh, settings, pool)
    await fresh.close()
    await relay.close()
    assert numbers_of(await seen(settings)) == [0, 2, 4]
    assert sorted(one["position"] for one in await notices(settings)) == [2, 4]
    assert len(await withheld(pool)) == 2


async def test_a_relay_killed_at_any_moment_withholds_reports_and_publishes_each_event_once(
    settings: RelaySettings, pool: Pool, environment: dict[str, str]
) -> None:
    large = set(range(10, 400, 100))
    await write(pool, [row(number, size=1_100_000 if number in large else 200) for number in range(400)])
    pauses = [0.3, 0.8, 1.3, 2.0]
    for lived_seconds in pauses:
        with relay_process(environment, COUPONRY_RELAY_MAX_EVENTS="30"):
            await until_started(pool)
            await asyncio.sleep(lived_seconds)
    last = Relay(settings, pool)
    await run_to_the_end(last, settings, pool)
    await last.close()
    assert numbers_of(await seen(settings)) == [number for number in range(400) if number not in large]
    reported = await notices(settings)
    assert sorted(one["position"] for one in reported) == [number + 1 for number in sorted(large)]
    assert [one.position for one in await withheld(pool)] == [number + 1 for number in sorted(large)]


async def until_started(pool: Pool) -> None:
    """Wait until a relay other than the last one leads."""
    leader = await pool.fetchval("SELECT leader FROM relay_positions")
    async with asyncio.timeout(60):
        while await pool.fetchval("SELECT leader FROM relay_positions") == leader:
            await asyncio.sleep(0.05)


async def test_only_the_relay_that_leads_can_withhold_and_only_once(settings: RelaySettings, pool: Pool) -> None:
    await write(pool, [row(0), row(1)])
    me, other, relay = uuid.uuid4(), uuid.uuid4(), settings.group("relay")
    await pool.execute("INSERT INTO relay_positions (relay, leader) VALUES ($1, $2)", relay, me)
    wrong = [Unpublishable(1, "too_large", "a \0 quoted, half a \ud800"), Unpublishable(77, "too_large", "")]
    with pytest.raises(NotLeadingError):
        await withhold(pool, relay, other, wrong)
    assert await withheld(pool) == []
    assert [one.position for one in await withhold(pool, relay, me, wrong)] == [1]
    assert await withhold(pool, relay, me, wrong) == []
    types = [record["type"] for record in await pool.fetch("SELECT type FROM outbox ORDER BY position")]
    assert types == ["coupon.redeemed", "ledger.event_withheld"]


async def test_a_relay_that_was_replaced_withholds_nothing(settings: RelaySettings, pool: Pool) -> None:
    await write(pool, [row(0)])
    frozen = Relay(settings, pool)
    assert await frozen.run_once() == 1
    await write(pool, [row(1, size=1_500_000)])
    await pool.execute("UPDATE relay_positions SET leader = $1", uuid.uuid4())
    with pytest.raises(LostLeadershipError):
        await frozen.run_once()
    assert await withheld(pool) == []
    await frozen.close()


async def test_a_notice_that_can_not_be_published_is_withheld_without_another(
    settings: RelaySettings, pool: Pool
) -> None:
    await limit_topic(settings, LIFECYCLE, 100)
    await write(pool, [row(0), row(1, size=1_500_000), row(2)])
    relay = Relay(settings, pool)
    await run_to_the_end(relay, settings, pool)
    await relay.close()
    assert numbers_of(await seen(settings)) == [0, 2]
    assert [one.type for one in await withheld(pool)] == ["coupon.redeemed", "ledger.event_withheld"]


async def test_two_concurrent_calls_publish_withheld_events_once(settings: RelaySettings, pool: Pool) -> None:
    await write(pool, [row(number) for number in range(20)])
    me, relay = uuid.uuid4(), settings.group("relay")
    await pool.execute("INSERT INTO relay_positions (relay, leader) VALUES ($1, $2)", relay, me)
    await withhold(pool, relay, me, [Unpublishable(position, "no_topic", "") for position in range(1, 21)])
    some, others = await asyncio.gather(publish_again(pool, None), publish_again(pool, list(range(1, 21))))
    assert sorted(some + others) == list(range(1, 21))
    assert await pool.fetchval("SELECT count(*) FROM outbox WHERE type <> 'ledger.event_withheld'") == 20
    # Events published again long ago are deleted, withheld ones never.
    pruner = Pruner(pool, lambda: 0, retention_seconds=0)
    await pool.execute("UPDATE outbox_withheld SET republished_at = NULL WHERE position = 20")
    await pruner.run_once()
    assert [one.position for one in await withheld(pool, republished=True)] == [20]
