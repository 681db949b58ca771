"""What all events share: the base model, and the types of their fields.

Events are strict: a number where a text belongs is an error, not a guess. A field that isn't known is ignored, so that
a producer may say more than is read here. Every length is bounded: no event may be larger than a batch can bear.
"""

import json
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    JsonValue,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

MAX_ID_LENGTH: Final = 255
"""Longest identifier, in characters: what common databases index without thought."""

MAX_TEXT_LENGTH: Final = 2_000
"""Longest free text, in characters: a sentence for people, not a document."""

MAX_CODES: Final = 100
"""Most coupon codes in one order: nobody types more, and each costs the ledger a locked row."""

MAX_LINES: Final = 10_000
"""Most lines in one order: above what wholesale orders reach, and about what fits Kafka's default record of 1 MB."""

MAX_LIST_LENGTH: Final = 1_000
"""Most entries in any other list or map (segments, collections, metadata)."""

MAX_QUANTITY: Final = 1_000_000
"""Most units in one line: times any price it still fits 64 bits of minor units with room to spare."""

EARLIEST: Final = datetime(1970, 1, 1, tzinfo=UTC)
LATEST: Final = datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)
"""The span of a moment. Outside of it are unset times (year 1) and times that can't be turned into UTC."""

AMOUNT_PATTERN: Final = r"^[0-9]{1,18}(\.[0-9]{1,6})?$"
"""An amount of money: digits, perhaps a point and decimals; no sign, exponent or blank.

18 and 6 digits are above every currency's decimals (at most 4) and above any order. Whether a currency has that many
decimals is judged by the domain, not here. (pydantic's regular expressions are Rust's: `$` is the very end.)
"""
CURRENCY_PATTERN: Final = r"^[A-Z]{3}$"
IDENTIFIER_PATTERN: Final = r"\S"
MOMENT_PATTERN: Final = r"^[0-9]{4}-"


class ExactDigits:
    """Marks a text that may also come as a JSON number, which is then taken by its digits: see `schemas.parsing`."""


class _Rfc3339:
    """Reads a moment from RFC 3339 only. pydantic alone would take "20261122" for seconds since 1970."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        moment = core_schema.datetime_schema(strict=False, tz_constraint="aware", ge=EARLIEST, le=LATEST)
        from_text = core_schema.chain_schema([core_schema.str_schema(pattern=MOMENT_PATTERN), moment])
        from_python = core_schema.datetime_schema(strict=True, tz_constraint="aware", ge=EARLIEST, le=LATEST)
        return core_schema.json_or_python_schema(json_schema=from_text, python_schema=from_python)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"type": "string", "format": "date-time"}


Identifier = Annotated[str, Field(min_length=1, max_length=MAX_ID_LENGTH, pattern=IDENTIFIER_PATTERN)]
"""Any name that somebody gave something: ids, codes, lock references. Not empty or blank, at most 255 characters."""

Contact = Annotated[str, Field(max_length=MAX_ID_LENGTH)]
"""An e-mail address or phone number as the producer has it; many send an empty text for none, so that is allowed."""

Text = Annotated[str, Field(max_length=MAX_TEXT_LENGTH)]
"""Free text for people; may be empty."""

Amount = Annotated[str, Field(pattern=AMOUNT_PATTERN), ExactDigits()]
"""Money as an exact decimal text ("125.00") in the currency that stands beside it."""

Currency = Annotated[str, Field(pattern=CURRENCY_PATTERN)]
"""ISO 4217, three upper-case letters ("USD")."""

Moment = Annotated[datetime, _Rfc3339()]
"""A point in time, RFC 3339 with its time zone ("2026-11-22T09:30:00Z"), from 1970 on."""


def _handed_on(document: dict[str, JsonValue]) -> dict[str, JsonValue]:
    json.loads(_written(document), parse_int=_in_64_bits)
    return document


def _written(document: dict[str, JsonValue]) -> str:
    """NaN and Infinity are taken by pydantic's JSON reader, but by no other: they could never be written down again."""
    try:
        return json.dumps(document, allow_nan=False)
    except ValueError:
        raise ValueError("holds NaN or Infinity, which are no JSON; leave them out") from None


def _in_64_bits(digits: str) -> int:
    if not -(2**63) <= int(digits) < 2**63:
        raise ValueError("holds an integer of more than 64 bits, which few can read; write it as a text")
    return int(digits)


Identifiers = Annotated[tuple[Identifier, ...], Field(max_length=MAX_LIST_LENGTH)]
Metadata = Annotated[dict[str, JsonValue], Field(max_length=MAX_LIST_LENGTH)]
"""Whatever the producer wants to have carried along; only conditions and `issues_on` rules look at it."""

HandedOn = Annotated[Metadata, AfterValidator(_handed_on)]
"""What is kept and handed on untouched, so it must be JSON that every reader takes: no NaN, integers of 64 bits."""


class EventPart(BaseModel):
    """Base of everything inside an event: frozen, strict, unknown fields ignored."""

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore")


class Event(EventPart):
    """Base of an event's `data`. The class and its wire type name the same fact: OrderPlaced is `order.placed`."""

    def problem(self) -> str | None:
        """What is wrong between fields, one sentence, or None.

        A plain method called once by who reads events: a pydantic validator would cost every event a detour.
        """
        return None


class CustomerReference(EventPart):
    """Who, by any one identifier. E-mail and phone number as the producer wrote them; they are normalised inside.

    `segments`, in orders only: groups the producer counts them to; None leaves what is known from elsewhere.
    """

    customer_id: Identifier | None = None
    email: Contact | None = None
    mobile: Contact | None = None
    segments: Identifiers | None = None


class IdentifiedCustomer(EventPart):
    """Who, by the id that the topic is keyed by, and perhaps more. `segments`: groups the producer counts them to."""

    customer_id: Identifier
    email: Contact | None = None
    mobile: Contact | None = None
    segments: Identifiers | None = None


class Cause(EventPart):
    """The event that caused this one, by its CloudEvents attributes."""

    type: Identifier
    source: Identifier
    id: Identifier


DiscountKind = Literal["percentage", "fixed", "fixed_rate", "free_shipping", "free_product", "custom"]


class Discount(EventPart):
    """What a coupon gives, as its campaign says it: `value` percent, or `value` in `currency` (None: the order's).

    Of free_shipping `value` is "100", of a free_product the number of units of `product_id`, of a custom discount what
    the campaign says; `payload` is its campaign's, untouched.
    """

    kind: DiscountKind
    value: Amount
    currency: Currency | None = None
    max_discount: Amount | None = None
    product_id: Identifier | None = None
    payload: Metadata | None = None


def metadata_problem(metadata: dict[str, JsonValue] | None) -> str | None:
    """Why metadata that is only looked at is no JSON, one sentence; None where it is."""
    if metadata:
        try:
            _written(metadata)
        except ValueError as error:
            return f"metadata: {error}."
    return None
