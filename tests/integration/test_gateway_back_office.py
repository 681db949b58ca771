"""Campaigns and coupons over HTTP, as a back office uses them."""

from typing import Any

import pytest

from shared.ledger.secrets import HIDDEN
from shared.ledger.stored_definitions import about
from shared.runtime.encryption import keyring
from tests.gateway import served
from tests.ledger import definition

pytestmark = pytest.mark.asyncio

SAVE10: dict[str, Any] = {
    "campaign_id": "save10",
    "discount": {"kind": "percentage", "value": "10", "max_discount": 50.00},
    "eligibility": {"min_order_amount": 20.00, "currency": "USD"},
    "limits": {"uses_per_coupon": 1},
}
ORDER = {"order_id": "ORD1", "currency": "USD", "amount": "125.00"}


async def test_a_campaign_is_created_shown_changed_paused_and_archived(database_url: str) -> None:
    async with served(database_url) as here:
        made = await here.client.post("/v1/campaigns", json=SAVE10)
        assert (made.status_code, made.json()["change"]) == (201, "created")
        again = await here.client.post("/v1/campaigns", json=SAVE10)
        assert (again.status_code, again.json()["code"]) == (409, "conflict")

        shown = (await here.client.get("/v1/campaigns/save10")).json()
        assert shown["definition"]["discount"]["max_discount"] == "50.0"
        assert shown["counts"] == {"coupons": 0, "pooled": 0, "voided": 0, "held_uses": 0, "used_uses": 0}

        wanted = SAVE10 | {"limits": {"uses_per_coupon": 2}}
        planned = (await here.client.post("/v1/campaigns/save10/plan", json=wanted)).json()
        assert planned["change"] == "changed"
        assert planned["fields"] == [{"field": "limits.uses_per_coupon", "before": 1, "after": 2}]
        changed = await here.client.put("/v1/campaigns/save10", json=wanted)
        assert changed.json()["change"] == "changed"
        assert (await here.client.put("/v1/campaigns/save10", json=wanted)).json()["change"] == "unchanged"

        assert (await here.client.post("/v1/campaigns/save10/pause")).json()["status"] == "paused"
        john = {"customer_id": "john"}
        refused = await here.client.post("/v1/coupons", json={"campaign_id": "save10", "customer": john})
        assert (refused.status_code, refused.json()["code"]) == (422, "campaign_inactive")
        assert (await here.client.post("/v1/campaigns/save10/resume")).json()["status"] == "active"
        assert (await here.client.post("/v1/campaigns/save10/archive")).json()["status"] == "archived"


async def test_errors_in_a_campaign_have_their_place(database_url: str) -> None:
    async with served(database_url, definition("one", code={"shared_code": "TAKEN"})) as here:
        misspelt = await here.client.post("/v1/campaigns", json=SAVE10 | {"limit": {}})
        assert misspelt.json()["errors"][0]["place"] == "limit"
        senseless = await here.client.post("/v1/campaigns", json=SAVE10 | {"limits": {"spend_total": "1.001"}})
        assert (senseless.status_code, senseless.json()["code"]) == (422, "invalid_request")
        taken = await here.client.post("/v1/campaigns", json=SAVE10 | {"code": {"shared_code": "taken"}})
        assert (taken.status_code, taken.json()["code"]) == (409, "code_taken")
        assert (await here.client.get("/v1/campaigns/save10")).status_code == 404
        other = await here.client.put("/v1/campaigns/other", json=SAVE10)
        assert other.status_code == 422
        assert (await here.client.put("/v1/campaigns/save10", json=SAVE10)).status_code == 404
        assert (await here.client.post("/v1/campaigns/save10/pause")).status_code == 404


async def test_campaigns_are_listed_in_pages(database_url: str) -> None:
    many = [definition(f"c{number:02}", status="paused" if number % 2 else "active") for number in range(5)]
    async with served(database_url, *many) as here:
        seen, cursor = [], None
        while True:
            query = {"limit": 2} | ({"cursor": cursor} if cursor else {})
            page = (await here.client.get("/v1/campaigns", params=query)).json()
            seen += [one["campaign_id"] for one in page["items"]]
            if (cursor := page["next_cursor"]) is None:
                break
        assert seen == [one.campaign_id for one in many]
        paused = (await here.client.get("/v1/campaigns", params={"status": "paused"})).json()
        assert [one["campaign_id"] for one in paused["items"]] == ["c01", "c03"]
        for cursor in ("nonsense", "W10", "WzFd", "\u00e4"):
            answer = await here.client.get("/v1/campaigns", params={"cursor": cursor})
            assert answer.status_code == 422, cursor


