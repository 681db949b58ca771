"""Partial returns and subscriptions on PostgreSQL: loaded, written, published and audited."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import orjson
import pytest

from schemas.redemptions import CouponRedeemed, CouponRedemptionRestored
from shared.domain.model.commands import Command
from shared.domain.model.customer import Customer
from shared.domain.model.order_commands import CancelOrder, PayOrder, RedeemCoupons, ReturnOrder
from shared.domain.model.reasons import Reason
from shared.domain.model.verdicts import Verdict
from shared.ledger.audit import audit
from shared.ledger.database import Pool, open_pool
from shared.ledger.engine import Engine
from tests.ledger import PLACED_AT, definition, issue, ledger
from tests.ledger import redeem as anybody_redeems

BUDGETED = {"uses_per_coupon": 1, "uses_per_customer": 99, "uses_total": 99}


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[Pool]:
    definitions = (
        definition("save10", limits=BUDGETED),
        definition("again", on_return="rejudge", eligibility={"min_order_amount": "100.00", "currency": "USD"}),
        definition("keep", restore_on=["order.cancelled"]),
        definition("many", recurring=True),
        definition("abo", recurring=True, limits={"uses_per_coupon": 1, "uses_total": 1}),
    )
    async with ledger(database_url, *definitions) as opened:
        yield opened


def redeem(order_id: str, codes: list[str], **changes: Any) -> RedeemCoupons:
    return anybody_redeems(order_id, codes, customer=Customer("john"), **changes)


def part(order_id: str, minute: int, *units: tuple[str, int], name: str = "", **fields: Any) -> ReturnOrder:
    at = PLACED_AT + timedelta(minutes=minute)
    return ReturnOrder(f"/shop {order_id} part {minute} {name}", order_id, False, at, lines=units, **fields)


def cycle(number: int, code: str, **changes: Any) -> RedeemCoupons:
    """Return a later order of subscription s1."""
    made = redeem(f"S{number}", [code], **changes)
    return replace(made, order=replace(made.order, subscription_id="s1", cycle=number))


async def run(engine: Engine, *commands: Command) -> list[Verdict]:
    answers = await engine.execute(commands)
    assert all(isinstance(answer, Verdict) for answer in answers), answers
    return [answer for answer in answers if isinstance(answer, Verdict)]


async def entries(pool: Pool, order_id: str) -> list[tuple[str, int, int]]:
    rows = await pool.fetch(
        "SELECT kind, used_uses, used_minor FROM ledger_entries WHERE order_id = $1 ORDER BY entry_id", order_id
    )
    return [(row["kind"], row["used_uses"], row["used_minor"]) for row in rows]


async def published(pool: Pool, order_id: str, event_type: str) -> list[dict[str, Any]]:
    rows = await pool.fetch("SELECT type, key, data FROM outbox WHERE key = $1 ORDER BY position", order_id)
    return [orjson.loads(row["data"]) for row in rows if row["type"] == f"coupon.{event_type}"]


async def test_partial_returns_restore_shares_and_the_last_one_restores_the_use(pool: Pool) -> None:
    engine = Engine(pool)
    [code] = await issue(engine, "save10")
    await run(engine, redeem("A", [code]))
    for command, outcome in (
        (part("A", 1, ("1", 1)), "restored"),
        (part("A", 1, ("1", 1), name="again"), "unchanged"),
        (part("A", 2, amount="12.345"), "refused"),
        (part("A", 3, ("1", 7), ("nope", 1)), "restored"),
        (part("A", 4, ("2", 1)), "restored"),
        (part("A", 5, ("2", 1)), "recorded"),
        (CancelOrder("/shop A cancel", "A", PLACED_AT + timedelta(minutes=9)), "recorded"),
    ):
        [verdict] = await run(engine, command)
        assert verdict.outcome == outcome, command
    assert await entries(pool, "A") == [
        ("burned", 1, 1_250), ("returned", 0, -500), ("returned", 0, -500), ("restored", -1, -250),
    ]  # fmt: skip
    restored = await published(pool, "A", "redemption_restored")
    assert [(one["cause"], one["coupons"][0]["uses"], one["coupons"][0]["discount_amount"]) for one in restored] == [
        ("order.returned", 0, "5.00"),
        ("order.returned", 0, "5.00"),
        ("order.returned", 1, "2.50"),
    ]
    assert [one["coupons"][0].get("lines") for one in restored] == [
        [{"line_id": "1", "discount_amount": "5.00"}],
        [{"line_id": "1", "discount_amount": "5.00"}],
        None,
    ]
    for data in restored:
        CouponRedemptionRestored.model_validate_json(orjson.dumps(data))
    [refused] = await pool.fetch("SELECT verdict FROM journal WHERE outcome = 'refused'")
    assert "12.345" in orjson.loads(refused["verdict"])["refused"][0]["message"]


async def amounts(pool: Pool, order_id: str, event_type: str) -> list[tuple[int, str]]:
    events = await published(pool, order_id, event_type)
    return [(one["coupons"][0]["uses"], one["coupons"][0]["discount_amount"]) for one in events]


@pytest.mark.parametrize("together", [True, False])
async def test_what_is_left_is_judged_again_for_campaigns_that_want_it(pool: Pool, together: bool) -> None:
    engine = Engine(pool)
    [code] = await issue(engine, "again")
    commands = [redeem("A", [code]), part("A", 1, ("2", 1)), part("A", 2, ("1", 1)), part("A", 3, ("1", 1))]
    for batch in [commands] if together else [[command] for command in commands]:
        await run(engine, *batch)
    assert await entries(pool, "A") == [
        ("burned", 1, 1_250), ("returned", 0, -250), ("returned", 0, -1_000), ("restored", -1, 0),
    ]  # fmt: skip
    assert await amounts(pool, "A", "redemption_restored") == [(0, "2.50"), (0, "10.00"), (1, "0.00")]
    assert await pool.fetchval("SELECT used_uses FROM coupons WHERE code = $1", code) == 0
    assert (await audit(pool)).clean


@pytest.mark.parametrize("placed_first", [True, False])
async def test_two_returns_in_one_second_are_distinguished_by_their_ids(pool: Pool, placed_first: bool) -> None:
    engine = Engine(pool)
    [code] = await issue(engine, "save10")
    placed = redeem("A", [code])
    parts = [part("A", 1, ("1", 1), name=name, return_id=name) for name in ("R1", "R2", "R1")]
    again = part("A", 1, ("1", 1), name="sent again", return_id="R1")
    other = part("A", 1, ("2", 1), name="other", return_id="R2")
    for command in [placed, *parts, again] if placed_first else [*parts, again, placed]:
        await run(engine, command)
    assert [minor for _, _, minor in await entries(pool, "A") if minor < 0] in ([-500, -500], [-1_000])
    [refused] = await run(engine, other)
    assert refused.refused[0].reason == Reason.ORDER_MISMATCH
    assert await pool.fetchval("SELECT used_uses FROM coupons WHERE code = $1", code) == 1


async def test_all_that_was_paid_is_refunded_in_parts(pool: Pool) -> None:
    engine = Engine(pool)
    [code, other] = await issue(engine, "save10", 2)
    await run(engine, redeem("A", [code]))
    for minute, refunded in enumerate(("50.00", "50.00", "12.50"), 1):
        await run(engine, part("A", minute, refunded_amount=refunded))
    assert await amounts(pool, "A", "redemption_restored") == [(0, "5.56"), (0, "5.55"), (1, "1.39")]
    [recorded, refused] = await run(engine, part("B", 1, refunded_amount="112.50"), redeem("B", [other]))
    assert (recorded.outcome, refused.refused[0].reason) == ("recorded", Reason.ORDER_MISMATCH)
    assert await pool.fetchval("SELECT status FROM orders WHERE order_id = 'B'") == "returned"
    assert await pool.fetchval("SELECT sum(used_uses) FROM coupons") == 0
    assert (await audit(pool)).clean


async def test_a_restore_names_the_customer_of_the_redemption(pool: Pool) -> None:
    engine = Engine(pool)
    codes = await issue(engine, "keep", 4)
    ann = Customer("ann", "Ann@Example.com", "+919999988886")
    later = PLACED_AT + timedelta(minutes=9)
    await run(
        engine, replace(redeem("A", codes[:1]), customer=ann), CancelOrder("/shop A cancel", "A", later)
    )  # one batch
    await run(engine, replace(redeem("B", codes[1:2]), customer=None))
    await run(engine, CancelOrder("/shop B cancel", "B", later))
    await run(engine, replace(redeem("C", codes[2:3], hold=True, hold_seconds=3_600), customer=ann))
    await run(engine, PayOrder("/shop C paid", "C", PLACED_AT + timedelta(minutes=2)))
    await run(engine, CancelOrder("/shop C cancel", "C", later))
    await run(engine, replace(redeem("D", codes[3:]), customer=ann))
    empty = replace(redeem("D", [], complete=True, changed=True, at=later), customer=ann, command_id="/shop D changed")
    await run(engine, empty)
    known = {"customer_id": "ann", "email": "ann@example.com", "mobile": "+919999988886"}
    stated = known | {"email": "Ann@Example.com"}
    found = [
        (one["order_id"], one["customer"])
        for order_id in "ABCD"
        for one in await published(pool, order_id, "redemption_restored")
    ]
    assert found == [("A", known), ("B", None), ("C", stated), ("D", stated)]


async def test_an_orders_lines_are_written_with_its_insert(pool: Pool) -> None:
    """The lines are written with the insert: an updated row would be elsewhere in its table."""
    engine = Engine(pool)
    [code] = await issue(engine, "save10")
    await run(engine, redeem("A", [code]))
    assert await pool.fetchval("SELECT ctid::text FROM orders WHERE lines IS NOT NULL") == "(0,1)"


@pytest.mark.parametrize("together", [True, False])
async def test_two_partial_returns_in_one_batch_are_applied_in_order(pool: Pool, together: bool) -> None:
    engine = Engine(pool)
    [code] = await issue(engine, "save10")
    commands = [part("A", 3, amount="33.33"), redeem("A", [code]), part("A", 1, ("2", 1)), part("A", 2, ("1", 1))]
    for batch in [commands] if together else [[command] for command in commands]:
        await run(engine, *batch)
    assert await entries(pool, "A") == [
        ("burned", 1, 1_250), ("returned", 0, -333), ("returned", 0, -250), ("returned", 0, -500),
    ]  # fmt: skip
    row = await pool.fetchrow("SELECT status, lines, returns FROM orders WHERE order_id = 'A'")
    assert row is not None
    assert [line[:3] for line in orjson.loads(row["lines"])] == [["1", 2, 5_000], ["2", 1, 2_500]]
    assert [amount for _, _, amount in orjson.loads(row["returns"])] == [None, None, "33.33"]
    assert row["status"] == "placed"


async def test_the_share_of_a_partial_return_of_a_held_order_is_restored_at_payment(pool: Pool) -> None:
    engine = Engine(pool)
    [code] = await issue(engine, "save10")
    await run(engine, redeem("A", [code], hold=True, hold_seconds=3_600), part("A", 1, ("2", 1)))
    await run(engine, PayOrder("/shop A paid", "A", PLACED_AT + timedelta(minutes=2)))
    assert [(kind, minor) for kind, _, minor in await entries(pool, "A")] == [
        ("locked", 0), ("burned", 1_250), ("returned", -250),
    ]  # fmt: skip
    assert len(await published(pool, "A", "redeemed")) == len(await published(pool, "A", "redemption_restored")) == 1


async def test_a_campaign_that_restores_only_on_cancellations_restores_no_share(pool: Pool) -> None:
    engine = Engine(pool)
    [code] = await issue(engine, "keep")
    verdicts = await run(engine, redeem("A", [code]), part("A", 1, ("1", 1)), part("A", 2, ("1", 1), ("2", 1)))
    assert [verdict.outcome for verdict in verdicts] == ["redeemed", "recorded", "recorded"]
    [cancelled] = await run(engine, CancelOrder("/shop A cancel", "A", PLACED_AT + timedelta(minutes=9)))
    assert (cancelled.outcome, cancelled.discount_minor) == ("restored", 1_250)


async def test_the_same_partial_returns_on_two_engines_restore_once(pool: Pool) -> None:
    engine = Engine(pool)
    codes = await issue(engine, "save10", 30)
    await run(engine, *(redeem(f"O{number}", [code]) for number, code in enumerate(codes)))
    batches = [
        [part(f"O{number}", minute, ("1", 1), name=name) for number in order for minute in (1, 2)]
        for name, order in (("a", range(30)), ("b", reversed(range(30))))
    ]
    await asyncio.gather(*(run(Engine(pool), *batch) for batch in batches))
    assert await pool.fetchval("SELECT sum(used_minor) FROM ledger_entries WHERE kind = 'returned'") == -30 * 1_000


async def test_the_audit_finds_an_order_that_restored_more_than_its_discount(database_url: str) -> None:
    async with await open_pool(database_url, max_size=2) as pool, ledger(database_url, definition()) as clean:
        [code] = await issue(Engine(clean), "save10")
        await run(Engine(clean), redeem("A", [code]), part("A", 1, ("2", 1)))
        assert (await audit(pool)).clean
        connection: Any
        async with pool.acquire() as connection:
            transaction = connection.transaction()
            await transaction.start()
            await connection.execute(
                "INSERT INTO ledger_entries (recorded_at, kind, coupon_id, campaign_id, order_id, command_id,"
                " held_uses, used_uses, held_minor, used_minor) SELECT recorded_at, 'returned', coupon_id, campaign_id,"
                " order_id, command_id, 0, 0, 0, -1001 FROM ledger_entries WHERE kind = 'burned'"
            )
            from shared.ledger.sql import sql

            found = await connection.fetch(sql("audit_orders"), 10)
            await transaction.rollback()
        assert [row["found"] for row in found] == ["1 uses, discount -1"]


async def test_later_orders_of_a_subscription_take_no_use(pool: Pool) -> None:
    engine = Engine(pool)
    [code] = await issue(engine, "abo")
    for number in (1, 2, 3):
        [verdict] = await run(engine, cycle(number, code))
        assert verdict.outcome == "redeemed", number
    assert await pool.fetchval("SELECT used_uses FROM coupons WHERE code = $1", code) == 1
    assert await entries(pool, "S2") == [("burned", 0, 1_250)]
    [first], [second] = await published(pool, "S1", "redeemed"), await published(pool, "S2", "redeemed")
    assert "recurring" not in first["coupons"][0]
    assert second["coupons"][0]["recurring"] is True
    CouponRedeemed.model_validate_json(orjson.dumps(second))
    [again, given_back] = await run(
        engine,
        cycle(2, code, command_id="/shop again"),
        CancelOrder("/shop S2 cancel", "S2", PLACED_AT + timedelta(minutes=9)),
    )
    assert (again.outcome, given_back.outcome) == ("unchanged", "restored")
    assert given_back.accepted[0].uses == 0
    await run(engine, CancelOrder("/shop S1 cancel", "S1", PLACED_AT + timedelta(minutes=9)))
    [fourth] = await run(engine, cycle(4, code))
    assert (fourth.outcome, fourth.accepted[0].recurring) == ("redeemed", False)
    [other] = await run(engine, redeem("X", [code]))
    assert other.refused[0].reason == Reason.EXHAUSTED


async def test_a_subscription_in_one_batch_gives_the_same_results_as_one_by_one(pool: Pool) -> None:
    engine = Engine(pool)
    [code] = await issue(engine, "abo")
    held = {"hold": True, "hold_seconds": 3_600}
    late = PLACED_AT + timedelta(minutes=9)
    verdicts = await run(
        engine,
        cycle(1, code, **held),
        PayOrder("/shop S1 paid", "S1", late),
        cycle(2, code, **held),
        PayOrder("/shop S2 paid", "S2", late),
        cycle(3, code, **held),
    )
    assert [verdict.outcome for verdict in verdicts] == ["held", "redeemed", "held", "redeemed", "held"]
    [paid] = await run(engine, PayOrder("/shop S3 paid", "S3", late))
    assert (paid.accepted[0].uses, paid.accepted[0].recurring) == (0, True)
    assert await pool.fetchval("SELECT used_uses FROM coupons WHERE code = $1", code) == 1
    assert (
        await pool.fetchval("SELECT count(*) FROM ledger_entries WHERE subscription_id = 's1' AND kind = 'burned'") == 3
    )


async def test_a_first_use_that_is_restored_covers_no_later_order(pool: Pool) -> None:
    """Whatever the timing, a later order continues with an active use, or takes one itself."""
    engine = Engine(pool)
    codes = await issue(engine, "many", 20)

    def later(number: int, code: str, count: int) -> RedeemCoupons:
        made = redeem(f"S{number}-{count}", [code])
        return replace(made, order=replace(made.order, subscription_id=f"s{number}", cycle=count))

    await run(engine, *(later(number, code, 1) for number, code in enumerate(codes)))
    at = PLACED_AT + timedelta(minutes=9)
    cancels = [CancelOrder(f"/shop S{number} cancel", f"S{number}-1", at) for number in range(20)]
    seconds = [later(number, code, 2) for number, code in enumerate(codes)]
    await asyncio.gather(
        *(run(Engine(pool), *batch) for batch in (cancels[:10], seconds[:10], seconds[10:], cancels[10:]))
    )
    for number, code in enumerate(codes):
        uses = await pool.fetchval("SELECT used_uses FROM coupons WHERE code = $1", code)
        [redeemed] = await published(pool, f"S{number}-2", "redeemed")
        assert (uses, redeemed["coupons"][0].get("recurring")) in {(0, True), (1, None)}
