"""What was returned of an order in parts: each part is recorded once, whatever the order of arrival, and summed."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from shared.domain.model.money import MoneyError, half_up, parse_minor
from shared.domain.model.order import SHIPPING, Line, Order
from shared.domain.model.order_commands import ReturnOrder
from shared.domain.model.quantity import Quantity
from shared.domain.model.state import ActiveRedemption, LockedUse, PartReturn
from shared.domain.offers.price import AppliedOffer

MAX_RETURNED_PARTS: Final = 10_000
"""Maximum number of returned lines (or amounts) recorded for one order: as many as an order can have lines, so that
each line can be returned on its own. Beyond that, return the order as a whole."""


@dataclass(slots=True)
class ReturnedSoFar:
    """Everything returned so far: units by line id, at most what was ordered, and goods by amount.

    `refunded_minor` is what the customer got back for other goods, after discounts.
    """

    units: dict[str, Quantity] = field(default_factory=dict)
    amount_minor: int = 0
    refunded_minor: int | None = None

    @property
    def is_nothing(self) -> bool:
        """Return whether nothing was returned."""
        return not any(self.units.values()) and not self.amount_minor and self.refunded_minor is None


def part_of(command: ReturnOrder, now: datetime) -> PartReturn | None:
    """Return the part that the command names in normalised form, or None if it is empty."""
    units: dict[str, Quantity] = {}
    for line_id, count in command.lines:
        units[line_id] = units.get(line_id, 0) + count
    amount = None if units else command.amount
    refunded = None if units or amount is not None else command.refunded_amount
    if not units and amount is None and refunded is None:
        return None
    return PartReturn(command.at or now, tuple(sorted(units.items())), amount, command.return_id, refunded)


def amount_problem(part: PartReturn, currency: str | None) -> str | None:
    """Return why an amount of the part is not valid in `currency`; None if it is valid or the currency is unknown."""
    for name, amount in (("amount", part.amount), ("refunded_amount", part.refunded_amount)):
        if amount is not None and currency is not None:
            try:
                parse_minor(amount, currency)
            except MoneyError as error:
                return f"{name}: {error}"
    return None


def nothing_of(part: PartReturn, order: Order) -> str | None:
    """Return why the part is nothing of the order as it is now; None if it is a part of it."""
    if part.lines:
        ordered = quantities_of(order.lines)
        return None if any(ordered.get(line_id, 0) > 0 for line_id, _ in part.lines) else "unknown_lines"
    minor = _minor(part.amount if part.amount is not None else part.refunded_amount, order.currency)
    return "nothing_returned" if minor == 0 else None


def is_recorded(part: PartReturn, recorded: Sequence[PartReturn], currency: str | None) -> bool:
    """Return whether the same return was recorded before, under any event id."""
    key = _key(part, currency)
    return any(_key(known, currency) == key for known in recorded)


def content_problem(part: PartReturn, recorded: Sequence[PartReturn], currency: str | None) -> str | None:
    """Return the error if the part's `return_id` was recorded with other content, whenever it was returned."""
    if part.return_id is None:
        return None
    content = _content(part, currency)
    if all(known.return_id != part.return_id or _content(known, currency) == content for known in recorded):
        return None
    return other_content(part.return_id)


def other_content(return_id: str) -> str:
    """Return the error of a return under the id of another one."""
    return f"Return {return_id!r} of this order was recorded with other content; give each return its own id."


def with_part(part: PartReturn, recorded: Sequence[PartReturn]) -> tuple[PartReturn, ...]:
    """Return `recorded` plus `part`, in an order that doesn't depend on their arrival."""
    return tuple(sorted([*recorded, part], key=_arrival_key))


def _arrival_key(part: PartReturn) -> tuple[object, ...]:
    return part.at, part.lines, part.amount or "", part.refunded_amount or "", part.return_id or ""


def too_many(parts: Sequence[PartReturn]) -> bool:
    """Return whether these are more parts than can be recorded for one order."""
    return sum(max(len(part.lines), 1) for part in parts) > MAX_RETURNED_PARTS


