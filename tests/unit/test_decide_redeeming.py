"""Redeeming: uses, discounts, and what stays unchanged."""

from dataclasses import replace
from typing import Any

import pytest

from shared.domain.model.order_commands import RedeemCoupons
from shared.domain.model.reasons import Reason
from shared.domain.model.verdicts import AcceptedCoupon, LedgerEntry
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
    fixed,
    key_of,
    line,
    only_reason,
    order,
    percent,
    reasons,
)


def world_of(*campaigns_and_codes: str, limits: Limits | None = None) -> World:
    """Build one combinable ten-percent campaign with these codes."""
    world = World((campaign(stacking="combinable", limits=limits or Limits(1)),))
    for code in campaigns_and_codes:
        world.coupon(code)
    return world


def test_the_contracts_example_is_exact_to_the_cent() -> None:
    world = World((campaign(currency="USD", min_order_minor=10_000, discount=percent("10", cap=5_000)),))
    world.coupon()
    requested = order("ORD456", line("1", 5_000, 2, product_id="510509"), line("2", 2_500, product_id="511520"))
    verdict = world.redeem("SAVE10", to=requested)
    assert (verdict.outcome, verdict.discount_minor, verdict.currency) == ("redeemed", 1_250, "USD")
    assert verdict.accepted == (
        AcceptedCoupon(
            "id-SAVE10",
            "SAVE10",
            "save10",
            "percentage",
            "10",
            discount_minor=1_250,
            lines=(("1", 1_000), ("2", 250)),
        ),
    )
    assert verdict.entries == (
        LedgerEntry(
            "burned",
            "id-SAVE10",
            "save10",
            customer_key=key_of(JOHN),
            order_id="ORD456",
            redemption_id=verdict.redemption_id,
            used_uses=1,
            used_minor=1_250,
            currency="USD",
            lines=(("1", 1_000), ("2", 250)),
            counted_at=NOW,
        ),
    )


@pytest.mark.parametrize(
    ("currency", "unit_minor", "discount"),
    [("USD", 12_345, 1_235), ("JPY", 12_345, 1_235), ("KWD", 12_344, 1_234)],
)
def test_rounding_is_to_the_currencys_minor_unit(currency: str, unit_minor: int, discount: int) -> None:
    verdict = world_of("A").redeem("A", to=order("ORD1", line(unit_minor=unit_minor), currency=currency))
    assert (verdict.discount_minor, verdict.currency) == (discount, currency)


def test_a_redemption_id_does_not_depend_on_when_it_is_decided() -> None:
    ids = {world_of("A").redeem("A").redemption_id for _ in range(2)}
    assert len(ids) == 1
    world = world_of("A", "B")
    assert world.redeem("A").redemption_id != world.redeem("B", to=order("ORD2")).redemption_id


def test_a_scoped_offer_takes_off_its_own_lines_only() -> None:
    world = World((campaign(scope=Scope(product_ids=frozenset({"shoes"})), discount=fixed(15_000)),))
    world.coupon()
    requested = order(
        "ORD1", line("1", 9_000, product_id="shoes"), line("2", 50_000), line("3", 3_000, product_id="shoes")
    )
    verdict = world.redeem("SAVE10", to=requested)
    assert verdict.accepted[0].lines == (("1", 9_000), ("3", 3_000))
    assert verdict.discount_minor == 12_000


def test_an_order_without_lines_is_discounted_as_a_whole() -> None:
    world = world_of("A")
    verdict = world.run(RedeemCoupons("c", replace(order(), lines=(), amount_minor=12_500), ("A",), JOHN))
    assert (verdict.discount_minor, verdict.accepted[0].lines) == (1_250, ())


