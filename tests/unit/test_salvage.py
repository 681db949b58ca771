"""Orders with an invalid field: which coupons can be judged without it, and which orders stay unreadable."""

import json
from typing import Any

import pytest

from schemas.orders import OrderChanged, OrderContent, OrderPlaced, OrderReturned
from schemas.parsing import InvalidDocumentError, parse
from schemas.salvage import salvaged, unread_of, without_conflicts
from services.redeemer.handler import to_command
from shared.domain.model.money import MoneyError
from shared.domain.model.order_commands import RedeemCoupons, ReturnOrder
from shared.messaging.codec import Codec, UnreadableRecord
from shared.messaging.records import Record
from tests.received_events import changed, placed, returned
from tests.unit.test_redeemer_handler import ON_PLACED

LINE = {"line_id": "1", "product_id": "p", "quantity": 1, "unit_price": "5.00"}
BASE = {"order_id": "O1", "currency": "USD", "amount": "50.00", "coupon_codes": ["A"]}
AT = {"placed_at": "2026-01-02T03:04:05Z", "changed_at": "2026-01-02T03:04:05Z"}
KINDS = {"order.placed": OrderPlaced, "order.changed": OrderChanged}


def in_part(model: type[OrderContent], **fields: Any) -> OrderContent | None:
    """Return the order without what can't be read; None if it can't be judged."""
    document = json.dumps(BASE | AT | fields).encode()
    try:
        read: Any = parse(model, document)
    except InvalidDocumentError as error:
        return salvaged(model, document, error)
    return without_conflicts(read) if read.problem() else read


@pytest.mark.parametrize("model", KINDS.values())
@pytest.mark.parametrize(
    ("fields", "unread"),
    [
        ({"coupon_codes": ["A", "\x07"]}, [("code", "coupon_codes[1]", "\ufffd")]),
        ({"coupon_codes": ["A", "x" * 256]}, [("code", "coupon_codes[1]", "x" * 254 + "…")]),
        ({"coupon_codes": ["", {"a": 1}, "A", True]}, [("code", "coupon_codes[1]", '{"a": 1}'),
                                                       ("code", "coupon_codes[3]", "true")]),
        ({"coupon_codes": ["A\0"]}, [("code", "coupon_codes[0]", "A\ufffd")]),
        ({"lines": [LINE, LINE | {"unit_price": "five"}]}, [("lines", "lines[1].unit_price", "")]),
        ({"lines": [LINE | {"quantity": 0}, LINE | {"quantity": -1}]}, [("lines", "lines[0].quantity", "")]),
        ({"lines": "one of each"}, [("lines", "lines", "")]),
        ({"lines": [LINE | {"metadata": {"a": 2**70}}]}, [("metadata", "lines[0].metadata", "")]),
        ({"lock_reference": "l\n"}, [("lock", "lock_reference", "")]),
        ({"channel": ["web"]}, [("channel", "channel", "")]),
        ({"shipping_amount": "-5.00"}, [("shipping", "shipping_amount", "")]),
        ({"cycle": 2}, [("subscription", "cycle", "")]),
        ({"subscription_id": 7, "cycle": "x"}, [("subscription", "subscription_id", "")]),
        ({"metadata": "gold"}, [("metadata", "metadata", "")]),
        ({"validation_code": 7}, []),
        ({"channel": "\x07", "lines": [{}]}, [("channel", "channel", ""), ("lines", "lines[0].product_id", "")]),
    ],
)  # fmt: skip
def test_a_field_that_only_some_coupons_depend_on_is_set_aside(
    model: type[OrderContent], fields: dict[str, Any], unread: list[tuple[str, str, str]]
) -> None:
    found = in_part(model, **fields)
    assert found is not None
    assert sorted((one.part, one.field, one.given) for one in unread_of(found)) == sorted(unread)
    assert (found.order_id, found.amount) == ("O1", "50.00")
    assert all(one.problem and not one.problem.endswith(".") for one in unread_of(found))


