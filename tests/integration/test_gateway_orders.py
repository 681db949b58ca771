"""Orders that change and payments that fail, over HTTP."""

import asyncio
from typing import Any

import pytest

from services.gateway.access import keys
from services.gateway.access.callers import SCOPES
from services.redeemer.handler import OrderHandler
from services.redeemer.settings import RedeemerSettings
from shared.ledger.engine import Engine
from shared.runtime import telemetry
from tests.gateway import Served, served
from tests.ledger import definition
from tests.received_events import paid, placed

pytestmark = pytest.mark.asyncio

PERCENT = definition("percent", code={"shared_code": "P10"}, limits={"uses_per_coupon": None, "uses_per_customer": 1})
FROM50 = definition(
    "from50", discount={"kind": "fixed", "value": "10", "currency": "USD"}, code={"shared_code": "FROM50"},
    eligibility={"min_order_amount": "50"}, limits={},
)  # fmt: skip
ANN = {"customer_id": "ann"}


def order(amount: str = "100.00", **fields: Any) -> dict[str, Any]:
    return {"currency": "USD", "amount": amount, **fields}


async def asked(here: Served, method: str, path: str, body: Any = None, *, status: int = 200, **fields: Any) -> Any:
    answer = await here.client.request(method, path, json=body, **fields)
    assert answer.status_code == status, answer.text
    return answer.json()


async def placed_order(here: Served, *codes: str, order_id: str = "O1", **fields: Any) -> Any:
    body = {"codes": codes or ("P10",), "customer": ANN, "order": order(order_id=order_id, **fields)}
    return await asked(here, "POST", "/v1/redemptions", body)


async def put(here: Served, amount: str, *codes: str, path: str = "/v1/orders/O1", **fields: Any) -> Any:
    status, shop = fields.pop("status", 200), fields.pop("order", {})
    body = {"codes": codes, "customer": ANN, "order": order(amount, **shop)} | fields
    return await asked(here, "PUT", path, body, status=status)


async def events_of(here: Served) -> list[str]:
    rows = await here.pool.fetch("SELECT type FROM outbox ORDER BY position")
    return [row["type"].removeprefix("coupon.") for row in rows]


async def test_an_order_is_changed_and_its_discount_follows(database_url: str) -> None:
    async with served(database_url, PERCENT) as here:
        before = await placed_order(here)
        larger = await put(here, "150.00", "P10")
        assert (larger["outcome"], larger["discount_amount"], larger["valid"]) == ("adjusted", "15.00", True)
        assert (before["discount_amount"], larger["coupons"][0]["discount_amount"]) == ("10.00", "15.00")
        smaller = await put(here, "0.05", "P10")
        assert smaller["discount_amount"] == "0.01"
        listed = (await asked(here, "GET", "/v1/redemptions?order_id=O1"))["items"]
        assert [(one["outcome"], one["discount_amount"]) for one in listed] == [
            ("adjusted", "-14.99"), ("adjusted", "5.00"), ("redeemed", "10.00"),
        ]  # fmt: skip
        history = (await asked(here, "GET", "/v1/coupons/P10/history"))["happenings"]
        shown = [(one["what"], one["discount_amount"]) for one in history if one["order_id"] == "O1"]
        assert shown == [("burned", "10.00"), ("adjusted", "5.00"), ("adjusted", "-14.99")]
        report = await asked(here, "GET", "/v1/reports/campaigns/percent")
        assert report["discount_given"] == {"USD": "0.01"}
        assert await events_of(here) == ["redeemed", "redemption_adjusted", "redemption_adjusted"]


async def test_a_coupon_that_is_no_longer_good_is_restored_and_refused_in_the_response(database_url: str) -> None:
    async with served(database_url, PERCENT, FROM50) as here:
        await placed_order(here, "P10", "FROM50")
        changed = await put(here, "20.00", "P10", "FROM50")
        assert (changed["outcome"], changed["valid"], changed["discount_amount"]) == ("adjusted", False, "2.00")
        assert [(one["code"], one["reason"]) for one in changed["refused"]] == [("FROM50", "below_minimum")]
        assert (await asked(here, "GET", "/v1/coupons/FROM50"))["used_uses"] == 0
        again = await put(here, "80.00", "P10", "FROM50")
        assert (again["outcome"], again["discount_amount"]) == ("redeemed", "17.00")


async def test_codes_are_swapped_and_given_up(database_url: str) -> None:
    async with served(database_url, PERCENT, FROM50) as here:
        await placed_order(here)
        swapped = await put(here, "100.00", "FROM50")
        assert [one["code"] for one in swapped["coupons"]] == ["FROM50"]
        assert (await placed_order(here, order_id="O2"))["outcome"] == "redeemed"  # once per customer
        assert (await put(here, "100.00"))["outcome"] == "adjusted"
        assert (await asked(here, "GET", "/v1/coupons/FROM50"))["used_uses"] == 0


