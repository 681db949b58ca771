"""Callers are distinguished by their whole name, jobs are limited, and pages load no external resources."""

import asyncio
import re
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from schemas.campaigns import CampaignDefinition
from services.gateway import jobs
from services.gateway.access.callers import token_name
from services.gateway.gateway import rejection
from shared.domain.model.commands import Command
from shared.ledger.engine import Answer, Engine, Rejected
from tests.gateway import Served, served
from tests.integration.test_gateway_tokens import AUDIENCE, ISSUER, Issuer
from tests.ledger import definition, issue

pytestmark = pytest.mark.asyncio

ORDER = {"order_id": "ORD1", "currency": "USD", "amount": "125.00"}


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    """Run an issuer that publishes its key."""
    made = Issuer()
    thread = threading.Thread(target=made.server.serve_forever, daemon=True)
    thread.start()
    yield made
    made.server.shutdown()
    made.server.server_close()
    thread.join()


def oauth(issuer: Issuer) -> dict[str, str]:
    return {"oauth_issuer": ISSUER, "oauth_audience": AUDIENCE, "oauth_jwks_url": issuer.url}


@pytest.mark.parametrize(
    ("alice", "bob"),
    [
        ("x" * 300 + "alice", "x" * 300 + "bob"),
        ("alice", "alice "),
        ("\u00e4lice", "a\u0308lice"),
        ("x" * 20_000, "x" * 20_001),
        ("alice\0", "alice"),
    ],
    ids=["alike for 300 characters", "a blank", "unicode forms", "very long", "NUL"],
)
async def test_similar_subjects_are_different_callers(database_url: str, issuer: Issuer, alice: str, bob: str) -> None:
    async with served(database_url, definition(), **oauth(issuer)) as here:
        codes = await issue(Engine(here.pool), "save10", 2)
        answers = []
        for subject, code, order in ((alice, codes[0], "O1"), (bob, codes[1], "O2")):
            answer = await here.anonymous_client().post(
                "/v1/redemptions",
                json={"codes": [code], "order": ORDER | {"order_id": order}},
                headers={"Authorization": f"Bearer {issuer.token(sub=subject)}", "Idempotency-Key": "the-same"},
            )
            assert answer.status_code == 200, answer.text
            answers.append(answer.json()["order_id"])
        assert answers == ["O1", "O2"]
        callers = {row["caller"] for row in await here.pool.fetch("SELECT caller FROM http_answers")}
        assert callers == {token_name(ISSUER, alice), token_name(ISSUER, bob)}


async def test_caller_names_separate_issuer_and_subject() -> None:
    assert token_name("https://a", "b c") != token_name("https://a b", "c")
    assert token_name("a", "1:b") != token_name("a1:", "b")
    assert len({len(token_name("a", subject)) for subject in ("", "b", "\ud800", "x" * 10_000)}) == 1


async def test_an_accepted_token_is_not_affected_by_the_limit_of_refused_ones(
    database_url: str, issuer: Issuer
) -> None:
    async with served(database_url, http_bad_keys_per_minute=5, **oauth(issuer)) as here:
        good = {"Authorization": f"Bearer {issuer.token(scope='read')}"}
        assert (await here.anonymous_client().get("/v1/campaigns", headers=good)).status_code == 200
        bad = {"Authorization": f"Bearer {issuer.token(aud='another audience')}"}
        statuses = await asyncio.gather(*[here.anonymous_client().get("/v1/campaigns", headers=bad) for _ in range(20)])
        assert Counter(answer.status_code for answer in statuses) == {401: 5, 429: 15}
        assert (await here.anonymous_client().get("/v1/campaigns", headers=good)).status_code == 200


# Jobs


def many(campaign_id: str = "bulk") -> CampaignDefinition:
    return definition(campaign_id, code={"pattern": "BULK-############"})


async def test_jobs_are_limited_per_caller(database_url: str) -> None:
    async with served(database_url, many(), http_jobs_per_caller=3) as here:
        body = {"campaign_id": "bulk", "count": 2_000}
        answers = await asyncio.gather(*[here.client.post("/v1/coupons", json=body) for _ in range(10)])
        assert Counter(answer.status_code for answer in answers) == {202: 3, 429: 7}
        refused = next(answer for answer in answers if answer.status_code == 429)
        assert refused.headers["retry-after"] == "60"
        assert "At most 3 jobs" in refused.json()["detail"]
        other = await here.key_for("issue")
        assert (await here.anonymous_client().post("/v1/coupons", json=body, headers=other)).status_code == 202


