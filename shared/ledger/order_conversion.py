"""Convert orders and customers, as events and requests have them, to those that decisions read.

`schemas.orders` has checked the shape; this module checks the amounts. A MoneyError names the field.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any, Final, NoReturn, Protocol

from schemas.common import present
from schemas.limits import MAX_QUANTITY
from schemas.orders import OrderLine
from shared.domain.model.customer import Customer
from shared.domain.model.ids import OrderKey, order_key
from shared.domain.model.money import MoneyError, naming, parse_minor
from shared.domain.model.order import Line, Order, check_amounts, exact_line, new_line, new_order
from shared.domain.model.quantity import Quantity, parse_quantity, parse_unit_price


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


class ReturnedFields(Protocol):
    """The fields that models of a returned line share."""

    @property
    def line_id(self) -> str: ...
    @property
    def quantity(self) -> int | str: ...


def to_customer(customer: CustomerFields) -> Customer:
    """Return the domain's customer. A blank id is absent: Couponry's events can't have one."""
    return Customer(present(customer.customer_id), customer.email, customer.mobile, customer.segments)


def to_order(order: OrderFields, order_id: str, *, lines: tuple[Line, ...] | None = None) -> Order:
    """Return the domain's order. Raises MoneyError for the first amount that isn't valid, which names the field.

    `order_id` is the shop's own id. `lines`: the order's lines, if they were converted before.
    """
    key: OrderKey = order_id  # type: ignore[assignment]  # without a shop; most orders, so no call
    subscription_id = order.subscription_id
    if order.shop_id:
        key = order_key(order.shop_id, order_id)
        subscription_id = subscription_id and order_key(order.shop_id, subscription_id)
    currency, shipping, amount_minor, shipping_minor = order.currency, order.shipping_amount, None, 0
    if order.amount is not None:
        try:
            amount_minor = parse_minor(order.amount, currency)
        except MoneyError as error:
            raise MoneyError(error.sentence, error.field or "amount") from None
    if lines is None:
        lines = to_lines(order.lines or (), currency)
    if shipping is not None:
        try:
            shipping_minor = parse_minor(shipping, currency)
        except MoneyError as error:
            raise MoneyError(error.sentence, error.field or "shipping_amount") from None
    return check_amounts(
        new_order(
            order_id=key,
            currency=currency,
            amount_minor=sum([line.amount_minor for line in lines]) if amount_minor is None else amount_minor,
            lines=lines,
            shipping_minor=shipping_minor,
            placed_at=order.placed_at,
            channel=order.channel,
            subscription_id=subscription_id,
            cycle=order.cycle or (1 if subscription_id else 0),
            metadata=order.metadata,
        )
    )


def to_lines(lines: Sequence[OrderLine], currency: str) -> tuple[Line, ...]:
    """Return the domain's lines. Raises MoneyError for the first price or quantity that isn't valid."""
    try:
        return tuple(
            [
                new_line(
                    line_id=line.line_id,
                    product_id=line.product_id,
                    quantity=quantity if (quantity := line.quantity).__class__ is int else _not_whole(),
                    unit_minor=parse_minor(line.unit_price, currency),
                    variant_id=line.variant_id,
                    collection_ids=line.collection_ids or (),
                    metadata=line.metadata,
                )
                for line in lines
            ]
        )
    except MoneyError:
        return tuple([_exact_line(line, currency, number) for number, line in enumerate(lines)])


def valid_lines(lines: Sequence[OrderLine], currency: str) -> tuple[OrderLine, ...]:
    """Return the lines whose price and quantity are valid."""
    valid: list[OrderLine] = []
    for number, line in enumerate(lines):
        with suppress(MoneyError):
            _exact_line(line, currency, number)
            valid.append(line)
    return tuple(valid)


SET_ASIDE: Final = "lines set aside"
"""The line id of what lines that could not be read cost together."""


def with_rest(order: Order) -> Order:
    """Return an order of which some lines were set aside with one line for these: what is left of the order's amount.

    So each line bears only its own share of a discount, and its return restores no more than that. It is negative if
    the lines cost more than the order, as after a rebate. Without any line, or with a line of the same id, the amount
    is all that is known. Raises MoneyError.
    """
    lines = order.lines
    if not lines or any(line.line_id == SET_ASIDE for line in lines):
        return order.with_goods((), order.amount_minor)
    rest = order.amount_minor - sum([line.amount_minor for line in lines])
    if not rest:
        return order
    return check_amounts(order.with_goods((*lines, Line(SET_ASIDE, "", 1, rest)), order.amount_minor))


def _not_whole() -> NoReturn:
    raise MoneyError("the usual case doesn't apply")


def _exact_line(line: OrderLine, currency: str, number: int) -> Line:
    """Return a line of which any number may be unusual. Raises MoneyError, which names the field."""
    with naming(f"lines[{number}].quantity"):
        ordered = quantity_of(line.quantity)
    with naming(f"lines[{number}].unit_price"):
        price = parse_unit_price(line.unit_price, currency)
    quantity, unit_minor, exact = exact_line(ordered, price)
    return new_line(
        line_id=line.line_id, product_id=line.product_id, quantity=quantity, unit_minor=unit_minor,
        variant_id=line.variant_id, collection_ids=line.collection_ids or (), metadata=line.metadata, exact=exact,
    )  # fmt: skip


def quantity_of(quantity: int | str) -> Quantity:
    """Return the domain's quantity. Raises MoneyError."""
    return quantity if isinstance(quantity, int) else parse_quantity(quantity, MAX_QUANTITY)


def to_returned(lines: Sequence[ReturnedFields]) -> tuple[tuple[str, Quantity], ...]:
    """Return the lines of a return. Raises MoneyError, which names the field."""
    returned: list[tuple[str, Quantity]] = []
    for number, line in enumerate(lines):
        with naming(f"lines[{number}].quantity"):
            returned.append((line.line_id, quantity_of(line.quantity)))
    return tuple(returned)
