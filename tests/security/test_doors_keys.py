"""Unknown keys cost nothing, and one caller or address has so much at a time and no more."""

import asyncio
from collections import Counter
from typing import Any

import httpx
import pytest

from tests.gateway import Served, listening, served

pytestmark = pytest.mark.asyncio


async def looked_up(here: Served, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The ids of keys that the ledger is asked for, from now on."""
    asked: list[str] = []
    look_up = here.gateway.keys._look_up

    async def noted(key_id: str) -> Any:
        asked.append(key_id)
        return await look_up(key_id)

    monkeypatch.setattr(here.gateway.keys, "_look_up", noted)
    return asked


async def test_unknown_keys_are_bounded_by_address_before_the_ledger_is_asked(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with served(database_url, http_bad_keys_per_minute=10) as here:
        assert (await here.client.get("/v1/campaigns")).status_code == 200
        asked = await looked_up(here, monkeypatch)
        client = here.another()

        async def with_key(number: int) -> int:
            headers = {"Authorization": f"Bearer cpn_{number:012x}_{'a' * 43}"}
            return (await client.get("/v1/campaigns", headers=headers)).status_code

        statuses = Counter(await asyncio.gather(*[with_key(number) for number in range(200)]))
        assert statuses == {401: 10, 429: 190}
        assert len(asked) == 10
        # A key that was good a moment ago is good at that address too; one that nobody knew is asked for elsewhere.
        assert (await here.client.get("/v1/campaigns")).status_code == 200
        for facade in ("/gameball/api/v4.0/integrations/coupons/A/validate", "/voucherify/v1/validations"):
            headers = {"SecretKey": f"cpn_{'0' * 12}_{'a' * 43}", "X-App-Token": f"cpn_{'0' * 12}_{'a' * 43}"}
            assert (await client.post(facade, json={}, headers=headers)).status_code == 429


async def test_a_key_that_nobody_has_is_remembered_for_a_moment(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with served(database_url) as here:
        asked = await looked_up(here, monkeypatch)
        headers = {"Authorization": f"Bearer cpn_{'0' * 12}_{'a' * 43}"}
        for _ in range(5):
            assert (await here.another().get("/v1/campaigns", headers=headers)).status_code == 401
        assert len(asked) == 1
        wrong = {"Authorization": f"Bearer {here.key[:-3]}abc"}
        for _ in range(5):
            assert (await here.another().get("/v1/campaigns", headers=wrong)).status_code == 401


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
async def test_whatever_stands_for_a_key_is_a_401(database_url: str, header: str) -> None:
    settings = {
        "oauth_issuer": "https://login.example.com",
        "oauth_audience": "couponry",
        "oauth_jwks_url": "http://127.0.0.1:9/keys",
    }
    async with served(database_url, **settings) as here:
        answer = await here.another().get("/v1/campaigns", headers={"Authorization": header.encode("latin-1")})  # type: ignore[dict-item]
        assert answer.status_code in {401, 503}


# How much at a time, and what it costs in memory


async def test_so_many_requests_of_one_caller_at_a_time_and_no_more(database_url: str) -> None:
    async with served(database_url, http_at_once=5) as here:
        answers = await asyncio.gather(*[here.client.get("/v1/campaigns") for _ in range(30)])
        counts = Counter(answer.status_code for answer in answers)
        assert counts[200] >= 5
        assert counts[429] >= 1
        refused = next(answer for answer in answers if answer.status_code == 429)
        assert refused.headers["retry-after"] == "1"
        assert (await here.client.get("/v1/campaigns")).status_code == 200


async def test_bodies_together_have_a_bound(database_url: str) -> None:
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


async def test_a_body_that_says_who_calls_is_small_until_that_is_known(database_url: str) -> None:
    async with served(database_url) as here:
        told = {"vendor_id": "1", "vendor_auth_code": here.key, "product_id": "1", "limit": "2"}
        good = await here.another().post("/paddle/api/2.0/product/list_coupons", data=told)
        assert good.json() == {"success": True, "response": []}
        large = await here.another().post(
            "/paddle/api/2.0/product/list_coupons", content=b"a=" + b"x" * 100_000,
            headers={"Content-Type": "application/x-www-form-urlencoded"},
        )  # fmt: skip
        assert large.status_code == 413
