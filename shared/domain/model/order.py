"""An order as the decision sees it: money in integer minor units, nothing optional left to guess."""

from collections.abc import Mapping
from dataclasses import field
from datetime import datetime
from typing import Any, Final

from shared.domain.model.money import MAX_MINOR, MoneyError
from shared.domain.model.value import value

SHIPPING: Final = ""
"""Stands for the shipping where a line's id stands: no line can have an empty one."""


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


@value
class Order:
    """What a coupon is judged against.

    `amount_minor` is what the order system says the goods cost, `lines` what they consist of (may be empty: then
    the amount stands for one line that no product rule matches). `placed_at` is UTC, None where there is no order yet.
    `channel`: where it was placed. `cycle` counts a subscription's orders from 1; 0 where the order is of none.
    """

    order_id: str
    currency: str
    amount_minor: int
    lines: tuple[Line, ...] = ()
    shipping_minor: int = 0
    placed_at: datetime | None = None
    channel: str | None = None
    subscription_id: str | None = None
    cycle: int = 0
    metadata: Mapping[str, Any] | None = field(default=None, hash=False)


def check_amounts(order: Order) -> Order:
    """Return `order`. Raises MoneyError where goods and shipping, or the lines, come to more than 18 digits together.

    Each amount alone may have 18 digits, but what a coupon takes off both, or off all lines, is one amount as well.
    """
    lines_minor = sum([line.unit_minor * line.quantity for line in order.lines])
    if max(order.amount_minor + order.shipping_minor, lines_minor) > MAX_MINOR:
        raise MoneyError(
            f"The order {order.order_id!r} is too large: its amounts come to more than 18 digits together, "
            "decimals included. Split it."
        )
    return order