def paid_minor(order: Order, uses: Iterable[ActiveRedemption | LockedUse | AppliedOffer]) -> int:
    """Return what the goods of the order cost after the discounts of `uses`, before anything was returned."""
    off = 0
    for use in uses:
        discount = use.burned_minor if isinstance(use, ActiveRedemption) else use.discount_minor or 0
        lines = use.shares if isinstance(use, AppliedOffer) else use.lines
        off += discount - sum([part for line_id, part in lines if line_id == SHIPPING])
    return max(order.amount_minor - off, 0)


def returned_so_far(parts: Iterable[PartReturn], order: Order, paid: int) -> ReturnedSoFar:
    """Sum `parts`. Lines that the order doesn't have, and invalid amounts, are ignored.

    `paid` is what the goods cost after discounts: a refund of a part of it returns the same part of the goods.
    """
    ordered = quantities_of(order.lines)
    returned = ReturnedSoFar()
    seen: set[object] = set()
    for part in parts:
        key = _key(part, order.currency)
        if key in seen:
            continue
        seen.add(key)
        for line_id, units in part.lines:
            if (quantity := ordered.get(line_id, 0)) > 0:
                returned.units[line_id] = min(returned.units.get(line_id, 0) + max(units, 0), quantity)
        returned.amount_minor += _minor(part.amount, order.currency) or 0
        if (refunded := _minor(part.refunded_amount, order.currency)) is not None:
            returned.refunded_minor = (returned.refunded_minor or 0) + refunded
    if returned.refunded_minor is not None:
        returned.amount_minor += _goods_for(returned.refunded_minor, order, paid)
    return returned


def _goods_for(refunded_minor: int, order: Order, paid: int) -> int:
    """Return the price, before discounts, of goods for which the customer got `refunded_minor` back."""
    if refunded_minor >= paid:
        return order.amount_minor
    return half_up(refunded_minor * order.amount_minor, paid)


def is_fully_returned(parts: Iterable[PartReturn], order: Order, paid: int) -> bool:
    """Return whether `parts` are all of the order: every unit of every line that costs something, or goods of the
    order's amount. Free samples and rebates don't have to come back.
    """
    returned = returned_so_far(parts, order, paid)
    ordered = {line_id: units for line_id, units in quantities_of(order.lines).items() if units > 0}
    costly = {line.line_id for line in order.lines if line.amount_minor > 0} or ordered.keys()
    if ordered and all(returned.units.get(one) == units for one, units in ordered.items() if one in costly):
        return True
    if returned.amount_minor <= 0 and returned.refunded_minor is None:
        return False
    return returned.amount_minor + worth_of(returned, order) >= order.amount_minor


def worth_of(returned: ReturnedSoFar, order: Order) -> int:
    """Return the price of the returned units."""
    left, worth = dict(returned.units), 0
    for line in order.lines:
        line_id, quantity, _ = line.ordered
        units = min(left.get(line_id, 0), max(quantity, 0))
        if units:
            left[line_id] -= units
            # The rest of what is left, so that the two are the amount of the line, however each is rounded.
            worth += line.amount_minor - line.with_quantity(quantity - units).amount_minor
    return worth


def quantities_of(lines: Iterable[Line]) -> dict[str, Quantity]:
    """Return ordered quantities by line id; lines with the same id are summed."""
    quantities: dict[str, Quantity] = {}
    for line in lines:
        line_id, quantity, _ = line.ordered
        quantities[line_id] = quantities.get(line_id, 0) + max(quantity, 0)
    return quantities


def _minor(amount: str | None, currency: str | None) -> int | None:
    if amount is None or currency is None:
        return None
    try:
        return parse_minor(amount, currency)
    except MoneyError:
        return None


def _key(part: PartReturn, currency: str | None) -> object:
    return (part.at, _content(part, currency)) if part.return_id is None else part.return_id


def _content(part: PartReturn, currency: str | None) -> object:
    minor, refunded = _minor(part.amount, currency), _minor(part.refunded_amount, currency)
    return (
        part.lines, part.amount if minor is None else minor, part.refunded_amount if refunded is None else refunded
    )  # fmt: skip
