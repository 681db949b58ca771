"""Segments and first orders on PostgreSQL: stored by one event, used by another, exact under concurrency."""

import asyncio
import uuid
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest

from schemas.campaigns import CampaignDefinition
from shared.domain.model.commands import Cause, Command, IssueCoupons, LockCoupons, RecordCustomer
from shared.domain.model.customer import Customer
from shared.domain.model.order_commands import CancelOrder, PayOrder
from shared.domain.model.reasons import Reason
from shared.domain.model.verdicts import Verdict
from shared.ledger.database import Pool
from shared.ledger.engine import Engine
from tests.backends import Postgres
from tests.ledger import PLACED_AT, count, definition, ledger, redeem

ANN, BOB = Customer("ann"), Customer("bob")
MINUTE = timedelta(minutes=1)


def shared(code: str, **eligibility: Any) -> CampaignDefinition:
    """Return a campaign with a shared code and no limits."""
    return definition(
        code.lower(), code={"shared_code": code}, limits={"uses_per_coupon": None}, eligibility=eligibility
    )


VIP = shared("VIP", segments_any=["vip"])
FIRST = shared("FIRST", first_order_only=True)


async def outcomes(pool: Pool, *commands: Command) -> list[Reason | str]:
    """Return the reason or the outcome of each command, executed as one batch by a new engine."""
    answers = await Engine(pool).execute(commands)
    assert all(isinstance(answer, Verdict) for answer in answers), answers
    verdicts = [answer for answer in answers if isinstance(answer, Verdict)]
    return [one.refused[0].reason if one.refused else one.outcome for one in verdicts]


def segmented(customer: Customer, *segments: str) -> Customer:
    return Customer(customer.customer_id, customer.email, customer.mobile, segments)


def reward(number: int, customer: Customer, *campaign_ids: str) -> IssueCoupons:
    cause = Cause("reward.earned", "/loyalty", str(number))
    return IssueCoupons(f"/loyalty {number}", cause, customer, campaign_ids, PLACED_AT)


@pytest.mark.parametrize(
    "reporting",
    [
        reward(1, segmented(ANN, "vip", "new"), "save10"),
        reward(1, segmented(ANN, "vip")),  # issues nothing
        RecordCustomer("/signup 1", segmented(ANN, "vip"), PLACED_AT),
        redeem("O", ["NOPE"], customer=segmented(ANN, "vip")),
        redeem("O", [], customer=segmented(ANN, "vip")),
        LockCoupons("/cli 1", "lock-1", ("NOPE",), 60, segmented(ANN, "vip")),
    ],
    ids=["reward", "reward of nothing", "note", "refused order", "order without coupons", "refused lock"],
)
async def test_segments_of_one_command_are_known_to_later_ones(database_url: str, reporting: Command) -> None:
    async with ledger(database_url, VIP, definition()) as pool:
        assert await outcomes(pool, redeem("A", ["VIP"], customer=ANN)) == [Reason.SEGMENT_MISMATCH]
        await outcomes(pool, reporting)
        assert await outcomes(pool, redeem("B", ["VIP"], customer=ANN)) == ["redeemed"]
        assert await outcomes(pool, redeem("C", ["VIP"], customer=BOB)) == [Reason.SEGMENT_MISMATCH]
        # a new report replaces all segments
        commands = [RecordCustomer("/signup 2", segmented(ANN), PLACED_AT), redeem("D", ["VIP"], customer=ANN)]
        assert await outcomes(pool, *commands) == ["recorded", Reason.SEGMENT_MISMATCH]
        assert await count(pool, "SELECT segments FROM customers WHERE segments IS NOT NULL") == []


async def test_an_orders_own_segments_replace_the_stored_ones(database_url: str) -> None:
    async with ledger(database_url, VIP, shared("NOTSTAFF", segments_none=["staff"])) as pool:
        await outcomes(pool, RecordCustomer("/1", segmented(ANN, "vip", "staff")))
        assert await outcomes(pool, redeem("A", ["NOTSTAFF"], customer=ANN)) == [Reason.SEGMENT_MISMATCH]
        mine = segmented(ANN, "other")
        assert await outcomes(pool, redeem("B", ["VIP"], customer=mine)) == [Reason.SEGMENT_MISMATCH]
        # and are stored for later orders
        assert await outcomes(pool, redeem("C", ["VIP"], customer=ANN)) == [Reason.SEGMENT_MISMATCH]
        assert await outcomes(pool, redeem("D", ["NOTSTAFF"], customer=ANN)) == ["redeemed"]
        assert await outcomes(pool, redeem("E", ["NOTSTAFF"])) == ["redeemed"]  # a guest has no segments


