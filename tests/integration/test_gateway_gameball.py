"""Gameball's coupon calls: the life of a coupon, and the vendor's error codes."""

from typing import Any

import httpx
import pytest

from tests.gateway import Served, served
from tests.ledger import definition

pytestmark = pytest.mark.asyncio

BASE = "/gameball/api/v4.0/integrations"
SAVE10 = definition(
    "save10",
    discount={"kind": "percentage", "value": "10", "max_discount": "50"},
    eligibility={"min_order_amount": "100", "currency": "USD"},
    limits={"uses_per_coupon": 1, "uses_per_customer": 1},
    issues_on=[{"event": "reward.earned", "match": {"rule_id": "42"}}],
)


class Shop:
    """A client of the facade."""

    def __init__(self, here: Served) -> None:
        self.here = here
        self.client = here.anonymous_client()
        self.headers = {"APIKey": "public", "SecretKey": here.key}

    async def post(self, path: str, body: dict[str, Any], **more: Any) -> httpx.Response:
        return await self.client.post(f"{BASE}{path}", json=body, headers=self.headers, **more)

    async def generated(self, customer_id: str = "customer_123") -> str:
        answer = await self.post("/coupons/predefined", {"customerId": customer_id, "ruleId": 42})
        assert answer.status_code == 200, answer.text
        return str(answer.json()["code"])


async def test_a_coupon_is_generated_validated_locked_and_burned_by_an_order(database_url: str) -> None:
    async with served(database_url, SAVE10) as here:
        shop = Shop(here)
        code = await shop.generated()
        plain = (await shop.post(f"/coupons/{code}/validate", {"customerId": "customer_123"})).json()
        assert (plain["isValid"], plain["lockReference"]) == (True, None)
        assert (plain["discountType"], plain["discountAmount"]) == ("percentage", 10)

        locked = (await shop.post(f"/coupons/{code}/validate", {"customerId": "customer_123", "lock": True})).json()
        assert locked["isValid"] is True
        assert locked["dateToExpire"] is not None
        other = (await shop.post(f"/coupons/{code}/validate", {"customerId": "customer_456", "lock": True})).json()
        assert (other["isValid"], other["reason"], other["code"]) == (False, "locked_elsewhere", 2001)

        ordered = await shop.post(
            "/orders",
            {
                "customerId": "customer_123",
                "orderId": "ORD456",
                "totalPrice": 125.00,
                "redemption": {"couponsLockReference": locked["lockReference"]},
            },
        )
        assert ordered.status_code == 200
        assert ordered.json()["redemption"]["coupons"] == [{"code": code, "discountAmount": 12.5}]
        gone = (await shop.post(f"/coupons/{code}/validate", {"customerId": "customer_123"})).json()
        assert (gone["isValid"], gone["code"]) == (False, 3011)


async def test_a_lock_and_its_minutes_can_be_query_parameters(database_url: str) -> None:
    async with served(database_url, SAVE10) as here:
        shop = Shop(here)
        code = await shop.generated()
        query = {"lock": "true", "lockDuration": "5"}
        locked = await shop.post(f"/coupons/{code}/validate", {"customerId": "customer_123"}, params=query)
        reference = locked.json()["lockReference"]
        seconds = await here.pool.fetchval(
            "SELECT extract(epoch FROM expires_at - now())::int FROM locks WHERE lock_reference = $1", reference
        )
        assert 290 <= seconds <= 300
        released = await shop.post("/coupons/release", {"lockReference": reference})
        assert (released.json()["success"], released.json()["releasedCoupons"]) == (True, [code])
        again = await shop.client.delete(f"{BASE}/coupons/{reference}", headers=shop.headers)
        assert again.json()["releasedCoupons"] == []
        unknown = await shop.client.delete(f"{BASE}/coupons/nothing", headers=shop.headers)
        assert (unknown.status_code, unknown.json()["code"]) == (404, 9006)