async def test_the_same_content_or_an_older_version_changes_nothing_and_says_why(database_url: str) -> None:
    async with served(database_url, PERCENT) as here:
        counter = telemetry.UNCHANGED.labels("gateway", "older_version")
        before = counter._value.get()
        await placed_order(here, placed_at="2026-03-01T12:00:00Z")
        await put(here, "50.00", "P10", changed_at="2026-03-01T12:05:00Z")
        for amount, minute, why in (("50.00", 6, "same_content"), ("70.00", 3, "older_version")):
            same = await put(here, amount, "P10", changed_at=f"2026-03-01T12:0{minute}:00Z")
            assert (same["outcome"], same["why"], same["valid"]) == ("unchanged", why, True)
            coupons = [(one["code"], one["discount_amount"]) for one in same["coupons"]]
            assert (same["discount_amount"], coupons) == ("5.00", [("P10", "5.00")]), "what the order has"
        assert counter._value.get() == before + 1
        assert (await events_of(here))[1:] == ["redemption_adjusted"]
        history = (await asked(here, "GET", "/v1/coupons/P10/history"))["happenings"]
        unchanged = [(one["reason"], one["message"]) for one in history if one["what"] == "unchanged"]
        assert unchanged == [(why, "placing or changing the order") for why in ("same_content", "older_version")]


async def test_an_unknown_order_is_placed_by_its_first_version(database_url: str) -> None:
    async with served(database_url, PERCENT) as here:
        first = await put(here, "100.00", "P10", path="/v1/orders/NEW%2F1")
        assert (first["outcome"], first["order_id"], first["discount_amount"]) == ("redeemed", "NEW/1", "10.00")
        assert (await put(here, "50.00", "P10", path="/v1/orders/NEW/1"))["discount_amount"] == "5.00"
        assert (await asked(here, "POST", "/v1/orders/NEW%2F1/cancel"))["outcome"] == "restored"
        closed = await put(here, "50.00", "P10", path="/v1/orders/NEW%2F1", status=422)
        assert closed["code"] == "order_mismatch"


async def test_shops_change_their_own_orders(database_url: str) -> None:
    async with served(database_url, FROM50) as here:
        for shop in ("north", "south"):
            await placed_order(here, "FROM50", shop_id=shop)
        north = await put(here, "60.00", path="/v1/orders/O1?shop_id=north")
        assert (north["outcome"], north["shop_id"]) == ("adjusted", "north")
        assert (await asked(here, "GET", "/v1/coupons/FROM50"))["used_uses"] == 1
        south = await put(here, "60.00", order={"shop_id": "south", "order_id": "O1"})
        assert (south["shop_id"], (await asked(here, "GET", "/v1/coupons/FROM50"))["used_uses"]) == ("south", 0)


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        ({"codes": ["P10"]}, 422, "order"),
        ({"codes": ["P10"], "order": {"currency": "USD"}}, 422, "amount"),
        ({"codes": ["P10"], "order": order("1.234")}, 422, "amount"),
        ({"codes": ["P10"], "order": order(order_id="O2")}, 422, "leave it out"),
        ({"codes": ["P10"], "order": order(), "changed_at": "yesterday"}, 422, "changed_at"),
        ({"codes": ["P10"], "customer": {"customer_id": "bob"}, "order": order("7.00")}, 422, "another customer"),
        ({"codes": "P10", "order": order()}, 422, "codes"),
        ([], 422, ""),
    ],
)
async def test_a_wrong_change_has_a_clear_response_and_changes_nothing(
    database_url: str, body: Any, status: int, says: str
) -> None:
    async with served(database_url, PERCENT) as here:
        await placed_order(here)
        problem = await asked(here, "PUT", "/v1/orders/O1", body, status=status)
        assert says in str(problem)
        assert (await events_of(here))[1:] in ([], ["redemption_refused"])
        assert (await put(here, "100.00", "P10"))["outcome"] == "unchanged"


async def test_a_change_needs_the_scope_redeem(database_url: str) -> None:
    async with served(database_url, PERCENT) as here:
        for method, path in (("PUT", "/v1/orders/O1"), ("POST", "/v1/orders/O1/payment-failed")):
            body = {"order": order()} if method == "PUT" else None
            refused = await here.client.request(method, path, json=body, headers=await here.key_for("read", "manage"))
            assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")


async def test_a_change_with_the_same_idempotency_key_is_executed_once(database_url: str) -> None:
    async with served(database_url, PERCENT) as here:
        await placed_order(here)
        key = {"Idempotency-Key": "k1"}
        bodies = [{"codes": ["P10"], "customer": ANN, "order": order(amount)} for amount in ("50.00", "50.00", "70.00")]
        answers = [await here.client.put("/v1/orders/O1", json=body, headers=key) for body in bodies]
        assert [one.status_code for one in answers] == [200, 200, 422]
        assert answers[0].json() == answers[1].json()


