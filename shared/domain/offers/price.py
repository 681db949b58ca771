"""What an offer takes off an order: from which lines and units of them, how much, and how that is spread.

    aim(offer, order)                        which lines and units it is good for; False: none of the order's
    discount, weights = price(basket, offer) on what is left of the order
    taken = take(basket, offer, discount, weights)

All in minor units, exact; parts sum to the whole and never exceed what is left of a line. Source: design §5.
"""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from operator import sub
from typing import Final

from shared.domain.model.campaign import PLAIN, Campaign, Scope
from shared.domain.model.money import MoneyError, parse_minor
from shared.domain.model.order import SHIPPING, Line, Order
from shared.domain.offers.discount import reckon, spread
from shared.domain.offers.request import AppliedOffer, Basket, Offer

NOTHING: Final[tuple[int, ...]] = ()
"""The lines of an offer that takes nothing from lines."""


def eligible_lines(scope: Scope, lines: tuple[Line, ...]) -> tuple[int, ...] | None:
    """The indices of the lines that `scope` is good for; None where it is good for the whole order."""
    wanted = scope.product_ids or scope.variant_ids or scope.collection_ids
    if not wanted and not scope.excludes:
        return None
    return tuple(
        [
            index
            for index, line in enumerate(lines)
            if (
                not wanted
                or line.product_id in scope.product_ids
                or line.variant_id in scope.variant_ids
                or not scope.collection_ids.isdisjoint(line.collection_ids)
            )
            and not (
                line.product_id in scope.excluded_product_ids
                or line.variant_id in scope.excluded_variant_ids
                or not scope.excluded_collection_ids.isdisjoint(line.collection_ids)
            )
        ]
    )


def aims(campaign: Campaign) -> bool:
    """Whether its coupons are good for less, or other, than the whole order: if not, there is nothing to aim at."""
    scope, discount = campaign.scope, campaign.discount
    return (
        discount.kind not in PLAIN or discount.per_unit or discount.amount_minor is None or scope.max_units is not None
        or bool(scope.product_ids or scope.variant_ids or scope.collection_ids) or scope.excludes
    )  # fmt: skip


def aim(offer: Offer, order: Order) -> bool:
    """Set the lines, and units of them, that the offer takes its discount from; False where it is good for nothing.

    A free product takes its price from the lines that list it, wherever else the campaign's scope points; free shipping
    and custom offers take nothing from lines.
    """
    scope, discount, lines = offer.campaign.scope, offer.campaign.discount, order.lines
    indices = eligible_lines(scope, lines)
    if indices is not None and not indices:
        return False
    kind = discount.kind
    offer.fixed_minor = discount.amount_minor
    if offer.fixed_minor is None:
        offer.fixed_minor = amount_in(discount.value, order.currency) or 0
    if kind == "free_product":
        listed = [index for index, line in enumerate(lines) if line.product_id == discount.product_id]
        offer.indices, offer.units = _pick(lines, listed, discount.units, dearest=False)
    elif kind in ("free_shipping", "custom"):
        offer.indices = NOTHING
    elif scope.max_units is None and not discount.per_unit:
        offer.indices = indices
    else:
        offer.indices, offer.units = _pick(
            lines, range(len(lines)) if indices is None else indices, scope.max_units, scope.dearest_first
        )
        return bool(offer.indices)
    return True


def _pick(
    lines: tuple[Line, ...], indices: Iterable[int], most: int | None, dearest: bool
) -> tuple[tuple[int, ...], tuple[tuple[int, int], ...]]:
    """At most `most` units of the lines, by their price: (indices in order, (units taken, units there are) of each)."""
    left = most
    picked: dict[int, int] = {}
    for index in sorted(indices, key=lambda index: -lines[index].unit_minor if dearest else lines[index].unit_minor):
        units = lines[index].quantity if left is None else min(lines[index].quantity, left)
        if units > 0:
            picked[index] = units
            left = None if left is None else left - units
    chosen = tuple(sorted(picked))
    return chosen, tuple([(picked[index], lines[index].quantity) for index in chosen])


@lru_cache(maxsize=4096)
def amount_in(value: str, currency: str) -> int | None:
    """An amount that names no currency, in minor units of the order's; None where that has too few decimals for it."""
    try:
        return parse_minor(value, currency)
    except MoneyError:
        return None


