"""Coupons at the checkout over HTTP: the whole life of a coupon, and its errors."""

import asyncio
from typing import Any

import pytest

from shared.ledger.engine import Engine
from tests.gateway import Served, served
from tests.ledger import definition, issue

pytestmark = pytest.mark.asyncio

ORDER = {"order_id": "ORD1", "currency": "USD", "amount": "125.00"}


def order(order_id: str = "ORD1", **changes: Any) -> dict[str, Any]:
    return ORDER | {"order_id": order_id} | changes


async def one_code(here: Served, campaign_id: str = "save10") -> str:
    [code] = await issue(Engine(here.pool), campaign_id)
    return code


async def test_a_coupon_is_validated_locked_burned_and_restored(database_url: str) -> None:
    async with served(database_url, definition()) as here:
        code = await one_code(here)
        validated = await here.client.post("/v1/validate", json={"codes": [code], "order": ORDER})
        assert validated.status_code == 200
        assert (validated.json()["valid"], validated.json()["discount_amount"]) == (True, "12.50")

        locked = await here.client.post("/v1/locks", json={"codes": [code], "order": ORDER})
        assert locked.status_code == 201
        reference = locked.json()["lock_reference"]
        assert reference.startswith("lock_")

        elsewhere = await here.client.post("/v1/redemptions", json={"codes": [code], "order": order("ORD2")})
        assert (elsewhere.status_code, elsewhere.json()["code"]) == (422, "locked_elsewhere")
        assert elsewhere.headers["content-type"] == "application/problem+json"

        burned = await here.client.post(f"/v1/locks/{reference}/burn", json={"order_id": "ORD1"})
        assert burned.status_code == 200
        assert (burned.json()["outcome"], burned.json()["discount_amount"]) == ("redeemed", "12.50")

        gone = await here.client.post(f"/v1/locks/{reference}/release")
        assert (gone.status_code, gone.json()["code"]) == (422, "already_redeemed")

        cancelled = await here.client.post("/v1/orders/ORD1/cancel")
        assert (cancelled.json()["outcome"], cancelled.json()["discount_amount"]) == ("restored", "12.50")
        again = await here.client.post("/v1/redemptions", json={"codes": [code.lower()], "order": order("ORD3")})
        assert again.json()["outcome"] == "redeemed"


async def test_a_released_lock_holds_nothing(database_url: str) -> None:
    async with served(database_url, definition()) as here:
        code = await one_code(here)
        locked = await here.client.post("/v1/locks", json={"codes": [code], "lock_reference": "checkout-1"})
        assert locked.json()["lock_reference"] == "checkout-1"
        assert (await here.client.delete("/v1/locks/checkout-1")).json()["outcome"] == "released"
        assert (await here.client.post("/v1/locks/checkout-1/release")).json()["outcome"] == "unchanged"
        unknown = await here.client.post("/v1/locks/unknown/release")
        assert (unknown.status_code, unknown.json()["code"]) == (404, "lock_not_found")
        redeemed = await here.client.post("/v1/redemptions", json={"codes": [code], "order": ORDER})
        assert redeemed.status_code == 200


async def test_validating_returns_refusals_and_changes_nothing(database_url: str) -> None:
    async with served(database_url, definition()) as here:
        code = await one_code(here)
        for _ in range(2):
            answer = await here.client.post("/v1/validate", json={"codes": [code, "NOPE"], "order": ORDER})
            assert answer.status_code == 200
            assert answer.json()["valid"] is False
            assert {one["code"]: one["reason"] for one in answer.json()["refused"]} == {
                code: "not_combinable",
                "NOPE": "not_found",
            }
        alone = {"codes": [code, "NOPE"], "order": ORDER, "atomic": False}
        answer = await here.client.post("/v1/validate", json=alone)
        assert [one["code"] for one in answer.json()["coupons"]] == [code]
        assert await here.pool.fetchval("SELECT count(*) FROM ledger_entries WHERE kind <> 'issued'") == 0


