"""The guard of all routes: keys and scopes, rates, and idempotency keys."""

import asyncio
import base64

import asyncpg
import pytest
from prometheus_client import REGISTRY

from services.gateway.access import keys
from services.gateway.gateway import Gateway
from services.gateway.idempotency import Housekeeper
from shared.ledger.engine import Engine
from tests.backends import Postgres
from tests.gateway import client_of, listening, served
from tests.integration.service_process import eventually
from tests.ledger import definition, issue, refusing_connections

pytestmark = pytest.mark.asyncio

ORDER = {"order_id": "ORD1", "currency": "USD", "amount": "125.00"}


async def test_a_request_without_a_key_gets_a_401_that_explains_how_to_send_one(database_url: str) -> None:
    async with served(database_url) as here:
        answer = await here.anonymous_client().post("/v1/validate", json={"codes": ["A"]})
        assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized")
        assert "couponry keys create" in answer.json()["detail"]
        assert answer.headers["www-authenticate"].startswith("Bearer")


async def test_a_key_is_accepted_as_bearer_as_basic_and_in_its_own_header(database_url: str) -> None:
    async with served(database_url) as here:
        basic = base64.b64encode(f"shop:{here.key}".encode()).decode()
        alone = base64.b64encode(f"{here.key}:".encode()).decode()
        for headers in (
            {"Authorization": f"Bearer {here.key}"},
            {"Authorization": f"Basic {basic}"},
            {"Authorization": f"basic {alone}"},
            {"X-API-Key": here.key},
        ):
            answer = await here.anonymous_client().post("/v1/validate", json={"codes": ["A"]}, headers=headers)
            assert answer.status_code == 200, headers


@pytest.mark.parametrize(
    "header",
    ["", "Bearer", "Bearer x", "Basic !!", "Basic eDp5", "Digest a", "Bearer cpn_000000000000_" + "a" * 43],
)
async def test_an_invalid_key_gets_a_401(database_url: str, header: str) -> None:
    async with served(database_url) as here:
        answer = await here.anonymous_client().post(
            "/v1/validate", json={"codes": ["A"]}, headers={"Authorization": header}
        )
        assert answer.status_code == 401


async def test_a_key_is_limited_to_its_scopes(database_url: str) -> None:
    async with served(database_url) as here:
        headers = await here.key_for("validate")
        body = {"codes": ["A"], "order": ORDER}
        assert (await here.anonymous_client().post("/v1/validate", json=body, headers=headers)).status_code == 200
        refused = await here.anonymous_client().post("/v1/redemptions", json=body, headers=headers)
        assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")
        assert "'redeem'" in refused.json()["detail"]


async def test_a_revoked_key_is_refused(database_url: str) -> None:
    async with served(database_url) as here:
        made = await keys.create(here.pool, "gone", ["read"])
        await keys.revoke(here.pool, made.key_id)
        assert await here.gateway.keys.caller(made.key) is None
        with pytest.raises(keys.ApiKeyError):
            await keys.revoke(here.pool, made.key_id)


async def test_too_many_requests_get_a_429_with_retry_after(database_url: str) -> None:
    async with served(database_url, http_rate_per_minute=3) as here:
        answers = [await here.client.post("/v1/validate", json={"codes": ["A"]}) for _ in range(4)]
        assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
        assert int(answers[3].headers["retry-after"]) >= 1
        assert answers[0].headers["ratelimit-policy"] == '"key";q=3;w=60'
        assert answers[0].headers["ratelimit"].startswith('"key";r=2;t=')


async def test_a_retry_gets_the_first_response_byte_for_byte(database_url: str) -> None:
    async with served(database_url, definition()) as here:
        [code] = await issue(Engine(here.pool), "save10")
        headers = {"Idempotency-Key": "k1"}
        body = {"codes": [code], "order": ORDER}
        first = await here.client.post("/v1/redemptions", json=body, headers=headers)
        again = await here.client.post("/v1/redemptions", json=body, headers=headers)
        assert first.status_code == again.status_code == 200
        assert again.content == first.content
        assert again.headers["content-type"] == first.headers["content-type"]
        assert (first.headers.get("idempotent-replayed"), again.headers["idempotent-replayed"]) == (None, "true")
        other = await here.client.post("/v1/redemptions", json=body | {"atomic": False}, headers=headers)
        assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
        elsewhere = await here.client.post("/v1/validate", json=body, headers=headers)
        assert elsewhere.json()["code"] == "idempotency_key_reused"


