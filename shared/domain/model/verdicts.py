"""Verdicts: the result of a command, and the ledger entries it causes."""

from collections.abc import Iterable, Mapping
from dataclasses import KW_ONLY, field
from datetime import datetime
from typing import Any, Final, Literal, Self

from shared.constructor import constructor
from shared.domain.model.coupon import Coupon
from shared.domain.model.customer import Customer, CustomerKey
from shared.domain.model.order import Order
from shared.domain.model.reasons import Reason
from shared.domain.model.state import LockedUse, PartReturn
from shared.domain.model.value import value

EntryKind = Literal[
    "issued", "locked", "released", "burned", "adjusted", "returned", "restored", "voided", "unvoided", "extended"
]
Outcome = Literal[
    "issued",
    "redeemed",
    "held",
    "adjusted",
    "restored",
    "released",
    "locked",
    "expired",
    "voided",
    "unvoided",
    "extended",
    "recorded",
    "unchanged",
    "refused",
]
"""The result of the command. `adjusted`: coupons that a changed order has got another discount, or were given up.
`recorded`: recorded on the order, no coupon changed. `unchanged`: nothing was left to do.
`refused`: all of it was refused; a verdict with another outcome may still refuse some of its coupons."""

LineShare = tuple[str, int]
"""(line id, discount in minor units)"""


@value
class MovedEnd:
    """A coupon's own end before and after it was moved. None: no own end."""

    before: datetime | None
    after: datetime | None


@value
class LedgerEntry:
    """One change of one coupon: a row of the ledger.

    The four numbers are signed changes, so that every meter is their sum. `held_minor` and `used_minor` are discount
    in minor units of `currency`; they are 0 if no order is known yet. A return in part is `returned`:
    discount, but no use. So is `adjusted`: the order changed. Its `lines` are the new shares of the whole discount.

    `counted_at` decides the period of a cap that the entry counts in: the time of the use, even for its restore.
    `subscription_id` is set if a recurring coupon is used on a subscription. `end` is set if the kind is `extended`.
    """

    kind: EntryKind
    coupon_id: str
    campaign_id: str
    _: KW_ONLY
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
    end: MovedEnd | None = None


@value
class Benefit:
    """A benefit in addition to a discount on goods: shipping, units of a product, or a custom payload."""

    shipping_minor: int = 0
    product_id: str | None = None
    product_units: int = 0
    payload: Mapping[str, Any] | None = field(default=None, hash=False)


@value
class AcceptedCoupon:
    """A coupon that was accepted (issued, locked, held, redeemed, restored …).

    `discount_minor` is None if no order was given. `uses` of an issued coupon is how often it can be used, 0 without
    limit. Issuing sets `starts_at` to `currency` (of the campaign and of `max_discount_minor`); a restore sets
    `redemption_id`, the redemption that it takes back. `lines` sum to the discount, with shipping under SHIPPING.
    `benefit` is None for plain discounts on goods. `recurring`: it continues on a subscription and took no use.
    """

    coupon_id: str
    code: str
    campaign_id: str
    discount_kind: str
    discount_value: str
    _: KW_ONLY
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
class KeptCoupon:
    """A coupon that a changed order keeps, with its discount now, and `before_minor`, its discount before.

    `redemption_id` of the coupon is None if the order holds it until it is paid.
    """

    coupon: AcceptedCoupon
    before_minor: int
    customer_key: CustomerKey | None = None


@value
class RefusedCoupon:
    """A coupon that was refused, with the reason, one English sentence, and its numbers.

    `code` is as the caller wrote it; None if the request named no code (an unknown lock, a refused issue).
    """

    reason: Reason
    message: str
    code: str | None = None
    coupon_id: str | None = None
    campaign_id: str | None = None
    details: dict[str, str] = field(default_factory=dict)


