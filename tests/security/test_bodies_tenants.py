"""Keys that are bound to groups of campaigns: data of other groups doesn't exist on any route."""

import json
import re
from typing import Any

import httpx
import pytest

from services.gateway.access import keys
from services.gateway.access.callers import SCOPES
from shared.ledger.database import Pool
from tests.gateway import Served, client_of, served
from tests.integration.cli_calls import call
from tests.ledger import definition
from tests.security.routes_table import CAMPAIGN, REQUESTS, Request, headers_of

THEIRS = {
    "group": "alpha", "campaign": "a-camp", "code": "ALPHACODE", "customer": "cust-a", "order": "order-a",
    "lock": "lock-a", "rule": "rule-a",
}  # fmt: skip
UNKNOWN = {
    "group": "gamma", "campaign": "n-camp", "code": "UNKNOCODE", "customer": "cust-n", "order": "order-n",
    "lock": "lock-n", "rule": "rule-n", "job": "0199f6a2-5c1e-7b43-9a51-3d0c8f6b2a10", "redemption": "r_" + "0" * 32,
}  # fmt: skip
SETTINGS: dict[str, Any] = {"http_rate_per_minute": 10_000_000, "http_unknown_per_minute": 1_000_000}
OWNED = (
    "SELECT to_jsonb(one) FROM campaigns one WHERE campaign_id = 'a-camp'",
    "SELECT to_jsonb(one) FROM coupons one WHERE campaign_id = 'a-camp' ORDER BY coupon_id",
    "SELECT to_jsonb(one) FROM ledger_entries one WHERE campaign_id = 'a-camp' ORDER BY entry_id",
    "SELECT to_jsonb(one) FROM locks one WHERE lock_reference = 'lock-a'",
    "SELECT to_jsonb(one) FROM lock_uses one WHERE lock_reference = 'lock-a'",
    "SELECT to_jsonb(one) FROM orders one WHERE order_id = 'order-a'",
    "SELECT to_jsonb(one) FROM jobs one WHERE campaign_id = 'a-camp'",
)


def bound_to(campaign_id: str, group: str, rule: str) -> Any:
    return definition(
        campaign_id, group=group, limits={}, applies_to={"product_ids": ["p1"]},
        issues_on=[{"event": "reward.earned", "match": {"rule_id": rule}}],
    )  # fmt: skip


async def theirs(here: Served) -> dict[str, str]:
    """Create another tenant's data: coupons, a redemption, a lock, a job, a customer with two identifiers."""
    post = here.client.post
    customer = {"customer_id": "cust-a", "email": "hidden@example.com"}
    made = await post("/v1/coupons", json={"campaign_id": "a-camp", "codes": ["ALPHACODE", "ALPHATWO"]})
    assert made.status_code == 201, made.text
    assert (await post("/v1/coupons", json={"campaign_id": "a-camp", "customer": customer})).status_code == 201
    order = {"order_id": "order-a", "currency": "USD", "lines": [
        {"line_id": "1", "product_id": "p1", "quantity": 1, "unit_price": "125.00"},
    ]}  # fmt: skip
    done = await post("/v1/redemptions", json={"codes": ["ALPHACODE"], "order": order, "customer": customer})
    assert done.status_code == 200, done.text
    lock = {"codes": ["ALPHATWO"], "lock_reference": "lock-a", "lock_seconds": 900}
    assert (await post("/v1/locks", json=lock)).status_code == 201
    job = await post("/v1/coupons", json={"campaign_id": "a-camp", "count": 1_001})
    redemption = f"r_{done.json()['redemption_id'].replace('-', '')}"
    return THEIRS | {"job": job.json()["job_id"], "redemption": redemption}


async def tenant_of(here: Served, *groups: str, scopes: Any = SCOPES) -> httpx.AsyncClient:
    made = await keys.create(here.pool, "a tenant's", scopes, groups)
    return client_of(here.gateway, headers_of(made.key))


