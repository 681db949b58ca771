"""The events' models: accepted and refused documents, and the error texts."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from schemas import topics
from schemas.catalogue import BY_TYPE, CATALOGUE, types_on
from schemas.orders import OrderPlaced, OrderReturned
from schemas.parsing import InvalidDocumentError, parse
from schemas.rewards import RewardEarned

EXAMPLES = Path(__file__).parents[2] / "schemas" / "examples"
EVENT_EXAMPLES = sorted(path.stem for path in EXAMPLES.glob("*.json") if path.stem != "campaign")


# Slowness of a busy machine must not fail the test.
unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


def example(name: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((EXAMPLES / f"{name}.json").read_text("utf-8"))
    return document


def changed(name: str, **data: Any) -> bytes:
    """Return an example's data with members replaced: `...` removes one, `a__0__b` reaches into objects and lists."""
    document = example(name)["data"]
    for place, value in data.items():
        *way, last = place.split("__")
        node = document
        for step in way:
            node = node[int(step) if step.isdigit() else step]
        if value is ...:
            del node[last]
        else:
            node[last] = value
    return json.dumps(document).encode()


def refusal(model: type[BaseModel], document: bytes) -> str:
    with pytest.raises(InvalidDocumentError) as caught:
        parse(model, document)
    return str(caught.value)


def outcome(model: type[BaseModel], document: bytes) -> BaseModel | str:
    """Return the model, or the text of the refusal."""
    try:
        return parse(model, document)
    except InvalidDocumentError as error:
        return str(error)


def as_read(value: Any) -> Any:
    """Compare times by their meaning, not by their text."""
    if isinstance(value, dict):
        return {name: as_read(member) for name, member in value.items()}
    if isinstance(value, list):
        return [as_read(member) for member in value]
    if isinstance(value, str) and value[:2] == "20" and value.endswith("Z"):
        return datetime.fromisoformat(value)
    return value


@pytest.mark.parametrize("name", EVENT_EXAMPLES)
def test_an_example_is_read_and_written_again_without_loss(name: str) -> None:
    document = example(name)
    model = BY_TYPE[document["type"]].model
    event = parse(model, json.dumps(document["data"]).encode())
    assert as_read(json.loads(event.model_dump_json(exclude_unset=True))) == as_read(document["data"])
    assert parse(model, event.model_dump_json().encode()) == event


def test_every_type_has_an_example() -> None:
    assert {example(name)["type"] for name in EVENT_EXAMPLES} == set(BY_TYPE)


@pytest.mark.parametrize("name", EVENT_EXAMPLES)
def test_an_unknown_field_is_ignored(name: str) -> None:
    document = example(name)
    model = BY_TYPE[document["type"]].model
    with_more = json.dumps({**document["data"], "colour": "green"}).encode()
    assert parse(model, with_more) == parse(model, json.dumps(document["data"]).encode())


@pytest.mark.parametrize("value", [..., None], ids=["absent", "null"])
@pytest.mark.parametrize(
    ("name", "field"),
    [
        *(("customer_signed_up", f) for f in ("customer__email", "customer__mobile", "customer__segments")),
        *(("customer_signed_up", f) for f in ("referred_by", "channel", "metadata")),
        *(("reward_earned", f) for f in ("customer__email", "customer__mobile", "points", "rule_id", "campaign_id")),
        ("reward_earned", "metadata"),
        *(("order_placed", f) for f in ("customer", "customer__customer_id", "customer__email", "customer__mobile")),
        *(("order_placed", f) for f in ("lines", "shipping_amount", "lock_reference", "coupon_codes", "atomic")),
        ("order_cancelled", "reason"),
        *(("order_returned", f) for f in ("lines", "amount", "reason")),
    ],
)
def test_an_optional_field_may_be_absent_or_null(name: str, field: str, value: Any) -> None:
    model = BY_TYPE[example(name)["type"]].model
    assert parse(model, changed(name, **{field: value})).problem() is None


