"""A campaign: its offer and rules, in the form that decisions read.

The form that users write (a file, an HTTP body) is `schemas.campaigns.CampaignDefinition`; `shared.ledger.definitions`
turns one into the other.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any, Literal

CampaignStatus = Literal["active", "paused", "archived"]
DiscountKind = Literal["percentage", "fixed", "fixed_rate", "free_shipping", "free_product", "custom"]
StackingPolicy = Literal["exclusive", "combinable"]
SourceKind = Literal["generated", "pool", "external"]

Period = Literal["day", "week", "month"]
CapPeriod = Period | Literal["coupon"]
"""What a cap counts in: a day, week or month, or each coupon on its own."""
Counted = Literal["campaign", "customer"]
OnReturn = Literal["share", "rejudge"]
"""What a return in part leaves of a discount: the share of the goods that are left, or what these deserve."""
Receiver = Literal["customer", "referrer", "both"]

IsTrue = Callable[[Mapping[str, Any]], bool]
"""A compiled condition: returns whether it is true for the given values. Never raises."""


@dataclass(frozen=True, slots=True)
class DiscountOffer:
    """The benefit of a coupon.

    A percentage is exact: `percent_numerator / percent_denominator` percent (12.5 % is 125 / 10). A fixed offer takes
    `amount_minor` off (each unit, if `per_unit`). If the campaign has no currency, `amount_minor` is None and `value`
    is an amount in the order's currency. `max_discount_minor` caps any kind. A free product is `units` of `product_id`.
    `value` is the number as the campaign's author wrote it, for events and responses; so is `payload`.
    """

    kind: DiscountKind
    value: str
    percent_numerator: int = 0
    percent_denominator: int = 1
    amount_minor: int | None = 0
    max_discount_minor: int | None = None
    per_unit: bool = False
    product_id: str | None = None
    units: int = 0
    payload: Mapping[str, Any] | None = field(default=None, hash=False)


@dataclass(frozen=True, slots=True)
class Scope:
    """The lines that an offer applies to. If all sets are empty: the whole order.

    `max_units`: at most this many units of those lines, the cheapest first, or with
    `most_expensive_first` the most expensive.
    """

    product_ids: frozenset[str] = frozenset()
    variant_ids: frozenset[str] = frozenset()
    collection_ids: frozenset[str] = frozenset()
    excluded_product_ids: frozenset[str] = frozenset()
    excluded_variant_ids: frozenset[str] = frozenset()
    excluded_collection_ids: frozenset[str] = frozenset()
    max_units: int | None = None
    most_expensive_first: bool = False

    @property
    def excludes(self) -> bool:
        """Return whether the scope excludes anything."""
        return bool(self.excluded_product_ids or self.excluded_variant_ids or self.excluded_collection_ids)


@dataclass(frozen=True, slots=True)
class CodeRule:
    """The form of codes. A shared code is one coupon for all customers; a pattern makes one coupon per code."""

    pattern: str | None = None
    charset: str | None = None
    shared_code: str | None = None


@dataclass(frozen=True, slots=True)
class Cap:
    """A limit of uses, coupons, or both in each `per`, for the whole campaign or for each customer.

    Per coupon it limits each customer's uses only.
    """

    per: CapPeriod
    each: Counted = "campaign"
    uses: int | None = None
    coupons: int | None = None


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of uses, coupons and spending. None: unlimited. `uses_per_customer` counts uses of all coupons.

    `spend_total_minor` limits the sum of the campaign's discounts, in its currency. `caps` has at most one cap for the
    same `per` and `each`.
    """

    uses_per_coupon: int | None = None
    uses_per_customer: int | None = None
    uses_total: int | None = None
    coupons_total: int | None = None
    coupons_per_customer: int | None = None
    spend_total_minor: int | None = None
    caps: tuple[Cap, ...] = ()

    @property
    def uses_need_customer(self) -> bool:
        """Return whether uses are counted for each customer, so that only a known customer can take one."""
        return self.uses_per_customer is not None or any(
            cap.each == "customer" and cap.uses is not None for cap in self.caps
        )

    @property
    def coupons_need_customer(self) -> bool:
        """Return whether issued coupons are counted for each customer."""
        return self.coupons_per_customer is not None or any(
            cap.each == "customer" and cap.coupons is not None for cap in self.caps
        )


@dataclass(frozen=True, slots=True)
class Hours:
    """`[opens, closes)` in minutes of the day, on `days` (Monday is 0; none: every day). Beyond 1440: the next day."""

    opens: int = 0
    closes: int = 1440
    days: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class CalendarSpan:
    """A span of the calendar: so many months, then so many days, on the clocks of a time zone."""

    months: int = 0
    days: int = 0


