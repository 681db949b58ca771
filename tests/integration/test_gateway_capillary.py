"""Capillary's redemption: the published request, a status for each coupon, and notifications."""

from typing import Any

import httpx
import orjson
import pytest

from schemas.redemptions import CouponRedeemed
from services.notifier.rule import notification_of
from shared.domain.model.customer import Customer
from shared.ledger.engine import Engine
from tests.gateway import Served, served
from tests.ledger import definition, issue

pytestmark = pytest.mark.asyncio

PATH = "/capillary/v1.1/coupon/redeem"
NEVER = {"name": "no", "expression": "false"}
JOHN = Customer("0000011110", "john@example.com", "+919999988886")

EXAMPLE = """{
"root": {
"coupon": [
{
"code": "UZHYF",
"customer": {
"mobile": "9999988886"//,
// "email": "[email protected]",
},
"transaction": [
{
// "number": "test00transact068",
"amount": "5000"
}
]
}
]
}
}
"""
WITHOUT_COMMENTS = """{
"root": {
"coupon": [
{
"code": "UZHYF",
"customer": {
"mobile": "9999988886"
},
"transaction": [
{
"amount": "5000"
}
]
}
]
}
}
"""


def coupon(code: str, number: str = "", **more: Any) -> dict[str, Any]:
    return {"code": code, "transaction": [{"number": number, "amount": "100"}]} | more


async def ask(here: Served, *coupons: dict[str, Any], **headers: str) -> httpx.Response:
    return await here.client.post(PATH, json={"root": {"coupon": list(coupons)}}, headers=headers)


def statuses(answer: httpx.Response) -> list[int]:
    document = answer.json()["response"]["coupons"]["coupon"]
    return [one["item_status"]["code"] for one in (document if isinstance(document, list) else [document])]


async def test_the_published_example_gets_the_vendors_response(database_url: str) -> None:
    campaign = definition("uatNightly4", discount={"kind": "fixed", "value": "46389", "currency": "INR"})
    async with served(database_url, campaign, region="IN", currency="INR") as here:
        await here.client.post("/v1/coupons", json={"campaign_id": "uatNightly4", "codes": ["UZHYF"]})
        await issue(Engine(here.pool), "uatNightly4", 1, JOHN)
        headers = {"Content-Type": "application/json"}
        commented = await here.client.post(PATH, content=EXAMPLE, headers=headers)
        assert commented.status_code == 400
        assert "line 7, column 23" in commented.json()["response"]["status"]["message"]
        answer = await here.client.post(PATH, content=WITHOUT_COMMENTS, headers=headers)
        assert answer.status_code == 200
        document = answer.json()["response"]
        assert document["status"] == {"success": "true", "code": 200, "message": "Success"}
        redemption_id = document["coupons"]["coupon"].pop("redemption_id")
        assert redemption_id
        assert document["coupons"]["coupon"] == {
            "customer": {"mobile": "919999988886", "email": "john@example.com", "external_id": "0000011110"},
            "code": "UZHYF",
            "discount_code": "uatNightly4",
            "series_code": "uatNightly4",
            "series_info": [],
            "is_absolute": "true",
            "coupon_value": "46389",
            "transaction": {"amount": "5000.00", "number": ""},
            "side_effects": [],
            "item_status": {"success": "true", "code": 700, "message": "Coupon processing successful"},
        }


async def test_each_coupon_of_several_has_its_own_status(database_url: str) -> None:
    async with served(database_url, definition()) as here:
        codes = await issue(Engine(here.pool), "save10", 3)
        await here.client.post(f"/v1/coupons/{codes[2]}/void")
        answer = await ask(
            here, coupon(codes[0], "T1"), coupon(codes[1], "T2"), coupon("NOPE", "T3"), coupon(codes[2], "T4"),
            coupon(codes[0].lower(), "T5"), coupon(codes[1], "T6", customer={"mobile": "12"}),
        )  # fmt: skip
        assert answer.json()["response"]["status"]["success"] == "partial"
        assert statuses(answer) == [700, 700, 702, 660, 716, 716]
        again = await ask(here, coupon(codes[0], "T9"))
        assert statuses(again) == [711]
        assert again.json()["response"]["status"]["success"] == "false"


