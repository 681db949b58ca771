"""Budgets and caps: what and when they count, and the numbers in their refusals."""

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from shared.domain.model.campaign import Cap, Period
from shared.domain.model.customer import Customer
from shared.domain.model.money import format_minor
from shared.domain.model.reasons import Reason
from shared.domain.model.state import Meter
from tests.builders import (
    DAY,
    JOHN,
    MARY,
    MINUTE,
    NOW,
    Limits,
    World,
    campaign,
    fixed,
    key_of,
    line,
    only_reason,
    order,
    percent,
    reasons,
    window,
)


def world_of(limits: Limits, *codes: str, **fields: Any) -> World:
    made = campaign(**{"limits": limits, "stacking": "combinable", "currency": "USD", **fields})
    world = World((made,))
    for code in codes or "ABCDEF":
        world.coupon(code)
    return world


def budget(minor: int, **fields: Any) -> Limits:
    return Limits(**{"uses_per_coupon": 1, "spend_total_minor": minor, **fields})


def capped(*caps: Cap, **fields: Any) -> Limits:
    return Limits(**{"uses_per_coupon": 1, "caps": caps, **fields})


def test_a_budget_is_spent_to_the_last_cent_and_no_further() -> None:
    world = world_of(budget(2_000))
    assert world.redeem("A", to=order("1")).outcome == "redeemed"
    assert world.redeem("B", to=order("2")).outcome == "redeemed"
    refused = world.redeem("C", to=order("3")).refused[0]
    assert refused.reason == Reason.BUDGET_EXCEEDED
    assert refused.details == {"budget": "20.00", "spent": "20.00", "held": "0.00", "discount": "10.00"}
    assert world.meter() == Meter(used=2, used_minor=2_000)


@pytest.mark.parametrize(
    ("currency", "limit", "prices", "outcomes"),
    [
        ("USD", 2_000, (10_000, 10_010, 9_999), ("redeemed", "refused", "redeemed")),
        ("JPY", 150, (1_000, 510, 500), ("redeemed", "refused", "redeemed")),
        ("KWD", 1_500, (10_000, 5_010, 5_000), ("redeemed", "refused", "redeemed")),
    ],
)
def test_a_discount_above_the_rest_is_refused_and_a_smaller_one_still_fits(
    currency: str, limit: int, prices: tuple[int, ...], outcomes: tuple[str, ...]
) -> None:
    world = world_of(budget(limit), currency=currency)
    verdicts = [
        world.redeem(code, to=order(code, line("1", price), currency=currency))
        for code, price in zip("ABC", prices, strict=True)
    ]
    assert tuple(verdict.outcome for verdict in verdicts) == outcomes
    assert verdicts[1].refused[0].details["budget"] == format_minor(limit, currency)


def test_several_coupons_of_one_request_share_the_budget() -> None:
    world = world_of(budget(1_900))
    verdict = world.redeem("A", "B", "C")
    # 10.00 of 100.00 and 9.00 of 90.00 fit exactly; nothing is left for the third
    assert [one.discount_minor for one in verdict.accepted] == [1_000, 900]
    assert reasons(verdict) == {"C": Reason.BUDGET_EXCEEDED}
    assert world.meter().used_minor == 1_900


def test_a_smaller_coupon_takes_the_rest_of_the_budget() -> None:
    limits = budget(1_000)
    world = World((campaign("save10", limits=limits, stacking="combinable", currency="USD", discount=fixed(700)),))
    world.coupon("A")
    world.coupon("B")
    verdict = world.redeem("A", "B")
    assert [one.code for one in verdict.accepted] == ["A"]
    assert world.redeem("B", to=order("2", line("1", 300))).discount_minor == 300


def test_budget_held_by_other_checkouts_is_locked_and_not_spent() -> None:
    world = world_of(budget(1_500))
    world.lock("A", by=MARY, order=order("cart"))
    assert world.meter() == Meter(held=1, held_minor=1_000)
    assert only_reason(world.redeem("B")) == Reason.LOCKED_ELSEWHERE
    world.release()
    assert world.redeem("B", to=order("2")).outcome == "redeemed"


