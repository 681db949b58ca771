"""Customers that were merged by mistake are split again; the audit, which runs after each test, stays clean."""

import asyncio
import itertools
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from random import Random
from typing import Any

import pytest

from shared.domain.model.commands import LockCoupons, ReleaseLock
from shared.domain.model.customer import Customer, Identifier, possible_identifiers
from shared.domain.model.order_commands import CancelOrder, PayOrder, ReturnOrder
from shared.domain.model.verdicts import Verdict
from shared.ledger import erasing, exporting
from shared.ledger.audit import audit
from shared.ledger.database import Pool
from shared.ledger.engine import Engine
from shared.ledger.splitting import MAX_IDENTIFIERS, Split, SplitRefusedError, Wanted, rejoin, split
from tests.ledger import PLACED_AT, count, definition, issue, ledger, redeem

pytestmark = pytest.mark.postgres

ANN = Customer("ann", "ann@shop.example")
BOB = Customer("bob", "bob@shop.example", "+441614960000")
BOTH = Customer("ann", "bob@shop.example")
BOBS = ("bob", "bob@shop.example", "+441614960000")

LIMITED = definition(
    "limited",
    code={"shared_code": "LIMITED"},
    limits={
        "uses_per_coupon": None, "uses_per_customer": 2, "coupons_per_customer": 5,
        "caps": [
            {"per": "month", "each": "customer", "uses": 3}, {"per": "day", "each": "campaign", "uses": 90},
            {"per": "coupon", "each": "customer", "uses": 90},
        ],
    },
)  # fmt: skip
NO_CAP = definition("nocap", code={"shared_code": "NOCAP"}, limits={"uses_per_coupon": None, "uses_per_customer": 99})


def wanted(who: str = "ann", *separate: str, **options: Any) -> Wanted:
    return Wanted(
        possible_identifiers(who), [possible_identifiers(one) for one in separate or BOBS], "a test", **options
    )


async def run(engine: Engine, *commands: Any) -> list[Verdict]:
    answers = await engine.execute(commands)
    assert all(isinstance(answer, Verdict) for answer in answers), answers
    return [answer for answer in answers if isinstance(answer, Verdict)]


async def wallet(pool: Pool, name: str) -> set[str]:
    found = await exporting.find_customer(pool, possible_identifiers(name))
    assert found is not None
    rows = await pool.fetch("SELECT code FROM coupons WHERE holder_key = $1", found.customer_keys[0])
    return {row["code"] for row in rows}


async def used(pool: Pool, name: str, campaign_id: str = "limited") -> tuple[int, int]:
    """Return the uses that the customer has held and used."""
    found = await exporting.find_customer(pool, possible_identifiers(name))
    assert found is not None
    row = await pool.fetchrow(
        "SELECT held_uses, used_uses FROM meters WHERE campaign_id = $1 AND customer_key = $2",
        campaign_id, found.customer_keys[0],
    )  # fmt: skip
    return (0, 0) if row is None else (row[0], row[1])


async def identifiers_of(pool: Pool, name: str) -> set[Identifier]:
    [(kind, value)] = possible_identifiers(f"id:{name}")
    rows = await pool.fetch(
        "SELECT other.kind, other.value FROM customer_identifiers JOIN customer_identifiers AS other "
        "USING (customer_key) WHERE customer_identifiers.kind = $1 AND customer_identifiers.value = $2",
        kind, value,
    )  # fmt: skip
    return {(row[0], row[1]) for row in rows}


async def test_what_was_a_customers_before_the_merge_goes_back(database_url: str) -> None:
    async with ledger(database_url, definition(), LIMITED) as pool:
        engine = Engine(pool)
        [anns] = await issue(engine, "save10", customer=ANN)
        [bobs] = await issue(engine, "save10", customer=BOB)
        await run(
            engine,
            redeem("A-1", ["LIMITED"], customer=ANN),
            redeem("B-1", ["LIMITED"], customer=BOB),
            redeem("B-2", ["LIMITED"], customer=BOB, hold=True, hold_seconds=600),
            LockCoupons("/lock b", "lock-b", (bobs,), 600, BOB),
        )
        assert await used(pool, "ann") == (0, 1)
        await run(engine, redeem("X-1", [], customer=BOTH))  # an event names both
        assert await wallet(pool, "bob") == {anns, bobs}
        assert await used(pool, "ann") == (1, 2)
        made = await split(pool, wanted())
        assert made.moved == {
            "identifiers": 3, "ledger_entries": 4, "coupons": 1, "locks": 2, "orders": 2, "corrections": 0,
        }  # fmt: skip
        assert await wallet(pool, "ann") == {anns}
        assert await wallet(pool, "bob") == {bobs}
        assert await used(pool, "ann") == (0, 1)
        assert await used(pool, "bob") == (1, 1)
        assert await identifiers_of(pool, "ann") == {("id", "ann"), ("email", "ann@shop.example")}
        # Life goes on: the held order is paid, the lock is burned, everything is undone.
        [paid, burned] = await run(
            engine, PayOrder("/pay", "B-2", PLACED_AT), redeem("B-3", [], lock_reference="lock-b", customer=BOB)
        )
        assert paid.accepted
        assert burned.accepted
        assert await used(pool, "bob") == (0, 2)
        assert (await audit(pool)).findings == ()
        await run(engine, *[CancelOrder(f"/cancel {one}", one, PLACED_AT) for one in ("A-1", "B-1", "B-2", "B-3")])
        assert await used(pool, "ann") == (0, 0)
        assert await used(pool, "bob") == (0, 0)


