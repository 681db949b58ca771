"""Compute what is left of an order after several offers, line by line only if an offer needs it.

Most combinations that a search tries lose, and only their totals matter. Offers that take their discount from
the same lines need only the sum of these lines: their shares are left open (`pending`), and are spread when an offer
needs other lines, or units. The amounts are those that `price.price` and `price.apply_price` give.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from shared.domain.offers.basket import Basket
from shared.domain.offers.kinds import amount_off
from shared.domain.offers.price import NOTHING, price, price_of_shipping, take_off_lines, take_off_units
from shared.domain.offers.request import WHOLE_ORDER, ResolvedOffer

LineSet = int
"""The lines that an offer takes its discount from, as a number: the same number, the same lines."""

SHIPPING_ONLY: LineSet = -1
UNITS: LineSet = -2
WHOLE: LineSet = 0


class LineSets:
    """A number for each set of lines of several offers."""

    def __init__(self) -> None:
        self._numbers: dict[tuple[int, ...], int] = {}

    def number(self, offer: ResolvedOffer) -> LineSet:
        """Return the number of the offer's lines: SHIPPING_ONLY for none, UNITS if units are priced one by one."""
        target = offer.target or WHOLE_ORDER
        if target.by_unit:
            return UNITS
        if target.lines is None:
            return WHOLE
        if target.lines == NOTHING:
            return SHIPPING_ONLY
        return self._numbers.setdefault(target.lines, len(self._numbers) + 1)


@dataclass(slots=True)
class Remainder:
    """The remaining price of an order, in minor units. `after` doesn't change it, so several steps may follow it.

    `settled` is the order line by line before the `pending` offers, which all apply to the lines of `line_set`. Of
    these lines, `amount_minor` and `lines_room_minor` are left. `sums` caches both sums for sets of lines of `settled`.
    """

    settled: Basket
    left_minor: int
    room_minor: int
    shipping_minor: int
    pending: tuple[tuple[ResolvedOffer, int], ...] = ()
    line_set: LineSet = WHOLE
    amount_minor: int = 0
    lines_room_minor: int = 0
    sums: dict[LineSet, tuple[int, int]] = field(default_factory=dict)

    @classmethod
    def of(cls, basket: Basket) -> "Remainder":
        """Return all of `basket`, which must not change afterwards."""
        return cls(basket, basket.left_minor, basket.room_minor, basket.shipping_minor)

    @property
    def max_discount_minor(self) -> int:
        """Return the maximum discount that is still possible."""
        return min(self.left_minor, self.room_minor) + self.shipping_minor

    def price(self, offer: ResolvedOffer, line_set: LineSet) -> int:
        """Return what `offer` takes off, as `price.price` does."""
        if line_set == SHIPPING_ONLY:
            return price_of_shipping(offer.discount, self.shipping_minor)
        if line_set == UNITS:
            self._settle()
            return price(self._whole(), offer)[0]
        amount, room = self._sums(offer, line_set)
        base = self.left_minor if line_set == WHOLE else self.left_minor + self.settled.rebate_minor
        if self.settled.amounts and amount < base:
            base = amount
        discount = amount_off(offer.discount, base, offer.fixed_minor or 0)
        if self.settled.rooms is None:
            return min(discount, self.room_minor)
        return min(discount, self.room_minor, room)

    def after(self, offer: ResolvedOffer, line_set: LineSet, discount_minor: int) -> "Remainder":
        """Return what is left after `offer`, where `discount_minor` is what `price` returned."""
        if not discount_minor:
            return self
        if line_set == SHIPPING_ONLY:
            return replace(self, shipping_minor=self.shipping_minor - discount_minor)
        left, room = self.left_minor - discount_minor, self.room_minor - discount_minor
        amount = room_there = 0
        if line_set == UNITS:
            self._settle()  # the discount depends on single units, so it is spread at once
        elif self.settled.amounts:
            amount, room_there = self._sums(offer, line_set)
            amount, room_there = amount - discount_minor, room_there - discount_minor
        pending = (*self.pending, (offer, discount_minor))
        return Remainder(
            self.settled, left, room, self.shipping_minor, pending=pending, line_set=line_set,
            amount_minor=amount, lines_room_minor=room_there, sums=self.sums,
        )  # fmt: skip

    def _sums(self, offer: ResolvedOffer, line_set: LineSet) -> tuple[int, int]:
        """Return what is left of the offer's lines, and what earlier requests left of them."""
        if self.pending:
            if self.line_set == line_set:
                return self.amount_minor, self.lines_room_minor
            self._settle()
        found = self.sums.get(line_set)
        if found is None:
            amounts, rooms = self.settled.amounts, self.settled.rooms
            amount = _sum_of(amounts, offer)
            found = self.sums[line_set] = (amount, amount if rooms is None else _sum_of(rooms, offer))
        return found

    def _settle(self) -> None:
        """Spread what is pending. What is left stays the same."""
        if not self.pending:
            return
        basket = self.settled.copy()
        for offer, discount in self.pending:
            if offer.target is not None and offer.target.by_unit:
                _, weights, unit_groups = price(basket, offer)
                take_off_units(basket, discount, weights, unit_groups)
            else:
                take_off_lines(basket, (offer.target or WHOLE_ORDER).lines, discount)
        self.settled, self.pending, self.sums = basket, (), {}

    def _whole(self) -> Basket:
        """Return the settled lines with what is left of the whole."""
        basket = self.settled
        return Basket(
            basket.amounts, self.left_minor, self.room_minor,
            rooms=basket.rooms, shipping_minor=self.shipping_minor, lines=basket.lines, units=basket.units,
            rebate_minor=basket.rebate_minor,
        )  # fmt: skip


def _sum_of(amounts: Sequence[int], offer: ResolvedOffer) -> int:
    indices = (offer.target or WHOLE_ORDER).lines
    return sum(amounts) if indices is None else sum([amounts[index] for index in indices])
