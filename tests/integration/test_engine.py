"""The engine on PostgreSQL: one transaction per batch, repeatable verdicts, and exact limits."""

import asyncio
from collections import Counter
from dataclasses import replace

import asyncpg
import pytest

from shared.domain.model.commands import Command, LockCoupons, ReleaseLock, VoidCoupon
from shared.domain.model.customer import Customer
from shared.domain.model.order_commands import CancelOrder
from shared.domain.model.reasons import Reason
from shared.domain.model.verdicts import Verdict
from shared.ledger.campaigns import save
from shared.ledger.database import open_pool
from shared.ledger.engine import Answer, Engine, Rejected
from tests.ledger import PLACED_AT, count, definition, issue, ledger, redeem


def verdict(answer: Answer) -> Verdict:
    assert isinstance(answer, Verdict), answer
    return answer


def reasons(answer: Answer) -> list[Reason]:
    return [refused.reason for refused in verdict(answer).refused]


async def test_an_order_redeems_its_coupon_and_the_next_order_is_refused_as_exhausted(database_url: str) -> None:
    async with ledger(database_url, definition()) as pool:
        engine = Engine(pool)
        [code] = await issue(engine, "save10")
        first, second = await engine.execute([redeem("A", [code]), redeem("B", [code.lower()])])
        assert verdict(first).outcome == "redeemed"
        assert verdict(first).discount_minor == 1_250
        assert reasons(second) == [Reason.EXHAUSTED]
        types = [row["type"] for row in await pool.fetch("SELECT type FROM outbox ORDER BY position")]
        assert types == ["coupon.issued", "coupon.redeemed", "coupon.redemption_refused"]


async def test_a_repeated_command_always_gets_the_recorded_verdict(database_url: str) -> None:
    async with ledger(database_url, definition()) as pool:
        [code] = await issue(Engine(pool), "save10")
        command = redeem("A", [code, "NO-SUCH"])
        [first] = await Engine(pool).execute([command])
        again = await Engine(pool).execute([command, command])
        recorded = replace(verdict(first), entries=(), locks=(), orders=())
        assert again == [recorded, recorded]
        assert await count(pool, "SELECT count(*) FROM ledger_entries WHERE kind = 'burned'") == 1
        assert await count(pool, "SELECT count(*) FROM outbox WHERE type LIKE 'coupon.red%'") == 2


async def test_the_same_id_with_different_content_is_rejected_and_changes_nothing(database_url: str) -> None:
    async with ledger(database_url, definition()) as pool:
        engine = Engine(pool)
        [one, other] = await issue(engine, "save10", 2)
        await engine.execute([redeem("A", [one], command_id="/shop 1")])
        in_a_later_batch = await engine.execute([redeem("A", [other], command_id="/shop 1")])
        in_one_batch = await engine.execute(
            [redeem("B", [other], command_id="/shop 2"), redeem("C", [other], command_id="/shop 2")]
        )
        assert [type(answer) for answer in in_a_later_batch] == [Rejected]
        assert [type(answer) for answer in in_one_batch] == [Verdict, Rejected]
        assert await count(pool, "SELECT count(*) FROM ledger_entries WHERE kind = 'burned'") == 2


async def test_a_batch_gives_the_same_verdicts_as_single_commands(database_url: str) -> None:
    limits = {"uses_per_coupon": 5, "uses_per_customer": 2, "uses_total": 4}
    definitions = [
        definition(
            f"{kind}{run}", **({"code": {"shared_code": f"ALL{run}"}, "limits": limits} if kind == "all" else {})
        )
        for run in (1, 2)
        for kind in ("one", "all")
    ]
    async with ledger(database_url, *definitions) as pool:
        batch = await Engine(pool).execute(await scenario(Engine(pool), 1))
        one_by_one = [(await Engine(pool).execute([command]))[0] for command in await scenario(Engine(pool), 2)]
    outcomes = [(verdict(answer).outcome, sorted(reasons(answer))) for answer in batch]
    assert outcomes == [(verdict(answer).outcome, sorted(reasons(answer))) for answer in one_by_one]
    assert outcomes == [
        ("redeemed", []),
        ("redeemed", [Reason.EXHAUSTED]),
        ("refused", [Reason.CUSTOMER_LIMIT]),
        ("restored", []),
        ("redeemed", []),
        ("redeemed", []),
        ("refused", [Reason.EXHAUSTED, Reason.EXHAUSTED, Reason.NOT_COMBINABLE, Reason.NOT_FOUND]),
    ]


