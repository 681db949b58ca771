"""Keep track of what is left of an order to discount: line by line and, if an offer requires it, unit by unit."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from operator import sub
from types import MappingProxyType
from typing import Final

from shared.constructor import constructor
from shared.domain.model.campaign import Campaign
from shared.domain.model.order import SHIPPING, Line, Order
from shared.domain.model.quantity import UnitPrice
from shared.domain.model.state import ActiveRedemption, LockedUse
from shared.domain.model.verdicts import LineShare
from shared.domain.offers.kinds import max_units_of
from shared.domain.offers.request import Target, UnitGroup
from shared.domain.offers.spread import Parts, spread, spread_over_units
from shared.domain.offers.unit_groups import (
    Units,
    joined_units,
    most_room_first,
    reduced_units,
    split_units,
    units_less,
    units_without,
)

_NO_CAMPAIGNS: Final[Mapping[str, Campaign]] = MappingProxyType({})


@dataclass(slots=True)
class Basket:
    """The remaining price of an order, in minor units.

    - `amounts`: the remaining price of each line; empty without lines.
    - `left_minor`: the remaining price of all goods. Discounts of earlier requests don't reduce these two.
    - `room_minor`: how much can still be taken off all goods after the discounts of earlier requests.
    - `rooms`: the same for each line; None if earlier requests took nothing off a line.
    - `shipping_minor`: the remaining price of the shipping.
    - `rebate_minor`: what lines with a negative price take off the order. They are 0 in `amounts`.
    - `units`: the units of lines from which this or an earlier request took something; None if there are none. The
      units of other lines are equal.

    Percentages are computed from the first two; the rooms keep all discounts together within the order and each line.
    """

    amounts: list[int]
    left_minor: int
    room_minor: int
    rooms: list[int] | None = None
    shipping_minor: int = 0
    lines: tuple[Line, ...] = ()
    units: dict[int, Units] | None = None
    rebate_minor: int = 0

    def copy(self) -> "Basket":
        """Return a copy to try a choice on."""
        return Basket(
            list(self.amounts), self.left_minor, self.room_minor,
            rooms=None if self.rooms is None else list(self.rooms), shipping_minor=self.shipping_minor,
            lines=self.lines, units=None if self.units is None else dict(self.units), rebate_minor=self.rebate_minor,
        )  # fmt: skip


_new_basket: Final = constructor(Basket)  # every order creates one


def basket_of(
    order: Order,
    earlier: Sequence[ActiveRedemption | LockedUse] = (),
    campaigns: Mapping[str, Campaign] = _NO_CAMPAIGNS,
) -> Basket:
    """Return the order as a basket, less what `earlier` requests took off. Negative amounts count as 0.

    `campaigns` are those of the earlier uses: which units of a line they took is found from these.
    """
    amount_minor = max(0, order.amount_minor)
    shipping_minor = max(0, order.shipping_minor)
    amounts = [
        line.unit_minor * line.quantity if line.exact is None else line.exact.amount_minor for line in order.lines
    ]
    rebate_minor = 0
    if amounts and min(amounts) < 0:
        rebate_minor = -sum([amount for amount in amounts if amount < 0])
        amounts = [max(amount, 0) for amount in amounts]
    if not earlier:
        return _new_basket(
            amounts, amount_minor, amount_minor, shipping_minor=shipping_minor, lines=order.lines,
            rebate_minor=rebate_minor,
        )  # fmt: skip
    shares = [share for use in earlier for share in use.lines]
    of_shipping = sum([part for line_id, part in shares if line_id == SHIPPING])
    shipping_minor = max(shipping_minor - of_shipping, 0)
    room_minor = max(amount_minor + of_shipping - sum(use.discount_minor for use in earlier), 0)
    if not amounts or all(line_id == SHIPPING for line_id, _ in shares):
        return Basket(amounts, amount_minor, room_minor, None, shipping_minor, order.lines, rebate_minor=rebate_minor)
    basket = Basket(
        amounts, amount_minor, room_minor, rooms=list(amounts), shipping_minor=shipping_minor, lines=order.lines,
        units={}, rebate_minor=rebate_minor,
    )  # fmt: skip
    for use in earlier:  # in the order of the ledger
        _take_earlier(basket, use.lines, campaigns.get(use.campaign_id))
    return basket


def scaled(basket: Basket, minor: int, of_minor: int) -> Basket:
    """Return the basket with the lines at `minor` of their `of_minor`, for goods that left the order by their amount:
    it isn't known from which lines. Its other sums are those of what is left already.
    """
    amounts = spread(sum(basket.amounts) * minor // of_minor, basket.amounts)
    rooms = None if basket.rooms is None else list(map(min, basket.rooms, amounts))
    return replace(basket, amounts=amounts, rooms=rooms, units=None if basket.units is None else {})


def _take_earlier(basket: Basket, shares: Iterable[LineShare], campaign: Campaign | None) -> None:
    """Take the shares of an earlier use off the rooms of the units that it took.

    An offer for some units took those of one line after the other, in the order of their price. Any other offer took an
    equal part of every unit.
    """
    parts: dict[str, int] = {}
    for line_id, share in shares:  # several lines may have the same id
        parts[line_id] = parts.get(line_id, 0) + share
    taken: dict[int, int] = {}
    rooms = basket.rooms or []
    for index, line in enumerate(basket.lines):
        part = min(parts.get(line.line_id, 0), rooms[index])
        if part > 0:
            taken[index] = part
            parts[line.line_id] -= part
    most_expensive_first = campaign is not None and campaign.scope.most_expensive_first
    by_price = sorted(taken, key=lambda index: basket.lines[index].unit_price, reverse=most_expensive_first)
    max_units = None if campaign is None else max_units_of(campaign)
    each_minor = campaign.discount.amount_minor if campaign is not None and campaign.discount.per_unit else None
    picked = pick_units(basket, Target(tuple(by_price), by_unit=True, max_units=max_units))
    for index, part in taken.items():
        count = sum([group.count for group in picked if group.index == index])
        _take_room(basket, index, count, part, each_minor)


def _take_room(basket: Basket, index: int, count: int, part: int, each_minor: int | None) -> None:
    """Take `part` off the rooms of `count` units of a line, those with most room first; the rest off the others.

    `each_minor`: the part was this amount of each unit; None: it was a percentage or an amount for all of them.
    """
    chosen, others = split_units(sorted(units_of(basket, index), key=most_room_first), count)
    max_part = sum([group.count * group.room_minor for group in chosen])
    equal = each_minor is not None and part <= sum([g.count * min(g.room_minor, each_minor) for g in chosen])
    units = reduced_units(chosen, min(part, max_part), each_minor=each_minor if equal else None)
    units += reduced_units(others, max(part - max_part, 0))
    if basket.rooms is not None and basket.units is not None:
        basket.rooms[index] -= part
        basket.units[index] = tuple(units)


# Units


def units_of(basket: Basket, index: int) -> Units:
    """Return the units of the line. They have equal shares of its price unless something was taken off single units."""
    if basket.units is not None and (known := basket.units.get(index)) is not None:
        return known
    quantity = basket.lines[index].quantity
    left, one_more = divmod(basket.amounts[index], quantity)
    groups = ((quantity - one_more, left), (one_more, left + 1))
    return tuple([UnitGroup(index, count, minor, minor) for count, minor in groups if count])


def pick_units(basket: Basket, target: Target) -> Units:
    """Return the units that an offer by unit takes: the first of the target that have something left.

    Of units with the same price those with most left come first. So two coupons for one unit each take two units, and
    the order of the units doesn't depend on whether they are one line or several.
    """
    wanted = target.max_units
    picked: list[UnitGroup] = []
    lines = basket.lines

    def price(index: int) -> UnitPrice:
        line = lines[index]
        return line.unit_minor if line.exact is None else line.unit_price  # most lines need no call

    for _, indices in groupby(target.lines or (), key=price):
        groups = [group for index in indices for group in units_of(basket, index) if group.room_minor > 0]
        groups.sort(key=most_room_first)
        if wanted is not None:
            groups, _ = split_units(groups, wanted)
            wanted -= sum([group.count for group in groups])
        picked += groups
        if wanted == 0:
            break
    return tuple(picked)


def take_units(basket: Basket, picked: Sequence[UnitGroup], parts: Sequence[Parts]) -> None:
    """Take `parts` off the units of `picked`: for each group the result of `spread_over_units`.

    Sums of the basket as a whole stay as they are.
    """
    if basket.units is None:
        basket.units = {}
    for group, taken in zip(picked, parts, strict=True):
        index, part = group.index, sum([count * each for count, each in taken])
        kept = units_without(units_of(basket, index), group)
        basket.units[index] = joined_units([*kept, *units_less(group, taken)])
        basket.amounts[index] -= part
        if basket.rooms is not None:
            basket.rooms[index] -= part


def spread_over_lines(
    basket: Basket, indices: Sequence[int] | None, discount_minor: int, weights: Sequence[int]
) -> tuple[list[int], dict[int, list[Parts]]]:
    """Split a discount over the lines at `indices` (None: all), by `weights`: what is left of each, or its room.

    Return the part of each line. If single units differ, also return the parts of the units of each line, by index: the
    discount is spread over the units then, so it makes no difference on which lines equal units are.
    """
    if not basket.units:
        return spread(discount_minor, weights), {}
    lines = range(len(basket.lines)) if indices is None else indices
    groups = [
        group for index, weight in zip(lines, weights, strict=True) if weight for group in units_of(basket, index)
    ]
    by_room = basket.rooms is not None
    of_units = [(group.count, group.room_minor if by_room else group.left_minor) for group in groups]
    parts: dict[int, list[Parts]] = {}
    for group, taken in zip(groups, spread_over_units(discount_minor, of_units), strict=True):
        parts.setdefault(group.index, []).append(taken)
    sums = {index: sum([count * each for part in several for count, each in part]) for index, several in parts.items()}
    return [sums.get(index, 0) for index in lines], parts


def take_lines(
    basket: Basket, indices: Sequence[int] | None, parts: Sequence[int], of_units: Mapping[int, Sequence[Parts]]
) -> None:
    """Take what `spread_over_lines` returned off the lines. Sums of the basket as a whole stay as they are."""
    for index, several in of_units.items():
        groups = units_of(basket, index)
        less = [one for group, taken in zip(groups, several, strict=True) for one in units_less(group, taken)]
        if basket.units is not None:
            basket.units[index] = joined_units(less)
    if indices is None:
        basket.amounts = list(map(sub, basket.amounts, parts))
        if basket.rooms is not None:
            basket.rooms = list(map(sub, basket.rooms, parts))
        return
    for index, part in zip(indices, parts, strict=True):
        if part:
            basket.amounts[index] -= part
            if basket.rooms is not None:
                basket.rooms[index] -= part
