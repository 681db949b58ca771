"""Bearer tokens of an issuer: taken when its published key signed them for us, and for no other reason."""

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

from tests.gateway import Served, served

pytestmark = pytest.mark.asyncio

ISSUER, AUDIENCE = "https://login.example.com", "couponry"


class Issuer:
    """Publishes one key at `url` and counts how often it is asked for it."""

    def __init__(self) -> None:
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.asked = 0
        issuer = self

        class Answers(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                issuer.asked += 1
                body = json.dumps({"keys": [issuer.published()]}).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args: Any) -> None:
                """Not in a test's output."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
        self.url = f"http://127.0.0.1:{self.server.server_port}/keys"

    def published(self) -> dict[str, Any]:
        return RSAAlgorithm.to_jwk(self.key.public_key(), as_dict=True) | {"kid": "k1", "use": "sig", "alg": "RS256"}

    def token(self, *, key: Any = None, algorithm: str = "RS256", kid: str = "k1", **claims: Any) -> str:
        told = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": "checkout",
            "exp": datetime.now(UTC) + timedelta(minutes=5),
            "scope": "validate redeem openid",
        } | claims
        kept = {name: value for name, value in told.items() if value is not None}
        return jwt.encode(kept, key or self.key, algorithm, headers={"kid": kid})


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    made = Issuer()
    thread = threading.Thread(target=made.server.serve_forever, daemon=True)
    thread.start()
    yield made
    made.server.shutdown()
    made.server.server_close()


def settings(issuer: Issuer) -> dict[str, str]:
    return {"oauth_issuer": ISSUER, "oauth_audience": AUDIENCE, "oauth_jwks_url": issuer.url}


async def status_of(here: Served, token: str, path: str = "/v1/validate") -> tuple[int, str]:
    body = {"codes": ["A"], "order": {"order_id": "O", "currency": "USD", "amount": "1.00"}}
    answer = await here.another().post(path, json=body, headers={"Authorization": f"Bearer {token}"})
    return answer.status_code, answer.json().get("code", "")


async def test_a_token_of_the_issuer_may_do_what_its_scope_says(database_url: str, issuer: Issuer) -> None:
    async with served(database_url, **settings(issuer)) as here:
        assert (await status_of(here, issuer.token()))[0] == 200
        assert (await status_of(here, issuer.token(), "/v1/redemptions")) == (404, "not_found")
        assert await status_of(here, issuer.token(scope="read"), "/v1/redemptions") == (403, "forbidden")
        assert await status_of(here, issuer.token(scope=None)) == (403, "forbidden")
        assert issuer.asked == 1, "the issuer's keys are remembered"


async def test_what_the_issuer_did_not_sign_for_us_and_now_is_refused(database_url: str, issuer: Issuer) -> None:
    other = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    past = datetime.now(UTC) - timedelta(minutes=5)
    public = jwt.utils.base64url_encode(json.dumps(issuer.published()).encode()).decode()
    async with served(database_url, **settings(issuer)) as here:
        for token in (
            issuer.token(key=other),
            issuer.token(iss="https://evil.example.com"),
            issuer.token(aud="another"),
            issuer.token(exp=past),
            issuer.token(exp=None),
            issuer.token(sub=None),
            issuer.token(nbf=datetime.now(UTC) + timedelta(hours=1)),
            issuer.token(key=public.ljust(64, "x"), algorithm="HS256"),
            jwt.encode({"iss": ISSUER, "aud": AUDIENCE, "sub": "x"}, "", "none", headers={"kid": "k1"}),
            "a.b.c",
            "nothing",
        ):
            assert await status_of(here, token) == (401, "unauthorized"), token


async def test_a_key_that_the_issuer_does_not_have_is_not_asked_for_with_every_token(
    database_url: str, issuer: Issuer
) -> None:
    async with served(database_url, **settings(issuer)) as here:
        for number in range(5):
            assert await status_of(here, issuer.token(kid=f"unknown-{number}")) == (401, "unauthorized")
        assert issuer.asked <= 3
        assert (await status_of(here, issuer.token()))[0] == 200, "known keys are good all the same"


async def test_an_issuer_that_is_away_is_for_later(database_url: str, issuer: Issuer) -> None:
    told = settings(issuer) | {"oauth_jwks_url": "http://127.0.0.1:9/keys"}
    async with served(database_url, **told) as here:
        assert await status_of(here, issuer.token()) == (503, "unavailable")


async def test_without_an_issuer_no_token_is_taken(database_url: str, issuer: Issuer) -> None:
    async with served(database_url) as here:
        assert await status_of(here, issuer.token()) == (401, "unauthorized")