async def scenario(engine: Engine, run: int) -> list[Command]:
    """Return orders of two customers that reach every kind of limit, with a cancellation between them."""
    one, two = await issue(engine, f"one{run}", 2)
    everybody = f"ALL{run}"
    ann, bob = Customer(f"ann{run}", f"ann{run}@example.com"), Customer(f"bob{run}")
    return [
        redeem(f"A{run}", [one, everybody], customer=ann),
        redeem(f"B{run}", [one, everybody], customer=Customer(None, f" ANN{run}@example.com ")),
        redeem(f"C{run}", [everybody.lower()], customer=ann),
        CancelOrder(f"/shop cancel A{run}", f"A{run}", PLACED_AT),
        redeem(f"D{run}", [everybody, one], customer=ann),
        redeem(f"E{run}", [everybody, two], customer=bob),
        redeem(f"F{run}", [everybody, one, "no-such", two], customer=Customer(f"carol{run}"), atomic=True),
    ]


async def test_four_engines_never_use_a_coupon_beyond_its_limit(database_url: str) -> None:
    hot = definition("hot", code={"shared_code": "HOT"}, limits={"uses_per_coupon": 100})
    async with ledger(database_url, hot, connections=8) as pool:
        batches = [[redeem(f"{number}-{order}", ["HOT"]) for order in range(10)] for number in range(40)]

        async def work(engine: Engine, mine: list[list[object]]) -> list[Answer]:
            return [answer for batch in mine for answer in await engine.execute(batch)]  # type: ignore[arg-type]

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(work(Engine(pool), batches[number::4])) for number in range(4)]  # type: ignore[arg-type]
        outcomes = Counter(verdict(answer).outcome for task in tasks for answer in task.result())
        assert outcomes == {"redeemed": 100, "refused": 300}
        assert await count(pool, "SELECT used_uses FROM coupons WHERE code_key = 'HOT'") == 100


async def test_concurrent_engines_with_an_unknown_customer_keep_the_customers_limit(
    database_url: str,
) -> None:
    limited = definition("once", code={"shared_code": "ONCE"}, limits={"uses_per_coupon": None, "uses_per_customer": 1})
    async with ledger(database_url, limited, connections=8) as pool:
        for attempt in range(5):
            customer = Customer(f"ann-{attempt}", f"ann-{attempt}@example.com")
            answers = await asyncio.gather(
                *(
                    Engine(pool).execute([redeem(f"{attempt}-{number}", ["ONCE"], customer=customer)])
                    for number in range(6)
                )
            )
            outcomes = Counter(verdict(answer).outcome for [answer] in answers)
            assert outcomes == {"redeemed": 1, "refused": 5}


async def test_a_command_that_the_database_cannot_store_is_rejected_alone(database_url: str) -> None:
    async with ledger(database_url, definition()) as pool:
        engine = Engine(pool)
        codes = await issue(engine, "save10", 7)
        commands = [redeem(f"O{number}", [code]) for number, code in enumerate(codes)]
        commands[3] = redeem("O3", [codes[3], "nul\x00byte"])
        answers = await engine.execute(commands)
        assert [type(answer) for answer in answers] == [Verdict] * 3 + [Rejected] + [Verdict] * 3
        assert await count(pool, "SELECT count(*) FROM ledger_entries WHERE kind = 'burned'") == 6


