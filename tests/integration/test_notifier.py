"""The notifier on a real PostgreSQL: the results of batches of the redemption stream."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from schemas.notifications import CouponRedemptionNotified
from services.notifier.handler import NotificationHandler
from services.notifier.rule import notification_id
from shared.ledger import outbox
from shared.ledger.database import Pool, open_pool
from shared.messaging.codec import Codec
from shared.messaging.records import ReceivedEvent, Record
from shared.runtime.errors import TransientError
from shared.webhooks import endpoints

pytestmark = pytest.mark.postgres

AT = "2026-11-22T09:30:00.150Z"
CODEC = Codec()


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[Pool]:
    opened = await open_pool(database_url, max_size=6, application_name="notifier tests")
    yield opened
    await opened.close()


def event(event_type: str, data: dict[str, Any], event_id: str | None = None) -> ReceivedEvent:
    """Return an event as the consumer passes it on: a record in binary mode, decoded."""
    attributes = {
        "ce_specversion": "1.0",
        "ce_id": event_id or str(uuid4()),
        "ce_source": "/couponry/redeemer",
        "ce_type": event_type,
        "ce_subject": data["order_id"],
        "ce_time": "2026-11-22T09:30:00Z",
        "content-type": "application/json",
        "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    }
    headers = tuple((name, value.encode()) for name, value in attributes.items())
    return CODEC.decode(Record("coupons.redemptions", 0, 0, 0, None, json.dumps(data).encode(), headers))


def redeemed_data(order_id: str, *codes: str, requested_count: int | None = None) -> dict[str, Any]:
    coupons = [
        {
            "coupon_id": f"coupon-{code}",
            "code": code,
            "campaign_id": "save10",
            "discount": {"kind": "percentage", "value": "10"},
            "discount_amount": "12.50",
            "lines": [{"line_id": "1", "discount_amount": "12.50"}],
        }
        for code in codes
    ]
    return {
        "redemption_id": f"redemption-{order_id}",
        "order_id": order_id,
        "customer": {"customer_id": "customer_123", "email": "john.smith@email.com"},
        "requested_count": len(codes) if requested_count is None else requested_count,
        "order_amount": "125.00",
        "currency": "USD",
        "discount_amount": "12.50",
        "coupons": coupons,
        "channel": "orders",
        "redeemed_at": AT,
    }


def redeemed(
    order_id: str, *codes: str, requested_count: int | None = None, event_id: str | None = None
) -> ReceivedEvent:
    return event("coupon.redeemed", redeemed_data(order_id, *codes, requested_count=requested_count), event_id)


def refused(order_id: str) -> ReceivedEvent:
    coupon = {"code": "OLD", "reason": "expired", "message": "The coupon has expired."}
    data = {
        "order_id": order_id,
        "requested_count": 1,
        "currency": "USD",
        "order_amount": "125.00",
        "coupons": [coupon],
        "channel": "orders",
        "refused_at": AT,
    }
    return event("coupon.redemption_refused", data)


def restored(order_id: str) -> ReceivedEvent:
    coupon = {"coupon_id": "coupon-A", "code": "A", "campaign_id": "save10", "uses": 1, "discount_amount": "12.50"}
    data = {
        "redemption_id": f"redemption-{order_id}",
        "order_id": order_id,
        "cause": "order.cancelled",
        "coupons": [coupon],
        "restored_at": AT,
    }
    return event("coupon.redemption_restored", data)


async def notifications(pool: Pool) -> list[outbox.OutboxRow]:
    async with pool.acquire() as connection:
        return [row for _, row in await outbox.read_after(connection, 0, 10_000)]


async def test_a_single_requested_and_redeemed_coupon_is_notified(pool: Pool) -> None:
    redemption = redeemed("ORD456", "SAVE10")
    assert await NotificationHandler(pool).handle([redemption]) == []
    (row,) = await notifications(pool)
    assert (row.topic, row.type) == ("coupons.redemption-notifications", "coupon.redemption_notified")
    assert (row.source, row.subject, row.key) == ("/couponry/notifier", "ORD456", "ORD456")
    assert UUID(str(row.event_id)) == notification_id(redemption.id)
    assert row.traceparent == redemption.traceparent
    notified = CouponRedemptionNotified.model_validate_json(row.data)
    assert (notified.redemption_id, notified.order_id, notified.coupon.code) == (
        "redemption-ORD456",
        "ORD456",
        "SAVE10",
    )
    assert (notified.order_amount, notified.currency, notified.coupon.discount_amount) == ("125.00", "USD", "12.50")


async def test_nothing_else_of_the_redemption_stream_is_notified(pool: Pool) -> None:
    batch = [
        redeemed("ORD1", "A", "B"),
        redeemed("ORD2", "A", requested_count=3),
        refused("ORD3"),
        restored("ORD4"),
    ]
    assert await NotificationHandler(pool).handle(batch) == []
    assert await notifications(pool) == []
    assert await pool.fetchval("SELECT count(*) FROM journal") == 4


async def test_notifications_leave_in_the_order_of_their_redemptions(pool: Pool) -> None:
    batch = [redeemed(f"ORD{number}", f"CODE{number}") for number in range(50)]
    await NotificationHandler(pool).handle(batch)
    assert [row.key for row in await notifications(pool)] == [f"ORD{number}" for number in range(50)]


async def test_the_same_redemption_read_twice_is_notified_once(pool: Pool) -> None:
    await endpoints.add(pool, "https://example.com/hooks")
    first, second = redeemed("ORD1", "A"), redeemed("ORD2", "B")
    handler = NotificationHandler(pool)
    await handler.handle([first, first])
    await handler.handle([first, second])
    await NotificationHandler(pool).handle([second, first])
    assert [row.key for row in await notifications(pool)] == ["ORD1", "ORD2"]
    assert await pool.fetchval("SELECT count(*) FROM webhook_deliveries") == 4


async def test_two_notifiers_that_read_the_same_batch_at_once_notify_each_redemption_once(pool: Pool) -> None:
    await endpoints.add(pool, "https://example.com/hooks")
    batch = [redeemed(f"ORD{number}", "A") for number in range(100)]
    handlers = [NotificationHandler(pool) for _ in range(4)]
    orders = [batch, batch[::-1], batch[50:] + batch[:50], batch]
    await asyncio.gather(*(handler.handle(order) for handler, order in zip(handlers, orders, strict=True)))
    assert Counter(row.key for row in await notifications(pool)) == {f"ORD{number}": 1 for number in range(100)}
    assert await pool.fetchval("SELECT count(*) FROM webhook_deliveries") == 200


async def test_an_event_id_used_for_another_event_is_poison_and_other_events_are_not(pool: Pool) -> None:
    handler = NotificationHandler(pool)
    original = redeemed("ORD1", "A")
    await handler.handle([original])
    forged = redeemed("ORD9", "A", event_id=original.id)
    twice = [redeemed("ORD2", "B"), redeemed("ORD3", "C")]
    same_id = redeemed("ORD4", "D", event_id=twice[1].id)
    poison = await handler.handle([forged, *twice, same_id, original])
    assert [found.event for found in poison] == [forged, same_id]
    assert {found.error_class for found in poison} == {"EventIdReused"}
    assert [row.key for row in await notifications(pool)] == ["ORD1", "ORD2", "ORD3"]


async def test_an_event_that_postgres_cannot_store_is_poison_and_other_events_are_notified(pool: Pool) -> None:
    batch = [redeemed(f"ORD{number}", "A") for number in range(7)]
    # A text with NUL is valid in JSON but not in Postgres. The codec refuses it, so it is inserted after the codec.
    batch[3] = batch[3]._replace(data=batch[3].data.model_copy(update={"order_id": "ORD\x003"}))
    poison = await NotificationHandler(pool).handle(batch)
    assert [found.event for found in poison] == [batch[3]]
    assert [row.key for row in await notifications(pool)] == ["ORD0", "ORD1", "ORD2", "ORD4", "ORD5", "ORD6"]


async def test_webhook_deliveries_are_written_for_each_active_endpoints_types(pool: Pool) -> None:
    everything = await endpoints.add(pool, "https://example.com/all")
    refusals = await endpoints.add(pool, "https://example.com/refused", ["coupon.redemption_refused"])
    notifications_only = await endpoints.add(
        pool, "https://example.com/notifications", ["coupon.redemption_notified", "coupon.redemption_restored"]
    )
    asleep = await endpoints.add(pool, "https://example.com/asleep")
    await endpoints.disable(pool, asleep.endpoint_id, "Asked for.")
    single = redeemed("ORD1", "A")
    await NotificationHandler(pool).handle([single, redeemed("ORD2", "A", "B"), refused("ORD3"), restored("ORD1")])
    rows = await pool.fetch("SELECT endpoint_id, event_id, type, payload FROM webhook_deliveries ORDER BY delivery_id")
    by_endpoint = {
        endpoint: [row["type"] for row in rows if row["endpoint_id"] == endpoint.endpoint_id]
        for endpoint in (everything, refusals, notifications_only, asleep)
    }
    assert by_endpoint == {
        everything: [
            "coupon.redeemed",
            "coupon.redemption_notified",
            "coupon.redeemed",
            "coupon.redemption_refused",
            "coupon.redemption_restored",
        ],
        refusals: ["coupon.redemption_refused"],
        notifications_only: ["coupon.redemption_notified", "coupon.redemption_restored"],
        asleep: [],
    }
    first = json.loads(rows[0]["payload"])
    assert (str(rows[0]["event_id"]), first["type"], first["timestamp"]) == (
        single.id,
        "coupon.redeemed",
        "2026-11-22T09:30:00Z",
    )
    assert first["data"]["coupons"][0]["code"] == "A"
    notified = next(row for row in rows if row["type"] == "coupon.redemption_notified")
    assert notified["event_id"] == notification_id(single.id)
    assert json.loads(notified["payload"])["data"] == json.loads((await notifications(pool))[0].data)


async def test_an_endpoint_gets_no_events_that_were_read_before_it_was_added(pool: Pool) -> None:
    old = [redeemed("ORD1", "A"), refused("ORD2")]
    handler = NotificationHandler(pool)
    await handler.handle(old)
    await endpoints.add(pool, "https://example.com/late")
    await handler.handle([*old, refused("ORD3")])  # as a group whose offsets were lost reads everything again
    assert [record[0] for record in await pool.fetch("SELECT type FROM webhook_deliveries")] == [
        "coupon.redemption_refused"
    ]


async def test_an_interrupted_batch_leaves_nothing_and_can_be_repeated(pool: Pool, database_url: str) -> None:
    await endpoints.add(pool, "https://example.com/hooks")
    batch = [redeemed("ORD1", "A"), redeemed("ORD2", "B")]
    handler = NotificationHandler(pool)
    holder = await asyncpg.connect(database_url)
    async with holder.transaction():
        # Another transaction has the outbox's lock: ours waits in its last statement and is killed there.
        await holder.execute("SELECT pg_advisory_xact_lock($1)", outbox.OUTBOX_LOCK)
        working = asyncio.create_task(handler.handle(batch))
        async with asyncio.timeout(60):
            while not await holder.fetchval(
                "SELECT count(pg_terminate_backend(pid)) FROM pg_locks"
                " WHERE locktype = 'advisory' AND NOT granted"
                " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
            ):
                await asyncio.sleep(0.01)
        with pytest.raises(TransientError):
            await working
    await holder.close()
    assert await notifications(pool) == []
    assert await pool.fetchval("SELECT count(*) FROM journal") == 0
    assert await pool.fetchval("SELECT count(*) FROM webhook_deliveries") == 0
    await handler.handle(batch)
    assert [row.key for row in await notifications(pool)] == ["ORD1", "ORD2"]


async def test_every_size_of_batch_takes_the_same_number_of_statements(pool: Pool) -> None:
    await endpoints.add(pool, "https://example.com/hooks")
    queries: list[str] = []
    counts: list[int] = []
    async with pool.acquire() as connection:
        for number, size in enumerate((1, 1, 200)):  # the first is not counted: the driver learns the types
            batch = [redeemed(f"ORD-{number}-{order}", "A") for order in range(size)]
            queries.clear()
            with connection.query_logger(lambda record: queries.append(record.query)):
                await NotificationHandler(_one_connection(connection)).handle(batch)
            counts.append(len(queries))
    assert counts[1] == counts[2] <= 10
    assert await pool.fetchval("SELECT count(*) FROM journal") == 202


def _one_connection(connection: Any) -> Any:
    """A pool of exactly this connection, whose statements are counted."""

    class OneConnection:
        def acquire(self) -> "OneConnection":
            return self

        async def __aenter__(self) -> Any:
            return connection

        async def __aexit__(self, *_: object) -> None:
            return None

    return OneConnection()


async def test_an_empty_batch_needs_no_database(pool: Pool) -> None:
    await pool.close()
    assert await NotificationHandler(pool).handle([]) == []