async def test_coupons_of_open_jobs_are_limited_per_caller(database_url: str) -> None:
    async with served(database_url, many(), http_job_coupons_per_caller=10_000) as here:

        def asked(count: int) -> dict[str, Any]:
            return {"campaign_id": "bulk", "count": count}

        assert (await here.client.post("/v1/coupons", json=asked(10_001))).status_code == 422
        first = await here.client.post("/v1/coupons", json=asked(8_000), headers={"Idempotency-Key": "k"})
        assert first.status_code == 202
        assert (await here.client.post("/v1/coupons", json=asked(3_000))).status_code == 429
        assert (await here.client.post("/v1/coupons", json=asked(2_000))).status_code == 202
        # A retry returns the same job, even if the queue is full.
        limits = jobs.QueueLimits(1, 1_000)
        job = first.json()
        again = await jobs.add(here.pool, job["job_id"], "any caller", "bulk", 8_000, limits=limits)
        assert again.job_id == job["job_id"]
        runner = jobs.JobRunner(here.pool, here.gateway.engine)
        while await runner.run_once():
            pass
        assert (await here.client.post("/v1/coupons", json=asked(10_000))).status_code == 202


async def test_jobs_take_turns(database_url: str) -> None:
    async with served(database_url, many()) as here:
        for count in (5_000, 2_000):
            assert (await here.client.post("/v1/coupons", json={"campaign_id": "bulk", "count": count})).is_success
        runner = jobs.JobRunner(here.pool, here.gateway.engine)
        for _ in range(4):
            await runner.run_once()
        assert [row["done"] for row in await here.pool.fetch("SELECT done FROM jobs ORDER BY total")] == [2_000, 2_000]


# Headers and pages


async def paths(here: Served) -> Sequence[tuple[str, str]]:
    [code] = await issue(Engine(here.pool), "save10")
    return (
        ("GET", f"/v1/coupons/{code}"), ("GET", "/v1/coupons/X"), ("GET", "/v1/nothing"), ("PUT", "/v1/campaigns"),
        ("GET", "/docs"), ("GET", "/openapi.json"), ("GET", "/voucherify/v1/vouchers/X"), ("GET", "/paddle/nothing"),
        ("POST", "/capillary/v1.1/coupon/redeem"), ("POST", "/sitevibes/coupon-manager/a"),
        ("GET", "/v1/reports/campaigns?format=csv"), ("GET", "/redoc"),
    )  # fmt: skip


async def test_every_response_has_security_headers_for_browsers(database_url: str) -> None:
    async with served(database_url, definition()) as here:
        for method, path in await paths(here):
            for client in (here.client, here.anonymous_client()):
                answer = await client.request(method, path)
                assert answer.headers["x-content-type-options"] == "nosniff", path
                assert answer.headers["referrer-policy"] == "no-referrer", path
                assert answer.headers["cache-control"] == "no-store", path
                policy = answer.headers["content-security-policy"]
                assert "default-src 'none'" in policy
                assert "frame-ancestors 'none'" in policy
                assert "unsafe" not in policy
                assert "script-src" not in policy


async def test_pages_load_no_other_resources(database_url: str) -> None:
    async with served(database_url) as here:
        page = await here.anonymous_client().get("/docs")
        assert page.headers["content-type"].startswith("text/html")
        elements = set(re.findall(r"<([a-z]\w*)", page.text))
        assert not elements & {"script", "link", "img", "iframe", "object", "embed", "form", "base", "svg"}
        assert re.findall(r'(?:href|src|url)\W+([^"\s]+)"', page.text) == ["openapi.json"]
        for path in ("POST /v1/redemptions", "GET /v1/coupons/{code}/history"):
            assert f"<code>{path}</code>" in page.text
        assert (await here.anonymous_client().get("/redoc")).status_code == 404


# A bug of one request


class Buggy(Engine):
    """An engine that has a bug with the commands of one order, and rejects them as the real one does."""

    async def execute(self, commands: Sequence[Command]) -> list[Answer]:
        answers: list[Answer] = []
        for command in commands:
            if "BUG" in str(command):
                answers.append(self.rejected(command))
            else:
                answers += await super().execute([command])
        return answers

    @staticmethod
    def rejected(command: Command) -> Rejected:
        return Rejected(command.command_id, "bug", "an internal secret", is_bug=True)


async def test_a_bug_is_a_500_only_for_its_own_request(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.gateway.gateway.Engine", Buggy)
    async with served(database_url, definition()) as here:
        codes = await issue(Engine(here.pool), "save10", 20)

        def asked(number: int) -> Any:
            order = ORDER | {"order_id": f"{'BUG' if number == 7 else 'O'}{number}"}
            return here.client.post("/v1/redemptions", json={"codes": [codes[number]], "order": order})

        answers = await asyncio.gather(*[asked(number) for number in range(20)])
        assert [answer.status_code for answer in answers] == [500 if number == 7 else 200 for number in range(20)]
        assert answers[7].json()["code"] == "internal_error"
        assert "secret" not in answers[7].text


async def test_a_value_that_the_ledger_refuses_is_a_422() -> None:
    problem = rejection(Rejected("c", "NumericValueOutOfRangeError", "too large"))
    assert (problem.status, problem.code) == (422, "invalid_request")
    assert rejection(Rejected("c", "CommandIdReused", "used")).code == "idempotency_key_reused"
