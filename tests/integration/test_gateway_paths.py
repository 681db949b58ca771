"""Ids in paths: whatever can be created can be addressed, and a wrong path has a clear response."""

import asyncio
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from tests.gateway import Served, listening, served
from tests.ledger import definition

pytestmark = pytest.mark.asyncio

CODES = [
    "10/OFF", "A/B/C", "/", "//", "/A", "A/", "25%OFF", "50%AB", "10%2FOFF", "A%252FB", "A+B", "A B", "Q?#", "ÄPFEL",
    "💥10", "..", ".", "../A", "A/..", "A;B", "A\\B", "A&B=C", "history", "A/history", "A/void", "HTTP://A/B?C#D",
]  # fmt: skip
AMOUNT = {"currency": "USD", "amount": "50.00"}


def encoded(name: str) -> str:
    """Return the id as one segment of a path; dots are encoded, because clients remove segments of dots."""
    return quote(name, safe="").replace(".", "%2E")


async def call(here: Served, method: str, path: str, **fields: Any) -> tuple[int, Any]:
    """Send a request with its path as it is, without the client's normalization."""
    url = httpx.URL("http://couponry.test").copy_with(raw_path=path.encode())
    response = await here.client.request(method, url, **fields)
    return response.status_code, response.json()


@pytest.mark.parametrize("code", CODES)
async def test_a_coupon_is_addressed_by_its_encoded_code(database_url: str, code: str) -> None:
    async with served(database_url, definition("one", code={"shared_code": code}, limits={})) as here:
        path = f"/v1/coupons/{encoded(code)}"
        status, shown = await call(here, "GET", path)
        assert (status, shown.get("code")) == (200, code), shown
        assert (await call(here, "GET", f"{path}/history"))[1]["code"] == code
        assert (await call(here, "POST", f"{path}/void"))[1]["status"] == "voided"
        assert (await call(here, "PATCH", path, json={"status": "active"}))[1]["status"] == "active"
        assert (await call(here, "GET", f"/voucherify/v1/vouchers/{encoded(code)}"))[1]["code"] == code
        assert (await call(here, "POST", f"/voucherify/v1/vouchers/{encoded(code)}/disable"))[0] == 200
        assert (await call(here, "GET", path))[1]["status"] == "voided"


@pytest.mark.parametrize("name", ["summer/2026", "a/b/pause", "100%", "%2F", "ä/ö ü", "💥/💥"])
async def test_campaigns_orders_locks_and_customers_are_addressed_by_their_ids(database_url: str, name: str) -> None:
    async with served(database_url, definition("one", code={"shared_code": "ONE"}, limits={})) as here:
        one, customer = encoded(name), {"customer_id": name}
        await call(here, "POST", "/v1/campaigns", json={"campaign_id": name, "discount": {"kind": "free_shipping"}})
        assert (await call(here, "GET", f"/v1/campaigns/{one}"))[1]["campaign_id"] == name
        assert (await call(here, "POST", f"/v1/campaigns/{one}/pause"))[1]["status"] == "paused"
        assert (await call(here, "GET", f"/v1/reports/campaigns/{one}"))[0] == 200
        imported = {"content": "X-1\n", "headers": {"content-type": "text/csv"}}
        assert (await call(here, "POST", f"/v1/campaigns/{one}/codes/import", **imported))[0] == 200
        wanted = {"codes": ["ONE"], "customer": customer, "lock_reference": name}
        assert (await call(here, "POST", "/v1/locks", json=wanted))[0] == 201
        assert (await call(here, "POST", f"/v1/locks/{one}/release"))[1]["outcome"] == "released"
        body = {"codes": ["ONE"], "customer": customer, "order": {"order_id": name, **AMOUNT}}
        assert (await call(here, "POST", "/v1/redemptions", json=body))[0] == 200
        assert (await call(here, "POST", f"/v1/orders/{one}/cancel"))[1]["outcome"] == "restored"
        issued = await call(here, "POST", "/v1/coupons", json={"campaign_id": "one", "customer": customer})
        assert issued[0] == 201
        assert (await call(here, "GET", f"/v1/customers/{one}/wallet"))[0] == 200
        assert (await call(here, "GET", f"/v1/customers/{one}/export"))[0] == 200
        lock = {"codes": ["ONE"], "lock_reference": f"{name}2"}
        assert (await call(here, "POST", "/v1/locks", json=lock))[0] == 201
        gameball = f"/gameball/api/v4.0/integrations/coupons/{encoded(f'{name}2')}"
        assert (await call(here, "DELETE", gameball, headers={"SecretKey": here.key}))[0] == 200