def test_lines_worth_more_than_the_order_are_discounted_up_to_the_order() -> None:
    world = World((campaign(discount=fixed(9_000)),))
    world.coupon()
    verdict = world.redeem("SAVE10", to=order("ORD1", line("1", 5_000), line("2", 5_000), amount_minor=6_000))
    assert verdict.discount_minor == 6_000
    assert verdict.accepted[0].lines == (("1", 3_000), ("2", 3_000))


def test_an_order_without_coupons_changes_no_meter_and_is_recorded_for_its_customer() -> None:
    world = World()
    world.state.orders_of = {"customer-john": set()}
    verdict = world.redeem()
    assert (verdict.outcome, verdict.requested_count, verdict.entries) == ("unchanged", 0, ())
    assert world.state.orders["ORD1"].customer_key == "customer-john"
    assert world.state.orders_of == {"customer-john": {"ORD1"}}
    assert world.redeem().orders == ()  # the same order again


def test_a_code_named_twice_is_one_coupon() -> None:
    verdict = world_of("A").redeem("A", "a ", "A")
    assert (verdict.requested_count, len(verdict.accepted), verdict.refused) == (1, 1, ())


def test_the_same_order_again_changes_nothing() -> None:
    world = world_of("A")
    world.redeem("A")
    again = world.redeem("A")
    assert (again.outcome, again.requested_count, again.entries, again.orders) == ("unchanged", 0, (), ())


def test_a_newly_named_code_is_judged_as_a_separate_request() -> None:
    world = world_of("A", "B")
    world.redeem("A")
    again = world.redeem("A", "B")
    assert (again.outcome, again.requested_count) == ("redeemed", 1)
    assert [one.code for one in again.accepted] == ["B"]


def test_coupons_of_two_requests_never_take_off_more_than_the_order() -> None:
    world = World((campaign(discount=fixed(7_000), stacking="combinable"),))
    for code in "AB":
        world.coupon(code)
    world.redeem("A")
    assert world.redeem("A", "B").discount_minor == 3_000
    world.coupon("C")
    assert only_reason(world.redeem("C")) == Reason.NO_EFFECT


def test_each_coupon_is_judged_separately_by_default() -> None:
    verdict = world_of("A").redeem("A", "NOPE")
    assert (verdict.outcome, verdict.requested_count) == ("redeemed", 2)
    assert reasons(verdict) == {"NOPE": Reason.NOT_FOUND}


def test_an_atomic_request_refuses_good_coupons_together_with_bad_ones() -> None:
    world = world_of("A", "B")
    verdict = world.redeem("B", "NOPE", "A", atomic=True)
    assert (verdict.outcome, verdict.entries) == ("refused", ())
    assert reasons(verdict) == {
        "A": Reason.NOT_COMBINABLE,
        "B": Reason.NOT_COMBINABLE,
        "NOPE": Reason.NOT_FOUND,
    }
    assert {one.code: one.details for one in verdict.refused}["A"] == {"refused_with": "NOPE"}
    assert world.redeem("A", "B", atomic=True).outcome == "redeemed"


def test_a_campaigns_limit_counts_within_one_request() -> None:
    for limits in (Limits(1, uses_per_customer=1), Limits(1, uses_total=1)):
        world = world_of("A", "B", limits=limits)
        verdict = world.redeem("B", "A")
        assert [one.code for one in verdict.accepted] == ["A"]
        assert set(reasons(verdict)) == {"B"}
        assert reasons(verdict)["B"] == (
            Reason.CUSTOMER_LIMIT if limits.uses_per_customer else Reason.CAMPAIGN_EXHAUSTED
        )


def test_uses_of_a_campaign_held_by_others_count_as_well() -> None:
    world = world_of("A", "B", "C", limits=Limits(1, uses_total=3))
    world.lock("C", by=MARY)
    world.meter().used = 1
    verdict = world.redeem("A", "B", by=JOHN)
    assert [one.code for one in verdict.accepted] == ["A"]
    assert reasons(verdict) == {"B": Reason.LOCKED_ELSEWHERE}


