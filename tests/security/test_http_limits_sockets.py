"""Limits before authentication: too many connections, and heads and bodies that are too large or too slow.

Timeouts are short here; a separate test checks the default of 15 s.
"""

import asyncio
import gc
from random import Random

import httpx
import psutil
import pytest
from prometheus_client import REGISTRY

from cli.processes import free_port
from services.gateway.serving import connection_limits, limits_of
from shared.ledger.engine import Engine
from shared.runtime.health import Health, health_server
from shared.runtime.http_connections import network_of
from tests.gateway import Served, listening, served
from tests.ledger import definition, issue
from tests.security.raw_http import connect, connected, drip, rest, send, status_of

pytestmark = pytest.mark.asyncio

HEAD = b"POST /v1/validate HTTP/1.1\r\nHost: couponry.test\r\n"
SHORT = {"receive_seconds": 0.5}


def cut(why: str) -> float:
    return REGISTRY.get_sample_value("couponry_http_connections_cut_total", {"why": why}) or 0.0


async def is_good(url: str, here: Served) -> bool:
    """Return whether a well-behaved client gets a response."""
    async with httpx.AsyncClient(base_url=url, headers={"Authorization": f"Bearer {here.key}"}) as client:
        return (await client.get("/v1/campaigns")).status_code == 200


async def test_the_default_limits_are_15_seconds_and_headers_of_32_kib(database_url: str) -> None:
    async with served(database_url) as here:
        limits = limits_of(here.gateway.settings, 1_000)
        assert (limits.receive_seconds, limits.header_bytes) == (15.0, 32 * 1024)


@pytest.mark.parametrize("wanted", [1_000, 60_000])
async def test_connections_never_exceed_the_file_descriptors(wanted: int) -> None:
    connections, backlog = connection_limits(wanted)
    assert 0 < connections + backlog <= psutil.Process().rlimit(psutil.RLIMIT_NOFILE)[0]


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (HEAD + b"X-Large: " + b"x" * 40_000 + b"\r\n\r\n", 431),
        (HEAD + b"X-" + b"x" * 40_000 + b": a\r\n\r\n", 431),
        (HEAD + b"".join(b"X-%d: a\r\n" % number for number in range(200)) + b"\r\n", 431),
        (HEAD + b"".join(b"X-%d: %s\r\n" % (number, b"x" * 3_000) for number in range(12)) + b"\r\n", 431),
        (b"GET /" + b"x" * 17_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414),
        (b"GET /v1/campaigns?" + b"x" * 17_000, 414),
        (b"\r\n" * 40_000, 431),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n1;" + b"x" * 70_000, 431),
        (b"x" * 100, 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        (b"GET /v1/campaigns HTTP/1.1\r\nHost: a\r\n\r\n" * 500, 429),
    ],
    ids=[
        "a large value", "a large name", "many", "many that are large together", "a long target", "an endless target",
        "nothing but empty lines", "an endless chunk extension", "no HTTP", "two lengths", "pipelined without end",
    ],
)  # fmt: skip
async def test_an_oversized_head_is_refused_and_the_connection_closed(
    database_url: str, content: bytes, status: int
) -> None:
    async with served(database_url) as here, listening(here, **SHORT) as url:
        answer = await send(url, content)
        # A chunk extension is part of a body, which is only read with a key, so a 401 may come first.
        assert status_of(answer) in ({status, 401} if b"chunked\r\n\r\n1;" in content else {status})
        assert b"x-content-type-options: nosniff" in answer.lower()
        assert await is_good(url, here)


async def test_a_head_just_below_the_limits_is_answered(database_url: str) -> None:
    async with served(database_url) as here, listening(here) as url:
        headers = {f"X-{number}": "x" * 1_000 for number in range(30)}
        async with httpx.AsyncClient(base_url=url) as client:
            good = await client.get("/v1/campaigns", headers=headers | {"Authorization": f"Bearer {here.key}"})
        assert good.status_code == 200


async def test_an_upgrade_request_is_answered_without_an_upgrade(database_url: str) -> None:
    async with served(database_url) as here, listening(here, **SHORT) as url:
        for protocol in (b"h2c", b"websocket"):
            head = b"GET /v1/campaigns HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer " + here.key.encode()
            answer = await send(
                url, head + b"\r\nConnection: Upgrade\r\nUpgrade: " + protocol + b"\r\n\r\n" + b"x" * 99
            )
            assert status_of(answer) == 200
            assert b"connection: close" in answer.lower()


