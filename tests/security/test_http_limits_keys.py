"""Unknown keys cost no queries, and concurrent requests are limited per caller and address."""

import asyncio
from collections import Counter
from typing import Any

import httpx
import pytest

from tests.gateway import Served, listening, served

pytestmark = pytest.mark.asyncio


async def lookups(here: Served, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a list that collects the ids of keys that are looked up in the ledger from now on."""
    looked_up_ids: list[str] = []
    look_up = here.gateway.keys._look_up

    async def noted(key_id: str) -> Any:
        looked_up_ids.append(key_id)
        return await look_up(key_id)

    monkeypatch.setattr(here.gateway.keys, "_look_up", noted)
    return looked_up_ids


async def test_unknown_keys_are_limited_per_address_before_the_ledger_is_queried(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with served(database_url, http_bad_keys_per_minute=10) as here:
        assert (await here.client.get("/v1/campaigns")).status_code == 200
        looked_up_ids = await lookups(here, monkeypatch)
        client = here.anonymous_client()

        async def with_key(number: int) -> int:
            headers = {"Authorization": f"Bearer cpn_{number:012x}_{'a' * 43}"}
            return (await client.get("/v1/campaigns", headers=headers)).status_code

        statuses = Counter(await asyncio.gather(*[with_key(number) for number in range(200)]))
        assert statuses == {401: 10, 429: 190}
        assert len(looked_up_ids) == 10
        # A recently used key still works from that address; an unknown key is refused on the facades as well.
        assert (await here.client.get("/v1/campaigns")).status_code == 200
        for facade in ("/gameball/api/v4.0/integrations/coupons/A/validate", "/voucherify/v1/validations"):
            headers = {"SecretKey": f"cpn_{'0' * 12}_{'a' * 43}", "X-App-Token": f"cpn_{'0' * 12}_{'a' * 43}"}
            assert (await client.post(facade, json={}, headers=headers)).status_code == 429


async def test_an_unknown_key_is_cached(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with served(database_url) as here:
        looked_up_ids = await lookups(here, monkeypatch)
        headers = {"Authorization": f"Bearer cpn_{'0' * 12}_{'a' * 43}"}
        for _ in range(5):
            assert (await here.anonymous_client().get("/v1/campaigns", headers=headers)).status_code == 401
        assert len(looked_up_ids) == 1
        wrong = {"Authorization": f"Bearer {here.key[:-3]}abc"}
        for _ in range(5):
            assert (await here.anonymous_client().get("/v1/campaigns", headers=wrong)).status_code == 401


@pytest.mark.parametrize(
    "header",
    [
        "Bearer " + "x" * 20_000,
        "Bearer " + "a." * 9_000,
        "Basic " + "QUFB" * 5_000,
        "Basic " + "4oCu4oCu",
        "Bearer \u00e4\u00f6\u00fc",
        "Bearer " + "W1tb" * 4_000 + ".e30.x",
    ],
    ids=["long", "many dots", "long basic", "unicode basic", "latin-1", "deep JSON"],
)
async def test_a_malformed_key_is_a_401(database_url: str, header: str) -> None:
    settings = {
        "oauth_issuer": "https://login.example.com",
        "oauth_audience": "couponry",
        "oauth_jwks_url": "http://127.0.0.1:9/keys",
    }
    async with served(database_url, **settings) as here:
        answer = await here.anonymous_client().get("/v1/campaigns", headers={"Authorization": header.encode("latin-1")})  # type: ignore[dict-item]
        assert answer.status_code in {401, 503}


# Concurrent requests and their memory


async def test_concurrent_requests_are_limited_per_caller(database_url: str) -> None:
    async with served(database_url, http_at_once=5) as here:
        answers = await asyncio.gather(*[here.client.get("/v1/campaigns") for _ in range(30)])
        counts = Counter(answer.status_code for answer in answers)
        assert counts[200] >= 5
        assert counts[429] >= 1
        refused = next(answer for answer in answers if answer.status_code == 429)
        assert refused.headers["retry-after"] == "1"
        assert (await here.client.get("/v1/campaigns")).status_code == 200


async def test_all_bodies_together_are_limited(database_url: str) -> None:
    async with served(database_url) as here, listening(here) as url:
        here.gateway.bodies._size = 3_000_000
        async with httpx.AsyncClient(base_url=url, headers={"Authorization": f"Bearer {here.key}"}) as client:
            body = b'{"codes": ["' + b"x" * 1_900_000 + b'"]}'
            headers = {"Content-Type": "application/json"}
            answers = await asyncio.gather(
                *[client.post("/v1/validate", content=body, headers=headers) for _ in range(10)]
            )
            assert {answer.status_code for answer in answers} <= {422, 503}
            assert (await client.post("/v1/validate", json={"codes": ["A"]})).status_code == 200
        assert here.gateway.bodies.used == 0


async def test_a_body_with_credentials_is_limited_before_authentication(database_url: str) -> None:
    async with served(database_url) as here:
        data = {"vendor_id": "1", "vendor_auth_code": here.key, "product_id": "1", "limit": "2"}
        good = await here.anonymous_client().post("/paddle/api/2.0/product/list_coupons", data=data)
        assert good.json() == {"success": True, "response": []}
        large = await here.anonymous_client().post(
            "/paddle/api/2.0/product/list_coupons", content=b"a=" + b"x" * 100_000,
            headers={"Content-Type": "application/x-www-form-urlencoded"},
        )  # fmt: skip
        assert large.status_code == 413
