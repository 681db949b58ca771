"""Limits of input: a value at the limit is accepted, one beyond it gets a clear error."""

import json
import math
from typing import Any

import pytest
from pydantic import BaseModel

from cli.errors import UsageProblemError
from cli.executing import bound_key_of, codes_of, customer_of, key_of, lock_named, order_of
from schemas import limits
from schemas.campaigns import CampaignDefinition, stored_campaign
from schemas.catalogue import BY_TYPE
from schemas.orders import OrderPlaced
from schemas.parsing import InvalidDocumentError, parse
from schemas.rewards import RewardEarned
from shared.domain.model.money import MoneyError
from shared.domain.model.order import Line, Order, check_amounts
from tests.unit.test_schemas import changed, example, refusal


def nested(depth: int) -> Any:
    """Return an object with `depth` levels."""
    document: Any = {}
    for _ in range(depth - 1):
        document = {"a": document}
    return document


def sized(size: int) -> dict[str, str]:
    """Return an object of `size` bytes as compact JSON."""
    return {"a": "x" * (size - len(json.dumps({"a": ""}, separators=(",", ":"))))}


@pytest.mark.parametrize(
    ("document", "sentence"),
    [
        (nested(limits.MAX_DEPTH), None),
        (
            nested(limits.MAX_DEPTH + 1),
            "is nested deeper than 20 levels; make it flatter, or write inner parts as strings",
        ),
        (nested(100_000), "is nested deeper than 20 levels; make it flatter, or write inner parts as strings"),
        ({"a": [[limits.MAX_INTEGER, limits.MIN_INTEGER]]}, None),
        (
            {"a": [[2**63]]},
            "holds an integer of more than 64 bits, which many programs can't read; send it as a string",
        ),
        (
            {"a": [{"b": -(2**63) - 1}]},
            "holds an integer of more than 64 bits, which many programs can't read; send it as a string",
        ),
        ({"a": 10**5000}, "holds an integer of more than 64 bits, which many programs can't read; send it as a string"),
        ({"a": True, "b": None, "c": 1.5e308}, None),
        ({"a": [math.nan]}, "holds NaN or Infinity, which are not valid JSON; leave them out"),
        ({"a": {"b": -math.inf}}, "holds NaN or Infinity, which are not valid JSON; leave them out"),
        ({"a": "\ud800"}, "holds half of a surrogate pair, which is not a character; remove it"),
        ({"\udfff": 1}, "holds half of a surrogate pair, which is not a character; remove it"),
        ({"a": ["nul \0"]}, "holds the character NUL (\\u0000), which no database can store; remove it"),
        ({"a": {"nul \0": 1}}, "holds the character NUL (\\u0000), which no database can store; remove it"),
        ({"字" * 255: 1}, None),
        ({"x" * 256: 1}, "holds a name of 256 characters; names have at most 255"),
        (sized(limits.MAX_METADATA_BYTES), None),
        (sized(limits.MAX_METADATA_BYTES + 1), "has 16,385 bytes as JSON; it must have at most 16,384"),
        ({"a": "字" * 5_459}, "has 16,385 bytes as JSON; it must have at most 16,384"),
    ],
)
def test_metadata_beyond_a_limit_gets_one_sentence(document: Any, sentence: str | None) -> None:
    if sentence is None:
        limits.check_metadata(document)
        return
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the message is checked
        limits.check_metadata(document)
    assert str(caught.value) == sentence


def problem(name: str, **data: Any) -> str | None:
    """Return the first error of an example with changed fields; None if it is valid."""
    return parse(BY_TYPE[example(name)["type"]].model, changed(name, **data)).problem()


@pytest.mark.parametrize("value", [2**63, [2**64], {"deep": [{"x": -(2**70)}]}])
def test_integers_beyond_64_bits_in_an_orders_metadata_are_refused(value: Any) -> None:
    sentence = "holds an integer of more than 64 bits, which many programs can't read; send it as a string."
    metadata = {"tracking": value}
    assert problem("order_placed", metadata=metadata) == f"metadata: {sentence}"
    assert problem("order_placed", lines__1__metadata=metadata) == f"lines[1].metadata: {sentence}"


def test_metadata_has_the_same_limits_in_every_event() -> None:
    big, sentence = (
        sized(limits.MAX_METADATA_BYTES + 1),
        "metadata: has 16,385 bytes as JSON; it must have at most 16,384.",
    )
    for name in ("order_placed", "reward_earned", "customer_signed_up"):
        assert problem(name, metadata=sized(limits.MAX_METADATA_BYTES)) is None
        assert problem(name, metadata=big) == sentence
    campaign = {"campaign_id": "x", "discount": {"kind": "custom", "payload": big}, "metadata": big}
    text = refusal(CampaignDefinition, json.dumps(campaign).encode())
    assert "discount.payload: has 16,385 bytes as JSON; it must have at most 4,096." in text
    assert sentence in text


@pytest.mark.parametrize("character", ["\n", "\t", "\r", "\x1b", "\x7f", "\x85"])
@pytest.mark.parametrize(
    ("name", "field"),
    [
        ("order_placed", "order_id"),
        ("order_placed", "lock_reference"),
        ("order_placed", "lines__0__product_id"),
        ("order_placed", "customer__customer_id"),
        ("order_placed", "channel"),
        ("order_paid", "order_id"),
        ("reward_earned", "reward_id"),
        ("reward_earned", "customer__customer_id"),
    ],
)
def test_an_identifier_has_no_control_characters(name: str, field: str, character: str) -> None:
    text = refusal(BY_TYPE[example(name)["type"]].model, changed(name, **{field: f"A{character}B"}))
    assert (
        "must have no control characters (line breaks, tabs, U+0000 to U+001F, U+007F to U+009F); remove them." in text
    )


