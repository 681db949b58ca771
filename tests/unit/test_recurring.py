"""Recurring coupons: a use on a subscription's order covers its later orders while it is in effect."""

from dataclasses import replace
from typing import Any

import pytest

from shared.domain.model.order import Order
from shared.domain.model.reasons import Reason
from shared.domain.model.verdicts import Verdict
from tests.builders import (
    DAY,
    JOHN,
    MARY,
    MINUTE,
    NOW,
    Limits,
    Scope,
    World,
    campaign,
    line,
    only_reason,
    order,
    percent,
    window,
)


def shop(**fields: Any) -> World:
    fields.setdefault("limits", Limits(1, uses_per_customer=1, uses_total=1))
    world = World((campaign(recurring=True, **fields),), now=NOW + 90 * DAY)
    world.coupon("A")
    return world


def nth(cycle: int, subscription: str | None = "sub-1", **fields: Any) -> Order:
    """Build the order of a cycle: 100.00 USD, one order per day."""
    fields.setdefault("placed_at", NOW + cycle * DAY)
    made = order(f"ORD{cycle}", *fields.pop("lines", ()), **fields)
    return replace(made, subscription_id=subscription, cycle=cycle)


def buy(world: World, cycle: int, *codes: str, **fields: Any) -> Verdict:
    how = {name: fields.pop(name) for name in ("by", "hold", "hold_seconds", "atomic") if name in fields}
    return world.redeem(*(codes or ("A",)), to=nth(cycle, **fields), **how)


def used(world: World) -> tuple[int, int, int]:
    """Return the coupon's held and used uses, and the used discount on its campaign's meter."""
    coupon, meter = world.state.coupons["id-A"], world.meter()
    assert (meter.held, meter.used) == (coupon.held, coupon.used)
    return coupon.held, coupon.used, meter.used_minor


def test_later_orders_of_a_subscription_take_no_use() -> None:
    world = shop()
    first = buy(world, 1)
    assert (first.accepted[0].uses, first.accepted[0].recurring) == (1, False)
    for cycle in (2, 3, 4):
        verdict = buy(world, cycle)
        (one,) = verdict.accepted
        assert (verdict.outcome, one.uses, one.recurring, one.discount_minor) == ("redeemed", 0, True, 1_000)
        (entry,) = verdict.entries
        assert (entry.kind, entry.used_uses, entry.used_minor, entry.subscription_id) == ("burned", 0, 1_000, "sub-1")
    assert used(world) == (0, 1, 4_000)


def test_the_same_later_order_again_changes_nothing() -> None:
    world = shop()
    buy(world, 1)
    buy(world, 2)
    assert buy(world, 2).outcome == "unchanged"
    assert used(world) == (0, 1, 2_000)


@pytest.mark.parametrize(
    ("name", "fields", "order_fields"),
    [
        ("another subscription", {}, {"subscription": "sub-2"}),
        ("no subscription", {}, {"subscription": None}),
        ("a campaign that isn't recurring", {"recurring": False}, {}),
    ],
)
def test_any_other_order_takes_a_use(name: str, fields: dict[str, Any], order_fields: dict[str, Any]) -> None:
    world = shop()
    buy(world, 1)
    for field, changed in fields.items():
        world.state.campaigns["save10"] = replace(world.state.campaigns["save10"], **{field: changed})
    assert only_reason(buy(world, 2, **order_fields)) == Reason.EXHAUSTED, name


def test_the_first_order_of_a_cycle_takes_a_use_again() -> None:
    world = shop(limits=Limits(2))
    buy(world, 1)
    again = replace(nth(1, placed_at=NOW + 9 * DAY), order_id="ORD9")
    assert world.redeem("A", to=again).accepted[0].recurring is False
    assert world.state.coupons["id-A"].used == 2


def test_a_later_order_that_arrives_first_takes_the_use_and_covers_the_next_orders() -> None:
    world = shop()
    assert buy(world, 2).accepted[0].recurring is False
    assert buy(world, 3).accepted[0].recurring is True


def test_without_a_first_use_in_effect_an_order_is_judged_like_any_other() -> None:
    world = shop()
    buy(world, 1)
    buy(world, 2)
    world.cancel("ORD1", at=NOW + 5 * DAY)
    assert used(world) == (0, 0, 1_000)
    third = buy(world, 3)
    assert third.accepted[0].recurring is False
    assert used(world) == (0, 1, 2_000)
    assert buy(world, 4).accepted[0].recurring is True


def test_two_uses_for_one_subscription_stay_in_effect_until_both_are_restored() -> None:
    world = shop(limits=Limits(2))
    buy(world, 1)
    world.redeem("A", to=replace(nth(1), order_id="ORD9"))
    world.cancel("ORD1", at=NOW + 5 * DAY)
    assert buy(world, 2).accepted[0].recurring is True
    world.cancel("ORD9", at=NOW + 5 * DAY)
    assert buy(world, 3).accepted[0].recurring is False


