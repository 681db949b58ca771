"""One request to an external coupon API over real sockets: what is sent, and the result of each kind of response."""

import gzip
import json
import socket
from collections.abc import AsyncIterator
from ipaddress import ip_address

import httpx
import pytest

from services.issuer.sources.coupon_api import MAX_BODY_BYTES, ApiLimits, CodeResult, open_client, request_code
from shared.domain.model.campaign import Source
from shared.outgoing.addresses import Address
from tests.integration.issuer_coupon_api import CouponApi, Reply, answer, code, drip, hang, hang_up

KEY = "0199f6a2-5c1e-7b43-9a51-3d0c8f6b2a10"
PUBLIC = ApiLimits(attempts=2, try_seconds=0.3, total_seconds=5)
PUBLIC = ApiLimits(attempts=2, try_seconds=0.3, total_seconds=5)
QUICK = ApiLimits(attempts=2, try_seconds=0.3, total_seconds=5, allow_private=True)


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with open_client(QUICK, 4) as opened:
        yield opened


def source(api: CouponApi, *, without_code: bool = False, **headers: str) -> Source:
    return Source("external", api.url, tuple(headers.items()), without_code)


async def test_the_email_is_posted_as_json_with_the_configured_headers_and_the_key(client: httpx.AsyncClient) -> None:
    async with CouponApi(code("COUPON-1001")) as api:
        got = await request_code(client, source(api, Authorization="Bearer t0ken"), "john.smith@email.com", KEY, QUICK)

    assert got == CodeResult("COUPON-1001")
    (request,) = api.requests
    assert request.line == "POST /coupons?shop=7 HTTP/1.1"
    assert json.loads(request.body) == {"email": "john.smith@email.com"}
    assert request.headers["content-type"] == "application/json"
    assert request.headers["authorization"] == "Bearer t0ken"
    assert request.headers["idempotency-key"] == KEY


async def test_configured_headers_cannot_replace_the_key(client: httpx.AsyncClient) -> None:
    async with CouponApi(code("A")) as api:
        await request_code(client, Source("external", api.url, (("idempotency-key", "mine"),)), "a@b.c", KEY, QUICK)

    assert api.requests[0].headers["idempotency-key"] == KEY


@pytest.mark.parametrize("status", [200, 201, 202, 299])
async def test_any_successful_status_counts(client: httpx.AsyncClient, status: int) -> None:
    async with CouponApi(answer(status, b'{"coupon_code": " C1 ", "more": 1}')) as api:
        assert await request_code(client, source(api), "a@b.c", KEY, QUICK) == CodeResult("C1")


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (answer(200, b""), "not JSON"),
        (answer(200, b"<html>"), "not JSON"),
        (answer(200, b"\xff\xfe"), "not JSON"),
        (answer(200, b"[]"), "without a coupon_code"),
        (answer(200, b'"COUPON-1"'), "without a coupon_code"),
        (answer(200, b"{}"), "without a coupon_code"),
        (answer(200, b'{"coupon_code": null}'), "without a coupon_code"),
        (answer(200, b'{"coupon_code": 1001}'), "without a coupon_code"),
        (answer(200, b'{"coupon_code": ""}'), "empty coupon_code"),
        (answer(200, b'{"coupon_code": "  "}'), "empty coupon_code"),
        (answer(200, b'{"coupon_code": "A\\u0000B"}'), "too long or has unprintable characters"),
        (answer(200, json.dumps({"coupon_code": "A" * 256}).encode()), "too long or has unprintable characters"),
        (answer(204), "not JSON"),
        (answer(301, b"", "Location: /elsewhere"), "status 301"),
        (answer(400, b'{"coupon_code": "A"}'), "status 400"),
        (answer(404), "status 404"),
        (answer(409), "status 409"),
        (answer(200, b" " * (MAX_BODY_BYTES + 1)), "more than 65536 bytes"),
        (answer(200, gzip.compress(b'{"coupon_code": "A"}'), "Content-Encoding: gzip"), "not JSON"),
    ],
)
async def test_a_response_without_a_usable_code_is_final(client: httpx.AsyncClient, reply: Reply, error: str) -> None:
    async with CouponApi(reply) as api:
        got = await request_code(client, source(api), "a@b.c", KEY, QUICK)

    assert got.code is None
    assert error in (got.error or "")
    assert len(api.requests) == 1


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (answer(500), "status 500"),
        (answer(503), "status 503"),
        (answer(429), "status 429"),
        (answer(429, b"", "Retry-After: 0"), "status 429"),
        (hang, "No response within 0.3 seconds"),
        (drip, "No response within 0.3 seconds"),
        (hang_up, "Error"),
    ],
)
async def test_a_temporary_failure_is_retried_and_then_given_up(
    client: httpx.AsyncClient, reply: Reply, error: str
) -> None:
    async with CouponApi(reply) as api:
        got = await request_code(client, source(api), "a@b.c", KEY, QUICK)

    assert got.code is None
    assert error in (got.error or "")
    assert len(api.requests) == QUICK.attempts


