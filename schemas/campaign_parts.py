"""The parts of a campaign as people write it: what it gives, on what, how codes look, how often, when.

Who may use it, beside which other coupons, and what issues it: `schemas.campaigns`.
"""

import re
from datetime import date, datetime, timedelta
from typing import Annotated, Any, Final, Literal, Self, TypeVar, cast
from zoneinfo import ZoneInfo

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PlainSerializer,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    WithJsonSchema,
    WrapValidator,
    field_validator,
    model_validator,
)

from schemas.common import (
    Amount,
    Currency,
    DiscountKind,
    Metadata,
    WrittenIdentifier,
    WrittenIdentifiers,
    WrittenMoment,
)
from schemas.discount_kinds import KIND_FIELDS, SPECIAL_FIELDS
from schemas.limits import LATEST, MAX_SOURCE_HEADERS, MAX_TEXT_LENGTH, MAX_URL_LENGTH, check_numbers, check_payload

_Value = TypeVar("_Value")

Limit = Annotated[int, Field(ge=1, le=2**31 - 1)]
"""A number of uses or coupons, at least 1; None anywhere below is no limit."""

MAX_VALID_FOR: Final = timedelta(days=36_525)
"""A hundred years: longer than any coupon, short enough to be added to any date that is meant."""

MAX_FREE_UNITS: Final = 1_000
"""Most units of a product that one coupon gives: a gift, not a delivery."""

_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


STORED: Final = "stored"
"""The validation context of a campaign that comes out of the ledger: it was saved, perhaps before there were limits."""


def is_stored(info: ValidationInfo) -> bool:
    """Whether a definition comes out of the ledger, so that limits no longer matter."""
    return info.context == STORED


def _moment_or_day(value: Any, moment: ValidatorFunctionWrapHandler, info: ValidationInfo) -> date:
    if isinstance(value, str) and _DAY.fullmatch(value):
        try:
            read = date.fromisoformat(value)
        except ValueError as error:
            raise ValueError("is no day of the calendar") from error
    else:
        read = value if type(value) is date else cast("date", moment(value))
    latest = LATEST if isinstance(read, datetime) else LATEST.date()
    if read > latest and not is_stored(info):
        raise ValueError(f"must be before the year {LATEST.year + 1}; leave it out where there is no such time")
    return read


MomentOrDay = Annotated[
    WrittenMoment,
    WrapValidator(_moment_or_day),
    PlainSerializer(lambda value: value, return_type=Any),  # a date stays a date when it is written
    WithJsonSchema({"anyOf": [{"type": "string", "format": "date-time"}, {"type": "string", "format": "date"}]}),
]
"""A moment, or a date alone ("2027-01-01"), which is left for who knows the time zone to turn into a moment."""


