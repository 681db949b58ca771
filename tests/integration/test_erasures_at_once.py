"""Two erasures at once that change the same rows."""

import asyncio
from typing import Any

import asyncpg
import pytest

from shared.domain.customer import Customer
from shared.ledger import erasing
from shared.ledger.connection import LedgerConnection
from shared.ledger.engine import RUNS, Engine
from shared.ledger.sql import sql
from tests.ledger import definition, issue, ledger, redeem

pytestmark = pytest.mark.postgres


async def test_a_verdict_that_another_erasure_changes_meanwhile_is_read_again(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with ledger(database_url, definition()) as pool:
        engine = Engine(pool)
        names = ("ann_smith_77", "bob_jones_88")
        for number, name in enumerate(names):
            await issue(engine, "save10", customer=Customer(name, f"{number}@example.com"))
        await engine.execute([redeem("X-1", list(names), customer=Customer(names[1]))])
        first, second = [await erasing.begin(pool, [("id", name)], "test") for name in names]
        assert first is not None
        assert second is not None
        fetchval, writes = LedgerConnection.fetchval, 0

        async def second_comes_between(self: LedgerConnection, query: str, *args: Any, **options: Any) -> Any:
            nonlocal writes
            if query == sql("erasure_journal") and str(args[0]) == first and "/shop X-1" in args[1]:
                writes += 1
                if writes == 1:
                    await erasing.run(pool, second)
            return await fetchval(self, query, *args, **options)

        monkeypatch.setattr(LedgerConnection, "fetchval", second_comes_between)
        await asyncio.wait_for(erasing.run(pool, first), 60)
        verdict = await pool.fetchval("SELECT verdict::text FROM journal WHERE command_id = '/shop X-1'")
        assert writes >= 2
        assert not [name for name in names if name in verdict]


async def test_a_change_that_is_refused_each_time_is_a_bug_and_not_an_outage(monkeypatch: pytest.MonkeyPatch) -> None:
    attempts: list[int] = []

    async def refused(number: int) -> None:
        attempts.append(number)
        raise asyncpg.RestrictViolationError("verdicts are for good")

    async def at_once(number: int) -> None:
        """Wait for nothing."""

    monkeypatch.setattr(erasing, "pause_after", at_once)
    with pytest.raises(asyncpg.RestrictViolationError):
        await erasing._persisting(refused)
    assert attempts == list(range(1, RUNS + 1))
