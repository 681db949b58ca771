"""Cycles of recurring coupons on PostgreSQL: trials, holds, changes and several engines at once."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import orjson
import pytest

from schemas.redemptions import CouponRedeemed
from shared.domain.model.customer import Customer
from shared.domain.model.order_commands import CancelOrder, PayOrder, RedeemCoupons
from shared.domain.model.reasons import Reason
from shared.domain.model.verdicts import Verdict
from shared.ledger import loading, validation
from shared.ledger.campaigns import save
from shared.ledger.database import Pool
from shared.ledger.engine import Engine
from tests.ledger import PLACED_AT, definition, issue, ledger, redeem

ANN = Customer("ann")
ABO = definition(
    "abo", code={"shared_code": "ABO"}, recurring=True, recurring_cycles=3,
    limits={"uses_per_coupon": None, "uses_per_customer": 1},
)  # fmt: skip


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[Pool]:
    async with ledger(database_url, ABO, connections=8) as opened:
        yield opened


def cycle(number: int, *, price: int | None = None, subscription: str = "s1", **fields: Any) -> RedeemCoupons:
    """Return the order of a cycle; `price`: in minor units, None is 125.00 USD."""
    made = redeem(f"{subscription}-{number}", ["ABO"], **{"customer": ANN} | fields)
    order = replace(made.order, subscription_id=subscription, cycle=number)
    if price is not None:
        order = replace(order, lines=(), amount_minor=price)
    return replace(made, order=order)


async def run(engine: Engine, *commands: Any) -> list[Verdict]:
    answers = await engine.execute(commands)
    assert all(isinstance(answer, Verdict) for answer in answers), answers
    return [answer for answer in answers if isinstance(answer, Verdict)]


def results(verdicts: list[Verdict]) -> list[int | Reason | None]:
    """Return the discount of each order, or why its coupon was refused."""
    return [one.refused[0].reason if one.refused else one.accepted[0].discount_minor for one in verdicts]


@pytest.mark.parametrize("at_once", [True, False])
async def test_the_first_orders_that_cost_something_get_the_discount(pool: Pool, at_once: bool) -> None:
    """The result is the same in one batch and one by one."""
    commands = [cycle(1, price=0), cycle(2), cycle(3, price=0), cycle(4), cycle(5), cycle(6), cycle(7, price=0)]
    engine = Engine(pool)
    verdicts = await run(engine, *commands) if at_once else [(await run(engine, one))[0] for one in commands]
    assert results(verdicts) == [0, 1_250, 0, 1_250, 1_250, Reason.EXHAUSTED, 0]
    assert await pool.fetchval("SELECT used_uses FROM meters WHERE used_uses > 0") == 1
    event = await pool.fetchval("SELECT data::text FROM outbox WHERE type = 'coupon.redeemed' ORDER BY position")
    assert CouponRedeemed.model_validate_json(event).discount_amount == "0.00"
    refusal = await pool.fetchval("SELECT data::text FROM outbox WHERE type = 'coupon.redemption_refused'")
    assert orjson.loads(refusal)["coupons"][0]["details"] == {"limit": "3", "used": "3"}


async def test_cancelled_and_unpaid_orders(pool: Pool) -> None:
    engine, later = Engine(pool), PLACED_AT + timedelta(minutes=9)
    held = {"hold": True, "hold_seconds": 3_600}
    await run(engine, cycle(1), cycle(2))
    assert (await run(engine, cycle(3, **held)))[0].outcome == "held"
    assert results(await run(engine, cycle(4, **held))) == [Reason.EXHAUSTED]
    await run(engine, PayOrder("/pay 3", "s1-3", later))
    assert results(await run(engine, cycle(5))) == [Reason.EXHAUSTED]
    await run(engine, CancelOrder("/cancel 2", "s1-2", later))
    verdict = await validation.validate(pool, cycle(6))
    assert results([verdict]) == [1_250]
    assert results(await run(engine, cycle(6), cycle(7))) == [1_250, Reason.EXHAUSTED]


async def test_a_changed_trial_counts_from_then_on(pool: Pool) -> None:
    engine = Engine(pool)
    await run(engine, cycle(1, price=0), cycle(2), cycle(3))
    change = {"changed": True, "at": PLACED_AT + timedelta(minutes=9), "command_id": "/change"}
    [changed] = await run(engine, cycle(1, price=5_000, **change))
    assert [kept.coupon.discount_minor for kept in changed.kept] == [500]
    assert results(await run(engine, cycle(4))) == [Reason.EXHAUSTED]


async def test_cycles_in_any_order_on_several_engines_are_no_more_than_allowed(pool: Pool) -> None:
    orders = [
        cycle(number, subscription=f"s{subscription}", customer=Customer(f"c{subscription}"),
              price=0 if number == 1 else None, hold=number % 2 == 0, hold_seconds=3_600)
        for number in (5, 3, 1, 6, 2, 4)
        for subscription in range(8)
    ]  # fmt: skip
    verdicts = await asyncio.gather(*(run(Engine(pool), *orders[start::6]) for start in range(6)))
    found = [one for some in verdicts for one in some]
    discounts = Counter(one.order_id.partition("-")[0] for one in found if one.order_id and one.discount_minor)
    assert max(discounts.values()) <= 3
    paid = [PayOrder(f"/pay {one.order_id}", one.order_id or "", PLACED_AT + timedelta(hours=1)) for one in found]
    await run(Engine(pool), *paid)
    counts = await pool.fetch(
        "SELECT subscription_id, count(*) FROM ledger_entries WHERE kind = 'burned' AND used_minor > 0 GROUP BY 1"
    )
    assert all(row["count"] <= 3 for row in counts)


async def test_a_campaign_without_cycles_reads_none(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(*_: object) -> None:
        raise AssertionError("cycles were read")

    monkeypatch.setattr(loading, "load_cycles", never)
    await save(pool, [definition("plain", recurring=True)])
    [code] = await issue(Engine(pool), "plain")
    order = replace(redeem("A", [code]).order, subscription_id="s1", cycle=2)
    [verdict] = await run(Engine(pool), RedeemCoupons("/a", order, (code,), ANN, at=PLACED_AT))
    assert verdict.outcome == "redeemed"
