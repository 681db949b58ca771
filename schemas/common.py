"""What all events share: the base model, and the types of their fields.

Events are strict: a number where a text belongs is an error, not a guess. A field that isn't known is ignored, so that
a producer may say more than is read here. Every length is bounded: no event may be larger than a batch can bear.
"""

from datetime import datetime
from typing import Annotated, Any, ClassVar, Final, Literal, get_args, get_origin

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

from schemas.limits import (
    CALENDAR_END,
    EARLIEST,
    LATEST,
    MAX_INTEGER,
    MAX_LIST_LENGTH,
    MAX_TEXT_LENGTH,
    check_metadata,
    check_payload,
)
from schemas.limits import MAX_CODES as MAX_CODES  # noqa: PLC0414 - the gateway imports these three from here
from schemas.limits import MAX_ID_LENGTH as MAX_ID_LENGTH  # noqa: PLC0414
from schemas.limits import MAX_LINES as MAX_LINES  # noqa: PLC0414

AMOUNT_PATTERN: Final = r"^[0-9]{1,18}(\.[0-9]{1,6})?$"
"""An amount of money: digits, perhaps a point and decimals; no sign, exponent or blank.

18 and 6 digits are above every currency's decimals (at most 4) and above any order. Whether a currency has that many
decimals is judged by the domain, not here. (pydantic's regular expressions are Rust's: `$` is the very end.)
"""
CURRENCY_PATTERN: Final = r"^[A-Z]{3}$"
WRITTEN_IDENTIFIER_PATTERN: Final = r"\S"
IDENTIFIER_PATTERN: Final = r"^[^\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f][^\x00-\x1f\x7f-\x9f]*$"
"""Not blank, and no control characters: the characters that CloudEvents allows in an attribute."""

MOMENT_PATTERN: Final = r"^[0-9]{4}-"


class ExactDigits:
    """Marks a text that may also come as a JSON number, which is then taken by its digits: see `schemas.parsing`."""


class BlankInAvro:
    """Marks a text that Avro schemas need and that may be null all the same: in Avro it is then one blank."""


JSON_SUFFIX: Final = "_json"
"""Ends the name of the Avro field that has as JSON text what the field of that name can't hold in Avro."""


class Rfc3339:
    """Reads a moment from RFC 3339 only. pydantic alone would take "20261122" for seconds since 1970."""

    def __init__(self, latest: datetime) -> None:
        self.latest = latest

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        bounds: dict[str, Any] = {"tz_constraint": "aware", "ge": EARLIEST, "le": self.latest}
        moment = core_schema.datetime_schema(strict=False, **bounds)
        from_text = core_schema.chain_schema([core_schema.str_schema(pattern=MOMENT_PATTERN), moment])
        from_python = core_schema.datetime_schema(strict=True, **bounds)
        return core_schema.json_or_python_schema(json_schema=from_text, python_schema=from_python)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"type": "string", "format": "date-time"}


Identifier = Annotated[str, Field(min_length=1, max_length=MAX_ID_LENGTH, pattern=IDENTIFIER_PATTERN)]
"""Any name that somebody gives something: ids, codes, lock references.

Not empty or blank, at most 255 characters, no control characters.
"""

Contact = Annotated[str, Field(max_length=MAX_ID_LENGTH)]
"""An e-mail address or phone number as the producer has it; many send an empty text for none, so that is allowed."""

Text = Annotated[str, Field(max_length=MAX_TEXT_LENGTH)]
"""Free text for people; may be empty."""

Amount = Annotated[str, Field(pattern=AMOUNT_PATTERN), ExactDigits()]
"""Money as an exact decimal text ("125.00") in the currency that stands beside it."""

Currency = Annotated[str, Field(pattern=CURRENCY_PATTERN)]
"""ISO 4217, three upper-case letters ("USD")."""

Moment = Annotated[datetime, Rfc3339(LATEST)]
"""A point in time, RFC 3339 with its time zone ("2026-11-22T09:30:00Z"), from 1970 on and before the year 9000."""

Identifiers = Annotated[tuple[Identifier, ...], Field(max_length=MAX_LIST_LENGTH)]


def _metadata(document: dict[str, JsonValue]) -> dict[str, JsonValue]:
    check_metadata(document)
    return document


def _payload(document: dict[str, JsonValue]) -> dict[str, JsonValue]:
    check_payload(document)
    return document


Metadata = Annotated[dict[str, JsonValue], Field(max_length=MAX_LIST_LENGTH)]
"""Whatever the sender wants to have carried along.

`Event.problem` checks it by `schemas.limits.check_metadata`: a check in the model would cost every event a detour, and
what Couponry wrote before there were limits is still read.
"""

HandedOn = Annotated[Metadata, AfterValidator(_metadata)]
"""Metadata that is checked as the model is read, for bodies of HTTP."""

Payload = Annotated[Metadata, AfterValidator(_payload)]
"""What a custom discount hands on, checked by `schemas.limits.check_payload` as the model is read."""

# Couponry's own events take what earlier versions wrote, so the limits of their fields are wider than those of input.

WrittenIdentifier = Annotated[str, Field(min_length=1, max_length=MAX_ID_LENGTH, pattern=WRITTEN_IDENTIFIER_PATTERN)]
"""An identifier in an event of Couponry's own, or in a campaign: what was stored before may hold control characters."""

WrittenIdentifiers = Annotated[tuple[WrittenIdentifier, ...], Field(max_length=MAX_LIST_LENGTH)]

WrittenMoment = Annotated[datetime, Rfc3339(CALENDAR_END)]
"""A point in time in an event of Couponry's own, or in a campaign."""

LockReference = Annotated[
    str, Field(min_length=1, max_length=MAX_ID_LENGTH + len("order:"), pattern=WRITTEN_IDENTIFIER_PATTERN)
]
"""A lock's reference in an event of Couponry's own: that of an order's own hold is `order:<order id>`."""

Count = Annotated[int, Field(ge=0, le=MAX_INTEGER)]
Number = Annotated[int, Field(ge=1, le=MAX_INTEGER)]


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

    customer_id: WrittenIdentifier | None = None
    email: Contact | None = None
    mobile: Contact | None = None
    segments: Identifiers | None = None


class OrderCustomer(CustomerReference):
    """Who ordered, held to the limits of input. In Avro it is the same record."""

    avro_name: ClassVar[str] = "CustomerReference"
    customer_id: Identifier | None = None


class IdentifiedCustomer(EventPart):
    """Who, by the id that the topic is keyed by, and perhaps more. `segments`: groups the producer counts them to."""

    customer_id: Identifier
    email: Contact | None = None
    mobile: Contact | None = None
    segments: Identifiers | None = None


class Cause(EventPart):
    """The event that caused this one, by its CloudEvents attributes."""

    type: WrittenIdentifier
    source: WrittenIdentifier
    id: WrittenIdentifier


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
    product_id: WrittenIdentifier | None = None
    payload: Metadata | None = None


def metadata_problem(metadata: dict[str, JsonValue] | None, place: str = "metadata") -> str | None:
    """Return why metadata is refused, one sentence that begins with `place`, or None."""
    if metadata:
        try:
            check_metadata(metadata)
        except ValueError as error:
            return f"{place}: {error}."
    return None


def holds_json(annotation: Any) -> bool:
    """Whether a field of this type holds a JSON object of any form, which Avro can't hold as it is."""
    arguments = get_args(annotation)
    if get_origin(annotation) is dict:
        return arguments[1] is JsonValue
    return any(holds_json(argument) for argument in arguments)
