"""The life cycle of an order on PostgreSQL: every row of the table once."""

import asyncio

from shared.domain.model.commands import Command
from shared.domain.model.order_commands import CancelOrder
from shared.domain.model.verdicts import Verdict
from shared.ledger.database import Pool
from shared.ledger.engine import Engine
from tests.ledger import definition, issue, ledger
from tests.order_life_cases import CASES, Case, command_of

LIMITS = {"uses_per_coupon": 1, "uses_per_customer": 999, "uses_total": 999}


async def _uses(pool: Pool, code: str) -> tuple[tuple[int, int], int]:
    """Return (held, used) of the coupon, and the rest of its discount."""
    row = await pool.fetchrow(
        "SELECT coupons.held_uses, coupons.used_uses, coalesce(sum(used_minor), 0)::bigint AS used_minor"
        " FROM coupons JOIN ledger_entries USING (coupon_id) WHERE code = $1 GROUP BY coupon_id",
        code,
    )
    assert row is not None
    return (row["held_uses"], row["used_uses"]), row["used_minor"]


async def _published(pool: Pool, order_id: str) -> list[str]:
    rows = await pool.fetch("SELECT type, data FROM outbox WHERE data ->> 'order_id' = $1 ORDER BY position", order_id)
    return [row["type"].removeprefix("coupon.") for row in rows]


async def _run(engine: Engine, commands: list[Command]) -> list[Verdict]:
    answers = await engine.execute(commands)
    assert all(isinstance(answer, Verdict) for answer in answers), answers
    return [answer for answer in answers if isinstance(answer, Verdict)]


async def test_every_row_of_the_life_cycle_works_on_postgresql(database_url: str) -> None:
    async with ledger(database_url, definition(limits=LIMITS)) as pool:
        engine = Engine(pool)
        codes = await issue(engine, "save10", len(CASES))

        async def step(number: int, name: str) -> list[Verdict]:
            """Execute step `number` of all cases that have it, as one batch."""
            commands = [
                command_of(steps[number], f"/shop {order} {name}", f"O{order}", codes[order])
                for order, case in enumerate(CASES)
                if number < len(steps := case.setup)
            ]
            return await _run(engine, commands) if commands else []

        for number in range(max(len(case.setup) for case in CASES)):
            await step(number, f"step {number}")
        before = [await _published(pool, f"O{order}") for order in range(len(CASES))]

        def events(name: str) -> list[Command]:
            return [
                command_of(case.event, f"/shop {order} {name}", f"O{order}", codes[order])
                for order, case in enumerate(CASES)
            ]

        async def holds(order: int, case: Case, outcome: str) -> None:
            assert outcome == case.outcome, case
            assert await _uses(pool, codes[order]) == (case.uses, case.left_minor), case
            published = (await _published(pool, f"O{order}"))[len(before[order]) :]
            assert [one for one in published if one != "lock_expired"] == list(case.event_types), case

        verdicts = await _run(engine, events("event"))
        for order, case in enumerate(CASES):
            await holds(order, case, verdicts[order].outcome)
        again = await _run(engine, events("again"))
        for order, case in enumerate(CASES):
            if case.outcome != "refused" or again[order].outcome != "refused":
                assert again[order].outcome == "unchanged", case
                await holds(order, case, case.outcome)


async def test_two_engines_cancel_reuse_and_place_again_at_once_and_use_the_coupon_once(database_url: str) -> None:
    async with ledger(database_url, definition(limits={"uses_per_coupon": 1, "uses_total": 40})) as pool:
        engines = Engine(pool), Engine(pool)
        codes = await issue(engines[0], "save10", 40)
        await _run(engines[0], [command_of("place", f"/shop {n} place", f"O{n}", code) for n, code in enumerate(codes)])
        cancels: list[Command] = [
            command_of("cancel", f"/shop {n} cancel", f"O{n}", code) for n, code in enumerate(codes)
        ]
        elsewhere = [command_of("place again", f"/shop {n} else", f"P{n}", code) for n, code in enumerate(codes)]
        placed_again = [command_of("place again", f"/shop {n} again", f"O{n}", code) for n, code in enumerate(codes)]
        await asyncio.gather(
            *(_run(engine, batch) for engine, batch in zip(engines, (cancels, elsewhere), strict=True))
        )
        await asyncio.gather(
            *(_run(engine, batch) for engine, batch in zip(engines, (placed_again, elsewhere), strict=True))
        )
        again: list[Command] = [
            CancelOrder(f"/shop {n} cancel again", f"O{n}", command.at)
            for n, command in enumerate(cancels)
            if isinstance(command, CancelOrder)
        ]
        await asyncio.gather(_run(engines[0], again), _run(engines[1], [*placed_again, *elsewhere]))
        assert await pool.fetchval("SELECT count(*) FROM coupons WHERE used_uses + held_uses > 1") == 0
        active = await pool.fetch(
            "SELECT coupon_id, count(*) FROM (SELECT coupon_id, order_id FROM ledger_entries"
            " WHERE kind IN ('burned', 'restored') GROUP BY 1, 2 HAVING sum(used_uses) > 0) AS uses GROUP BY 1"
        )
        assert [row["count"] for row in active] == [1] * 40, "each coupon is redeemed by one of its two orders"