def test_a_discount_above_the_whole_budget_is_refused_as_exceeded_despite_holds() -> None:
    world = world_of(budget(1_500))
    world.lock("A", by=MARY, order=order("cart"))
    assert only_reason(world.redeem("B", to=order("2", line("1", 20_000)))) == Reason.BUDGET_EXCEEDED


def test_an_expired_lock_holds_nothing_of_a_budget() -> None:
    world = world_of(budget(1_500))
    world.lock("A", by=MARY, order=order("cart"))
    world.now += 15 * MINUTE
    assert world.redeem("B", at=None).outcome == "redeemed"


def test_a_lock_without_an_order_holds_no_money_and_is_judged_when_it_is_burned() -> None:
    world = world_of(budget(1_500))
    world.lock("A")
    assert world.meter() == Meter(held=1)
    world.redeem("B", to=order("2"))
    refused = world.redeem(lock_reference="lock-1", to=order("3"))
    assert only_reason(refused) == Reason.BUDGET_EXCEEDED
    assert world.redeem(lock_reference="lock-1", to=order("4", line("1", 5_000))).discount_minor == 500


def test_a_lock_without_an_order_is_refused_once_all_of_the_budget_is_spent() -> None:
    world = world_of(budget(1_000))
    world.redeem("A")
    refused = world.lock("B").refused[0]
    assert refused.reason == Reason.BUDGET_EXCEEDED
    assert refused.details == {"budget": "10.00", "spent": "10.00", "held": "0.00"}


@pytest.mark.parametrize(("price", "reason"), [(10_000, None), (15_000, None), (15_010, Reason.BUDGET_EXCEEDED)])
def test_a_lock_with_an_order_needs_budget_only_beyond_the_discount_it_holds(price: int, reason: Reason | None) -> None:
    world = world_of(budget(2_500))
    world.redeem("B", to=order("other"))
    world.lock("A", order=order("cart"))
    assert only_reason(world.redeem(lock_reference="lock-1", to=order("2", line("1", price)))) == reason


def test_a_lock_with_an_order_stays_valid_when_the_budget_is_lowered() -> None:
    world = world_of(budget(2_000))
    world.lock("A", order=order("cart"))
    world.state.campaigns["save10"] = campaign(limits=budget(500), currency="USD")
    assert world.redeem(lock_reference="lock-1").outcome == "redeemed"
    assert only_reason(world.redeem("B", to=order("2", line("1", 10)))) == Reason.BUDGET_EXCEEDED


def test_a_replaced_lock_first_releases_its_share_of_the_budget() -> None:
    world = world_of(budget(1_000))
    world.lock("A", order=order("cart"))
    assert world.lock("B", order=order("cart")).outcome == "locked"
    assert world.meter() == Meter(held=1, held_minor=1_000)


def test_an_order_that_waits_for_its_payment_holds_its_share_of_the_budget() -> None:
    world = world_of(budget(1_500))
    world.redeem("A", hold=True, hold_seconds=600)
    assert only_reason(world.redeem("B", to=order("2"))) == Reason.LOCKED_ELSEWHERE
    world.pay()
    assert only_reason(world.redeem("B", to=order("2"))) == Reason.BUDGET_EXCEEDED
    world.cancel(at=NOW)
    assert world.redeem("B", to=order("2")).outcome == "redeemed"


@pytest.mark.parametrize("new", [2_500, None])
def test_a_raised_budget_allows_new_uses_and_a_lowered_one_refuses_only_new_uses(new: int | None) -> None:
    world = world_of(budget(2_000))
    world.redeem("A", to=order("1"))
    world.state.campaigns["save10"] = campaign(limits=budget(500), currency="USD")
    assert only_reason(world.redeem("B", to=order("2", line("1", 10)))) == Reason.BUDGET_EXCEEDED
    assert world.cancel("1", NOW).outcome == "restored"
    world.redeem("A", to=order("3", line("1", 5_000)))
    assert only_reason(world.redeem("B", to=order("4"))) == Reason.BUDGET_EXCEEDED
    world.state.campaigns["save10"] = campaign(limits=Limits(1, spend_total_minor=new), currency="USD")
    assert world.redeem("B", to=order("4")).outcome == "redeemed"


