"""The base model of all events, and the types of their fields.

Events are strict: a number for a string is an error. Unknown fields are ignored, so that producers may send more.
Every length has a limit, so that no event is too large for a batch.
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
    MAX_QUANTITY,
    MAX_TEXT_LENGTH,
    check_metadata,
    check_payload,
)
from schemas.limits import MAX_CODES as MAX_CODES  # noqa: PLC0414 - the gateway imports these three from here
from schemas.limits import MAX_ID_LENGTH as MAX_ID_LENGTH  # noqa: PLC0414
from schemas.limits import MAX_LINES as MAX_LINES  # noqa: PLC0414

AMOUNT_PATTERN: Final = r"^[0-9]{1,18}(\.[0-9]{1,6})?$"
"""An amount of money: digits, optionally a point and decimals; no sign, exponent or blank.

The limits of 18 and 6 digits are above any order and any currency's decimals (at most 4). The domain checks the
currency's decimals; further ones may be zeros, any number of them: see `schemas.repairs`. (pydantic's regular
expressions are Rust's: `$` is the very end.)
"""
PRICE_PATTERN: Final = r"^-?[0-9]{1,18}(\.[0-9]{1,6})?$"
"""The price of one unit: like an amount, or negative."""
QUANTITY_PATTERN: Final = r"^([0-9]{0,6}[1-9][0-9]{0,6}(\.[0-9]{1,6})?|0{1,7}\.[0-9]{0,5}[1-9][0-9]{0,5})$"
"""A quantity above 0 as a decimal string. The domain accepts three decimals besides zeros, and checks the largest."""
CURRENCY_PATTERN: Final = r"^[A-Z]{3}$"
WRITTEN_IDENTIFIER_PATTERN: Final = r"\S"
IDENTIFIER_PATTERN: Final = r"^[^\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f][^\x00-\x1f\x7f-\x9f]*$"
"""Not blank and without control characters, like the attributes of CloudEvents."""
TYPED_CODE_PATTERN: Final = (
    r"^[^\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f]*[^\s\x00-\x1f\x7f-\x9f][^\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f]*$"
)
"""Like an identifier, but tabs and line breaks are allowed: they are pasted with codes, and don't count in them."""

SHOP_PATTERN: Final = f"^({IDENTIFIER_PATTERN[1:-1]})?$"
"""An identifier, or nothing."""

OPTIONAL_IDENTIFIER_PATTERN: Final = r"^[^\x00-\x1f\x7f-\x9f]*$"
"""May be blank, which means absent."""

MOMENT_PATTERN: Final = r"^[0-9]{4}-"


class ExactDigits:
    """Marks a string that may be sent as a JSON number, which keeps its digits: see `schemas.parsing`."""


class DefaultsToPosition:
    """Marks the id of a line, which is its position in the list if it is missing."""


class BlankInAvro:
    """Marks a string that may be null in JSON but is required in Avro, where null becomes a single blank."""


class DecimalQuantity:
    """Reads a quantity: an integer, or a decimal string. The integer comes first, so that it costs nothing more.

    In Avro the field is a long as in the first version; decimals are in a second field: see DECIMAL_SUFFIX.
    """

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        whole = core_schema.int_schema(strict=True, ge=1, le=MAX_QUANTITY)
        decimal = core_schema.str_schema(strict=True, pattern=QUANTITY_PATTERN)
        return core_schema.union_schema(
            [whole, decimal],
            mode="left_to_right",
            custom_error_type=QUANTITY_ERROR,
            custom_error_message=QUANTITY_EXPECTED,
        )

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {
            "anyOf": [
                {"type": "number", "exclusiveMinimum": 0, "maximum": MAX_QUANTITY},
                {"type": "string", "pattern": QUANTITY_PATTERN},
            ]
        }


QUANTITY_ERROR: Final = "quantity"
QUANTITY_EXPECTED: Final = (
    f"must be a number above 0 and at most {MAX_QUANTITY:,} with at most three decimals, for example 2 or 0.395"
)

DECIMAL_SUFFIX: Final = "_decimal"
"""The suffix of an Avro field that holds a decimal quantity as a string; the field without it holds a long."""

JSON_SUFFIX: Final = "_json"
"""The suffix of an Avro field that holds, as JSON text, a value that the field without the suffix can't hold."""


class Rfc3339:
    """Reads a time from RFC 3339 only. pydantic itself would read "20261122" as seconds since 1970."""

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
"""An id, code or lock reference: not blank, at most 255 characters, no control characters."""

Shop = Annotated[str, Field(max_length=MAX_ID_LENGTH, pattern=SHOP_PATTERN)]
"""The id of the shop that an order belongs to. Empty counts as absent, because many producers send that."""

TypedCode = Annotated[str, Field(min_length=1, max_length=MAX_ID_LENGTH, pattern=TYPED_CODE_PATTERN), ExactDigits()]
"""A coupon code as a customer typed it: not blank, at most 255 characters; it may have tabs and line breaks.

A number counts as the string of its digits."""

OptionalIdentifier = Annotated[str, Field(max_length=MAX_ID_LENGTH, pattern=OPTIONAL_IDENTIFIER_PATTERN)]
"""An id that many producers send as an empty string instead of leaving it out; see `present`."""

Contact = Annotated[str, Field(max_length=MAX_ID_LENGTH)]
"""An email address or phone number as sent by the producer. May be empty, because many producers send that."""