async def test_what_was_undone_since_the_merge_counts_for_the_customer_it_was_done_for(database_url: str) -> None:
    async with ledger(database_url, LIMITED, NO_CAP) as pool:
        engine = Engine(pool)
        await run(engine, redeem("A-1", ["LIMITED"], customer=ANN))  # the older customer, whose key remains
        await run(
            engine,
            redeem("B-1", ["LIMITED"], customer=BOB),
            redeem("B-2", ["NOCAP"], customer=BOB),
            LockCoupons("/lock b", "lock-b", ("NOCAP",), 600, BOB),
            LockCoupons("/lock c", "lock-c", ("NOCAP",), 600, BOB),
        )
        await run(engine, redeem("X-1", [], customer=BOTH))
        await run(
            engine,
            CancelOrder("/cancel", "B-1", PLACED_AT),
            ReturnOrder("/return", "B-2", whole=False, at=PLACED_AT, amount="10.00"),
            ReleaseLock("/release", "lock-b"),
            LockCoupons("/lock c again", "lock-c", ("NOCAP",), 900, ANN),  # taken over since the merge
        )
        made = await split(pool, wanted())
        assert made.moved["corrections"] > 0
        assert await count(pool, "SELECT sum(held_uses) + sum(used_uses) FROM ledger_entries WHERE kind = 'moved'") == 0
        assert await used(pool, "bob") == (0, 0)
        assert await used(pool, "ann") == (0, 1)
        assert (await audit(pool)).findings == ()
        await run(engine, CancelOrder("/cancel 2", "B-2", PLACED_AT), ReleaseLock("/release c", "lock-c"))
        assert await used(pool, "bob", "nocap") == (0, 0)
        assert await used(pool, "ann", "nocap") == (0, 0)


async def test_a_customer_can_be_merged_and_split_again_and_again(database_url: str) -> None:
    async with ledger(database_url, LIMITED) as pool:
        engine = Engine(pool)
        await run(engine, redeem("A-1", ["LIMITED"], customer=ANN), redeem("B-1", ["LIMITED"], customer=BOB))
        for number in range(3):
            await run(engine, redeem(f"X-{number}", [], customer=BOTH))
            await run(engine, CancelOrder(f"/cancel {number}", "B-1", PLACED_AT))
            await split(pool, wanted(keep_separate=False))
            assert await used(pool, "bob") == (0, 0), number
            assert await used(pool, "ann") == (0, 1), number
            assert (await audit(pool)).findings == ()


async def test_the_oldest_customer_can_leave_too(database_url: str) -> None:
    async with ledger(database_url, definition(), LIMITED) as pool:
        engine = Engine(pool)
        [anns] = await issue(engine, "save10", customer=ANN)
        [bobs] = await issue(engine, "save10", customer=BOB)
        await run(engine, redeem("B-1", ["LIMITED"], customer=BOB))
        await run(engine, redeem("X-1", [], customer=BOTH))
        made = await split(pool, wanted("bob", "ann", "ann@shop.example"))
        assert made.leaves == (("id", "ann"), ("email", "ann@shop.example"))
        assert await wallet(pool, "ann") == {anns}
        assert await wallet(pool, "bob") == {bobs}
        assert await used(pool, "bob") == (0, 1)


async def test_what_cannot_be_attributed_stays_and_is_reported(database_url: str) -> None:
    async with ledger(database_url, definition(), LIMITED) as pool:
        engine = Engine(pool)
        [bobs] = await issue(engine, "save10", customer=BOB)
        await issue(engine, "save10", customer=ANN)
        await run(engine, redeem("X-1", ["LIMITED"], customer=BOTH))  # merged: bob is the older one
        only_email = await split(pool, wanted("bob", "ann@shop.example"))
        assert only_email.incomplete == 1
        assert only_email.moved == {"identifiers": 1}
        assert only_email.left["coupons"] == 2
        assert bobs in await wallet(pool, "ann")
        assert await identifiers_of(pool, "ann") == {
            ("id", "ann"), ("id", "bob"), ("email", "bob@shop.example"), ("mobile", "+441614960000"),
        }  # fmt: skip