def test_a_use_of_one_command_is_seen_by_the_next() -> None:
    world = world_of("A", limits=Limits(1, uses_per_customer=1, uses_total=1))
    world.redeem("A")
    assert only_reason(world.redeem("A", to=order("ORD2"))) == Reason.EXHAUSTED
    assert (world.meter().used, world.meter().used_minor) == (1, 1_000)
    assert (world.meter(customer=JOHN).used, world.state.coupons["id-A"].used) == (1, 1)


def test_meters_are_kept_only_for_limits() -> None:
    world = world_of("A")
    world.redeem("A")
    assert world.state.meters == {}


# With a lock


def test_a_lock_is_burned_at_the_discount_of_the_order_as_placed() -> None:
    world = world_of("A")
    world.lock("A", order=order("cart", line(unit_minor=20_000)))
    verdict = world.redeem(lock_reference="lock-1", to=replace(order(), lines=(), amount_minor=12_500))
    assert (verdict.outcome, verdict.discount_minor, verdict.requested_count) == ("redeemed", 1_250, 1)
    assert verdict.entries == (
        LedgerEntry(
            "burned",
            "id-A",
            "save10",
            customer_key=key_of(JOHN),
            order_id="ORD1",
            lock_reference="lock-1",
            redemption_id=verdict.redemption_id,
            held_uses=-1,
            used_uses=1,
            held_minor=-2_000,
            used_minor=1_250,
            currency="USD",
            counted_at=NOW,
        ),
    )
    lock = world.state.locks["lock-1"]
    assert (lock.status, lock.order_id, lock.uses) == ("burned", "ORD1", ())
    assert (world.state.coupons["id-A"].held, world.state.coupons["id-A"].used) == (0, 1)
    assert world.state.coupons["id-A"].holds == []


def test_the_order_that_burned_a_lock_may_be_sent_again() -> None:
    world = world_of("A")
    world.lock("A")
    world.redeem(lock_reference="lock-1")
    assert world.redeem(lock_reference="lock-1").outcome == "unchanged"
    assert only_reason(world.redeem(lock_reference="lock-1", to=order("ORD2"))) == Reason.ALREADY_REDEEMED


def test_a_lock_protects_against_later_windows_and_limits() -> None:
    world = world_of("A", limits=Limits(1, uses_per_customer=1))
    world.lock("A")
    world.state.campaigns["save10"] = campaign(status="paused", limits=Limits(1, 1, 1))
    world.state.coupons["id-A"].ends_at = NOW - DAY
    world.meter(customer=JOHN).used = 5
    world.meter().used = 5
    assert world.redeem(lock_reference="lock-1").outcome == "redeemed"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"currency": "EUR"}, Reason.CURRENCY_MISMATCH),
        ({"min_order_minor": 10_001}, Reason.BELOW_MINIMUM),
        ({"scope": Scope(product_ids=frozenset({"shoes"}))}, Reason.NO_ELIGIBLE_PRODUCT),
        ({"discount": fixed(0)}, Reason.NO_EFFECT),
    ],
)
def test_burning_a_lock_judges_rules_that_depend_on_the_order(change: dict[str, Any], reason: Reason) -> None:
    world = world_of("A")
    world.lock("A")
    world.state.campaigns["save10"] = campaign(**change)
    assert only_reason(world.redeem(lock_reference="lock-1")) == reason
    assert world.state.locks["lock-1"].status == "open"


def test_a_voided_coupon_is_not_burned_from_a_lock() -> None:
    world = world_of("A")
    world.lock("A")
    world.void("A")
    assert only_reason(world.redeem(lock_reference="lock-1")) == Reason.VOIDED


