"""Convert orders to and from their rows."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, assert_never

import asyncpg
import orjson

from shared.domain.model.commands import (
    CancelOrder,
    Command,
    CreateCoupons,
    ExpireLock,
    IssueCoupons,
    LockCoupons,
    PayOrder,
    RecordCustomer,
    RedeemCoupons,
    ReleaseLock,
    ReturnOrder,
    VoidCoupon,
)
from shared.domain.model.customer import Customer, CustomerKey
from shared.domain.model.state import OrderState, PartReturn
from shared.domain.orders.placing import lines_of


def order_row(order: OrderState) -> tuple[object, ...]:
    """Return the values of an order's row, to compare them."""
    return (
        order.status,
        order.customer_key,
        order.placed_at,
        order.paid_at,
        order.cancelled_at,
        order.returned_at,
        order.currency,
        order.amount_minor,
        order.customer,
        order.requested_count,
        order.lines,
        order.returns,
    )


def first_event_of(command: Command, customer_key: CustomerKey | None) -> tuple[object, ...] | None:
    """Return the row to insert if `command` is the first event of its order; None if it has no order of its own.

    The order id comes first, then the other columns of `orders_insert`. A partial return that comes first must not
    close the order; the decision records it.
    """
    match command:
        case RedeemCoupons(order=order):
            placed_at = order.placed_at or command.at
            costs = (order.currency, order.amount_minor, lines_of(order.lines)) if command.priced else (None, None, ())
            return (order.order_id, "placed", customer_key, placed_at, None, None, None, *costs)
        case PayOrder():
            return (command.order_id, "paid", None, None, command.at, None, None, None, None, ())
        case CancelOrder():
            return (command.order_id, "cancelled", None, None, None, command.at, None, None, None, ())
        case ReturnOrder(whole=True):
            return (command.order_id, "returned", None, None, None, None, command.at, None, None, ())
        case ReturnOrder() if command.lines or command.amount is not None:
            return (command.order_id, "placed", None, None, None, None, None, None, None, ())
        case (
            ReturnOrder() | LockCoupons() | ReleaseLock() | ExpireLock()
            | IssueCoupons() | CreateCoupons() | VoidCoupon() | RecordCustomer()
        ):  # fmt: skip
            return None
        case _:
            assert_never(command)


def insert_columns(rows: Sequence[tuple[object, ...]]) -> list[list[object]]:
    """Return rows of `first_event_of` as the column arrays of `orders_insert`."""
    *columns, lines = [list(column) for column in zip(*rows, strict=True)]
    return [*columns, list(map(json_or_none, lines))]


def row_inserted(row: tuple[object, ...]) -> tuple[object, ...]:
    """Return `order_row` of an order that was inserted as this row of `first_event_of`."""
    return (*row[1:8], row[8] or 0, None, 0, row[9], ())


def update_row(order: OrderState) -> tuple[object, ...]:
    """Return an order as a row of `orders_update`."""
    row = order_row(order)
    customer = None if order.customer is None else orjson.dumps(order.customer).decode()
    returns = [(part.at, part.lines or None, part.amount) for part in order.returns]
    return (order.order_id, *row[:8], customer, row[9], json_or_none(order.lines), json_or_none(returns))


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