def test_a_later_order_that_ends_restores_its_discount_and_no_use() -> None:
    world = shop()
    buy(world, 1)
    buy(world, 2)
    assert world.part(amount="50.00", at=NOW + 3 * DAY, order_id="ORD2").discount_minor == 500
    verdict = world.cancel("ORD2", at=NOW + 5 * DAY)
    (one,) = verdict.accepted
    assert (verdict.outcome, one.uses, one.discount_minor) == ("restored", 0, 500)
    assert used(world) == (0, 1, 1_000)
    assert world.cancel("ORD2", at=NOW + 5 * DAY).outcome == "unchanged"
    assert buy(world, 3).accepted[0].recurring is True


def test_rules_that_the_first_use_fixed_are_not_judged_again() -> None:
    world = shop(window=window(ends_in=2 * DAY), holder_only=True)
    world.state.coupons["id-A"].holder_key = "customer-john"
    buy(world, 1)
    world.state.campaigns["save10"] = replace(world.state.campaigns["save10"], status="archived")
    world.state.coupons["id-A"].ends_at = NOW + DAY
    assert buy(world, 9).outcome == "redeemed"
    assert buy(world, 10, by=None).outcome == "redeemed"
    assert buy(world, 11, by=MARY).outcome == "redeemed"


@pytest.mark.parametrize(
    ("fields", "later", "reason"),
    [
        ({"currency": "USD"}, {"currency": "EUR"}, Reason.CURRENCY_MISMATCH),
        ({"currency": "USD", "min_order_minor": 5_000}, {"lines": (line("1", 4_999),)}, Reason.BELOW_MINIMUM),
        ({"scope": Scope(frozenset({"product-1"}))}, {"lines": (line("2"),)}, Reason.NO_ELIGIBLE_PRODUCT),
        ({}, {"lines": (line("1", 1),)}, Reason.NO_EFFECT),
    ],
)
def test_rules_that_depend_on_the_order_are_judged_again(
    fields: dict[str, Any], later: dict[str, Any], reason: Reason
) -> None:
    world = shop(**fields)
    buy(world, 1)
    assert only_reason(buy(world, 2, **later)) == reason


def test_a_voided_coupon_or_a_closed_order_is_refused_on_a_later_order() -> None:
    world = shop()
    buy(world, 1)
    world.cancel("ORD2", at=NOW + 5 * DAY)
    assert only_reason(buy(world, 2)) == Reason.ORDER_MISMATCH
    world.void("A")
    assert only_reason(buy(world, 3)) == Reason.VOIDED


def test_a_recurring_coupon_stacks_like_any_other() -> None:
    world = shop(stacking="exclusive")
    world.state.campaigns["save9"] = campaign("save9", discount=percent("9"), stacking="exclusive")
    world.coupon("B", "save9")
    buy(world, 1)
    verdict = buy(world, 2, "A", "B")
    assert [(one.code, one.recurring) for one in verdict.accepted] == [("A", True)]
    assert [one.reason for one in verdict.refused] == [Reason.BETTER_OFFER_WON]


def test_a_recurring_coupon_leaves_the_uses_of_its_campaign_to_other_coupons() -> None:
    world = shop(stacking="combinable", limits=Limits(1, uses_per_customer=2, uses_total=2))
    world.coupon("B")
    buy(world, 1)
    verdict = buy(world, 2, "A", "B")
    assert [(one.code, one.recurring) for one in verdict.accepted] == [("A", True), ("B", False)]
    assert world.meter().used == 2


@pytest.mark.parametrize("first_held", [False, True])
def test_an_order_that_waits_for_its_payment_holds_no_use(first_held: bool) -> None:
    world = shop()
    buy(world, 1, hold=first_held, hold_seconds=3_600)
    if first_held:
        assert only_reason(buy(world, 2)) == Reason.CUSTOMER_LIMIT, "the use is not in effect before the payment"
        world.pay("ORD1", at=NOW + 2 * DAY)
    verdict = buy(world, 3, hold=True, hold_seconds=3_600)
    assert (verdict.outcome, verdict.accepted[0].uses, verdict.accepted[0].recurring) == ("held", 0, True)
    assert used(world) == (0, 1, 1_000)
    assert world.meter().held_minor == 1_000
    paid = world.pay("ORD3", at=NOW + 4 * DAY)
    assert (paid.outcome, paid.accepted[0].uses, paid.accepted[0].recurring) == ("redeemed", 0, True)
    assert used(world) == (0, 1, 2_000)
    world.cancel("ORD3", at=NOW + 5 * DAY)
    assert used(world) == (0, 1, 1_000)


def test_a_hold_without_a_use_is_released_and_expires_like_any_other() -> None:
    world = shop()
    buy(world, 1)
    buy(world, 2, hold=True, hold_seconds=60)
    world.cancel("ORD2", at=NOW + 5 * DAY)
    buy(world, 3, hold=True, hold_seconds=60)
    world.now += MINUTE
    world.expire("order:ORD3")
    assert used(world) == (0, 1, 1_000)
    assert world.meter().held_minor == 0


def test_a_lock_that_the_order_names_pays_with_its_own_use() -> None:
    world = shop(limits=Limits(2))
    buy(world, 1)
    world.lock("A", by=JOHN)
    verdict = world.redeem(lock_reference="lock-1", to=nth(2))
    assert verdict.accepted[0].recurring is False
    assert world.state.coupons["id-A"].used == 2
