"""Validation codes and the headers of external sources are in no response, event or log, with any key."""

import asyncio
import json
from typing import Any

import pytest

from services.gateway.native import campaigns as routes
from shared.ledger.database import open_pool
from shared.ledger.secrets import HIDDEN
from shared.ledger.stored_definitions import decrypted_headers
from tests.gateway import Served, served
from tests.integration.cli_calls import call
from tests.ledger import definition

pytestmark = pytest.mark.asyncio

PIN, TOKEN = "PIN-8731-QX", "Bearer tok-55-very-secret"
SOURCE = {"kind": "external", "url": "https://codes.example.com", "headers": {"Authorization": TOKEN}}
PINNED = definition("pinned", code={"shared_code": "SCRATCH"}, limits={}, validation_code=PIN)
EXTERNAL = definition("ext", source=SOURCE, code={})
ORDER = {"order_id": "O1", "currency": "USD", "amount": "125.00"}
LISTS = (
    "/v1/campaigns", "/v1/campaigns/pinned", "/v1/campaigns/ext", "/v1/coupons", "/v1/coupons/SCRATCH",
    "/v1/coupons/SCRATCH/history", "/v1/redemptions", "/v1/redemptions?format=csv", "/v1/reports/campaigns",
    "/v1/reports/campaigns/pinned", "/voucherify/v1/campaigns", "/voucherify/v1/campaigns/pinned",
    "/voucherify/v1/vouchers", "/voucherify/v1/vouchers/SCRATCH", "/voucherify/v1/redemptions",
)  # fmt: skip


def token_of(stored: str) -> str:
    """Return the decrypted header of the stored campaign `ext`."""
    return decrypted_headers("ext", json.loads(stored)["source"]["headers"])["Authorization"]


def shown(definition_: Any, **changes: Any) -> dict[str, Any]:
    document: dict[str, Any] = definition_.model_dump(mode="json")
    return document | changes


async def redeem(here: Served) -> None:
    """Redeem with the right, a wrong and no validation code, and explain each."""
    for number, pin in enumerate((PIN, "1234", None)):
        body = {"codes": ["SCRATCH"], "order": ORDER | {"order_id": f"O{number}"}} | (
            {"validation_code": pin} if pin else {}
        )
        answer = await here.client.post("/v1/redemptions", json=body, headers={"Idempotency-Key": f"k{number}"})
        assert answer.status_code == (200 if pin == PIN else 422), answer.text
        assert PIN not in answer.text
        explained = await here.client.post("/v1/explain", json=body | {"code": "SCRATCH", "codes": None})
        assert PIN not in explained.text
        body = {"code": "SCRATCH"} | ({"validation_code": pin} if pin else {})
        explained = await here.client.post("/v1/explain", json=body)
        assert explained.status_code == 200
        assert PIN not in explained.text


async def test_no_route_returns_a_secret(database_url: str) -> None:
    async with served(database_url, PINNED, EXTERNAL) as here:
        await redeem(here)
        for scopes in (["read"], ["read", "manage"]):
            headers = await here.key_for(*scopes)
            for path in LISTS:
                answer = await here.client.get(path, headers=headers | {"X-App-Token": here.key})
                assert answer.status_code == 200, (path, answer.text)
                assert PIN not in answer.text
                assert TOKEN not in answer.text
        listed = (await here.client.get("/v1/campaigns")).json()["items"]
        definitions = {one["campaign_id"]: one["definition"] for one in listed}
        assert definitions["ext"]["source"]["headers"] == {"Authorization": HIDDEN}
        assert (definitions["pinned"]["validation_code"], definitions["ext"]["validation_code"]) == (HIDDEN, None)


async def test_hidden_secrets_are_kept_when_written_back(database_url: str) -> None:
    async with served(database_url, PINNED, EXTERNAL) as here:
        for name in ("pinned", "ext"):
            masked = (await here.client.get(f"/v1/campaigns/{name}")).json()["definition"]
            answer = await here.client.put(f"/v1/campaigns/{name}", json=masked)
            assert (answer.status_code, answer.json()["change"]) == (200, "unchanged")
            answer = await here.client.put(f"/v1/campaigns/{name}", json=masked | {"name": "renamed"})
            assert (answer.status_code, answer.json()["change"]) == (200, "changed")
            assert PIN not in answer.text + str(masked)
            assert TOKEN not in answer.text + str(masked)
            planned = await here.client.post(f"/v1/campaigns/{name}/plan", json=masked)
            assert [one["field"] for one in planned.json()["fields"]] == ["name"]
            again = await here.client.post("/v1/campaigns", json=masked | {"campaign_id": "another"})
            assert (again.status_code, again.json()["code"]) == (422, "invalid_request")
            assert "give" in again.json()["detail"]
        for changed in (
            shown(EXTERNAL, source=SOURCE | {"headers": {"X-New": HIDDEN}}),
            shown(EXTERNAL, validation_code=HIDDEN),
        ):
            assert (await here.client.put("/v1/campaigns/ext", json=changed)).status_code == 422
        kept = await here.pool.fetch("SELECT definition::text FROM campaigns ORDER BY campaign_id")
        assert token_of(kept[0][0]) == TOKEN
        assert PIN in kept[1][0]