@pytest.mark.parametrize(
    ("method", "path", "found"),
    [
        ("POST", "/v1/orders/POS/2026/1/cancel", "POS/2026/1"),
        ("POST", "/v1/orders/POS%2F2026/1/cancel", "POS/2026/1"),
        ("POST", "/v1/orders/a/cancel/cancel", "a/cancel"),
        ("GET", "/v1/coupons/10/OFF", "10/OFF"),
        ("GET", "/v1/coupons/10/OFF/history", "10/OFF"),
        ("POST", "/v1/coupons/10/OFF/void", "10/OFF"),
        ("GET", "/v1/campaigns/a/b/c", "a/b/c"),
        ("POST", "/voucherify/v1/vouchers/10/OFF/disable", "10/OFF"),
    ],
)
async def test_plain_slashes_belong_to_the_id_if_no_other_route_fits(
    database_url: str, method: str, path: str, found: str
) -> None:
    async with served(database_url) as here:
        status, document = await call(here, method, path)
        if "/orders/" in path:
            assert (status, document["order_id"]) == (200, found)
        else:
            assert (status, repr(found) in str(document) or found in str(document)) == (404, True)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/coupons/%FF", 400),
        ("POST", "/v1/coupons/A%C3/void", 400),
        ("GET", "/v1/coupons/50%AB", 400),
        ("GET", "/voucherify/v1/vouchers/%FF", 400),
        ("GET", "/v1/coupons/%00", 422),
        ("GET", "/v1/coupons/A%2F%00", 422),
        ("GET", "/v1/coupons/%0A%2F", 404),
        ("GET", "/v1/coupons/%ED%A0%80", 400),
        ("GET", "/v1/coupons//history", 404),
        ("POST", "/v1/orders//cancel", 404),
        ("POST", "/v1/orders/a//b/cancel", 404),
        ("POST", "/v1/orders/a/%2E%2E/b/cancel", 404),
        ("GET", "/v1%2Fcoupons/A", 404),
        ("GET", "/v1%2Fcampaigns", 404),
        ("GET", "/v1/nothing", 404),
        ("GET", "/v1/nothing/at/all", 404),
        ("POST", "/v1/coupons/A/frobnicate", 404),
        ("POST", "/v1/coupons/A/B/frobnicate", 404),
        ("DELETE", "/v1/coupons/A%2FB", 405),
        ("GET", "/v1/coupons/A/void", 405),
        ("GET", "/v1/jobs/a%2Fb", 422),
        ("GET", "/v1/jobs/a/b", 422),
        ("GET", "/v1/webhooks/a%2Fb", 422),
        ("GET", "/v1/coupons/" + "%2F" * 300, 422),
    ],
)
async def test_a_wrong_path_has_a_clear_response(database_url: str, method: str, path: str, status: int) -> None:
    async with served(database_url) as here:
        found, document = await call(here, method, path)
        assert (found, bool(document.get("detail") or document.get("details"))) == (status, True), document


@pytest.mark.parametrize("code", ["A%2FB", "50%25AB", "A%3F"])
async def test_a_trailing_slash_redirects_to_the_same_id(database_url: str, code: str) -> None:
    async with served(database_url) as here:
        url = httpx.URL("http://couponry.test").copy_with(raw_path=f"/v1/coupons/{code}/".encode())
        response = await here.client.get(url)
        assert (response.status_code, response.headers["location"]) == (307, f"http://couponry.test/v1/coupons/{code}")


async def test_one_idempotency_key_is_not_used_for_two_ids(database_url: str) -> None:
    ids = ["Q?A", "Q?B", "10/OFF", "10%2FOFF", "Q%3FA"]
    campaigns = [definition(f"c{number}", code={"shared_code": one}, limits={}) for number, one in enumerate(ids)]
    async with served(database_url, *campaigns) as here:
        key = {"Idempotency-Key": "k1"}
        answers = [await call(here, "POST", f"/v1/coupons/{encoded(one)}/void", headers=key) for one in ids]
        assert [status for status, _ in answers] == [200, 422, 422, 422, 422]
        assert {document["code"] for _, document in answers[1:]} == {"idempotency_key_reused"}


async def test_an_unknown_code_with_a_slash_counts_as_a_guess(database_url: str) -> None:
    async with served(database_url, http_unknown_per_minute=3) as here:
        statuses = [(await call(here, "GET", f"/v1/coupons/A%2F{number}"))[0] for number in range(5)]
        assert statuses == [404, 404, 404, 429, 429]


async def test_a_real_server_passes_encoded_ids_on(database_url: str) -> None:
    async with (
        served(database_url, definition("one", code={"shared_code": "10/OFF ?ä"}, limits={})) as here,
        listening(here) as url,
    ):
        host, port = url.removeprefix("http://").split(":")

        async def status_of(target: bytes) -> bytes:
            reader, writer = await asyncio.open_connection(host, int(port))
            head = b"GET %b HTTP/1.1\r\nhost: a\r\nauthorization: Bearer %b\r\nconnection: close\r\n\r\n"
            writer.write(head % (target, here.key.encode()))
            answer = await reader.read()
            writer.close()
            return answer.split(b" ", 2)[1]

        assert await status_of(b"/v1/coupons/10%2FOFF%20%3F%C3%A4") == b"200"
        assert await status_of(b"/v1/coupons/10/OFF%20%3F%C3%A4/history?x=1") == b"200"
        assert await status_of(b"http://a/v1/coupons/10%2foff%20%3f%c3%a4") == b"200"
        assert await status_of(b"/v1/coupons/%FF") == b"400"
        assert await status_of("/v1/coupons/ä".encode()) == b"400"
        assert await status_of(b"/v1/coupons/%") == b"404"
        assert await status_of(b"/v1/coupons/../coupons/10%2FOFF%20%3F%C3%A4") == b"404"
