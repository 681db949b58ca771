"""For any body, path or query: no response is a 5xx, errors have the facade's format, and other requests succeed."""

import asyncio
import copy
import json
import os
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urlencode

import httpx
import pytest

from schemas.campaigns import CampaignDefinition
from schemas.parsing import InvalidDocumentError, parse
from services.gateway.app import create_app
from tests.gateway import Served, client_of, served
from tests.ledger import definition
from tests.security.routes_table import NAMES, REQUESTS, Request, headers_of, is_problem, requests_of, routes_of

pytestmark = pytest.mark.asyncio

RAW = {
    "@2^64@": "18446744073709551616", "@-2^70@": str(-(2**70)), "@300 digits@": "9" * 300, "@5000 digits@": "9" * 5_000,
    "@1e400@": "1e400", "@-1e400@": "-1e400", "@NaN@": "NaN", "@Infinity@": "-Infinity",
}  # fmt: skip
"""Placeholder → a value that json.dumps can't write."""

ALWAYS = ("@2^64@", 1e308, None, "\u6f22" * 2_000, "9999-12-31T23:59:59.999999Z")
IN_TURN = (
    *[one for one in RAW if one not in ALWAYS], 2**63 - 1, -(2**63), -1, 0, 1.5, True, "", " ", "\0", "a\nb", "\u202e",
    "=1+1", "x" * 256, "x" * 2_800, "9999-12-31T23:59:59.9999999Z",
    "9999-12-31T23:59:59-14:00", "0001-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00", "9999-12-31", "0001-01-01",
    "1969-12-31T23:59:59Z", "-5.00", "999999999999999999", "99999999999999999999.99", [], {}, [None], [[]], {"a": {}},
    ["x"] * 1_001,
)  # fmt: skip
PATHS = (
    "x" * 256, "x" * 2_800, "\u6f22" * 300, "\0", "\n", " ", "..", "%", "\U0001f600", "a/b", "9" * 400, "-1", "0",
    str(2**63), "\u202e", "=1", "'", "order:x", "v_" + "0" * 32, "r_" + "f" * 32,
)  # fmt: skip
QUERIES = (
    "", " ", "\0", "\n", "x" * 256, "x" * 3_000, "\u6f22" * 300, "-1", "0", "9" * 400, "1e400", str(2**63), "1.5",
    "true", "9999-12-31T23:59:59.999999Z", "0001-01-01T00:00:00+14:00", "0001-01-01T00:00:00Z", "1970", "NaN",
    # cursors: [1, "0001-01-01T00:00:00+14:00", "x", "y"], [2**63], ["x"], {"a": 1}
    "WzEsIjAwMDEtMDEtMDFUMDA6MDA6MDArMTQ6MDAiLCJ4IiwieSJd", "WzkyMjMzNzIwMzY4NTQ3NzU4MDhd", "WyJ4Il0", "eyJhIjoxfQ",
)  # fmt: skip
SETTINGS: dict[str, Any] = {
    "http_rate_per_minute": 10_000_000, "http_unknown_per_minute": 1_000_000,
    "http_unknown_per_minute_and_address": 1_000_000,
}  # fmt: skip
TOGETHER = 24
CAMPAIGNS = [
    definition(name, code={"shared_code": code}, limits={}) for name, code in (("shared", "SHARED"), ("good", "GOOD"))
]


