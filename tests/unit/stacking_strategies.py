"""Random orders and coupons for stacking, and simple arithmetic for their discounts, applied in sequence."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from math import floor

from hypothesis import strategies as st

from shared.domain.model.campaign import Campaign, DiscountOffer
from shared.domain.model.order import Line, Order
from shared.domain.offers.spread import spread
from tests.builders import (
    FREE_SHIPPING,
    NOW,
    Limits,
    Scope,
    World,
    any_currency,
    campaign,
    each,
    fixed,
    gift,
    percent,
)

discounts = st.sampled_from(
    [
        percent("10"), percent("33.33"), percent("50", cap=700), percent("100"), percent("0.5"), fixed(1), fixed(700),
        fixed(10**6), fixed(900, cap=333), any_currency("3"), each(150), each(400, cap=900), FREE_SHIPPING,
        replace(FREE_SHIPPING, max_discount_minor=200), gift(1, "p1"), gift(2, "p2", cap=500), gift(1, "p9"),
        DiscountOffer("custom", "0", payload={"points": 1}),
    ]
)  # fmt: skip
scopes = st.sampled_from(
    [
        Scope(), Scope(), Scope(), Scope(frozenset({"p1"})), Scope(excluded_product_ids=frozenset({"p1"})),
        Scope(max_units=2), Scope(frozenset({"p1", "p2"}), max_units=1, most_expensive_first=True),
    ]
)  # fmt: skip
limits = st.sampled_from(
    [
        Limits(1), Limits(1), Limits(1), Limits(1, uses_per_customer=1), Limits(1, uses_total=1),
        Limits(1, spend_total_minor=900),
    ]
)  # fmt: skip
campaigns = st.builds(
    campaign,
    discount=discounts,
    scope=scopes,
    limits=limits,
    currency=st.just("USD"),
    policy=st.sampled_from(["exclusive", "combinable", "combinable", "combinable", "combinable"]),
    group=st.sampled_from([None, None, "g", "h"]),
    max_coupons=st.sampled_from([None, None, None, 1, 2, 3]),
    priority=st.integers(0, 1),
)
lines = st.builds(Line, st.just(""), st.sampled_from(["p1", "p2", "p3"]), st.integers(0, 3), st.integers(0, 1_500))


@st.composite
def orders(draw: st.DrawFn) -> Order:
    """Draw an order of up to four lines, sometimes with an amount that differs from the sum of its lines."""
    made = draw(st.lists(lines, max_size=4))
    numbered = tuple(replace(one, line_id=str(number)) for number, one in enumerate(made, 1))
    total = sum(one.amount_minor for one in numbered) if numbered else draw(st.integers(0, 5_000))
    amount = draw(st.just(total) | st.just(total) | st.integers(0, 5_000))
    return Order("ORD1", "USD", amount, numbered, draw(st.sampled_from([0, 150, 799])), NOW)


def world_of(made: Sequence[Campaign]) -> World:
    """Build a world with one coupon per campaign, and a second one of the first campaign."""
    world = World(tuple(replace(one, campaign_id=name) for one, name in zip(made, "abcdefghijklmnop", strict=False)))
    for campaign_id in world.state.campaigns:
        world.coupon(campaign_id.upper(), campaign_id)
    world.coupon("A2", "a")
    return world


@dataclass
class Rest:
    """The rest of an order after discounts, in minor units. `units` has lines of which single units were discounted."""

    lines: list[int]
    whole: int
    shipping: int
    units: dict[int, list[int]] = field(default_factory=dict)


def rest_of(order: Order) -> Rest:
    return Rest([line.amount_minor for line in order.lines], order.amount_minor, order.shipping_minor)


def take_off(rest: Rest, order: Order, rules: Campaign) -> int | None:  # noqa: PLR0911 - a case each
    """Take one coupon's discount off `rest` and return it, or None if no part of the order is eligible."""
    offer, scope = rules.discount, rules.scope
    cap = 10**9 if offer.max_discount_minor is None else offer.max_discount_minor
    eligible = [number for number, line in enumerate(order.lines) if is_eligible(line, scope)]
    scoped = bool(scope.product_ids or scope.excluded_product_ids)
    if scoped and not eligible:
        return None
    if offer.kind == "custom":
        return 0
    if offer.kind == "free_shipping":
        minor = min(rest.shipping, cap)
        rest.shipping -= minor
        return minor
    one = int(offer.value) * 100 if offer.amount_minor is None else offer.amount_minor
    if offer.kind == "free_product":
        eligible = [number for number, line in enumerate(order.lines) if line.product_id == offer.product_id]
        return take_units(rest, order, single_units(rest, order, eligible, offer.units, dearest=False), None, cap)
    if scope.max_units is None and not offer.per_unit:
        base = min(sum(rest.lines[number] for number in eligible), rest.whole) if order.lines else rest.whole
        minor = min(discount_on(offer, one, base, cap), rest.whole)
        rest.whole -= minor
        take_lines(rest, order, eligible, minor)
        return minor
    if not any(order.lines[number].quantity for number in eligible):
        return None
    units = single_units(rest, order, eligible, scope.max_units, dearest=scope.most_expensive_first)
    if offer.per_unit:
        return take_units(rest, order, units, one, cap)
    base = min(sum(left for _, _, left in units), rest.whole)
    return take_units(rest, order, units, None, discount_on(offer, one, base, cap))