async def test_coupons_or_a_lock_are_burned_once_per_transaction(database_url: str) -> None:
    async with served(database_url, SAVE10) as here:
        shop = Shop(here)
        first, second = await shop.generated("a"), await shop.generated("b")
        burned = await shop.post(
            "/coupons/burn", {"customerId": "a", "transactionId": "T1", "coupons": [first.lower()]}
        )
        assert (burned.status_code, burned.json()["burnedCoupons"]) == (200, [first])
        for codes in ([first], [second]):
            again = await shop.post("/coupons/burn", {"customerId": "b", "transactionId": "T1", "coupons": codes})
            assert (again.status_code, again.json()["code"]) == (422, 9004)
            assert again.json()["type"] == "Transaction Error"
        locked = (await shop.post(f"/coupons/{second}/validate", {"customerId": "b", "lock": True})).json()
        by_lock = await shop.post(
            "/coupons/burn", {"customerId": "b", "transactionId": "T2", "lockReference": locked["lockReference"]}
        )
        assert by_lock.json()["burnedCoupons"] == [second]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"transactionId": "T", "coupons": ["A"], "lockReference": "L"}, 3003),
        ({"transactionId": "T"}, 3003),
        ({"transactionId": "T", "coupons": []}, 3003),
        ({"coupons": ["A"]}, 3000),
        ({"transactionId": "T", "coupons": ["NOPE"]}, 4004),
        ({"transactionId": "T", "lockReference": "nope"}, 9006),
    ],
)
async def test_a_refused_burn_has_the_vendors_code(database_url: str, body: dict[str, Any], code: int) -> None:
    async with served(database_url) as here:
        answer = await Shop(here).post("/coupons/burn", body)
        assert answer.json()["code"] == code, answer.text
        assert answer.status_code in {404, 422}
        assert set(answer.json()) == {"code", "type", "message", "requestId"}


async def test_all_types_and_properties_of_a_coupon_are_returned(database_url: str) -> None:
    usd = {"currency": "USD"}
    terms: dict[str, dict[str, Any]] = {
        "fixed_discount": {"kind": "fixed", "value": "20.50", "currency": "USD"},
        "fixed_rate_discount": {"kind": "fixed_rate", "value": "50", "currency": "SAR"},
        "free_shipping": {"kind": "free_shipping"},
        "free_product": {"kind": "free_product", "product_id": "gift"},
        "custom": {"kind": "custom", "payload": {"partner": 7}},
    }
    campaigns = [
        definition(
            kind,
            discount=discount,
            code={"shared_code": kind},
            limits={"uses_per_coupon": 100, "uses_per_customer": 1},
            applies_to={"product_ids": ["p1"], "variant_ids": ["v1"], "collection_ids": ["c1"]}
            if kind != "custom"
            else {},
            eligibility={"min_order_amount": "100", **usd} if kind == "fixed_discount" else {},
        )
        for kind, discount in terms.items()
    ]
    async with served(database_url, *campaigns) as here:
        shop = Shop(here)
        for kind in terms:
            document = (await shop.post(f"/coupons/{kind}/validate", {"customerId": "c"})).json()
            assert document["isValid"], document
            assert document["coupon"]["type"] == kind
            assert (document["coupon"]["usageLimit"], document["coupon"]["limitPerCustomer"]) == (100, 1)
        fixed = (await shop.post("/coupons/fixed_discount/validate", {"customerId": "c"})).json()
        assert (fixed["discountType"], fixed["discountAmount"]) == ("fixed", 20.5)
        coupon = fixed["coupon"]
        assert (coupon["minOrderValue"], coupon["startDate"]) == (100, "2026-01-01T00:00:00Z")
        assert coupon["entitledProductIds"] == ["p1"]
        assert coupon["entitledVariantIds"] == ["v1"]
        assert coupon["entitledCollectionIds"] == ["c1"]


async def test_the_caller_is_identified_by_the_vendors_headers(database_url: str) -> None:
    async with served(database_url) as here:
        client = here.anonymous_client()
        body = {"customerId": "c"}
        for headers in ({}, {"APIKey": "x"}, {"APIKey": "x", "SecretKey": "y"}):
            answer = await client.post(f"{BASE}/coupons/A/validate", json=body, headers=headers)
            assert (answer.status_code, answer.json()["code"]) == (401, 1001)
        alone = await client.post(f"{BASE}/coupons/A/validate", json=body, headers={"APIKey": here.key})
        assert alone.json()["isValid"] is False
        key = (await here.key_for("validate"))["Authorization"].removeprefix("Bearer ")
        lock = await client.post(f"{BASE}/coupons/A/validate", json=body | {"lock": True}, headers={"SecretKey": key})
        assert (lock.status_code, lock.json()["code"]) == (403, 1002)


async def test_a_rule_without_a_campaign_issues_nothing(database_url: str) -> None:
    async with served(database_url, SAVE10) as here:
        answer = await Shop(here).post("/coupons/predefined", {"customerId": "c", "ruleId": 7})
        assert (answer.status_code, answer.json()["code"]) == (404, 4004)
