"""What all events share: the base model, and the types of their fields.

Events are strict: a number where a text belongs is an error, not a guess. A field that isn't known is ignored, so that
a producer may say more than is read here. Every length is bounded: no event may be larger than a batch can bear.
"""

from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, JsonValue

MAX_ID_LENGTH = 255
"""Longest identifier, in characters: what common databases index without thought."""

MAX_TEXT_LENGTH = 2_000
"""Longest free text, in characters: a sentence for people, not a document."""

MAX_CODES = 100
"""Most coupon codes in one order: nobody types more, and each costs the ledger a locked row."""

MAX_LINES = 10_000
"""Most lines in one order: above what wholesale orders reach, below Kafka's default record size of 1 MB."""

MAX_LIST_LENGTH = 1_000
"""Most entries in any other list or map (segments, collections, metadata)."""

# No `$`: pydantic's regular expressions are Rust's, where it means the very end and needs no care about line breaks.
AMOUNT_PATTERN = r"^[0-9]{1,18}(\.[0-9]{1,6})?$"
"""An amount of money: digits, perhaps a point and decimals; no sign, exponent or blank.

18 and 6 digits are above every currency's decimals (at most 4) and above any order. Whether a currency has that many
decimals is judged by the domain, not here.
"""

Identifier = Annotated[str, Field(min_length=1, max_length=MAX_ID_LENGTH)]
"""Any name that somebody gave something: ids, codes, lock references. Not empty, at most 255 characters."""

Text = Annotated[str, Field(max_length=MAX_TEXT_LENGTH)]
"""Free text for people; may be empty."""

Amount = Annotated[str, Field(pattern=AMOUNT_PATTERN, max_length=25)]
"""Money as an exact decimal text ("125.00") in the currency that stands beside it."""

Currency = Annotated[str, Field(pattern=r"^[A-Z]{3}$")]
"""ISO 4217, three upper-case letters ("USD")."""

Moment = AwareDatetime
"""A point in time, RFC 3339 with its time zone ("2026-11-22T09:30:00Z")."""

Metadata = Annotated[dict[str, JsonValue], Field(max_length=MAX_LIST_LENGTH)]
"""Whatever the producer wants to have carried along; never judged."""


class EventPart(BaseModel):
    """Base of everything inside an event: frozen, strict, unknown fields ignored."""

    model_config = ConfigDict(
        frozen=True,
        strict=True,
        extra="ignore",
        # The order of the fields is the order of the documents and of the Avro records made from them.
        json_schema_serialization_defaults_required=True,
    )


class Event(EventPart):
    """Base of an event's `data`. The class and its wire type name the same fact: OrderPlaced is `order.placed`."""


class CustomerReference(EventPart):
    """Who, by any one identifier. E-mail and phone number as the producer wrote them; they are normalised inside."""

    customer_id: Identifier | None = None
    email: Identifier | None = None
    mobile: Identifier | None = None


class Cause(EventPart):
    """The event that caused this one, by its CloudEvents attributes."""

    type: Identifier
    source: Identifier
    id: Identifier


class Discount(EventPart):
    """What a coupon takes off, as its campaign says it: `value` percent, or `value` in `currency`."""

    kind: Literal["percentage", "fixed"]
    value: Identifier
    currency: Currency | None = None
    max_discount: Amount | None = None


class LineDiscount(EventPart):
    """A line's share of a discount; the shares sum to the discount."""

    line_id: Identifier
    discount_amount: Amount