@pytest.mark.parametrize("model", KINDS.values())
@pytest.mark.parametrize(
    "fields",
    [
        {"order_id": ""}, {"order_id": 7}, {"currency": "U"}, {"amount": "five"}, {"amount": "-1"}, {"amount": None},
        {"customer": "john"}, {"customer": {"customer_id": 7}}, {"atomic": "perhaps"}, {"shop_id": 7},
        {"placed_at": "today", "changed_at": "today"}, {"coupon_codes": "A"}, {"customer": {"segments": ["\0"]}},
    ],
)  # fmt: skip
def test_a_field_that_decides_about_every_coupon_is_not(model: type[OrderContent], fields: dict[str, Any]) -> None:
    assert in_part(model, **fields) is None


def test_other_events_are_read_as_a_whole_or_not_at_all() -> None:
    document = json.dumps({"order_id": "O1", "returned_at": "2026-01-02T03:04:05Z", "lines": [{}]}).encode()
    with pytest.raises(InvalidDocumentError) as caught:
        parse(OrderReturned, document)
    assert salvaged(OrderReturned, document, caught.value) is None


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("structured", [False, True])
def test_both_modes_of_an_event_are_read_in_part(kind: str, structured: bool) -> None:
    data = BASE | AT | {"coupon_codes": ["A", {}], "amount": 50.0}
    attributes = {"specversion": "1.0", "id": "e-1", "source": "/shop", "type": kind}
    if structured:
        value: Any = attributes | {"datacontenttype": "application/json", "data": data}
        headers = [("content-type", b"application/cloudevents+json")]
    else:
        value = data
        headers = [("content-type", b"application/json"), *[(f"ce_{k}", v.encode()) for k, v in attributes.items()]]
    record = Record("orders", 0, 0, 0, None, json.dumps(value).encode(), tuple(headers))
    found = Codec().decode(record)
    assert found.data.coupon_codes == ("A",)  # type: ignore[attr-defined]
    assert [one.field for one in unread_of(found.data)] == ["coupon_codes[1]"]  # type: ignore[arg-type]
    broken = json.dumps(value).replace('"50.0"', "[]").replace("50.0", "[]").encode()
    with pytest.raises(UnreadableRecord, match="amount: "):
        Codec().decode(Record("orders", 0, 0, 0, None, broken, tuple(headers)))


# Amounts that the currency doesn't have are found only when the command is made.


@pytest.mark.parametrize("event", [placed, changed])
@pytest.mark.parametrize(
    ("fields", "parts"),
    [
        ({"shipping_amount": "0.001"}, ["shipping"]),
        ({"lines": [LINE | {"quantity": "0.1234"}]}, ["lines"]),
        ({"lines": [LINE | {"quantity": "0.1234"}], "shipping_amount": "0.001"}, ["lines", "shipping"]),
        ({"lines": [LINE | {"unit_price": "9" * 18, "quantity": 1_000_000}]}, ["lines"]),
    ],
)
def test_an_amount_that_only_some_coupons_depend_on_is_set_aside(
    event: Any, fields: dict[str, Any], parts: list[str]
) -> None:
    command = to_command(event(**BASE | fields), ON_PLACED)
    assert isinstance(command, RedeemCoupons)
    assert [one.part for one in command.unread] == parts
    assert (command.order.amount_minor, command.order.lines) == (5_000, ())


@pytest.mark.parametrize("event", [placed, changed])
@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"amount": "50.001"}, "amount: The amount '50.001' has 3 decimals"),
        ({"currency": "XXX"}, "currency: Unknown currency 'XXX'"),
        ({"amount": "9" * 18}, "amount: "),
    ],
)
def test_an_amount_that_decides_about_every_coupon_is_refused(event: Any, fields: dict[str, str], problem: str) -> None:
    with pytest.raises(MoneyError, match=problem):
        to_command(event(**BASE | fields), ON_PLACED)


def test_a_weight_is_returned_exactly() -> None:
    lines = [
        {"line_id": "1", "quantity": "0.100"},
        {"line_id": "2", "quantity": 2},
        {"line_id": "3", "quantity": "2.0"},
    ]
    command = to_command(returned(lines=lines), ON_PLACED)
    assert isinstance(command, ReturnOrder)
    assert [str(quantity) for _, quantity in command.lines] == ["0.1", "2", "2"]
    with pytest.raises(MoneyError, match=r"^lines\[1\]\.quantity: The quantity '0\.0001' has more than 3 decimals"):
        to_command(returned(lines=[lines[0], {"line_id": "1", "quantity": "0.0001"}]), ON_PLACED)
