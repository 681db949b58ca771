"""Compute the discount of an offer on an order, and spread it over the lines.

    discount, weights, unit_groups = price(basket, offer)
    applied = apply_price(basket, offer, discount, weights, unit_groups)

All in minor units, exact. The parts sum to the whole and never exceed what is left of a line. The rules: docs/rules.md.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from shared.domain.model.campaign import DiscountOffer
from shared.domain.model.order import SHIPPING
from shared.domain.model.value import value
from shared.domain.offers.basket import Basket, pick_units, spread_over_lines, take_lines, take_units
from shared.domain.offers.kinds import KINDS, amount_off
from shared.domain.offers.request import WHOLE_ORDER, ResolvedOffer, Target, UnitGroup
from shared.domain.offers.spread import spread_over_units
from shared.domain.offers.unit_groups import most_room_first

Price = tuple[int, Sequence[int], tuple[UnitGroup, ...]]
"""(discount, weights of the lines or units by which it is spread, units that an offer by unit takes)"""

NOTHING: Final[tuple[int, ...]] = ()


@value
class AppliedOffer:
    """An offer that is used, with what it takes off in minor units (None if no order is known).

    `shares` are its parts: (id of the line, or SHIPPING, part), in the order of the lines.
    """

    offer: ResolvedOffer
    discount_minor: int | None
    shares: tuple[tuple[str, int], ...] = ()


def price(basket: Basket, offer: ResolvedOffer) -> Price:
    """Return what the offer takes off what is left of the order."""
    return price_of(basket, offer.discount, offer.target or WHOLE_ORDER, offer.fixed_minor or 0)


def price_of(basket: Basket, discount: DiscountOffer, target: Target, fixed_minor: int) -> Price:
    """Return what a discount takes off what is left of its target. `fixed_minor` is its amount, if it is fixed."""
    if target.by_unit:
        return _price_units(basket, discount, target, fixed_minor)
    indices, rooms = target.lines, basket.rooms
    if indices == NOTHING:
        return price_of_shipping(discount, basket.shipping_minor), NOTHING, ()
    amounts = basket.amounts
    weights = amounts if indices is None else [amounts[index] for index in indices]
    base = basket.left_minor if indices is None else basket.left_minor + basket.rebate_minor
    if amounts and (listed := sum(weights)) < base:
        base = listed
    discount_minor = amount_off(discount, base, fixed_minor)
    if rooms is None:
        return (discount_minor if discount_minor < basket.room_minor else basket.room_minor), weights, ()
    # Spread over what earlier requests left, so that no line gives more than it costs.
    weights = rooms if indices is None else [rooms[index] for index in indices]
    return min(discount_minor, basket.room_minor, sum(weights)), weights, ()


def max_discount_of(basket: Basket | None, offer: ResolvedOffer) -> int:
    """Return the most that the offer can take off, whatever other offers take before it.

    That is its price on the untouched order, except if it takes some of the units: others may use these up. Then it is
    the price of the most expensive units, even of those that earlier requests took something off.
    """
    target = offer.target
    if basket is None or target is None or target.max_units is None:
        return offer.discount_minor
    by_price = tuple(sorted(target.lines or (), key=lambda index: -basket.lines[index].unit_price))
    whole = basket if basket.rooms is None else replace(basket, rooms=None, units=None)
    discount = offer.discount
    return _price_units(
        whole, discount, Target(by_price, by_unit=True, max_units=target.max_units), offer.fixed_minor or 0
    )[0]


def price_of_shipping(discount: DiscountOffer, shipping_minor: int) -> int:
    """Return what a discount without lines takes off what is left of the shipping."""
    if KINDS[discount.kind].takes_from != "shipping":
        return 0
    return amount_off(discount, shipping_minor, 0)


def apply_alone(basket: Basket, offer: ResolvedOffer) -> AppliedOffer:
    """Apply the offer at its price on the untouched order. Don't use the basket afterwards: it isn't updated."""
    target = offer.target or WHOLE_ORDER
    if target.by_unit or target.lines == NOTHING:
        return apply_price(basket, offer, offer.discount_minor, offer.weights, offer.unit_groups)
    parts, _ = spread_over_lines(basket, target.lines, offer.discount_minor, offer.weights)
    lines = basket.lines
    if target.lines is not None:
        lines = tuple([lines[index] for index in target.lines])
    return AppliedOffer(
        offer,
        offer.discount_minor,
        tuple([(line.line_id, part) for line, part in zip(lines, parts, strict=True) if part]),
    )


def apply_price(
    basket: Basket,
    offer: ResolvedOffer,
    discount_minor: int,
    weights: Sequence[int],
    unit_groups: tuple[UnitGroup, ...],
) -> AppliedOffer:
    """Apply the offer at a price that `price` returned, and take it off the basket."""
    target = offer.target or WHOLE_ORDER
    if target.lines == NOTHING and not target.by_unit:
        if not discount_minor:
            return AppliedOffer(offer, 0)
        basket.shipping_minor -= discount_minor
        return AppliedOffer(offer, discount_minor, ((SHIPPING, discount_minor),))
    basket.left_minor -= discount_minor
    basket.room_minor -= discount_minor
    if target.by_unit:
        return AppliedOffer(offer, discount_minor, take_off_units(basket, discount_minor, weights, unit_groups))
    parts = take_off_lines(basket, target.lines, discount_minor, weights)
    lines = basket.lines if target.lines is None else [basket.lines[index] for index in target.lines]
    return AppliedOffer(
        offer, discount_minor, tuple([(line.line_id, part) for line, part in zip(lines, parts, strict=True) if part])
    )


def take_off_lines(
    basket: Basket, indices: tuple[int, ...] | None, discount_minor: int, weights: Sequence[int] | None = None
) -> Sequence[int]:
    """Take a discount off the lines at `indices` (None: all) and return each line's part.

    `weights` are those that `price` returned; None for what is left of the lines. Sums of the basket as a whole stay.
    """
    if weights is None:
        weights = basket.amounts if basket.rooms is None else basket.rooms
        if indices is not None:
            weights = [weights[index] for index in indices]
    parts, of_units = spread_over_lines(basket, indices, discount_minor, weights)
    take_lines(basket, indices, parts, of_units)
    return parts


def take_off_units(
    basket: Basket, discount_minor: int, weights: Sequence[int], unit_groups: tuple[UnitGroup, ...]
) -> tuple[tuple[str, int], ...]:
    """Take a discount off single units, and return the part of each line. Sums of the basket as a whole stay."""
    # The odd minor units go to the units with most left, so it makes no difference on which lines equal units are.
    ordered = sorted(
        zip(unit_groups, weights, strict=True), key=lambda pair: (*most_room_first(pair[0]), pair[0].index)
    )
    parts = spread_over_units(discount_minor, [(group.count, weight) for group, weight in ordered])
    unit_groups = tuple([group for group, _ in ordered])
    take_units(basket, unit_groups, parts)
    shares: dict[int, int] = {}
    for group, taken in zip(unit_groups, parts, strict=True):
        shares[group.index] = shares.get(group.index, 0) + sum([count * each for count, each in taken])
    return tuple([(basket.lines[index].line_id, part) for index, part in sorted(shares.items()) if part])


def _price_units(basket: Basket, discount: DiscountOffer, target: Target, fixed_minor: int) -> Price:
    """Return the price of an offer by unit. The weights are those of one unit of each group."""
    unit_groups = pick_units(basket, target)
    weights = [group.room_minor for group in unit_groups]
    if discount.per_unit:
        each = [min(group.left_minor, fixed_minor) for group in unit_groups]
        weights = [min(one, room) for one, room in zip(each, weights, strict=True)]
        wanted = sum([group.count * one for group, one in zip(unit_groups, each, strict=True)])
        if discount.max_discount_minor is not None:
            wanted = min(wanted, discount.max_discount_minor)
    else:
        base = sum([group.count * group.left_minor for group in unit_groups])
        wanted = amount_off(discount, min(base, basket.left_minor + basket.rebate_minor), fixed_minor)
    max_discount = sum([group.count * weight for group, weight in zip(unit_groups, weights, strict=True)])
    return max(min(wanted, max_discount, basket.left_minor, basket.room_minor), 0), weights, unit_groups
