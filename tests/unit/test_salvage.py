"""Orders with an invalid field: which coupons can be judged without it, and which orders stay unreadable."""

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.catalogue import CATALOGUE
from schemas.common import Event
from schemas.limits import MAX_TEXT_LENGTH
from schemas.orders import (
    OrderCancelled,
    OrderChanged,
    OrderContent,
    OrderLine,
    OrderPaid,
    OrderPaymentFailed,
    OrderPlaced,
    OrderReturned,
)
from schemas.parsing import InvalidDocumentError, parse
from schemas.rewards import RewardEarned, RewardRevoked
from schemas.salvage import FIELDS, has_lost_lines, salvaged, unread_of, without_conflicts
from schemas.signups import CustomerSignedUp
from schemas.topics import ORDERS, REWARDS, SIGNUPS
from services.redeemer.handler import to_command
from shared.domain.model.money import MoneyError
from shared.domain.model.order_commands import RedeemCoupons, ReturnOrder
from shared.ledger.order_conversion import SET_ASIDE
from shared.messaging.codec import Codec, UnreadableRecord
from shared.messaging.records import Record
from tests.received_events import changed, placed, returned
from tests.unit.test_redeemer_handler import ON_PLACED

LINE = {"line_id": "1", "product_id": "p", "quantity": 1, "unit_price": "5.00"}
BASE = {"order_id": "O1", "currency": "USD", "amount": "50.00", "coupon_codes": ["A"]}
AT = {"placed_at": "2026-01-02T03:04:05Z", "changed_at": "2026-01-02T03:04:05Z"}
KINDS = {"order.placed": OrderPlaced, "order.changed": OrderChanged}


def in_part(model: type[OrderContent], **fields: Any) -> Any:
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
        ({"coupon_codes": ["A\ud800"]}, [("code", "coupon_codes[0]", "A\ufffd")]),
        ({"coupon_codes": ["A\0"], "channel": "\0"}, [("channel", "channel", ""),
                                                      ("code", "coupon_codes[0]", "A\ufffd")]),
        ({"lines": [LINE, LINE | {"product_id": "\0"}]}, [("lines", "lines[1].product_id", "")]),
        ({"lines": [LINE | {"collection_ids": ["\0"]}]}, [("lines", "lines[0].collection_ids[0]", "")]),
        ({"metadata": {"a": [{"\0": 1}]}}, [("metadata", "metadata.a[0].\0", "")]),
        ({"note": "\0", "\0": 1}, []),
        ({"reason": "\0", "note": ["\0"]}, []),
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


def line_ids(order: Any) -> list[str]:
    return [line.line_id for line in order.lines or ()]


NAMELESS = {"product_id": "p", "quantity": 1, "unit_price": "5.00"}


@pytest.mark.parametrize("model", KINDS.values())
@pytest.mark.parametrize(
    ("lines", "kept"),
    [
        ([LINE, LINE | {"unit_price": "five"}], ["1"]),
        ([LINE | {"unit_price": "five"}, LINE | {"line_id": "b"}], ["b"]),
        ([LINE | {"line_id": 1}, LINE | {"line_id": "b"}], ["b"]),
        ([None, LINE | {"line_id": "b"}, {}, None, NAMELESS], ["b", "5"]),
        ([LINE, None, "two", 3, [], LINE | {"line_id": "b"}], ["1", "b"]),
        ([LINE, LINE | {"product_id": "\0"}], ["1"]),
        ([LINE, LINE | {"line_id": "b", "quantity": 0, "unit_price": {}}], ["1"]),
        ([LINE, LINE | {"line_id": "b", "variant_id": 7}], ["1", "b"]),
        ([LINE, LINE | {"line_id": "b", "collection_ids": [7], "metadata": 7}], ["1", "b"]),
        ([LINE, LINE | {"line_id": "b", "collection_ids": [7], "quantity": 0}], ["1"]),
        # A line without an id is named by its position in the whole order.
        ([NAMELESS | {"quantity": 0}, NAMELESS, NAMELESS], ["2", "3"]),
        ([NAMELESS, {}, LINE | {"line_id": ""}], ["1", "3"]),
        ([LINE | {"line_id": "2", "quantity": 0}, NAMELESS], []),
        ([{}], []),
        ("one of each", []),
        ([LINE] * 10_001, []),
    ],
)
def test_lines_that_can_be_read_are_kept(model: type[OrderContent], lines: Any, kept: list[str]) -> None:
    found = in_part(model, lines=lines)
    assert found is not None
    assert line_ids(found) == kept
    assert [one.part for one in unread_of(found)][:1] == ["lines"]


