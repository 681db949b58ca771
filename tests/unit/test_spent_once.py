"""Cancelled, used elsewhere, placed again: a coupon is never spent twice, and a restore doesn't reactivate it."""

from itertools import permutations
from typing import Any

import pytest

from shared.domain.model.reasons import Reason
from tests.builders import DAY, MINUTE, NOW, Limits, World, campaign, only_reason, order

LATER = NOW + DAY


def shop(**fields: Any) -> World:
    world = World((campaign(limits=Limits(1, uses_per_customer=1, uses_total=1), **fields),), now=LATER)
    world.coupon("A")
    return world


def spent(world: World) -> int:
    """Return the redeemed uses of all orders. Fail if coupon or meter differ, or if there is more than one."""
    uses = sum(one.uses for known in world.state.orders.values() for one in known.redemptions.values())
    coupon = world.state.coupons["id-A"]
    assert (coupon.used, world.meter().used) == (uses, uses)
    assert coupon.used + coupon.held <= 1
    return uses


@pytest.mark.parametrize("hold", [False, True])
def test_cancelling_using_elsewhere_and_placing_again_spends_once_in_any_order_of_arrival(hold: bool) -> None:
    for arrival in permutations(range(5)):
        world = shop()

        def place(order_id: str, minute: int, world: World = world) -> None:
            to = order(order_id, placed_at=NOW + minute * MINUTE)
            world.redeem("A", to=to, hold=hold, hold_seconds=3_600)

        steps: list[Any] = [
            lambda place=place: place("ORD1", 0),
            lambda world=world: world.cancel("ORD1", at=NOW + MINUTE),
            lambda place=place: place("ORD2", 2),
            lambda place=place: place("ORD1", 3),
            lambda world=world: world.cancel("ORD2", at=NOW + 4 * MINUTE),
        ]
        for number in arrival:
            steps[number]()
            assert spent(world) <= 1
        for order_id in ("ORD1", "ORD2"):
            world.pay(order_id, at=NOW + 9 * MINUTE)
            assert spent(world) <= 1


@pytest.mark.parametrize("how", ["cancel", "return_order", "parts"])
@pytest.mark.parametrize(("closed", "reason"), [("voided", Reason.VOIDED), ("over", Reason.EXPIRED)])
def test_a_use_restored_to_a_voided_or_expired_coupon_cannot_be_used(how: str, closed: str, reason: Reason) -> None:
    world = shop()
    world.redeem("A", to=order("ORD1"))
    coupon = world.state.coupons["id-A"]
    if closed == "voided":
        world.void("A")
    else:
        coupon.ends_at = NOW + MINUTE
    if how == "parts":
        world.part(amount="40.00", at=NOW + MINUTE)
        world.part(amount="60.00", at=NOW + 2 * MINUTE)
    else:
        getattr(world, how)(at=NOW + MINUTE)
    assert (coupon.used, spent(world)) == (0, 0)
    elsewhere = order("ORD2", placed_at=NOW + 2 * MINUTE)
    assert only_reason(world.redeem("A", to=elsewhere)) == reason
    again = order("ORD1", placed_at=NOW + 3 * MINUTE)
    assert only_reason(world.redeem("A", to=again)) == reason


def test_a_use_restored_late_can_be_used_by_an_order_placed_in_time() -> None:
    """An order placed before the coupon's end may use a use that was restored later, as its own time counts."""
    world = shop()
    world.redeem("A", to=order("ORD1"))
    world.state.coupons["id-A"].ends_at = NOW + 2 * MINUTE
    world.cancel(at=NOW + 9 * MINUTE)
    assert world.redeem("A", to=order("ORD2", placed_at=NOW + MINUTE)).outcome == "redeemed"
    assert spent(world) == 1