@dataclass(frozen=True, slots=True)
class Window:
    """The validity of a campaign: half-open `[starts_at, ends_at)`, UTC. `valid_for` limits each coupon from its issue,
    and `until` moves that end to the end of its day, week or month (see `validity`).

    `hours`: opening hours of the week in `zone`; empty is always. The periods of caps start in `zone` as well.
    """

    starts_at: datetime | None = None
    ends_at: datetime | None = None
    valid_for: timedelta | CalendarSpan | None = None
    zone: tzinfo = UTC
    hours: tuple[Hours, ...] = ()
    until: Period | None = None
    remind_days: int | None = None
    """days before its end on which a customer's coupon is announced as expiring (0: only as expired); None: never"""

    @property
    def ends_coupons(self) -> bool:
        """Return whether each coupon has an end of its own."""
        return self.valid_for is not None or self.until is not None


@dataclass(frozen=True, slots=True)
class Condition:
    """An expression that must be true. `is_true` is the compiled `expression`.

    `of_request`: it reads nothing of the coupon or its campaign, so it has one result for the whole request.
    `customer_fields`: the fields of the customer that it reads, which the ledger may know.
    `work` estimates what evaluating it costs, in units of `shared.domain.offers.work`; None: negligible.
    """

    name: str
    expression: str
    is_true: IsTrue = field(compare=False, repr=False)
    of_request: bool = False
    customer_fields: frozenset[str] = frozenset()
    work: Callable[[Mapping[str, Any]], int] | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Stacking:
    """Rules for combining: `policy`, one per `group`, at most `max_coupons` per order; higher `priority` first."""

    policy: StackingPolicy = "exclusive"
    group: str | None = None
    priority: int = 0
    max_coupons: int | None = None


@dataclass(frozen=True, slots=True)
class IssueRule:
    """`event` issues `coupons` coupons when each entry of `match` equals the event's field and `condition` is true."""

    event: str
    match: tuple[tuple[str, str], ...] = ()
    condition: Condition | None = None
    to: Receiver = "customer"
    coupons: int = 1


@dataclass(frozen=True, slots=True)
class Source:
    """The source of codes. `url` and `headers` are the external API's; `without_code`: coupons may have no code."""

    kind: SourceKind = "generated"
    url: str | None = None
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    without_code: bool = False


@dataclass(frozen=True, slots=True)
class Eligibility:
    """Requirements on customer and order; amounts are in the campaign's currency. Empty sets require nothing."""

    min_order_minor: int = 0
    min_order_exclusive: bool = False
    min_quantity: int = 0
    channels: frozenset[str] = frozenset()
    holder_only: bool = False
    first_order_only: bool = False
    segments_any: frozenset[str] = frozenset()
    segments_all: frozenset[str] = frozenset()
    segments_none: frozenset[str] = frozenset()
    conditions: tuple[Condition, ...] = ()

    @property
    def requires_segments(self) -> bool:
        """Return whether a customer's segments have to be known."""
        listed = self.segments_any or self.segments_all or self.segments_none
        return bool(listed) or any("segments" in condition.customer_fields for condition in self.conditions)

    @property
    def requires_identifiers(self) -> bool:
        """Return whether a customer's other identifiers have to be known."""
        return any(condition.customer_fields - {"segments"} for condition in self.conditions)


@dataclass(frozen=True, slots=True)
class Campaign:
    """An offer and its rules. `currency` is that of every amount in it, None if it has no amounts."""

    campaign_id: str
    discount: DiscountOffer
    name: str = ""
    group: str | None = None
    status: CampaignStatus = "active"
    currency: str | None = None
    scope: Scope = field(default_factory=Scope)
    code: CodeRule = field(default_factory=CodeRule)
    limits: Limits = field(default_factory=Limits)
    window: Window = field(default_factory=Window)
    eligibility: Eligibility = field(default_factory=Eligibility)
    stacking: Stacking = field(default_factory=Stacking)
    issues_on: tuple[IssueRule, ...] = ()
    source: Source = field(default_factory=Source)
    restore_on: frozenset[str] = frozenset()
    on_return: OnReturn = "share"
    restore_days: int = 0
    """days that a coupon is valid if a use is restored after its own end; 0: it stays expired"""
    recurring: bool = False
    recurring_cycles: int | None = None
    """orders of a subscription, of those that cost something, that a recurring coupon is for; None: all of them"""
    validation_code: str | None = field(default=None, repr=False)
    metadata: Mapping[str, Any] = field(default_factory=dict, hash=False)
    version: int = 0
    cache: dict[object, Any] = field(default_factory=dict, init=False, repr=False, compare=False)
    """cache of values derived from the campaign; not part of its definition"""

    @property
    def meters_campaign(self) -> bool:
        """Return whether a running total for the whole campaign is kept, which only some limits need."""
        limits = self.limits
        return limits.uses_total is not None or limits.coupons_total is not None or limits.spend_total_minor is not None

    @property
    def meters_customers(self) -> bool:
        """Return whether a running total for each customer of the campaign is kept."""
        return self.limits.uses_per_customer is not None or self.limits.coupons_per_customer is not None
