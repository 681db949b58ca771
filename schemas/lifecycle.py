"""Topic `coupons.lifecycle`: locks, coupons that were voided, extended or exhausted, withheld events.

Key: coupon id, or event id. `shop_id` is that of the order; see `schemas.orders.OrderReference`.
"""

from schemas.common import (
    Amount,
    Currency,
    CustomerReference,
    Event,
    EventPart,
    LockReference,
    Number,
    Text,
    WrittenIdentifier,
    WrittenMoment,
)


class LockedCoupon(EventPart):
    """A locked coupon and its discount, which is None if the lock was made without an order."""

    coupon_id: WrittenIdentifier
    code: WrittenIdentifier | None = None
    campaign_id: WrittenIdentifier
    discount_amount: Amount | None = None


class CouponLocked(Event):
    """Uses are held until `expires_at` for a customer, an order, or both."""

    lock_reference: LockReference
    coupons: tuple[LockedCoupon, ...]
    customer: CustomerReference | None = None
    order_id: WrittenIdentifier | None = None
    currency: Currency | None = None
    expires_at: WrittenMoment
    shop_id: WrittenIdentifier | None = None


class CouponReleased(Event):
    """A lock was released before its time: its coupons can be used again.

    `cause` is the type of the event of an order that released it: "order.changed", "order.payment_failed", or
    "order.placed" if a newer order of the customer took the coupon over. `reason`: why the changed order can't use the
    coupon any longer.
    """

    lock_reference: LockReference
    coupons: tuple[LockedCoupon, ...]
    customer: CustomerReference | None = None
    order_id: WrittenIdentifier | None = None
    currency: Currency | None = None
    released_at: WrittenMoment
    cause: WrittenIdentifier | None = None
    reason: WrittenIdentifier | None = None
    shop_id: WrittenIdentifier | None = None


class CouponLockExpired(Event):
    """A lock expired. It held nothing after `expires_at`; `expired_at` is when the expiry was recorded."""

    lock_reference: LockReference
    coupons: tuple[LockedCoupon, ...]
    customer: CustomerReference | None = None
    order_id: WrittenIdentifier | None = None
    currency: Currency | None = None
    expires_at: WrittenMoment | None = None
    expired_at: WrittenMoment
    shop_id: WrittenIdentifier | None = None


class CouponVoided(Event):
    """A coupon was taken out of use. Past redemptions are not affected. `customer` is its holder."""

    coupon_id: WrittenIdentifier
    code: WrittenIdentifier | None = None
    campaign_id: WrittenIdentifier
    reason: Text | None = None
    voided_at: WrittenMoment
    customer: CustomerReference | None = None


class CouponUnvoided(Event):
    """A void was undone: the coupon can be used again, or waits in its pool again. `customer` is its holder."""

    coupon_id: WrittenIdentifier
    code: WrittenIdentifier | None = None
    campaign_id: WrittenIdentifier
    customer: CustomerReference | None = None
    reason: Text | None = None
    unvoided_at: WrittenMoment


class CouponExtended(Event):
    """A coupon's own end was moved, also to an earlier time. None: it has no end of its own. `customer` is its holder.

    The coupon can't be used after the end of its campaign either.
    """

    coupon_id: WrittenIdentifier
    code: WrittenIdentifier | None = None
    campaign_id: WrittenIdentifier
    customer: CustomerReference | None = None
    reason: Text | None = None
    ends_before: WrittenMoment | None = None
    ends_at: WrittenMoment | None = None
    extended_at: WrittenMoment


class CouponExpiring(Event):
    """A customer's unused coupon ends at `expires_at`, its own end or its campaign's, in `days_left` days.

    Published once for each end, for campaigns with `window.remind_days`, and again if the end is moved.
    """

    coupon_id: WrittenIdentifier
    code: WrittenIdentifier | None = None
    campaign_id: WrittenIdentifier
    customer: CustomerReference
    expires_at: WrittenMoment
    days_left: Number


class CouponExpired(Event):
    """A customer's unused coupon ended at `expired_at`. Published once for each end, like `coupon.expiring`."""

    coupon_id: WrittenIdentifier
    code: WrittenIdentifier | None = None
    campaign_id: WrittenIdentifier
    customer: CustomerReference
    expired_at: WrittenMoment


class CouponExhausted(Event):
    """The last of a coupon's `limit` uses was taken. Published for coupons that can be used more than once.

    A restored use makes the coupon usable again; when that use is taken, the event is published again.
    """

    coupon_id: WrittenIdentifier
    code: WrittenIdentifier | None = None
    campaign_id: WrittenIdentifier
    limit: Number
    exhausted_at: WrittenMoment


class CampaignExhausted(Event):
    """A campaign reached a limit of all its customers together. `limit` is the limit's name in the campaign.

    `value` is the limit (a number, or an amount in `currency`). `until` is the end of a cap's period, None for a limit
    without periods. A restored use frees part of the limit; when it is reached again, the event is published again.
    """

    campaign_id: WrittenIdentifier
    limit: WrittenIdentifier
    value: Text
    currency: Currency | None = None
    until: WrittenMoment | None = None
    exhausted_at: WrittenMoment


class LedgerEventWithheld(Event):
    """An event of the ledger could not be published and is withheld, so it is missing on `topic`.

    `event_id`, `event_type` and `key` are those of the event, `position` is its position in the outbox. When the cause
    is fixed, the event can be published on `topic` with the same id.
    """

    event_id: WrittenIdentifier
    event_type: WrittenIdentifier
    topic: WrittenIdentifier
    key: Text | None = None
    position: Number
    reason: WrittenIdentifier
    message: Text | None = None
    withheld_at: WrittenMoment
