"""Convert orders and customers, as events and requests have them, to those that decisions read.

`schemas.orders` has checked the shape; this module checks the amounts.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Protocol

from schemas.common import present
from schemas.orders import OrderLine
from shared.domain.model.customer import Customer
from shared.domain.model.ids import OrderKey, order_key
from shared.domain.model.money import parse_minor
from shared.domain.model.order import Line, Order, check_amounts, new_line, new_order


class CustomerFields(Protocol):
    """The fields that models of a customer share."""

    @property
    def customer_id(self) -> str | None: ...
    @property
    def email(self) -> str | None: ...
    @property
    def mobile(self) -> str | None: ...
    @property
    def segments(self) -> tuple[str, ...] | None: ...


class OrderFields(Protocol):
    """The fields that models of an order share. `amount` None: the sum of the lines."""

    @property
    def currency(self) -> str: ...
    @property
    def amount(self) -> str | None: ...
    @property
    def shipping_amount(self) -> str | None: ...
    @property
    def lines(self) -> tuple[OrderLine, ...] | None: ...
    @property
    def placed_at(self) -> datetime | None: ...
    @property
    def channel(self) -> str | None: ...
    @property
    def subscription_id(self) -> str | None: ...
    @property
    def cycle(self) -> int | None: ...
    @property
    def metadata(self) -> Mapping[str, Any] | None: ...
    @property
    def shop_id(self) -> str | None: ...


def to_customer(customer: CustomerFields) -> Customer:
    """Return the domain's customer. A blank id is absent: Couponry's events can't have one."""
    return Customer(present(customer.customer_id), customer.email, customer.mobile, customer.segments)


def to_order(order: OrderFields, order_id: str, *, lines: tuple[Line, ...] | None = None) -> Order:
    """Return the domain's order. Raises MoneyError for the first amount that isn't valid in the order's currency.

    `order_id` is the shop's own id. `lines`: the order's lines, if they were converted before.
    """
    key: OrderKey = order_id  # type: ignore[assignment]  # without a shop; most orders, so no call
    subscription_id = order.subscription_id
    if order.shop_id:
        key = order_key(order.shop_id, order_id)
        subscription_id = subscription_id and order_key(order.shop_id, subscription_id)
    currency, shipping = order.currency, order.shipping_amount
    amount_minor = None if order.amount is None else parse_minor(order.amount, currency)
    if lines is None:
        lines = to_lines(order.lines or (), currency)
    return check_amounts(
        new_order(
            order_id=key,
            currency=currency,
            amount_minor=sum([line.amount_minor for line in lines]) if amount_minor is None else amount_minor,
            lines=lines,
            shipping_minor=0 if shipping is None else parse_minor(shipping, currency),
            placed_at=order.placed_at,
            channel=order.channel,
            subscription_id=subscription_id,
            cycle=order.cycle or (1 if subscription_id else 0),
            metadata=order.metadata,
        )
    )


def to_lines(lines: Iterable[OrderLine], currency: str) -> tuple[Line, ...]:
    """Return the domain's lines. Raises MoneyError for the first price that isn't valid in `currency`."""
    return tuple(
        [
            new_line(
                line_id=line.line_id,
                product_id=line.product_id,
                quantity=line.quantity,
                unit_minor=parse_minor(line.unit_price, currency),
                variant_id=line.variant_id,
                collection_ids=line.collection_ids or (),
                metadata=line.metadata,
            )
            for line in lines
        ]
    )
