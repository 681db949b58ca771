"""The parts of a campaign definition: discount, products, codes, limits, source.

The window is in `schemas.windows`; eligibility, stacking and issuing are in `schemas.campaigns`.
"""

from typing import Annotated, Any, Final, Literal, Self, TypeVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)

from schemas.common import (
    Amount,
    Currency,
    DiscountKind,
    ExactDigits,
    Metadata,
    WrittenIdentifier,
    WrittenIdentifiers,
)
from schemas.discount_kinds import KIND_FIELDS, SPECIAL_FIELDS
from schemas.limits import MAX_SOURCE_HEADERS, MAX_TEXT_LENGTH, MAX_URL_LENGTH, check_numbers, check_payload
from schemas.written_values import (
    check_amount,
    read_percent,
)

_Value = TypeVar("_Value")

Limit = Annotated[int, Field(ge=1, le=2**31 - 1)]
"""A number of uses or coupons, at least 1; None means no limit."""

MAX_FREE_UNITS: Final = 1_000
"""The most units of a product that one coupon can give."""

STORED: Final = "stored"
"""The validation context of a campaign from the ledger, which may have been saved before a limit existed."""


def is_stored(info: ValidationInfo) -> bool:
    """Return whether a definition comes from the ledger, where limits don't apply."""
    return info.context == STORED


GivenAmount = Annotated[Amount, BeforeValidator(check_amount)]
"""An amount in a campaign; forms that are often written instead get an error with what to write."""

CodePart = Annotated[WrittenIdentifier, ExactDigits()]
"""A code, or a part of one; a number is the string of its digits."""


class Section(BaseModel):
    """Base of a campaign's parts: frozen, strict, unknown fields are errors."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")


class DiscountDefinition(Section):
    """The discount of a coupon, at most `max_discount` in money. The meaning of `value` depends on `kind`:

    percentage: percent. fixed: an amount in `currency`, or without one in the order's currency. fixed_rate: an amount
    in `currency`, which is required. free_shipping: left out. free_product: the number of units of `product_id`, 1 by
    default. custom: left out or any number; the readers of `payload` define its meaning. `per_unit`: the amount is
    taken off each unit.
    """

    kind: DiscountKind
    value: GivenAmount | None = None
    currency: Currency | None = None
    max_discount: GivenAmount | None = None
    per_unit: bool = False
    product_id: WrittenIdentifier | None = None
    payload: Metadata | None = None

    @field_validator("value", mode="before")
    @classmethod
    def _read_percent(cls, value: Any, info: ValidationInfo) -> Any:
        return read_percent(value, is_percentage=info.data.get("kind") == "percentage")

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
            raise ValueError(f"value can't be used with {self.kind}: all of the shipping is free; leave it out")
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
"""The most products in one list of a campaign. Lists of 14,477 exist; a supermarket stocks about 50,000."""

Products = Annotated[tuple[WrittenIdentifier, ...], Field(max_length=MAX_PRODUCTS)]


class AppliesTo(Section):
    """The lines that the discount applies to. All empty: the whole order.

    `max_units`: the most units it applies to; `units_from`: the cheapest or the most expensive ("dearest") ones.
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
    """The form of codes: a code from `pattern` for each coupon, or one `shared_code` for everybody.

    In a pattern each # is replaced by a random character of `charset`; all other characters are literal. `prefix`,
    `length` and `suffix` describe a pattern too: the prefix, that many random characters, the suffix.
    """

    pattern: WrittenIdentifier | None = None
    charset: WrittenIdentifier | None = None
    prefix: CodePart | None = None
    suffix: CodePart | None = None
    length: Annotated[int, Field(ge=1, le=64)] | None = None
    shared_code: CodePart | None = None

    @model_validator(mode="after")
    def _check_one_form(self) -> Self:
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
    """A limit per day, week (from Monday) or month, in the campaign's `window.time_zone`, or per coupon.

    It limits the `uses`, the issued `coupons`, or both, of the whole campaign or of each customer. Per coupon: how
    often each customer can use each code.
    """

    per: Literal["day", "week", "month", "coupon"]
    each: Literal["campaign", "customer"] = "campaign"
    uses: Limit | None = None
    coupons: Limit | None = None

    @model_validator(mode="after")
    def _counts_something(self) -> Self:
        if self.per == "coupon" and self.coupons is not None:
            raise ValueError("limits coupons per coupon, which is always one; give uses")
        if self.uses is None and self.coupons is None:
            raise ValueError("limits nothing; give uses, coupons, or both")
        if self.per == "coupon" and self.each == "campaign":
            raise ValueError(
                "limits all uses of each coupon; write limits.uses_per_coupon, or each: customer for each customer's"
            )
        return self


class LimitsDefinition(Section):
    """Limits. `uses_per_customer` limits one customer's uses of all coupons of the campaign.

    `spend_total` is the most that all coupons of the campaign take off together, in the campaign's currency.
    """

    uses_per_coupon: Limit | None = None
    uses_per_customer: Limit | None = None
    uses_total: Limit | None = None
    spend_total: GivenAmount | None = None
    coupons_total: Limit | None = None
    coupons_per_customer: Limit | None = None
    caps: Annotated[tuple[CapDefinition, ...], Field(max_length=7)] = ()

    @field_validator(
        "uses_per_coupon", "uses_per_customer", "uses_total", "coupons_total", "coupons_per_customer", mode="before"
    )
    @classmethod
    def _is_not_zero(cls, value: Any) -> Any:
        if type(value) is int and value == 0:
            raise ValueError("is 0, which would allow nothing; leave it out for no limit, or give at least 1")
        return value

    @field_validator("caps")
    @classmethod
    def _each_once(cls, value: tuple[CapDefinition, ...]) -> tuple[CapDefinition, ...]:
        kinds = [(cap.per, cap.each) for cap in value]
        for per, each in kinds:
            if kinds.count((per, each)) > 1:
                raise ValueError(f"two caps are per {per} and each {each}; keep one of them")
        return value


class SourceDefinition(Section):
    """The source of codes: generated, taken from an imported pool, or requested from an external API at `url`.

    `without_code`: the coupons have no code (rewards that need none), and the API may answer with an empty one.
    """

    kind: Literal["generated", "pool", "external"] = "generated"
    url: Annotated[str, Field(pattern=r"^https?://\S+$", max_length=MAX_URL_LENGTH)] | None = None
    headers: Annotated[dict[str, str], Field(repr=False)] = {}
    without_code: bool = False

    @field_validator("without_code")
    @classmethod
    def _check_without_code(cls, value: bool, info: ValidationInfo) -> bool:
        if value and info.data.get("kind") == "pool":
            raise ValueError('can\'t be used with a source of kind "pool", which consists of codes')
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
            raise ValueError("url is missing; an external source needs the address of its API")
        return self
