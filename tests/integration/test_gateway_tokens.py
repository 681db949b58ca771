"""Bearer tokens of an issuer: accepted only if its published key signed them for this audience."""

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
    """Publishes one key at `url` and counts the requests for it."""

    def __init__(self) -> None:
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.requests = 0
        issuer = self

        class Answers(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                issuer.requests += 1
                body = json.dumps({"keys": [issuer.published()]}).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args: Any) -> None:
                """Print nothing into a test's output."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
        self.url = f"http://127.0.0.1:{self.server.server_port}/keys"

    def published(self) -> dict[str, Any]:
        return RSAAlgorithm.to_jwk(self.key.public_key(), as_dict=True) | {"kid": "k1", "use": "sig", "alg": "RS256"}

    def token(self, *, key: Any = None, algorithm: str = "RS256", kid: str = "k1", **claims: Any) -> str:
        payload = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": "checkout",
            "exp": datetime.now(UTC) + timedelta(minutes=5),
            "scope": "validate redeem openid",
        } | claims
        kept = {name: value for name, value in payload.items() if value is not None}
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
    answer = await here.anonymous_client().post(path, json=body, headers={"Authorization": f"Bearer {token}"})
    return answer.status_code, answer.json().get("code", "")


async def test_a_token_of_the_issuer_is_limited_to_its_scope(database_url: str, issuer: Issuer) -> None:
    async with served(database_url, **settings(issuer)) as here:
        assert (await status_of(here, issuer.token()))[0] == 200
        assert (await status_of(here, issuer.token(), "/v1/redemptions")) == (404, "not_found")
        assert await status_of(here, issuer.token(scope="read"), "/v1/redemptions") == (403, "forbidden")
        assert await status_of(here, issuer.token(scope=None)) == (403, "forbidden")
        assert issuer.requests == 1, "the issuer's keys are cached"


async def test_invalid_tokens_are_refused(database_url: str, issuer: Issuer) -> None:
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


async def test_an_unknown_key_id_is_not_requested_for_every_token(database_url: str, issuer: Issuer) -> None:
    async with served(database_url, **settings(issuer)) as here:
        for number in range(5):
            assert await status_of(here, issuer.token(kid=f"unknown-{number}")) == (401, "unauthorized")
        assert issuer.requests <= 3
        assert (await status_of(here, issuer.token()))[0] == 200, "known keys are still accepted"


async def test_an_unavailable_issuer_gets_a_503(database_url: str, issuer: Issuer) -> None:
    unreachable = settings(issuer) | {"oauth_jwks_url": "http://127.0.0.1:9/keys"}
    async with served(database_url, **unreachable) as here:
        assert await status_of(here, issuer.token()) == (503, "unavailable")


async def test_tokens_are_refused_without_an_issuer(database_url: str, issuer: Issuer) -> None:
    async with served(database_url) as here:
        assert await status_of(here, issuer.token()) == (401, "unauthorized")