def test_a_coupon_without_effect_is_refused_for_that_even_if_the_budget_is_spent() -> None:
    world = world_of(budget(1_000))
    world.redeem("A")
    assert only_reason(world.redeem("B", to=order("2", line("1", 0)))) == Reason.NO_EFFECT


@pytest.mark.parametrize(
    ("per", "next_start"), [("day", "2026-11-23"), ("week", "2026-11-23"), ("month", "2026-12-01")]
)
def test_a_cap_starts_again_with_its_period(per: Period, next_start: str) -> None:
    following = datetime.fromisoformat(next_start).replace(tzinfo=UTC)
    world = world_of(capped(Cap(per, uses=1)))
    world.redeem("A", to=order("1"))
    world.now = following
    refused = world.redeem("B", to=order("2"), by=MARY, at=following - timedelta(microseconds=1)).refused[0]
    assert refused.reason == Reason.CAMPAIGN_EXHAUSTED
    assert (refused.details["limit"], refused.details["used"], refused.details["per"]) == ("1", "1", per)
    assert refused.details["again_at"] == following.isoformat()
    assert world.redeem("B", to=order("2"), by=MARY, at=following).outcome == "redeemed"


def test_a_cap_uses_the_campaigns_time_zone() -> None:
    evening = datetime(2026, 11, 22, 14, 59, tzinfo=UTC)
    world = world_of(capped(Cap("day", uses=1)), window=window(zone=ZoneInfo("Asia/Tokyo")))
    world.now = evening
    world.redeem("A", to=order("1"), at=evening)
    refused = world.redeem("B", to=order("2"), at=evening).refused[0]
    assert refused.details["period"] == "day 2026-11-22"
    assert refused.details["again_at"] == "2026-11-22T15:00:00+00:00"
    world.now += MINUTE
    assert world.redeem("B", to=order("2"), at=world.now).outcome == "redeemed"


def test_a_cap_per_customer_counts_each_customer_and_needs_one() -> None:
    world = world_of(capped(Cap("day", "customer", uses=1)))
    world.redeem("A", to=order("1"))
    refused = world.redeem("B", to=order("2")).refused[0]
    assert refused.reason == Reason.CUSTOMER_LIMIT
    assert refused.message == "This customer already has the 1 use a day that campaign 'save10' allows."
    assert refused.details == {
        "limit": "1", "used": "1", "held": "0", "per": "day", "period": "day 2026-11-22",
        "again_at": "2026-11-23T00:00:00+00:00",
    }  # fmt: skip
    assert world.redeem("B", to=order("2"), by=MARY).outcome == "redeemed"
    assert only_reason(world.redeem("C", to=order("3"), by=None)) == Reason.CUSTOMER_REQUIRED


def test_a_cap_on_coupons_per_customer_does_not_apply_to_uses() -> None:
    world = world_of(capped(Cap("day", "customer", coupons=1)))
    assert world.redeem("A", by=None).outcome == "redeemed"


def test_several_coupons_of_one_request_share_a_cap() -> None:
    world = world_of(capped(Cap("day", uses=2)))
    assert reasons(world.redeem("A", "B", "C")) == {"C": Reason.CAMPAIGN_EXHAUSTED}
    world = world_of(capped(Cap("week", "customer", uses=2)))
    assert reasons(world.redeem("A", "B", "C")) == {"C": Reason.CUSTOMER_LIMIT}


def test_uses_of_a_cap_held_by_other_checkouts_are_locked_and_not_used() -> None:
    world = world_of(capped(Cap("day", uses=1)))
    world.lock("A", by=MARY)
    assert only_reason(world.redeem("B")) == Reason.LOCKED_ELSEWHERE
    world.now += 15 * MINUTE
    assert world.redeem("B", at=None).outcome == "redeemed"
    assert only_reason(world.redeem("C", to=order("2"))) == Reason.CAMPAIGN_EXHAUSTED


