"""Test the content of an order in its row: exact quantities and prices, and rows of earlier versions."""

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from shared.domain.model.ids import order_key
from shared.domain.model.order import Line, Order, exact_line
from shared.domain.model.quantity import Quantity, UnitPrice
from shared.domain.model.state import OrderState, PartReturn
from shared.ledger.order_rows import order_of, update_row

AT = datetime(2026, 6, 1, tzinfo=UTC)
COLUMNS = (
    "order_id", "status", "customer_key", "placed_at", "paid_at", "cancelled_at", "returned_at", "changed_at",
    "first_placed_at", "customer", "requested_count", "returns", "currency", "amount_minor", "lines", "details",
)  # fmt: skip


def line(quantity: Quantity, unit_minor: UnitPrice) -> Line:
    units, price, exact = exact_line(quantity, unit_minor)
    return Line("1", "cheese", units, price, exact=exact)


def read_again(state: OrderState) -> OrderState:
    record: Any = dict(zip(COLUMNS, update_row(state), strict=True))
    return order_of(record)


@pytest.mark.parametrize(
    ("quantity", "unit_minor"),
    [(2, 500), (Decimal("0.395"), 2000), (3, Decimal("33.3")), (Decimal("2.5"), Decimal("0.45")), (1, -500)],
)
def test_a_line_is_read_as_it_was_written(quantity: Quantity, unit_minor: UnitPrice) -> None:
    order = Order(order_key(None, "O"), "USD", 900, (line(quantity, unit_minor),), placed_at=AT)
    found = read_again(OrderState("O", "placed", order=order, placed_at=AT, first_placed_at=AT)).order
    assert found == order
    assert found is not None
    assert found.lines[0].ordered == ("1", quantity, unit_minor)


def test_a_returned_weight_is_read_as_it_was_written() -> None:
    returns = (PartReturn(AT, (("1", Decimal("0.1")), ("2", 3))),)
    assert read_again(OrderState("O", "placed", returns=returns)).returns == returns


@pytest.mark.parametrize(
    ("written", "ordered"),
    [('[["1", 2, 500]]', ("1", 2, 500)), ('[["1", "0.395", 2000]]', ("1", Decimal("0.395"), 2000))],
)
def test_a_line_of_an_earlier_version_has_no_product(written: str, ordered: tuple[object, ...]) -> None:
    row = dict(zip(COLUMNS, update_row(OrderState("O", "placed")), strict=True))
    earlier: Mapping[str, Any] = {**row, "currency": "USD", "amount_minor": 900, "lines": written}
    record: Any = earlier
    order = order_of(record).order
    assert order is not None
    assert (order.lines[0].ordered, order.lines[0].product_id) == (ordered, "")