async def test_secret_headers_are_never_shown_and_are_kept_when_sent_back_hidden(database_url: str) -> None:
    source = {"kind": "external", "url": "https://codes.example.com", "headers": {"X-Token": "secret"}}
    async with served(database_url, definition("ext", source=source, code={})) as here:
        shown = (await here.client.get("/v1/campaigns/ext")).json()
        assert "secret" not in str(shown)
        assert shown["definition"]["source"]["headers"] == {"X-Token": HIDDEN}
        changed = shown["definition"] | {"name": "renamed"}
        answer = await here.client.put("/v1/campaigns/ext", json=changed)
        assert answer.status_code == 200, answer.text
        kept = await here.pool.fetchval("SELECT definition->'source'->'headers'->>'X-Token' FROM campaigns")
        assert kept.startswith("enc:v1:")
        assert keyring().decrypt(kept, about("ext", "X-Token")) == "secret"
        unknown = await here.client.post("/v1/campaigns", json=changed | {"campaign_id": "ext2"})
        assert unknown.status_code == 422


async def test_coupons_are_issued_with_or_without_a_customer(database_url: str) -> None:
    async with served(database_url, definition()) as here:
        john = {"customer_id": "john"}
        one = await here.client.post("/v1/coupons", json={"campaign_id": "save10", "customer": john})
        assert one.status_code == 201
        [coupon] = one.json()["coupons"]
        assert coupon["code"].startswith("SAVE10-")
        three = await here.client.post("/v1/coupons", json={"campaign_id": "save10", "customer": john, "count": 3})
        assert len(three.json()["coupons"]) == 3
        many = await here.client.post("/v1/coupons", json={"campaign_id": "save10", "count": 1_000})
        assert len({one["code"] for one in many.json()["coupons"]}) == 1_000
        own = await here.client.post("/v1/coupons", json={"campaign_id": "save10", "codes": ["MINE-1", "MINE-2"]})
        assert [one["code"] for one in own.json()["coupons"]] == ["MINE-1", "MINE-2"]
        again = await here.client.post("/v1/coupons", json={"campaign_id": "save10", "codes": ["mine-1", "MINE-3"]})
        assert [one["code"] for one in again.json()["coupons"]] == ["MINE-3"]
        assert [one["reason"] for one in again.json()["refused"]] == ["code_taken"]
        unknown = await here.client.post("/v1/coupons", json={"campaign_id": "nope", "customer": john})
        assert (unknown.status_code, unknown.json()["code"]) == (404, "not_found")


async def test_a_payload_that_other_readers_would_refuse_is_not_stored(database_url: str) -> None:
    """An integer of more than 64 bits in a payload could be stored, but not returned."""
    async with served(database_url) as here:
        wanted = SAVE10 | {"discount": {"kind": "custom", "payload": {"n": 2**70}}}
        answer = await here.client.post("/v1/campaigns", json=wanted)
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
        assert "send it as a string" in answer.json()["detail"]
        kept = SAVE10 | {"discount": {"kind": "custom", "payload": {"n": 2**63 - 1, "m": -(2**63)}}}
        assert (await here.client.post("/v1/campaigns", json=kept)).status_code == 201
        assert (await here.client.get("/v1/campaigns")).status_code == 200


async def test_an_occasion_issues_only_once(database_url: str) -> None:
    async with served(database_url, definition()) as here:
        body = {"campaign_id": "save10", "customer": {"email": "a@example.com"}, "occasion": "birthday 2026"}
        assert len((await here.client.post("/v1/coupons", json=body)).json()["coupons"]) == 1
        again = await here.client.post("/v1/coupons", json=body)
        assert (again.status_code, again.json()["outcome"], again.json()["coupons"]) == (201, "unchanged", [])


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"campaign_id": "save10", "count": 0},
        {"campaign_id": "save10", "count": 1_000_001},
        {"campaign_id": "save10", "count": True},
        {"campaign_id": "save10", "codes": []},
        {"campaign_id": "save10", "codes": ["A"], "count": 1},
        {"campaign_id": "save10", "customer": {"customer_id": "john"}, "count": 101},
        {"campaign_id": "save10", "occasion": "birthday"},
    ],
)
async def test_an_invalid_issue_request_is_refused(database_url: str, body: dict[str, Any]) -> None:
    async with served(database_url, definition()) as here:
        answer = await here.client.post("/v1/coupons", json=body)
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")