async def test_changes_at_once_end_as_one_of_them(database_url: str) -> None:
    async with served(database_url, PERCENT) as here:
        await placed_order(here)
        amounts = [f"{number}0.00" for number in range(1, 10)]
        answers = await asyncio.gather(*(put(here, amount, "P10") for amount in amounts))
        assert {one["outcome"] for one in answers} == {"adjusted"}
        used = await here.pool.fetchval("SELECT sum(used_minor)::bigint FROM ledger_entries")
        assert used == await here.pool.fetchval("SELECT amount_minor / 10 FROM orders")


# Payments that fail


def redeemer(here: Served) -> OrderHandler:
    settings = RedeemerSettings(
        kafka_bootstrap_servers="localhost:1", database_url="postgresql://localhost/x", burn_on="paid"
    )
    return OrderHandler(here.pool, Engine(here.pool), settings)


async def test_a_failed_payment_releases_what_the_order_holds(database_url: str) -> None:
    async with served(database_url, PERCENT) as here:
        handler = redeemer(here)
        event = placed("1", order_id="POS/1", customer=ANN, coupon_codes=["P10"], amount="100.00")
        assert await handler.handle([event]) == []
        path = "/v1/orders/POS%2F1/payment-failed"
        failed = await asked(here, "POST", path, {"failed_at": "2026-01-02T03:05:00Z"})
        assert (failed["outcome"], failed["discount_amount"], failed["order_id"]) == ("released", "10.00", "POS/1")
        again = await asked(here, "POST", path)
        assert (again["outcome"], again["why"]) == ("unchanged", "nothing_held")
        assert (await asked(here, "GET", "/v1/coupons/P10"))["held_uses"] == 0
        assert await handler.handle([paid("2", order_id="POS/1")]) == []  # after all
        assert await events_of(here) == ["locked", "released", "redeemed"]


async def test_a_failed_payment_of_another_order_changes_nothing(database_url: str) -> None:
    async with served(database_url, PERCENT) as here:
        await placed_order(here)
        for path in ("/v1/orders/NONE/payment-failed", "/v1/orders/O1/payment-failed"):
            answer = await asked(here, "POST", path)
            assert (answer["outcome"], answer["why"]) == ("unchanged", "nothing_held")
        assert (await asked(here, "GET", "/v1/coupons/P10"))["used_uses"] == 1
        wrong = await asked(here, "POST", "/v1/orders/O1/payment-failed", {"failed_at": "soon"}, status=422)
        assert "failed_at" in str(wrong)


# Keys of other groups


async def test_a_key_of_another_group_changes_nothing_about_an_order(database_url: str) -> None:
    ours = definition("ours", group="a", code={"shared_code": "OURS"}, limits={"uses_per_coupon": 1})
    theirs = definition("theirs", group="b", code={"shared_code": "THEIRS"}, limits={})
    async with served(database_url, ours, theirs) as here:
        handler = redeemer(here)
        fields: dict[str, Any] = {"customer": ANN, "coupon_codes": ["OURS"], "amount": "100.00"}
        assert await handler.handle([placed("1", order_id="O1", **fields)]) == []
        bound = await keys.create(here.pool, "theirs", SCOPES, groups=["b"])
        headers = {"Authorization": f"Bearer {bound.key}"}

        async def attempts() -> list[tuple[int, Any]]:
            found = []
            for method, path, body in (
                ("POST", "/v1/orders/O1/payment-failed", None),
                ("PUT", "/v1/orders/O1", {"codes": [], "order": order("1.00")}),
                ("PUT", "/v1/orders/O1", {"codes": ["THEIRS"], "order": order("1.00")}),
                ("PUT", "/v1/orders/O1", {"codes": ["OURS"], "customer": ANN, "order": order("1.00")}),
            ):
                answer = await here.client.request(method, path, json=body, headers=headers)
                found.append((answer.status_code, answer.json().get("code") or answer.json().get("outcome")))
            return found

        expected = [(200, "unchanged"), (200, "unchanged"), (422, "order_mismatch"), (404, "not_found")]
        assert await attempts() == expected
        assert (await asked(here, "GET", "/v1/coupons/OURS"))["held_uses"] == 1
        await asked(here, "POST", "/v1/orders/O1/payment-failed")
        assert await attempts() == expected
        assert await handler.handle([paid("2", order_id="O1")]) == []  # what it gave up is still known
        assert (await asked(here, "GET", "/v1/coupons/OURS"))["used_uses"] == 1
        assert await here.pool.fetchval("SELECT amount_minor FROM orders") == 10_000
