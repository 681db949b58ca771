"""The lines and units that a coupon takes its discount from. One row per case."""

from dataclasses import replace
from typing import Any

import pytest

from shared.domain.model.campaign import DiscountOffer
from shared.domain.model.order import Order
from shared.domain.model.reasons import Reason
from shared.domain.model.verdicts import AcceptedCoupon, Verdict
from tests.builders import NOW, Scope, World, campaign, each, fixed, line, only_reason, order, percent

SHOES = Scope(product_ids=frozenset({"shoes"}))


def only(verdict: Verdict) -> AcceptedCoupon:
    assert verdict.outcome == "redeemed", verdict.refused
    [coupon] = verdict.accepted
    assert sum(part for _, part in coupon.lines) == (coupon.discount_minor if coupon.lines else 0)
    assert verdict.entries[-1].used_minor == coupon.discount_minor
    return coupon


def redeemed(offer: DiscountOffer, to: Order, **fields: Any) -> Verdict:
    world = World((campaign(discount=offer, **fields),))
    world.coupon()
    return world.redeem("SAVE10", to=to)


GOODS = (
    line("1", 1_000, product_id="shoes", variant_id="red", collection_ids=("summer", "sale")),
    line("2", 2_000, product_id="shoes", variant_id="blue"),
    line("3", 4_000, product_id="hat", variant_id=None, collection_ids=("summer",)),
)


@pytest.mark.parametrize(
    ("scope", "eligible"),
    [
        (Scope(), "123"),
        (SHOES, "12"),
        (Scope(variant_ids=frozenset({"red"})), "1"),
        (Scope(collection_ids=frozenset({"summer"})), "13"),
        # a match on any of several fields is enough
        (Scope(frozenset({"hat"}), frozenset({"blue"})), "23"),
        (Scope(variant_ids=frozenset({"blue"}), collection_ids=frozenset({"sale"})), "12"),
        # an exclusion overrides all of them
        (Scope(excluded_product_ids=frozenset({"shoes"})), "3"),
        (Scope(excluded_variant_ids=frozenset({"red"})), "23"),
        (Scope(excluded_collection_ids=frozenset({"sale", "winter"})), "23"),
        (replace(SHOES, excluded_product_ids=frozenset({"shoes"})), ""),
        (replace(SHOES, excluded_variant_ids=frozenset({"blue"})), "1"),
        (replace(SHOES, excluded_collection_ids=frozenset({"summer"})), "2"),
        (Scope(excluded_product_ids=frozenset({"shoes", "hat"})), ""),
        (Scope(frozenset({"nothing"})), ""),
    ],
)
def test_a_scope_covers_its_lines_but_not_excluded_ones(scope: Scope, eligible: str) -> None:
    verdict = redeemed(percent("10"), order("ORD1", *GOODS), scope=scope)
    if not eligible:
        assert only_reason(verdict) == Reason.NO_ELIGIBLE_PRODUCT
        assert verdict.refused[0].details == {"lines": "3", "eligible_lines": "0"}
        return
    tenth = {one.line_id: one.amount_minor // 10 for one in GOODS if one.line_id in eligible}
    assert dict(only(verdict).lines) == tenth


@pytest.mark.parametrize(
    "scope", [SHOES, Scope(excluded_variant_ids=frozenset({"x"})), Scope(max_units=1)], ids=["scope", "but", "units"]
)
def test_a_coupon_that_needs_lines_is_refused_on_an_order_without_lines(scope: Scope) -> None:
    to = Order("ORD1", "USD", 10_000, placed_at=NOW)
    assert only_reason(redeemed(percent("10"), to, scope=scope)) == Reason.NO_ELIGIBLE_PRODUCT
    assert only_reason(redeemed(each(100), to)) == Reason.NO_ELIGIBLE_PRODUCT


UNITS = (line("1", 300, 2), line("2", 100, 2), line("3", 300, 1), line("4", 100, 0))


@pytest.mark.parametrize(
    ("offer", "most", "dearest", "parts"),
    [
        # the cheapest units first; for equal prices, those of the earlier line
        (percent("100"), 1, False, {"2": 100}),
        (percent("100"), 2, False, {"2": 200}),
        (percent("100"), 3, False, {"1": 300, "2": 200}),
        (percent("100"), 4, False, {"1": 600, "2": 200}),
        (percent("100"), 5, False, {"1": 600, "2": 200, "3": 300}),
        (percent("100"), 99, False, {"1": 600, "2": 200, "3": 300}),
        # or the most expensive first
        (percent("100"), 1, True, {"1": 300}),
        (percent("100"), 3, True, {"1": 600, "3": 300}),
        (percent("100"), 4, True, {"1": 600, "2": 100, "3": 300}),
        (percent("50"), 3, True, {"1": 300, "3": 150}),
        # a fixed amount, once for these units
        (fixed(250), 1, False, {"2": 100}),
        (fixed(250), 3, False, {"1": 150, "2": 100}),
        (percent("50", cap=200), 3, True, {"1": 134, "3": 66}),
        # per unit: off each unit, at most its price
        (each(50), None, False, {"1": 100, "2": 100, "3": 50}),
        (each(150), None, False, {"1": 300, "2": 200, "3": 150}),
        (each(50), 3, True, {"1": 100, "3": 50}),
        (each(50, cap=120), None, False, {"1": 48, "2": 48, "3": 24}),
    ],
)
@pytest.mark.parametrize("currency", ["USD", "JPY", "KWD"])
def test_max_units_and_per_unit_limit_the_discount(
    offer: DiscountOffer, most: int | None, dearest: bool, parts: dict[str, int], currency: str
) -> None:
    scope = Scope(max_units=most, most_expensive_first=dearest)
    coupon = only(redeemed(offer, order("ORD1", *UNITS, currency=currency), scope=scope))
    assert dict(coupon.lines) == parts


def test_units_are_counted_among_eligible_lines_only() -> None:
    to = order("ORD1", line("1", 100), line("2", 300, 2, product_id="shoes"))
    coupon = only(redeemed(percent("100"), to, scope=replace(SHOES, max_units=1)))
    assert coupon.lines == (("2", 300),)


def test_a_unit_costs_what_is_left_of_it() -> None:
    world = World(
        (
            campaign("a", discount=fixed(100), policy="combinable", priority=1),
            campaign("b", discount=percent("100"), policy="combinable", scope=Scope(max_units=1)),
        )
    )
    world.coupon("A", "a")
    world.coupon("B", "b")
    verdict = world.redeem("A", "B", to=order("ORD1", line("1", 300, 3)))
    assert [one.discount_minor for one in verdict.accepted] == [100, 267]  # 266, 267 and 267 are left


def test_lines_with_quantity_zero_are_ignored() -> None:
    to = order("ORD1", line("1", 500, 0), line("2", 1_000))
    assert only(redeemed(percent("10"), to)).lines == (("2", 100),)
    assert only_reason(redeemed(percent("10"), order("ORD1", line("1", 500, 0)))) == Reason.NO_EFFECT
    assert only_reason(redeemed(each(10), order("ORD1", line("1", 500, 0)))) == Reason.NO_ELIGIBLE_PRODUCT
