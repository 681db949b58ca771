"""Voucherify's calls, with its Python client and with httpx, from the creation of a voucher to its rollback."""

import asyncio
from collections.abc import Callable
from typing import Any

import httpx
import pytest
import voucherify
from voucherify import ApiClient, Configuration

from tests.gateway import Served, listening, served
from tests.ledger import definition

pytestmark = pytest.mark.asyncio

PUBLISHED_EXAMPLE = {
    "category": "New Customers",
    "type": "DISCOUNT_VOUCHER",
    "discount": {"percent_off": 10.0, "type": "PERCENT"},
    "start_date": "2020-08-01T00:00:00Z",
    "expiration_date": "2020-08-30T23:59:59Z",
    "redemption": {"quantity": 1},
    "code_config": {"pattern": "NEW123"},
}
PERCENT = {"type": "DISCOUNT_VOUCHER", "discount": {"type": "PERCENT", "percent_off": 10}}


class Api:
    """A client of the facade."""

    def __init__(self, here: Served) -> None:
        self.client = here.anonymous_client()
        self.headers = {"X-App-Id": "shop", "X-App-Token": here.key}

    async def post(self, path: str, body: Any = None, **headers: str) -> httpx.Response:
        return await self.client.post(f"/voucherify/v1{path}", json=body, headers=self.headers | headers)

    async def get(self, path: str, **query: Any) -> httpx.Response:
        return await self.client.get(f"/voucherify/v1{path}", params=query, headers=self.headers)

    async def voucher(self, **changes: Any) -> str:
        answer = await self.post("/vouchers", PERCENT | changes)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["code"])


def redeemables(*codes: str, amount: int | None = 12_500, order: str = "O1", **more: Any) -> dict[str, Any]:
    document: dict[str, Any] = {"redeemables": [{"object": "voucher", "id": code} for code in codes]} | more
    if amount is not None:
        document["order"] = {"source_id": order, "amount": amount}
    return document


async def test_the_published_example_creates_its_voucher(database_url: str) -> None:
    async with served(database_url) as here:
        api = Api(here)
        made = (await api.post("/vouchers", PUBLISHED_EXAMPLE)).json()
        assert (made["code"], made["category"], made["type"]) == ("NEW123", "New Customers", "DISCOUNT_VOUCHER")
        assert made["discount"]["percent_off"] == 10
        assert (made["start_date"], made["expiration_date"]) == ("2020-08-01T00:00:00Z", "2020-08-30T23:59:59Z")
        assert (made["redemption"]["quantity"], made["active"]) == (1, True)
        assert (await api.get("/vouchers/NEW123")).json() == made
        document = (await api.post("/validations", redeemables("NEW123"))).json()
        assert document["valid"] is False
        assert document["redeemables"][0]["result"]["error"]["key"] == "voucher_expired"
        again = await api.post("/vouchers", PUBLISHED_EXAMPLE)
        assert (again.status_code, again.json()["key"]) == (400, "duplicate_resource_key")


async def test_the_vendors_client_creates_redeems_and_rolls_back_vouchers(database_url: str) -> None:
    async with served(database_url) as here, listening(here) as url:
        configuration = Configuration(host=f"{url}/voucherify")
        configuration.api_key["X-App-Id"], configuration.api_key["X-App-Token"] = "shop", here.key

        def run(work: Callable[[ApiClient], Any]) -> Any:
            with ApiClient(configuration) as client:
                return work(client)

        def life(client: ApiClient) -> tuple[Any, ...]:
            vouchers, checks = voucherify.VouchersApi(client), voucherify.ValidationsApi(client)
            uses, campaigns = voucherify.RedemptionsApi(client), voucherify.CampaignsApi(client)
            made = vouchers.create_voucher(
                "HELLO",
                voucherify.VouchersCreateWithSpecificCodeRequestBody.from_dict(
                    {"type": "DISCOUNT_VOUCHER", "discount": {"type": "AMOUNT", "amount_off": 2_000}}
                ),
            )
            body = {"redeemables": [{"object": "voucher", "id": "HELLO"}], "order": {"amount": 10_000}}
            checked = checks.validate_stacked_discounts(voucherify.ValidationsValidateRequestBody.from_dict(body))
            used = uses.redeem_stacked_discounts(voucherify.RedemptionsRedeemRequestBody.from_dict(body))
            back = uses.rollback_redemption(used.redemptions[0].id, reason="changed my mind")
            campaign = campaigns.create_campaign(
                voucherify.CampaignsCreateRequestBody.from_dict(
                    {
                        "name": "spring", "campaign_type": "DISCOUNT_COUPONS", "type": "AUTO_UPDATE",
                        "vouchers_count": 3,
                        "voucher": {
                            "type": "DISCOUNT_VOUCHER", "discount": {"type": "PERCENT", "percent_off": 15},
                            "redemption": {"quantity": 1}, "code_config": {"pattern": "SPRING-########"},
                        },
                    }
                )
            )  # fmt: skip
            published = voucherify.PublicationsApi(client).create_publication(
                True,
                voucherify.PublicationsCreateRequestBody.from_dict(
                    {"campaign": {"name": "spring", "count": 1}, "customer": {"source_id": "john"}}
                ),
            )
            return (
                made,
                checked,
                used,
                back,
                campaign,
                published,
                uses.list_redemptions(),
                vouchers.get_voucher("HELLO"),
            )

        made, checked, used, back, campaign, published, listed, shown = await asyncio.to_thread(run, life)
        assert (made.code, made.discount.amount_off) == ("HELLO", 2_000)
        assert (checked.valid, checked.order.total_discount_amount) == (True, 2_000)
        assert used.redemptions[0].result == "SUCCESS"
        assert (back.result, back.redemption) == ("SUCCESS", used.redemptions[0].id)
        assert (campaign.name, campaign.vouchers_count) == ("spring", 3)
        assert published is not None
        assert listed.total == 2
        assert shown.redemption.redeemed_quantity == 0


