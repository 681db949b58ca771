"""A campaign as people write it: in a file, or as an HTTP body. Source: the contract's campaign.json.

    definition = parse(CampaignDefinition, Path("save10.json").read_bytes())

People misspell, so an unknown field is an error here, unlike in events. Amounts are decimal texts ("50.00"); a JSON
number is taken by its digits. Only what can be seen in the document itself is judged here; what needs knowledge (how
many decimals a currency has, how many codes a pattern makes) is judged where that knowledge is.
"""

import re
from datetime import date, timedelta
from typing import Annotated, Any, Final, Literal, Self, TypeVar, cast
from zoneinfo import ZoneInfo

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    PlainSerializer,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    WithJsonSchema,
    WrapValidator,
    field_validator,
    model_validator,
)

from schemas.common import Amount, Currency, Identifier, Identifiers, Metadata, Moment, Text, metadata_problem

_Value = TypeVar("_Value")

Limit = Annotated[int, Field(ge=1, le=2**31 - 1)]
"""A number of uses or coupons, at least 1; None anywhere below is no limit."""


MAX_VALID_FOR: Final = timedelta(days=36_525)
"""A hundred years: longer than any coupon, short enough to be added to any date that is meant."""

_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


def _moment_or_day(value: Any, moment: ValidatorFunctionWrapHandler) -> date:
    if isinstance(value, str) and _DAY.fullmatch(value):
        try:
            return date.fromisoformat(value)
        except ValueError as error:
            raise ValueError("is no day of the calendar") from error
    return value if type(value) is date else cast("date", moment(value))


MomentOrDay = Annotated[
    Moment,
    WrapValidator(_moment_or_day),
    PlainSerializer(lambda value: value, return_type=Any),  # a date stays a date when it is written
    WithJsonSchema({"anyOf": [{"type": "string", "format": "date-time"}, {"type": "string", "format": "date"}]}),
]
"""A moment, or a date alone ("2027-01-01"), which is left for who knows the time zone to turn into a moment."""


class _Section(BaseModel):
    """Base of a campaign's parts: frozen, strict, unknown fields are errors."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")


class DiscountDefinition(_Section):
    """What a coupon takes off: `value` percent, or `value` in `currency`; at most `max_discount`."""

    kind: Literal["percentage", "fixed"]
    value: Amount
    currency: Currency | None = None
    max_discount: Amount | None = None
    product_id: Identifier | None = None

    @model_validator(mode="after")
    def _value_fits_kind(self) -> Self:
        if not self.value.strip("0."):
            raise ValueError("value is 0, so no coupon would ever take anything off; give a value above 0")
        if self.kind == "percentage":
            whole, _, decimals = self.value.partition(".")
            if int(whole) > 100 or (int(whole) == 100 and decimals.strip("0")):
                raise ValueError(f"value is {self.value} percent; a percentage is at most 100")
        elif self.currency is None:
            raise ValueError('currency is missing; a fixed discount needs one, for example "USD"')
        return self


MAX_PRODUCTS: Final = 100_000
"""Most products in one list of a campaign: one good for 14,477 products exists; a supermarket stocks about 50,000."""

Products = Annotated[tuple[Identifier, ...], Field(max_length=MAX_PRODUCTS)]


class AppliesTo(_Section):
    """Which lines the discount is good for. All empty: the whole order."""

    product_ids: Products = ()
    variant_ids: Products = ()
    collection_ids: Identifiers = ()
    excluded_product_ids: Products = ()


class CodeDefinition(_Section):
    """How codes look: one coupon a code made from `pattern`, or one `shared_code` for everybody.

    In a pattern each # stands for a random character of `charset`; anything else stands for itself.
    """

    pattern: Identifier | None = None
    charset: Identifier | None = None
    shared_code: Identifier | None = None

    @model_validator(mode="after")
    def _pattern_or_shared(self) -> Self:
        if self.pattern is not None and self.shared_code is not None:
            raise ValueError("pattern and shared_code are both given; keep one of them")
        return self


class LimitsDefinition(_Section):
    """How often. `uses_per_customer` counts one person's uses of the campaign, whichever coupon."""

    uses_per_coupon: Limit | None = None
    uses_per_customer: Limit | None = None
    uses_total: Limit | None = None
    spend_total: Amount | None = None
    coupons_total: Limit | None = None
    coupons_per_customer: Limit | None = None


