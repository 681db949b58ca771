"""Locks: held uses, owners, expiry and release."""

from datetime import timedelta
from typing import Any

import pytest

from shared.domain.model.commands import LockCoupons
from shared.domain.model.order_commands import RedeemCoupons
from shared.domain.model.reasons import Reason
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
    key_of,
    line,
    only_reason,
    order,
    reasons,
    window,
)


def world_of(*codes: str, **fields: Any) -> World:
    limits = Limits(1, uses_per_customer=9, uses_total=9)
    made = campaign("save10", **{"stacking": "combinable", "limits": limits, **fields})
    world = World((made,))
    for code in codes or ("A",):
        world.coupon(code)
    return world


def test_a_lock_holds_a_use_until_it_expires() -> None:
    world = world_of()
    verdict = world.lock("A", lock_seconds=900, order=order("cart"))
    assert (verdict.outcome, verdict.lock_reference) == ("locked", "lock-1")
    assert (verdict.expires_at, verdict.discount_minor, verdict.currency) == (NOW + 15 * MINUTE, 1_000, "USD")
    assert (world.state.coupons["id-A"].held, world.meter().held, world.meter().held_minor) == (1, 1, 1_000)
    assert only_reason(world.redeem("A", by=MARY)) == Reason.LOCKED_ELSEWHERE


def test_a_lock_without_an_order_computes_no_discount() -> None:
    world = world_of(currency="EUR", min_order_minor=99_999, scope=Scope(product_ids=frozenset({"shoes"})))
    verdict = world.lock("A")
    assert (verdict.outcome, verdict.accepted[0].discount_minor, verdict.currency) == ("locked", None, None)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"status": "paused"}, Reason.CAMPAIGN_INACTIVE),
        ({"window": window(MINUTE)}, Reason.NOT_STARTED),
        ({"window": window(None, 0 * MINUTE)}, Reason.EXPIRED),
        ({"currency": "EUR"}, Reason.CURRENCY_MISMATCH),
        ({"min_order_minor": 10_001}, Reason.BELOW_MINIMUM),
        ({"scope": Scope(product_ids=frozenset({"shoes"}))}, Reason.NO_ELIGIBLE_PRODUCT),
    ],
)
def test_a_lock_is_judged_like_a_redemption(fields: dict[str, Any], reason: Reason) -> None:
    world = world_of(**fields)
    assert only_reason(world.lock("A", order=order())) == reason
    assert world.state.locks == {}


def test_a_lock_is_all_or_nothing() -> None:
    world = world_of("A", "B")
    verdict = world.lock("B", "NOPE", "A")
    assert reasons(verdict) == {"A": Reason.NOT_COMBINABLE, "B": Reason.NOT_COMBINABLE, "NOPE": Reason.NOT_FOUND}
    assert (verdict.entries, world.state.locks) == ((), {})


def test_a_lock_without_coupons_is_refused() -> None:
    assert only_reason(world_of().lock()) == Reason.NOT_FOUND


def test_the_same_reference_again_replaces_the_held_coupons() -> None:
    world = world_of("A", "B", limits=Limits(1, uses_per_customer=1, uses_total=1))
    world.lock("A", lock_seconds=60)
    verdict = world.lock("B", lock_seconds=900)
    assert [(one.kind, one.coupon_id) for one in verdict.entries] == [("released", "id-A"), ("locked", "id-B")]
    assert (world.state.coupons["id-A"].held, world.state.coupons["id-B"].held, world.meter().held) == (0, 1, 1)
    assert world.state.locks["lock-1"].expires_at == NOW + 15 * MINUTE
    again = world.lock("B")
    assert [(one.kind, one.coupon_id) for one in again.entries] == [("released", "id-B"), ("locked", "id-B")]
    assert len(world.state.coupons["id-B"].holds) == 1


def test_a_replacement_that_is_refused_leaves_the_lock_as_it_was() -> None:
    world = world_of("A")
    world.lock("A")
    assert world.lock("NOPE").outcome == "refused"
    assert [use.coupon_id for use in world.state.locks["lock-1"].uses] == ["id-A"]


def test_a_customer_cannot_replace_the_lock_of_another_customer() -> None:
    world = world_of("A", "B")
    world.lock("A", by=JOHN)
    assert only_reason(world.lock("B", by=MARY)) == Reason.WRONG_CUSTOMER


@pytest.mark.parametrize("end", ["release", "expire"])
def test_a_released_or_expired_reference_can_be_opened_again(end: str) -> None:
    world = world_of()
    world.lock("A", lock_seconds=60)
    if end == "release":
        world.release()
    else:
        world.now = NOW + MINUTE
        world.expire()
    assert world.lock("A").outcome == "locked"
    assert world.state.locks["lock-1"].status == "open"


def test_a_burned_reference_cannot_be_opened_again() -> None:
    world = world_of("A", "B")
    world.lock("A")
    world.redeem(lock_reference="lock-1")
    assert only_reason(world.lock("B")) == Reason.ALREADY_REDEEMED
    assert only_reason(world.release()) == Reason.ALREADY_REDEEMED


def test_a_reference_in_the_form_of_an_orders_hold_is_reserved_for_orders() -> None:
    assert only_reason(world_of().lock("A", reference="order:ORD1")) == Reason.ORDER_MISMATCH