async def ask(client: httpx.AsyncClient, request: Request) -> httpx.Response:
    if isinstance(request.body, str):
        return await client.request(
            request.method, request.path, content=request.body, headers={"Content-Type": "text/csv"}
        )
    return await client.request(request.method, request.path, json=request.body)


def normalized(answer: httpx.Response, names: dict[str, str]) -> str:
    """Return a response without the parts that differ between any two requests."""
    text = answer.text
    for name in ("redemption", "job", "campaign", "code", "customer", "order", "lock", "rule", "group"):
        text = text.replace(names[name], f"<{name}>")
    text = re.sub(r"new[a-z]*-[0-9]+[ab]", "<new>", text)
    text = re.sub(r"[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}|v-[0-9a-f]{16}", "<id>", text)
    text = re.sub(r"(SAVE|B|B-CAMP)-[0-9A-Z]{6,8}", "<code made>", text)
    return f"{answer.status_code} " + re.sub(r"20[0-9]{2}-[0-9]{2}-[0-9]{2}T[0-9:.]+(Z|\+00:00)", "<time>", text)


async def owned(pool: Pool) -> dict[str, list[Any]]:
    return {query: [json.loads(record[0]) for record in await pool.fetch(query)] for query in OWNED}


@pytest.mark.asyncio
async def test_data_of_another_group_does_not_exist_on_any_route(database_url: str) -> None:
    ours = bound_to("b-camp", "beta", "rule-b")
    async with served(database_url, bound_to("a-camp", "alpha", "rule-a"), ours, **SETTINGS) as here:
        names = await theirs(here)
        before = await owned(here.pool)
        async with await tenant_of(here, "beta", "delta") as client:
            wrong = []
            for number, template in enumerate(REQUESTS):
                answers = []
                for which, known in (("a", names), ("b", UNKNOWN)):
                    new = {name: f"{name}-{number}{which}" for name in ("new", "newcampaign", "newlock")}
                    answers.append(normalized(await ask(client, template.filled(known | new)), known))
                if answers[0] != answers[1]:
                    wrong.append((template.method, template.path, *answers))
                if any(secret in answers[0] for secret in ("ALPHATWO", "hidden@example.com", "a-camp")):
                    wrong.append((template.method, template.path, answers[0], "has data of another group"))
                assert answers[0][:3] != "500", answers[0]
            assert wrong == []
        assert await owned(here.pool) == before


@pytest.mark.asyncio
async def test_a_bound_key_can_do_everything_with_its_own_campaigns(database_url: str) -> None:
    ours = bound_to("b-camp", "beta", "rule-b")
    async with served(database_url, bound_to("a-camp", "alpha", "rule-a"), ours, **SETTINGS) as here:
        await theirs(here)
        async with await tenant_of(here, "beta") as client:
            listed = (await client.get("/v1/campaigns")).json()["items"]
            assert [one["campaign_id"] for one in listed] == ["b-camp"]
            made = await client.post("/v1/campaigns", json={
                "campaign_id": "b-more", "discount": {"kind": "percentage", "value": "5"},
                "code": {"shared_code": "BETA"},
            })  # fmt: skip
            assert (made.status_code, made.json()["definition"]["group"]) == (201, "beta")
            done = await client.post("/v1/redemptions", json={
                "codes": ["BETA"], "order": {"order_id": "order-b", "currency": "USD", "amount": "125.00"},
                "customer": {"customer_id": "cust-b"},
            })  # fmt: skip
            assert done.status_code == 200, done.text
            assert [one["campaign_id"] for one in (await client.get("/v1/redemptions")).json()["items"]] == ["b-more"]
            reports = (await client.get("/v1/reports/campaigns")).json()["items"]
            assert [one["campaign_id"] for one in reports] == ["b-more"]
            coupons = (await client.get("/v1/coupons")).json()["items"]
            assert {one["campaign_id"] for one in coupons} == {"b-more"}
            assert (await client.post("/v1/campaigns/b-more/pause")).status_code == 200
            assert (await client.post("/v1/orders/order-b/cancel")).json()["outcome"] == "restored"
            voucher = await client.post("/voucherify/v1/vouchers", json={
                "code": "BETA-2", "discount": {"type": "AMOUNT", "amount_off": 500},
            })  # fmt: skip
            assert voucher.status_code == 200, voucher.text
            assert (await client.get("/voucherify/v1/vouchers/BETA-2")).status_code == 200
            everything = (await here.client.get("/v1/campaigns")).json()["items"]
            assert {one["definition"]["group"] for one in everything} == {"alpha", "beta"}


