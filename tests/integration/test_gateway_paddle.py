"""Paddle Classic's coupon calls, with its Python client and with forms: the rules of every field."""

import asyncio
import warnings
from typing import Any

import httpx
import pytest

from tests.gateway import Served, listening, served
from tests.ledger import definition

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # the client uses distutils
    from paddle import PaddleClient, PaddleException

pytestmark = pytest.mark.asyncio

GOOD = {
    "coupon_type": "product",
    "product_ids": "510509,511520,508649",
    "discount_type": "percentage",
    "discount_amount": "25",
    "allowed_uses": "1",
}


async def form(here: Served, call: str, version: str = "2.1", **fields: str) -> httpx.Response:
    data = {"vendor_id": "12345", "vendor_auth_code": here.key} | fields
    return await here.anonymous_client().post(f"/paddle/api/{version}/product/{call}", data=data)


async def created(here: Served, **fields: str) -> list[str]:
    answer = await form(here, "create_coupon", **(GOOD | fields))
    assert answer.json()["success"] is True, answer.text
    codes: list[str] = answer.json()["response"]["coupon_codes"]
    return codes


async def refused(here: Served, call: str = "create_coupon", version: str = "2.1", **fields: str) -> int:
    answer = await form(here, call, version, **fields)
    assert (answer.status_code, answer.json()["success"]) == (200, False), answer.text
    return int(answer.json()["error"]["code"])


def order(amount: str, product: str = "510509", **more: Any) -> dict[str, Any]:
    line = {"line_id": "1", "product_id": product, "quantity": 1, "unit_price": amount}
    return {"order_id": f"O-{amount}-{product}", "currency": "USD", "lines": [line]} | more


async def test_the_published_example_creates_five_coupons(database_url: str) -> None:
    async with served(database_url) as here:
        codes = await created(
            here,
            coupon_prefix="TEST-",
            num_coupons="5",
            description="Coupons created via the API.",
            group="My-Test-Group",
        )
        assert len(set(codes)) == 5
        assert all(code.startswith("TEST-") for code in codes)
        [campaign] = (await here.client.get("/v1/campaigns")).json()["items"]
        assert campaign["definition"]["group"] == "My-Test-Group"
        assert campaign["definition"]["name"] == "Coupons created via the API."
        good = await here.client.post("/v1/redemptions", json={"codes": [codes[0]], "order": order("100.00")})
        assert good.json()["discount_amount"] == "25.00"
        other = await here.client.post("/v1/validate", json={"codes": [codes[1]], "order": order("100.00", "1")})
        assert other.json()["refused"][0]["reason"] == "no_eligible_product"


async def test_the_vendors_client_creates_updates_lists_and_deletes(database_url: str) -> None:
    async with served(database_url, paddle_path="/paddle.com") as here, listening(here) as url:

        def client_of(key: str) -> PaddleClient:
            client = PaddleClient(vendor_id=12345, api_key=key)
            client.checkout_v2_1, client.vendors_v2 = f"{url}/paddle.com/api/2.1/", f"{url}/paddle.com/api/2.0/"
            return client

        def life() -> tuple[Any, ...]:
            client = client_of(here.key)
            made = client.create_coupon(
                coupon_type="product", discount_type="flat", discount_amount=10.5, allowed_uses=3, recurring=True,
                currency="USD", product_ids=[1, 2], coupon_code="HELLO-WORLD", description="hi", expires="2037-12-31",
                minimum_threshold=100, group="spring",
            )  # fmt: skip
            listed = client.list_coupons(product_id=2)
            updated = client.update_coupon(
                coupon_code="HELLO-WORLD", allowed_uses=5, discount_amount=11, currency="USD"
            )
            again = client.list_coupons(product_id=1)
            client.delete_coupon(coupon_code="HELLO-WORLD")
            return made, listed, updated, again, client.list_coupons(product_id=1)

        made, listed, updated, again, after = await asyncio.to_thread(life)
        assert made == {"coupon_codes": ["HELLO-WORLD"]}
        assert listed == [
            {
                "coupon": "HELLO-WORLD", "description": "hi", "discount_type": "flat", "discount_amount": 10.5,
                "discount_currency": "USD", "allowed_uses": 3, "times_used": 0, "is_recurring": True,
                "expires": "2037-12-31 00:00:00", "coupon_group": "spring",
            }
        ]  # fmt: skip
        assert updated == {"updated": 1}
        assert (again[0]["allowed_uses"], again[0]["discount_amount"]) == (5, 11.0)
        assert after == []
        with pytest.raises(PaddleException) as missing:
            await asyncio.to_thread(client_of(here.key).delete_coupon, coupon_code="UNKNOWN")
        assert missing.value.code == 135
        with pytest.raises(PaddleException) as wrong:
            await asyncio.to_thread(client_of("wrong").list_coupons, product_id=1)
        assert wrong.value.code == 102


@pytest.mark.parametrize(
    ("fields", "number"),
    [
        ({"coupon_type": ""}, 116),
        ({"coupon_type": "both"}, 116),
        ({"product_ids": ""}, 116),
        ({"discount_type": ""}, 116),
        ({"discount_type": "half"}, 127),
        ({"discount_amount": ""}, 116),
        ({"discount_amount": "100"}, 128),
        ({"discount_amount": "-1"}, 128),
        ({"discount_amount": "x"}, 128),
        ({"discount_type": "flat", "discount_amount": "10"}, 116),
        ({"discount_type": "flat", "discount_amount": "0", "currency": "USD"}, 129),
        ({"discount_type": "flat", "discount_amount": "10", "currency": "usd"}, 134),
        ({"discount_type": "flat", "discount_amount": "10.001", "currency": "USD"}, 116),
        ({"allowed_uses": ""}, 116),
        ({"allowed_uses": "many"}, 130),
        ({"allowed_uses": "0"}, 130),
        ({"expires": "tomorrow"}, 133),
        ({"expires": "2026-02-30"}, 133),
        ({"coupon_code": "ABCD"}, 131),
        ({"coupon_code": "ABCDE", "num_coupons": "1"}, 116),
        ({"coupon_code": "ABCDE", "coupon_prefix": "A"}, 116),
        ({"num_coupons": "1001"}, 116),
        ({"recurring": "2"}, 116),
        ({"minimum_threshold": "much"}, 129),
    ],
)
async def test_an_invalid_field_has_the_vendors_error_code(
    database_url: str, fields: dict[str, str], number: int
) -> None:
    async with served(database_url) as here:
        assert await refused(here, **(GOOD | fields)) == number
        assert await here.pool.fetchval("SELECT count(*) FROM campaigns") == 0