async def test_a_customer_merged_by_an_earlier_version_leaves_without_a_history(database_url: str) -> None:
    async with ledger(database_url, LIMITED) as pool:
        engine = Engine(pool)
        await run(engine, redeem("A-1", ["LIMITED"], customer=ANN), redeem("B-1", ["LIMITED"], customer=BOB))
        await run(engine, redeem("X-1", [], customer=BOTH))
        await pool.execute("UPDATE customer_identifiers SET first_key = NULL")
        made = await split(pool, wanted())
        assert made.moved == {"identifiers": 3}
        assert await used(pool, "ann") == (0, 2)
        assert await used(pool, "bob") == (0, 0)


@pytest.mark.parametrize(
    "named",
    [BOTH, Customer("ann", None, "+44 161 496 0000"), Customer("ann", "bob@shop.example", "+441614960000")],
)
async def test_customers_that_were_split_are_not_merged_again(database_url: str, named: Customer) -> None:
    async with ledger(database_url, LIMITED) as pool:
        engine = Engine(pool)
        await run(engine, redeem("A-1", [], customer=ANN), redeem("B-1", [], customer=BOB))
        await run(engine, redeem("X-1", [], customer=BOTH))
        await split(pool, wanted())
        await run(engine, redeem("X-2", ["LIMITED"], customer=named))
        assert await used(pool, "ann") == (0, 1)  # the strongest identifier is Ann's
        assert await used(pool, "bob") == (0, 0)
        # Not through a third identifier either, even within one batch.
        shared = "office@shop.example"
        await run(
            engine,
            redeem("X-3", [], customer=Customer("ann", shared)),
            redeem("X-4", ["LIMITED"], customer=Customer("bob", shared)),
        )
        assert await used(pool, "bob") == (0, 1)
        assert ("email", shared) in await identifiers_of(pool, "ann")
        assert await rejoin(pool, possible_identifiers("ann"), possible_identifiers("bob"))
        assert not await rejoin(pool, possible_identifiers("ann"), possible_identifiers("bob"))
        await run(engine, redeem("X-5", [], customer=BOTH))
        assert await used(pool, "bob") == (0, 2)


async def test_a_plan_changes_nothing_and_says_what_would_be_done(database_url: str) -> None:
    async with ledger(database_url, LIMITED) as pool:
        engine = Engine(pool)
        await run(engine, redeem("A-1", ["LIMITED"], customer=ANN), redeem("B-1", ["LIMITED"], customer=BOB))
        await run(engine, redeem("X-1", [], customer=BOTH))
        before = await pool.fetch("SELECT * FROM customer_identifiers ORDER BY kind, value")
        planned = await split(pool, wanted(dry_run=True))
        assert await pool.fetch("SELECT * FROM customer_identifiers ORDER BY kind, value") == before
        made = await split(pool, wanted())
        assert replace(planned, command_id="") == replace(made, command_id="")
        assert await count(pool, "SELECT count(*) FROM journal WHERE kind = 'SplitCustomer'") == 1


@pytest.mark.parametrize(
    ("who", "separate", "problem"),
    [
        ("unknown", BOBS, "No customer is known as 'unknown'; check it with `couponry customers show`."),
        ("ann", ("unknown",), "No customer is known as 'unknown'; check it with `couponry customers show`."),
        ("ann", ("ann",), "'ann' can't be split from itself; name another identifier."),
        ("ann", ("carl",), "'carl' and 'ann' are different customers already; nothing to split."),
        ("ann", ("bob",) * (MAX_IDENTIFIERS + 1), f"Name 1 to {MAX_IDENTIFIERS} identifiers to split from 'ann'."),
        ("gone", ("bob",), "'gone' is being erased; nothing is left to split."),
    ],
)
async def test_a_split_that_makes_no_sense_is_refused(
    database_url: str, who: str, separate: tuple[str, ...], problem: str
) -> None:
    async with ledger(database_url) as pool:
        engine = Engine(pool)
        await run(engine, *[redeem(name, [], customer=Customer(name)) for name in ("ann", "carl", "gone")])
        await run(engine, redeem("X-1", [], customer=Customer("ann", "bob@shop.example")))
        await erasing.begin(pool, [("id", "gone")], "a test")
        with pytest.raises(SplitRefusedError) as caught:
            await split(pool, wanted(who, *separate))
        assert str(caught.value) == problem