async def test_a_refusal_is_stored_for_retries(database_url: str) -> None:
    async with served(database_url, definition()) as here:
        headers = {"Idempotency-Key": "k1"}
        body = {"codes": ["SAVE10-NONE"], "order": ORDER}
        first = await here.client.post("/v1/redemptions", json=body, headers=headers)
        again = await here.client.post("/v1/redemptions", json=body, headers=headers)
        assert first.status_code == again.status_code == 404
        assert again.content == first.content
        assert again.headers["content-type"] == "application/problem+json"


async def test_idempotency_keys_of_two_callers_are_independent(database_url: str) -> None:
    async with served(database_url, definition()) as here:
        codes = await issue(Engine(here.pool), "save10", 2)
        other = await here.key_for("redeem")
        for code, headers, number in zip(codes, ({}, other), (1, 2), strict=True):
            body = {"codes": [code], "order": ORDER | {"order_id": f"O{number}"}}
            answer = await here.client.post(
                "/v1/redemptions", json=body, headers={**headers, "Idempotency-Key": "the-same"}
            )
            assert answer.status_code == 200, answer.text


async def test_a_retry_while_the_request_is_in_progress_gets_a_409(database_url: str) -> None:
    async with served(database_url, definition()) as here:
        [code] = await issue(Engine(here.pool), "save10")
        body = {"codes": [code], "order": ORDER}

        async def ask() -> int:
            answer = await here.client.post("/v1/redemptions", json=body, headers={"Idempotency-Key": "k"})
            return answer.status_code

        statuses = await asyncio.gather(*[ask() for _ in range(5)])
        assert sorted(statuses) == [200, 409, 409, 409, 409]


async def test_another_gateway_waits_for_a_live_one_and_takes_over_from_a_dead_one(database_url: str) -> None:
    async with served(database_url, definition()) as here:
        [code] = await issue(Engine(here.pool), "save10")
        body = {"codes": [code], "order": ORDER}
        died = Gateway(here.pool, here.gateway.settings)
        its_keeper = Housekeeper(died.idempotency, database_url)
        await its_keeper.run_once()
        key_id = here.key.split("_")[1]
        # It executes the command and dies before it keeps the response.
        async with client_of(died, {"Authorization": f"Bearer {here.key}"}) as client:
            first = await client.post("/v1/redemptions", json=body, headers={"Idempotency-Key": "k"})
        await here.pool.execute("UPDATE http_answers SET status = NULL, media_type = NULL, body = NULL")
        waits = await here.client.post("/v1/redemptions", json=body, headers={"Idempotency-Key": "k"})
        assert (waits.status_code, waits.json()["code"]) == (409, "idempotency_key_in_flight")
        its_keeper.release_lock()
        for _ in range(100):
            took = await here.client.post("/v1/redemptions", json=body, headers={"Idempotency-Key": "k"})
            if took.status_code != 409:
                break
            await asyncio.sleep(0.05)
        assert took.status_code == 200
        assert took.content == first.content
        rows = await here.pool.fetch("SELECT caller, owner FROM http_answers")
        assert [tuple(row) for row in rows] == [(key_id, here.gateway.idempotency.owner)]


@pytest.mark.parametrize("key", ["", "a b", "x" * 256, "\u00e4"])
async def test_an_invalid_idempotency_key_is_refused(database_url: str, key: str) -> None:
    async with served(database_url) as here:
        answer = await here.client.post(
            "/v1/validate", json={"codes": ["A"]}, headers={"Idempotency-Key": key.encode("latin-1")}
        )
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
        streamed = await here.client.post(
            "/v1/campaigns/none/codes/import",
            content=b"A\n",
            headers={"Idempotency-Key": key.encode("latin-1"), "Content-Type": "text/csv"},
        )
        assert (streamed.status_code, streamed.json()["code"]) == (422, "invalid_request")


async def test_old_responses_are_deleted(database_url: str) -> None:
    async with served(database_url) as here:
        await here.client.post("/v1/validate", json={"codes": ["A"]}, headers={"Idempotency-Key": "old"})
        connection = await asyncpg.connect(database_url, server_settings={"search_path": "couponry"})
        await connection.execute("UPDATE http_answers SET started_at = now() - interval '31 days'")
        await connection.close()
        await here.client.post("/v1/validate", json={"codes": ["A"]}, headers={"Idempotency-Key": "new"})
        assert await here.gateway.idempotency.prune() == 1
        assert await here.pool.fetchval("SELECT idempotency_key FROM http_answers") == "new"