THREE = [
    {"line_id": name, "product_id": "p", "variant_id": "v", "collection_ids": ["c"], "quantity": 2,
     "unit_price": "5.00", "metadata": {"a": 1}}
    for name in ("a", "b", "c")
]  # fmt: skip
ANYTHING: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(st.characters(codec=None)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@given(
    st.sampled_from(list(KINDS.values())),
    st.lists(st.tuples(st.integers(0, 2), st.sampled_from(sorted(THREE[0])), ANYTHING), min_size=1, max_size=4),
)
def test_invalid_fields_of_lines_never_affect_the_other_lines(
    model: type[OrderContent], changes: list[tuple[int, str, Any]]
) -> None:
    lines = copy.deepcopy(THREE)
    for number, name, value in changes:
        lines[number][name] = value
    found = in_part(model, lines=lines)
    assert found is not None
    touched = {number for number, _, _ in changes}
    kept = {line.line_id: line.model_dump() for line in found.lines or ()}
    for number, line in enumerate(THREE):
        if number not in touched:
            assert kept[str(line["line_id"])] == OrderLine.model_validate(line, strict=False).model_dump()
    event = {OrderPlaced: placed, OrderChanged: changed}[model](**BASE)  # type: ignore[index]
    command = to_command(event._replace(data=found), ON_PLACED)
    assert isinstance(command, RedeemCoupons)
    total = sum(line.amount_minor for line in command.order.lines)
    assert command.order.amount_minor == 5_000
    assert not has_lost_lines(found) or total in (0, 5_000)


FREE_TEXT: list[tuple[type[Event], dict[str, Any]]] = [
    (OrderPaymentFailed, {"order_id": "O1", "failed_at": "2026-01-02T03:04:05Z"}),
    (OrderCancelled, {"order_id": "O1", "cancelled_at": "2026-01-02T03:04:05Z"}),
    (OrderReturned, {"order_id": "O1", "returned_at": "2026-01-02T03:04:05Z", "amount": "5.00"}),
    (RewardRevoked, {"reward_id": "R1", "revoked_at": "2026-01-02T03:04:05Z"}),
    (OrderChanged, BASE | AT),
]


def read_anyway(model: type[Event], fields: dict[str, Any]) -> Any:
    document = json.dumps(fields).encode()
    with pytest.raises(InvalidDocumentError) as caught:
        parse(model, document)
    return salvaged(model, document, caught.value)


@pytest.mark.parametrize(("model", "fields"), FREE_TEXT)
@pytest.mark.parametrize("reason", [7, True, "x" * 2_001, ["late"], {"code": 1}, "a\0b", "\ud800"])
def test_a_free_text_that_decides_nothing_is_set_aside(model: type[Event], fields: dict[str, Any], reason: Any) -> None:
    read = read_anyway(model, fields | {"reason": reason, "note": "\0"})
    assert read.model_dump(exclude_defaults=True) == parse(model, json.dumps(fields).encode()).model_dump(
        exclude_defaults=True
    )


@pytest.mark.parametrize(
    ("model", "fields"),
    [
        (OrderReturned, {"order_id": "O1", "returned_at": "2026-01-02T03:04:05Z", "lines": [{}]}),
        (OrderReturned, {"order_id": "O1", "returned_at": "2026-01-02T03:04:05Z", "amount": "all", "reason": 7}),
        (OrderReturned, {"order_id": "O1", "returned_at": "2026-01-02T03:04:05Z", "return_id": "\0"}),
        (OrderCancelled, {"order_id": "O1", "shop_id": 7, "cancelled_at": "2026-01-02T03:04:05Z", "reason": 7}),
        (OrderPaid, {"order_id": "O1", "paid_at": "today"}),
        (RewardRevoked, {"reward_id": "\0", "revoked_at": "2026-01-02T03:04:05Z"}),
        # Campaigns match rewards and sign-ups by any field.
        (RewardEarned, {"reward_id": "R", "customer": {"customer_id": "c"}, "earned_at": "2026-01-02T03:04:05Z",
                        "metadata": 7}),
        (CustomerSignedUp, {"customer": {"customer_id": "c"}, "signed_up_at": "2026-01-02T03:04:05Z", "channel": 7}),
    ],
)  # fmt: skip
def test_a_field_that_decides_makes_the_event_a_dead_letter(model: type[Event], fields: dict[str, Any]) -> None:
    assert read_anyway(model, fields) is None


def test_every_free_text_of_an_event_that_is_read_can_be_set_aside() -> None:
    texts = {
        entry.model
        for entry in CATALOGUE
        if entry.topic in (ORDERS, REWARDS, SIGNUPS)
        for field in entry.model.model_fields.values()
        if str(MAX_TEXT_LENGTH) in str(field)
    }
    assert texts == {model for model, fields in FIELDS.items() if "reason" in fields} - {OrderPlaced}


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
        (
            {
                "lines": [LINE | {"quantity": "0.1234"}, *[LINE | {"unit_price": "9" * 18, "quantity": 1_000_000}] * 2],
                "shipping_amount": "0.001",
            },
            ["lines", "shipping"],
        ),
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


SHIRT = {"line_id": "a", "product_id": "shirt", "quantity": 2, "unit_price": "5.00"}


@pytest.mark.parametrize("event", [placed, changed])
@pytest.mark.parametrize(
    ("lines", "amounts"),
    [
        ([SHIRT, LINE | {"quantity": "0.1234"}], {"a": 1_000, SET_ASIDE: 4_000}),
        ([LINE | {"quantity": "0.1234"}, SHIRT, LINE | {"quantity": "0.0001"}], {"a": 1_000, SET_ASIDE: 4_000}),
        ([SHIRT | {"unit_price": "25.00"}, LINE | {"quantity": "0.1234"}], {"a": 5_000}),
        ([SHIRT | {"unit_price": "30.00"}, LINE | {"quantity": "0.1234"}], {"a": 6_000, SET_ASIDE: -1_000}),
        ([SHIRT | {"line_id": SET_ASIDE}, LINE | {"quantity": "0.1234"}], {}),
        ([SHIRT | {"unit_price": "9" * 12 + "0" * 4, "quantity": 1}] * 100 + [LINE | {"quantity": "0.1234"}], {}),
        ([SHIRT, LINE | {"variant_id": "v"}], {"a": 1_000, "1": 500}),
    ],
)  # fmt: skip
def test_one_line_stands_for_those_that_were_set_aside(
    event: Any, lines: list[dict[str, Any]], amounts: dict[str, int]
) -> None:
    order = to_command(event(**BASE | {"lines": lines}), ON_PLACED).order  # type: ignore[union-attr]
    assert {line.line_id: line.amount_minor for line in order.lines} == amounts
    assert order.amount_minor == 5_000


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