@pytest.mark.parametrize(
    ("name", "field"),
    [
        ("customer_signed_up", "customer"),
        ("customer_signed_up", "customer__customer_id"),
        ("customer_signed_up", "signed_up_at"),
        ("reward_earned", "reward_id"),
        ("reward_earned", "customer__customer_id"),
        ("reward_earned", "earned_at"),
        *(("order_placed", f) for f in ("order_id", "placed_at", "currency", "amount")),
        *(("order_placed", f"lines__0__{f}") for f in ("product_id", "quantity", "unit_price")),
        ("order_paid", "order_id"),
        ("order_paid", "paid_at"),
        ("order_cancelled", "cancelled_at"),
        ("order_returned", "returned_at"),
    ],
)
def test_a_required_field_must_be_present(name: str, field: str) -> None:
    place = field.replace("lines__0__", "lines[0].").replace("__", ".")
    assert f"{place}: is missing." in refusal(BY_TYPE[example(name)["type"]].model, changed(name, **{field: ...}))


AN_AMOUNT = 'must be an amount of at least 0 written as a decimal string, for example "125.00".'
A_MOMENT = 'must be a date and time with its time zone, for example "2026-11-22T09:30:00Z".'
A_QUANTITY = "must be a number above 0 and at most 1,000,000 with at most three decimals, for example 2 or 0.395."
A_PRICE = 'must be a price written as a decimal string, for example "125.00", or "-5.00" for a rebate.'
A_CURRENCY = 'must be a currency of three upper-case letters, for example "USD".'


@pytest.mark.parametrize(
    ("field", "value", "text"),
    [
        ("amount", "-1", f"amount: {AN_AMOUNT}"),
        ("amount", -1, f"amount: {AN_AMOUNT}"),
        ("amount", "1e3", f"amount: {AN_AMOUNT}"),
        ("amount", 1e30, f"amount: {AN_AMOUNT}"),
        ("amount", "NaN", f"amount: {AN_AMOUNT}"),
        ("amount", float("nan"), "amount: must be a string."),
        ("amount", float("inf"), "amount: must be a string."),
        ("amount", " 12", f"amount: {AN_AMOUNT}"),
        ("amount", "12\n", f"amount: {AN_AMOUNT}"),
        ("amount", "+12", f"amount: {AN_AMOUNT}"),
        ("amount", "12.", f"amount: {AN_AMOUNT}"),
        ("amount", ".5", f"amount: {AN_AMOUNT}"),
        ("amount", "1,000.00", f"amount: {AN_AMOUNT}"),
        ("amount", "١٢", f"amount: {AN_AMOUNT}"),
        ("amount", "", f"amount: {AN_AMOUNT}"),
        ("amount", "1" * 19, f"amount: {AN_AMOUNT}"),
        ("amount", "1.1234567", f"amount: {AN_AMOUNT}"),
        ("amount", True, "amount: must be a string."),
        ("amount", ["1"], "amount: must be a string."),
        ("amount", None, "amount: must be a string."),
        ("currency", "US", f"currency: {A_CURRENCY}"),
        ("currency", "USDT", f"currency: {A_CURRENCY}"),
        ("currency", "U D", f"currency: {A_CURRENCY}"),
        ("placed_at", "2026-11-22T09:30:00", 'placed_at: has no time zone; write it as "2026-11-22T09:30:00Z" or'),
        ("placed_at", "2026-11-22", "placed_at: has no time zone;"),
        ("placed_at", "20261122", f"placed_at: {A_MOMENT}"),
        ("placed_at", "1700000000", f"placed_at: {A_MOMENT}"),
        ("placed_at", 1700000000, "placed_at: must be a string."),
        ("placed_at", "2026-02-30T00:00:00Z", f"placed_at: {A_MOMENT}"),
        ("placed_at", "0001-01-01T00:00:00Z", "placed_at: must be greater than or equal to 1970-01-01T00:00:00Z."),
        ("placed_at", "9999-12-31T23:59:59-01:00", "placed_at: must be less than or equal to 8999-12-31T23:59:59.99"),
        ("order_id", "", "order_id: must not be empty."),
        ("order_id", "  ", "order_id: must not be blank."),
        ("order_id", "x" * 256, "order_id: must have at most 255 characters."),
        ("order_id", 456, "order_id: must be a string."),
        ("order_id", "a\0b", "A string holds the character NUL (\\u0000), which no database can store; remove it."),
        ("customer", "john", "customer: must be an object."),
        ("customer__customer_id", 7, "customer.customer_id: must be a string."),
        ("lines", {}, "lines: must be a list."),
        ("lines__0__quantity", 0, f"lines[0].quantity: {A_QUANTITY}"),
        ("lines__0__quantity", -1.5, f"lines[0].quantity: {A_QUANTITY}"),
        ("lines__0__quantity", "two", f"lines[0].quantity: {A_QUANTITY}"),
        ("lines__0__quantity", True, f"lines[0].quantity: {A_QUANTITY}"),
        ("lines__0__quantity", "0.000", f"lines[0].quantity: {A_QUANTITY}"),
        ("lines__1__unit_price", "+0.01", f"lines[1].unit_price: {A_PRICE}"),
        ("coupon_codes", ["", "x" * 256], "coupon_codes[1]: must have at most 255 characters."),
        ("coupon_codes", ["A"] * 101, "coupon_codes: must have at most 100 entries."),
        ("coupon_codes", "SAVE10", "coupon_codes: must be a list."),
        ("atomic", "false", "atomic: must be true or false."),
        ("atomic", 0, "atomic: must be true or false."),
    ],
)
def test_a_wrong_order_is_refused_with_its_place_and_what_to_do(field: str, value: Any, text: str) -> None:
    assert refusal(OrderPlaced, changed("order_placed", **{field: value})).startswith(text)


