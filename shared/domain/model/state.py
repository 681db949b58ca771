"""The state that decisions read: loaded once for a batch and updated by `evolve`."""

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field
from datetime import datetime
from typing import Final, Literal

from shared.constructor import constructor
from shared.domain.model.campaign import Campaign
from shared.domain.model.coupon import Coupon
from shared.domain.model.customer import DEFAULT_RULES, Customer, CustomerKey, IdentifierKind, IdentityRules
from shared.domain.model.order import Order
from shared.domain.model.quantity import Quantity
from shared.domain.model.value import value

OrderStatus = Literal["placed", "paid", "cancelled", "returned"]
LockStatus = Literal["open", "burned", "released", "expired"]

MeterKey = tuple[str, CustomerKey | None]
"""(campaign id, customer) for one customer of a campaign; (campaign id, None) for the whole campaign."""

PeriodKey = tuple[str, CustomerKey | None, str]
"""A meter key with a period, as `clock.period_of` names it."""


@dataclass(slots=True)
class Meter:
    """Running totals: coupons issued, uses held and used, and discounts of both (0 for a period)."""

    issued: int = 0
    held: int = 0
    used: int = 0
    used_minor: int = 0
    held_minor: int = 0


NO_METER = Meter()
"""The totals of a campaign or customer without any; never changed."""


@value
class ActiveRedemption:
    """A redemption of a coupon on an order that was not restored.

    `uses` is 0 if it continues on a subscription. `burned_minor` is the original discount, `discount_minor` what is
    left of it after returns in part. `counted_at` and `subscription_id` are those of its use.
    """

    coupon_id: str
    campaign_id: str
    _: KW_ONLY
    redemption_id: str
    uses: int
    discount_minor: int
    currency: str | None
    customer_key: CustomerKey | None
    lines: tuple[tuple[str, int], ...] = ()
    """(line id, discount in minor units) as it was burned"""
    burned_minor: int = 0
    counted_at: datetime | None = None
    subscription_id: str | None = None


new_active_redemption: Final = constructor(ActiveRedemption)


@value
class PartReturn:
    """A part of an order that was returned at `at`: `lines`, each id once and sorted, or goods of `amount`, or goods
    for which the customer got `refunded_amount` back.

    Amounts are decimal strings, because the order's currency may not be known yet. With a `return_id`, equal parts at
    the same time are different returns.
    """

    at: datetime
    lines: tuple[tuple[str, Quantity], ...] = ()
    amount: str | None = None
    return_id: str | None = None
    refunded_amount: str | None = None


@dataclass(slots=True)
class OrderState:
    """The ledger's state of an order. `redemptions` is keyed by coupon id; held uses are in its lock (`order_hold`).

    `order_id` is its key (`ids.order_key`), here and everywhere in the state and in verdicts. `order` is the order as
    it was last placed or changed; None if no event has said what it costs. `codes` are those that it names; None in
    rows of versions that didn't record them. `returns` are the returned parts in a fixed order.
    """

    order_id: str
    status: OrderStatus
    customer: Customer | None = None
    placed_at: datetime | None = None
    """when it was last placed, by the event's own time"""
    first_placed_at: datetime | None = None
    paid_at: datetime | None = None
    cancelled_at: datetime | None = None
    returned_at: datetime | None = None
    changed_at: datetime | None = None
    """when the order was last changed, by the event's own time"""
    order: Order | None = None
    codes: tuple[str, ...] | None = None
    customer_key: CustomerKey | None = None
    requested_count: int = 0
    """number of different coupons that the order named while it waits for payment, which burns them as one request"""
    redemptions: dict[str, ActiveRedemption] = field(default_factory=dict)
    returns: tuple[PartReturn, ...] = ()

    @property
    def currency(self) -> str | None:
        """Return the currency; None if no event has said what the order costs."""
        return None if self.order is None else self.order.currency

    @property
    def amount_minor(self) -> int:
        """Return the price of the goods, 0 if it isn't known."""
        return 0 if self.order is None else self.order.amount_minor


@value
class LockedUse:
    """One coupon's share of a lock. `counted_at`: when it was held; the use counts at that time.

    `uses` is 0 if the coupon continues on a subscription. `subscription_id` is that of a recurring coupon's order.
    """

    coupon_id: str
    campaign_id: str
    _: KW_ONLY
    uses: int
    discount_minor: int
    currency: str | None = None
    lines: tuple[tuple[str, int], ...] = ()
    counted_at: datetime | None = None
    subscription_id: str | None = None

    @property
    def one_use_minor(self) -> int:
        """Return the discount of one use. The first uses get the remainder, so that all uses sum to the whole."""
        if self.uses <= 1:
            return self.discount_minor
        return self.discount_minor - self.discount_minor * (self.uses - 1) // self.uses