async def test_stacked_vouchers_are_redeemed_and_rolled_back_together(database_url: str) -> None:
    stacking = {"policy": "combinable"}
    campaigns = [definition("ten", stacking=stacking), definition("two", stacking=stacking)]
    async with served(database_url, *campaigns) as here:
        api = Api(here)
        one, two = [
            (await api.post(f"/campaigns/{name}/vouchers?vouchers_count=1")).json()["code"] for name in ("ten", "two")
        ]
        used = (await api.post("/redemptions", redeemables(one, two, amount=10_000))).json()
        assert len(used["redemptions"]) == 2
        parent = used["parent_redemption"]["id"]
        assert used["order"]["total_discount_amount"] == 1_900
        child = await api.post(f"/redemptions/{used['redemptions'][0]['id']}/rollback", {})
        assert child.status_code == 400
        back = (await api.post(f"/redemptions/{parent}/rollbacks", {"reason": "returned"})).json()
        assert len(back["rollbacks"]) == 2
        again = await api.post(f"/redemptions/{parent}/rollbacks", {})
        assert (again.status_code, again.json()["key"]) == (400, "already_rolled_back")
        unknown = await api.post("/redemptions/r_nothing/rollback", {})
        assert (unknown.status_code, unknown.json()["key"]) == (404, "not_found")


async def test_a_session_locks_the_validated_vouchers(database_url: str) -> None:
    async with served(database_url) as here:
        api = Api(here)
        code = await api.voucher()
        session = {"type": "LOCK", "key": "checkout-1", "ttl": 5, "ttl_unit": "MINUTES"}
        held = (await api.post("/validations", redeemables(code, session=session))).json()
        assert (held["valid"], held["session"]["key"]) == (True, "checkout-1")
        other = (await api.post("/validations", redeemables(code, order="O2"))).json()
        assert other["redeemables"][0]["result"]["error"]["key"] == "multiple_requests"
        used = await api.post("/redemptions", redeemables(code, session=session))
        assert used.json()["redemptions"][0]["result"] == "SUCCESS"


async def test_failures_are_listed_with_their_keys(database_url: str) -> None:
    async with served(database_url) as here:
        api = Api(here)
        code = await api.voucher()
        assert (await api.post("/redemptions", redeemables(code))).status_code == 200
        exhausted = await api.post("/redemptions", redeemables(code, order="O2"))
        assert (exhausted.status_code, exhausted.json()["key"]) == (400, "quantity_exceeded")
        unknown = await api.post("/redemptions", redeemables("NOPE", order="O3"))
        assert (unknown.status_code, unknown.json()["key"]) == (404, "resource_not_found")
        failed = (await api.get("/redemptions", result="FAILURE")).json()["redemptions"]
        assert [one["failure_code"] for one in failed] == ["resource_not_found", "quantity_exceeded"]
        native = (await here.client.get("/v1/redemptions")).json()["items"]
        assert [one["outcome"] for one in native] == ["refused", "refused", "redeemed"]
        second = (await api.get("/redemptions", limit=1, page=2)).json()["redemptions"]
        assert second[0]["failure_code"] == "quantity_exceeded"


