"""Topic `coupons.redemption-notifications`: one redeemed coupon, told to whoever waits for it. Key: order id."""

from schemas.common import (
    Amount,
    Currency,
    CustomerReference,
    Discount,
    Event,
    EventPart,
    WrittenIdentifier,
    WrittenMoment,
)


class NotifiedCoupon(EventPart):
    """The coupon that was used, and what it took off. `code` is None for a campaign without codes."""

    coupon_id: WrittenIdentifier
    code: WrittenIdentifier | None = None
    campaign_id: WrittenIdentifier
    discount: Discount
    discount_amount: Amount


class CouponRedemptionNotified(Event):
    """A request named exactly one coupon, and it was redeemed. Requests with several coupons never cause one."""

    redemption_id: WrittenIdentifier
    order_id: WrittenIdentifier
    customer: CustomerReference | None = None
    coupon: NotifiedCoupon
    order_amount: Amount
    currency: Currency
    redeemed_at: WrittenMoment
