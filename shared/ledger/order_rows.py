"""Convert orders to and from their rows."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple, assert_never

import asyncpg
import orjson

from shared.constructor import constructor
from shared.domain.model.commands import CancelOrder, Command, OrderCommand, PayOrder, RedeemCoupons, ReturnOrder
from shared.domain.model.customer import Customer, CustomerKey
from shared.domain.model.state import OrderLines, OrderState, OrderStatus, PartReturn
from shared.domain.orders.placing import lines_of


class OrderRow(NamedTuple):
    """The values of an order's row without its id, in the order of the columns of `orders_update`."""

    status: OrderStatus
    customer_key: CustomerKey | None
    placed_at: datetime | None
    paid_at: datetime | None
    cancelled_at: datetime | None
    returned_at: datetime | None
    currency: str | None
    amount_minor: int
    customer: Customer | None
    requested_count: int
    lines: OrderLines
    returns: tuple[PartReturn, ...]


class NewOrderRow(NamedTuple):
    """The row of a new order, in the order of the columns of `orders_insert`."""

    order_id: str
    status: OrderStatus
    customer_key: CustomerKey | None = None
    placed_at: datetime | None = None
    paid_at: datetime | None = None
    cancelled_at: datetime | None = None
    returned_at: datetime | None = None
    currency: str | None = None
    amount_minor: int | None = None
    lines: OrderLines = ()


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
        currency=order.currency,
        amount_minor=order.amount_minor,
        customer=order.customer,
        requested_count=order.requested_count,
        lines=order.lines,
        returns=order.returns,
    )


def new_order_row(command: Command, customer_key: CustomerKey | None) -> NewOrderRow | None:  # noqa: PLR0911 - one per command
    """Return the row to insert if `command` is the first event of its order; None if it has no order of its own.

    A partial return that comes first must not close the order; the decision records it.
    """
    if not isinstance(command, OrderCommand):
        return None
    match command:
        case RedeemCoupons():
            return _placed_row(command, customer_key)
        case PayOrder():
            return NewOrderRow(command.order_id, "paid", paid_at=command.at)
        case CancelOrder():
            return NewOrderRow(command.order_id, "cancelled", cancelled_at=command.at)
        case ReturnOrder(whole=True):
            return NewOrderRow(command.order_id, "returned", returned_at=command.at)
        case ReturnOrder() if command.lines or command.amount is not None:
            return NewOrderRow(command.order_id, "placed")
        case ReturnOrder():
            return None
        case _:
            assert_never(command)


def _placed_row(command: RedeemCoupons, customer_key: CustomerKey | None) -> NewOrderRow:
    order = command.order
    placed_at = order.placed_at or command.at
    if not command.priced:
        return NewOrderRow(order.order_id, "placed", customer_key, placed_at)
    return _new_row(
        order.order_id, "placed", customer_key, placed_at,
        currency=order.currency, amount_minor=order.amount_minor, lines=lines_of(order.lines),
    )  # fmt: skip


def insert_columns(rows: Sequence[NewOrderRow]) -> list[list[object]]:
    """Return rows of `new_order_row` as the column arrays of `orders_insert`."""
    *columns, lines = [list(column) for column in zip(*rows, strict=True)]
    return [*columns, list(map(json_or_none, lines))]


def row_inserted(row: NewOrderRow) -> OrderRow:
    """Return `order_row` of an order that was inserted as this row of `new_order_row`."""
    return _row(
        status=row.status,
        customer_key=row.customer_key,
        placed_at=row.placed_at,
        paid_at=row.paid_at,
        cancelled_at=row.cancelled_at,
        returned_at=row.returned_at,
        currency=row.currency,
        amount_minor=row.amount_minor or 0,
        customer=None,
        requested_count=0,
        lines=row.lines,
        returns=(),
    )


def update_row(order: OrderState) -> tuple[object, ...]:
    """Return an order as a row of `orders_update`, with its id first."""
    customer = None if order.customer is None else orjson.dumps(order.customer).decode()
    returns = [(part.at, part.lines or None, part.amount) for part in order.returns]
    *first, _, requested_count, _, _ = order_row(order)
    return (order.order_id, *first, customer, requested_count, json_or_none(order.lines), json_or_none(returns))


def order_of(record: asyncpg.Record) -> OrderState:
    """Return an order from its row, without its redemptions."""
    return OrderState(
        order_id=record["order_id"],
        status=record["status"],
        customer=_customer(record["customer"]),
        placed_at=record["placed_at"],
        paid_at=record["paid_at"],
        cancelled_at=record["cancelled_at"],
        returned_at=record["returned_at"],
        currency=record["currency"],
        amount_minor=record["amount_minor"] or 0,
        customer_key=record["customer_key"],
        requested_count=record["requested_count"],
        lines=_lines(record["lines"]),
        returns=_returns(record["returns"]),
    )


def json_or_none(entries: Any) -> str | None:
    """Return a list as JSON; None (NULL) for an empty one."""
    return orjson.dumps(entries).decode() if entries else None


def _lines(recorded: str | None) -> tuple[tuple[str, int, int], ...]:
    return () if recorded is None else tuple([(line[0], line[1], line[2]) for line in orjson.loads(recorded)])


def _returns(recorded: str | None) -> tuple[PartReturn, ...]:
    if recorded is None:
        return ()
    return tuple(
        [
            PartReturn(datetime.fromisoformat(at), tuple([(line[0], line[1]) for line in lines or ()]), amount)
            for at, lines, amount in orjson.loads(recorded)
        ]
    )


def _customer(recorded: str | None) -> Customer | None:
    if recorded is None:
        return None
    fields = orjson.loads(recorded)
    return Customer(fields["customer_id"], fields["email"], fields["mobile"])