async def test_a_key_with_the_scope_read_can_not_find_secrets_by_planning(database_url: str) -> None:
    async with served(database_url, PINNED, EXTERNAL) as here:
        reading = await here.key_for("read")
        for wanted in (shown(PINNED), shown(PINNED, validation_code="guess"), shown(EXTERNAL)):
            path = f"/v1/campaigns/{wanted['campaign_id']}/plan"
            answer = await here.client.post(path, json=wanted, headers=reading)
            assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
            assert (await here.client.post(path, json=wanted)).status_code == 200
        answer = await here.client.post(
            "/v1/campaigns/pinned/plan", json=shown(PINNED, validation_code=HIDDEN, name="n"), headers=reading
        )
        assert [one["field"] for one in answer.json()["fields"]] == ["name"]
        answer = await here.client.post("/v1/campaigns/pinned/plan", json=shown(PINNED, validation_code="new"))
        assert answer.json()["fields"] == [{"field": "validation_code", "before": HIDDEN, "after": HIDDEN}]


async def test_the_readonly_database_role_sees_no_secret_in_any_column(database_url: str) -> None:
    async with served(database_url, PINNED, EXTERNAL) as here:
        await redeem(here)
        await here.client.put("/v1/campaigns/pinned", json=shown(PINNED, name="changed"))
        found = []
        async with await open_pool(database_url, role="couponry_readonly") as pool:
            columns = await pool.fetch(
                "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = current_schema()"
                " AND has_column_privilege(quote_ident(table_name), column_name, 'SELECT')"
            )
            for table, column in columns:
                rows = str(await pool.fetch(f'SELECT "{column}"::text FROM "{table}"'))
                found += [(table, column) for secret in (PIN, TOKEN) if secret in rows]
            seen = {(table, column) for table, column in columns}
            assert found == []
            assert {("campaign_terms", "definition"), ("campaigns", "status"), ("journal", "verdict")} <= seen
            assert not {("campaigns", "definition"), ("journal", "fingerprint"), ("api_keys", "secret_hash")} & seen


async def test_events_logs_and_stored_responses_have_no_secret(
    database_url: str, capfd: pytest.CaptureFixture[str]
) -> None:
    async with served(database_url, EXTERNAL) as here:
        headers = {"Idempotency-Key": "make"}
        answer = await here.client.post("/v1/campaigns", json=shown(PINNED), headers=headers)
        assert answer.status_code == 201, answer.text
        assert PIN not in answer.text
        await redeem(here)
        for table in ("outbox", "http_answers", "journal", "ledger_entries", "orders", "locks"):
            rows = str([dict(row) for row in await here.pool.fetch(f"SELECT * FROM {table}")])
            assert PIN not in rows, table
            assert TOKEN not in rows, table
    written = capfd.readouterr()
    assert PIN not in written.out + written.err
    campaign = (PINNED, EXTERNAL)
    assert PIN not in repr(campaign)
    assert TOKEN not in repr(campaign)
    assert TOKEN not in str(routes.masked(EXTERNAL))


async def test_the_command_line_hides_secrets_and_accepts_them_back(database_url: str) -> None:
    environment = {"COUPONRY_DATABASE_URL": database_url}
    async with served(database_url, PINNED, EXTERNAL) as here:
        for name in ("pinned", "ext"):
            printed = await asyncio.to_thread(call, environment, "campaigns", "show", name, "--json")
            assert printed.exit_code == 0, printed.err
            assert (PIN in printed.out, TOKEN in printed.out, HIDDEN in printed.out) == (False, False, True)
            loaded = await asyncio.to_thread(call, environment, "campaigns", "load", "-", given=printed.out)
            assert loaded.out.split() == ["unchanged", name], loaded.err
        printed = await asyncio.to_thread(call, environment, "campaigns", "list", "--json")
        assert (PIN in printed.out, TOKEN in printed.out) == (False, False)
        kept = await here.pool.fetch("SELECT definition::text FROM campaigns ORDER BY campaign_id")
        assert token_of(kept[0][0]) == TOKEN
        assert PIN in kept[1][0]


@pytest.mark.asyncio
async def test_a_hidden_header_is_kept_only_for_the_same_server(database_url: str) -> None:
    async with served(database_url, EXTERNAL) as here:
        url = str(SOURCE["url"])
        moved = shown(EXTERNAL, source=SOURCE | {"url": "https://evil.example/", "headers": {"Authorization": HIDDEN}})
        answer = await here.client.put("/v1/campaigns/ext", json=moved)
        assert (answer.status_code, "give it" in answer.text) == (422, True), answer.text
        same = shown(EXTERNAL, source=SOURCE | {"url": f"{url}/v2", "headers": {"Authorization": HIDDEN}})
        assert (await here.client.put("/v1/campaigns/ext", json=same)).status_code == 200