def take_lines(rest: Rest, order: Order, eligible: list[int], minor: int) -> None:
    """Take an amount off lines; off all single units of these, once units differ."""
    if not rest.units:
        for number, part in zip(eligible, spread(minor, [rest.lines[number] for number in eligible]), strict=True):
            rest.lines[number] -= part
        return
    units = {
        number: list(units_of(rest, number, order.lines[number].quantity)) for number in eligible if rest.lines[number]
    }
    parts = iter(spread(minor, [left for lefts in units.values() for left in lefts]))
    for number, lefts in units.items():
        off = [next(parts) for _ in lefts]
        rest.lines[number] -= sum(off)
        rest.units[number] = sorted(left - each for left, each in zip(lefts, off, strict=True))


Units = list[tuple[int, int, int]]
"""(line, unit of it, what is left of it)"""


def take_units(rest: Rest, order: Order, units: Units, each: int | None, cap: int) -> int:
    """Take all of `units`, or `each` of each of them, but at most `cap`."""
    quantities = [line.quantity for line in order.lines]
    units = sorted(units, key=lambda one: (-one[2], one[0]))  # the odd minor units go to the units with most left
    weights = [left if each is None else min(left, each) for _, _, left in units]
    minor = max(min(sum(weights), cap, rest.whole), 0)
    rest.whole -= minor
    for number in {number for number, _, _ in units}:
        rest.units[number] = list(units_of(rest, number, quantities[number]))
    for (number, unit, _), part in zip(units, spread(minor, weights), strict=True):
        rest.units[number][unit] -= part
        rest.lines[number] -= part
    for one in rest.units.values():
        one.sort()
    return minor


def units_of(rest: Rest, number: int, quantity: int) -> list[int]:
    """Return what is left of each unit of a line: equal shares where no single unit was discounted."""
    left, more = divmod(rest.lines[number], quantity)
    return rest.units.get(number, [left] * (quantity - more) + [left + 1] * more)


def single_units(rest: Rest, order: Order, eligible: list[int], most: int | None, *, dearest: bool) -> Units:
    """Return the units that are taken: cheapest (or dearest) list price first, then most left."""
    found: Units = []
    for number in eligible:
        line = order.lines[number]
        if line.quantity and line.unit_minor:
            units = units_of(rest, number, line.quantity)
            found += [(number, unit, one) for unit, one in enumerate(units) if one > 0]
    sign = -1 if dearest else 1
    return sorted(found, key=lambda one: (sign * order.lines[one[0]].unit_minor, -one[2], one[0]))[:most]


def is_eligible(line: Line, scope: Scope) -> bool:
    wanted = not scope.product_ids or line.product_id in scope.product_ids
    return wanted and line.product_id not in scope.excluded_product_ids


def discount_on(offer: DiscountOffer, fixed_minor: int, base: int, cap: int) -> int:
    if offer.kind == "percentage":
        exact = Fraction(base * offer.percent_numerator, 100 * offer.percent_denominator)
        return min(floor(exact + Fraction(1, 2)), cap, base)
    return min(fixed_minor, cap, base)