@pytest.mark.asyncio
async def test_a_bound_key_can_not_move_campaigns_from_or_to_other_groups(database_url: str) -> None:
    campaigns = (definition("b-camp", group="beta"), definition("alone"))
    async with served(database_url, *campaigns) as here, await tenant_of(here, "beta", "delta") as client:
        campaign = {"campaign_id": "x", "discount": {"kind": "percentage", "value": "5"}}
        for group, status in (("alpha", 403), (None, 422), ("delta", 201)):
            answer = await client.post("/v1/campaigns", json=campaign | {"group": group})
            assert answer.status_code == status, answer.text
        moved = campaign | {"campaign_id": "b-camp", "group": "alpha"}
        assert (await client.put("/v1/campaigns/b-camp", json=moved)).status_code == 403
        assert (await client.put("/v1/campaigns/b-camp", json=moved | {"group": "delta"})).status_code == 200
        assert (await client.get("/v1/campaigns/alone")).status_code == 404
        assert (await client.put("/v1/campaigns/alone", json=moved | {"campaign_id": "alone"})).status_code == 404
        taken = await client.post("/v1/campaigns", json=campaign | {"campaign_id": "alone", "group": "beta"})
        assert taken.status_code == 409


@pytest.mark.asyncio
async def test_a_lock_reference_or_code_of_another_group_is_refused_as_taken(database_url: str) -> None:
    async with served(database_url, bound_to("a-camp", "alpha", "r"), bound_to("b-camp", "beta", "s")) as here:
        await theirs(here)
        before = await owned(here.pool)
        async with await tenant_of(here, "beta") as client:
            made = await client.post("/v1/coupons", json={"campaign_id": "b-camp", "codes": ["BETA-1"]})
            assert made.status_code == 201
            lock = {"codes": ["BETA-1"], "lock_reference": "lock-a"}
            assert (await client.post("/v1/locks", json=lock)).json()["code"] == "already_redeemed"
            line = {"line_id": "9", "product_id": "p1", "quantity": 1, "unit_price": "7"}
            order = {"order_id": "order-a", "currency": "JPY", "lines": [line]}
            mixed = await client.post("/v1/redemptions", json={"codes": ["BETA-1"], "order": order})
            assert (mixed.status_code, mixed.json()["code"]) == (422, "order_mismatch")
            taken = await client.post("/v1/coupons", json={"campaign_id": "b-camp", "codes": ["alphacode"]})
            assert taken.json()["code"] == "code_taken"
            assert "a-camp" not in taken.text
            plan = CAMPAIGN | {
                "campaign_id": "n",
                "group": "beta",
                "code": {"shared_code": "ALPHACODE"},
                "issues_on": [],
            }
            planned = await client.post("/v1/campaigns/n/plan", json=plan)
            assert planned.json()["conflict"].startswith("code.shared_code: another coupon")
        assert await owned(here.pool) == before


def test_keys_with_groups_are_created_on_the_command_line(database_url: str) -> None:
    environment = {"COUPONRY_DATABASE_URL": database_url}
    made = call(environment, "keys", "create", "shop", "--all", "--group", "beta", "--group", "delta", "--json")
    assert made.exit_code == 0, made.err
    listed = call(environment, "keys", "list", "--json").json
    assert [one["groups"] for one in listed] == [["beta", "delta"]]
    assert call(environment, "keys", "create", "all", "--all").exit_code == 0
    assert "beta, delta" in call(environment, "keys", "list").words
    refused = call(environment, "keys", "create", "shop", "--all", "--group", " ")
    assert (refused.exit_code, "must not be blank" in refused.err) == (2, True)