async def test_reasons_have_the_vendors_codes(database_url: str) -> None:
    campaigns = [
        definition("late", window={"ends_at": "2026-01-02T00:00:00Z"}),
        definition("mine", eligibility={"holder_only": True}),
        definition("each", code={"shared_code": "EACH"}, limits={"uses_per_customer": 1}),
        definition("all", code={"shared_code": "ALL"}, limits={"uses_total": 1}),
        definition(
            "if", code={"shared_code": "IF"}, eligibility={"conditions": [{"name": "no", "expression": "false"}]}
        ),
    ]
    async with served(database_url, *campaigns) as here:
        [mine] = await issue(Engine(here.pool), "mine", 1, JOHN)
        late = await here.client.post("/v1/coupons", json={"campaign_id": "late", "codes": ["LATE"]})
        assert late.status_code in {201, 422}
        mary, john = {"external_id": "mary"}, {"external_id": "0000011110"}
        assert statuses(await ask(here, coupon(mine, "A", customer=mary))) == [703]
        assert statuses(await ask(here, coupon(mine, "A"))) == [721]
        assert statuses(await ask(here, coupon(mine, "A", customer=john))) == [700]
        assert statuses(await ask(here, coupon("EACH", "B", customer=mary))) == [700]
        assert statuses(await ask(here, coupon("EACH", "C", customer=mary))) == [716]
        assert statuses(await ask(here, coupon("ALL", "D"))) == [700]
        assert statuses(await ask(here, coupon("ALL", "E"))) == [714]
        assert statuses(await ask(here, coupon("IF", "F"))) == [709]
        assert statuses(await ask(here, coupon("IF", "G", transaction=[{"amount": "1.001"}]))) == [733]
        assert statuses(await ask(here, coupon("IF", "G", customer={"mobile": "12"}))) == [721]


async def test_only_a_request_with_one_coupon_is_notified_with_its_custom_fields(database_url: str) -> None:
    async with served(database_url, definition()) as here:
        codes = await issue(Engine(here.pool), "save10", 3)
        fields = {"field": [{"name": "Sport", "value": "Soccer"}, {"name": "custom_field2", "value": "50"}]}
        await ask(here, coupon(codes[0], "one", custom_fields=fields))
        await ask(here, coupon(codes[1], "two"), coupon(codes[2], "three"))
        rows = await here.pool.fetch("SELECT subject, data FROM outbox WHERE type = 'coupon.redeemed' ORDER BY subject")
        events = {row["subject"]: CouponRedeemed.model_validate_json(row["data"]) for row in rows}
        assert {order: event.requested_count for order, event in events.items()} == {"one": 1, "two": 2, "three": 2}
        assert events["one"].metadata == {"custom_fields": {"Sport": "Soccer", "custom_field2": "50"}}
        assert [order for order, event in events.items() if notification_of(event)] == ["one"]
        kept = await here.pool.fetchval("SELECT verdict->'metadata' FROM journal WHERE verdict->>'order_id' = 'one'")
        assert orjson.loads(kept) == {"custom_fields": {"Sport": "Soccer", "custom_field2": "50"}}


async def test_more_than_a_hundred_coupons_are_refused(database_url: str) -> None:
    async with served(database_url) as here:
        answer = await ask(here, *[coupon(f"C{number}") for number in range(101)])
        assert (answer.status_code, answer.json()["response"]["status"]["code"]) == (400, 629)
        most = await ask(here, *[coupon(f"C{number}") for number in range(100)])
        assert statuses(most) == [702] * 100


async def test_a_retried_request_redeems_nothing_twice(database_url: str) -> None:
    async with served(database_url, definition()) as here:
        codes = await issue(Engine(here.pool), "save10", 2)
        bodies = [coupon(codes[0]), coupon(codes[1])]
        first = await ask(here, *bodies, **{"Idempotency-Key": "k"})
        again = await ask(here, *bodies, **{"Idempotency-Key": "k"})
        assert first.content == again.content
        assert statuses(first) == [700, 700]
        assert statuses(await ask(here, *bodies)) == [711, 711]


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"{}", b'{"root": {}}', b'{"root": {"coupon": []}}'])
async def test_an_unreadable_body_gets_an_error_in_the_vendors_format(database_url: str, body: bytes) -> None:
    async with served(database_url) as here:
        answer = await here.client.post(PATH, content=body, headers={"Content-Type": "application/json"})
        assert answer.status_code in {400, 422}
        assert answer.json()["response"]["status"]["success"] == "false"
