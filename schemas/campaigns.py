"""A campaign definition, in a file or as an HTTP body.

    definition = parse(CampaignDefinition, Path("save10.json").read_bytes())

An unknown field is an error here, unlike in events, because people misspell. Amounts are decimal strings ("50.00"); a
JSON number keeps its digits. Only rules about the document itself are checked here; others, such as the decimals of a
currency or the number of codes of a pattern, are checked by the ledger.
"""

from typing import Annotated, Any, Final, Literal, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from schemas.campaign_parts import (
    STORED,
    AppliesTo,
    CodeDefinition,
    DiscountDefinition,
    GivenAmount,
    Limit,
    LimitsDefinition,
    Section,
    SourceDefinition,
    is_stored,
)
from schemas.common import Currency, Metadata, Text, WrittenIdentifier, WrittenIdentifiers
from schemas.limits import (
    CONTROL_CHARACTERS,
    MAX_CODES,
    MAX_EXPRESSION_LENGTH,
    MAX_ID_LENGTH,
    MAX_MATCH_FIELDS,
    MAX_TEXT_LENGTH,
    NO_CONTROL_CHARACTERS,
    check_metadata,
    check_numbers,
)
from schemas.windows import WindowDefinition

MAX_CONDITIONS: Final = 20
"""The most conditions of one campaign. Each is evaluated for every coupon that passes the other rules."""

MAX_COUPONS_AT_ONCE: Final = 100
"""The most coupons of one campaign that one event issues to one customer."""

MAX_CYCLES: Final = 1_000
"""The most cycles of a recurring coupon: nineteen years of weeks. `subscription_cycles.sql` reads as many orders."""

MAX_RESTORE_DAYS: Final = 3_650
"""Ten years: longer than any coupon should live again, and short enough for the calendar."""

Expression = Annotated[str, Field(min_length=1, max_length=MAX_EXPRESSION_LENGTH, pattern=r"\S")]
"""A condition in CEL that evaluates to true or false."""


class ConditionDefinition(Section):
    """A condition on the order, the customer or the campaign. Refusals refer to it by `name`."""

    name: WrittenIdentifier
    expression: Expression


class EligibilityDefinition(Section):
    """The customers and orders that may use a coupon. Amounts of the campaign and orders must be in `currency`.

    `segments_any`: at least one of these; `segments_all`: all of these; `segments_none`: none of these.
    `min_quantity` counts units of the lines that the coupon applies to. `channels`: where the order was placed.
    """

    min_order_amount: GivenAmount | None = None
    min_order_amount_exclusive: bool = False
    min_quantity: Limit | None = None
    currency: Currency | None = None
    channels: WrittenIdentifiers = ()
    holder_only: bool = False
    first_order_only: bool = False
    segments_any: WrittenIdentifiers = ()
    segments_all: WrittenIdentifiers = ()
    segments_none: WrittenIdentifiers = ()
    conditions: Annotated[tuple[ConditionDefinition, ...], Field(max_length=MAX_CONDITIONS)] = ()

    @field_validator("conditions")
    @classmethod
    def _names_differ(cls, value: tuple[ConditionDefinition, ...]) -> tuple[ConditionDefinition, ...]:
        names = [condition.name for condition in value]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"two conditions are named {name!r}; a refusal must say which one failed")
        return value


class StackingDefinition(Section):
    """Rules for combining coupons. Coupons with a higher priority apply first.

    An order can use one coupon of each `group`. `max_coupons`: the most coupons of an order that uses this one.
    """

    policy: Literal["exclusive", "combinable"] = "exclusive"
    group: WrittenIdentifier | None = None
    priority: Annotated[int, Field(ge=-(2**31), le=2**31 - 1)] = 0
    max_coupons: Annotated[int, Field(ge=1, le=MAX_CODES)] | None = None


class IssueRuleDefinition(Section):
    """A rule by which `event` issues coupons. `match`: its fields' required values, numbers and booleans as strings.

    `to`: the event's customer, the referrer (`referred_by`), or both. `coupons`: the number for each. `condition`: an
    expression over the event that must be true too.
    """

    event: Literal["customer.signed_up", "reward.earned"]
    match: dict[str, str] = Field(default_factory=dict)
    condition: Expression | None = None
    to: Literal["customer", "referrer", "both"] = "customer"
    coupons: Annotated[int, Field(ge=1, le=MAX_COUPONS_AT_ONCE)] = 1

    @field_validator("match")
    @classmethod
    def _match_is_short(cls, value: dict[str, str], info: ValidationInfo) -> dict[str, str]:
        if is_stored(info):
            return value
        if len(value) > MAX_MATCH_FIELDS:
            raise ValueError(f"must have at most {MAX_MATCH_FIELDS} entries")
        if any(len(name) + len(text) > MAX_TEXT_LENGTH for name, text in value.items()):
            raise ValueError(f"holds a string of more than {MAX_TEXT_LENGTH:,} characters")
        return value

    @model_validator(mode="after")
    def _check_event_has_referrer(self) -> Self:
        if self.to != "customer" and self.event != "customer.signed_up":
            raise ValueError(f"to is {self.to}, but a {self.event} has no referrer; only a customer.signed_up has one")
        return self


class CampaignDefinition(Section):
    """A campaign: the offer and its rules. Only `campaign_id` and `discount` are required.

    `on_return`: what a return in part restores, the returned goods' share of the discount, or what the goods that are
    left no longer deserve by the campaign's rules. `recurring_cycles`: the number of orders of a subscription, of those
    that cost something, that a recurring coupon is for; an order of 0.00 takes the coupon and counts none.
    """

    campaign_id: WrittenIdentifier
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
    on_return: Literal["share", "rejudge"] = "share"
    restore_days: Annotated[int, Field(ge=0, le=MAX_RESTORE_DAYS)] = 0
    recurring: bool = False
    recurring_cycles: Annotated[int, Field(ge=1, le=MAX_CYCLES)] | None = None
    validation_code: Annotated[WrittenIdentifier | None, Field(repr=False)] = None
    metadata: Metadata = Field(default_factory=dict)

    @field_validator("campaign_id", "group", "validation_code")
    @classmethod
    def _names_are_short_and_visible(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is None or is_stored(info):
            return value
        if len(value) > MAX_ID_LENGTH:  # groups are indexed
            raise ValueError(f"must have at most {MAX_ID_LENGTH} characters")
        if CONTROL_CHARACTERS.search(value):
            raise ValueError(NO_CONTROL_CHARACTERS)
        return value

    @field_validator("metadata")
    @classmethod
    def _metadata_can_be_handed_on(cls, value: Any, info: ValidationInfo) -> Any:
        if not is_stored(info):
            check_metadata(value)
            check_numbers(value)
        return value

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

    @model_validator(mode="after")
    def _cycles_need_recurring(self) -> Self:
        if self.recurring_cycles is not None and not self.recurring:
            raise ValueError("the number recurring_cycles is one of a subscription's orders; add recurring: true")
        return self

    @model_validator(mode="after")
    def _check_several_codes(self) -> Self:
        several = any(rule.coupons > 1 for rule in self.issues_on)
        if several and (self.source.kind == "external" or self.code.shared_code is not None):
            raise ValueError(
                "issues_on gives several coupons at once, but its source gives one code at a time; give one coupon each"
            )
        return self


def stored_campaign(document: str) -> CampaignDefinition:
    """Return the campaign stored in the ledger as `document` (JSON).

    Limits aren't applied, because a limit added after the campaign was saved must not break its readers.
    """
    return CampaignDefinition.model_validate_json(document, context=STORED)