@pytest.mark.parametrize("trouble", [answer(500), answer(429), hang, hang_up])
async def test_a_second_attempt_has_the_same_key(client: httpx.AsyncClient, trouble: Reply) -> None:
    async with CouponApi(trouble, code("LATE-1")) as api:
        assert await request_code(client, source(api), "a@b.c", KEY, QUICK) == CodeResult("LATE-1")

    assert [request.headers["idempotency-key"] for request in api.requests] == [KEY, KEY]


async def test_all_attempts_together_have_one_timeout(client: httpx.AsyncClient) -> None:
    async with CouponApi(answer(429, b"", "Retry-After: 3600")) as api:
        got = await request_code(
            client,
            source(api),
            "a@b.c",
            KEY,
            ApiLimits(attempts=5, try_seconds=1, total_seconds=0.5, allow_private=True),
        )

    assert got == CodeResult(None, "No response within 0.5 seconds.")
    assert len(api.requests) == 1


@pytest.mark.parametrize("body", [b'{"coupon_code": ""}', b'{"coupon_code": "IGNORED"}'])
async def test_a_campaign_without_codes_ignores_the_value(client: httpx.AsyncClient, body: bytes) -> None:
    async with CouponApi(answer(200, body)) as api:
        assert await request_code(client, source(api, without_code=True), "a@b.c", KEY, QUICK) == CodeResult("")


async def test_a_campaign_without_codes_still_needs_the_field(client: httpx.AsyncClient) -> None:
    async with CouponApi(answer(200, b"{}")) as api:
        assert (await request_code(client, source(api, without_code=True), "a@b.c", KEY, QUICK)).code is None


async def test_an_unavailable_api_gives_no_code(client: httpx.AsyncClient) -> None:
    with socket.socket() as taken:  # bound but not listening: connections are refused
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/"
        got = await request_code(client, Source("external", url), "a@b.c", KEY, QUICK)

    assert got.code is None
    assert "ConnectError" in (got.error or "")


@pytest.mark.parametrize(
    "wrong",
    [
        Source("external", None),
        Source("external", "not a url"),
        Source("external", "ftp://127.0.0.1/"),
        Source("external", "http://[::1"),
        Source("external", "http://127.0.0.1:1/", (("X-Name", "Zoë \u2603"),)),
        Source("external", "http://127.0.0.1:1/", (("X-Name", "a\r\nb: c"),)),
    ],
)
async def test_a_source_that_cannot_be_called_gives_no_code(client: httpx.AsyncClient, wrong: Source) -> None:
    got = await request_code(client, wrong, "a@b.c", KEY, QUICK)

    assert got.code is None
    assert got.error


@pytest.mark.parametrize("url", ["http://127.0.0.1:{port}/", "https://127.0.0.1:{port}/", "https://localhost:{port}/"])
async def test_a_source_in_a_private_network_is_never_connected_to_unless_allowed(url: str) -> None:
    async with CouponApi(code("LEAKED")) as api, open_client(PUBLIC, 1) as client:
        where = url.format(port=api.url.rpartition(":")[2].partition("/")[0])
        got = await request_code(client, Source("external", where), "a@b.c", KEY, PUBLIC)
    assert got.code is None
    assert "COUPONRY_SOURCES_ALLOW_PRIVATE" in (got.error or "") or "not a public address" in (got.error or "")
    assert api.requests == []


async def test_a_name_that_turns_private_between_check_and_call_reaches_nothing() -> None:
    """DNS rebinding: the call connects to the checked address, and the name is resolved once."""
    asked: list[str] = []

    async def rebinding(host: str, _port: int) -> tuple[Address, ...]:
        asked.append(host)
        return (ip_address("127.0.0.1" if len(asked) > 1 else "192.0.2.1"),)

    async with CouponApi(code("LEAKED")) as api, open_client(PUBLIC, 1, rebinding) as client:
        port = api.url.rpartition(":")[2].partition("/")[0]
        got = await request_code(client, Source("external", f"https://codes.example:{port}/"), "a@b.c", KEY, PUBLIC)
    assert got.code is None
    assert "192.0.2.1" in (got.error or "")
    assert asked == ["codes.example"]
    assert api.requests == []
