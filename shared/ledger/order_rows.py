"""Convert orders to and from their rows."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Final, NamedTuple, assert_never

import asyncpg
import orjson

from shared.constructor import constructor
from shared.domain.model.commands import Command
from shared.domain.model.customer import Customer, CustomerKey
from shared.domain.model.order import Line, Order, exact_line
from shared.domain.model.order_commands import (
    CancelOrder,
    FailPayment,
    OrderCommand,
    PayOrder,
    RedeemCoupons,
    ReturnOrder,
)
from shared.domain.model.quantity import Quantity, read_number
from shared.domain.model.state import OrderState, OrderStatus, PartReturn

DETAIL_TEXTS: Final = (0, 5)
LINE_TEXTS: Final = (6,)
"""Places in `details` and in an element of `lines` with what callers wrote: codes as typed, and metadata."""


class OrderRow(NamedTuple):
    """The values of an order's row without its id, to compare them."""

    status: OrderStatus
    customer_key: CustomerKey | None
    placed_at: datetime | None
    paid_at: datetime | None
    cancelled_at: datetime | None
    returned_at: datetime | None
    changed_at: datetime | None
    first_placed_at: datetime | None
    customer: Customer | None
    requested_count: int
    returns: tuple[PartReturn, ...]
    codes: tuple[str, ...] | None
    order: Order | None


class NewOrderRow(NamedTuple):
    """The row of a new order. The first values are in the order of the columns of `orders_insert`."""

    order_id: str
    status: OrderStatus
    customer_key: CustomerKey | None = None
    placed_at: datetime | None = None
    paid_at: datetime | None = None
    cancelled_at: datetime | None = None
    returned_at: datetime | None = None
    codes: tuple[str, ...] | None = None
    order: Order | None = None


_row = constructor(OrderRow)
_new_row = constructor(NewOrderRow)


def order_row(order: OrderState) -> OrderRow:
    """Return the values of an order's row, to compare them."""
    return _row(
        status=order.status,
        customer_key=order.customer_key,
        placed_at=order.placed_at,
        paid_at=order.paid_at,
        cancelled_at=order.cancelled_at,
        returned_at=order.returned_at,
        changed_at=order.changed_at,
        first_placed_at=order.first_placed_at,
        customer=order.customer,
        requested_count=order.requested_count,
        returns=order.returns,
        codes=order.codes,
        order=order.order,
    )


def new_order_row(command: Command, customer_key: CustomerKey | None, now: datetime) -> NewOrderRow | None:  # noqa: PLR0911 - one per command
    """Return the row to insert if `command` is the first event of its order; None if it has no order of its own.

    A partial return that comes first must not close the order; the decision records it. A time after `now` counts as
    now.
    """
    if not isinstance(command, OrderCommand):
        return None
    at = command.at if command.at is None or command.at <= now else now
    match command:
        case RedeemCoupons(order=order):
            placed_at = None if command.changed else order.placed_at or at
            if placed_at is not None and placed_at > now:
                placed_at = now
            if not command.priced:
                return NewOrderRow(order.order_id, "placed", customer_key, placed_at)
            return _new_row(
                order.order_id, "placed", customer_key, placed_at, codes=command.recorded_codes, order=order
            )
        case PayOrder():
            return NewOrderRow(command.order_id, "paid", paid_at=at)
        case CancelOrder():
            return NewOrderRow(command.order_id, "cancelled", cancelled_at=at)
        case ReturnOrder(whole=True):
            return NewOrderRow(command.order_id, "returned", returned_at=at)
        case ReturnOrder() if command.lines or command.amount is not None or command.refunded_amount is not None:
            return NewOrderRow(command.order_id, "placed")
        case ReturnOrder() | FailPayment():
            return None
        case _:
            assert_never(command)


def insert_columns(rows: Sequence[NewOrderRow]) -> list[list[object]]:
    """Return rows of `new_order_row` as the column arrays of `orders_insert`."""
    *columns, codes, orders = [list(column) for column in zip(*rows, strict=True)]
    content = [_content_columns(order, named) for order, named in zip(orders, codes, strict=True)]
    return [*columns, *[list(column) for column in zip(*content, strict=True)]]


def row_inserted(row: NewOrderRow) -> OrderRow:
    """Return `order_row` of an order that was inserted as this row of `new_order_row`."""
    return _row(
        status=row.status,
        customer_key=row.customer_key,
        placed_at=row.placed_at,
        paid_at=row.paid_at,
        cancelled_at=row.cancelled_at,
        returned_at=row.returned_at,
        changed_at=None,
        first_placed_at=row.placed_at,
        customer=None,
        requested_count=0,
        returns=(),
        codes=row.codes,
        order=row.order,
    )


