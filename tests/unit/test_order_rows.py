"""Test the content of an order in its row: exact quantities and prices, and rows of earlier versions."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import orjson
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


@pytest.mark.parametrize("metadata", [None, {"colour": "red"}])
@pytest.mark.parametrize("exact", [(Decimal("0.395"), 2000), (3, Decimal("33.3"))])
def test_metadata_and_exact_numbers_are_both_kept(
    exact: tuple[Quantity, UnitPrice], metadata: Mapping[str, Any] | None
) -> None:
    order = Order(order_key(None, "O"), "USD", 900, (replace(line(*exact), metadata=metadata),), placed_at=AT)
    assert read_again(OrderState("O", "placed", order=order, placed_at=AT, first_placed_at=AT)).order == order


def test_earlier_versions_find_integers_where_they_read_them() -> None:
    """They read the first three values of a line, and the first two of a returned line."""
    lines = (line(Decimal("0.395"), 2000), line(3, Decimal("33.3")))
    returns = (PartReturn(AT, (("1", Decimal("0.1")), ("2", 3))),)
    state = OrderState("O", "placed", order=Order(order_key(None, "O"), "USD", 900, lines), returns=returns)
    row = dict(zip(COLUMNS, update_row(state), strict=True))
    assert [stored[:3] for stored in orjson.loads(str(row["lines"]))] == [["1", 1, 790], ["1", 3, 33]]
    assert [stored[:2] for stored in orjson.loads(str(row["returns"]))[0][1]] == [["1", 0], ["2", 3]]


def test_a_returned_weight_is_read_as_it_was_written() -> None:
    returns = (PartReturn(AT, (("1", Decimal("0.1")), ("2", 3))),)
    assert read_again(OrderState("O", "placed", returns=returns)).returns == returns


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ('[["1", 2, 500]]', Line("1", "", 2, 500)),
        ('[["1", 2, 500, "p", null, ["c"]]]', Line("1", "p", 2, 500, collection_ids=("c",))),
        ('[["1", 2, 500, "p", "v", [], {"a": 1}]]', Line("1", "p", 2, 500, "v", metadata={"a": 1})),
    ],
)
def test_a_line_of_an_earlier_version_is_read(written: str, expected: Line) -> None:
    row = dict(zip(COLUMNS, update_row(OrderState("O", "placed")), strict=True))
    earlier: Mapping[str, Any] = {**row, "currency": "USD", "amount_minor": 900, "lines": written}
    record: Any = earlier
    order = order_of(record).order
    assert order is not None
    assert order.lines == (expected,)
