"""Keep track of what is left of an order to discount: line by line and, if an offer requires it, unit by unit."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import sub

from shared.domain.model.order import SHIPPING, Line, Order
from shared.domain.model.state import ActiveRedemption, LockedUse
from shared.domain.offers.request import Target, UnitGroup

Runs = tuple[tuple[int, int], ...]
"""(units, what is left of each of them in minor units): the units of one line, in order"""


@dataclass(slots=True)
class Basket:
    """The remaining price of an order, in minor units.

    - `amounts`: the remaining price of each line; empty without lines.
    - `left_minor`: the remaining price of all goods. Discounts of earlier requests don't reduce these two.
    - `room_minor`: how much can still be taken off all goods after the discounts of earlier requests.
    - `rooms`: the same for each line; None if earlier requests took nothing off a line.
    - `shipping_minor`: the remaining price of the shipping.
    - `runs`: the units of lines whose single units were discounted; None if there are none.

    Percentages are computed from the first two; the rooms keep all discounts together within the order and each line.
    """

    amounts: list[int]
    left_minor: int
    room_minor: int
    rooms: list[int] | None = None
    shipping_minor: int = 0
    lines: tuple[Line, ...] = ()
    runs: dict[int, Runs] | None = None

    def copy(self) -> "Basket":
        """Return a copy to try a choice on."""
        return Basket(
            list(self.amounts), self.left_minor, self.room_minor,
            rooms=None if self.rooms is None else list(self.rooms), shipping_minor=self.shipping_minor,
            lines=self.lines, runs=None if self.runs is None else dict(self.runs),
        )  # fmt: skip


def basket_of(order: Order, earlier: Sequence[ActiveRedemption | LockedUse] = ()) -> Basket:
    """Return the order as a basket, less what `earlier` requests took off. Negative amounts count as 0."""
    amount_minor = max(0, order.amount_minor)
    shipping_minor = max(0, order.shipping_minor)
    amounts = [line.unit_minor * line.quantity for line in order.lines]
    if amounts and min(amounts) < 0:
        amounts = [max(amount, 0) for amount in amounts]
    if not earlier:
        return Basket(amounts, amount_minor, amount_minor, None, shipping_minor, order.lines)
    already_discounted: dict[str, int] = {}
    for use in earlier:
        for line_id, part in use.lines:
            already_discounted[line_id] = already_discounted.get(line_id, 0) + part
    of_shipping = already_discounted.pop(SHIPPING, 0)
    shipping_minor = max(shipping_minor - of_shipping, 0)
    room_minor = max(amount_minor + of_shipping - sum(use.discount_minor for use in earlier), 0)
    if not already_discounted or not amounts:
        return Basket(amounts, amount_minor, room_minor, None, shipping_minor, order.lines)
    rooms = []
    for line, amount in zip(order.lines, amounts, strict=True):
        part = min(already_discounted.get(line.line_id, 0), amount)
        rooms.append(amount - part)
        if part:
            already_discounted[line.line_id] -= part  # two lines with the same id share its discount
    return Basket(amounts, amount_minor, room_minor, rooms, shipping_minor, order.lines)


# Units


def pick_units(basket: Basket, target: Target) -> tuple[UnitGroup, ...]:
    """Return the units that an offer by unit takes: the first of the target that have something left.

    Of units with the same price those with most left come first. So two coupons for one unit each take two units, and
    the order of the units doesn't depend on whether they are one line or several.
    """
    wanted = target.max_units
    unit_groups: list[UnitGroup] = []
    for _, indices in groupby(target.lines or (), key=lambda index: basket.lines[index].unit_minor):
        units = [group for index in indices for group in _units_of(basket, index) if group.room_minor > 0]
        units.sort(key=lambda group: -group.room_minor)
        for group in units:
            if wanted is None or group.count <= wanted:
                unit_groups.append(group)
            elif wanted:
                unit_groups.append(UnitGroup(group.index, wanted, group.left_minor, group.room_minor))
            if wanted is not None:
                wanted -= min(group.count, wanted)
        if wanted == 0:
            break
    return tuple(unit_groups)


def take_units(basket: Basket, unit_groups: Sequence[UnitGroup], parts: Sequence[Runs]) -> None:
    """Take `parts` off the units of `unit_groups`: for each group the result of `spread_over_units`.

    Sums of the basket as a whole stay as they are.
    """
    by_line: dict[int, list[tuple[UnitGroup, Runs]]] = {}
    for group, runs in zip(unit_groups, parts, strict=True):
        by_line.setdefault(group.index, []).append((group, runs))
    for index, taken in by_line.items():
        left = _without(_runs_of(basket, index), taken)
        if basket.runs is None:
            basket.runs = {}
        basket.runs[index] = left
        part = sum(count * each for _, run in taken for count, each in run)
        basket.amounts[index] -= part
        if basket.rooms is not None:
            basket.rooms[index] -= part


def take_lines(basket: Basket, indices: Sequence[int] | None, parts: Sequence[int]) -> None:
    """Take `parts` off the lines at `indices` (None: all). Sums of the basket as a whole stay as they are."""
    if basket.runs:
        for index, part in zip(range(len(parts)) if indices is None else indices, parts, strict=True):
            if part and index in basket.runs:
                basket.runs[index] = _spread_over_line(basket.runs[index], part)
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


def spread(discount_minor: int, weights: Sequence[int]) -> list[int]:
    """Split `discount_minor` by `weights` (each ≥ 0), by largest remainder; ties go to the earlier line.

    The parts sum to the whole and, as the whole is at most the sum of the weights, no part exceeds its weight. Without
    any weight all parts are 0.
    """
    if len(weights) == 1:
        return [discount_minor if weights[0] > 0 else 0]
    total = sum(weights)
    if total <= 0:
        return [0] * len(weights)
    parts = [discount_minor * weight // total for weight in weights]
    missing = discount_minor - sum(parts)
    if missing:
        remainders = [discount_minor * weight % total for weight in weights]
        for index in sorted(range(len(weights)), key=remainders.__getitem__, reverse=True)[:missing]:
            parts[index] += 1
    return parts


def spread_over_units(discount_minor: int, units: Sequence[tuple[int, int]]) -> list[Runs]:
    """Split `discount_minor` over runs of equal units, (count, weight of each): as `spread` over every single unit.

    Return for each run (units, part of each): one pair, or two if some units get one minor unit more.
    """
    total = sum([count * weight for count, weight in units])
    if total <= 0:
        return [((count, 0),) for count, _ in units]
    shares = [discount_minor * weight // total for _, weight in units]
    missing = discount_minor - sum([count * share for (count, _), share in zip(units, shares, strict=True)])
    more = [0] * len(units)
    if missing:
        remainders = [discount_minor * weight % total for _, weight in units]
        for index in sorted(range(len(units)), key=remainders.__getitem__, reverse=True):
            more[index] = min(units[index][0], missing)
            missing -= more[index]
    return [
        tuple([run for run in ((extra, share + 1), (count - extra, share)) if run[0]])
        for (count, _), share, extra in zip(units, shares, more, strict=True)
    ]


def _units_of(basket: Basket, index: int) -> Iterator[UnitGroup]:
    """Yield the line's units with what may be taken of each: earlier requests used up the units with least left."""
    runs = _runs_of(basket, index)
    if basket.rooms is None or basket.rooms[index] >= basket.amounts[index]:
        for count, left in runs:
            yield UnitGroup(index, count, left, left)
        return
    room = basket.rooms[index]
    for count, left in sorted(runs, key=lambda run: -run[1]):
        whole = min(count, room // left) if left else 0
        if whole:
            yield UnitGroup(index, whole, left, left)
        room -= whole * left
        if room and whole < count:
            yield UnitGroup(index, 1, left, room)
            room = 0


def _runs_of(basket: Basket, index: int) -> Runs:
    """Return the line's units. If no single unit was discounted, all have an equal share of what is left."""
    if basket.runs is not None and (known := basket.runs.get(index)) is not None:
        return known
    quantity = basket.lines[index].quantity
    left, one_more = divmod(basket.amounts[index], quantity)
    return tuple([run for run in ((quantity - one_more, left), (one_more, left + 1)) if run[0]])


def _without(runs: Runs, taken: Sequence[tuple[UnitGroup, Runs]]) -> Runs:
    """Return the line's units after `taken`: groups with the parts taken off their units."""
    left: dict[int, int] = {}
    for count, minor in runs:
        left[minor] = left.get(minor, 0) + count
    for group, parts in taken:
        left[group.left_minor] -= group.count
        for count, part in parts:
            left[group.left_minor - part] = left.get(group.left_minor - part, 0) + count
    return tuple([(count, minor) for minor, count in sorted(left.items()) if count])


def _spread_over_line(runs: Runs, part: int) -> Runs:
    parts = spread_over_units(part, runs)
    return tuple([(units, left - each) for (_, left), run in zip(runs, parts, strict=True) for units, each in run])