async def test_a_connection_lost_during_a_batch_loses_and_duplicates_nothing(database_url: str) -> None:
    async with (
        ledger(database_url, definition(), connections=2) as pool,
        await open_pool(database_url, role=None) as killer,
    ):
        engine = Engine(pool)
        codes = await issue(engine, "save10", 60)
        stop = asyncio.Event()
        answers: list[Answer] = []

        async def kill() -> int:
            """Kill sessions in a transaction, at most once per order, so that each order succeeds in the end."""
            killed, order = 0, -1
            while not stop.is_set():
                if len(answers) > order:
                    cut = await killer.fetchval(
                        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
                        "WHERE application_name = 'couponry' AND state <> 'idle' AND pid <> pg_backend_pid()"
                    )
                    order = len(answers) if cut else order
                    killed += cut
                await asyncio.sleep(0.005)
            return killed

        killing = asyncio.create_task(kill())
        for number, code in enumerate(codes):
            answers += await engine.execute([redeem(f"O{number}", [code])])
        stop.set()
        assert await killing >= 10
        assert [verdict(answer).outcome for answer in answers] == ["redeemed"] * 60
        assert await count(pool, "SELECT count(*) FROM ledger_entries WHERE kind = 'burned'") == 60
        assert await count(pool, "SELECT count(DISTINCT event_id) FROM outbox WHERE type = 'coupon.redeemed'") == 60


async def test_merged_customers_share_one_limit(database_url: str) -> None:
    limited = definition(
        "twice", code={"shared_code": "TWICE"}, limits={"uses_per_coupon": None, "uses_per_customer": 2}
    )
    async with ledger(database_url, limited) as pool:
        engine = Engine(pool)
        answers = await engine.execute(
            [
                redeem("A", ["TWICE"], customer=Customer("ann")),
                redeem("B", ["TWICE"], customer=Customer(None, "ann@example.com")),
            ]
        )
        assert [verdict(answer).outcome for answer in answers] == ["redeemed", "redeemed"]
        [answer] = await engine.execute([redeem("C", ["TWICE"], customer=Customer("ann", "ann@example.com"))])
        assert reasons(answer) == [Reason.CUSTOMER_LIMIT]
        assert await count(pool, "SELECT count(*) FROM customers WHERE merged_into IS NULL") == 1
        [answer] = await engine.execute([CancelOrder("/shop cancel B", "B", PLACED_AT)])
        assert verdict(answer).outcome == "restored"
        [answer] = await engine.execute([redeem("D", ["TWICE"], customer=Customer("ann"))])
        assert verdict(answer).outcome == "redeemed"


async def test_a_lock_holds_a_use_until_it_expires(database_url: str) -> None:
    async with ledger(database_url, definition()) as pool:
        engine = Engine(pool)
        [code] = await issue(engine, "save10")
        [locked] = await engine.execute([LockCoupons("/cli 1", "lock-1", (code,), 1, Customer("ann"))])
        assert verdict(locked).outcome == "locked"
        [refused] = await engine.execute([redeem("A", [code], customer=Customer("bob"))])
        assert reasons(refused) == [Reason.LOCKED_ELSEWHERE]
        await asyncio.sleep(1.1)
        [redeemed] = await engine.execute([redeem("B", [code], customer=Customer("bob"))])
        assert verdict(redeemed).outcome == "redeemed"
        [late] = await engine.execute([redeem("C", [], lock_reference="lock-1", customer=Customer("ann"))])
        assert reasons(late) == [Reason.LOCK_EXPIRED]
        assert await count(pool, "SELECT count(*) FROM outbox WHERE type = 'coupon.lock_expired'") == 1


async def test_an_order_burns_the_lock_it_refers_to(database_url: str) -> None:
    async with ledger(database_url, definition()) as pool:
        engine = Engine(pool)
        [code] = await issue(engine, "save10")
        await engine.execute([LockCoupons("/cli 1", "lock-1", (code,), 60, Customer("ann"))])
        [burned] = await engine.execute([redeem("A", [], lock_reference="lock-1", customer=Customer("ann"))])
        assert verdict(burned).outcome == "redeemed"
        assert verdict(burned).accepted[0].code == code
        assert await count(pool, "SELECT status FROM locks WHERE lock_reference = 'lock-1'") == "burned"
        [released] = await engine.execute([ReleaseLock("/cli 2", "lock-1")])
        assert reasons(released) == [Reason.ALREADY_REDEEMED]


