"""An order as the decision sees it: money in integer minor units, nothing optional left to guess."""

from collections.abc import Mapping
from dataclasses import field
from datetime import datetime
from typing import Any, Final

from shared.domain.money import MOST_MINOR, MoneyError
from shared.domain.value import value

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


def check_order(order: Order) -> Order:
    """The order, all of whose amounts fit the ledger: each line's, their sum, and what it costs with its shipping.

    Raises MoneyError.
    """
    total = 0
    for line in order.lines:
        total += line.amount_minor
        if line.amount_minor > MOST_MINOR:
            raise MoneyError(f"Line {line.line_id!r} is too large: its price times its quantity has at most 18 digits.")
    if max(total, order.amount_minor + order.shipping_minor) > MOST_MINOR:
        raise MoneyError("The order is too large: at most 18 digits, decimals included.")
    return order