async def test_a_voucher_is_disabled_and_enabled(database_url: str) -> None:
    async with served(database_url, definition("many")) as here:
        api = Api(here)
        code = await api.voucher()
        assert (await api.post(f"/vouchers/{code}/disable")).json()["active"] is False
        document = (await api.post("/validations", redeemables(code))).json()
        assert document["redeemables"][0]["result"]["error"]["key"] == "voucher_disabled"
        assert (await api.post(f"/vouchers/{code}/enable")).json()["active"] is True
        one = (await api.post("/campaigns/many/vouchers?vouchers_count=2")).json()["codes"][0]
        assert (await api.post(f"/vouchers/{one}/disable")).json()["active"] is False
        assert (await api.post(f"/vouchers/{one}/enable")).json()["active"] is True
        assert (await api.post(f"/vouchers/{one}/enable")).json()["active"] is True
        assert (await api.post("/vouchers/NOPE/disable")).status_code == 404


@pytest.mark.parametrize(
    ("discount", "native"),
    [
        ({"type": "PERCENT", "percent_off": 12.5}, ("percentage", "12.5")),
        ({"type": "PERCENT", "percent_off": 10, "amount_limit": 5_000}, ("percentage", "10")),
        ({"type": "AMOUNT", "amount_off": 1_050}, ("fixed", "10.50")),
        ({"type": "UNIT", "unit_off": 2, "unit_type": "gift"}, ("free_product", "2")),
        ({"type": "UNIT", "unit_off": 1, "unit_type": "prod_5h1pp1ng"}, ("free_shipping", "100")),
    ],
)
async def test_a_discount_is_the_same_in_the_native_api_and_back(
    database_url: str, discount: dict[str, Any], native: tuple[str, str]
) -> None:
    async with served(database_url) as here:
        api = Api(here)
        code = await api.voucher(discount=discount)
        [campaign] = (await here.client.get("/v1/campaigns")).json()["items"]
        document = campaign["definition"]["discount"]
        assert (document["kind"], document["value"] or "100") == native
        shown = (await api.get(f"/vouchers/{code}")).json()["discount"]
        assert {name: shown[name] for name in discount} == discount


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/vouchers", {}),
        ("/vouchers", {"discount": {"type": "PERCENT"}}),
        ("/vouchers", {"discount": {"type": "FIXED", "amount_off": 1}}),
        ("/vouchers", {"type": "GIFT_VOUCHER", "gift": {"amount": 1}}),
        ("/vouchers", PERCENT | {"redemption": {"quantity": 0}}),
        ("/campaigns", {"name": "x"}),
        ("/publications", {"campaign": {"name": "x"}}),
        ("/validations", {"redeemables": []}),
        ("/validations", {"redeemables": [{"object": "promotion_tier", "id": "x"}]}),
        ("/redemptions", redeemables("A", amount=-1)),
    ],
)
async def test_an_invalid_request_gets_an_error_in_the_vendors_format(
    database_url: str, path: str, body: dict[str, Any]
) -> None:
    async with served(database_url) as here:
        answer = await Api(here).post(path, body)
        assert (answer.status_code, answer.json()["key"]) == (400, "invalid_payload"), answer.text
        assert {"code", "key", "message", "details", "request_id"} <= set(answer.json())


async def test_the_caller_is_identified_by_app_id_and_token(database_url: str) -> None:
    async with served(database_url) as here:
        client = here.anonymous_client()
        for headers in ({}, {"X-App-Id": "x"}, {"X-App-Id": "x", "X-App-Token": "y"}):
            answer = await client.get("/voucherify/v1/vouchers", headers=headers)
            assert (answer.status_code, answer.json()["key"]) == (401, "unauthorized")
        nul = await Api(here).get("/vouchers/%00")
        assert nul.status_code == 400


async def test_vouchers_and_campaigns_are_listed_in_pages(database_url: str) -> None:
    async with served(database_url) as here:
        api = Api(here)
        codes = {await api.voucher() for _ in range(3)}
        pages = [(await api.get("/vouchers", limit=2, page=page)).json() for page in (1, 2)]
        assert {one["code"] for page in pages for one in page["vouchers"]} == codes
        assert pages[0]["total"] == 3
        assert (await api.get("/vouchers", limit=101)).status_code == 400
        assert (await api.get("/campaigns")).json()["total"] == 3
        assert (await api.get("/campaigns/nope")).status_code == 404
