"""An order in the form that decisions read: money is in integer minor units."""

from collections.abc import Mapping
from dataclasses import field, replace
from datetime import datetime
from typing import Any, Final

from shared.constructor import constructor
from shared.domain.model.ids import OrderKey, order_text
from shared.domain.model.money import MAX_MINOR, MoneyError
from shared.domain.model.value import value

SHIPPING: Final = ""
"""The line id of shipping. No real line has an empty id."""


@value
class Line:
    """One line of an order. `unit_minor` is the price of one unit, in minor units of the order's currency."""

    line_id: str
    product_id: str
    quantity: int
    unit_minor: int
    variant_id: str | None = None
    collection_ids: tuple[str, ...] = ()
    metadata: Mapping[str, Any] | None = field(default=None, hash=False)

    @property
    def amount_minor(self) -> int:
        return self.unit_minor * self.quantity

    def with_quantity(self, quantity: int) -> "Line":
        """Return the line with another quantity."""
        return replace(self, quantity=quantity)


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
    """Return `order`. Raises MoneyError if goods and shipping, or all lines, sum to more than 18 digits.

    Each amount may have 18 digits, but a discount on both, or on all lines, is one amount as well.
    """
    lines_minor = sum([line.unit_minor * line.quantity for line in order.lines])
    if max(order.amount_minor + order.shipping_minor, lines_minor) > MAX_MINOR:
        raise MoneyError(
            f"The order {order_text(order.order_id)} is too large: its amounts come to more than 18 digits together, "
            "decimals included. Split it."
        )
    return order
