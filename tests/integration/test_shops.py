"""Orders of several shops with the same ids, through events. HTTP and the command line are in `test_shops_http`.

Nothing that leaves Couponry contains the key of an order, which is checked on every output.
"""

import json
from collections.abc import AsyncIterator, Sequence
from typing import Any

import orjson
import pytest

from schemas.campaigns import CampaignDefinition
from services.notifier.handler import NotificationHandler
from services.redeemer.handler import OrderHandler
from services.redeemer.settings import RedeemerSettings
from shared.domain.model.customer import Customer, identifiers
from shared.domain.model.ids import order_key
from shared.ledger import exporting
from shared.ledger.audit import audit
from shared.ledger.database import Pool
from shared.ledger.engine import Engine
from shared.messaging.records import ReceivedEvent
from tests.ledger import ledger
from tests.privacy import erase
from tests.received_events import cancelled, paid, placed, received, returned
from tests.shops import FIRST, MONTHLY, NORTH, SHARED, SHOPS, SOUTH, clean

pytestmark = pytest.mark.postgres

MAKERS = {"placed": placed, "paid": paid, "cancelled": cancelled, "returned": returned}


class Orders:
    """Send events of orders with the id 777."""

    def __init__(self, pool: Pool, burn_on: str = "placed") -> None:
        settings = RedeemerSettings(
            kafka_bootstrap_servers="localhost:1",
            database_url="postgresql://localhost/x",
            burn_on=burn_on,
            hold_takeover="never",
        )
        self.pool = pool
        self._handler = OrderHandler(pool, Engine(pool), settings)
        self._sent = 0

    def event(self, kind: str, shop: str | None, **fields: Any) -> ReceivedEvent:
        self._sent += 1
        if kind == "placed":
            fields = {"coupon_codes": ["SHARED"], "amount": "100.00"} | fields
        return MAKERS[kind](f"e{self._sent}", **({"order_id": "777", "shop_id": shop} | fields))

    async def send(self, *events: ReceivedEvent) -> list[tuple[str, str | None]]:
        """Send events in one batch; return (type, shop) of the events that this publishes."""
        before = await self.pool.fetchval("SELECT coalesce(max(position), 0) FROM outbox")
        assert list(await self._handler.handle(events)) == []
        rows = await self.pool.fetch(
            "SELECT key, subject, type, data FROM outbox WHERE position > $1 ORDER BY position", before
        )
        found = []
        for row in rows:
            data = orjson.loads(clean(row["data"]))
            if data.get("order_id") is not None:
                found.append((row["type"].removeprefix("coupon."), data.get("shop_id")))
            if "redemption" in row["type"] or row["type"] == "coupon.redeemed":
                assert row["key"] == row["subject"] == data["order_id"]
            clean(row["key"])
        return found

    async def uses(self, code: str = "SHARED") -> tuple[int, int]:
        row = await self.pool.fetchrow("SELECT held_uses, used_uses FROM coupons WHERE code = $1", code)
        assert row is not None
        return row["held_uses"], row["used_uses"]


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[Pool]:
    async with ledger(database_url, SHARED, FIRST, MONTHLY) as opened:
        yield opened


# Events


@pytest.mark.parametrize("at_once", [True, False])
async def test_three_orders_777_are_three_orders(pool: Pool, at_once: bool) -> None:
    orders = Orders(pool)

    async def all_of(kind: str, shops: Sequence[str | None] = SHOPS, **fields: Any) -> list[tuple[str, str | None]]:
        events = [orders.event(kind, shop, **fields) for shop in shops]
        if at_once:
            return await orders.send(*events)
        return [one for event in events for one in await orders.send(event)]

    assert await all_of("placed") == [("redeemed", shop) for shop in SHOPS]
    assert await all_of("placed") == []  # the same orders again
    assert await orders.uses() == (0, 3)
    assert await all_of("cancelled", [SOUTH]) == [("redemption_restored", SOUTH)]
    assert await all_of("cancelled", [SOUTH, ""]) == [("redemption_restored", None)]
    assert await orders.uses() == (0, 1)
    assert await all_of("returned", amount="50.00") == [("redemption_restored", NORTH)]
    assert await all_of("returned") == [("redemption_restored", NORTH)]
    assert await orders.uses() == (0, 0)
    rows = await pool.fetch("SELECT order_id, cancelled_at IS NOT NULL FROM orders")
    assert {(row[0], row[1]) for row in rows} == {(order_key(shop, "777"), shop != NORTH) for shop in SHOPS}


