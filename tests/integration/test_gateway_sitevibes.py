"""SiteVibes' requests for a code when a customer takes a reward: a new code at every call, or an error."""

import asyncio
from typing import Any

import pytest

from tests.gateway import served
from tests.ledger import definition

pytestmark = pytest.mark.asyncio

PATH = "/sitevibes/coupon-manager"
JOHN = {"email": "john.smith@email.com"}


async def test_every_call_returns_a_new_code(database_url: str) -> None:
    async with served(database_url, definition("test-coupon-1")) as here:
        client, headers = here.anonymous_client(), {"X-Auth": here.key}
        answers = await asyncio.gather(
            *[client.post(f"{PATH}/test-coupon-1", json=JOHN, headers=headers) for _ in range(20)]
        )
        assert {answer.status_code for answer in answers} == {200}
        assert len({answer.json()["coupon_code"] for answer in answers}) == 20
        assert all(set(answer.json()) == {"coupon_code"} for answer in answers)


async def test_a_campaign_without_codes_returns_an_empty_code(database_url: str) -> None:
    source = {"kind": "generated", "without_code": True}
    campaign = definition("by-post", discount={"kind": "custom", "payload": {}}, source=source, code={})
    async with served(database_url, campaign) as here:
        for _ in range(2):
            answer = await here.client.post(f"{PATH}/by-post", json=JOHN)
            assert (answer.status_code, answer.json()) == (200, {"coupon_code": ""})


@pytest.mark.parametrize(
    ("campaign", "body", "status", "error"),
    [
        ("nope", JOHN, 404, "not_found"),
        ("paused", JOHN, 409, "campaign_inactive"),
        ("once", JOHN, 409, "customer_limit"),
        ("shared", JOHN, 422, "conflict"),
        ("once", {"email": "no address"}, 422, "invalid_request"),
        ("once", {}, 422, "invalid_request"),
        ("once", [], 422, "invalid_request"),
    ],
)
async def test_a_refusal_has_no_2xx_status(
    database_url: str, campaign: str, body: dict[str, Any], status: int, error: str
) -> None:
    campaigns = [
        definition("paused", status="paused"),
        definition("once", limits={"uses_per_coupon": 1, "coupons_per_customer": 1}),
        definition("shared", code={"shared_code": "ALL"}),
    ]
    async with served(database_url, *campaigns) as here:
        if campaign == "once":
            assert (await here.client.post(f"{PATH}/once", json=JOHN)).status_code == 200
        answer = await here.client.post(f"{PATH}/{campaign}", json=body)
        assert (answer.status_code, answer.json()["error"]) == (status, error)
        assert "coupon_code" not in answer.json()


async def test_a_request_without_a_key_in_any_header_gets_a_401(database_url: str) -> None:
    async with served(database_url, definition("one")) as here:
        for headers in ({}, {"X-Auth": "secret"}, {"Authorization": "Bearer x"}):
            answer = await here.anonymous_client().post(f"{PATH}/one", json=JOHN, headers=headers)
            assert answer.status_code == 401
