"""Heavy requests in a separate process: the same responses, counted once, even if a process dies."""

import asyncio
import contextlib
import json
import signal
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import psutil
import pytest

from cli.processes import free_port
from schemas.campaigns import CampaignDefinition
from services.gateway.access import keys
from services.gateway.access.callers import SCOPES
from services.gateway.batching import OverloadedError
from services.gateway.heavy import process as module
from services.gateway.heavy.process import HeavyProcess
from services.gateway.heavy.turns import Turns
from services.gateway.settings import MAX_BODY_BYTES
from shared.ledger.database import Pool
from tests.gateway import served
from tests.integration.service_process import ServiceProcess, eventually, running
from tests.ledger import definition, ledger

pytestmark = pytest.mark.asyncio

CODES = [f"H{number}" for number in range(30)]
VOLATILE = {"date", "ratelimit", "content-length"}
BURNED = "SELECT count(*) FROM ledger_entries WHERE kind = 'burned' AND order_id = ANY ($1::text[])"
NEW_EACH_TIME = {"decided_at", "redemption_id", "expires_at", "id", "request_id"}


def order(lines: int = 600, order_id: str = "large") -> dict[str, Any]:
    """600 lines have 50 KB."""
    listed = [
        {"line_id": str(n), "product_id": f"p{n % 50}", "quantity": 1 + n % 3, "unit_price": "12.50"}
        for n in range(lines)
    ]
    return {"order_id": order_id, "currency": "USD", "lines": listed}


def body_with(*codes: str, lines: int = 600, order_id: str = "large", **more: Any) -> dict[str, Any]:
    """Return a body with `codes` and an order of `lines` lines."""
    return {"codes": list(codes or CODES[:3]), "order": order(lines, order_id), **more}


def campaigns() -> Iterator[CampaignDefinition]:
    for code in CODES:
        yield definition(code.lower(), code={"shared_code": code}, limits={"uses_per_coupon": None})


@dataclass
class Gateways:
    """A gateway with a heavy process, and one without, on one ledger."""

    pool: Pool
    url: str
    process: ServiceProcess
    client: httpx.AsyncClient
    plain: httpx.AsyncClient | None = None
    headers: dict[str, str] = field(default_factory=dict)

    def heavy(self) -> psutil.Process:
        """Return the heavy process. Fail unless there is exactly one."""
        found = [
            one
            for one in psutil.Process(self.process._process.pid).children()
            if one.status() != psutil.STATUS_ZOMBIE and "services.gateway.heavy" in one.cmdline()
        ]
        assert len(found) == 1, found
        return found[0]

    async def metric(self, name: str) -> float:
        """Return the value of a metric, 0 if it is missing."""
        for line in (await self.process.metrics()).splitlines():
            if line.startswith(f"{name} "):
                return float(line.rpartition(" ")[2])
        return 0.0

    async def handed_over(self) -> float:
        """Return the number of requests that the heavy process answered."""
        return await self.metric('couponry_http_heavy_total{outcome="answered"}')

    async def is_up(self) -> None:
        """Wait until the heavy process accepts requests."""
        await eventually(lambda: self.metric("couponry_http_heavy_running"), lambda value: value == 1)


@asynccontextmanager
async def gateways(database_url: str, *, plain: bool = False, **settings: Any) -> AsyncIterator[Gateways]:
    """Start real gateway processes."""
    environment = {"COUPONRY_DATABASE_URL": database_url}
    async with ledger(database_url, *campaigns()) as pool:
        headers = {"Authorization": f"Bearer {(await keys.create(pool, 'a test', SCOPES)).key}"}
        port, other = free_port(), free_port()
        url = f"http://127.0.0.1:{port}"
        async with (
            running("gateway", environment, http_port=port, log_level="error", **settings) as process,
            httpx.AsyncClient(base_url=url, headers=headers, timeout=60, trust_env=False) as client,
        ):
            await process.ready()
            here = Gateways(pool, url, process, client, headers=headers)
            await here.is_up()
            if not plain:
                yield here
                return
            async with (
                running(
                    "gateway", environment, http_port=other, log_level="error", http_heavy_process=False, **settings
                ) as without,
                httpx.AsyncClient(
                    base_url=f"http://127.0.0.1:{other}", headers=headers, timeout=60, trust_env=False
                ) as here.plain,
            ):
                await without.ready()
                yield here


def stable(value: Any) -> Any:
    """Return a document without the values that differ each time."""
    if isinstance(value, dict):
        return {name: stable(inner) for name, inner in value.items() if name not in NEW_EACH_TIME}
    return [stable(one) for one in value] if isinstance(value, list) else value