async def test_an_erasure_removes_the_notes_on_a_split(database_url: str) -> None:
    async with ledger(database_url, LIMITED) as pool:
        engine = Engine(pool)
        await run(engine, redeem("A-1", ["LIMITED"], customer=ANN), redeem("B-1", ["LIMITED"], customer=BOB))
        await run(engine, redeem("X-1", [], customer=BOTH))
        await split(pool, wanted())
        assert await count(pool, "SELECT count(*) FROM separate_customers") == 3
        erasure_id = await erasing.begin(pool, possible_identifiers("bob"), "a test")
        await erasing.run(pool, erasure_id or "")
        assert await count(pool, "SELECT count(*) FROM separate_customers") == 0
        assert await used(pool, "ann") == (0, 1)


async def test_a_split_and_batches_at_the_same_time_leave_the_totals_right(database_url: str) -> None:
    async with ledger(database_url, NO_CAP, connections=8) as pool:
        engine = Engine(pool)
        await run(engine, redeem("A", ["NOCAP"], customer=ANN), redeem("B", ["NOCAP"], customer=BOB))
        await run(engine, redeem("X", [], customer=BOTH))
        orders = [run(engine, redeem(f"O-{n}", ["NOCAP"], customer=(ANN, BOB)[n % 2])) for n in range(12)]
        *_, made = await asyncio.gather(*orders, split(pool, wanted()))
        assert isinstance(made, Split)
        assert (await used(pool, "ann", "nocap"))[1] + (await used(pool, "bob", "nocap"))[1] == 14


def random_command(random: Random, number: int, orders: list[str], locks: list[str]) -> Any:
    """Return a random command of one of the two customers, or on one of their orders and locks."""
    customer, code = random.choice((ANN, BOB)), random.choice(("NOCAP", "OTHER"))
    choice = random.random()
    if choice < 0.4 or not orders or not locks:
        orders.append(f"O-{number}")
        hold = {"hold": True, "hold_seconds": 600} if random.random() < 0.4 else {}
        named: dict[str, Any] = {"lock_reference": random.choice(locks)} if locks and random.random() < 0.3 else {}
        return redeem(orders[-1], [code], customer=customer, **hold, **named)
    if choice < 0.6:
        locks.append(random.choice((f"lock-{number}", *locks)))
        return LockCoupons(f"/lock {number}", locks[-1], (code,), 600, customer)
    order_id, name = random.choice(orders), f"/command {number}"
    later = PLACED_AT + timedelta(seconds=number)
    return random.choice(
        [
            PayOrder(name, order_id, later),
            CancelOrder(name, order_id, later),
            ReturnOrder(name, order_id, whole=False, at=later, amount="5.00"),
            ReleaseLock(name, random.choice(locks)),
            redeem(order_id, [code], customer=customer, command_id=name),
        ]
    )


async def played(engine: Engine, command: Any) -> None:
    [answer] = await engine.execute([command])
    assert isinstance(answer, Verdict), answer


@pytest.mark.parametrize("seed", range(12))
async def test_after_any_history_a_split_keeps_the_totals_right_and_everything_can_be_undone(
    database_url: str, seed: int
) -> None:
    random = Random(seed)
    other = definition("other", code={"shared_code": "OTHER"}, limits=NO_CAP.limits.model_dump(mode="json") | {
        "caps": [{"per": "month", "each": "customer", "uses": 90}, {"per": "coupon", "each": "customer", "uses": 90}],
    })  # fmt: skip
    async with ledger(database_url, NO_CAP, other) as pool:
        engine = Engine(pool)
        orders: list[str] = []
        locks: list[str] = []
        numbers = itertools.count()
        for _ in range(3):
            for _ in range(random.randint(1, 25)):
                await played(engine, random_command(random, next(numbers), orders, locks))
            await engine.execute([redeem(f"X-{next(numbers)}", [], customer=BOTH)])
            for _ in range(random.randint(0, 25)):
                await played(engine, random_command(random, next(numbers), orders, locks))
            names = (("bob", *BOBS[1:]), ("ann", "ann@shop.example"))
            who, separate = random.choice((("ann", names[0]), ("bob", names[1])))
            with suppress(SplitRefusedError):  # the history didn't name both customers
                await split(pool, wanted(who, *separate, keep_separate=False))
            assert (await audit(pool)).findings == ()
        for order_id in orders:
            await played(engine, CancelOrder(f"/end {order_id}", order_id, PLACED_AT + timedelta(days=1)))
        for reference in dict.fromkeys(locks):
            await played(engine, ReleaseLock(f"/end {reference}", reference))
        assert await count(pool, "SELECT sum(held_uses) FROM meters") in (0, None)
