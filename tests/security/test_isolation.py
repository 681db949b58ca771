"""A bad command never affects the other commands of its batch."""

import asyncio
import secrets
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from services.redeemer.janitor import Janitor
from shared.domain.model.commands import Command, ExpireLock, LockCoupons
from shared.domain.model.customer import Customer
from shared.domain.model.order_commands import CancelOrder
from shared.domain.model.verdicts import Verdict
from shared.ledger import engine as engine_module
from shared.ledger import persist, validation
from shared.ledger.campaigns import save
from shared.ledger.database import Pool
from shared.ledger.engine import Answer, Engine, Rejected
from shared.runtime.telemetry import BUGS
from tests.ledger import PLACED_AT, count, definition, issue, ledger, redeem

pytestmark = pytest.mark.postgres

LONG = secrets.token_hex(4_000)
"""Random, so that it can't be compressed: longer than the limit of an index row."""

TOO_LARGE = 2**64


def with_metadata(command: Any, metadata: dict[str, Any]) -> Command:
    return replace(command, order=replace(command.order, metadata=metadata))


def deep(levels: int) -> dict[str, Any]:
    document: dict[str, Any] = {}
    for _ in range(levels):
        document = {"a": document}
    return document


BAD: dict[str, Callable[[str], Command]] = {
    "an integer beyond 64 bits": lambda code: with_metadata(redeem("bad", [code]), {"tracking": TOO_LARGE}),
    "a negative one": lambda code: with_metadata(redeem("bad", [code]), {"tracking": -TOO_LARGE}),
    "one in what is handed on": lambda code: redeem("bad", [code], metadata={"tracking": [TOO_LARGE]}),
    "metadata too deep to be written": lambda code: with_metadata(redeem("bad", [code]), deep(2_000)),
    "a value that is not JSON": lambda code: with_metadata(redeem("bad", [code]), {"a": object()}),
    "a lone surrogate": lambda code: redeem("bad \ud800", [code]),
    "an amount beyond 64 bits": lambda code: replace(
        redeem("bad", [code]), order=replace(redeem("bad", [code]).order, amount_minor=TOO_LARGE)
    ),
    "an order id too long for its index": lambda code: redeem(LONG, [code]),
    "a lock reference too long for its index": lambda code: LockCoupons("/shop lock", LONG, (code,), 60),
    "a customer id too long for its index": lambda code: redeem("bad", [code], customer=Customer(LONG)),
    "a command id too long for its index": lambda code: redeem("bad", [code], command_id=f"/shop {LONG}"),
    "a time without a zone": lambda code: CancelOrder("/shop cancel", "other 0", datetime(2026, 3, 1)),  # noqa: DTZ001
    "an invalid time": lambda code: CancelOrder("/shop cancel", "other 0", "tomorrow"),  # type: ignore[arg-type]
    "a missing order": lambda code: replace(redeem("bad", [code]), order=None),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("name", BAD)
async def test_the_other_commands_of_a_batch_with_a_bad_one_are_executed(database_url: str, name: str) -> None:
    async with ledger(database_url, definition()) as pool:
        engine = Engine(pool)
        codes = await issue(engine, "save10", 7)
        commands: list[Command] = [redeem(f"other {number}", [code]) for number, code in enumerate(codes[:6])]
        commands.insert(4, BAD[name](codes[6]))
        answers = await engine.execute(commands)
        rejected = answers.pop(4)
        assert isinstance(rejected, Rejected), rejected
        assert rejected.text
        assert [outcome(answer) for answer in answers] == ["redeemed"] * 6
        assert await count(pool, "SELECT count(*) FROM ledger_entries WHERE kind = 'burned'") == 6
        [later] = await engine.execute([redeem("later", [codes[6]])])
        assert outcome(later) == "redeemed"


def outcome(answer: Answer) -> str:
    assert isinstance(answer, Verdict), answer
    return answer.outcome


async def test_a_bug_in_a_decision_is_reported_as_a_bug_and_counted(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail_for(monkeypatch, lambda command: getattr(getattr(command, "order", None), "order_id", "") == "bad")
    async with ledger(database_url, definition()) as pool:
        engine = Engine(pool)
        codes = await issue(engine, "save10", 3)
        before = bugs("command")
        first, bad, second = await engine.execute(
            [redeem("A", [codes[0]]), redeem("bad", [codes[1]]), redeem("B", [codes[2]])]
        )
        assert [outcome(first), outcome(second)] == ["redeemed", "redeemed"]
        assert isinstance(bad, Rejected)
        assert (bad.is_bug, bad.error_class) == (True, "bug")
        assert "secret detail" not in bad.text
        assert bugs("command") == before + 1
        assert await count(pool, "SELECT count(*) FROM journal WHERE command_id = $1", "/shop bad") == 0


async def test_if_every_command_triggers_a_bug_each_is_rejected(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with ledger(database_url, definition()) as pool:
        engine = Engine(pool)
        codes = await issue(engine, "save10", 5)
        fail_for(monkeypatch, lambda command: True)
        answers = await engine.execute([redeem(code, [code]) for code in codes])
        assert [getattr(answer, "is_bug", False) for answer in answers] == [True] * 5


async def test_a_value_that_copy_cannot_encode_affects_only_its_command(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    encode = persist.encode_verdict
    monkeypatch.setattr(persist, "encode_verdict", lambda one: "\ud800" if one.order_id == "bad" else encode(one))
    async with ledger(database_url, definition()) as pool:
        engine = Engine(pool)
        codes = await issue(engine, "save10", 3)
        first, bad, second = await engine.execute(
            [redeem("A", [codes[0]]), redeem("bad", [codes[1]]), redeem("B", [codes[2]])]
        )
        assert [outcome(first), outcome(second)] == ["redeemed", "redeemed"]
        assert isinstance(bad, Rejected)


async def test_two_requests_share_an_id_and_one_of_them_is_bad(database_url: str) -> None:
    async with ledger(database_url, definition()) as pool:
        engine = Engine(pool)
        [code] = await issue(engine, "save10")
        good = redeem("A", [code], command_id="/shop 1")
        bad = with_metadata(redeem("A", [code], command_id="/shop 1"), {"tracking": TOO_LARGE})
        answers = await engine.execute([bad, good, bad, good])
        assert [type(answer) for answer in answers] == [Rejected, Verdict, Rejected, Verdict]


async def test_a_lock_that_cannot_be_expired_is_skipped_and_blocks_no_command(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with ledger(database_url, definition()) as pool:
        codes = await issue(Engine(pool), "save10", 6)
        await locks_whose_time_is_over(pool, codes[:3])
        fail_for(monkeypatch, lambda command: isinstance(command, ExpireLock) and command.lock_reference == "L1")
        engine, before = Engine(pool), bugs("expiry")
        verdict = await validation.validate(pool, redeem("asks", [codes[3]]))
        assert verdict.accepted
        answers = await engine.execute([redeem(f"A{number}", [code]) for number, code in enumerate(codes[3:])])
        assert [outcome(answer) for answer in answers] == ["redeemed"] * 3
        assert await engine.sweep_expired() == 0
        statuses = await pool.fetch("SELECT lock_reference, status FROM locks ORDER BY lock_reference")
        assert [tuple(row) for row in statuses] == [("L0", "expired"), ("L1", "open"), ("L2", "expired")]
        assert bugs("expiry") == before + 1
        monkeypatch.undo()
        assert await Engine(pool).sweep_expired() == 1


async def test_a_bug_in_expiring_does_not_stop_the_janitor(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with ledger(database_url, definition()) as pool:
        engine = Engine(pool)
        [code] = await issue(engine, "save10")
        await locks_whose_time_is_over(pool, [code])
        monkeypatch.setattr(engine, "sweep_expired", raising)
        stopping = asyncio.Event()

        async def sweep(limit: int) -> int:
            return await engine.sweep_expired(limit)

        janitor = asyncio.create_task(Janitor(sweep, "locks", "expiry", pause_seconds=0.01, limit=10).run(stopping))
        before = bugs("expiry")
        while bugs("expiry") < before + 2:
            assert not janitor.done()
            await asyncio.sleep(0.01)
        monkeypatch.undo()
        while await count(pool, "SELECT count(*) FROM locks WHERE status = 'open'"):
            await asyncio.sleep(0.01)
        stopping.set()
        await janitor


async def test_a_stored_time_that_cannot_be_compared_affects_only_its_order(database_url: str) -> None:
    async with ledger(database_url, definition()) as pool:
        engine = Engine(pool)
        codes = await issue(engine, "save10", 3)
        await engine.execute([CancelOrder("/shop cancel", "old", PLACED_AT)])
        await pool.execute("UPDATE orders SET cancelled_at = 'infinity' WHERE order_id = 'old'")
        commands = [redeem("A", [codes[0]]), redeem("old", [codes[1]]), redeem("B", [codes[2]])]
        first, _, second = await engine.execute(commands)
        assert [outcome(first), outcome(second)] == ["redeemed", "redeemed"]


async def locks_whose_time_is_over(pool: Pool, codes: list[str]) -> None:
    commands: list[Command] = [
        LockCoupons(f"/shop lock {number}", f"L{number}", (code,), 60) for number, code in enumerate(codes)
    ]
    assert [outcome(answer) for answer in await Engine(pool).execute(commands)] == ["locked"] * len(codes)
    await pool.execute("UPDATE locks SET expires_at = $1", datetime.now(UTC) - timedelta(minutes=1))


def fail_for(monkeypatch: pytest.MonkeyPatch, which: Callable[[Any], bool]) -> None:
    """Make decisions on some commands raise an error, like a bug."""
    decide = engine_module.decide

    def failing(command: Any, *rest: Any) -> Verdict:
        if which(command):
            raise KeyError("secret detail")
        return decide(command, *rest)

    monkeypatch.setattr(engine_module, "decide", failing)
    monkeypatch.setattr(validation, "decide", failing)


async def raising(*_: object) -> int:
    raise KeyError("secret detail")


def bugs(where: str) -> float:
    return BUGS.labels(where)._value.get()


async def test_a_stored_campaign_that_cannot_be_read_affects_only_its_coupons(database_url: str) -> None:
    async with ledger(database_url, definition(), definition("odd", code={"shared_code": "ODD"})) as pool:
        [code] = await issue(Engine(pool), "save10")
        async with pool.acquire() as connection:
            await connection.execute(
                "UPDATE campaigns SET definition = jsonb_set(definition, '{discount,kind}', '\"unheard of\"'), "
                "version = nextval(pg_get_serial_sequence('campaigns', 'version')) WHERE campaign_id = 'odd'"
            )
        first, odd, second = await Engine(pool).execute(
            [redeem("A", [code]), redeem("B", ["ODD"]), redeem("C", ["no such code"])]
        )
        assert [outcome(first), outcome(second)] == ["redeemed", "refused"]
        assert isinstance(odd, Rejected)
        assert odd.is_bug
        await save(pool, [definition("odd", code={"shared_code": "ODD"}, name="mended")])
        [again] = await Engine(pool).execute([redeem("B", ["ODD"])])
        assert outcome(again) == "redeemed"