def price(basket: Basket, offer: Offer) -> tuple[int, Sequence[int]]:
    """What the offer takes off what is left, and the weights of its lines by which that is spread."""
    discount, indices, rooms = offer.campaign.discount, offer.indices, basket.rooms
    if offer.units is not None:
        return _price_units(basket, offer, offer.units)
    if indices == NOTHING:
        return price_of_shipping(offer, basket.shipping_minor), NOTHING
    amounts = basket.amounts
    weights = amounts if indices is None else [amounts[index] for index in indices]
    base = basket.left_minor
    if amounts and (listed := sum(weights)) < base:
        base = listed
    discount_minor = reckon(discount, base, offer.fixed_minor)
    if rooms is None:
        return (min(basket.room_minor, discount_minor)), weights
    # Spread over what earlier requests left, so that no line gives more than it costs.
    weights = rooms if indices is None else [rooms[index] for index in indices]
    discount_minor = min(discount_minor, basket.room_minor, sum(weights))
    return discount_minor, weights


def price_of_shipping(offer: Offer, shipping_minor: int) -> int:
    """What an offer that takes nothing from lines takes off what is left of the shipping."""
    discount = offer.campaign.discount
    if discount.kind != "free_shipping":
        return 0
    cap = discount.max_discount_minor
    return shipping_minor if cap is None else min(shipping_minor, cap)


def _price_units(basket: Basket, offer: Offer, units: tuple[tuple[int, int], ...]) -> tuple[int, Sequence[int]]:
    """The same where only some units of a line count, or each by itself: a unit is its share of what is left."""
    discount, indices, rooms = offer.campaign.discount, offer.indices or NOTHING, basket.rooms
    weights = [basket.amounts[index] * taken // there for index, (taken, there) in zip(indices, units, strict=True)]
    if discount.per_unit:
        weights = [min(left, (offer.fixed_minor or 0) * taken) for left, (taken, _) in zip(weights, units, strict=True)]
    wanted = sum(weights)
    if discount.per_unit or discount.kind == "free_product":
        if discount.max_discount_minor is not None:
            wanted = min(wanted, discount.max_discount_minor)
    else:
        wanted = reckon(discount, min(wanted, basket.left_minor), offer.fixed_minor)
    if rooms is not None:
        weights = [min(left, rooms[index]) for index, left in zip(indices, weights, strict=True)]
    return max(min(wanted, sum(weights), basket.left_minor, basket.room_minor), 0), weights


def take_alone(basket: Basket, offer: Offer) -> AppliedOffer:
    """The offer with its discount on the untouched order, when no other follows: the basket is of no use afterwards."""
    discount_minor, indices = offer.untouched_minor, offer.indices
    if indices == NOTHING:
        return take(basket, offer, discount_minor, offer.weights)
    parts, lines = spread(discount_minor, offer.weights), basket.lines
    if indices is not None:
        lines = tuple([lines[index] for index in indices])
    return AppliedOffer(
        offer, discount_minor, tuple([(line.line_id, part) for line, part in zip(lines, parts, strict=True) if part])
    )


def take(basket: Basket, offer: Offer, discount_minor: int, weights: Sequence[int]) -> AppliedOffer:
    """The offer with its discount spread over its lines; the basket is left with the rest."""
    if offer.indices == NOTHING:
        if not discount_minor:
            return AppliedOffer(offer, 0)
        basket.shipping_minor -= discount_minor
        return AppliedOffer(offer, discount_minor, ((SHIPPING, discount_minor),))
    basket.left_minor -= discount_minor
    basket.room_minor -= discount_minor
    lines = basket.lines if offer.indices is None else [basket.lines[index] for index in offer.indices]
    parts = spread_over(basket, offer, discount_minor, weights)
    return AppliedOffer(
        offer, discount_minor, tuple([(line.line_id, part) for line, part in zip(lines, parts, strict=True) if part])
    )


def spread_over(
    basket: Basket, offer: Offer, discount_minor: int, weights: Sequence[int] | None = None
) -> Sequence[int]:
    """Take an offer's discount off its lines, and give the part of each; the sums of the basket stay as they are.

    `weights` are those that `price` gave, None for what is left of the lines, which it gives where whole lines count.
    """
    amounts, rooms, indices = basket.amounts, basket.rooms, offer.indices
    if weights is None:
        weights = amounts if rooms is None else rooms
        if indices is not None:
            weights = [weights[index] for index in indices]
    parts = spread(discount_minor, weights)
    if indices is None:
        basket.amounts = list(map(sub, amounts, parts))
        if rooms is not None:
            basket.rooms = list(map(sub, rooms, parts))
        return parts
    for index, part in zip(indices, parts, strict=True):
        if part:
            amounts[index] -= part
            if rooms is not None:
                rooms[index] -= part
    return parts
