"""The gateway is killed repeatedly under load: every response is in the ledger, and a retry gets the same one."""

import asyncio
from dataclasses import dataclass, field
from random import Random

import httpx
import pytest

from cli.processes import free_port
from services.gateway.access import keys
from shared.ledger.audit import audit
from shared.ledger.campaigns import save
from shared.ledger.database import open_pool
from shared.ledger.engine import Engine
from tests.faults.seeds import seed
from tests.integration.service_process import running
from tests.ledger import definition, issue

pytestmark = [pytest.mark.faults, pytest.mark.postgres]

KILLS = 6
CLIENTS = 12
HOT_USES = 40
COUPONS = 150


@dataclass
class Seen:
    """The responses to clients, by idempotency key: status and body."""

    answers: dict[str, tuple[int, bytes]] = field(default_factory=dict)
    retries: int = 0


def requests_for(codes: list[str]) -> list[tuple[str, dict[str, object]]]:
    """Return (idempotency key, body): each single coupon twice, and one that all requests want."""
    asked: list[tuple[str, dict[str, object]]] = []
    for number, code in enumerate(codes):
        order = {"order_id": f"own-{number}", "currency": "USD", "amount": "100.00"}
        asked.append((f"own-{number}", {"codes": [code], "order": order}))
        hot = {"order_id": f"hot-{number}", "currency": "USD", "amount": "100.00"}
        asked.append((f"hot-{number}", {"codes": ["HOT"], "order": hot}))
    Random(7).shuffle(asked)
    return asked


async def client_of(base: str, key: str, asked: list[tuple[str, dict[str, object]]], seen: Seen) -> None:
    """Send one request after another, and retry each until it has a final response."""
    headers = {"Authorization": f"Bearer {key}"}
    async with httpx.AsyncClient(base_url=base, headers=headers, timeout=20, trust_env=False) as client:
        while asked:
            name, body = asked.pop()
            for _ in range(600):
                try:
                    answer = await client.post("/v1/redemptions", json=body, headers={"Idempotency-Key": name})
                except httpx.TransportError:
                    seen.retries += 1
                    await asyncio.sleep(0.1)
                    continue
                if answer.status_code in {409, 503}:
                    await asyncio.sleep(0.1)
                    continue
                seen.answers[name] = (answer.status_code, answer.content)
                break
            else:
                raise AssertionError(f"{name} was never answered")


async def test_responses_are_in_the_ledger_and_stay_the_same_after_every_kill(database_url: str) -> None:
    pool = await open_pool(database_url, max_size=2)
    hot = definition("hot", code={"shared_code": "HOT"}, limits={"uses_per_coupon": HOT_USES})
    await save(pool, [definition(), hot])
    codes = await issue(Engine(pool), "save10", COUPONS)
    key = (await keys.create(pool, "a test's", ["redeem"])).key
    port, seen = free_port(), Seen()
    base = f"http://127.0.0.1:{port}"
    asked = requests_for(codes)
    settings = {"http_port": port, "http_rate_per_minute": 1_000_000, "log_level": "error"}
    environment = {"COUPONRY_DATABASE_URL": database_url}
    clients = [asyncio.create_task(client_of(base, key, asked, seen)) for _ in range(CLIENTS)]
    random, kills = Random(seed(11)), 0
    while True:
        async with running("gateway", environment, **settings) as gateway:
            await gateway.ready()
            if kills < KILLS:
                enough = len(seen.answers) + random.randint(3, 15)
                while len(seen.answers) < enough:
                    await asyncio.sleep(0.002)
                await gateway.kill()
                kills += 1
                continue
            await asyncio.gather(*clients)
            # A retry gets the first response, byte for byte.
            headers = {"Authorization": f"Bearer {key}"}
            async with httpx.AsyncClient(base_url=base, headers=headers, timeout=20, trust_env=False) as client:
                for name, body in requests_for(codes):
                    again = await client.post("/v1/redemptions", json=body, headers={"Idempotency-Key": name})
                    assert (again.status_code, again.content) == seen.answers[name], name
            assert await gateway.stop() == 0
            break
    assert seen.retries > 0
    assert all(seen.answers[f"own-{number}"][0] == 200 for number in range(COUPONS))
    hot_answers = [seen.answers[f"hot-{number}"][0] for number in range(COUPONS)]
    assert (hot_answers.count(200), hot_answers.count(422)) == (HOT_USES, COUPONS - HOT_USES)
    burned = await pool.fetch("SELECT order_id FROM ledger_entries WHERE kind = 'burned'")
    succeeded = {name for name, (status, _) in seen.answers.items() if status == 200}
    assert sorted(row["order_id"] for row in burned) == sorted(succeeded)
    assert (await audit(pool)).findings == ()
    await pool.close()
