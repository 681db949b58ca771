"""Rules on time, channel and customer: when each passes, and the reason and numbers of its refusal."""

from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from shared.domain.model.campaign import Window
from shared.domain.model.customer import Customer
from shared.domain.model.reasons import PRECEDENCE, Reason
from shared.domain.model.verdicts import RefusedCoupon, Verdict
from shared.domain.offers.rules import RULES
from tests.builders import (
    DAY,
    JOHN,
    MARY,
    MINUTE,
    NOW,
    World,
    campaign,
    only_reason,
    order,
    window,
)

BERLIN, NEW_YORK = ZoneInfo("Europe/Berlin"), ZoneInfo("America/New_York")
VIP = frozenset({"vip"})


def world_of(**fields: Any) -> World:
    """Build a world of one campaign with one coupon SAVE10."""
    world = World((campaign(**fields),))
    world.coupon()
    return world


def refusal(verdict: Verdict) -> RefusedCoupon:
    assert verdict.outcome == "refused", verdict
    [refused] = verdict.refused
    return refused


def test_rules_are_listed_in_the_order_of_reasons() -> None:
    ranks = [PRECEDENCE[rule.reason] for rule in RULES]
    assert all(first <= second for first, second in pairwise(ranks))
    assert len({rule.field for rule in RULES}) == len(RULES)


# Windows, status


@pytest.mark.parametrize(
    ("of_campaign", "of_coupon", "reason", "details"),
    [
        (window(MINUTE), {}, Reason.NOT_STARTED, {"starts_at": (NOW + MINUTE).isoformat()}),
        (window(MINUTE), {"starts_at": NOW + DAY}, Reason.NOT_STARTED, {"starts_at": (NOW + DAY).isoformat()}),
        (window(-DAY, 0 * DAY), {"ends_at": NOW - MINUTE}, Reason.EXPIRED, {"ends_at": (NOW - MINUTE).isoformat()}),
        (window(-DAY, DAY), {"ends_at": NOW}, Reason.EXPIRED, {"ends_at": NOW.isoformat()}),
        (window(-DAY, MINUTE), {"starts_at": NOW, "ends_at": NOW + MINUTE}, None, {}),
    ],
)
def test_the_narrower_window_of_campaign_and_coupon_counts(
    of_campaign: Window, of_coupon: dict[str, Any], reason: Reason | None, details: dict[str, str]
) -> None:
    world = World((campaign(window=of_campaign),))
    world.coupon(**of_coupon)
    verdict = world.redeem("SAVE10")
    assert only_reason(verdict) == reason
    assert [one.details for one in verdict.refused] == ([details] if reason else [])


# Channels


@pytest.mark.parametrize(
    ("channel", "fields", "good"),
    [
        ("web", {}, True),
        ("till", {}, False),
        (None, {}, False),  # then the channel of the request counts
        (None, {"channel": "web"}, True),
        ("till", {"channel": "web"}, False),
    ],
)
def test_the_channel_is_the_orders_or_else_that_of_the_request(
    channel: str | None, fields: dict[str, str], good: bool
) -> None:
    verdict = world_of(channels=frozenset({"web", "app"})).redeem("SAVE10", to=order(channel=channel), **fields)
    assert only_reason(verdict) == (None if good else Reason.CHANNEL_MISMATCH)
    if not good:
        assert refusal(verdict).details == {"channel": channel or "orders", "expected": "app, web"}


# Customers


