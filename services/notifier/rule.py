"""The notification rule: the request named exactly one coupon, and that coupon was redeemed. Pure."""

from uuid import UUID

from schemas.common import Event
from schemas.notifications import CouponRedemptionNotified, NotifiedCoupon
from schemas.redemptions import CouponRedeemed
from shared.domain.model.ids import derived_id


def notification_of(data: Event) -> CouponRedemptionNotified | None:
    """Return the notification for an event of the redemption stream, or None.

    The number of requested coupons counts: a request with several is never notified, even if all but one were refused.
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
        shop_id=data.shop_id,
    )


def notification_id(redemption_event_id: str) -> UUID:
    """Return the notification's id for a redemption event. It is always the same for the same event."""
    return UUID(derived_id("coupon.redemption_notified", redemption_event_id))


def event_uuid(event_id: str) -> UUID:
    """Return an event's id as a UUID: the id itself if it is one (all of Couponry's are), else one derived from it."""
    try:
        return UUID(event_id)
    except ValueError:
        return UUID(derived_id("event", event_id))
