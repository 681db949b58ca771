"""The notification rule: a request that named exactly one coupon, and that coupon was redeemed. Pure."""

from uuid import UUID

from schemas.common import Event
from schemas.notifications import CouponRedemptionNotified, NotifiedCoupon
from schemas.redemptions import CouponRedeemed
from shared.domain.model.ids import derived_id


def notification_of(data: Event) -> CouponRedemptionNotified | None:
    """The notification that an event of the redemption stream causes, if it causes one.

    What counts is what was asked for: of a request with several coupons none is notified, not even when all but one
    were refused.
    """
    if not isinstance(data, CouponRedeemed) or data.requested_count != 1 or len(data.coupons) != 1:
        return None
    coupon = data.coupons[0]
    return CouponRedemptionNotified(
        redemption_id=data.redemption_id,
        order_id=data.order_id,
        customer=data.customer,
        coupon=NotifiedCoupon(
            coupon_id=coupon.coupon_id,
            code=coupon.code,
            campaign_id=coupon.campaign_id,
            discount=coupon.discount,
            discount_amount=coupon.discount_amount,
        ),
        order_amount=data.order_amount,
        currency=data.currency,
        redeemed_at=data.redeemed_at,
    )


def notification_id(redemption_event_id: str) -> UUID:
    """The id of the notification of a redemption event: the same whoever reckons it, and whenever."""
    return UUID(derived_id("coupon.redemption_notified", redemption_event_id))


def event_uuid(event_id: str) -> UUID:
    """An event's id as a UUID: itself when it is one, as all of Couponry's own are, else one derived from it."""
    try:
        return UUID(event_id)
    except ValueError:
        return UUID(derived_id("event", event_id))