def seen(answer: httpx.Response) -> tuple[Any, ...]:
    headers = {name: value for name, value in answer.headers.items() if name not in VOLATILE}
    return answer.status_code, "ratelimit" in answer.headers, headers, stable(answer.json())


def bodies() -> Iterator[tuple[str, str, bytes, Mapping[str, str], bool]]:
    """Yield (path, name, body, headers, is_handed_over)."""
    large = json.dumps(body_with()).encode()
    vouchers = {
        "redeemables": [{"object": "voucher", "id": code} for code in CODES[:3]],
        "order": {"source_id": "large", "items": [
            {"product_id": f"p{n}", "quantity": 2, "price": 1250, "related_object": "product"} for n in range(450)
        ]},
        "metadata": {},
    }  # fmt: skip
    yield "/v1/validate", "large", large, {}, True
    yield "/v1/validate", "much work", json.dumps(body_with(*CODES, lines=80)).encode(), {}, True
    yield "/v1/validate", "small", json.dumps(body_with(lines=20)).encode(), {}, False
    yield "/v1/validate", "an unknown code", json.dumps(body_with("H1", "UNKNOWN")).encode(), {}, True
    yield "/v1/explain", "large", json.dumps({"code": "H1", "order": order()}).encode(), {}, True
    yield "/voucherify/v1/validations", "a facade's", json.dumps(vouchers).encode(), {}, True
    wrong = vouchers | {"redeemables": 1}
    yield "/voucherify/v1/validations", "a facade's problem", json.dumps(wrong).encode(), {}, True
    yield "/v1/redemptions", "a refusal", json.dumps(body_with("UNKNOWN")).encode(), {}, True
    yield "/v1/validate", "an unknown field", json.dumps(body_with() | {"unknown": 1}).encode(), {}, True
    yield "/v1/validate", "no JSON", large[:-1], {}, True
    yield "/v1/validate", "no JSON type", large, {"Content-Type": "text/plain"}, True
    yield "/v1/validate", "too large", b" " * (MAX_BODY_BYTES + 1), {}, False
    yield "/v1/nothing", "no such path", large, {}, False
    yield "/v1/validate", "an unknown key", large, {"Authorization": f"Bearer cpn_{'0' * 12}_{'a' * 43}"}, False
    yield "/v1/redemptions", "a key of bad form", large, {"Idempotency-Key": "a b"}, True


async def test_a_request_gets_the_same_response_from_both_processes(database_url: str) -> None:
    async with gateways(database_url, plain=True) as here:
        assert here.plain is not None
        for path, name, body, headers, is_handed_over in bodies():
            before = await here.handed_over()
            both = [
                await client.post(path, content=body, headers={"Content-Type": "application/json", **headers})
                for client in (here.client, here.plain)
            ]
            first, second = (seen(one) for one in both)
            assert first == second, name
            assert first[0] < 500, (name, both[0].text[:300])
            assert (await here.handed_over()) - before == is_handed_over, name


async def test_a_body_with_an_unknown_key_is_not_sent_to_the_heavy_process(database_url: str) -> None:
    async with gateways(database_url) as here:
        body = json.dumps(body_with()).encode()
        validating = {"Authorization": f"Bearer {(await keys.create(here.pool, 'a test', ['read'])).key}"}
        async with httpx.AsyncClient(base_url=here.url, trust_env=False) as anonymous:
            answers = [await anonymous.post("/v1/validate", content=body) for _ in range(3)]
            assert {answer.status_code for answer in answers} == {401}
            assert await here.handed_over() == 0
            answer = await anonymous.post("/v1/validate", content=body, headers=validating)
            assert answer.status_code == 403
            assert "scope 'validate'" in answer.json()["detail"]


