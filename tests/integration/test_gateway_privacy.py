"""Export and erasure over HTTP."""

import pytest

from services.gateway.erasures import ErasureRunner
from services.gateway.native import privacy
from shared.domain.customer import Customer
from tests.gateway import Served, served
from tests.ledger import definition, issue

ANN = Customer("ann", "ann@example.com")


async def known(here: Served) -> None:
    await issue(here.gateway.engine, "save10", customer=ANN)


async def test_a_customer_is_exported_erased_and_then_unknown(database_url: str) -> None:
    async with served(database_url, definition()) as here:
        await known(here)
        exported = await here.client.get("/v1/customers/ann@example.com/export")
        assert exported.status_code == 200
        assert [one["campaign_id"] for one in exported.json()["coupons"]] == ["save10"]
        assert set(exported.json()) == set(privacy.ExportAnswer.model_fields)
        erased = await here.client.delete("/v1/customers/ann@example.com")
        assert erased.status_code == 200
        assert erased.json()["status"] == "done"
        shown = await here.client.get(f"/v1/erasures/{erased.json()['erasure_id']}")
        assert shown.json() == erased.json()
        requested_by = await here.pool.fetchval("SELECT requested_by FROM erasures")
        assert requested_by in here.key
        for path in ("ann@example.com/export", "ann/export", "id:ann/export", "ann@example.com/wallet"):
            assert (await here.client.get(f"/v1/customers/{path}")).status_code == 404
        assert (await here.client.delete("/v1/customers/ann@example.com")).status_code == 404


async def test_only_a_key_with_the_scope_privacy_may_export_or_erase(database_url: str) -> None:
    async with served(database_url, definition()) as here:
        await known(here)
        headers = await here.key_for("issue", "validate", "redeem", "manage", "read")
        for method, path in (
            ("GET", "/v1/customers/ann@example.com/export"),
            ("DELETE", "/v1/customers/ann@example.com"),
            ("GET", "/v1/erasures/0b0f5b3e-6f5c-4f64-9a51-3d0c8f6b2a10"),
        ):
            answered = await here.client.request(method, path, headers=headers)
            assert answered.status_code == 403, path
        assert (await here.client.get("/v1/customers/ann@example.com/wallet", headers=headers)).status_code == 200


async def test_an_erasure_that_takes_long_is_accepted_and_goes_on_in_any_gateway(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(privacy, "AT_ONCE_SECONDS", -1.0)
    async with served(database_url, definition()) as here:
        await known(here)
        accepted = await here.client.delete("/v1/customers/ann@example.com?free_text=false")
        assert accepted.status_code == 202
        assert accepted.json()["status"] == "running"
        again = await here.client.delete("/v1/customers/ann@example.com")
        assert again.json()["erasure_id"] == accepted.json()["erasure_id"], "asked again, it is the same erasure"
        runner = ErasureRunner(here.pool)
        while await runner.run_once():
            pass
        shown = await here.client.get(f"/v1/erasures/{accepted.json()['erasure_id']}")
        assert shown.json()["status"] == "done"


async def test_a_placeholder_of_many_people_is_a_conflict(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.ledger.erasing.MOST_NAMES", 1)
    async with served(database_url, definition()) as here:
        await known(here)
        answered = await here.client.delete("/v1/customers/ann@example.com")
        assert answered.status_code == 409
        assert "placeholder" in answered.json()["detail"]