async def test_a_body_that_is_too_large_is_refused(database_url: str) -> None:
    async with served(database_url) as here:
        answer = await here.client.post(
            "/v1/validate", content=b" " * 3_000_000, headers={"Content-Type": "application/json"}
        )
        assert (answer.status_code, answer.json()["code"]) == (413, "too_large")


async def test_unknown_paths_and_methods_are_problems(database_url: str) -> None:
    async with served(database_url) as here:
        assert (await here.client.get("/v1/nothing")).json()["code"] == "not_found"
        put = await here.client.put("/v1/campaigns")
        assert (put.json()["code"], put.headers["allow"]) == ("method_not_allowed", "GET, POST")


@pytest.mark.parametrize(
    ("path", "status", "where"),
    [
        ("/v1/validate", 500, "code"),
        ("/gameball/api/v4.0/integrations/coupons/A/validate", 500, "code"),
        ("/capillary/v1.1/coupon/redeem", 500, "response"),
    ],
)
async def test_a_bug_is_a_500_and_its_response_is_not_stored(
    database_url: str, monkeypatch: pytest.MonkeyPatch, path: str, status: int, where: str
) -> None:
    body = {"codes": ["A"]} if path == "/v1/validate" else {"customerId": "john", "root": {"coupon": {"code": "A"}}}

    async def broken(*_: object) -> None:
        raise KeyError("unexpected")

    async with served(database_url, definition()) as here:
        headers = {"Idempotency-Key": "k", "apikey": here.key}
        with monkeypatch.context() as patched:
            patched.setattr(Gateway, "execute", broken)
            patched.setattr(Gateway, "validate", broken)
            answer = await here.client.post(path, json=body, headers=headers)
        assert answer.status_code == status
        assert where in answer.json()
        assert "unexpected" not in answer.text
        assert (await here.client.post(path, json=body, headers=headers)).content != answer.content


async def test_a_client_that_disconnects_during_its_request_is_not_a_bug(
    database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with served(database_url) as here, listening(here) as url:
        before = counted("Couponry", "400")
        host, port = url.removeprefix("http://").split(":")
        _, writer = await asyncio.open_connection(host, int(port))
        head = (
            f"POST /v1/validate HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {here.key}\r\nContent-Length: 100\r\n\r\n"
        )
        writer.write(f"{head}{{".encode())
        await writer.drain()
        await asyncio.sleep(0.1)
        writer.close()

        async def look() -> float:
            return counted("Couponry", "400")

        await eventually(look, lambda seen: seen == before + 1)
        assert "bug" not in caplog.text


async def test_an_unavailable_database_gets_a_503_and_a_retry_succeeds(postgres: Postgres, database_url: str) -> None:
    async with served(database_url, definition()) as here:
        [code] = await issue(Engine(here.pool), "save10")
        body, headers = {"codes": [code], "order": ORDER}, {"Idempotency-Key": "k"}
        with refusing_connections(postgres, database_url):
            for path in ("/v1/redemptions", "/v1/validate"):
                away = await here.client.post(path, json=body, headers=headers)
                assert (away.status_code, away.json()["code"]) == (503, "unavailable")
                assert away.headers["retry-after"] == "1"
        back = await here.client.post("/v1/redemptions", json=body, headers=headers)
        assert (back.status_code, back.json()["outcome"]) == (200, "redeemed")


async def test_responses_are_counted_by_api_and_status(database_url: str) -> None:
    async with served(database_url) as here:
        before = counted("Couponry", "200"), counted("Couponry", "401"), counted("SiteVibes coupon API", "401")
        await here.client.post("/v1/validate", json={"codes": ["A"]})
        await here.anonymous_client().post("/v1/validate", json={"codes": ["A"]})
        await here.anonymous_client().post("/sitevibes/coupon-manager/x", json={"email": "a@example.com"})
        after = counted("Couponry", "200"), counted("Couponry", "401"), counted("SiteVibes coupon API", "401")
        assert [one - other for one, other in zip(after, before, strict=True)] == [1, 1, 1]


def counted(api: str, status: str) -> float:
    return REGISTRY.get_sample_value("couponry_http_answers_total", {"api": api, "status": status}) or 0.0