class Section(BaseModel):
    """Base of a campaign's parts: frozen, strict, unknown fields are errors."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")


class DiscountDefinition(Section):
    """What a coupon gives; at most `max_discount` in money. `value`, by `kind`:

    percentage: percent. fixed: an amount in `currency`, or without one in whatever currency the order is in.
    fixed_rate: an amount in `currency`, which is needed. free_shipping: left out. free_product: how many units of
    `product_id`, 1 when left out. custom: left out or any number; whoever reads `payload` knows what it means.
    `per_unit`: the amount comes off each unit.
    """

    kind: DiscountKind
    value: Amount | None = None
    currency: Currency | None = None
    max_discount: Amount | None = None
    per_unit: bool = False
    product_id: WrittenIdentifier | None = None
    payload: Metadata | None = None

    @field_validator("payload")
    @classmethod
    def _payload_can_be_handed_on(cls, value: Any, info: ValidationInfo) -> Any:
        if value is not None and not is_stored(info):
            check_payload(value)
            check_numbers(value)
        return value

    @model_validator(mode="after")
    def _fields_fit_kind(self) -> Self:
        row = KIND_FIELDS[self.kind]
        for name in row.needed:
            if getattr(self, name) is None:
                raise ValueError(f"{name} is missing; {_a(self.kind)} needs one{_EXAMPLES.get(name, '')}")
        for name in SPECIAL_FIELDS:
            if getattr(self, name) and name not in row.allowed:
                kinds = [kind for kind, other in KIND_FIELDS.items() if name in other.allowed]
                raise ValueError(
                    f"{name} belongs to {' or '.join(map(_a, kinds))}, not to {_a(self.kind)}; leave it out"
                )
        if self.value is not None:
            self._check_value(self.value)
        return self

    def _check_value(self, value: str) -> None:
        value_type = KIND_FIELDS[self.kind].value
        if value_type == "none":
            raise ValueError(f"value belongs to no {self.kind}: all of the shipping is free; leave it out")
        if value_type == "any":
            return
        if not value.strip("0."):
            raise ValueError("value is 0, so no coupon would ever take anything off; give a value above 0")
        whole, _, decimals = value.partition(".")
        if value_type == "percent" and (int(whole) > 100 or (int(whole) == 100 and decimals.strip("0"))):
            raise ValueError(f"value is {value} percent; a percentage is at most 100")
        if value_type == "units" and (decimals or int(whole) > MAX_FREE_UNITS):
            raise ValueError(f"value is {value} units; give a whole number from 1 to {MAX_FREE_UNITS:,}")


_EXAMPLES = {"currency": ', for example "USD"', "value": ', for example "10"'}


def _a(kind: str) -> str:
    return f"a {kind} discount"


MAX_PRODUCTS: Final = 100_000
"""Most products in one list of a campaign: one good for 14,477 products exists; a supermarket stocks about 50,000."""

Products = Annotated[tuple[WrittenIdentifier, ...], Field(max_length=MAX_PRODUCTS)]


class AppliesTo(Section):
    """Which lines the discount is good for. All empty: the whole order.

    `max_units`: at most so many units of them, the `units_from` cheapest or dearest ones.
    """

    product_ids: Products = ()
    variant_ids: Products = ()
    collection_ids: WrittenIdentifiers = ()
    excluded_product_ids: Products = ()
    excluded_variant_ids: Products = ()
    excluded_collection_ids: WrittenIdentifiers = ()
    max_units: Limit | None = None
    units_from: Literal["cheapest", "dearest"] = "cheapest"


class CodeDefinition(Section):
    """How codes look: one coupon a code made from `pattern`, or one `shared_code` for everybody.

    In a pattern each # stands for a random character of `charset`; anything else stands for itself. `prefix`, `length`
    and `suffix` are a pattern in other words: the prefix, so many random characters, the suffix.
    """

    pattern: WrittenIdentifier | None = None
    charset: WrittenIdentifier | None = None
    prefix: WrittenIdentifier | None = None
    suffix: WrittenIdentifier | None = None
    length: Annotated[int, Field(ge=1, le=64)] | None = None
    shared_code: WrittenIdentifier | None = None

    @model_validator(mode="after")
    def _one_way_to_say_it(self) -> Self:
        if self.pattern is not None and self.shared_code is not None:
            raise ValueError("pattern and shared_code are both given; keep one of them")
        for name in ("prefix", "suffix", "length"):
            other = "pattern" if self.pattern is not None else "shared_code"
            if getattr(self, name) is not None and getattr(self, other) is not None:
                raise ValueError(f"{name} and {other} are both given; keep one of them")
        for name in ("prefix", "suffix"):
            if "#" in (getattr(self, name) or ""):
                raise ValueError(f"{name} holds a #; write the code as a pattern instead")
        return self


class CapDefinition(Section):
    """A limit that begins anew each day, week (from Monday) or month, by the campaign's `window.time_zone`.

    It counts the whole campaign's or each customer's `uses`, its issued `coupons`, or both.
    """

    per: Literal["day", "week", "month"]
    each: Literal["campaign", "customer"] = "campaign"
    uses: Limit | None = None
    coupons: Limit | None = None

    @model_validator(mode="after")
    def _counts_something(self) -> Self:
        if self.uses is None and self.coupons is None:
            raise ValueError("limits nothing; give uses, coupons, or both")
        return self


class LimitsDefinition(Section):
    """How often. `uses_per_customer` counts one person's uses of the campaign, whichever coupon.

    `spend_total` is the most that all of its coupons together take off, in the campaign's currency.
    """

    uses_per_coupon: Limit | None = None
    uses_per_customer: Limit | None = None
    uses_total: Limit | None = None
    spend_total: Amount | None = None
    coupons_total: Limit | None = None
    coupons_per_customer: Limit | None = None
    caps: Annotated[tuple[CapDefinition, ...], Field(max_length=6)] = ()

    @field_validator("caps")
    @classmethod
    def _each_once(cls, value: tuple[CapDefinition, ...]) -> tuple[CapDefinition, ...]:
        kinds = [(cap.per, cap.each) for cap in value]
        for per, each in kinds:
            if kinds.count((per, each)) > 1:
                raise ValueError(f"two caps are per {per} and each {each}; keep one of them")
        return value


_CLOCK_PATTERN: Final = r"^([01][0-9]|2[0-3]):[0-5][0-9]$|^24:00$"

Clock = Annotated[str, Field(pattern=_CLOCK_PATTERN)]
"""A time of day on the clock of the campaign's time zone: "00:00" to "24:00"."""

Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]


