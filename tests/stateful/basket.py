"""What an order consists of in the model, and how discounts are spread over its lines and taken back by returns.

All in minor units. A discount is spread by largest remainder, an equal remainder to the earlier line. Once earlier
requests took something off, it is spread over single units, by what each has left.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from shared.domain.model.order import Order
from shared.domain.model.order_commands import ReturnOrder

Parts = dict[str, int]
"""line id → its part of a discount; lines without a part are left out"""


@dataclass(frozen=True)
class Content:
    """What an order is: its lines (id, units, price of one), if it names any, and its place in a subscription."""

    lines: tuple[tuple[str, int, int], ...]
    amount: int
    subscription: str | None = None
    cycle: int = 0

    @classmethod
    def of(cls, order: Order) -> "Content":
        lines = tuple((line.line_id, line.quantity, line.unit_minor) for line in order.lines)
        return cls(lines, order.amount_minor, order.subscription_id, order.cycle)

    @property
    def units(self) -> dict[str, int]:
        return {line_id: units for line_id, units, _ in self.lines}


def spread(total: int, weights: Sequence[int]) -> list[int]:
    """Split `total` by weights, by largest remainder."""
    whole = sum(weights)
    if not whole:
        return [0 for _ in weights]
    parts = [total * weight // whole for weight in weights]
    by_remainder = sorted(range(len(weights)), key=lambda index: (-(total * weights[index] % whole), index))
    for index in by_remainder[: total - sum(parts)]:
        parts[index] += 1
    return parts


@dataclass
class Basket:
    """What is left of an order. `rooms` is what earlier requests left of each unit, by line; None if they took nothing.

    `left` is what a percentage is computed from, `room` how much can be taken off at all.
    """

    content: Content
    left: int
    room: int
    amounts: list[int]
    rooms: list[list[int]] | None = None

    @classmethod
    def of(cls, content: Content, earlier: Iterable[tuple[int, Parts]] = ()) -> "Basket":
        """Return the order less what earlier requests took off: (discount, its parts)."""
        earlier = list(earlier)
        room = max(content.amount - sum(discount for discount, _ in earlier), 0)
        basket = cls(content, content.amount, room, [units * price for _, units, price in content.lines])
        if content.lines and any(parts for _, parts in earlier):
            basket.rooms = [[price] * units for _, units, price in content.lines]
            for _, parts in earlier:
                for (line_id, _, _), units in zip(content.lines, basket.rooms, strict=True):
                    _take(units, min(parts.get(line_id, 0), sum(units)))
        return basket

    def price(self, wanted: int) -> int:
        """Return how much of the wanted discount can be taken off."""
        most = min(wanted, self.room)
        return most if self.rooms is None else min(most, sum(map(sum, self.rooms)))

    def take(self, discount: int) -> Parts:
        """Take a discount off, and return its parts."""
        self.left, self.room = self.left - discount, self.room - discount
        if self.rooms is None:
            parts = spread(discount, self.amounts)
            self.amounts = [amount - part for amount, part in zip(self.amounts, parts, strict=True)]
        else:
            of_units = iter(spread(discount, [room for units in self.rooms for room in units]))
            taken = [[next(of_units) for _ in units] for units in self.rooms]
            self.rooms = [
                sorted(room - part for room, part in zip(units, parts, strict=True))
                for units, parts in zip(self.rooms, taken, strict=True)
            ]
            parts = list(map(sum, taken))
        return {line_id: part for (line_id, _, _), part in zip(self.content.lines, parts, strict=True) if part}

    def copy(self) -> "Basket":
        rooms = None if self.rooms is None else [list(units) for units in self.rooms]
        return Basket(self.content, self.left, self.room, list(self.amounts), rooms)


def _take(rooms: list[int], part: int) -> None:
    """Take a part of an earlier discount off the units of a line."""
    rooms.sort(reverse=True)
    rooms[:] = [room - one for room, one in zip(rooms, spread(part, rooms), strict=True)]


# Returns in part


@dataclass(frozen=True)
class Part:
    """A return in part: units of lines, or goods of an amount, or goods for which an amount was refunded."""

    at: datetime
    lines: tuple[tuple[str, int], ...] = ()
    amount: int | None = None
    refunded: int | None = None
    return_id: str | None = None

    @classmethod
    def of(cls, command: ReturnOrder, at: datetime) -> "Part | None":
        """Return the part that the command names; None if it names nothing."""
        units: dict[str, int] = {}
        for line_id, number in command.lines:
            units[line_id] = units.get(line_id, 0) + int(number)
        amount, refunded = minor(command.amount), minor(command.refunded_amount)
        if units:
            amount = refunded = None
        elif amount is not None:
            refunded = None
        elif refunded is None:
            return None
        return cls(at, tuple(sorted(units.items())), amount, refunded, command.return_id)

    @property
    def content(self) -> tuple[object, ...]:
        return self.lines, self.amount, self.refunded

    @property
    def key(self) -> object:
        """Return what two events about the same return have in common."""
        return (self.at, self.content) if self.return_id is None else self.return_id


def minor(amount: str | None) -> int | None:
    """Return an amount with two decimals in minor units."""
    return None if amount is None else int(amount.replace(".", ""))


def half_up(numerator: int, denominator: int) -> int:
    return (2 * numerator + denominator) // (2 * denominator)


@dataclass
class Returned:
    """What parts of an order come to: units by line, goods by amount."""

    content: Content
    units: dict[str, int] = field(default_factory=dict)
    goods: int = 0
    is_by_amount: bool = False

    @classmethod
    def of(cls, parts: Iterable[Part], content: Content, paid: int) -> "Returned":
        """Sum parts. `paid` is the price after discounts: a refund returns the same part of the goods as of it."""
        returned, ordered, refunded = cls(content), content.units, None
        for part in parts:
            for line_id, number in part.lines:
                if line_id in ordered:
                    returned.units[line_id] = min(returned.units.get(line_id, 0) + number, ordered[line_id])
            returned.goods += part.amount or 0
            if part.refunded is not None:
                refunded = (refunded or 0) + part.refunded
        if refunded is not None:
            is_all = refunded >= paid
            returned.goods += content.amount if is_all else half_up(refunded * content.amount, paid)
        returned.is_by_amount = returned.goods > 0 or refunded is not None
        return returned

    @property
    def is_everything(self) -> bool:
        costly = {line_id for line_id, _, price in self.content.lines if price > 0} or self.content.units.keys()
        units = self.content.units
        if units and all(self.units.get(one) == units[one] for one in costly if one in units):
            return True
        return self.is_by_amount and self.goods + self._worth >= self.content.amount

    @property
    def is_nothing(self) -> bool:
        return not self.is_by_amount and not any(self.units.values())

    @property
    def _worth(self) -> int:
        """Return the price of the returned units."""
        return sum(self.units.get(line_id, 0) * price for line_id, _, price in self.content.lines)

    def left(self, others: Iterable[tuple[int, Parts]]) -> Basket:
        """Return what is left of the order, less what other coupons take off it.

        Goods that were returned by their amount are the same part of every line, because it isn't known which they are.
        """
        lines = tuple((line, units - self.units.get(line, 0), price) for line, units, price in self.content.lines)
        listed = self.content.amount - self._worth
        amount = max(listed - self.goods, 0)
        basket = Basket.of(replace(self.content, lines=tuple(line for line in lines if line[1]), amount=amount), others)
        if amount < listed:
            basket.amounts = spread(sum(basket.amounts) * amount // listed, basket.amounts)
            if basket.rooms is not None:
                rooms = zip(basket.rooms, basket.amounts, strict=True)
                basket.rooms = [[min(sum(units), most)] for units, most in rooms]
        return basket

    def shares(self, parts: Parts) -> Parts:
        """Return the shares of the parts of a discount that the returned units had."""
        return {
            line_id: half_up(part * self.units.get(line_id, 0), self.content.units[line_id])
            for line_id, part in parts.items()
            if line_id in self.content.units
        }

    def share(self, discount: int, parts: Parts) -> int:
        """Return the share of a discount that the returned goods had."""
        share = sum(self.shares(parts).values())
        share += half_up(discount * min(self.goods, self.content.amount), self.content.amount)
        return min(share, discount)