async def test_a_merged_customer_has_all_segments(database_url: str) -> None:
    both = shared("BOTH", segments_all=["vip", "new"])
    async with ledger(database_url, both) as pool:
        await outcomes(pool, RecordCustomer("/1", Customer("ann", segments=("vip",))))
        await outcomes(pool, RecordCustomer("/2", Customer(None, "ann@example.com", segments=("new",))))
        assert await outcomes(pool, redeem("A", ["BOTH"], customer=ANN)) == [Reason.SEGMENT_MISMATCH]
        assert await outcomes(pool, redeem("B", ["BOTH"], customer=Customer("ann", "ann@example.com"))) == ["redeemed"]
        assert await outcomes(pool, redeem("C", ["BOTH"], customer=ANN)) == ["redeemed"]


async def test_segments_of_a_reward_are_known_to_orders_of_the_same_batch(database_url: str) -> None:
    async with ledger(database_url, VIP) as pool:
        batch = [
            redeem("A", ["VIP"], customer=ANN),
            RecordCustomer("/1", segmented(ANN, "vip")),
            redeem("B", ["VIP"], customer=ANN),
            RecordCustomer("/2", segmented(ANN)),
            redeem("C", ["VIP"], customer=ANN),
        ]
        mismatch = Reason.SEGMENT_MISMATCH
        assert await outcomes(pool, *batch) == [mismatch, "recorded", "redeemed", "recorded", mismatch]


async def test_of_two_engines_at_once_exactly_one_has_the_first_order(database_url: str) -> None:
    async with ledger(database_url, FIRST, connections=8) as pool:
        for number in range(12):
            who = Customer(f"c{number}", f"c{number}@example.com")
            named = (who, Customer(who.customer_id)) if number % 2 else (who, who)
            both = await asyncio.gather(
                *(outcomes(pool, redeem(f"{number}-{side}", ["FIRST"], customer=named[side])) for side in (0, 1))
            )
            # The second order finds the first one, also if the first one was refused.
            assert sorted(map(str, [one for [one] in both])) == ["not_first_order", "redeemed"]
        assert await count(pool, "SELECT count(*) FROM ledger_entries WHERE kind = 'burned'") == 12


async def test_many_engines_at_once_give_each_customer_one_first_order(database_url: str) -> None:
    async with ledger(database_url, FIRST, connections=8) as pool:
        orders = [redeem(f"{n}", ["FIRST"], customer=Customer(f"c{n % 7}"), hold=n % 3 == 0, hold_seconds=600)
                  for n in range(70)]  # fmt: skip
        batches: Sequence[Sequence[Command]] = [orders[start::4] for start in range(4)]
        await asyncio.gather(*(outcomes(pool, *batch) for batch in batches))
        taken = "SELECT sum(used_uses + held_uses) FROM ledger_entries"
        assert await count(pool, taken) == 7


async def test_a_cancelled_first_order_makes_the_next_one_the_first(database_url: str) -> None:
    async with ledger(database_url, FIRST) as pool:
        assert await outcomes(pool, redeem("A", ["FIRST"], customer=ANN)) == ["redeemed"]
        assert await outcomes(pool, redeem("B", ["FIRST"], customer=ANN)) == [Reason.NOT_FIRST_ORDER]
        # B is open, although its coupon was refused
        assert await outcomes(pool, CancelOrder("/a", "A", PLACED_AT + MINUTE)) == ["restored"]
        assert await outcomes(pool, redeem("C", ["FIRST"], customer=ANN)) == [Reason.NOT_FIRST_ORDER]
        closed = [CancelOrder(f"/{name}", name, PLACED_AT + MINUTE) for name in ("B", "C")]
        assert await outcomes(pool, *closed, redeem("D", ["FIRST"], customer=ANN)) == [
            "recorded",
            "recorded",
            "redeemed",
        ]


async def test_an_order_without_coupons_counts_as_a_first_order(database_url: str) -> None:
    async with ledger(database_url, FIRST) as pool:
        assert await outcomes(pool, redeem("A", [], customer=ANN)) == ["unchanged"]
        assert await outcomes(pool, redeem("B", ["FIRST"], customer=ANN)) == [Reason.NOT_FIRST_ORDER]
        assert await outcomes(
            pool, redeem("C", [], customer=BOB), PayOrder("/pay", "C", PLACED_AT), redeem("D", ["FIRST"], customer=BOB)
        ) == ["unchanged", "recorded", Reason.NOT_FIRST_ORDER]
        assert await count(pool, "SELECT count(*) FROM orders WHERE customer_key IS NULL") == 0


async def test_an_order_without_coupons_keeps_its_customer_if_its_batch_also_pays_it(database_url: str) -> None:
    """No campaign of that batch needs first orders; a later batch does."""
    async with ledger(database_url, FIRST) as pool:
        batch = [redeem("A", [], customer=ANN), PayOrder("/pay", "A", PLACED_AT + MINUTE)]
        assert await outcomes(pool, *batch) == ["unchanged", "recorded"]
        assert await outcomes(pool, redeem("B", ["FIRST"], customer=ANN)) == [Reason.NOT_FIRST_ORDER]
        row = await pool.fetchrow("SELECT status, currency, amount_minor FROM orders WHERE order_id = 'A'")
        assert tuple(row) == ("paid", "USD", 12_500)


