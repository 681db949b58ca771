"""Topic `coupons.lifecycle`: what else becomes of coupons. Key: coupon id."""

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
    """A coupon and the discount that a lock holds with it, None where no order was given to reckon on."""

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


class CouponReleased(Event):
    """A lock was let go before its time: what it held can be used again."""

    lock_reference: LockReference
    coupons: tuple[LockedCoupon, ...]
    customer: CustomerReference | None = None
    order_id: WrittenIdentifier | None = None
    currency: Currency | None = None
    released_at: WrittenMoment


class CouponLockExpired(Event):
    """A lock's time was over. It held nothing from `expires_at` on; `expired_at` is when that was noted."""

    lock_reference: LockReference
    coupons: tuple[LockedCoupon, ...]
    customer: CustomerReference | None = None
    order_id: WrittenIdentifier | None = None
    currency: Currency | None = None
    expires_at: WrittenMoment | None = None
    expired_at: WrittenMoment


class CouponVoided(Event):
    """A coupon was taken out of use, for good. What was redeemed stays redeemed."""

    coupon_id: WrittenIdentifier
    code: WrittenIdentifier | None = None
    campaign_id: WrittenIdentifier
    reason: Text | None = None
    voided_at: WrittenMoment


class CouponExhausted(Event):
    """The last of a coupon's `limit` uses was taken. Told of coupons that can be used more than once.

    A restored use makes it usable again; when that is taken, it is told again.
    """

    coupon_id: WrittenIdentifier
    code: WrittenIdentifier | None = None
    campaign_id: WrittenIdentifier
    limit: Number
    exhausted_at: WrittenMoment


class CampaignExhausted(Event):
    """A campaign reached a limit for all of its customers together: `limit` is the limit's name in the campaign.

    `value` is the limit (a number, or an amount in `currency`). `until`: when a cap begins anew, None for a limit that
    is for good. What is restored makes room again; when that is taken, it is told again.
    """

    campaign_id: WrittenIdentifier
    limit: WrittenIdentifier
    value: Text
    currency: Currency | None = None
    until: WrittenMoment | None = None
    exhausted_at: WrittenMoment
