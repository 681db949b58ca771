"""Requests that need much work: refused on every channel, in batches of limited duration, without blocking others."""

import asyncio
import threading
from typing import Any

import pytest

from shared.domain.decide import decide
from shared.domain.model.order import Line, Order
from shared.domain.model.reasons import Reason
from shared.domain.model.verdicts import Verdict
from shared.domain.offers import work
from shared.ledger import validation, workload
from shared.ledger.engine import Engine
from shared.ledger.workload import HeavyWork, TooMuchAtOnceError
from tests.gateway import served
from tests.ledger import PLACED_AT, count, definition, issue, ledger, redeem

pytestmark = pytest.mark.asyncio

SCATTERED = [
    definition(
        f"c{n}",
        discount={"kind": "percentage", "value": str(n + 1)},
        applies_to={} if n % 2 else {"product_ids": ["p1"]},
        stacking={"policy": "combinable", "priority": -n},
        code={"shared_code": f"C{n}"},
        limits={"uses_per_coupon": 1_000},
    )
    for n in range(60)
]
CODES = [f"C{n}" for n in range(60)]


def large(order_id: str, lines: int = 10_000) -> Order:
    made = tuple(Line(str(n), f"p{n % 3}", 1, 1_000) for n in range(lines))
    return Order(order_id, "USD", lines * 1_000, made, placed_at=PLACED_AT)


def as_json(lines: int) -> dict[str, Any]:
    return {
        "order_id": "ORD1",
        "currency": "USD",
        "lines": [
            {"line_id": str(n), "product_id": f"p{n % 3}", "quantity": 1, "unit_price": "10.00"} for n in range(lines)
        ],
    }


async def test_a_request_that_takes_too_much_work_is_refused_and_recorded_and_others_are_redeemed(
    database_url: str,
) -> None:
    async with ledger(database_url, *SCATTERED) as pool:
        commands = [
            redeem("ORD1", ["C1"]), redeem("ORD2", CODES, order=large("ORD2")), redeem("ORD3", ["C1", "C3"]),
        ]  # fmt: skip
        answers = await Engine(pool).execute(commands)
        verdicts = [one for one in answers if isinstance(one, Verdict)]
        assert [one.outcome for one in verdicts] == ["redeemed", "refused", "redeemed"]
        assert {one.reason for one in verdicts[1].refused} == {Reason.REQUEST_TOO_LARGE}
        [_, again, _] = await Engine(pool).execute(commands)  # recorded like any verdict
        assert isinstance(again, Verdict)
        assert again.refused == verdicts[1].refused
        assert await count(pool, "SELECT count(*) FROM outbox WHERE type = 'coupon.redemption_refused'") == 1


async def test_over_http_too_much_work_is_a_problem_that_says_what_to_do(database_url: str) -> None:
    async with served(database_url, *SCATTERED) as here:
        body = {"codes": CODES, "order": as_json(10_000)}
        for path in ("/v1/redemptions", "/v1/locks"):
            answer = await here.client.post(path, json=body)
            assert (answer.status_code, answer.json()["code"]) == (422, "request_too_large"), answer.text[:300]
            assert "name fewer codes, or send the order with fewer lines" in answer.json()["detail"]
        answer = await here.client.post("/v1/validate", json=body)
        assert answer.status_code == 200
        assert answer.json()["valid"] is False
        assert "request_too_large" in answer.text


async def test_a_batch_with_much_work_is_split_into_several_transactions(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with ledger(database_url, definition()) as pool:
        engine = Engine(pool)
        codes = await issue(engine, "save10", 6)
        before = await count(pool, "SELECT count(DISTINCT xmin::text) FROM journal")
        monkeypatch.setattr(workload, "MAX_BATCH_WORK", 2 * (work.CODE + 2 * work.LINE))
        commands = [redeem(f"ORD{n}", [code]) for n, code in enumerate(codes)]
        duplicate = redeem("ORD0", [codes[1]], command_id=commands[0].command_id)  # the same id for another request
        answers = await engine.execute([*commands, commands[2], duplicate])
        assert [isinstance(one, Verdict) and one.outcome for one in answers[:6]] == ["redeemed"] * 6
        assert answers[6] == answers[2]
        assert not isinstance(answers[7], Verdict)
        assert await count(pool, "SELECT count(DISTINCT xmin::text) FROM journal") - before == 3
        again = [one for one in await engine.execute(commands) if isinstance(one, Verdict)]
        assert [one.redemption_id for one in again] == [
            one.redemption_id for one in answers[:6] if isinstance(one, Verdict)
        ]


async def test_other_requests_are_answered_during_a_heavy_request(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The decision waits in its thread until another request has been answered."""
    begun, answered = threading.Event(), threading.Event()
    judge = decide

    def waiting(*arguments: Any) -> Verdict:
        begun.set()
        assert answered.wait(30)
        return judge(*arguments)

    async with served(database_url, *SCATTERED) as here:
        light = {"codes": ["C1"], "order": as_json(1)}
        assert (await here.client.post("/v1/validate", json=light)).status_code == 200
        monkeypatch.setattr(validation, "decide", waiting)
        heavy = asyncio.create_task(here.client.post("/v1/validate", json={"codes": CODES[:10], "order": as_json(600)}))
        await asyncio.to_thread(begun.wait, 30)
        monkeypatch.setattr(validation, "decide", judge)
        assert (await here.client.post("/v1/validate", json=light)).status_code == 200
        assert (await here.client.get("/v1/campaigns/c1")).status_code == 200
        # It holds neither a transaction nor a row while it waits.
        waits = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state LIKE 'idle in%'"
        assert await count(here.pool, waits) == 0
        answered.set()
        assert (await heavy).json()["valid"] is True


async def test_too_many_heavy_requests_at_once_get_a_503(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, go_on = threading.Event(), threading.Event()
    judge = decide

    def waiting(*arguments: Any) -> Verdict:
        begun.set()
        assert go_on.wait(30)
        return judge(*arguments)

    async with served(database_url, *SCATTERED) as here:
        here.gateway.heavy = HeavyWork(waiting=0)
        monkeypatch.setattr(validation, "decide", waiting)
        body = {"codes": CODES[:10], "order": as_json(600)}
        first = asyncio.create_task(here.client.post("/v1/validate", json=body))
        await asyncio.to_thread(begun.wait, 30)
        refused = await here.client.post("/v1/validate", json=body)
        assert refused.status_code == 503
        assert int(refused.headers["retry-after"]) > 0
        go_on.set()
        assert (await first).status_code == 200
        assert (await here.client.post("/v1/validate", json=body)).status_code == 200


async def test_heavy_work_runs_one_at_a_time_and_keeps_its_turn_after_a_cancellation() -> None:
    heavy, running, most = HeavyWork(max_concurrent=1, waiting=3), 0, 0
    lock, release = threading.Lock(), threading.Event()

    def judge(wait: bool) -> str:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        assert not wait or release.wait(30)
        with lock:
            running -= 1
        return "judged"

    first = asyncio.create_task(heavy.judge(judge, True))
    others = [asyncio.create_task(heavy.judge(judge, False)) for _ in range(3)]
    await asyncio.sleep(0)
    with pytest.raises(TooMuchAtOnceError):
        await heavy.judge(judge, False)
    first.cancel()
    release.set()
    assert await asyncio.gather(*others) == ["judged"] * 3
    with pytest.raises(asyncio.CancelledError):
        await first
    assert most == 1
