"""Events and requests become the same order; errors name the amounts in the order in which they were always checked."""

import re
from typing import Any

import orjson
import pytest

from schemas.common import IdentifiedCustomer
from schemas.orders import OrderPlaced
from schemas.parsing import parse
from services.gateway.native.bodies import CustomerBody, OrderBody
from shared.domain.model.customer import Customer
from shared.domain.model.money import MoneyError
from shared.domain.model.order import Order
from shared.ledger.order_conversion import to_customer, to_order

LINES = [
    {"line_id": "1", "product_id": "p", "quantity": 2, "unit_price": "50.00", "collection_ids": ["a"]},
    {"line_id": "2", "product_id": "q", "variant_id": "v", "quantity": 1, "unit_price": "25", "metadata": {"x": 1}},
]
ORDER = {
    "order_id": "A",
    "currency": "USD",
    "amount": "120.00",
    "shipping_amount": "5.00",
    "placed_at": "2026-11-22T09:30:00Z",
    "lines": LINES,
    "channel": "web",
    "subscription_id": "s",
    "cycle": 3,
    "metadata": {"k": "v"},
}


def from_event(fields: dict[str, Any]) -> Order:
    data = parse(OrderPlaced, orjson.dumps(fields))
    return to_order(data, data.order_id)


def from_request(fields: dict[str, Any]) -> Order:
    return parse(OrderBody, orjson.dumps(fields)).to_domain()


@pytest.mark.parametrize(
    "changes", [{}, {"lines": None}, {"shipping_amount": None}, {"cycle": None}, {"metadata": None}]
)
def test_an_event_and_a_request_become_the_same_order(changes: dict[str, Any]) -> None:
    assert from_event(ORDER | changes) == from_request(ORDER | changes)


def test_a_subscription_without_a_cycle_is_its_first_order() -> None:
    assert from_event(ORDER | {"cycle": None}).cycle == 1
    assert from_event(ORDER | {"cycle": None, "subscription_id": None}).cycle == 0


def test_without_an_amount_a_request_costs_the_sum_of_its_lines() -> None:
    assert from_request(ORDER | {"amount": None}).amount_minor == 12_500


BAD = {"amount": "1.001", "lines": [LINES[0], LINES[1] | {"quantity": 0.0002}], "shipping_amount": "3.003"}


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("amount", "amount: The amount '1.001' has 3 decimals, but USD has 2: round it before you send it."),
        ("lines", "lines[1].quantity: The quantity '0.0002' has more than 3 decimals: round it before you send it."),
        ("shipping_amount", "shipping_amount: The amount '3.003' has 3 decimals, but USD has 2: round it before "),
    ],
)
def test_an_invalid_amount_is_the_same_error_in_both_and_names_its_field(name: str, message: str) -> None:
    for convert in (from_event, from_request):
        with pytest.raises(MoneyError, match=re.escape(message)):
            convert(ORDER | {name: BAD[name]})


def test_the_first_error_is_the_amount_of_an_event_and_the_line_of_a_request() -> None:
    with pytest.raises(MoneyError, match=r"'1\.001'"):
        from_event(ORDER | BAD)
    with pytest.raises(MoneyError, match=r"'0\.0002'"):
        from_request(ORDER | BAD)


@pytest.mark.parametrize("model", [IdentifiedCustomer, CustomerBody])
def test_a_customer_keeps_every_field(model: Any) -> None:
    fields = {"customer_id": "c", "email": "c@example.com", "mobile": "+4930123456", "segments": ("vip",)}
    assert to_customer(model(**fields)) == Customer(**fields)