Text = Annotated[str, Field(max_length=MAX_TEXT_LENGTH)]
"""Free text; may be empty."""

Amount = Annotated[str, Field(pattern=AMOUNT_PATTERN), ExactDigits()]
"""Money as an exact decimal string ("125.00") in the currency given next to it."""

UnitPrice = Annotated[str, Field(pattern=PRICE_PATTERN), ExactDigits()]
"""The price of one unit; may be negative, and may have more decimals than the currency."""

Quantity = Annotated[int | str, DecimalQuantity(), ExactDigits()]
"""A quantity: an integer (2), or a decimal string with at most three decimals ("0.395")."""

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
"""Any data of the sender that is passed on.

`Event.problem` checks it with `schemas.limits.check_metadata`. A check in the model would slow down every event and
refuse events that Couponry wrote before there were limits.
"""

HandedOn = Annotated[Metadata, AfterValidator(_metadata)]
"""Metadata that the model checks, for HTTP bodies."""

Payload = Annotated[Metadata, AfterValidator(_payload)]
"""The payload of a custom discount, which the model checks with `schemas.limits.check_payload`."""

# Couponry's own events must accept data of earlier versions, so their limits are wider than those of input.

WrittenIdentifier = Annotated[str, Field(min_length=1, max_length=MAX_ID_LENGTH, pattern=WRITTEN_IDENTIFIER_PATTERN)]
"""An identifier in one of Couponry's events or in a campaign. Older stored ones may hold control characters."""

WrittenIdentifiers = Annotated[tuple[WrittenIdentifier, ...], Field(max_length=MAX_LIST_LENGTH)]

WrittenMoment = Annotated[datetime, Rfc3339(CALENDAR_END)]
"""A point in time in one of Couponry's events or in a campaign."""

LockReference = Annotated[
    str, Field(min_length=1, max_length=2 * MAX_ID_LENGTH + len("order:/"), pattern=WRITTEN_IDENTIFIER_PATTERN)
]
"""A lock reference in one of Couponry's events. The hold of an order has `order:<order id>`, or with a shop
`order:<shop id>/<order id>`."""

Count = Annotated[int, Field(ge=0, le=MAX_INTEGER)]
Number = Annotated[int, Field(ge=1, le=MAX_INTEGER)]


def present(text: str | None) -> str | None:
    """Return `text`; None if it is blank, because a blank id is an absent one."""
    return None if text is None or not text or text.isspace() else text


class EventPart(BaseModel):
    """Base of everything inside an event: frozen, strict, unknown fields ignored.

    `blank_is_absent`: a blank string in an optional field counts as absent.
    """

    blank_is_absent: ClassVar[bool] = True
    model_config = ConfigDict(frozen=True, strict=True, extra="ignore")


class Event(EventPart):
    """Base of an event's `data`. The class is named after its wire type: OrderPlaced is `order.placed`."""

    def problem(self) -> str | None:
        """Return a sentence about a conflict between fields, or None.

        The codec calls it once per event. A pydantic validator would slow down every event.
        """
        return None


class CustomerReference(EventPart):
    """A customer, by any identifier. Email and phone number are as sent by the producer; the ledger normalises them.

    `segments`, in orders only: the customer's groups; None keeps the known ones.
    """

    customer_id: WrittenIdentifier | None = None
    email: Contact | None = None
    mobile: Contact | None = None
    segments: Identifiers | None = None


class OrderCustomer(CustomerReference):
    """The customer of an order, with the limits of input; a blank id is absent. In Avro it is the same record."""

    avro_name: ClassVar[str] = "CustomerReference"
    customer_id: OptionalIdentifier | None = None


class IdentifiedCustomer(EventPart):
    """A customer with the id that is the topic's key, and optional contacts. `segments`: the customer's groups."""

    customer_id: Identifier
    email: Contact | None = None
    mobile: Contact | None = None
    segments: Identifiers | None = None


class Cause(EventPart):
    """The CloudEvents attributes of the event that caused this one."""

    type: WrittenIdentifier
    source: WrittenIdentifier
    id: WrittenIdentifier


DiscountKind = Literal["percentage", "fixed", "fixed_rate", "free_shipping", "free_product", "custom"]


class Discount(EventPart):
    """The discount of a coupon's campaign: `value` percent, or `value` in `currency` (None: the order's).

    For free_shipping `value` is "100", for a free_product the number of units of `product_id`, for a custom discount
    the campaign's value. `payload` is the campaign's, unchanged.
    """

    kind: DiscountKind
    value: Amount
    currency: Currency | None = None
    max_discount: Amount | None = None
    product_id: WrittenIdentifier | None = None
    payload: Metadata | None = None


def metadata_problem(metadata: dict[str, JsonValue] | None, place: str = "metadata") -> str | None:
    """Return why metadata is refused, as a sentence that begins with `place`, or None."""
    if metadata:
        try:
            check_metadata(metadata)
        except ValueError as error:
            return f"{place}: {error}."
    return None


def holds_quantity(metadata: list[Any]) -> bool:
    """Return whether a field with this metadata is a quantity, for which Avro has two fields."""
    return any(isinstance(mark, DecimalQuantity) for mark in metadata)


def holds_json(annotation: Any) -> bool:
    """Return whether a field of this type holds any JSON object, for which Avro has no type."""
    arguments = get_args(annotation)
    if get_origin(annotation) is dict:
        return arguments[1] is JsonValue
    return any(holds_json(argument) for argument in arguments)