async def test_a_threshold_must_be_exceeded_and_an_expiry_is_the_start_of_its_day(database_url: str) -> None:
    async with served(database_url) as here:
        [code] = await created(here, minimum_threshold="100.00")
        for amount, valid in (("100.00", False), ("100.01", True)):
            answer = await here.client.post("/v1/validate", json={"codes": [code], "order": order(amount)})
            assert answer.json()["valid"] is valid, amount
        [ends] = await created(here, expires="2030-06-01")
        for placed, reason in (("2030-05-31T23:59:59Z", None), ("2030-06-01T00:00:00Z", None)):
            body = {"codes": [ends], "order": order("10.00", placed_at=placed)}
            answer = (await here.client.post("/v1/validate", json=body)).json()
            assert answer["valid"] is (reason is None)  # a time in the future counts as now
        shown = (await here.client.get(f"/v1/coupons/{ends}")).json()
        assert shown["ends_at"] == "2030-06-01T00:00:00Z"


async def test_a_code_is_unique_and_a_group_is_created_on_demand(database_url: str) -> None:
    async with served(database_url, definition("other", code={"shared_code": "TAKEN-1"})) as here:
        assert await created(here, coupon_code="MINE-1", group="g") == ["MINE-1"]
        assert await refused(here, **(GOOD | {"coupon_code": "mine-1"})) == 132
        assert await refused(here, **(GOOD | {"coupon_code": "taken-1"})) == 132
        await created(here, num_coupons="3", group="g")
        answer = await form(here, "update_coupon", group="g", allowed_uses="7", expires="2037-01-01", new_group="h")
        assert answer.json()["response"] == {"updated": 4}
        campaigns = (await here.client.get("/v1/campaigns")).json()["items"]
        limits = sorted(one["definition"]["limits"]["uses_per_coupon"] or 0 for one in campaigns)
        assert limits == [1, 7, 7]
        assert sorted(str(one["definition"]["group"]) for one in campaigns) == ["None", "h", "h"]
        assert await refused(here, "update_coupon", group="g", allowed_uses="7") == 135


async def test_an_update_changes_given_fields_and_removes_blank_ones(database_url: str) -> None:
    async with served(database_url) as here:
        [code] = await created(here, expires="2030-01-01", minimum_threshold="50")
        answer = await form(
            here, "update_coupon", coupon_code=code.lower(), expires="", product_ids="", minimum_threshold="0",
            recurring="1", discount_amount="30",
        )  # fmt: skip
        assert answer.json() == {"success": True, "response": {"updated": 1}}
        [campaign] = (await here.client.get("/v1/campaigns")).json()["items"]
        terms = campaign["definition"]
        assert terms["window"]["ends_at"] is None
        assert terms["applies_to"]["product_ids"] == []
        assert terms["eligibility"]["min_order_amount"] is None
        assert (terms["recurring"], terms["discount"]["value"]) == (True, "30")
        both = {"coupon_code": code, "group": "g"}
        assert await refused(here, "update_coupon", **both) == 116
        assert await refused(here, "update_coupon", coupon_code="UNKNOWN") == 135
        several = await created(here, num_coupons="2")
        assert await refused(here, "update_coupon", coupon_code=several[0], allowed_uses="2") == 116


async def test_an_unused_coupon_can_be_renamed_but_a_used_one_cannot(database_url: str) -> None:
    async with served(database_url) as here:
        [code] = await created(here, allowed_uses="2")
        await form(here, "update_coupon", coupon_code=code, new_coupon_code="RENAMED")
        used = await here.client.post("/v1/redemptions", json={"codes": ["RENAMED"], "order": order("10.00")})
        assert used.status_code == 200
        old = await here.client.post("/v1/redemptions", json={"codes": [code], "order": order("20.00")})
        assert old.json()["code"] == "voided"
        assert await refused(here, "update_coupon", coupon_code="RENAMED", new_coupon_code="AGAIN-1") == 131


async def test_the_caller_is_identified_by_vendor_id_and_auth_code(database_url: str) -> None:
    async with served(database_url) as here:
        client = here.anonymous_client()
        for data in (
            {},
            {"vendor_id": "1"},
            {"vendor_auth_code": here.key},
            {"vendor_id": "1", "vendor_auth_code": "x"},
        ):
            answer = await client.post("/paddle/api/2.0/product/list_coupons", data={"product_id": "1"} | data)
            assert answer.json()["error"]["code"] == 102
        key = (await here.key_for("read"))["Authorization"].removeprefix("Bearer ")
        data = {"vendor_id": "1", "vendor_auth_code": key}
        answer = await client.post("/paddle/api/2.1/product/create_coupon", json=GOOD | data)
        assert answer.json()["error"]["code"] == 107
        bad = await client.post(
            "/paddle/api/2.1/product/create_coupon", content=b"{", headers={"Content-Type": "application/json"}
        )
        assert bad.json()["success"] is False