class WindowDefinition(_Section):
    """When: `[starts_at, ends_at)`. A date alone is the start of that day in `time_zone`.

    `valid_for` (ISO 8601, "P30D") bounds each coupon's own life from its issue; a month counts 30 days, a year 365.
    `hours`: the shape is not fixed yet.
    """

    starts_at: MomentOrDay | None = None
    ends_at: MomentOrDay | None = None
    valid_for: timedelta | None = None
    time_zone: Identifier = "UTC"
    hours: tuple[JsonValue, ...] = ()

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


class EligibilityDefinition(_Section):
    """Who and what may use a coupon. `currency` is that of `min_order_amount`."""

    min_order_amount: Amount | None = None
    min_order_amount_exclusive: bool = False
    currency: Currency | None = None
    holder_only: bool = False
    first_order_only: bool = False
    segments_any: Identifiers = ()
    segments_none: Identifiers = ()


class StackingDefinition(_Section):
    """Whether a coupon goes together with others, and which comes first (the higher priority)."""

    policy: Literal["exclusive", "combinable"] = "exclusive"
    group: Identifier | None = None
    priority: Annotated[int, Field(ge=-(2**31), le=2**31 - 1)] = 0


class IssueRuleDefinition(_Section):
    """`event` issues a coupon when each field named in `match` has that value; numbers and booleans as text."""

    event: Literal["customer.signed_up", "reward.earned"]
    match: dict[str, str] = {}


class SourceDefinition(_Section):
    """Where codes come from: made here, a pool imported beforehand, or asked of an external API at `url`.

    `without_code`: the API may answer with an empty code, and the coupon then has none.
    """

    kind: Literal["generated", "pool", "external"] = "generated"
    url: Annotated[str, Field(pattern=r"^https?://\S+$", max_length=2_000)] | None = None
    headers: dict[str, str] = {}
    without_code: bool = False

    @field_validator("url", "headers", "without_code")
    @classmethod
    def _only_for_external(cls, value: _Value, info: ValidationInfo) -> _Value:
        if value and info.data.get("kind") in ("generated", "pool"):
            raise ValueError('belongs to a source of kind "external" only')
        return value

    @model_validator(mode="after")
    def _external_has_url(self) -> Self:
        if self.kind == "external" and self.url is None:
            raise ValueError("url is missing; an external source needs the address to ask")
        return self


class CampaignDefinition(_Section):
    """A campaign: the offer and its rules. Everything but `campaign_id` and `discount` may be left out."""

    campaign_id: Identifier
    name: Text = ""
    category: Text | None = None
    group: Text | None = None
    description: Text | None = None
    status: Literal["active", "paused", "archived"] = "active"
    discount: DiscountDefinition
    applies_to: AppliesTo = AppliesTo()
    code: CodeDefinition = CodeDefinition()
    limits: LimitsDefinition = LimitsDefinition()
    window: WindowDefinition = WindowDefinition()
    eligibility: EligibilityDefinition = EligibilityDefinition()
    stacking: StackingDefinition = StackingDefinition()
    issues_on: Annotated[tuple[IssueRuleDefinition, ...], Field(max_length=100)] = ()
    source: SourceDefinition = SourceDefinition()
    restore_on: tuple[Literal["order.cancelled", "order.returned"], ...] = ("order.cancelled", "order.returned")
    recurring: bool = False
    validation_code: Identifier | None = None
    metadata: Metadata = {}

    @model_validator(mode="after")
    def _amounts_share_a_currency(self) -> Self:
        currencies = {c for c in (self.discount.currency, self.eligibility.currency) if c is not None}
        if len(currencies) > 1:
            raise ValueError(f"discount.currency and eligibility.currency differ ({', '.join(sorted(currencies))})")
        amounts = {
            "discount.max_discount": self.discount.max_discount,
            "eligibility.min_order_amount": self.eligibility.min_order_amount,
            "limits.spend_total": self.limits.spend_total,
        }
        for name, amount in amounts.items():
            if amount is not None and not currencies:
                raise ValueError(f"the amount {name} needs a currency; give eligibility.currency")
        return self

    @field_validator("metadata")
    @classmethod
    def _metadata_is_json(cls, value: dict[str, JsonValue]) -> dict[str, JsonValue]:
        if metadata_problem(value):
            raise ValueError("holds NaN or Infinity, which are no JSON; leave them out")
        return value