def update_row(order: OrderState) -> tuple[object, ...]:
    """Return an order as a row of `orders_update`, with its id first."""
    customer = None if order.customer is None else orjson.dumps(order.customer).decode()
    *first, _, requested_count, _, codes, content = order_row(order)
    returns = json_or_none([_part_document(part) for part in order.returns])
    return (order.order_id, *first, customer, requested_count, returns, *_content_columns(content, codes))


_NO_CONTENT: Final = (None, None, None, None)


def _content_columns(order: Order | None, codes: tuple[str, ...] | None) -> tuple[object, ...]:
    """Return the columns `currency`, `amount_minor`, `lines` and `details`."""
    if order is None:
        return _NO_CONTENT
    details = (
        codes, order.shipping_minor, order.channel, order.subscription_id, order.cycle, order.metadata
    )  # fmt: skip
    return (
        order.currency, order.amount_minor, json_or_none(list(map(_line_document, order.lines))),
        orjson.dumps(details).decode(),
    )  # fmt: skip


def _line_document(line: Line) -> tuple[object, ...]:
    """Return a line for the column `lines`. Earlier versions read the first three values, which must be integers.

    A line whose quantity or price of one unit is not a whole number has both, exactly, as its last value.
    """
    usual = (line.line_id, line.quantity, line.unit_minor, line.product_id, line.variant_id, line.collection_ids)
    if line.exact is not None:
        return (*usual, line.metadata, line.ordered[1:])
    return usual if line.metadata is None else (*usual, line.metadata)


def order_of(record: asyncpg.Record) -> OrderState:
    """Return an order from its row, without its redemptions."""
    codes, order = _content(record)
    return OrderState(
        order_id=record["order_id"],
        status=record["status"],
        customer=_customer(record["customer"]),
        placed_at=record["placed_at"],
        paid_at=record["paid_at"],
        cancelled_at=record["cancelled_at"],
        returned_at=record["returned_at"],
        changed_at=record["changed_at"],
        first_placed_at=record["first_placed_at"] or record["placed_at"],
        order=order,
        codes=codes,
        customer_key=record["customer_key"],
        requested_count=record["requested_count"],
        returns=_returns(record["returns"]),
    )


def _content(record: asyncpg.Record) -> tuple[tuple[str, ...] | None, Order | None]:
    """Return the codes and the order. Rows of earlier versions, and erased ones, have no codes and know less."""
    if record["currency"] is None:
        return None, None
    lines = () if record["lines"] is None else tuple(map(_line, orjson.loads(record["lines"])))
    order = Order(record["order_id"], record["currency"], record["amount_minor"] or 0, lines)
    if record["details"] is None:
        return None, order
    codes, shipping_minor, channel, subscription_id, cycle, metadata = orjson.loads(record["details"])
    return None if codes is None else tuple(codes), replace(
        order, shipping_minor=shipping_minor, placed_at=record["placed_at"], channel=channel,
        subscription_id=subscription_id, cycle=cycle, metadata=metadata,
    )  # fmt: skip


def _line(stored: Sequence[Any]) -> Line:
    line_id, quantity, unit_minor, *more = stored
    if not more:
        return Line(line_id, "", quantity, unit_minor)
    product_id, variant_id, collection_ids, *rest = more
    exact = None
    if len(rest) > 1:
        quantity, unit_minor, exact = exact_line(*map(read_number, rest[1]))
    return Line(
        line_id, product_id, quantity, unit_minor, variant_id=variant_id, collection_ids=tuple(collection_ids),
        metadata=rest[0] if rest else None, exact=exact,
    )  # fmt: skip


def json_or_none(entries: Any) -> str | None:
    """Return a list as JSON; None (NULL) for an empty one. Decimals become strings."""
    return orjson.dumps(entries, default=str).decode() if entries else None


def _part_document(part: PartReturn) -> tuple[object, ...]:
    """Return a returned part for the column `returns`. Earlier versions read the first three values."""
    usual = (part.at, list(map(_returned_document, part.lines)) or None, part.amount)
    if part.return_id is None and part.refunded_amount is None:
        return usual
    return (*usual, part.return_id, part.refunded_amount)


def _returns(recorded: str | None) -> tuple[PartReturn, ...]:
    if recorded is None:
        return ()
    return tuple(
        [
            PartReturn(datetime.fromisoformat(at), _returned_lines(lines or ()), *more)
            for at, lines, *more in orjson.loads(recorded)
        ]
    )


def _returned_document(line: tuple[str, Quantity]) -> tuple[object, ...]:
    """Return a returned line. Earlier versions read its first two values, so a part of a unit is none for them."""
    line_id, quantity = line
    return line if isinstance(quantity, int) else (line_id, int(quantity), quantity)


def _returned_lines(lines: Sequence[Any]) -> tuple[tuple[str, Quantity], ...]:
    return tuple([(line[0], read_number(line[-1])) for line in lines])


def _customer(recorded: str | None) -> Customer | None:
    if recorded is None:
        return None
    fields = orjson.loads(recorded)
    return Customer(fields["customer_id"], fields["email"], fields["mobile"])