class HoursDefinition(Section):
    """Hours of a day, `[opens, closes)`. No `days`: every day. `closes` before `opens` is on the next day."""

    days: Annotated[tuple[Weekday, ...], Field(max_length=7)] = ()
    opens: Clock = "00:00"
    closes: Clock = "24:00"

    @model_validator(mode="after")
    def _is_open(self) -> Self:
        if self.opens in (self.closes, "24:00"):
            raise ValueError(
                f"opens at {self.opens} and closes at {self.closes}, which is never; give two different times"
            )
        return self


class WindowDefinition(Section):
    """When: `[starts_at, ends_at)`. A date alone is the start of that day in `time_zone`.

    `valid_for` (ISO 8601, "P30D") bounds each coupon's own life from its issue; a month counts 30 days, a year 365.
    `hours`: when of a day and week coupons can be used, by the clock of `time_zone`; none is always.
    """

    starts_at: MomentOrDay | None = None
    ends_at: MomentOrDay | None = None
    valid_for: timedelta | None = None
    time_zone: WrittenIdentifier = "UTC"
    hours: Annotated[tuple[HoursDefinition, ...], Field(max_length=50)] = ()

    @field_validator("valid_for")
    @classmethod
    def _valid_for_is_ahead(cls, value: timedelta | None) -> timedelta | None:
        if value is not None and not timedelta() < value <= MAX_VALID_FOR:
            raise ValueError('must be longer than nothing and at most 100 years, for example "P30D" for 30 days')
        return value

    @field_validator("time_zone")
    @classmethod
    def _time_zone_exists(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (OSError, ValueError, LookupError) as error:
            raise ValueError('is no time zone; write one as "UTC" or "Europe/Berlin"') from error
        return value


class SourceDefinition(Section):
    """Where codes come from: made here, a pool imported beforehand, or asked of an external API at `url`.

    `without_code`: the coupons have none (rewards that need no code), or the API may answer with an empty one.
    """

    kind: Literal["generated", "pool", "external"] = "generated"
    url: Annotated[str, Field(pattern=r"^https?://\S+$", max_length=MAX_URL_LENGTH)] | None = None
    headers: Annotated[dict[str, str], Field(repr=False)] = {}
    without_code: bool = False

    @field_validator("without_code")
    @classmethod
    def _a_pool_is_codes(cls, value: bool, info: ValidationInfo) -> bool:
        if value and info.data.get("kind") == "pool":
            raise ValueError('belongs to no source of kind "pool", which consists of codes')
        return value

    @field_validator("url", "headers")
    @classmethod
    def _only_for_external(cls, value: _Value, info: ValidationInfo) -> _Value:
        if value and info.data.get("kind") in ("generated", "pool"):
            raise ValueError('belongs to a source of kind "external" only')
        return value

    @field_validator("headers")
    @classmethod
    def _headers_can_be_sent(cls, value: dict[str, str], info: ValidationInfo) -> dict[str, str]:
        if is_stored(info):
            return value
        if len(value) > MAX_SOURCE_HEADERS:
            raise ValueError(f"must have at most {MAX_SOURCE_HEADERS} entries")
        if any(len(name) + len(text) > MAX_TEXT_LENGTH for name, text in value.items()):
            raise ValueError(f"holds a header of more than {MAX_TEXT_LENGTH:,} characters")
        return value

    @model_validator(mode="after")
    def _external_has_url(self) -> Self:
        if self.kind == "external" and self.url is None:
            raise ValueError("url is missing; an external source needs the address to ask")
        return self
