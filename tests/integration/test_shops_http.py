"""Orders of several shops with the same ids, through HTTP, the command line, exports and erasures.

Nothing that leaves Couponry contains the key of an order, which is checked on every output.
"""

import asyncio
from typing import Any

import pytest

from shared.domain.model.ids import order_key
from tests.gateway import Served, served
from tests.integration.cli_calls import call
from tests.ledger import definition, ledger
from tests.shops import NORTH, SHARED, SHOPS, SOUTH, clean

pytestmark = pytest.mark.postgres


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