async def test_explaining_returns_every_rule(database_url: str) -> None:
    async with served(database_url, definition(eligibility={"min_order_amount": "200.00", "currency": "USD"})) as here:
        code = await one_code(here)
        answer = await here.client.post("/v1/explain", json={"code": code, "order": ORDER})
        assert answer.json()["outcome"] == "below_minimum"
        findings = {one["rule"]: one for one in answer.json()["findings"]}
        assert findings["eligibility.min_order_amount"]["outcome"] == "refused"


@pytest.mark.parametrize(
    ("body", "status", "code", "place"),
    [
        (b"{", 400, "invalid_json", None),
        (b"", 400, "invalid_json", None),
        (b"[]", 422, "invalid_request", ""),
        (b'{"codes": []}', 422, "invalid_request", "codes"),
        (b'{"codes": ["A"], "nope": 1}', 422, "invalid_request", "nope"),
        (b'{"codes": "A"}', 422, "invalid_request", "codes"),
        (b'{"codes": ["A\\u0000"]}', 422, "invalid_request", ""),
        (b'{"codes": ["A"], "order": {"currency": "USD"}}', 422, "invalid_request", "order"),
        (b'{"codes": ["A"], "order": {"currency": "JPY", "amount": "1.5"}}', 422, "invalid_request", "order.amount"),
        (b'{"codes": ["A"], "order": {"currency": "XXX", "amount": "1"}}', 422, "invalid_request", "order.currency"),
        (b'{"codes": ["A"], "customer": {}}', 422, "invalid_request", "customer"),
        (b'{"codes": ["A"], "customer": {"mobile": "12"}}', 422, "invalid_request", "customer"),
    ],
)
async def test_an_invalid_body_is_a_problem_with_its_place(
    database_url: str, body: bytes, status: int, code: str, place: str | None
) -> None:
    async with served(database_url) as here:
        answer = await here.client.post("/v1/validate", content=body, headers={"Content-Type": "application/json"})
        problem = answer.json()
        assert (answer.status_code, problem["code"]) == (status, code), problem
        assert problem["status"] == status
        if place is not None:
            assert problem["errors"][0]["place"] == place


async def test_an_amount_that_is_a_number_keeps_its_digits(database_url: str) -> None:
    async with served(database_url, definition()) as here:
        code = await one_code(here)
        body = f'{{"codes": ["{code}"], "order": {{"currency": "KWD", "amount": 123456789012.345}}}}'
        answer = await here.client.post("/v1/validate", content=body, headers={"Content-Type": "application/json"})
        assert answer.json()["discount_amount"] == "12345678901.235"


async def test_a_form_is_refused_with_415(database_url: str) -> None:
    async with served(database_url) as here:
        answer = await here.client.post("/v1/validate", data={"codes": "A"})
        assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type")


async def test_concurrent_redemptions_never_exceed_the_uses_of_a_coupon(database_url: str) -> None:
    campaign = definition(code={"shared_code": "HOT"}, limits={"uses_per_coupon": 100})
    async with served(database_url, campaign) as here:

        async def redeem(number: int) -> tuple[int, str]:
            body = {"codes": ["hot"], "order": order(f"ORD{number}")}
            answer = await here.client.post("/v1/redemptions", json=body)
            return answer.status_code, answer.json().get("code", "")

        answers = await asyncio.gather(*[redeem(number) for number in range(400)])
        assert answers.count((200, "")) == 100
        assert answers.count((422, "exhausted")) == 300
        used = await here.pool.fetchval("SELECT used_uses FROM coupons")
        assert used == 100


async def test_the_openapi_document_has_the_routes_and_their_problems(database_url: str) -> None:
    async with served(database_url) as here:
        document = (await here.anonymous_client().get("/openapi.json")).json()
        assert document["openapi"] == "3.1.0"
        redeem = document["paths"]["/v1/redemptions"]["post"]
        assert redeem["requestBody"]["content"]["application/json"]["schema"]["$ref"].endswith("RedeemBody")
        assert {"200", "401", "422", "429", "503"} <= set(redeem["responses"])
        page = await here.anonymous_client().get("/docs")
        assert page.status_code == 200
        assert "openapi.json" in page.text