async def test_an_idempotency_key_works_across_both_processes(database_url: str) -> None:
    async with gateways(database_url) as here:
        for lines, codes in ((600, CODES[:3]), (80, CODES)):  # by its size, and by its work
            key = {"Idempotency-Key": f"of {lines}".replace(" ", "-")}
            body = body_with(*codes, lines=lines, order_id=f"order-{lines}")
            both = await asyncio.gather(*[here.client.post("/v1/redemptions", json=body, headers=key) for _ in "ab"])
            good = [one for one in both if one.status_code == 200]
            assert good, [one.text[:300] for one in both]
            assert {one.status_code for one in both} <= {200, 409}
            again = await here.client.post("/v1/redemptions", json=body, headers=key)
            assert again.headers["idempotent-replayed"] == "true"
            assert again.content == good[0].content
            for other in (body_with("H1", order_id="another"), body_with("H1", lines=2, order_id="another")):
                reused = await here.client.post("/v1/redemptions", json=other, headers=key)
                assert reused.json()["code"] == "idempotency_key_reused"
        small = {"Idempotency-Key": "small"}
        body = body_with("H9", lines=2, order_id="small")
        first = await here.client.post("/v1/redemptions", json=body, headers=small)
        assert first.status_code == 200, first.text
        reused = await here.client.post("/v1/redemptions", json=body_with("H9", order_id="small"), headers=small)
        assert reused.json()["code"] == "idempotency_key_reused"
        assert await here.pool.fetchval(BURNED, ["order-600", "order-80", "small"]) == 3 + 30 + 1


async def test_guesses_in_large_bodies_count_once_and_for_everything(database_url: str) -> None:
    async with gateways(database_url, http_unknown_per_minute=10) as here:
        unknown = [f"UNKNOWN{number}" for number in range(7)]
        for count in (7, 14):
            answer = await here.client.post("/v1/validate", json=body_with(*unknown, atomic=False))
            assert answer.status_code == 200, answer.text
            assert await here.metric('couponry_http_guesses_total{api="Couponry"}') == count
        stored = "SELECT sum(guesses) FROM http_guesses WHERE subject LIKE 'caller %'"
        assert await here.pool.fetchval(stored) == 14
        for lines in (600, 2):
            refused = await here.client.post("/v1/validate", json=body_with(*unknown, lines=lines))
            assert refused.status_code == 429
            assert int(refused.headers["retry-after"]) >= 1
        assert await here.pool.fetchval(stored) == 14


async def test_a_key_bound_to_groups_sees_no_other_groups_through_the_heavy_process(database_url: str) -> None:
    async with gateways(database_url) as here:
        made = await keys.create(here.pool, "a test", SCOPES, groups=["shop"])
        answer = await here.client.post(
            "/v1/validate", json=body_with("H1"), headers={"Authorization": f"Bearer {made.key}"}
        )
        assert [one["reason"] for one in answer.json()["refused"]] == ["not_found"]
        assert await here.handed_over() == 1


async def test_metrics_add_up_the_counts_of_both_processes(database_url: str) -> None:
    async with gateways(database_url) as here:
        for lines in (600, 2):
            answer = await here.client.post("/v1/redemptions", json=body_with("UNKNOWN", lines=lines))
            assert answer.status_code == 404
        assert await here.metric('couponry_refused_total{reason="not_found",service="gateway"}') == 2
        assert await here.metric('couponry_http_answers_total{api="Couponry",status="404"}') == 2
        assert await here.metric('couponry_http_seconds_count{api="Couponry"}') == 2
        assert await here.metric("couponry_http_heavy_memory_bytes") > 10_000_000
        assert await here.metric("couponry_http_heavy_waiting") == 0


async def test_a_killed_heavy_process_fails_only_its_request_and_is_restarted(database_url: str) -> None:
    async with gateways(database_url) as here:
        over = asyncio.Event()
        statuses: dict[str, set[int]] = {"small": set(), "large": set()}

        async def ask(name: str, lines: int) -> None:
            while not over.is_set():
                answer = await here.client.post("/v1/validate", json=body_with(*CODES[:5], lines=lines))
                statuses[name].add(answer.status_code)
                if answer.status_code == 503:
                    assert answer.headers["retry-after"] == "1"
                await asyncio.sleep(0.02)  # within the rate of one caller

        async def answers_go_on() -> None:
            so_far = await here.handed_over()
            await eventually(here.handed_over, lambda count: count > so_far + 2)

        asked = [asyncio.create_task(ask("small", 2)), *[asyncio.create_task(ask("large", 2_000)) for _ in range(3)]]
        for _ in range(3):
            before = here.heavy()
            await asyncio.sleep(0.3)
            before.kill()
            await answers_go_on()
            await here.is_up()
            assert here.heavy().pid != before.pid
        over.set()
        await asyncio.gather(*asked)
        assert statuses["small"] == {200}
        assert statuses["large"] <= {200, 503}
        # The same key again, after the process that began it died: executed, once.
        key = {"Idempotency-Key": "again"}
        body = body_with(*CODES, lines=3_000, order_id="again")
        lost = asyncio.create_task(here.client.post("/v1/redemptions", json=body, headers=key))
        begun = "SELECT count(*) FROM http_answers WHERE idempotency_key = 'again'"
        await eventually(lambda: here.pool.fetchval(begun), lambda count: count == 1)
        here.heavy().kill()
        first = await lost
        assert first.status_code in {200, 503}

        async def retry() -> int:
            return (await here.client.post("/v1/redemptions", json=body, headers=key)).status_code

        await eventually(retry, lambda status: status == 200)
        assert await here.pool.fetchval(BURNED, ["again"]) == len(CODES)


