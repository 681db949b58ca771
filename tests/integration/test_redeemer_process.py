"""The redeemer as a process: from the `orders` topic to the ledger, on a real broker and a real Postgres."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from shared.domain.model.customer import Customer
from shared.ledger.campaigns import save
from shared.ledger.database import Pool
from shared.ledger.engine import Engine
from shared.messaging.topics_admin import create_topics
from shared.runtime.settings import KafkaSettings
from tests.backends import Broker
from tests.integration.kafka_tools import committed, read_all, write_all
from tests.integration.service_process import (
    eventually,
    kafka_settings,
    running,
    skip_where_the_dead_stay_members,
)
from tests.ledger import definition, issue, ledger

pytestmark = [pytest.mark.postgres, pytest.mark.broker]

SHARED = definition("shared", code={"shared_code": "EVERYBODY"}, limits={"uses_per_coupon": 10})


@pytest.fixture
async def pool(environment: dict[str, str], database_url: str) -> AsyncIterator[Pool]:
    async with ledger(database_url, definition("save10"), SHARED) as opened:
        yield opened


@pytest.fixture
async def kafka_client(environment: dict[str, str]) -> KafkaSettings:
    settings = kafka_settings(environment)
    await create_topics(settings)
    return settings


def event(event_type: str, order_id: str, event_id: str, **data: Any) -> bytes:
    """Return a CloudEvent in structured mode."""
    return json.dumps(
        {
            "specversion": "1.0",
            "id": event_id,
            "source": "/shop",
            "type": event_type,
            "data": {"order_id": order_id, **data},
        }
    ).encode()


def placed(order_id: str, *codes: str, amount: str = "100.00") -> bytes:
    return event(
        "order.placed",
        order_id,
        f"placed {order_id}",
        placed_at="2026-03-01T12:00:00Z",
        currency="USD",
        amount=amount,
        coupon_codes=codes,
    )


async def send(settings: KafkaSettings, *orders: tuple[str, bytes]) -> None:
    """Write each (order id, event) to `orders`."""
    topic = settings.topic("orders")
    await write_all(settings, [(topic, order_id.encode(), value, None) for order_id, value in orders])


async def all_read(settings: KafkaSettings, count: int) -> None:
    """Wait until the redeemer has committed `count` records."""

    async def look() -> int:
        return sum((await committed(settings, settings.group("redeemer"), settings.topic("orders"))).values())

    await eventually(look, lambda seen: seen == count)


async def test_orders_are_redeemed_refused_restored_or_become_dead_letters(
    environment: dict[str, str], pool: Pool, kafka_client: KafkaSettings
) -> None:
    one, two = await issue(Engine(pool), "save10", 2)
    cancel_two = event("order.cancelled", "B", "cancel B", cancelled_at="2026-03-01T13:00:00Z")
    wrong_money = placed("E", one, amount="1.234")

    async with running("redeemer", environment) as redeemer:
        await redeemer.ready()
        await send(
            kafka_client,
            ("A", placed("A", one)),
            ("A", placed("A", one)),
            ("B", placed("B", two)),
            ("B", cancel_two),
            ("C", placed("C", "NO-SUCH-CODE")),
            ("D", placed("D")),
            ("E", wrong_money),
            ("F", b"{ not json"),
        )
        await all_read(kafka_client, 8)
        metrics = await redeemer.metrics()
        assert await redeemer.stop() == 0

    published = await pool.fetch("SELECT type, subject FROM outbox WHERE topic = 'coupons.redemptions' ORDER BY 1, 2")
    assert [tuple(row) for row in published] == [
        ("coupon.redeemed", "A"),
        ("coupon.redeemed", "B"),
        ("coupon.redemption_refused", "C"),
        ("coupon.redemption_restored", "B"),
    ]
    uses = await pool.fetch("SELECT code, used_uses FROM coupons WHERE campaign_id = 'save10'")
    assert dict(uses) == {one: 1, two: 0}
    letters = await read_all(kafka_client, kafka_client.topic("orders.redeemer.dlq"))
    assert {letter.value for letter in letters} == {wrong_money, b"{ not json"}
    assert 'couponry_refused_total{reason="not_found",service="redeemer"} 1.0' in metrics


async def test_one_coupon_of_ten_uses_serves_ten_of_many_orders_through_two_redeemers(
    environment: dict[str, str], pool: Pool, kafka_client: KafkaSettings
) -> None:
    orders = [(f"O{number}", placed(f"O{number}", " everybody ")) for number in range(60)]

    async with running("redeemer", environment) as one, running("redeemer", environment) as other:
        await one.ready()
        await other.ready()
        await send(kafka_client, *orders)
        await all_read(kafka_client, len(orders))
        assert (await one.stop(), await other.stop()) == (0, 0)

    assert await pool.fetchval("SELECT used_uses FROM coupons WHERE code_key = 'EVERYBODY'") == 10
    published = await pool.fetch("SELECT type, count(*) FROM outbox WHERE topic = 'coupons.redemptions' GROUP BY type")
    assert dict(published) == {"coupon.redeemed": 10, "coupon.redemption_refused": 50}


async def test_a_killed_redeemer_leaves_its_work_to_the_next(
    kafka: Broker, environment: dict[str, str], pool: Pool, kafka_client: KafkaSettings
) -> None:
    skip_where_the_dead_stay_members(kafka)
    codes = await issue(Engine(pool), "save10", 200)
    orders = [(f"O{number}", placed(f"O{number}", code)) for number, code in enumerate(codes)]

    async def executed() -> int:
        return int(await pool.fetchval("SELECT count(*) FROM journal WHERE kind = 'RedeemCoupons'"))

    async with running("redeemer", environment, batch_max_records=20, session_timeout_ms=6000) as first:
        await first.ready()
        await send(kafka_client, *orders)
        await eventually(executed, lambda count: count > 0)
        await first.kill()
    async with running("redeemer", environment, session_timeout_ms=6000) as second:
        await all_read(kafka_client, len(orders))
        assert await second.stop() == 0

    assert await pool.fetchval("SELECT count(*) FROM coupons WHERE used_uses = 1") == 200
    assert await pool.fetchval("SELECT count(*) FROM outbox WHERE type = 'coupon.redeemed'") == 200


async def test_the_hold_of_an_unpaid_order_expires_and_is_published(
    environment: dict[str, str], pool: Pool, kafka_client: KafkaSettings
) -> None:
    (code,) = await issue(Engine(pool), "save10")

    async def published() -> list[str]:
        rows = await pool.fetch("SELECT type FROM outbox WHERE topic = 'coupons.lifecycle' ORDER BY position")
        return [row["type"] for row in rows]

    async with running("redeemer", environment, burn_on="paid", hold_seconds=1, sweep_seconds=0.2) as redeemer:
        await redeemer.ready()
        await send(kafka_client, ("A", placed("A", code)))
        await eventually(published, lambda types: types == ["coupon.locked", "coupon.lock_expired"])
        late = event("order.paid", "A", "paid A", paid_at="2100-01-01T00:00:00Z")  # counts as now
        await send(kafka_client, ("A", late))
        await all_read(kafka_client, 2)
        assert await redeemer.stop() == 0

    assert await pool.fetchval("SELECT held_uses + used_uses FROM coupons WHERE code = $1", code) == 0
    assert await pool.fetchval("SELECT reasons FROM journal WHERE kind = 'PayOrder'") == ["lock_expired"]


async def test_reminders_of_coupons_are_published(
    environment: dict[str, str], pool: Pool, kafka_client: KafkaSettings
) -> None:
    await save(pool, [definition("soon", window={"valid_for": "1 day", "remind_days": 3})])
    await issue(Engine(pool), "soon", 2)

    async def published() -> list[str]:
        rows = await pool.fetch("SELECT type FROM outbox WHERE topic = 'coupons.lifecycle' ORDER BY position")
        return [row["type"] for row in rows]

    async with running("redeemer", environment, sweep_seconds=0.2) as redeemer:
        await redeemer.ready()
        await eventually(published, lambda types: types == ["coupon.expired"] * 2)  # issued months ago
        assert await redeemer.stop() == 0


async def test_a_wrong_setting_ends_the_process_at_once(environment: dict[str, str]) -> None:
    async with running("redeemer", environment, burn_on="never") as redeemer:
        assert await redeemer.left() == 2


async def test_changed_orders_failed_payments_and_takeovers_arrive_from_the_topic(
    environment: dict[str, str], pool: Pool, kafka_client: KafkaSettings
) -> None:
    (code,) = await issue(Engine(pool), "save10", customer=Customer("ann"))

    def sent(event_type: str, order_id: str, minute: int, time: str, **data: Any) -> tuple[str, bytes]:
        at = {time: f"2026-03-01T12:{minute:02}:00Z"}
        return order_id, event(event_type, order_id, f"{event_type} {order_id} {minute}", **at, **data)

    def content(amount: str) -> dict[str, Any]:
        return {"currency": "USD", "amount": amount, "coupon_codes": [code], "customer": {"customer_id": "ann"}}

    orders = [
        sent("order.placed", "A", 0, "placed_at", **content("100.00")),
        sent("order.changed", "A", 1, "changed_at", **content("50.00")),
        sent("order.payment_failed", "A", 2, "failed_at"),
        sent("order.payment_failed", "A", 3, "failed_at"),
        sent("order.placed", "B", 4, "placed_at", **content("80.00")),
        sent("order.placed", "C", 5, "placed_at", **content("90.00")),
        sent("order.paid", "C", 6, "paid_at"),
        sent("order.paid", "A", 7, "paid_at"),
    ]
    async with running("redeemer", environment, burn_on="paid") as redeemer:
        await redeemer.ready()
        for number, one in enumerate(orders, start=1):  # partitions have no common order
            await send(kafka_client, one)
            await all_read(kafka_client, number)
        metrics = await redeemer.metrics()
        assert await redeemer.stop() == 0
    published = await pool.fetch("SELECT type, data ->> 'order_id' FROM outbox WHERE position > 1 ORDER BY position")
    assert [(row[0].removeprefix("coupon."), row[1]) for row in published] == [
        ("locked", "A"), ("released", "A"), ("locked", "B"), ("locked", "C"), ("released", "B"), ("redeemed", "C"),
        ("redemption_refused", "A"),
    ]  # fmt: skip
    assert 'couponry_unchanged_total{service="redeemer",why="nothing_held"} 1.0' in metrics
    assert await pool.fetchval("SELECT sum(used_minor)::bigint FROM ledger_entries") == 900