def test_the_customers_own_lock_never_blocks_and_is_burned_by_the_code() -> None:
    world = world_of("A", "B", limits=Limits(1, uses_per_customer=2, uses_total=2))
    world.lock("A", "B")
    verdict = world.redeem("A")
    assert verdict.outcome == "redeemed"
    assert verdict.entries[0].lock_reference == "lock-1"
    lock = world.state.locks["lock-1"]
    assert (lock.status, [use.coupon_id for use in lock.uses]) == ("open", ["id-B"])
    assert (world.meter().held, world.meter().used) == (1, 1)
    assert world.redeem("B", to=order("ORD2")).outcome == "redeemed"
    assert (lock.status, world.meter().held, world.meter(customer=JOHN).used) == ("burned", 0, 2)


def test_of_several_own_locks_the_one_for_this_order_is_burned() -> None:
    world = world_of("A", limits=Limits(3))
    world.lock("A", reference="a-cart")
    world.lock("A", reference="z", by=MARY, order_id="ORD1")
    assert world.redeem("A").entries[0].lock_reference == "z"


def test_a_guest_who_burns_a_customers_lock_uses_that_customers_limits() -> None:
    world = world_of("A", limits=Limits(1, uses_per_customer=1))
    world.lock("A", by=JOHN)
    verdict = world.redeem(lock_reference="lock-1", by=None)
    assert (verdict.outcome, verdict.customer_key) == ("redeemed", key_of(JOHN))
    assert (world.meter(customer=JOHN).held, world.meter(customer=JOHN).used) == (0, 1)


def test_a_customer_who_burns_a_guests_lock_uses_their_own_limits() -> None:
    world = world_of("A", limits=Limits(1, uses_total=5, coupons_per_customer=1))
    world.lock("A", by=None)
    verdict = world.redeem(lock_reference="lock-1", by=JOHN)
    assert [(one.kind, one.customer_key, one.held_uses, one.used_uses) for one in verdict.entries] == [
        ("burned", None, -1, 0),
        ("burned", key_of(JOHN), 0, 1),
    ]
    assert (world.meter(customer=JOHN).held, world.meter(customer=JOHN).used) == (0, 1)
    assert (world.meter().held, world.meter().used) == (0, 1)


def test_a_coupon_named_by_code_and_by_lock_is_one_coupon() -> None:
    world = world_of("A", "B")
    world.lock("A")
    verdict = world.redeem("B", "A", lock_reference="lock-1")
    assert (verdict.outcome, verdict.requested_count) == ("redeemed", 2)
    assert world.state.locks["lock-1"].status == "burned"


def test_a_code_with_an_unusable_lock_is_judged_separately_unless_the_request_is_atomic() -> None:
    world = world_of("A")
    atomic = world.redeem("A", lock_reference="gone", atomic=True)
    assert [(one.code, one.reason) for one in atomic.refused] == [
        (None, Reason.LOCK_NOT_FOUND),
        ("A", Reason.NOT_COMBINABLE),
    ]
    assert atomic.refused[1].details == {"refused_with": "gone"}
    verdict = world.redeem("A", lock_reference="gone")
    assert (verdict.outcome, verdict.requested_count) == ("redeemed", 2)
    assert reasons(verdict) == {None: Reason.LOCK_NOT_FOUND}


def test_a_lock_in_another_currency_is_emptied_by_a_separate_entry() -> None:
    world = world_of("A", limits=Limits(1, uses_total=9))
    world.lock("A", order=order("cart", currency="JPY"))
    verdict = world.redeem(lock_reference="lock-1")
    assert [(one.held_minor, one.used_minor, one.currency) for one in verdict.entries] == [
        (-1_000, 0, "JPY"),
        (0, 1_000, "USD"),
    ]
    assert (world.meter().held_minor, world.meter().used_minor) == (0, 1_000)


def test_times_missing_from_the_event_are_now() -> None:
    world = world_of("A")
    world.now = NOW + MINUTE
    verdict = world.run(RedeemCoupons("c", replace(order(), placed_at=None), ("A",), JOHN))
    assert (verdict.decided_at, verdict.orders[0].placed_at) == (NOW + MINUTE, None)