def test_the_number_of_lines_of_an_order_is_limited() -> None:
    line = example("order_placed")["data"]["lines"][0]
    assert parse(OrderPlaced, changed("order_placed", lines=[line] * 10_000)).lines
    assert "at most 10000 entries" in refusal(OrderPlaced, changed("order_placed", lines=[line] * 10_001))


def test_many_problems_are_reported_in_a_text_of_limited_length() -> None:
    text = refusal(OrderPlaced, changed("order_placed", lines=[{}] * 1_000))
    assert text.startswith("lines[0].product_id: is missing. lines[0].quantity: is missing.")
    assert text.endswith("And 2995 more.")


def test_a_problem_never_shows_the_documents_values() -> None:
    assert "secret" not in refusal(OrderPlaced, changed("order_placed", amount="secret", currency="secret"))


@pytest.mark.parametrize(
    ("document", "text"),
    [
        (b"", "This is not valid JSON (EOF"),
        (b"{", "This is not valid JSON (EOF"),
        (b"[]", "Must be an object."),
        (b"null", "Must be an object."),
        (b'"text"', "Must be an object."),
        (b'{"order_id": "\xff"}', "This is not valid JSON (invalid unicode"),
        (b'{"order_id": "\\ud800"}', "This is not valid JSON (unexpected end of hex escape"),
        (b"\xef\xbb\xbf{}", "This is not valid JSON (expected value"),
        (b'{"x":' + b"[" * 10_000, "This is not valid JSON (recursion limit"),
        (b'{"order_id": 1' + b"1" * 5_000 + b"}", "This is not valid JSON (number out of range"),
    ],
)
def test_a_document_that_is_not_an_object_is_refused(document: bytes, text: str) -> None:
    assert refusal(OrderPlaced, document).startswith(text)


@pytest.mark.parametrize("digits", ["125", "125.00", "0.10", "0", "12345678901234567.12", "9007199254740993"])
def test_an_amount_that_is_a_number_keeps_its_digits(digits: str) -> None:
    document = changed("order_placed").replace(b'"125.00"', digits.encode()).replace(b'"50.00"', digits.encode())
    order = parse(OrderPlaced, document)
    assert order.lines is not None
    assert (order.amount, order.lines[0].unit_price, order.lines[1].unit_price) == (digits, digits, "25.00")
    assert order == parse(OrderPlaced, changed("order_placed", amount=digits, lines__0__unit_price=digits))


@pytest.mark.parametrize("number", ["1e3", "1E-2", "-1", "-0", "12345678901234567890.12", "1.1234567"])
def test_a_number_that_is_not_an_amount_is_refused(number: str) -> None:
    assert refusal(OrderPlaced, changed("order_placed").replace(b'"125.00"', number.encode())) == f"amount: {AN_AMOUNT}"


def test_only_amounts_may_be_numbers() -> None:
    text = refusal(OrderPlaced, changed("order_placed", amount=125, order_id=456))
    assert text == "order_id: must be a string."


@pytest.mark.parametrize(
    "document",
    [
        b'{"order_id": "a", "amount": 1, "amount": {"a": 1}}',
        b'{"order_id": "a", "lines": [{"unit_price": 3}], "lines": 7, "amount": 1}',
        b'{"order_id": "a", "lines": 7, "lines": [{"unit_price": 3}]}',
    ],
)
def test_a_duplicate_key_is_handled(document: bytes) -> None:
    assert "is missing" in refusal(OrderPlaced, document)


