"""Recurring coupons for a number of cycles: which orders of a subscription count, and in which order they may come."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.explain import explain
from shared.domain.model.campaign import DiscountOffer
from shared.domain.model.order import Order
from shared.domain.model.order_commands import RedeemCoupons
from shared.domain.model.reasons import Reason
from shared.domain.model.state import is_holding
from shared.domain.model.verdicts import Verdict
from tests.builders import DAY, JOHN, MINUTE, NOW, Limits, World, campaign, line, only_reason, order, window


def shop(cycles: int = 2, **fields: Any) -> World:
    fields.setdefault("limits", Limits(1, uses_per_customer=1, uses_total=1))
    world = World((campaign(recurring=True, recurring_cycles=cycles, **fields),), now=NOW + 900 * DAY)
    world.coupon("A")
    return world


def nth(cycle: int, price: int = 10_000, subscription: str | None = "sub-1", **fields: Any) -> Order:
    """Build the order of a cycle, one per day."""
    fields.setdefault("placed_at", NOW + cycle * DAY)
    made = order(fields.pop("order_id", f"ORD{cycle}"), line(unit_minor=price), **fields)
    return replace(made, subscription_id=subscription, cycle=cycle)


def buy(world: World, cycle: int, price: int = 10_000, *, hold: bool = False, **fields: Any) -> Verdict:
    return world.redeem("A", to=nth(cycle, price, **fields), hold=hold, hold_seconds=3_600 if hold else 0)


def off(verdict: Verdict) -> int | Reason | None:
    """Return the discount of an order, or why its coupon was refused."""
    return verdict.refused[0].reason if verdict.refused else verdict.accepted[0].discount_minor


def test_the_first_orders_get_the_discount_and_the_next_one_says_why_it_does_not() -> None:
    world = shop(3)
    assert [off(buy(world, cycle)) for cycle in range(1, 6)] == [
        1_000,
        1_000,
        1_000,
        Reason.EXHAUSTED,
        Reason.EXHAUSTED,
    ]
    refused = buy(world, 6).refused[0]
    assert refused.message == "Coupon 'A' is for 3 orders of a subscription; 'sub-1' has used it for 3."
    assert refused.details == {"limit": "3", "used": "3"}
    assert world.state.coupons["id-A"].used == 1


def test_a_free_trial_takes_the_coupon_and_counts_no_cycle() -> None:
    world = shop(1, window=window(ends_in=5 * DAY))
    trial = buy(world, 1, 0)
    assert (trial.outcome, trial.accepted[0].uses, trial.accepted[0].discount_minor) == ("redeemed", 1, 0)
    assert off(buy(world, 40, 0)) == 0, "another free order, after the end of the campaign"
    assert off(buy(world, 50)) == 1_000
    assert off(buy(world, 60)) == Reason.EXHAUSTED
    assert off(buy(world, 70, 0)) == 0, "free orders never count"


def test_only_the_shipping_of_an_order_may_cost_something() -> None:
    world = shop(1)
    assert off(buy(world, 1, 0, shipping_minor=500)) == Reason.NO_EFFECT
    assert off(buy(world, 2, 0)) == 0
    assert off(buy(world, 3, 0, shipping_minor=500)) == Reason.NO_EFFECT


@pytest.mark.parametrize(
    ("fields", "order_fields"),
    [({"recurring_cycles": None}, {}), ({}, {"subscription": None})],
)
def test_a_free_order_has_no_effect_without_cycles_or_a_subscription(
    fields: dict[str, Any], order_fields: dict[str, Any]
) -> None:
    world = shop()
    world.state.campaigns["save10"] = replace(world.state.campaigns["save10"], **fields)
    assert off(buy(world, 1, 0, **order_fields)) == Reason.NO_EFFECT


def test_a_minimum_is_judged_on_orders_that_cost_something() -> None:
    world = shop(1, currency="USD", min_order_minor=5_000)
    assert off(buy(world, 1, 0)) == 0
    assert off(buy(world, 2, 4_000)) == Reason.BELOW_MINIMUM
    assert off(buy(world, 3, 5_000)) == 500
    assert off(buy(world, 4, 5_000)) == Reason.EXHAUSTED


@pytest.mark.parametrize("arrival", [(3, 1, 2), (2, 3, 1), (3, 2, 1)])
def test_cycles_may_arrive_in_any_order(arrival: tuple[int, ...]) -> None:
    world = shop(2)
    assert [off(buy(world, cycle)) for cycle in arrival] == [1_000, 1_000, Reason.EXHAUSTED]
    assert world.state.coupons["id-A"].used == 1


def test_a_trial_that_arrives_last_takes_no_use() -> None:
    world = shop(1)
    assert off(buy(world, 2)) == 1_000
    trial = buy(world, 1, 0)
    assert (trial.accepted[0].recurring, trial.accepted[0].uses) == (True, 0)


def test_the_same_order_again_counts_once() -> None:
    world = shop(2)
    buy(world, 1)
    assert buy(world, 1).outcome == "unchanged"
    assert off(buy(world, 2)) == 1_000
    assert buy(world, 2).outcome == "unchanged"


def test_a_cancelled_cycle_is_given_back() -> None:
    world = shop(2)
    buy(world, 1)
    buy(world, 2)
    world.cancel("ORD2", at=NOW + 3 * DAY)
    assert off(buy(world, 4)) == 1_000
    assert off(buy(world, 5)) == Reason.EXHAUSTED


def test_cycles_that_are_left_count_if_the_first_order_is_cancelled() -> None:
    world = shop(2)
    buy(world, 1)
    buy(world, 2)
    world.cancel("ORD1", at=NOW + 3 * DAY)
    third = buy(world, 4)
    assert (off(third), third.accepted[0].uses) == (1_000, 1), "it takes the use that came back"
    assert off(buy(world, 5)) == Reason.EXHAUSTED


def test_unpaid_orders_hold_their_cycles() -> None:
    world = shop(2)
    buy(world, 1)
    assert buy(world, 2, hold=True).outcome == "held"
    assert off(buy(world, 3, hold=True)) == Reason.EXHAUSTED
    world.pay("ORD2", at=NOW + 4 * DAY)
    assert off(buy(world, 5, hold=True)) == Reason.EXHAUSTED


def test_a_hold_that_ends_gives_its_cycle_back() -> None:
    world = shop(2)
    buy(world, 1)
    buy(world, 2, hold=True)
    world.now += DAY
    world.expire("order:ORD2")
    assert buy(world, 3, hold=True).outcome == "held"
    world.cancel("ORD3", at=world.now)
    assert off(buy(world, 4)) == 1_000


def test_subscriptions_and_coupons_count_on_their_own() -> None:
    world = shop(1, limits=Limits(9), stacking="combinable")
    world.coupon("B")
    assert off(buy(world, 1)) == 1_000
    assert off(buy(world, 2, subscription="sub-2")) == 1_000
    assert off(world.redeem("B", to=nth(3))) == 1_000
    assert off(buy(world, 4)) == Reason.EXHAUSTED
    assert off(buy(world, 5, subscription=None)) == 1_000, "without a subscription it is a use like any other"


def test_a_changed_order_keeps_its_cycle() -> None:
    world = shop(1)
    buy(world, 1)
    changed = world.redeem("A", to=nth(1, 5_000), changed=True, at=NOW + 2 * DAY)
    assert [kept.coupon.discount_minor for kept in changed.kept] == [500]


def test_a_trial_that_is_changed_to_cost_something_counts() -> None:
    world = shop(1)
    buy(world, 1, 0)
    changed = world.redeem("A", to=nth(1, 5_000), changed=True, at=NOW + 2 * DAY)
    assert [kept.coupon.discount_minor for kept in changed.kept] == [500]
    assert off(buy(world, 3)) == Reason.EXHAUSTED


def test_a_trial_cannot_be_changed_into_a_cycle_too_many() -> None:
    world = shop(1)
    buy(world, 1, 0)
    assert off(buy(world, 2)) == 1_000
    changed = world.redeem("A", to=nth(1, 5_000), changed=True, at=NOW + 3 * DAY)
    assert [refused.reason for refused in changed.refused] == [Reason.EXHAUSTED]


def test_a_lowered_number_of_cycles_takes_nothing_back() -> None:
    world = shop(3)
    buy(world, 1)
    buy(world, 2)
    world.state.campaigns["save10"] = replace(world.state.campaigns["save10"], recurring_cycles=1)
    changed = world.redeem("A", to=nth(2, 5_000), changed=True, at=NOW + 3 * DAY)
    assert [kept.coupon.discount_minor for kept in changed.kept] == [500]
    assert off(buy(world, 4)) == Reason.EXHAUSTED


def test_a_benefit_without_a_discount_counts_cycles_too() -> None:
    world = shop(1, discount=DiscountOffer("custom", "0", payload={"points": 5}))
    assert buy(world, 1).outcome == "redeemed"
    assert off(buy(world, 2)) == Reason.EXHAUSTED


def test_an_explanation_has_the_cycles() -> None:
    world = shop(1, currency="USD", min_order_minor=5_000)
    found = {one.field: one for one in explained(world, nth(1, 0)).findings}
    assert found["eligibility.min_order_amount"].outcome == "not judged"
    assert found["recurring_cycles"].outcome == "holds"
    assert found["discount"].outcome == "holds"
    buy(world, 1)
    [refused] = [one for one in explained(world, nth(2)).findings if one.outcome == "refused"]
    assert (refused.field, refused.reason, dict(refused.saw)) == (
        "recurring_cycles", Reason.EXHAUSTED, {"limit": "1", "used": "1"},
    )  # fmt: skip


def explained(world: World, to: Order) -> Any:
    command = RedeemCoupons("explain", to, ("A",), JOHN, at=to.placed_at)
    world.state.customers["explain"] = "customer-john"
    return explain(command, world.state, world.now)


@given(
    st.integers(1, 3),
    st.lists(
        st.tuples(st.sampled_from(["buy", "buy", "hold", "pay", "cancel", "expire"]), st.integers(1, 5), st.booleans()),
        max_size=25,
    ),
)
def test_after_any_events_no_more_orders_than_cycles_have_a_discount(
    cycles: int, steps: list[tuple[str, int, bool]]
) -> None:
    world = shop(cycles, limits=Limits(None))
    world.state.coupons["id-A"].uses_limit = None
    for minute, (step, number, is_free) in enumerate(steps):
        world.now += DAY
        for lock in list(world.state.locks.values()):  # the engine expires them before a command
            if lock.status == "open" and lock.expires_at <= world.now:
                world.expire(lock.lock_reference)
        if step in ("buy", "hold"):
            buy(world, number, 0 if is_free else 10_000, hold=step == "hold", placed_at=NOW + minute * MINUTE)
        elif step == "pay":
            world.pay(f"ORD{number}", at=world.now)
        elif step == "cancel":
            world.cancel(f"ORD{number}", at=world.now)
        elif f"order:ORD{number}" in world.state.locks:
            world.expire(f"order:ORD{number}")
        redeemed = {
            one.order_id
            for one in world.state.orders.values()
            for use in one.redemptions.values()
            if use.discount_minor
        }
        held = {
            one.order_id
            for one in world.state.locks.values()
            for use in one.uses
            if is_holding(one, world.now) and use.discount_minor
        }
        assert len(redeemed | held) <= cycles


def test_a_trial_is_refused_for_other_reasons_like_any_order() -> None:
    world = shop(1, window=window(ends_in=DAY))
    assert only_reason(buy(world, 5, 0)) == Reason.EXPIRED