@pytest.mark.parametrize("order_id", ["5 %/ü\u00a0", "👩\u200d🚀", "\u202eabc", "a\u2028b", "𐀀" * 255])
def test_an_identifier_may_hold_any_other_character(order_id: str) -> None:
    assert parse(OrderPlaced, changed("order_placed", order_id=order_id)).order_id == order_id


@pytest.mark.parametrize(
    "moment",
    [
        "9999-12-31T23:59:59.999999Z",
        "9999-12-31T23:59:59.9999999Z",
        "9999-12-31T23:59:59Z",
        "9000-01-01T00:00:00Z",
        "8999-12-31T23:59:59-23:59",
    ],
)
def test_a_time_must_be_before_the_year_9000(moment: str) -> None:
    text = refusal(BY_TYPE["order.cancelled"].model, changed("order_cancelled", cancelled_at=moment))
    assert text == "cancelled_at: must be less than or equal to 8999-12-31T23:59:59.999999Z."


@pytest.mark.parametrize(
    "moment", ["8999-12-31T23:59:59.999999Z", "8999-12-31T23:59:59.9999999Z", "9000-01-01T23:58:59+23:59"]
)
def test_the_latest_valid_time_is_far_from_the_end_of_the_calendar(moment: str) -> None:
    read = parse(BY_TYPE["order.cancelled"].model, changed("order_cancelled", cancelled_at=moment))
    assert read.cancelled_at <= limits.LATEST  # type: ignore[attr-defined]
    assert (limits.CALENDAR_END - limits.LATEST).days > 365_000


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"window": {"ends_at": "9999-12-31"}}, "window.ends_at: must be before the year 9000; leave it out"),
        ({"window": {"starts_at": "9999-12-31T23:59:59Z"}}, "window.starts_at: must be before the year 9000; leave"),
        ({"group": "字" * 256}, "group: must have at most 255 characters."),
        ({"campaign_id": "a\nb"}, "campaign_id: must have no control characters"),
        ({"issues_on": [{"event": "reward.earned", "match": {str(n): "" for n in range(21)}}]}, "at most 20 entries"),
        (
            {"source": {"kind": "external", "url": "https://x.example", "headers": {str(n): "" for n in range(51)}}},
            "source.headers: must have at most 50 entries.",
        ),
    ],
)  # fmt: skip
def test_a_new_campaign_must_keep_the_limits_and_a_stored_one_need_not(change: dict[str, Any], sentence: str) -> None:
    document = json.dumps({"campaign_id": "x", "discount": {"kind": "percentage", "value": "10"}} | change)
    assert sentence in refusal(CampaignDefinition, document.encode())
    assert stored_campaign(document).discount.value == "10"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("字" * 255, None),
        ("a b", None),
        (" ", "must not be blank"),
        ("x" * 256, "must have at most 255 characters"),
        ("a\x1b[2Jb", limits.NO_CONTROL_CHARACTERS),
    ],
)
def test_an_identifier_outside_of_a_model_has_the_same_limits(text: str, problem: str | None) -> None:
    assert limits.identifier_problem(text) == problem


def test_the_command_line_refuses_control_characters() -> None:
    for call in (
        lambda: codes_of(["SAVE\x1b[2J"]),
        lambda: customer_of("an\nn"),
        lambda: customer_of("id:a\tb"),
        lambda: key_of("O\r1", None),
        lambda: key_of("O1", "acme\x1f"),
        lambda: bound_key_of("O\r1", "acme"),
        lambda: lock_named("order:acme\x1f777"),
        lambda: order_of(key_of("O", None), None, "USD", ["p\x07:1:1.00"]),
    ):
        with pytest.raises(UsageProblemError, match="no control characters"):
            call()


@pytest.mark.parametrize(
    "order",
    [
        Order("o", "JPY", 10**18 - 1, shipping_minor=1),
        Order("o", "USD", 1, (Line("1", "p", 1_000_000, 10**15),)),
        Order("o", "USD", 1, (Line("1", "p", 1, 10**18 - 1), Line("2", "p", 1, 1))),
    ],
)
def test_amounts_of_an_order_have_at_most_18_digits_in_sum(order: Order) -> None:
    with pytest.raises(MoneyError, match="too large: its amounts come to more than 18 digits together"):
        check_amounts(order)


def test_points_have_at_most_64_bits() -> None:
    assert parse(RewardEarned, changed("reward_earned", points=limits.MAX_INTEGER)).points == 2**63 - 1
    assert "points: must be" in refusal(RewardEarned, changed("reward_earned", points=2**63))


@pytest.mark.parametrize("name", [name for name in vars(limits) if name.startswith("MAX_")])
def test_every_limit_is_a_whole_number_above_zero(name: str) -> None:
    assert isinstance(getattr(limits, name), int)
    assert getattr(limits, name) > 0


def taken(model: type[BaseModel], document: bytes) -> bool:
    try:
        parse(model, document)
    except InvalidDocumentError:
        return False
    return True


@pytest.mark.parametrize("length", [limits.MAX_ID_LENGTH, limits.MAX_ID_LENGTH + 1])
@pytest.mark.parametrize("character", ["x", "字", "𐀀", "ΐ"])
def test_identifiers_are_counted_in_characters(character: str, length: int) -> None:
    assert taken(OrderPlaced, changed("order_placed", order_id=character * length)) is (length <= 255)
    assert len((character * limits.MAX_ID_LENGTH).encode()) <= limits.MAX_ID_BYTES
    assert len((character * limits.MAX_ID_LENGTH).upper().encode()) <= limits.MAX_KEY_BYTES
