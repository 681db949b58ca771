"""Six APIs of one engine: each can read the coupons of the others, and all redemptions are in one list."""

import asyncio
from typing import Any

import httpx
import pytest

from tests.gateway import Served, listening, served
from tests.ledger import definition

pytestmark = pytest.mark.asyncio

PERCENT_OFF = 25
MADE_BY = ("native", "paddle", "voucherify")


async def make(here: Served, api: str) -> str:
    """Create a coupon of 25 percent with three uses until 2037 with one API. Return its code."""
    if api == "native":
        campaign = {
            "campaign_id": "native",
            "discount": {"kind": "percentage", "value": "25"},
            "limits": {"uses_per_coupon": 3},
            "window": {"ends_at": "2037-01-01T00:00:00Z"},
        }
        assert (await here.client.post("/v1/campaigns", json=campaign)).status_code == 201
        answer = await here.client.post("/v1/coupons", json={"campaign_id": "native"})
        return str(answer.json()["coupons"][0]["code"])
    if api == "paddle":
        payload = {
            "vendor_id": "1", "vendor_auth_code": here.key, "coupon_type": "checkout", "discount_type": "percentage",
            "discount_amount": "25", "allowed_uses": "3", "expires": "2037-01-01",
        }  # fmt: skip
        answer = await here.anonymous_client().post("/paddle/api/2.1/product/create_coupon", data=payload)
        return str(answer.json()["response"]["coupon_codes"][0])
    body = {
        "type": "DISCOUNT_VOUCHER", "discount": {"type": "PERCENT", "percent_off": 25}, "redemption": {"quantity": 3},
        "expiration_date": "2037-01-01T00:00:00Z",
    }  # fmt: skip
    headers = {"X-App-Id": "1", "X-App-Token": here.key}
    return str(
        (await here.anonymous_client().post("/voucherify/v1/vouchers", json=body, headers=headers)).json()["code"]
    )


@pytest.mark.parametrize("api", MADE_BY)
async def test_a_coupon_created_with_one_api_reads_the_same_in_the_others(database_url: str, api: str) -> None:
    async with served(database_url) as here:
        code = await make(here, api)
        coupon = (await here.client.get(f"/v1/coupons/{code}")).json()
        campaign = (await here.client.get(f"/v1/campaigns/{coupon['campaign_id']}")).json()["definition"]
        assert (campaign["discount"]["kind"], campaign["discount"]["value"]) == ("percentage", "25")
        assert (coupon["uses_limit"], coupon["ends_at"]) == (3, "2037-01-01T00:00:00Z")

        headers = {"X-App-Id": "1", "X-App-Token": here.key}
        voucher = (await here.anonymous_client().get(f"/voucherify/v1/vouchers/{code}", headers=headers)).json()
        assert (voucher["discount"]["percent_off"], voucher["redemption"]["quantity"]) == (PERCENT_OFF, 3)
        assert voucher["expiration_date"] == "2037-01-01T00:00:00Z"

        path = f"/gameball/api/v4.0/integrations/coupons/{code}/validate"
        payload = await here.anonymous_client().post(path, json={"customerId": "c"}, headers={"SecretKey": here.key})
        properties = payload.json()["coupon"]
        assert (properties["type"], properties["value"], properties["usageLimit"]) == ("percentage_discount", 25, 3)
        assert properties["expiryDate"] == "2037-01-01T00:00:00Z"

        redeemed = await here.client.post(
            "/capillary/v1.1/coupon/redeem",
            json={"root": {"coupon": [{"code": code, "transaction": [{"number": "T", "amount": "100"}]}]}},
        )
        item = redeemed.json()["response"]["coupons"]["coupon"]
        assert (item["item_status"]["code"], item["coupon_value"], item["is_absolute"]) == (700, "25", "false")


async def test_redemptions_of_all_channels_are_in_one_list(database_url: str) -> None:
    async with served(database_url, definition("all", code={"shared_code": "ALL"}, limits={})) as here:
        order = {"order_id": "native", "currency": "USD", "amount": "100.00"}
        await here.client.post("/v1/redemptions", json={"codes": ["ALL"], "order": order})
        coupons = [{"code": "ALL", "transaction": [{"number": "capillary", "amount": "100"}]}]
        await here.client.post("/capillary/v1.1/coupon/redeem", json={"root": {"coupon": coupons}})
        burn = {"transactionId": "gameball", "coupons": ["ALL"]}
        secret = {"SecretKey": here.key}
        await here.anonymous_client().post("/gameball/api/v4.0/integrations/coupons/burn", json=burn, headers=secret)
        payload: dict[str, Any] = {
            "redeemables": [{"object": "voucher", "id": "ALL"}],
            "order": {"source_id": "voucherify", "amount": 10_000},
        }
        headers = {"X-App-Id": "1", "X-App-Token": here.key}
        await here.anonymous_client().post("/voucherify/v1/redemptions", json=payload, headers=headers)
        listed = (await here.client.get("/v1/redemptions")).json()["items"]
        assert [one["order_id"] for one in listed] == ["voucherify", "gameball", "capillary", "native"]
        assert {one["outcome"] for one in listed} == {"redeemed"}


async def test_of_400_on_50_connections_100_succeed_and_300_are_refused(database_url: str) -> None:
    campaign = definition("hot", code={"shared_code": "HOT"}, limits={"uses_per_coupon": 100, "uses_total": 1_000})
    async with served(database_url, campaign) as here, listening(here) as url:
        limits = httpx.Limits(max_connections=50, max_keepalive_connections=50)
        headers = {"Authorization": f"Bearer {here.key}"}
        async with httpx.AsyncClient(
            base_url=url, headers=headers, limits=limits, timeout=60, trust_env=False
        ) as client:

            async def redeem(number: int) -> tuple[int, str]:
                order = {"order_id": f"O{number}", "currency": "USD", "amount": "10.00"}
                answer = await client.post("/v1/redemptions", json={"codes": ["HOT"], "order": order})
                return answer.status_code, answer.json().get("code", "")

            answers = await asyncio.gather(*[redeem(number) for number in range(400)])
        assert (answers.count((200, "")), answers.count((422, "exhausted"))) == (100, 300)
        assert await here.pool.fetchval("SELECT used_uses FROM coupons") == 100
        assert await here.pool.fetchval("SELECT used_uses FROM meters") == 100
        assert await here.pool.fetchval("SELECT count(*) FROM ledger_entries WHERE kind = 'burned'") == 100