def places(document: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield all places in a document: the document itself first, and only the first member of a list."""
    yield place
    if isinstance(document, dict):
        for name, member in document.items():
            yield from places(member, (*place, name))
    elif isinstance(document, list) and document:
        yield from places(document[0], (*place, 0))


def changed(document: Any, place: tuple[Any, ...], value: Any) -> bytes:
    """Replace the value at a place. Return the document as JSON, which may be invalid."""
    document = copy.deepcopy(document)
    if place:
        inner = document
        for part in place[:-1]:
            inner = inner[part]
        inner[place[-1]] = value
    else:
        document = value
    text = json.dumps(document)
    for stand_in, raw in RAW.items():
        text = text.replace(json.dumps(stand_in), raw)
    return text.encode()


def whole(document: Any) -> Iterator[bytes]:
    """Yield bodies that are invalid as a whole."""
    text = json.dumps(document)
    yield b""
    yield b"\xff\xfe"
    yield text.encode("utf-16")
    yield text.encode()[:-1]
    yield b"[" * 10_000 + b"]" * 10_000
    yield b'{"a":' * 10_000 + b"1" + b"}" * 10_000
    yield text.encode().replace(b"{", b'{"code":1,"code":2,', 1)
    yield text.encode().replace(b"{", b'{"order":{"a":1,"a":2},', 1)
    yield text.encode().replace(b"{", b'{"x":"\\ud800",', 1)
    yield text.encode().replace(b"{", b'{"metadata":' + b'{"a":' * 200 + b"1" + b"}" * 201 + b",", 1)
    for size in (16_400, 1_200_000):
        for name in ("metadata", "payload", "code", "order"):
            yield json.dumps(
                {**document, name: {"a": "x" * size}} if isinstance(document, dict) else "x" * size
            ).encode()
    yield b" " * (2 * 1024 * 1024 + 1)


def values_for(turn: int) -> list[Any]:
    """Return the values to try at one place: those that once found a bug, and some of the rest, different per place.

    COUPONRY_HOSTILE_BODIES=all tries all values at all places, which takes minutes.
    """
    if os.environ.get("COUPONRY_HOSTILE_BODIES") == "all":
        return [*ALWAYS, *IN_TURN]
    return [*ALWAYS, *[IN_TURN[(3 * turn + step) % len(IN_TURN)] for step in range(3)]]


class Sender:
    """Sends hostile requests, several of them concurrently with a valid one, and collects wrong responses."""

    def __init__(self, here: Served) -> None:
        self._good_ones = 0
        self._client = client_of(here.gateway, headers_of(here.key))
        self._waiting: list[tuple[str, str, bytes | None]] = []
        self.sent, self.wrong = 0, list[str]()

    async def send(self, method: str, path: str, body: bytes | None = None) -> None:
        self._waiting.append((method, path, body))
        if len(self._waiting) == TOGETHER:
            await self.flush()

    async def flush(self) -> None:
        waiting, self._waiting = self._waiting, []
        good, *answers = await asyncio.gather(self._good(), *[self._ask(*one) for one in waiting])
        for (method, path, body), answer in zip(waiting, answers, strict=True):
            self.sent += 1
            if problem := _wrong(path, answer):
                self.wrong.append(f"{method} {path[:100]} {(body or b'')[:200]!r}: {problem}")
        assert good.status_code == 200, good.text

    async def _ask(self, method: str, path: str, body: bytes | None) -> httpx.Response:
        headers = {} if body is None else {"Content-Type": "application/json"}
        return await self._client.request(method, path, content=body, headers=headers)

    async def _good(self) -> httpx.Response:
        self._good_ones += 1
        order = {"order_id": f"good-{self._good_ones}", "currency": "USD", "amount": "125.00"}
        return await self._client.post("/v1/redemptions", json={"codes": ["GOOD"], "order": order})


def _wrong(path: str, answer: httpx.Response) -> str | None:
    """Return what is wrong with a response; None for a success or a proper error."""
    if answer.status_code >= 500:
        return f"{answer.status_code} {answer.text[:300]}"
    if answer.status_code < 400 and not path.startswith("/paddle"):
        return None
    try:
        document = answer.json()
    except ValueError:
        return f"{answer.status_code}, not JSON: {answer.text[:200]}"
    if document.get("success") is True or is_problem(path, answer.status_code, document):
        return None
    if answer.status_code == 404 and "%0A" in path and is_problem("/v1", 404, document):
        return None  # no facade is mounted at a path with a line break
    return f"not an error of this application: {answer.text[:200]}"


def names(number: int) -> dict[str, str]:
    """Return names that are unique in the test."""
    made = {name: f"{name}-{number}" for name in NAMES}
    return made | {"job": "0199f6a2-5c1e-7b43-9a51-3d0c8f6b2a10", "code": "SHARED", "campaign": "shared"}


async def test_every_route_is_in_the_table(database_url: str) -> None:
    async with served(database_url) as here:
        found = list(routes_of(create_app(here.gateway)))
        assert len(found) > 60
        assert [(prefix, route.path) for prefix, route in found if not requests_of(prefix, route)] == []
        taken = [one for prefix, route in found for one in requests_of(prefix, route)]
        assert [one for one in REQUESTS if one not in taken] == []


@pytest.mark.parametrize("facade", ["v1", "sitevibes", "capillary", "gameball", "paddle", "voucherify"])
async def test_no_body_causes_a_5xx_or_affects_another_request(database_url: str, facade: str) -> None:
    async with served(database_url, *CAMPAIGNS, **SETTINGS) as here:
        sender = Sender(here)
        number = 0
        for template in REQUESTS:
            if template.body is None or not template.path.startswith(f"/{facade}/"):
                continue
            for turn, place in enumerate(places(template.body)):
                for value in values_for(turn):
                    number += 1
                    request = template.filled(names(number))
                    await sender.send(request.method, request.path, changed(request.body, place, value))
            for content in whole(template.filled(names(number)).body):
                await sender.send(template.method, template.filled(names(number)).path, content)
        await sender.flush()
        assert sender.wrong == []
        assert sender.sent > 30


async def test_no_path_or_query_causes_a_5xx_or_affects_another_request(database_url: str) -> None:
    async with served(database_url, *CAMPAIGNS, **SETTINGS) as here:
        sender = Sender(here)
        for prefix, route in routes_of(create_app(here.gateway)):
            for number, template in enumerate(requests_of(prefix, route)[:1]):
                await _send_paths(sender, prefix, route, template, number)
        await sender.flush()
        assert sender.wrong == []
        assert sender.sent > 1_000


def query_params(dependant: Any) -> list[Any]:
    """Return the query parameters of a route, those of its dependencies included."""
    return [*dependant.query_params, *[one for inner in dependant.dependencies for one in query_params(inner)]]


async def _send_paths(sender: Sender, prefix: str, route: Any, template: Request, number: int) -> None:
    filled = template.filled(names(number))
    content = None if filled.body is None else json.dumps(filled.body).encode()
    [method] = route.methods
    for parameter in route.param_convertors:
        for value in PATHS:
            path = prefix + route.path
            for name in route.param_convertors:
                path = path.replace(f"{{{name}}}", quote(value, safe="") if name == parameter else "x")
            await sender.send(method, path, content)
    path = filled.path.partition("?")[0]
    for parameter in query_params(route.dependant):
        for value in QUERIES:
            await sender.send(method, f"{path}?{urlencode({parameter.alias: value})}", content)
    await sender.send(method, f"{path}?limit=%FF&cursor=%FF&x=%00", content)


async def test_a_number_with_too_many_digits_is_refused_and_a_stored_one_is_returned(database_url: str) -> None:
    async with served(database_url, *CAMPAIGNS) as here:
        campaign = {"campaign_id": "n", "discount": {"kind": "percentage", "value": "5"}, "metadata": {"a": 1e300}}
        refused = await here.client.post("/v1/campaigns", json=campaign)
        assert (refused.status_code, refused.json()["code"]) == (422, "invalid_request")
        with pytest.raises(InvalidDocumentError, match="beyond 64 bits"):
            parse(CampaignDefinition, json.dumps(campaign).encode())
        # An earlier version accepted such numbers; the ledger has them as an integer of 301 digits.
        await here.pool.execute(
            "UPDATE campaigns SET definition = jsonb_set(definition, '{metadata}', '{\"a\": 1e300}')"
        )
        for path in ("/v1/campaigns", "/v1/campaigns/good", "/voucherify/v1/campaigns/good"):
            answer = await here.client.get(path)
            assert answer.status_code == 200, answer.text
            assert '"a":1' + "0" * 300 in answer.text
