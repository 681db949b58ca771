"""What is left of an order after several offers, reckoned line by line only where somebody has to know.

Most combinations that a search tries lose, and of those only the total counts. Offers that take their discount from
the same lines need nothing but the sum of these lines: their shares are left open (`pending`), and are spread when an
offer looks at other lines, or at units. The amounts come out as `pricing.price` and `pricing.take` give them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from shared.domain.offers.discount import reckon
from shared.domain.offers.price import NOTHING, price, price_of_shipping, spread_over
from shared.domain.offers.request import Basket, Offer

Where = int
"""The lines that an offer takes its discount from, as a number: the same number, the same lines."""

SHIPPING_ONLY: Where = -1
UNITS: Where = -2
WHOLE: Where = 0


class Places:
    """Numbers the sets of lines of several offers."""

    def __init__(self) -> None:
        self._numbers: dict[tuple[int, ...], int] = {}

    def number(self, offer: Offer) -> Where:
        """The number of the lines that `offer` looks at; SHIPPING_ONLY for none, UNITS where single units count."""
        if offer.units is not None:
            return UNITS
        if offer.indices is None:
            return WHOLE
        if offer.indices == NOTHING:
            return SHIPPING_ONLY
        return self._numbers.setdefault(offer.indices, len(self._numbers) + 1)


@dataclass(slots=True)
class Rest:
    """What is left of an order, in minor units. It is not changed by `after`, so that several may follow it.

    `settled` is the order line by line before the `pending` offers, which all look at the lines `where`; of these,
    `amount_minor` and `room_minor_there` are left. `sums` remembers both sums for sets of lines of `settled`.
    """

    settled: Basket
    left_minor: int
    room_minor: int
    shipping_minor: int
    pending: tuple[tuple[Offer, int], ...] = ()
    where: Where = WHOLE
    amount_minor: int = 0
    room_minor_there: int = 0
    sums: dict[Where, tuple[int, int]] = field(default_factory=dict)

    @classmethod
    def of(cls, basket: Basket) -> "Rest":
        """All of `basket`, which must not change any more."""
        return cls(basket, basket.left_minor, basket.room_minor, basket.shipping_minor)

    @property
    def most_minor(self) -> int:
        """More than this can't be taken off it any more."""
        return min(self.left_minor, self.room_minor) + self.shipping_minor

    def price(self, offer: Offer, where: Where) -> int:
        """What `offer` takes off, as `pricing.price` says."""
        if where == SHIPPING_ONLY:
            return price_of_shipping(offer, self.shipping_minor)
        if where == UNITS:
            self._settle()
            return price(self._whole(), offer)[0]
        amount, room = self._sums(offer, where)
        base = self.left_minor
        if self.settled.amounts and amount < base:
            base = amount
        discount = reckon(offer.campaign.discount, base, offer.fixed_minor)
        if self.settled.rooms is None:
            return min(discount, self.room_minor)
        return min(discount, self.room_minor, room)

    def after(self, offer: Offer, where: Where, discount_minor: int) -> "Rest":
        """What is left when `offer` has taken `discount_minor`, which must be what `price` says."""
        if not discount_minor:
            return self
        if where == SHIPPING_ONLY:
            return Rest(
                self.settled, self.left_minor, self.room_minor, self.shipping_minor - discount_minor,
                self.pending, self.where, self.amount_minor, self.room_minor_there, self.sums,
            )  # fmt: skip
        left, room = self.left_minor - discount_minor, self.room_minor - discount_minor
        amount = room_there = 0
        if where == UNITS:
            self._settle()  # whose units they are shows in the lines: they are spread at once
        elif self.settled.amounts:
            amount, room_there = self._sums(offer, where)
            amount, room_there = amount - discount_minor, room_there - discount_minor
        pending = (*self.pending, (offer, discount_minor))
        return Rest(self.settled, left, room, self.shipping_minor, pending, where, amount, room_there, self.sums)

    def _sums(self, offer: Offer, where: Where) -> tuple[int, int]:
        """What is left of the offer's lines, and what earlier requests left of it."""
        if self.pending:
            if self.where == where:
                return self.amount_minor, self.room_minor_there
            self._settle()
        found = self.sums.get(where)
        if found is None:
            amounts, rooms = self.settled.amounts, self.settled.rooms
            amount = _sum_of(amounts, offer)
            found = self.sums[where] = (amount, amount if rooms is None else _sum_of(rooms, offer))
        return found

    def _settle(self) -> None:
        """Spread what is pending. What is left stays the same."""
        if not self.pending:
            return
        basket = self.settled.copy()
        for offer, discount in self.pending:
            weights = price(basket, offer)[1] if offer.units is not None else None
            spread_over(basket, offer, discount, weights)
        self.settled, self.pending, self.sums = basket, (), {}

    def _whole(self) -> Basket:
        """The settled lines with what is left of the whole."""
        basket = self.settled
        return Basket(basket.amounts, self.left_minor, self.room_minor, basket.rooms, self.shipping_minor, basket.lines)


def _sum_of(amounts: Sequence[int], offer: Offer) -> int:
    return sum(amounts) if offer.indices is None else sum([amounts[index] for index in offer.indices])