def test_a_used_up_cap_is_reported_before_a_held_one() -> None:
    world = world_of(capped(Cap("day", uses=2), Cap("week", uses=1)))
    world.redeem("A")
    world.lock("B", by=MARY)
    assert only_reason(world.redeem("C", to=order("2"))) == Reason.CAMPAIGN_EXHAUSTED


def test_a_held_use_counts_on_the_day_it_was_held_even_if_it_is_paid_later() -> None:
    world = world_of(capped(Cap("day", uses=1), Cap("week", "customer", uses=9)))
    world.redeem("A", to=order("1"), hold=True, hold_seconds=2 * 86_400)
    world.now += DAY
    world.pay("1")
    assert world.redeem("B", to=order("2"), at=world.now).outcome == "redeemed"
    assert only_reason(world.redeem("C", to=order("3"), at=NOW)) == Reason.CAMPAIGN_EXHAUSTED
    week = ("save10", key_of(JOHN), "week 2026-11-16")
    assert world.state.period_meters[week] == Meter(used=1)


def test_a_use_from_the_requests_own_lock_is_not_judged_by_caps_again() -> None:
    world = world_of(capped(Cap("day", uses=1), Cap("day", "customer", uses=1)))
    world.lock("A", lock_seconds=2 * 86_400)
    assert world.redeem("A", to=order("1")).outcome == "redeemed"
    assert world.state.period_meters["save10", None, "day 2026-11-22"] == Meter(used=1)


def test_a_restored_use_makes_room_in_the_period_it_was_counted_in() -> None:
    world = world_of(capped(Cap("day", uses=1)))
    world.redeem("A", to=order("1"))
    world.now += DAY
    world.cancel("1", world.now)
    assert world.state.period_meters == {("save10", None, "day 2026-11-22"): Meter()}
    assert world.redeem("B", to=order("2"), at=NOW).outcome == "redeemed"
    assert world.redeem("C", to=order("3"), at=world.now).outcome == "redeemed"


@pytest.mark.parametrize(
    ("cap", "second", "third"),
    [
        (Cap("day", coupons=2), None, Reason.CAMPAIGN_EXHAUSTED),
        (Cap("day", "customer", coupons=1), Reason.CUSTOMER_LIMIT, None),
    ],
)
def test_a_cap_on_coupons_limits_issuing(cap: Cap, second: Reason | None, third: Reason | None) -> None:
    world = World((campaign(limits=capped(cap)),))
    assert world.issue("save10").outcome == "issued"
    assert only_reason(world.issue("save10")) == second
    refused = world.issue("save10", to=MARY)
    assert only_reason(refused) == third
    world.now += DAY
    assert world.issue("save10").outcome == "issued"
    for one in refused.refused:
        assert one.details == {
            "limit": "2", "issued": "2", "per": "day", "period": "day 2026-11-22",
            "again_at": "2026-11-23T00:00:00+00:00",
        }  # fmt: skip


def test_a_cap_on_coupons_per_customer_issues_nothing_to_an_unidentified_customer() -> None:
    world = World((campaign(limits=capped(Cap("day", "customer", coupons=1))),))
    assert only_reason(world.issue("save10", to=Customer())) == Reason.CUSTOMER_REQUIRED


def test_limits_are_reported_in_their_order_of_precedence() -> None:
    day = Cap("day", uses=1)
    mine = Cap("day", "customer", uses=1)
    cases = [
        (capped(day, mine, uses_per_customer=1, uses_total=1, spend_total_minor=1_000), Reason.CUSTOMER_LIMIT),
        (capped(day, uses_total=9, spend_total_minor=1_000), Reason.CAMPAIGN_EXHAUSTED),
        (capped(Cap("day", uses=9), uses_total=9, spend_total_minor=1_000), Reason.BUDGET_EXCEEDED),
    ]
    for limits, reason in cases:
        world = world_of(limits, discount=percent("10"))
        world.redeem("A", to=order("1"))
        assert only_reason(world.redeem("B", to=order("2"))) == reason