@dataclass(slots=True)
class LockState:
    """A lock and the uses that it holds. `expires_at` is UTC; from then on the lock holds nothing.

    An expired lock keeps its former `uses`; those of a burned or released lock are empty. The order that burned a
    lock is its `order_id`. `lost` are uses that the hold of an order gave up, because a payment failed or a newer order
    took them over. They hold nothing; if the order is paid after all, they are judged again.
    """

    lock_reference: str
    status: LockStatus
    expires_at: datetime
    customer_key: CustomerKey | None = None
    order_id: str | None = None
    uses: tuple[LockedUse, ...] = ()
    lost: tuple[LockedUse, ...] = ()

    @property
    def is_of_order(self) -> bool:
        """Return whether it is the hold of an order until its payment, not a lock that a caller made."""
        return self.order_id is not None and self.lock_reference == order_hold(self.order_id)


SupplyKey = tuple[str, str, int]
"""(command id, campaign id, which of the command's coupons of the campaign, from 0)"""


@value
class Supply:
    """A code ready to be issued: generated, or taken from a pool or an external API. None: there was none.

    Coupons of `without_code` campaigns get an internal code, which is not published.
    """

    coupon_id: str
    code: str | None


@dataclass(slots=True)
class State:
    """Everything that a batch of commands reads. Decisions treat anything missing here as nonexistent.

    `locks` has the locks that commands name, and every lock that a coupon's `holds` name, with all of its uses.
    """

    campaigns: dict[str, Campaign] = field(default_factory=dict)
    coupons: dict[str, Coupon] = field(default_factory=dict)
    coupon_ids: dict[str, str] = field(default_factory=dict)
    """code key → coupon id"""
    meters: dict[MeterKey, Meter] = field(default_factory=dict)
    period_meters: dict[PeriodKey, Meter] = field(default_factory=dict)
    orders: dict[str, OrderState] = field(default_factory=dict)
    locks: dict[str, LockState] = field(default_factory=dict)
    customers: dict[str, CustomerKey | None] = field(default_factory=dict)
    """command id → the customer that the command names"""
    supplies: dict[SupplyKey, Supply] = field(default_factory=dict)
    taken: dict[str, str] = field(default_factory=dict)
    """code key → campaign id, of codes for new coupons that exist already"""
    segments: dict[CustomerKey, frozenset[str]] = field(default_factory=dict)
    orders_of: dict[CustomerKey, set[str]] = field(default_factory=dict)
    """customer → ids of their open orders, for customers whose first order matters: at least one more than the batch
    has orders
    """
    known_customers: dict[CustomerKey, Mapping[IdentifierKind, str]] = field(default_factory=dict)
    """customer → identifiers that the ledger knows, one of each kind; loaded for conditions that read the customer"""
    identity: IdentityRules = DEFAULT_RULES
    issued: set[tuple[str, str]] = field(default_factory=set)
    """(natural key, campaign id) of occasions that have issued already"""
    issued_for: dict[str, list[str]] = field(default_factory=dict)
    """natural key → ids of the coupons issued for it, for rewards that the batch issues or revokes; no shared codes"""
    revoked: set[str] = field(default_factory=set)
    """natural keys of revoked rewards"""
    holders: dict[CustomerKey, Customer] = field(default_factory=dict)
    """holder or redeemer of a coupon → identifiers, for events of the coupon; only where a command may cause one"""
    subscriptions: dict[tuple[str, str], int] = field(default_factory=dict)
    """(subscription id, coupon id) → active uses, for subscriptions with later orders in the batch"""
    cycles: dict[tuple[str, str], dict[str, bool]] = field(default_factory=dict)
    """(subscription id, coupon id) → orders that have redeemed or hold the coupon, and whether they cost something; for
    campaigns with a number of cycles
    """


def order_hold(order_id: str) -> str:
    """Return the reference of the lock that holds an order's coupons until it is paid. `order_id` is its key."""
    return f"order:{order_id}"


def is_holding(lock: LockState | None, now: datetime) -> bool:
    """Return whether `lock` is open and not expired. A lock that expires at `now` holds nothing."""
    return lock is not None and lock.status == "open" and lock.expires_at > now