def test_a_hold_without_an_order_moves_to_the_customers_next_lock() -> None:
    world = world_of()
    world.lock("A", reference="tab-1")
    verdict = world.lock("A", reference="tab-2")
    assert [(one.kind, one.lock_reference) for one in verdict.entries] == [("released", "tab-1"), ("locked", "tab-2")]
    assert (world.state.locks["tab-1"].status, world.meter().held) == ("released", 1)
    assert only_reason(world.lock("A", reference="tab-3", by=MARY)) == Reason.LOCKED_ELSEWHERE


def test_a_coupon_redeemed_for_an_order_is_not_locked_for_it_again() -> None:
    world = world_of(limits=Limits(5))
    world.redeem("A")
    assert only_reason(world.lock("A", order_id="ORD1")) == Reason.ALREADY_REDEEMED
    assert world.lock("A", order_id="ORD2").outcome == "locked"


def test_releasing_a_lock_restores_the_held_uses() -> None:
    world = world_of("A", "B")
    world.lock("A", "B")
    verdict = world.release()
    assert (verdict.outcome, [one.code for one in verdict.accepted]) == ("released", ["A", "B"])
    assert (world.meter().held, world.state.coupons["id-A"].held) == (0, 0)
    assert world.release().outcome == "unchanged"
    assert only_reason(world.redeem(lock_reference="lock-1")) == Reason.LOCK_NOT_FOUND


def test_a_lock_that_does_not_exist_cannot_be_released() -> None:
    assert only_reason(world_of().release()) == Reason.LOCK_NOT_FOUND


def test_a_lock_past_its_time_cannot_be_released() -> None:
    world = world_of()
    world.lock("A", lock_seconds=60)
    world.now = NOW + MINUTE
    assert only_reason(world.release()) == Reason.LOCK_EXPIRED
    world.expire()
    assert only_reason(world.release()) == Reason.LOCK_EXPIRED


def test_a_lock_expires_at_its_time_and_not_before() -> None:
    world = world_of("A", "B")
    world.lock("A", "B", lock_seconds=60)
    world.now = NOW + MINUTE - timedelta(microseconds=1)
    assert world.expire().outcome == "unchanged"
    world.now = NOW + MINUTE
    verdict = world.expire()
    assert (verdict.outcome, [one.code for one in verdict.accepted]) == ("expired", ["A", "B"])
    assert (world.meter().held, world.state.coupons["id-A"].holds) == (0, [])
    assert world.expire().outcome == "unchanged"
    assert world.expire("none").outcome == "unchanged"


def test_an_expired_lock_still_names_the_coupons_it_held() -> None:
    for swept in (False, True):
        world = world_of("A", "B")
        world.lock("A", "B", lock_seconds=60)
        world.now = NOW + MINUTE
        if swept:
            world.expire()
        verdict = world.redeem(lock_reference="lock-1")
        assert reasons(verdict) == {"A": Reason.LOCK_EXPIRED, "B": Reason.LOCK_EXPIRED}
        assert verdict.requested_count == 2


def test_a_lock_longer_than_the_calendar_ends_with_the_calendar() -> None:
    verdict = world_of().lock("A", lock_seconds=10**18)
    assert verdict.expires_at is not None
    assert verdict.expires_at.year == 9999


def test_a_lock_of_several_exclusive_coupons_is_refused_as_a_whole() -> None:
    world = World((campaign("a"), campaign("b", min_order_minor=1)))
    world.coupon("A", "a")
    world.coupon("B", "b")
    command = LockCoupons("c", "lock-1", ("A", "B"), 60, JOHN, order("cart", line()))
    assert reasons(world.run(command)) == {"A": Reason.NOT_COMBINABLE, "B": Reason.BETTER_OFFER_WON}


def test_a_coupon_that_is_voided_while_held_stays_held_until_the_lock_ends() -> None:
    world = world_of()
    world.lock("A")
    assert world.void("A").outcome == "voided"
    assert world.void("A").outcome == "unchanged"
    assert world.state.coupons["id-A"].held == 1
    world.release()
    assert (world.state.coupons["id-A"].held, world.state.coupons["id-A"].status) == (0, "voided")


def test_a_coupon_that_does_not_exist_cannot_be_voided() -> None:
    assert only_reason(world_of().void("NOPE")) == Reason.NOT_FOUND


def test_an_unexplained_hold_counts_as_held_by_another_customer() -> None:
    world = world_of()
    world.lock("A", by=JOHN)
    world.state.locks.clear()
    assert only_reason(world.redeem("A", by=JOHN)) == Reason.LOCKED_ELSEWHERE


def test_locks_of_one_order_serve_that_order_only() -> None:
    world = world_of(limits=Limits(1, coupons_per_customer=1))
    world.lock("A", by=None, order_id="ORD1")
    assert only_reason(world.redeem("A", to=order("ORD2"), by=JOHN)) == Reason.LOCKED_ELSEWHERE
    command = RedeemCoupons("c", order("ORD1"), ("A",), JOHN, at=NOW + DAY)
    assert world.run(command).outcome == "redeemed"
    assert world.meter(customer=JOHN).used == 1
    assert key_of(JOHN) == world.state.orders["ORD1"].customer_key