async def test_the_heavy_process_ends_with_a_killed_gateway(database_url: str) -> None:
    async with gateways(database_url) as here:
        heavy = here.heavy()
        # Suspended until the gateway is dead, so that the request can't be answered before, however fast the machine.
        heavy.suspend()
        asked = asyncio.create_task(here.client.post("/v1/validate", json=body_with(*CODES, lines=3_000)))
        await asyncio.sleep(0.2)
        await here.process.kill()
        with contextlib.suppress(psutil.NoSuchProcess):
            heavy.resume()

        async def is_gone() -> bool:
            return not heavy.is_running() or heavy.status() == psutil.STATUS_ZOMBIE

        await eventually(is_gone, bool)
        with pytest.raises(httpx.TransportError):
            await asked


async def test_a_running_heavy_request_is_answered_when_the_gateway_stops(database_url: str) -> None:
    async with gateways(database_url) as here:
        heavy = here.heavy()
        asked = asyncio.create_task(here.client.post("/v1/validate", json=body_with(*CODES, lines=5_000)))
        await eventually(lambda: here.metric("couponry_http_heavy_waiting"), lambda value: value >= 0)
        await asyncio.sleep(0.1)
        # Like Ctrl-C: every process of the group gets the signal.
        heavy.send_signal(signal.SIGINT)
        assert await here.process.stop() == 0
        assert (await asked).status_code == 200
        assert not heavy.is_running() or heavy.status() == psutil.STATUS_ZOMBIE


async def test_a_heavy_process_that_hangs_is_killed_and_restarted(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COUPONRY_DATABASE_URL", database_url)
    monkeypatch.setattr(module, "LATE_SECONDS", 0.1)
    async with served(database_url, *campaigns(), http_answer_seconds=2) as here:
        process = HeavyProcess(here.gateway.settings.http_answer_seconds)
        async with process.running():
            here.gateway.hand_over_to(process)
            await asyncio.wait_for(process._is_up.wait(), 60)
            assert process._child is not None
            before = process._child.pid
            psutil.Process(before).suspend()
            answer = await here.client.post("/v1/validate", json=body_with())
            assert answer.status_code == 503
            assert (await here.client.post("/v1/validate", json=body_with(lines=2))).status_code == 200
            await eventually(lambda: _pid(process), lambda pid: pid not in {None, before})
            await asyncio.wait_for(process._is_up.wait(), 60)
            assert (await here.client.post("/v1/validate", json=body_with())).status_code == 200


async def _pid(process: HeavyProcess) -> int | None:
    return None if process._child is None else process._child.pid


async def test_few_requests_may_wait_for_the_heavy_process() -> None:
    turns = Turns(max_waiting=6, seconds=10, usual_seconds=0.1)
    order: list[str] = []

    async def take(who: str) -> None:
        await turns.take(who)
        order.append(who)
        await asyncio.sleep(0)
        turns.give_back(who)

    greedy = [asyncio.create_task(take("greedy")) for _ in range(5)]
    others = [asyncio.create_task(take(who)) for who in ("a", "b", "c", "d")]
    results = await asyncio.gather(*greedy, *others, return_exceptions=True)
    # The fifth would have four of the same caller before it: more than half of six.
    assert [isinstance(one, OverloadedError) for one in results] == [False] * 4 + [True] + [False] * 3 + [True]
    assert order == ["greedy", "greedy", "a", "b", "c", "greedy", "greedy"]  # everybody gets one turn, then a second
    assert len(turns) == 0

    for _ in range(20):
        turns.took(6.0, weight=0.5)  # as seen of the last ones: who comes third would wait twelve seconds
    holding = [asyncio.create_task(turns.take(who)) for who in "ab"]
    await asyncio.sleep(0)
    with pytest.raises(OverloadedError):
        await turns.take("c")
    holding[1].cancel()  # who gives up leaves room
    await asyncio.gather(*holding, return_exceptions=True)
    third = asyncio.create_task(turns.take("c"))
    await asyncio.sleep(0)
    turns.give_back("a")
    await third
    turns.give_back("c")
    assert len(turns) == 0
