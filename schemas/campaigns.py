"""A campaign as people write it: in a file, or as an HTTP body. Source: the contract's campaign.json.

    definition = parse(CampaignDefinition, Path("save10.json").read_bytes())

People misspell, so an unknown field is an error here, unlike in events. Amounts are decimal texts ("50.00"); a JSON
number is taken by its digits. Only what can be seen in the document itself is judged here; what needs knowledge (how
many decimals a currency has, how many codes a pattern makes) is judged where that knowledge is.
"""

from typing import Annotated, Any, Final, Literal, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from schemas.campaign_parts import (
    STORED,
    AppliesTo,
    CodeDefinition,
    DiscountDefinition,
    Limit,
    LimitsDefinition,
    Section,
    SourceDefinition,
    WindowDefinition,
    is_stored,
)
from schemas.common import Amount, Currency, Metadata, Text, WrittenIdentifier, WrittenIdentifiers
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

MAX_CONDITIONS: Final = 20
"""Most conditions of one campaign: each is evaluated for every coupon that comes this far."""

MAX_COUPONS_AT_ONCE: Final = 100
"""Most coupons that one event issues of one campaign to one customer: a booklet, not a print run."""

Expression = Annotated[str, Field(min_length=1, max_length=MAX_EXPRESSION_LENGTH, pattern=r"\S")]
"""A condition in CEL, which gives true or false."""


class ConditionDefinition(Section):
    """Something that must be true of the order, the customer or the campaign. `name` is what a refusal calls it."""

    name: WrittenIdentifier
    expression: Expression


class EligibilityDefinition(Section):
    """Who and what may use a coupon. `currency` is that of the campaign's amounts, and orders must be in it.

    `segments_any`: one of these at least; `segments_all`: each of these; `segments_none`: none of these.
    `min_quantity` counts units of the lines that the coupon is good for. `channels`: where the order was placed.
    """

    min_order_amount: Amount | None = None
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
    """Whether a coupon goes together with others, and which comes first (the higher priority).

    Of the coupons in one `group` an order gets one. `max_coupons`: an order that uses this one uses so many at most.
    """

    policy: Literal["exclusive", "combinable"] = "exclusive"
    group: WrittenIdentifier | None = None
    priority: Annotated[int, Field(ge=-(2**31), le=2**31 - 1)] = 0
    max_coupons: Annotated[int, Field(ge=1, le=MAX_CODES)] | None = None


class IssueRuleDefinition(Section):
    """`event` issues coupons when each field named in `match` has that value; numbers and booleans as text.

    `to`: the event's customer, who referred them (`referred_by`), or both. `coupons`: so many each. `condition`: an
    expression over the event that must be true as well.
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
            raise ValueError(f"holds a text of more than {MAX_TEXT_LENGTH:,} characters")
        return value

    @model_validator(mode="after")
    def _referrer_is_told(self) -> Self:
        if self.to != "customer" and self.event != "customer.signed_up":
            raise ValueError(
                f"to is {self.to}, but a {self.event} names nobody who referred; only a customer.signed_up does"
            )
        return self


class CampaignDefinition(Section):
    """A campaign: the offer and its rules. Everything but `campaign_id` and `discount` may be left out."""

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
    recurring: bool = False
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
    def _coupons_come_from_somewhere(self) -> Self:
        several = any(rule.coupons > 1 for rule in self.issues_on)
        if several and (self.source.kind == "external" or self.code.shared_code is not None):
            raise ValueError(
                "issues_on gives several coupons at once, but its source has one code a time; give one each"
            )
        return self


def stored_campaign(document: str) -> CampaignDefinition:
    """Return the campaign that the ledger keeps as `document` (JSON).

    Limits aren't applied: one that came after the campaign was saved must not stop everything that reads it.
    """
    return CampaignDefinition.model_validate_json(document, context=STORED)
