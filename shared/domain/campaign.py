"""A campaign: the offer and its rules, in the form the decision reads.

The form that people write (a file, an HTTP body) is `schemas.campaigns.CampaignDefinition`; `shared.ledger.campaigns`
turns one into the other.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

CampaignStatus = Literal["active", "paused", "archived"]
DiscountKind = Literal["percentage", "fixed"]
StackingPolicy = Literal["exclusive", "combinable"]
SourceKind = Literal["generated", "pool", "external"]


@dataclass(frozen=True, slots=True)
class DiscountOffer:
    """What a coupon takes off.

    A percentage is exact: `percent_numerator / percent_denominator` percent (12.5 % is 125 / 10). A fixed offer takes
    `amount_minor` off. `max_discount_minor` caps either. `value` is the number as the campaign's author wrote it, for
    events and answers.
    """

    kind: DiscountKind
    value: str
    percent_numerator: int = 0
    percent_denominator: int = 1
    amount_minor: int = 0
    max_discount_minor: int | None = None


@dataclass(frozen=True, slots=True)
class Scope:
    """Which lines an offer is good for. All sets empty: the whole order."""

    product_ids: frozenset[str] = frozenset()
    variant_ids: frozenset[str] = frozenset()
    collection_ids: frozenset[str] = frozenset()
    excluded_product_ids: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class CodeRule:
    """How codes look. A shared code is one coupon that everybody uses; a pattern makes one coupon a code."""

    pattern: str | None = None
    charset: str | None = None
    shared_code: str | None = None


@dataclass(frozen=True, slots=True)
class Limits:
    """How often. None is no limit. `uses_per_customer` counts one person's uses of the campaign, whichever coupon."""

    uses_per_coupon: int | None = None
    uses_per_customer: int | None = None
    uses_total: int | None = None
    coupons_total: int | None = None
    coupons_per_customer: int | None = None


@dataclass(frozen=True, slots=True)
class Window:
    """When. Half-open `[starts_at, ends_at)`, UTC. `valid_for` bounds a coupon's own life from its issue."""

    starts_at: datetime | None = None
    ends_at: datetime | None = None
    valid_for: timedelta | None = None


@dataclass(frozen=True, slots=True)
class IssueRule:
    """`event` issues a coupon when each entry of `match` equals the event's field of that name."""

    event: str
    match: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Source:
    """Where codes come from. `url`, `headers` and `without_code` are the external API's."""

    kind: SourceKind = "generated"
    url: str | None = None
    headers: tuple[tuple[str, str], ...] = ()
    without_code: bool = False


@dataclass(frozen=True, slots=True)
class Campaign:
    """An offer and its rules. `currency` is that of every amount in it, None when it names no amount."""

    campaign_id: str
    discount: DiscountOffer
    name: str = ""
    status: CampaignStatus = "active"
    currency: str | None = None
    scope: Scope = field(default_factory=Scope)
    code: CodeRule = field(default_factory=CodeRule)
    limits: Limits = field(default_factory=Limits)
    window: Window = field(default_factory=Window)
    min_order_minor: int = 0
    min_order_exclusive: bool = False
    holder_only: bool = False
    stacking: StackingPolicy = "exclusive"
    priority: int = 0
    issues_on: tuple[IssueRule, ...] = ()
    source: Source = field(default_factory=Source)
    restore_on: frozenset[str] = frozenset()
    version: int = 0

    @property
    def meters_campaign(self) -> bool:
        """Whether a running total for the whole campaign is kept: only where a limit needs it."""
        return self.limits.uses_total is not None or self.limits.coupons_total is not None

    @property
    def meters_customers(self) -> bool:
        """Whether a running total for each customer of the campaign is kept."""
        return self.limits.uses_per_customer is not None or self.limits.coupons_per_customer is not None