async def test_an_order_with_a_new_customer_no_longer_counts_for_the_former_one(database_url: str) -> None:
    async with ledger(database_url, FIRST) as pool:
        passed_on = [
            redeem("A", [], customer=ANN),
            redeem("A", [], customer=BOB, command_id="/2", order=later("A", MINUTE)),
            redeem("B", ["FIRST"], customer=ANN),
            redeem("C", ["FIRST"], customer=BOB),
        ]
        assert await outcomes(pool, *passed_on) == ["unchanged", "recorded", "redeemed", Reason.NOT_FIRST_ORDER]


def later(order_id: str, by: timedelta) -> Any:
    placed = redeem(order_id, []).order
    return type(placed)(placed.order_id, placed.currency, placed.amount_minor, placed.lines, placed_at=PLACED_AT + by)


async def test_a_merged_customer_has_all_orders(database_url: str) -> None:
    async with ledger(database_url, FIRST) as pool:
        await outcomes(pool, redeem("A", [], customer=Customer(None, "ann@example.com")))
        assert await outcomes(pool, redeem("B", ["FIRST"], customer=Customer("ann", "ann@example.com"))) == [
            Reason.NOT_FIRST_ORDER
        ]
        assert await outcomes(pool, CancelOrder("/a", "A", PLACED_AT), CancelOrder("/b", "B", PLACED_AT)) == [
            "recorded", "recorded",
        ]  # fmt: skip
        assert await outcomes(pool, redeem("C", ["FIRST"], customer=ANN)) == ["redeemed"]


async def test_the_reported_earlier_order_does_not_depend_on_the_batch_size(database_url: str) -> None:
    async with ledger(database_url, FIRST) as pool:
        names = ["Z", "b", "a", "Ä", "C", "D"]
        await outcomes(pool, *[redeem(name, [], customer=ANN) for name in names])
        alone = redeem("N1", ["FIRST"], customer=ANN)
        among = [redeem(f"N{number}", ["FIRST"], customer=ANN) for number in range(2, 5)]
        details = []
        for batch in ([alone], among):
            for answer in await Engine(pool).execute(batch):
                assert isinstance(answer, Verdict)
                details.append(answer.refused[0].details)
        assert details == [{"order_id": "C"}] * 4


def commands_of_many_orders() -> list[Command]:
    """Return commands on the orders of two customers."""
    commands: list[Command] = []
    for number in range(24):
        who, name = (ANN, BOB)[number % 2], f"O{number}"
        codes = (["FIRST"], ["FIRST", "VIP"], [], ["VIP"])[number % 4]
        at = PLACED_AT + number * MINUTE
        commands.append(redeem(name, codes, customer=who, hold=number % 3 == 0, hold_seconds=600, at=at))
        if number % 5 == 0:
            commands.append(RecordCustomer(f"/note {number}", segmented(who, *(("vip",) if number % 2 else ()))))
        if number % 3 == 0:
            commands.append(PayOrder(f"/pay {number}", name, at))
        if number % 4 != 1:
            commands.append(CancelOrder(f"/cancel {number}", name, at + MINUTE))
        if number % 6 == 0:
            codes = ["FIRST"]
            commands.append(LockCoupons(f"/lock {number}", f"lock-{number}", ("FIRST",), 600, who))
            commands.append(redeem(f"L{number}", [], customer=who, lock_reference=f"lock-{number}", at=at))
    return commands


async def run_in_batches(url: str, size: int) -> tuple[list[Any], list[Any]]:
    """Execute the commands in batches of `size`. Return the verdicts and the final orders."""
    async with ledger(url, FIRST, VIP) as pool:
        commands = commands_of_many_orders()
        batches = [commands[start : start + size] for start in range(0, len(commands), size)]
        answers = [answer for batch in batches for answer in await Engine(pool).execute(batch)]
        assert all(isinstance(answer, Verdict) for answer in answers), answers
        verdicts = [answer for answer in answers if isinstance(answer, Verdict)]
        rows = await pool.fetch(
            "SELECT order_id, status, currency, amount_minor, "
            "(SELECT min(value) FROM customer_identifiers i WHERE i.customer_key = o.customer_key) "
            "FROM orders o ORDER BY order_id"
        )
    judged = [(one.outcome, [(bad.reason, bad.details) for bad in one.refused]) for one in verdicts]
    return judged, [tuple(row) for row in rows]


async def test_a_batch_gives_the_same_results_as_its_commands_one_by_one(
    postgres: Postgres, migrated_template: str
) -> None:
    results = []
    for size in (1, 5, 1_000):
        name = f"one_by_{size}_{uuid.uuid4().hex}"
        url = postgres.create_database(name, template=migrated_template)
        try:
            results.append(await run_in_batches(url, size))
        finally:
            postgres.drop_database(name)
    assert results[0] == results[1]
    assert results[0] == results[2]
    assert {"redeemed", "refused", "held"} <= {outcome for outcome, _ in results[0][0]}
