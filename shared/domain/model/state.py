"""What a decision may look at, loaded once for a batch and folded forward by `evolve`."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from shared.domain.model.campaign import Campaign
from shared.domain.model.coupon import Coupon
from shared.domain.model.customer import Customer, CustomerKey
from shared.domain.model.value import value

OrderStatus = Literal["placed", "paid", "cancelled", "returned"]
LockStatus = Literal["open", "burned", "released", "expired"]

MeterKey = tuple[str, CustomerKey | None]
"""(campaign id, customer) for one customer of a campaign; (campaign id, None) for the whole campaign."""

PeriodKey = tuple[str, CustomerKey | None, str]
"""A meter key with a period beside it, as `periods.period_of` names it."""


@dataclass(slots=True)
class Meter:
    """Running totals: coupons issued, uses held, uses used, discounts of both (0 where a period is counted)."""

    issued: int = 0
    held: int = 0
    used: int = 0
    used_minor: int = 0
    held_minor: int = 0


@value
class ActiveRedemption:
    """A coupon that stands redeemed for an order.

    `uses` is 0 where it went on with a subscription. `burned_minor` is what it took off, `discount_minor` what is left
    of that after returns in part. `counted_at` and `subscription_id` are those of its use.
    """

    coupon_id: str
    campaign_id: str
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


OrderLines = tuple[tuple[str, int, int], ...]
"""(line id, quantity, price of one unit in minor units), in the order of the lines"""


@value
class PartReturn:
    """A part of an order that came back at `at`: `lines`, each id once and in their order, or goods of `amount`.

    `amount` is the decimal text that was said: the order's currency may not be known yet.
    """

    at: datetime
    lines: tuple[tuple[str, int], ...] = ()
    amount: str | None = None


@dataclass(slots=True)
class OrderState:
    """What the ledger knows of an order. `redemptions` is keyed by coupon id; held uses are its locks' (`order_hold`).

    `lines` and `amount_minor` are what it consists of, `returns` the parts of it that came back, in a fixed order.
    """

    order_id: str
    status: OrderStatus
    customer: Customer | None = None
    placed_at: datetime | None = None
    paid_at: datetime | None = None
    cancelled_at: datetime | None = None
    returned_at: datetime | None = None
    currency: str | None = None
    amount_minor: int = 0
    customer_key: CustomerKey | None = None
    requested_count: int = 0
    """how many different coupons its placings named that wait for the payment; it burns them as one request"""
    redemptions: dict[str, ActiveRedemption] = field(default_factory=dict)
    lines: OrderLines = ()
    returns: tuple[PartReturn, ...] = ()


@value
class LockedUse:
    """One coupon's share of a lock. `counted_at`: when it was held, which is when the use counts.

    `uses` is 0 where the coupon goes on with a subscription. `subscription_id` is that of a recurring coupon's order.
    """

    coupon_id: str
    campaign_id: str
    uses: int
    discount_minor: int
    currency: str | None = None
    lines: tuple[tuple[str, int], ...] = ()
    counted_at: datetime | None = None
    subscription_id: str | None = None

    @property
    def one_use_minor(self) -> int:
        """The discount of one use of several; the first ones get the remainder, so that all of them make the whole."""
        return self.discount_minor - self.discount_minor * (self.uses - 1) // self.uses


@dataclass(slots=True)
class LockState:
    """A lock and what it holds. `expires_at` is UTC; at and after it the lock holds nothing.

    An expired lock still names in `uses` what it held; a burned or released one names nothing. The order that burned a
    lock is its `order_id`.
    """

    lock_reference: str
    status: LockStatus
    expires_at: datetime
    customer_key: CustomerKey | None = None
    order_id: str | None = None
    uses: tuple[LockedUse, ...] = ()


SupplyKey = tuple[str, str, int]
"""(command id, campaign id, which of the command's coupons of the campaign, from 0)"""


@value
class Supply:
    """A code ready to be issued: what randomness, a pool or an external API gave beforehand. None: there was none.

    `without_code` campaigns get a code of the ledger's own, which no event shows.
    """

    coupon_id: str
    code: str | None


@dataclass(slots=True)
class State:
    """Everything a batch of commands may look at. What is not in here does not exist.

    `locks` has every lock that a coupon's `holds` name, with all of its uses, beside those that commands name.
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
    """command id → the person the command names"""
    supplies: dict[SupplyKey, Supply] = field(default_factory=dict)
    taken: dict[str, str] = field(default_factory=dict)
    """code key → campaign id, of codes that commands bring for new coupons and the ledger has already"""
    segments: dict[CustomerKey, frozenset[str]] = field(default_factory=dict)
    orders_of: dict[CustomerKey, set[str]] = field(default_factory=dict)
    """customer → their orders that stand: of those whose first order is asked for, one more at least than the batch has
    orders
    """
    issued: set[tuple[str, str]] = field(default_factory=set)
    """(natural key, campaign id) of occasions that were already issued"""
    subscriptions: dict[tuple[str, str], int] = field(default_factory=dict)
    """(subscription id, coupon id) → uses that stand for it, of subscriptions with orders that are not their first"""


def order_hold(order_id: str) -> str:
    """The reference of the lock that holds an order's coupons until it is paid."""
    return f"order:{order_id}"


def is_holding(lock: LockState | None, now: datetime) -> bool:
    """Return whether `lock` is open and not expired. A lock that expires at `now` holds nothing."""
    return lock is not None and lock.status == "open" and lock.expires_at > now
