"""An order in the form that decisions read: money is in integer minor units."""

from collections.abc import Mapping
from dataclasses import field, replace
from datetime import datetime
from decimal import Decimal
from math import floor
from typing import Any, Final

from shared.constructor import constructor
from shared.domain.model.ids import OrderKey, order_text
from shared.domain.model.money import MAX_MINOR, MoneyError, format_for_message
from shared.domain.model.quantity import Quantity, UnitPrice, amount_of
from shared.domain.model.value import value

SHIPPING: Final = ""
"""The line id of shipping. No real line has an empty id."""


@value
class ExactLine:
    """What was ordered, of a line whose quantity or price of one unit is not a whole number.

    `amount_minor` is the quantity times the price, rounded once.
    """

    quantity: Quantity
    unit_minor: UnitPrice
    amount_minor: int


@value
class Line:
    """One line of an order. `unit_minor` is the price of one unit, in minor units of the order's currency.

    The amount of a rebate is negative. `exact` is set if the quantity or the price is not a whole number. Goods with a
    fraction as their quantity (0.395 kg) are one unit that costs the amount of the line. A price with a part of a minor
    unit (0.0045) is rounded down in `unit_minor`; the quantity stays as it is, and units differ by one minor unit.
    """

    line_id: str
    product_id: str
    quantity: int
    unit_minor: int
    variant_id: str | None = None
    collection_ids: tuple[str, ...] = ()
    metadata: Mapping[str, Any] | None = field(default=None, hash=False)
    exact: ExactLine | None = None

    @property
    def amount_minor(self) -> int:
        return self.unit_minor * self.quantity if self.exact is None else self.exact.amount_minor

    @property
    def unit_price(self) -> UnitPrice:
        """Return the exact price of a unit that is priced on its own, to compare it with other units."""
        exact = self.exact
        return self.unit_minor if exact is None or isinstance(exact.quantity, Decimal) else exact.unit_minor

    @property
    def ordered(self) -> tuple[str, Quantity, UnitPrice]:
        """Return the line's id, the quantity that was ordered, and the price of one unit."""
        if self.exact is None:
            return self.line_id, self.quantity, self.unit_minor
        return self.line_id, self.exact.quantity, self.exact.unit_minor

    def with_quantity(self, ordered: Quantity) -> "Line":
        """Return the line with another quantity of the same goods. What is left of a weight is still a weight."""
        quantity, unit_minor, exact = exact_line(ordered, self.ordered[2])
        return replace(self, quantity=quantity, unit_minor=unit_minor, exact=exact)


def exact_line(quantity: Quantity, unit_minor: UnitPrice) -> tuple[int, int, ExactLine | None]:
    """Return the quantity and price of one unit by which a line is priced, and what was ordered if that differs."""
    if isinstance(quantity, int) and isinstance(unit_minor, int):
        return quantity, unit_minor, None
    exact = ExactLine(quantity, unit_minor, amount_of(quantity, unit_minor))
    if isinstance(quantity, Decimal):
        return 1, exact.amount_minor, exact
    return quantity, floor(unit_minor), exact


@value
class Order:
    """The order that coupons are judged for.

    `order_id` is the order's key. `amount_minor` is the cost of the goods as given by the order system, `lines` are the
    goods (if empty, the amount counts as one line that no product rule matches). `placed_at` is UTC, None if there is
    no order yet. `channel` is where it was placed. `cycle` counts a subscription's orders from 1; 0 if the order has no
    subscription. A shop's subscription has a key as its orders have.
    """

    order_id: OrderKey
    currency: str
    amount_minor: int
    lines: tuple[Line, ...] = ()
    shipping_minor: int = 0
    placed_at: datetime | None = None
    channel: str | None = None
    subscription_id: str | None = None
    cycle: int = 0
    metadata: Mapping[str, Any] | None = field(default=None, hash=False)

    @property
    def is_free(self) -> bool:
        """Return whether neither the goods nor the shipping cost anything, before any discount."""
        return self.amount_minor <= 0 and self.shipping_minor <= 0

    def with_goods(self, lines: tuple[Line, ...], amount_minor: int) -> "Order":
        """Return the order with other goods."""
        return replace(self, lines=lines, amount_minor=amount_minor)


def is_same_content(known: Order, order: Order) -> bool:
    """Return whether two versions of an order have the same goods, prices and circumstances, whenever placed."""
    return (
        known.currency == order.currency
        and known.amount_minor == order.amount_minor
        and known.lines == order.lines
        and known.shipping_minor == order.shipping_minor
        and known.channel == order.channel
        and known.subscription_id == order.subscription_id
        and known.cycle == order.cycle
        and known.metadata == order.metadata
    )


# Every order creates these.
new_line: Final = constructor(Line)
new_order: Final = constructor(Order)


def check_amounts(order: Order) -> Order:
    """Return `order`. Raises MoneyError if its amount is negative, or amounts sum to more than 18 digits.

    Each amount may have 18 digits, but a discount on both goods and shipping, or on all lines, is one amount as well.
    """
    amounts = [
        line.unit_minor * line.quantity if line.exact is None else line.exact.amount_minor for line in order.lines
    ]
    if order.amount_minor < 0:
        raise MoneyError(
            f"The lines come to {format_for_message(order.amount_minor, order.currency)} {order.currency}, and an "
            "order can't cost less than nothing: leave out rebates beyond its price.",
            "lines",
        )
    if order.amount_minor + order.shipping_minor > MAX_MINOR:
        raise MoneyError(_TOO_LARGE.format(order_text(order.order_id)), "amount")
    if amounts and (sum(map(abs, amounts)) if min(amounts) < 0 else sum(amounts)) > MAX_MINOR:
        raise MoneyError(_TOO_LARGE.format(order_text(order.order_id)), "lines")
    return order


_TOO_LARGE: Final = (
    "The order {} is too large: its amounts come to more than 18 digits together, decimals included. Split it."
)