@pytest.mark.parametrize("at_once", [True, False])
async def test_each_order_holds_its_coupons_until_it_is_paid(pool: Pool, at_once: bool) -> None:
    orders = Orders(pool, "paid")
    events = [orders.event("placed", shop) for shop in SHOPS]
    batches = [events] if at_once else [[one] for one in events]
    assert [one for batch in batches for one in await orders.send(*batch)] == [("locked", shop) for shop in SHOPS]
    assert await orders.uses() == (3, 0)
    assert await orders.send(orders.event("paid", SOUTH), orders.event("paid", SOUTH)) == [("redeemed", SOUTH)]
    assert await orders.send(orders.event("cancelled", NORTH)) == [("released", NORTH)]
    await pool.execute("UPDATE locks SET expires_at = now() - interval '1 second' WHERE status = 'open'")
    late = orders.event("paid", None, paid_at="2100-01-01T00:00:00Z")  # counts as now
    assert await orders.send(late) == [("lock_expired", None), ("redemption_refused", None)]
    assert await orders.uses() == (0, 1)


async def test_an_expired_hold_of_a_shops_order_is_swept(pool: Pool) -> None:
    orders = Orders(pool, "paid")
    await orders.send(orders.event("placed", NORTH), orders.event("placed", None, order_id=f"{NORTH}/777"))
    await pool.execute("UPDATE locks SET expires_at = now() - interval '1 second'")
    assert await Engine(pool).sweep_expired() == 2
    assert await orders.uses() == (0, 0)


async def test_a_first_order_in_two_shops_is_the_first_once(pool: Pool) -> None:
    orders = Orders(pool)
    ann = {"customer": {"customer_id": "ann"}, "coupon_codes": ["FIRST"]}
    one, two = orders.event("placed", NORTH, **ann), orders.event("placed", SOUTH, **ann)
    assert await orders.send(one, two) == [("redeemed", NORTH), ("redemption_refused", SOUTH)]
    assert await orders.send(orders.event("placed", None, **ann)) == [("redemption_refused", None)]
    assert await orders.send(orders.event("placed", NORTH, **ann)) == []


async def test_a_subscription_belongs_to_its_shop(pool: Pool) -> None:
    orders = Orders(pool)
    sub = {"subscription_id": "S1", "coupon_codes": ["MONTHLY"]}
    assert await orders.send(orders.event("placed", NORTH, cycle=1, **sub)) == [("redeemed", NORTH)]
    later = {"order_id": "778", "cycle": 2, **sub}
    assert await orders.send(*[orders.event("placed", shop, **later) for shop in SHOPS]) == [
        ("redeemed", NORTH), ("redemption_refused", SOUTH), ("redemption_refused", None),
    ]  # fmt: skip
    assert await orders.uses("MONTHLY") == (0, 1)


@pytest.mark.parametrize("burn_on", ["placed", "paid"])
async def test_the_longest_ids_fit_into_every_index(pool: Pool, burn_on: str) -> None:
    orders = Orders(pool, burn_on)
    names = {"order_id": "😀" * 255, "subscription_id": "é" * 255, "customer": {"customer_id": "c"}}
    shops = ("😀" * 255, "字" * 255)
    codes = ["MONTHLY"]
    events = [orders.event("placed", shop, cycle=1, coupon_codes=codes, **names) for shop in shops]
    kind = "redeemed" if burn_on == "placed" else "locked"
    assert await orders.send(*events) == [(kind, shops[0]), ("redemption_refused", shops[1])]
    assert await orders.send(orders.event("paid", shops[0], order_id="😀" * 255)) == (
        [] if burn_on == "placed" else [("redeemed", shops[0])]
    )
    assert await orders.send(orders.event("cancelled", shops[0], order_id="😀" * 255)) == [
        ("redemption_restored", shops[0])
    ]


