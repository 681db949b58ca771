"""What was decided: the answer to a command, and the ledger entries it causes."""

from collections.abc import Mapping
from dataclasses import field
from datetime import datetime
from typing import Any, Literal

from shared.domain.model.coupon import Coupon
from shared.domain.model.customer import Customer, CustomerKey
from shared.domain.model.order import Line
from shared.domain.model.reasons import Reason
from shared.domain.model.state import LockedUse, PartReturn
from shared.domain.model.value import value

EntryKind = Literal["issued", "locked", "released", "burned", "returned", "restored", "voided"]
Outcome = Literal[
    "issued",
    "redeemed",
    "held",
    "restored",
    "released",
    "locked",
    "expired",
    "voided",
    "recorded",
    "unchanged",
    "refused",
]
"""What the command did. `recorded`: noted on the order, no coupon moved. `unchanged`: nothing was left to do.
`refused`: all of it was refused; a verdict with another outcome may still refuse some of its coupons."""

LineShare = tuple[str, int]
"""(line id, discount in minor units)"""


@value
class LedgerEntry:
    """One change of one coupon: a row of the ledger.

    The four numbers are signed changes, so that every meter is their sum. `held_minor` and `used_minor` are discount
    in minor units of `currency`; they are 0 where no order is known yet. A part of an order that came back is
    `returned`: discount, and no use.

    `counted_at` is the time by which the entry counts in a cap's period: that of the use, also when it is restored.
    `subscription_id` is set where a recurring coupon is used for one.
    """

    kind: EntryKind
    coupon_id: str
    campaign_id: str
    customer_key: CustomerKey | None = None
    order_id: str | None = None
    lock_reference: str | None = None
    redemption_id: str | None = None
    held_uses: int = 0
    used_uses: int = 0
    held_minor: int = 0
    used_minor: int = 0
    currency: str | None = None
    lines: tuple[LineShare, ...] = ()
    counted_at: datetime | None = None
    subscription_id: str | None = None


@value
class Benefit:
    """What a coupon gives beside a discount on goods: shipping, units of a product, a payload handed through."""

    shipping_minor: int = 0
    product_id: str | None = None
    product_units: int = 0
    payload: Mapping[str, Any] | None = field(default=None, hash=False)


@value
class AcceptedCoupon:
    """A coupon that was accepted (issued, locked, held, redeemed, restored …).

    `discount_minor` is None where no order was given to reckon on. `uses` of an issued coupon is how often it can be
    used, 0 without limit. Issue fills `starts_at` to `currency` (the campaign's; that of `max_discount_minor`), a
    restore `redemption_id`: the redemption that is taken back. `lines` sum to the discount, the shipping's share being
    under SHIPPING. `benefit` is None for plain discounts on goods. `recurring`: it went on with a subscription, and
    took no use.
    """

    coupon_id: str
    code: str
    campaign_id: str
    discount_kind: str
    discount_value: str
    discount_minor: int | None = None
    lines: tuple[LineShare, ...] = ()
    uses: int = 1
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    max_discount_minor: int | None = None
    currency: str | None = None
    redemption_id: str | None = None
    benefit: Benefit | None = None
    recurring: bool = False


@value
class RefusedCoupon:
    """A coupon that was refused, with the reason, one English sentence, and the numbers behind it.

    `code` is as the caller wrote it; None where the request named no code (an unknown lock, a refused issue).
    """

    reason: Reason
    message: str
    code: str | None = None
    coupon_id: str | None = None
    campaign_id: str | None = None
    details: dict[str, str] = field(default_factory=dict)


@value
class LockChange:
    """What becomes of a lock. `open` carries who and until when; the other states close it.

    `uses` is what it holds from now on: None leaves what stands, () is nothing. A lock that loses a part of its uses
    stays `open` with the rest; one that ran out of time keeps the names of what it held (`uses` None), so that a late
    order hears which coupons it lost. `order_id` None leaves what stands; `burned` sets the order that burned it.
    """

    lock_reference: str
    status: Literal["open", "burned", "released", "expired"]
    customer_key: CustomerKey | None = None
    order_id: str | None = None
    expires_at: datetime | None = None
    uses: tuple[LockedUse, ...] | None = None


@value
class OrderChange:
    """What is noted of an order. Times are the event's own, UTC; None leaves what stands, in every field.

    `customer` and `requested_count` are noted only where the order holds coupons until its payment, which has to tell
    who ordered and how many coupons were named. `returns` are all parts that came back and count from now on.
    """

    order_id: str
    status: Literal["placed", "paid", "cancelled", "returned"]
    placed_at: datetime | None = None
    paid_at: datetime | None = None
    cancelled_at: datetime | None = None
    returned_at: datetime | None = None
    customer: Customer | None = None
    customer_key: CustomerKey | None = None
    currency: str | None = None
    amount_minor: int | None = None
    requested_count: int | None = None
    lines: tuple[Line, ...] | None = None
    returns: tuple[PartReturn, ...] | None = None


@value
class Verdict:
    """The answer to one command. `entries`, `locks` and `orders` are its effect on the ledger, the rest is told.

    `requested_count` is the number of different coupons that the request named. `decided_at` is the database's now.
    `accepted` stands in the order of application, `refused` in the order of codes: neither depends on how the codes
    were listed. `natural_key` is that of the issue, for the set of occasions already served. `segments` is what the
    command says of a customer, (who, in which segments), None where it says nothing. `metadata` is the request's own.
    """

    command_id: str
    outcome: Outcome
    decided_at: datetime
    accepted: tuple[AcceptedCoupon, ...] = ()
    refused: tuple[RefusedCoupon, ...] = ()
    requested_count: int = 0
    discount_minor: int = 0
    currency: str | None = None
    order_id: str | None = None
    redemption_id: str | None = None
    lock_reference: str | None = None
    expires_at: datetime | None = None
    customer_key: CustomerKey | None = None
    entries: tuple[LedgerEntry, ...] = ()
    locks: tuple[LockChange, ...] = ()
    orders: tuple[OrderChange, ...] = ()
    natural_key: str | None = None
    segments: tuple[CustomerKey, tuple[str, ...]] | None = None
    metadata: Mapping[str, Any] | None = field(default=None, hash=False)


def refuse(
    reason: Reason, message: str, code: str | None, coupon: Coupon | None = None, details: dict[str, str] | None = None
) -> RefusedCoupon:
    """Return a refusal that names `coupon`, where there is one."""
    if coupon is None:
        return RefusedCoupon(reason, message, code, details=details or {})
    return RefusedCoupon(reason, message, code, coupon.coupon_id, coupon.campaign_id, details or {})
