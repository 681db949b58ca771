"""Orders of several shops with the same ids: through events, HTTP, the command line, exports and erasures.

Nothing that leaves Couponry contains the key of an order, which is checked on every output.
"""

import asyncio
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
from tests.gateway import Served, served
from tests.integration.cli_calls import call
from tests.ledger import definition, ledger
from tests.privacy import erase
from tests.received_events import cancelled, paid, placed, received, returned

pytestmark = pytest.mark.postgres

SHARED = definition("shared", code={"shared_code": "SHARED"}, limits={"uses_per_coupon": None})
FIRST = definition("first", code={"shared_code": "FIRST"}, eligibility={"first_order_only": True}, limits={})
MONTHLY = definition("monthly", code={"shared_code": "MONTHLY"}, recurring=True, limits={"uses_per_coupon": 1})
NORTH, SOUTH = "North & Co/EU", "south"
SHOPS = (NORTH, SOUTH, None)
MAKERS = {"placed": placed, "paid": paid, "cancelled": cancelled, "returned": returned}


def clean(text: str) -> str:
    """Return `text` after checking that it has no key of an order."""
    assert "\x1f" not in text
    assert "\\u001f" not in text
    assert "\\x1f" not in text
    return text


class Orders:
    """Send events of orders with the id 777."""

    def __init__(self, pool: Pool, burn_on: str = "placed") -> None:
        settings = RedeemerSettings(
            kafka_bootstrap_servers="localhost:1", database_url="postgresql://localhost/x", burn_on=burn_on
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
    assert await orders.send(orders.event("paid", None)) == [("lock_expired", None), ("redemption_refused", None)]
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


async def test_the_notifier_tells_shops_apart(pool: Pool) -> None:
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


# HTTP


def order(shop: str | None, **changes: Any) -> dict[str, Any]:
    return {"order_id": "777", "currency": "USD", "amount": "100.00", "shop_id": shop} | changes


async def asked(here: Served, method: str, path: str, *, status: int = 200, **request: Any) -> Any:
    answer = await here.client.request(method, path, **request)
    assert answer.status_code == status, answer.text
    clean(answer.text)
    return answer.json() if "json" in answer.headers["content-type"] else answer.text


async def test_orders_of_shops_over_http(database_url: str) -> None:
    async with served(database_url, SHARED) as here:
        for shop in SHOPS:
            asks = {"codes": ["SHARED"], "order": order(shop)}
            valid = await asked(here, "POST", "/v1/validate", json=asks)
            assert (valid["order_id"], valid["shop_id"]) == ("777", shop)
            redeemed = await asked(here, "POST", "/v1/redemptions", json=asks)
            assert (redeemed["outcome"], redeemed["order_id"], redeemed["shop_id"]) == ("redeemed", "777", shop)
            again = await asked(here, "POST", "/v1/redemptions", json=asks)
            assert again["outcome"] == "unchanged"
        assert await here.pool.fetchval("SELECT used_uses FROM coupons") == 3

        part = await asked(here, "POST", "/v1/orders/777/return", json={"shop_id": SOUTH, "amount": "50.00"})
        assert (part["outcome"], part["shop_id"], part["discount_amount"]) == ("restored", SOUTH, "5.00")
        whole = await asked(here, "POST", "/v1/orders/777/return", params={"shop_id": SOUTH})
        assert (whole["outcome"], whole["discount_amount"]) == ("restored", "5.00")
        cancelled = await asked(here, "POST", "/v1/orders/777/cancel", params={"shop_id": NORTH})
        assert (cancelled["outcome"], cancelled["shop_id"]) == ("restored", NORTH)
        last = await asked(here, "POST", "/v1/orders/777/cancel?shop_id=")
        assert (last["outcome"], last["shop_id"]) == ("restored", None)
        assert await here.pool.fetchval("SELECT used_uses FROM coupons") == 0


async def test_the_lists_of_http_name_shops_and_filter_by_them(database_url: str) -> None:
    async with served(database_url, SHARED) as here:
        for shop, number in ((NORTH, "777"), (NORTH, "778"), (SOUTH, "777"), (None, "777")):
            asks = {"codes": ["SHARED", "NOPE"], "order": order(shop, order_id=number), "atomic": False}
            await asked(here, "POST", "/v1/redemptions", json=asks)
        for params, expected in (
            ({"order_id": "777"}, {(None, "777")}),
            ({"order_id": "777", "shop_id": ""}, {(None, "777")}),
            ({"order_id": "777", "shop_id": NORTH}, {(NORTH, "777")}),
            ({"shop_id": NORTH}, {(NORTH, "777"), (NORTH, "778")}),
            ({"shop_id": "Nor"}, set()),
            ({"shop_id": "%"}, set()),
            ({}, {(NORTH, "777"), (NORTH, "778"), (SOUTH, "777"), (None, "777")}),
        ):
            found = (await asked(here, "GET", "/v1/redemptions", params=params))["items"]
            assert {(one["shop_id"], one["order_id"]) for one in found} == expected
            assert {one["outcome"] for one in found} == ({"redeemed", "refused"} if expected else set())
        page = await asked(here, "GET", "/v1/redemptions", params={"shop_id": NORTH, "limit": 1})
        more = await asked(
            here, "GET", "/v1/redemptions", params={"shop_id": NORTH, "limit": 50, "cursor": page["next_cursor"]}
        )
        assert len(more["items"]) == 3
        csv = await asked(here, "GET", "/v1/redemptions", params={"format": "csv", "shop_id": SOUTH})
        assert csv.splitlines()[0].endswith(",shop_id")
        assert all(line.endswith(",south") for line in csv.splitlines()[1:])
        history = await asked(here, "GET", "/v1/coupons/SHARED/history")
        assert {(one["shop_id"], one["order_id"]) for one in history["happenings"] if one["order_id"]} == {
            (NORTH, "777"), (NORTH, "778"), (SOUTH, "777"), (None, "777"),
        }  # fmt: skip
        assert (await here.client.get("/v1/redemptions", params={"shop_id": "a\x1fb"})).status_code == 422


async def test_a_lock_is_bound_to_and_burned_on_the_order_of_a_shop(database_url: str) -> None:
    once = definition("once", code={"shared_code": "ONCE"})
    async with served(database_url, once) as here:
        lock = {"codes": ["ONCE"], "lock_reference": "l1"}
        bound = await asked(here, "POST", "/v1/locks", status=201, json=lock | {"order_id": "777", "shop_id": NORTH})
        assert (bound["order_id"], bound["shop_id"]) == ("777", NORTH)
        bound = await asked(here, "POST", "/v1/locks", status=201, json=lock | {"order": order(NORTH)})
        assert (bound["order_id"], bound["shop_id"]) == ("777", NORTH)
        [hold] = (await asked(here, "GET", "/v1/coupons/ONCE/history"))["holds"]
        assert (hold["order_id"], hold["shop_id"]) == ("777", NORTH)
        refused = await asked(here, "POST", "/v1/locks/l1/burn", status=422, json={"order_id": "777"})
        assert (refused["code"], refused["refused"][0]["details"]) == (
            "order_mismatch", {"order_id": "777", "shop_id": NORTH},
        )  # fmt: skip
        refused = await asked(
            here, "POST", "/v1/locks/l1/burn", status=422, json={"order_id": "777", "order": order(SOUTH)}
        )
        assert refused["code"] == "order_mismatch"
        burned = await asked(
            here, "POST", "/v1/locks/l1/burn", json={"order_id": "777", "shop_id": NORTH, "order": order(None)}
        )
        assert (burned["outcome"], burned["shop_id"]) == ("redeemed", NORTH)


@pytest.mark.parametrize(
    ("path", "body", "place"),
    [
        ("locks", {"codes": ["A"], "shop_id": "a", "order": order("b")}, "order.shop_id: differs from shop_id"),
        ("locks", {"codes": ["A"], "shop_id": "a"}, "shop_id: needs `order_id` or `order`"),
        (
            "locks/l/burn",
            {"order_id": "1", "shop_id": "a", "order": order("b", order_id="1")},
            "order.shop_id: differs",
        ),
        ("orders/1/cancel?shop_id=a", {"shop_id": "b"}, "shop_id: differs in the query and the body"),
        ("orders/1/return?shop_id=a", {"shop_id": "b"}, "shop_id: differs in the query and the body"),
        ("orders/1/cancel", {"shop_id": " "}, "shop_id: must not be blank"),
        ("orders/1/return", {"shop_id": "a\x1fb"}, "shop_id: must have no control characters"),
        ("orders/1/cancel", {"shop_id": "x" * 256}, "shop_id: must have at most 255 characters"),
        ("orders/1/cancel", {"shop_id": 7}, "shop_id: must be a string"),
        ("validate", {"codes": ["A"], "order": order("a\n")}, "order.shop_id: must have no control characters"),
    ],
)
async def test_a_contradictory_or_invalid_shop_is_a_422(
    database_url: str, path: str, body: dict[str, Any], place: str
) -> None:
    async with served(database_url) as here:
        problem = await asked(here, "POST", f"/v1/{path}", status=422, json=body)
        assert place in problem["detail"]
        assert await here.pool.fetchval("SELECT count(*) FROM orders") == 0


async def test_a_repeated_request_gets_the_same_response_and_another_shop_is_another_request(database_url: str) -> None:
    async with served(database_url, SHARED) as here:
        headers = {"Idempotency-Key": "k1"}
        asks = {"codes": ["SHARED"], "order": order(NORTH)}
        first = await asked(here, "POST", "/v1/redemptions", json=asks, headers=headers)
        assert await asked(here, "POST", "/v1/redemptions", json=asks, headers=headers) == first
        await here.pool.execute("DELETE FROM http_answers")
        assert await asked(here, "POST", "/v1/redemptions", json=asks, headers=headers) == first  # from the journal
        reused = await asked(
            here, "POST", "/v1/redemptions", status=422, json=asks | {"order": order(SOUTH)}, headers=headers
        )
        assert reused["code"] == "idempotency_key_reused"


async def test_the_merchant_of_a_gameball_order_is_its_shop(database_url: str) -> None:
    async with served(database_url, SHARED) as here:
        for shop in SHOPS:
            locked = await asked(here, "POST", "/v1/locks", status=201, json={"codes": ["SHARED"]})
            body = {
                "customerId": "c", "orderId": "777", "totalPrice": 100, "merchant": {"uniqueId": shop, "name": "x"},
                "redemption": {"couponsLockReference": locked["lock_reference"]},
            }  # fmt: skip
            path, headers = "/gameball/api/v4.0/integrations/orders", {"SecretKey": here.key}
            answer = await asked(here, "POST", path, json=body, headers=headers)
            assert (answer["orderId"], len(answer["redemption"]["coupons"])) == ("777", 1)
        found = (await asked(here, "GET", "/v1/redemptions"))["items"]
        assert {one["shop_id"] for one in found} == set(SHOPS)


# The command line


def test_the_command_line_names_shops(database_url: str) -> None:
    async def prepared() -> None:
        async with ledger(database_url, SHARED, definition("once", code={"shared_code": "ONCE"})):
            pass

    asyncio.run(prepared())

    def couponry(*arguments: str, code: int = 0) -> Any:
        called = call({"COUPONRY_DATABASE_URL": database_url}, *arguments)
        assert called.exit_code == code, called.err
        clean(called.out + called.err)
        return called

    money = ("--amount", "100.00", "--currency", "USD")
    of_north = ("--order", "777", "--shop", NORTH)
    valid = couponry("coupons", "validate", "ONCE", *of_north, *money, "--json").json
    assert (valid["order_id"], valid["shop_id"]) == ("777", NORTH)
    locked = couponry("coupons", "lock", "ONCE", *of_north, *money, "--json").json
    assert (locked["order_id"], locked["shop_id"]) == ("777", NORTH)
    assert "777 of shop North" in couponry("coupons", "show", "ONCE").words
    burn = ("coupons", "burn", locked["lock_reference"])
    refused = couponry(*burn, "--order", "777", *money, code=1)
    assert "is for order '777' of shop 'North & Co/EU', not for '777'." in refused.words
    burned = couponry(*burn, *of_north, *money)
    assert "shop North & Co/EU" in burned.words
    for shop in (("--shop", SOUTH), ()):
        reference = couponry("coupons", "lock", "SHARED", "--json").json["lock_reference"]
        couponry("coupons", "burn", reference, "--order", "777", *shop, *money)

    def listed(*options: str) -> set[tuple[str, str | None]]:
        found = couponry("redemptions", "list", "--json", *options).json
        return {(one["order_id"], one["shop_id"]) for one in found}

    assert listed() == {("777", NORTH), ("777", SOUTH), ("777", None)}
    assert listed("--order", "777") == {("777", None)}
    assert listed(*of_north) == {("777", NORTH)}
    assert listed("--shop", SOUTH) == {("777", SOUTH)}
    assert listed("--shop", "sou") == set()
    assert "777 of shop south" in couponry("redemptions", "list").words
    assert "No redemption matches." in couponry("redemptions", "list", "--order", "778").words
    history = couponry("coupons", "show", "SHARED", "--json").json
    assert {one["shop_id"] for one in history["happenings"] if one["order_id"] == "777"} == {SOUTH, None}
    for wrong in (("--shop", "a"), ("--order", "1", "--shop", "a\x1f"), ("--order", "1", "--shop", " ")):
        couponry("coupons", "validate", "ONCE", *wrong, code=2)
    couponry("coupons", "release", f"order:{order_key(NORTH, '777')}", code=2)


# Personal data


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
