"""Returns over HTTP: `return_id`, `refunded_amount` and a campaign with `on_return`."""

from typing import Any

import pytest

from tests.gateway import Served, served

pytestmark = pytest.mark.postgres

CAMPAIGN = {
    "campaign_id": "from-300",
    "discount": {"kind": "fixed", "value": "100", "currency": "EUR"},
    "eligibility": {"min_order_amount": "300"},
    "code": {"shared_code": "FROM300"},
    "on_return": "rejudge",
}
LINES = [{"line_id": "1", "product_id": "a", "quantity": 6, "unit_price": "50.00"}]


async def asked(here: Served, method: str, path: str, body: Any = None, *, status: int = 200) -> Any:
    answer = await here.client.request(method, path, json=body)
    assert answer.status_code == status, answer.text
    return answer.json()


async def redeemed(here: Served, order_id: str) -> None:
    order = {"order_id": order_id, "currency": "EUR", "amount": "300.00", "lines": LINES}
    made = await asked(here, "POST", "/v1/redemptions", {"codes": ["FROM300"], "order": order})
    assert (made["outcome"], made["discount_amount"]) == ("redeemed", "100.00")


async def test_a_campaign_created_over_http_judges_again_what_is_left(database_url: str) -> None:
    async with served(database_url) as here:
        await asked(here, "POST", "/v1/campaigns", CAMPAIGN, status=201)
        assert (await asked(here, "GET", "/v1/campaigns/from-300"))["definition"]["on_return"] == "rejudge"
        await redeemed(here, "T1")
        part = {"lines": [{"line_id": "1", "quantity": 5}]}
        judged = await asked(here, "POST", "/v1/orders/T1/return", part)
        assert (judged["outcome"], judged["discount_amount"]) == ("restored", "100.00")
        wrong = await asked(here, "POST", "/v1/campaigns", CAMPAIGN | {"on_return": "again"}, status=422)
        assert "'share' or 'rejudge'" in str(wrong["errors"])


async def test_returns_have_ids_and_refunds_over_http(database_url: str) -> None:
    async with served(database_url) as here:
        await asked(here, "POST", "/v1/campaigns", CAMPAIGN | {"on_return": "share"}, status=201)
        await redeemed(here, "T1")
        at = "2026-11-22T10:00:00Z"
        body = {"returned_at": at, "refunded_amount": "50.00"}
        answers = [
            await asked(here, "POST", "/v1/orders/T1/return", body | {"return_id": return_id})
            for return_id in ("R1", "R2", "R1")
        ]
        assert [(one["outcome"], one["discount_amount"], one["why"]) for one in answers] == [
            ("restored", "25.00", None), ("restored", "25.00", None), ("unchanged", None, "same_content"),
        ]  # fmt: skip
        other = body | {"return_id": "R2", "refunded_amount": "60.00"}
        refused = await asked(here, "POST", "/v1/orders/T1/return", other, status=422)
        assert refused["refused"][0]["message"] == (
            "Return 'R2' of this order was recorded with other content; give each return its own id."
        )
        last = await asked(here, "POST", "/v1/orders/T1/return", {"refunded_amount": "100.00", "return_id": "R3"})
        assert (last["outcome"], last["coupons"][0]["discount_amount"]) == ("restored", "50.00")
        assert await here.pool.fetchval("SELECT used_uses FROM coupons") == 0