async def test_trailers_of_a_chunked_body_are_limited(database_url: str) -> None:
    async with served(database_url) as here, listening(here, **SHORT) as url:
        head = HEAD + b"Authorization: Bearer " + here.key.encode() + b"\r\nTransfer-Encoding: chunked\r\n\r\n"
        answer = await send(url, head + b"2\r\n{}\r\n0\r\n" + b"X-Trailer: x\r\n" * 5_000)
        assert status_of(answer) == 431


@pytest.mark.parametrize(
    "content",
    [b"", b"POST /v1/va", HEAD, HEAD + b"X-Half: ab"],
    ids=["nothing", "half a request line", "no end of the headers", "half a header"],
)
async def test_an_incomplete_head_is_a_408(database_url: str, content: bytes) -> None:
    async with served(database_url) as here, listening(here, **SHORT) as url:
        before = cut("slow_head")
        assert status_of(await send(url, content)) == 408
        assert cut("slow_head") == before + 1


async def test_single_bytes_do_not_extend_the_timeout(database_url: str) -> None:
    async with served(database_url) as here, listening(here, **SHORT) as url:
        key = b"Authorization: Bearer " + here.key.encode() + b"\r\nContent-Type: application/json\r\n"
        slow_head = drip(url, HEAD + b"X-Slow: " + b"a" * 10_000, every_seconds=0.02)
        async with connected(url) as (reader, writer):
            writer.write(HEAD + key + b"Content-Length: 100000\r\n\r\n")
            answer = asyncio.create_task(rest(reader))
            while not answer.done():
                writer.write(b"a")
                await asyncio.sleep(0.02)
            assert status_of(await answer) == 408
        assert status_of(await slow_head) == 408
        assert await is_good(url, here)


async def test_a_slow_but_steady_body_is_accepted(database_url: str) -> None:
    async with served(database_url, definition()) as here, listening(here, receive_seconds=2) as url:

        async def codes() -> object:
            yield b"code;note\n"
            for number in range(25):  # longer than the timeout in total, but fast enough
                await asyncio.sleep(0.1)
                yield "".join(f"C-{number}-{line};{'x' * 5_000}\n" for line in range(20)).encode()

        async with httpx.AsyncClient(base_url=url, timeout=60) as client:
            answer = await client.post(
                "/v1/campaigns/save10/codes/import",
                content=codes(),  # type: ignore[arg-type]
                headers={"Authorization": f"Bearer {here.key}", "Content-Type": "text/csv"},
            )
        assert answer.json() == {"added": 500, "existing": 0, "next_line": 502}


async def test_a_client_that_does_not_read_is_disconnected(database_url: str) -> None:
    async with served(database_url, definition()) as here, listening(here, **SHORT) as url:
        before = cut("slow_reader")
        request = b"GET /openapi.json HTTP/1.1\r\nHost: a\r\n\r\n"
        async with connected(url) as (reader, writer):
            reader._transport.pause_reading()  # type: ignore[attr-defined]
            try:
                for _ in range(2_000):
                    writer.write(request)
                    await writer.drain()
                    await asyncio.sleep(0.005)
                    if cut("slow_reader") > before:
                        break
            except ConnectionError:
                pass
        assert cut("slow_reader") > before
        assert await is_good(url, here)


async def test_idle_connections_do_not_block_other_clients(database_url: str) -> None:
    async with (
        served(database_url, http_connections=200, http_connections_per_address=150) as here,
        listening(here) as url,
    ):
        before = cut("gave_way")
        idle = [await connect(url) for _ in range(200)]
        for _, writer in idle[:100]:
            writer.write(b"GET /v1/camp")
        idle += [await connect(url) for _ in range(200)]
        assert await is_good(url, here)
        assert cut("gave_way") >= before + 250
        for _, writer in idle:
            writer.transport.abort()


async def test_connections_with_a_request_in_progress_are_not_closed(database_url: str) -> None:
    async with served(database_url) as here, listening(here, connections_per_address=4) as url:
        head = HEAD + b"Authorization: Bearer " + here.key.encode() + b"\r\nContent-Length: 10\r\n\r\n"
        busy = [await connect(url) for _ in range(4)]
        for _, writer in busy:
            writer.write(head)  # the route waits for the body
        while len(here.gateway.callers_at_once) < 4:
            await asyncio.sleep(0.01)
        answer = await send(url, b"")
        assert status_of(answer) == 503
        assert b"retry-after: 1" in answer
        for reader, writer in busy:
            writer.write(b'{"codes":1')
            assert (await reader.readline()).startswith(b"HTTP/1.1 400")
            writer.transport.abort()