@value
class LockChange:
    """A change of a lock. `open` sets its customer and expiry; the other states close it.

    `uses` are the new uses: None keeps the present ones, () is none. A lock that loses a part of its uses stays `open`
    with the remainder. An expired lock keeps its uses (`uses` None), so that the refusal of a late order can name its
    coupons. `order_id` None keeps the present one; `burned` sets the order that burned it. `lost` are all uses that
    were given up; None keeps the present ones.
    """

    lock_reference: str
    status: Literal["open", "burned", "released", "expired"]
    _: KW_ONLY
    customer_key: CustomerKey | None = None
    order_id: str | None = None
    expires_at: datetime | None = None
    uses: tuple[LockedUse, ...] | None = None
    lost: tuple[LockedUse, ...] | None = None


@value
class OrderChange:
    """A change of an order. Times are the event's own, UTC; None keeps the present value, in every field.

    A `placed_at` that is earlier than the known one is kept as the time of the first placing.

    `order` is what it costs from now on, `codes` what it names. `customer` and `requested_count` are recorded only if
    the order holds coupons until payment, because the events of the payment need them. `returns` are all returned parts
    that count from now on.
    """

    order_id: str
    status: Literal["placed", "paid", "cancelled", "returned"]
    _: KW_ONLY
    placed_at: datetime | None = None
    paid_at: datetime | None = None
    cancelled_at: datetime | None = None
    returned_at: datetime | None = None
    changed_at: datetime | None = None
    customer: Customer | None = None
    customer_key: CustomerKey | None = None
    order: Order | None = None
    codes: tuple[str, ...] | None = None
    requested_count: int | None = None
    returns: tuple[PartReturn, ...] | None = None


@value
class Revocation:
    """A reward that was revoked at `at`. `used`: ids of its coupons without a use left, which a restore voids."""

    occasion: str
    at: datetime
    used: tuple[str, ...] = ()


@value
class Verdict:
    """The result of a command: `entries`, `locks` and `orders` are its effects on the ledger, the rest is the response.

    `requested_count` is the number of different coupons that the request named. `decided_at` is the database's now.
    `accepted` is in the order of application, `refused` in the order of codes: neither depends on how the codes were
    listed. `natural_key` is that of the issue, for the set of occasions that have issued. `segments` is
    (customer key, segments) from the command, None if it has none. `metadata` is that of the request, or what the
    request says for people: {"reason": …}. `kept` are the coupons that a changed order keeps. `why` is set if the
    outcome is `unchanged`: one of few words for the reason.
    """

    command_id: str
    outcome: Outcome
    decided_at: datetime
    _: KW_ONLY
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
    kept: tuple[KeptCoupon, ...] = ()
    why: str | None = None
    revocation: Revocation | None = None

    @classmethod
    def unchanged(
        cls, command_id: str, now: datetime, *, why: str, lock_reference: str | None = None, requested_count: int = 0
    ) -> Self:
        """Return the verdict on a command that left nothing to do."""
        return cls(
            command_id, "unchanged", now, lock_reference=lock_reference, requested_count=requested_count, why=why
        )

    @classmethod
    def all_refused(
        cls,
        command_id: str,
        now: datetime,
        refused: Iterable[RefusedCoupon],
        *,
        requested_count: int = 0,
        currency: str | None = None,
        order_id: str | None = None,
        lock_reference: str | None = None,
        customer_key: CustomerKey | None = None,
        change: OrderChange | None = None,
    ) -> Self:
        """Return the verdict on a command that was refused as a whole. `change`: what it changes about its order."""
        return cls(
            command_id,
            "refused",
            now,
            refused=tuple(refused),
            requested_count=requested_count,
            currency=currency,
            order_id=order_id,
            lock_reference=lock_reference,
            customer_key=customer_key,
            orders=() if change is None else (change,),
        )


# Every order creates these.
new_entry: Final = constructor(LedgerEntry)
new_accepted: Final = constructor(AcceptedCoupon)
new_order_change: Final = constructor(OrderChange)
new_verdict: Final = constructor(Verdict)


def refuse(
    reason: Reason, message: str, code: str | None, coupon: Coupon | None = None, details: dict[str, str] | None = None
) -> RefusedCoupon:
    """Return a refusal that names `coupon`, if there is one."""
    if coupon is None:
        return RefusedCoupon(reason, message, code, details=details or {})
    return RefusedCoupon(reason, message, code, coupon.coupon_id, coupon.campaign_id, details or {})
