"""The published request examples of the five APIs, sent with curl; only the address and the key differ."""

import asyncio
import json
import shutil
from typing import Any

import pytest

from tests.gateway import Served, listening, served
from tests.integration.test_gateway_capillary import EXAMPLE, WITHOUT_COMMENTS
from tests.ledger import definition

pytestmark = [
    pytest.mark.asyncio,
    pytest.mark.skipif(shutil.which("curl") is None, reason="curl isn't here"),
]


async def curl(*arguments: str) -> tuple[int, dict[str, Any]]:
    """Run curl. Return the status and the parsed body."""
    process = await asyncio.create_subprocess_exec(
        "curl", "--silent", "--max-time", "30", "--write-out", "\n%{http_code}", *arguments,
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    printed = (await process.communicate())[0].decode()
    body, _, status = printed.rpartition("\n")
    return int(status), json.loads(body)


async def coupon(here: Served, campaign: str, code: str) -> None:
    answer = await here.client.post("/v1/coupons", json={"campaign_id": campaign, "codes": [code]})
    assert answer.status_code == 201


async def test_capillarys_example_is_a_400_with_comments_and_redeems_without_them(database_url: str) -> None:
    async with served(database_url, definition(), region="IN") as here, listening(here) as url:
        await coupon(here, "save10", "UZHYF")
        call = (
            "--location", f"{url}/capillary/v1.1/coupon/redeem", "--header", "Accept: application/json",
            "--header", "Content-Type: application/json", "--user", f"shop:{here.key}",
        )  # fmt: skip
        status, document = await curl(*call, "--data", EXAMPLE)
        assert (status, document["response"]["status"]["success"]) == (400, "false")
        assert "line 7" in document["response"]["status"]["message"]
        status, document = await curl(*call, "--data", WITHOUT_COMMENTS)
        assert (status, document["response"]["coupons"]["coupon"]["item_status"]["code"]) == (200, 700)
        assert document["response"]["coupons"]["coupon"]["customer"]["mobile"] == "919999988886"


async def test_paddles_example_creates_its_coupons(database_url: str) -> None:
    async with served(database_url) as here, listening(here) as url:
        fields = (
            "vendor_id=12345", f"vendor_auth_code={here.key}", "coupon_prefix=TEST-", "num_coupons=5",
            "description=Coupons created via the API.", "coupon_type=product", "product_ids=510509,511520,508649",
            "discount_type=percentage", "discount_amount=25", "allowed_uses=1", "group=My-Test-Group",
        )  # fmt: skip
        document = await curl(
            "-X", "POST", *[part for one in fields for part in ("-d", one)],
            f"{url}/paddle/api/2.1/product/create_coupon",
        )  # fmt: skip
        assert (document[0], document[1]["success"], len(document[1]["response"]["coupon_codes"])) == (200, True, 5)


async def test_gameballs_examples_generate_validate_and_lock(database_url: str) -> None:
    rule = {"event": "reward.earned", "match": {"rule_id": "42"}}
    async with served(database_url, definition(issues_on=[rule])) as here, listening(here) as url:
        base = f"{url}/gameball/api/v4.0/integrations"
        headers = ("-H", f"SecretKey: {here.key}", "-H", "APIKey: x", "-H", "Content-Type: application/json")
        body = '{\n"customerId": "customer_123",\n"ruleId": 42\n}'
        status, made = await curl(*headers, "-d", body, f"{base}/coupons/predefined")
        assert status == 200
        body = '{\n"customerId": "customer_123",\n"lock": true\n}'
        status, held = await curl(*headers, "-d", body, f"{base}/coupons/{made['code']}/validate")
        assert (held["isValid"], held["discountType"], held["discountAmount"]) == (True, "percentage", 10)
        body = json.dumps(
            {
                "customerId": "customer_123",
                "orderId": "ORD456",
                "redemption": {"couponsLockReference": held["lockReference"]},
            }
        )
        status, ordered = await curl(*headers, "-d", body, f"{base}/orders")
        assert (status, ordered["redemption"]["coupons"][0]["code"]) == (200, made["code"])


async def test_sitevibes_example_gets_its_code(database_url: str) -> None:
    async with served(database_url, definition("test-coupon-1")) as here, listening(here) as url:
        status, document = await curl(
            "-H", f"X-Auth-Token: {here.key}", "-H", "Content-Type: application/json",
            "-d", '{\n  "email": "john.smith@email.com"\n}', f"{url}/sitevibes/coupon-manager/test-coupon-1",
        )  # fmt: skip
        assert status == 200
        assert document["coupon_code"].startswith("TEST-COUPON-1-")


async def test_voucherifys_example_creates_its_voucher(database_url: str) -> None:
    example = """{
"category" :
"New Customers",
"type": "DISCOUNT_VOUCHER",
"discount": {
"percent_off": 10.0,
"type": "PERCENT"
},
"start_date": "2020-08-01T00:00:00Z",
"expiration_date": "2020-08-30T23:59:59Z",
"redemption": {
"quantity": 1
},
"code_config":
{
"pattern": "NEW123"
}
}"""
    async with served(database_url) as here, listening(here) as url:
        status, document = await curl(
            "-H", "X-App-Id: shop", "-H", f"X-App-Token: {here.key}", "-H", "Content-Type: application/json",
            "-d", example, f"{url}/voucherify/v1/vouchers",
        )  # fmt: skip
        assert (status, document["code"], document["discount"]["percent_off"]) == (200, "NEW123", 10)