async def test_fifty_megabytes_without_a_key_use_no_memory(database_url: str) -> None:
    async with served(database_url) as here, listening(here) as url:
        process = psutil.Process()
        await send(url, HEAD + b"Connection: close\r\nContent-Length: 10\r\n\r\n0123456789")
        gc.collect()
        before = process.memory_info().rss
        part = b"x" * 1_000_000
        most = before
        for head in (HEAD + b"Content-Length: 50000000\r\n\r\n", HEAD + b"X-Large: "):
            for _ in range(4):
                async with connected(url) as (reader, writer):
                    answer = asyncio.create_task(rest(reader))
                    try:
                        writer.write(head)
                        for _ in range(50):
                            writer.write(part)
                            await writer.drain()
                            most = max(most, process.memory_info().rss)
                    except ConnectionError:
                        pass
                    assert status_of(await answer) in {401, 431, 0}
        assert most - before < 40_000_000
        assert await is_good(url, here)


async def test_a_forwarded_address_is_accepted_only_from_trusted_proxies(database_url: str) -> None:
    for proxies, remembered in (("", "127.0.0.1"), ("127.0.0.0/8", "203.0.113.7")):
        async with served(database_url, http_trusted_proxies=proxies) as here, listening(here) as url:
            async with httpx.AsyncClient(base_url=url) as client:
                answer = await client.get(
                    "/v1/coupons/UNKNOWN",
                    headers={"Authorization": f"Bearer {here.key}", "X-Forwarded-For": "198.51.100.1, 203.0.113.7"},
                )
            assert answer.status_code == 404
            subjects = {row["subject"] for row in await here.pool.fetch("SELECT subject FROM http_guesses")}
            assert f"address {remembered}" in subjects


async def test_garbled_requests_never_cause_an_internal_error(
    database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    random = Random(10)
    async with served(database_url, definition()) as here, listening(here, receive_seconds=1) as url:
        key = here.key.encode()
        whole = (
            HEAD + b"Authorization: Bearer " + key + b"\r\nContent-Length: 15\r\n\r\n" + b'{"codes":["A"]}',
            HEAD
            + b"X-API-Key: "
            + key
            + b"\r\nTransfer-Encoding: chunked\r\n\r\nf\r\n"
            + b'{"codes":["A"]}'
            + b"\r\n0\r\n\r\n",
            b"GET /v1/coupons?limit=1 HTTP/1.1\r\nHost: a\r\nX-API-Key: " + key + b"\r\n\r\n",
        )
        pieces = (
            b"\r\n", b"\n", b"\0", b" ", b":", b"\xff\xfe", b"Upgrade: h2c\r\n", b"Connection: close\r\n", b"%00",
            b"Content-Length: 3\r\n", b"Expect: 100-continue\r\n", b"CONNECT a:1", b"\x16\x03\x01",
        )  # fmt: skip

        def garbled() -> bytes:
            content = bytearray(random.choice(whole) * random.randint(1, 3))
            for _ in range(random.randint(1, 6)):
                at = random.randrange(len(content))
                content[at : at + random.randint(0, 8)] = random.choice(pieces)
            return bytes(content[: random.randint(1, len(content))] if random.random() < 0.3 else content)

        for _ in range(10):
            answers = await asyncio.gather(*[send(url, garbled(), ends=True) for _ in range(20)])
            assert all(status_of(answer) in {0, *range(200, 500)} for answer in answers), answers
        assert await is_good(url, here)
    assert not [record for record in caplog.records if record.levelname in {"ERROR", "CRITICAL"}]


@pytest.mark.parametrize(
    ("host", "counted"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::ffff", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("", "unknown"),
        ("x" * 30_000, "unknown"),
    ],
)
async def test_an_address_counts_as_its_network(host: str, counted: str) -> None:
    assert network_of(host) == counted


async def test_a_connection_in_use_is_not_closed_as_idle(database_url: str) -> None:
    async with served(database_url, definition()) as here, listening(here, idle_seconds=1) as url:
        await issue(Engine(here.pool), "save10", 3)
        async with httpx.AsyncClient(base_url=url, headers={"Authorization": f"Bearer {here.key}"}) as client:
            for _ in range(3):
                assert (await client.get("/v1/coupons")).status_code == 200


async def test_the_health_port_has_limits() -> None:
    port = free_port()
    async with health_server(Health(60), "127.0.0.1", port):
        url = f"http://127.0.0.1:{port}"
        idle = [await connect(url) for _ in range(100)]
        async with httpx.AsyncClient(base_url=url) as client:
            alive = await client.get("/livez")
        assert alive.status_code == 200
        assert alive.headers["x-content-type-options"] == "nosniff"
        assert status_of(await send(url, b"GET /livez HTTP/1.1\r\nX: " + b"x" * 20_000)) == 431
        assert status_of(await send(url, b"GET /" + b"x" * 2_000 + b" HTTP/1.1\r\n\r\n")) == 414
        for _, writer in idle:
            writer.transport.abort()
