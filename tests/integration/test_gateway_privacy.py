"""Export and erasure over HTTP."""

from typing import Any

import pytest

from services.gateway.erasures import ErasureRunner
from services.gateway.native import privacy
from shared.domain.model.customer import Customer
from shared.ledger import erasing
from shared.ledger.database import Pool
from tests.gateway import Served, served
from tests.ledger import definition, issue
from tests.privacy import delete_erasure_events, named_in

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


async def test_a_long_erasure_is_accepted_and_any_gateway_continues_it(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(privacy, "AT_ONCE_SECONDS", -1.0)
    async with served(database_url, definition()) as here:
        await known(here)
        accepted = await here.client.delete("/v1/customers/ann@example.com?free_text=false")
        assert accepted.status_code == 202
        assert accepted.json()["status"] == "running"
        again = await here.client.delete("/v1/customers/ann@example.com")
        assert again.json()["erasure_id"] == accepted.json()["erasure_id"], (
            "a repeated request returns the same erasure"
        )
        runner = ErasureRunner(here.pool)
        while await runner.run_once():
            pass
        shown = await here.client.get(f"/v1/erasures/{accepted.json()['erasure_id']}")
        assert shown.json()["status"] == "done"


async def test_a_bug_in_one_erasure_does_not_stop_the_others(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(privacy, "AT_ONCE_SECONDS", -1.0)
    async with served(database_url, definition()) as here:
        await known(here)
        await issue(here.gateway.engine, "save10", 2, Customer("bob"))
        ids = [(await here.client.delete(f"/v1/customers/{name}")).json()["erasure_id"] for name in ("ann", "bob")]
        real = erasing.work

        async def work(pool: Pool, erasure_id: str, *options: Any) -> bool:
            if erasure_id == ids[0]:
                raise RuntimeError("a test's")
            return await real(pool, erasure_id, *options)

        with monkeypatch.context() as broken:
            broken.setattr(erasing, "work", work)
            runner = ErasureRunner(here.pool)
            while await runner.run_once():
                pass
        states = [(await here.client.get(f"/v1/erasures/{one}")).json()["status"] for one in ids]
        assert states == ["running", "done"]
        while await runner.run_once():
            pass
        assert (await here.client.get(f"/v1/erasures/{ids[0]}")).json()["status"] == "done"


async def test_a_placeholder_of_many_customers_is_a_conflict(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.ledger.erasing.MAX_NAMES", 1)
    async with served(database_url, definition()) as here:
        await known(here)
        answered = await here.client.delete("/v1/customers/ann@example.com")
        assert answered.status_code == 409
        assert "placeholder" in answered.json()["detail"]


JOHN = {"customer_id": "john_smith_5", "email": "John.Smith@Example.com", "mobile": "+91 99999-88886"}
ORDER = {"order_id": "O-1", "currency": "USD", "amount": "125.00", "metadata": {"gift": "to john.smith@example.com"}}
JOHNS_NAMES = ("john_smith_5", "john.smith@example.com", "+919999988886", "9999988886", "99999-88886")


async def test_an_erasure_removes_the_customer_from_the_data_of_every_api(database_url: str) -> None:
    campaigns = (definition(), definition("shared", code={"shared_code": "SHARED"}, limits={"uses_per_customer": 2}))
    async with served(database_url, *campaigns, region="IN") as here:

        async def post(path: str, body: Any, key: str, **headers: str) -> Any:
            answered = await here.client.post(path, json=body, headers={"Idempotency-Key": key} | headers)
            assert answered.status_code < 500, answered.text
            return answered.json()

        made = await post("/v1/coupons", {"campaign_id": "save10", "customer": JOHN, "count": 3}, "k-1")
        codes = [coupon["code"] for coupon in made["coupons"]]
        order = {"codes": [codes[0], "john.smith@example.com"], "customer": JOHN, "order": ORDER}
        await post("/v1/validate", order, "k-2")
        await post("/v1/explain", {"code": codes[0], "customer": JOHN, "order": ORDER}, "k-3")
        await post("/v1/redemptions", order, "k-4")
        locked = {"codes": ["SHARED"], "customer": {"mobile": "+919999988886"}}
        await post("/v1/locks", locked, "k-5")
        await post("/v1/orders/O-1/return", {"amount": "10.00"}, "k-6")
        await post("/v1/coupons", {"campaign_id": "save10", "count": 2_000}, "k-7")  # a job
        capillary = {"root": {"coupon": [
            {"code": code, "customer": {"mobile": "9999988886"}, "transaction": [{"number": "T-1", "amount": "50"}]}
            for code in (codes[1], "NO-SUCH")
        ]}}  # fmt: skip
        await post("/capillary/v1.1/coupon/redeem?format=json", capillary, "k-8")
        token = {"X-App-Id": "shop", "X-App-Token": here.key}
        redeemables = [{"object": "voucher", "id": "SHARED"}]
        vendor = {"redeemables": redeemables, "customer": {"source_id": "john_smith_5", "email": JOHN["email"]}}
        vendor |= {"order": {"source_id": "V-1", "amount": 5_000}, "metadata": {"phone": "9999988886"}}
        await post("/voucherify/v1/redemptions", vendor, "k-9", **token)
        await post("/voucherify/v1/validations", vendor, "k-10", **token)
        before = {place.partition(".")[0] for place in await named_in(database_url, JOHNS_NAMES)}
        assert {"customer_identifiers", "journal", "outbox"} <= before
        assert await here.pool.fetchval("SELECT count(*) FROM http_answers") == 10
        erased = await here.client.delete("/v1/customers/john.smith@example.com")
        assert erased.json()["status"] == "done", erased.text
        await delete_erasure_events(here.pool)
        assert await named_in(database_url, JOHNS_NAMES) == {}
        kept = {row[0] for row in await here.pool.fetch("SELECT idempotency_key FROM http_answers")}
        assert not kept & {"k-1", "k-4", "k-5", "k-9"}, "hashes of the customer's requests"
        again = await post("/v1/redemptions", order, "k-4")
        assert again.get("outcome", again.get("code")) is not None
        assert await named_in(database_url, ("john_smith_5",)) == {}, "the journal answers a retry"


async def test_an_export_waits_for_others_and_then_gets_a_429(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(privacy, "EXPORT_WAIT_SECONDS", 0.01)
    async with served(database_url, definition()) as here:
        await known(here)
        async with here.gateway.exports, here.gateway.exports:
            busy = await here.client.get("/v1/customers/ann/export")
        assert (busy.status_code, busy.json()["code"], busy.headers["Retry-After"]) == (429, "rate_limited", "60")
        assert (await here.client.get("/v1/customers/ann/export")).status_code == 200


async def test_an_export_that_fails_midway_releases_its_slot(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(privacy, "EXPORT_WAIT_SECONDS", 0.01)
    async with served(database_url, definition()) as here:
        await known(here)
        with monkeypatch.context() as broken:
            broken.setattr("shared.ledger.exporting.TEXTS", {"events": ("no_such_statement", ())})
            for _ in range(3):
                with pytest.raises(Exception, match="no_such_statement"):
                    await here.client.get("/v1/customers/ann/export")
        assert (await here.client.get("/v1/customers/ann/export")).status_code == 200