@pytest.mark.parametrize("hold", [False, True])
async def test_requests_for_one_order_together_never_take_more_off_a_line_than_it_costs(
    database_url: str, hold: bool
) -> None:
    scoped = definition(
        "twenty",
        discount={"kind": "fixed", "value": "20.00", "currency": "USD", "max_discount": None},
        applies_to={"product_ids": ["511520"]},
    )
    async with ledger(database_url, scoped) as pool:
        codes = await issue(Engine(pool), "twenty", 4)
        answers: list[Answer] = []
        for number, code in enumerate(codes[:3]):  # the line costs 25.00; each request is a batch of its own
            command = redeem("A", [code], command_id=f"/shop {number}", hold=hold, hold_seconds=600)
            answers += await Engine(pool).execute([command])
        assert [verdict(answer).discount_minor for answer in answers] == [2_000, 500, 0]
        assert [verdict(answer).accepted[0].lines for answer in answers[:2]] == [(("2", 2_000),), (("2", 500),)]
        assert reasons(answers[2]) == [Reason.NO_EFFECT]
        commands = [redeem("B", [codes[2]], command_id="/shop 8"), redeem("B", [codes[3]], command_id="/shop 9")]
        in_one_batch = await Engine(pool).execute(commands)
        assert [verdict(answer).discount_minor for answer in in_one_batch] == [2_000, 500]


async def test_a_sweep_expires_more_locks_than_fit_in_a_batch(database_url: str) -> None:
    async with ledger(database_url, definition()) as pool:
        engine = Engine(pool)
        codes = await issue(engine, "save10", 450)
        await engine.execute([LockCoupons(f"/cli {code}", f"lock-{code}", (code,), 1) for code in codes])
        await asyncio.sleep(1.1)
        [answer] = await engine.execute([redeem("A", [codes[-1]])])
        assert verdict(answer).outcome == "redeemed"
        assert await count(pool, "SELECT count(*) FROM locks WHERE status = 'open'") == 0


async def test_a_voided_coupon_stays_voided_after_a_restore(database_url: str) -> None:
    async with ledger(database_url, definition()) as pool:
        engine = Engine(pool)
        [code] = await issue(engine, "save10")
        await engine.execute(
            [redeem("A", [code]), VoidCoupon("/cli void", code), CancelOrder("/shop c", "A", PLACED_AT)]
        )
        [answer] = await engine.execute([redeem("B", [code])])
        assert reasons(answer) == [Reason.VOIDED]


async def test_limits_of_a_live_campaign_take_effect_at_once(database_url: str) -> None:
    def hot(uses: int | None, total: int | None = None) -> object:
        return definition("hot", code={"shared_code": "HOT"}, limits={"uses_per_coupon": uses, "uses_total": total})

    async with ledger(database_url, hot(2)) as pool:  # type: ignore[arg-type]
        engine = Engine(pool)
        await engine.execute([redeem("A", ["HOT"]), redeem("B", ["HOT"])])
        await save(pool, [hot(1)])  # type: ignore[list-item]
        [refused] = await engine.execute([redeem("C", ["HOT"])])
        assert reasons(refused) == [Reason.EXHAUSTED]
        await save(pool, [hot(None, 3)])  # type: ignore[list-item]
        answers = await engine.execute([redeem("D", ["HOT"]), redeem("E", ["HOT"])])
        assert [reasons(answer) for answer in answers] == [[], [Reason.CAMPAIGN_EXHAUSTED]]
        await save(pool, [hot(None)])  # type: ignore[list-item]
        [answer] = await engine.execute([redeem("F", ["HOT"])])
        assert verdict(answer).outcome == "redeemed"


async def test_constraints_refuse_rows_that_decide_never_produces(database_url: str) -> None:
    async with ledger(database_url, definition()) as pool:
        await issue(Engine(pool), "save10")
        with pytest.raises(asyncpg.CheckViolationError):
            await pool.execute("UPDATE coupons SET used_uses = 2")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await pool.execute("DELETE FROM ledger_entries")
    async with await open_pool(database_url, role=None) as owner:
        with pytest.raises(asyncpg.RestrictViolationError, match="append-only"):
            await owner.execute("UPDATE ledger_entries SET used_uses = 0")