@pytest.mark.parametrize(
    ("fields", "said", "known", "by", "reason"),
    [
        ({"segments_any": VIP | {"new"}}, ("vip",), None, JOHN, None),
        ({"segments_any": VIP | {"new"}}, ("old",), None, JOHN, Reason.SEGMENT_MISMATCH),
        ({"segments_any": VIP | {"new"}}, None, None, JOHN, Reason.SEGMENT_MISMATCH),
        ({"segments_any": VIP | {"new"}}, None, {"new", "old"}, JOHN, None),
        # the segments of the request count, even if there are none
        ({"segments_any": VIP}, ("old",), {"vip"}, JOHN, Reason.SEGMENT_MISMATCH),
        ({"segments_any": VIP}, (), {"vip"}, JOHN, Reason.SEGMENT_MISMATCH),
        ({"segments_any": VIP}, ("vip",), {"old"}, JOHN, None),
        ({"segments_all": VIP | {"new"}}, ("vip",), None, JOHN, Reason.SEGMENT_MISMATCH),
        ({"segments_all": VIP | {"new"}}, ("vip", "new", "old"), None, JOHN, None),
        ({"segments_none": VIP | {"staff"}}, ("new",), None, JOHN, None),
        ({"segments_none": VIP | {"staff"}}, ("staff",), None, JOHN, Reason.SEGMENT_MISMATCH),
        ({"segments_none": VIP}, None, {"vip"}, JOHN, Reason.SEGMENT_MISMATCH),
        ({"segments_any": VIP, "segments_none": frozenset({"staff"})}, ("vip",), None, JOHN, None),
        ({"segments_any": VIP, "segments_none": frozenset({"staff"})}, ("vip", "staff"), None, JOHN,
         Reason.SEGMENT_MISMATCH),
        # names are compared exactly
        ({"segments_any": VIP}, ("VIP",), None, JOHN, Reason.SEGMENT_MISMATCH),
        # a guest has no segments
        ({"segments_any": VIP}, None, None, None, Reason.CUSTOMER_REQUIRED),
        ({"segments_all": VIP}, None, None, None, Reason.CUSTOMER_REQUIRED),
        ({"segments_none": VIP}, None, None, None, None),
    ],
)  # fmt: skip
def test_segments_are_those_of_the_request_or_else_the_known_ones(
    fields: dict[str, Any], said: tuple[str, ...] | None, known: set[str] | None, by: Customer | None,
    reason: Reason | None,
) -> None:  # fmt: skip
    world = world_of(**fields)
    if known is not None:
        world.state.segments["customer-john"] = frozenset(known)
    customer = None if by is None else Customer(by.customer_id, by.email, segments=said)
    assert only_reason(world.redeem("SAVE10", by=customer)) == reason


def test_a_segment_refusal_names_the_required_and_the_known_segments() -> None:
    refused = refusal(
        world_of(segments_all=VIP | {"new"}).redeem("SAVE10", by=Customer("john", segments=("vip", "old")))
    )
    assert refused.message == "Coupon 'SAVE10' is for customers in all of new, vip; this one is in old, vip."
    assert refused.details == {"segments_all": "new, vip", "segments": "old, vip"}
    refused = refusal(world_of(segments_any=VIP).redeem("SAVE10"))
    assert refused.message == "Coupon 'SAVE10' is for customers in one of vip; this one is in no segment."


def test_segments_of_a_refused_request_are_known_to_the_next() -> None:
    world = world_of(segments_any=VIP)
    assert only_reason(world.redeem("NOPE", by=Customer("john", segments=("vip",)))) == Reason.NOT_FOUND
    assert only_reason(world.redeem("SAVE10", to=order("ORD2"))) is None


def first(*orders: str) -> World:
    world = world_of(first_order_only=True)
    world.state.orders_of = {"customer-john": set(orders), "customer-mary": set()}
    return world


@pytest.mark.parametrize(
    ("orders", "by", "reason"),
    [
        ([], JOHN, None),
        (["ORD1"], JOHN, None),  # the order itself
        (["ORD0"], JOHN, Reason.NOT_FIRST_ORDER),
        (["ORD0", "ORD1"], JOHN, Reason.NOT_FIRST_ORDER),
        (["ORD0"], MARY, None),
        ([], None, Reason.CUSTOMER_REQUIRED),
    ],
)
def test_a_first_order_is_one_of_a_customer_without_other_valid_orders(
    orders: list[str], by: Customer | None, reason: Reason | None
) -> None:
    verdict = first(*orders).redeem("SAVE10", by=by)
    assert only_reason(verdict) == reason
    if reason == Reason.NOT_FIRST_ORDER:
        assert refusal(verdict).details == {"order_id": "ORD0"}


def test_a_cancelled_order_does_not_count_until_it_is_placed_again() -> None:
    world = first()
    assert world.redeem("SAVE10").outcome == "redeemed"
    assert only_reason(world.redeem("SAVE10", to=order("ORD2"))) == Reason.NOT_FIRST_ORDER
    world.cancel("ORD2")
    world.cancel("ORD1")
    assert world.redeem("SAVE10", to=order("ORD3")).outcome == "redeemed"
    world.now = NOW + MINUTE
    world.redeem(to=order("ORD1", placed_at=NOW + MINUTE))
    assert world.state.orders_of["customer-john"] == {"ORD1", "ORD3"}


def test_an_order_that_moves_to_another_customer_no_longer_counts_for_the_first() -> None:
    world = first()
    world.redeem(by=JOHN)
    world.now = NOW + MINUTE
    world.redeem(to=order(placed_at=NOW + MINUTE), by=MARY)
    assert world.state.orders_of == {"customer-john": set(), "customer-mary": {"ORD1"}}


def test_a_lock_without_an_order_passes_first_order_only_for_a_customer_without_orders() -> None:
    assert first().lock("SAVE10").outcome == "locked"
    assert only_reason(first("ORD1").lock("SAVE10")) == Reason.NOT_FIRST_ORDER
    assert first("ORD1").lock("SAVE10", order_id="ORD1").outcome == "locked"