@unhurried
@given(st.decimals(min_value=0, max_value=10**17, places=2, allow_nan=False, allow_infinity=False))
def test_a_number_and_a_text_of_the_same_digits_are_the_same_amount(amount: object) -> None:
    digits = f"{amount:f}"
    as_number = changed("order_placed").replace(b'"125.00"', digits.encode())
    assert parse(OrderPlaced, as_number) == parse(OrderPlaced, changed("order_placed", amount=digits))


@unhurried
@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_read_or_refused(document: bytes) -> None:
    for entry in CATALOGUE:
        assert outcome(entry.model, document)


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=20,
)


@unhurried
@given(st.sampled_from(sorted(example("order_placed")["data"])), JSON)
def test_arbitrary_json_in_an_orders_field_is_read_or_refused(field: str, value: Any) -> None:
    found = outcome(OrderPlaced, changed("order_placed", **{field: value}))
    assert isinstance(found, OrderPlaced) or len(str(found)) <= 1_000


@pytest.mark.parametrize("customer", [{}, {"customer_id": None, "email": None}])
def test_a_customer_without_any_identifier_is_a_problem(customer: dict[str, Any]) -> None:
    problem = parse(OrderPlaced, changed("order_placed", customer=customer)).problem()
    assert problem == "customer: has no identifier; give customer_id, email or mobile, or null for a guest."


@pytest.mark.parametrize("name", ["customer_id", "email", "mobile"])
def test_a_customer_may_carry_any_one_identifier(name: str) -> None:
    order = parse(OrderPlaced, changed("order_placed", customer={name: "x"}))
    assert order.problem() is None
    assert getattr(order.customer, name) == "x"


@pytest.mark.parametrize("value", [float("nan"), float("inf"), [float("-inf")]])
def test_metadata_that_could_not_be_written_again_is_a_problem(value: Any) -> None:
    reward = parse(RewardEarned, changed("reward_earned", metadata={"a": value}))
    assert reward.problem() == "metadata: holds NaN or Infinity, which are not valid JSON; leave them out."


@pytest.mark.parametrize(
    ("change", "whole"),
    [
        ({"lines": None}, True),
        ({"lines": []}, True),
        ({}, False),
        ({"lines": None, "amount": "5.00"}, False),
        ({"lines": None, "amount": "0"}, False),
    ],
)
def test_a_return_is_whole_when_it_names_neither_lines_nor_an_amount(change: dict[str, Any], whole: bool) -> None:
    assert parse(OrderReturned, changed("order_returned", **change)).whole is whole


def test_an_event_can_not_be_changed() -> None:
    order = parse(OrderPlaced, changed("order_placed"))
    with pytest.raises(ValidationError, match="frozen"):
        order.amount = "1"  # type: ignore[misc]


def test_a_model_built_in_python_is_as_strict_as_one_read_from_json() -> None:
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    made = OrderPlaced(order_id="a", placed_at=moment, currency="USD", amount="1.00")
    assert parse(OrderPlaced, made.model_dump_json().encode()) == made
    with pytest.raises(ValidationError):
        OrderPlaced(order_id="a", placed_at=moment.replace(tzinfo=None), currency="USD", amount="1.00")


def test_every_event_topic_has_types_and_a_type_has_one_topic() -> None:
    assert sorted(name for topic in topics.EVENT_TOPICS for name in types_on(topic.name)) == sorted(BY_TYPE)
    assert all(types_on(topic.name) for topic in topics.EVENT_TOPICS)
    assert types_on("elsewhere") == ()


def test_an_installation_has_its_events_dead_letters_and_the_relays_position_each_prefixed() -> None:
    found = {topic.name: topic for topic in topics.all_topics("t-")}
    assert len(found) == 7 + 4 + 1
    assert all(name.startswith("t-") for name in found)
    assert found["t-orders"].partitions == 12
    assert found["t-orders.redeemer.dlq"].partitions == 1
    assert found["t-couponry.relay-position"].partitions == 1
    assert found["t-couponry.relay-position"].config == {"cleanup.policy": "compact", "retention.ms": "-1"}
    assert topics.dead_letter_topic("t-orders", "redeemer") == "t-orders.redeemer.dlq"


# --- campaigns: written by people, so unknown fields are errors