async def test_a_coupon_is_shown_with_its_history_and_voided(database_url: str) -> None:
    async with served(database_url, definition()) as here:
        issued = await here.client.post("/v1/coupons", json={"campaign_id": "save10", "customer": {"customer_id": "j"}})
        code = issued.json()["coupons"][0]["code"]
        shown = (await here.client.get(f"/v1/coupons/{code.lower()}")).json()
        assert (shown["status"], shown["used_uses"], shown["holder"]) == ("active", 0, ["id j"])
        await here.client.post("/v1/redemptions", json={"codes": [code], "order": ORDER})
        await here.client.post("/v1/redemptions", json={"codes": [code], "order": ORDER | {"order_id": "ORD2"}})
        voided = await here.client.post(f"/v1/coupons/{code}/void")
        assert voided.json()["status"] == "voided"
        assert (await here.client.post(f"/v1/coupons/{code}/void")).json()["status"] == "voided"
        document = (await here.client.get(f"/v1/coupons/{code}/history")).json()
        assert [one["what"] for one in document["happenings"]] == ["issued", "burned", "refused", "voided"]
        assert [one["discount_amount"] for one in document["happenings"]][1] == "12.50"
        assert document["happenings"][2]["reason"] == "exhausted"
        for path in ("/v1/coupons/NOPE", "/v1/coupons/NOPE/history"):
            assert (await here.client.get(path)).status_code == 404
        assert (await here.client.post("/v1/coupons/NOPE/void")).status_code == 404


async def test_a_void_is_undone_and_an_end_moved_over_http(database_url: str) -> None:
    async with served(database_url, definition(window={})) as here:
        issued = await here.client.post("/v1/coupons", json={"campaign_id": "save10", "customer": {"customer_id": "j"}})
        code = issued.json()["coupons"][0]["code"]
        await here.client.post(f"/v1/coupons/{code}/void")
        change = {"status": "active", "ends_at": "2990-01-02T00:00:00Z", "reason": "voided by mistake"}
        key = {"Idempotency-Key": "k1"}
        first = await here.client.patch(f"/v1/coupons/{code}", json=change, headers=key)
        shown = first.json()
        assert (shown["status"], shown["ends_at"], shown["own_ends_at"]) == (
            "active",
            change["ends_at"],
            shown["ends_at"],
        )
        repeated = await here.client.patch(f"/v1/coupons/{code}", json=change, headers=key)
        assert (repeated.content, repeated.headers["Idempotent-Replayed"]) == (first.content, "true")
        other = await here.client.patch(f"/v1/coupons/{code}", json={"ends_at": None}, headers=key)
        assert other.json()["code"] == "idempotency_key_reused"
        assert (await here.client.patch(f"/v1/coupons/{code}", json={"ends_at": None})).json()["own_ends_at"] is None
        history = (await here.client.get(f"/v1/coupons/{code}/history")).json()["happenings"]
        assert [(one["what"], one["message"], one["ends_at"]) for one in history] == [
            ("issued", None, None),
            ("voided", None, None),
            ("unvoided", "voided by mistake", None),
            ("extended", "voided by mistake", "2990-01-02T00:00:00Z"),
            ("extended", None, None),
        ]


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({}, 422, "invalid_request"),
        ({"reason": "r"}, 422, "invalid_request"),
        ({"status": "pooled"}, 422, "invalid_request"),
        ({"status": None}, 422, "invalid_request"),
        ({"status": "voided", "ends_at": None}, 422, "invalid_request"),
        ({"ends_at": "9999-12-31T00:00:00Z"}, 422, "invalid_request"),
        ({"ends_at": "tomorrow"}, 422, "invalid_request"),
        ({"ends_at": 5}, 422, "invalid_request"),
        ({"ends_at": ""}, 422, "invalid_request"),
        ({"ends_at": "2020-01-01T00:00:00Z"}, 422, "expired"),
        ({"status": "active"}, 422, "no_effect"),
        ({"status": "active", "reason": ""}, 422, "invalid_request"),
        ({"status": "active", "reason": "x" * 100_000}, 422, "invalid_request"),
        ({"status": "active", "more": 1}, 422, "invalid_request"),
        ([], 422, "invalid_request"),
    ],
)
async def test_a_wrong_change_of_a_coupon_has_a_clear_answer(
    database_url: str, body: object, status: int, code: str
) -> None:
    async with served(database_url, definition(code={"pattern": "A-########"})) as here:
        made = await here.client.post("/v1/coupons", json={"campaign_id": "save10", "codes": ["MINE"]})
        assert made.status_code == 201
        answer = await here.client.patch("/v1/coupons/mine", json=body)
        assert (answer.status_code, answer.json()["code"], bool(answer.json()["detail"])) == (status, code, True)
        assert (await here.client.patch("/v1/coupons/NOPE", json={"status": "active"})).status_code == 404
        reader = await here.key_for("read", "issue")
        assert (await here.client.patch("/v1/coupons/mine", json=body, headers=reader)).status_code in (403, 422)
        allowed = {"status": "voided"}
        assert (await here.client.patch("/v1/coupons/mine", json=allowed, headers=reader)).status_code == 403
