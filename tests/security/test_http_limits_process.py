"""A real gateway process with few file descriptors, under load from clients without a key."""

import asyncio

import httpx
import psutil
import pytest

from cli.processes import free_port
from services.gateway.access import keys
from shared.ledger.engine import Engine
from tests.integration.service_process import running
from tests.ledger import definition, issue, ledger
from tests.security.raw_http import connect, rest, status_of

pytestmark = pytest.mark.asyncio

DESCRIPTORS = 256


async def test_idle_and_greedy_clients_do_not_block_others(database_url: str) -> None:
    async with ledger(database_url, definition()) as pool:
        key = (await keys.create(pool, "a test's", ["validate"])).key
        [code] = await issue(Engine(pool), "save10")
        port = free_port()
        url = f"http://127.0.0.1:{port}"
        environment = {"COUPONRY_DATABASE_URL": database_url}
        async with (
            running("gateway", environment, http_port=port, log_level="error") as gateway,
            httpx.AsyncClient(base_url=url, headers={"Authorization": f"Bearer {key}"}, trust_env=False) as good,
        ):
            process = psutil.Process(gateway._process.pid)
            process.rlimit(psutil.RLIMIT_NOFILE, (DESCRIPTORS, DESCRIPTORS))  # long before it listens
            await gateway.ready()

            async def is_answered() -> bool:
                answer = await good.post("/v1/validate", json={"codes": [code]}, headers={"Connection": "close"})
                return answer.status_code == 200 and answer.json()["valid"] is True

            assert await is_answered()
            before = process.memory_info().rss
            clients = [await connect(url) for _ in range(400)]
            for number, (_, writer) in enumerate(clients):
                if number % 2:
                    writer.write(b"POST /v1/validate HTTP/1.1\r\nHost: a\r\nX-Half: " + b"x" * 20_000)
            assert await is_answered()
            assert process.num_fds() < DESCRIPTORS - 16

            async def greedy(head: bytes) -> int:
                reader, writer = await connect(url)
                answer = asyncio.create_task(rest(reader))
                try:
                    writer.write(head)
                    for _ in range(200):
                        writer.write(b"x" * 1_000_000)
                        await writer.drain()
                except ConnectionError:
                    pass
                finally:
                    status = status_of(await answer)
                    writer.transport.abort()
                return status

            heads = (b"GET / HTTP/1.1\r\nX-Large: ", b"POST /v1/validate HTTP/1.1\r\nContent-Length: 200000000\r\n\r\n")
            statuses = await asyncio.gather(*[greedy(head) for head in heads * 10])
            assert set(statuses) <= {0, 401, 431}
            assert await is_answered()
            assert process.memory_info().rss - before < 60_000_000
            for _, writer in clients:
                writer.transport.abort()
            assert await gateway.stop() == 0