async def test_an_event_id_used_for_the_order_of_another_shop_is_poison(pool: Pool) -> None:
    orders = Orders(pool)
    await orders.send(placed("same", shop_id=NORTH, coupon_codes=["SHARED"]))
    [poison] = await orders._handler.handle([placed("same", shop_id=SOUTH, coupon_codes=["SHARED"])])
    assert poison.error_class == "CommandIdReused"
    clean(f"{poison.error_class} {poison.error_text}")


async def test_the_notifier_distinguishes_shops(pool: Pool) -> None:
    orders = Orders(pool)
    await orders.send(*[orders.event("placed", shop) for shop in SHOPS])
    rows = await pool.fetch("SELECT type, event_id::text, data FROM outbox ORDER BY position")
    events = [received(row["type"], orjson.loads(row["data"]), event_id=row["event_id"]) for row in rows
              if row["type"] == "coupon.redeemed"]  # fmt: skip
    assert await NotificationHandler(pool).handle(events) == []
    notified = await pool.fetch("SELECT key, data FROM outbox WHERE type = 'coupon.redemption_notified'")
    found = {(row["key"], orjson.loads(clean(row["data"]))["shop_id"]) for row in notified}
    assert found == {("777", shop) for shop in SHOPS}
    journal = await pool.fetch("SELECT order_id FROM journal WHERE kind = 'NotifyRedemption'")
    assert {row["order_id"] for row in journal} == {order_key(shop, "777") for shop in SHOPS}


async def test_an_export_and_an_erasure_of_a_customer_of_two_shops(database_url: str) -> None:
    shop_like_the_customer = "ann_smith_77"
    ann = Customer("ann_smith_77", "ann.smith@example.com", "+4930123456")
    who = {"customer": {"customer_id": ann.customer_id, "email": ann.email, "mobile": ann.mobile}}
    definitions: tuple[CampaignDefinition, ...] = (SHARED, MONTHLY)
    async with ledger(database_url, *definitions) as pool:
        orders = Orders(pool, "paid")
        shops = (NORTH, shop_like_the_customer, None)
        await orders.send(*[orders.event("placed", shop, **who) for shop in shops])
        monthly = {"coupon_codes": ["MONTHLY"], "subscription_id": "S1", "cycle": 1, "order_id": "778"}
        await orders.send(orders.event("placed", NORTH, **monthly, **who))
        await orders.send(*[orders.event("paid", shop) for shop in shops])
        await orders.send(orders.event("cancelled", NORTH))

        customer = await exporting.find_customer(pool, identifiers(ann))
        assert customer is not None
        text = clean(b"".join([piece async for piece in exporting.document(pool, customer)]).decode())
        exported = json.loads(text)
        assert {(one["order_id"], one.get("shop_id")) for one in exported["orders"]} == {
            ("778", NORTH), *(("777", shop) for shop in shops),
        }  # fmt: skip
        assert {(one["order_id"], one.get("shop_id")) for one in exported["ledger_entries"]} >= {("777", NORTH)}
        assert {one["lock"]["lock_reference"] for one in exported["locks"]} == {
            "order:777", f"order:{NORTH}/777", f"order:{NORTH}/778", "order:ann_smith_77/777",
        }  # fmt: skip
        decisions = [json.loads(one["verdict"]) if isinstance(one["verdict"], str) else one["verdict"]
                     for one in exported["decisions"]]  # fmt: skip
        assert {(one["order_id"], one.get("shop_id")) for one in decisions} >= {("777", NORTH), ("777", None)}

        await erase(pool, identifiers(ann))
        assert (await audit(pool)).findings == ()
        kept = [orjson.loads(clean(row["data"])) for row in await pool.fetch("SELECT data FROM outbox")]
        assert {one.get("shop_id") for one in kept if one.get("order_id") == "777"} == set(shops)
        assert await orders.send(orders.event("cancelled", shop_like_the_customer)) == [
            ("redemption_restored", shop_like_the_customer)
        ]
