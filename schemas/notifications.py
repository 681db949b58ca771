"""Topic `coupons.redemption-notifications`: redemptions of single coupons. Key: order id."""

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
    """The used coupon and its discount. `code` is None for a campaign without codes."""

    coupon_id: WrittenIdentifier
    code: WrittenIdentifier | None = None
    campaign_id: WrittenIdentifier
    discount: Discount
    discount_amount: Amount


class CouponRedemptionNotified(Event):
    """A request named exactly one coupon, and it was redeemed. Not published for requests with several coupons."""

    redemption_id: WrittenIdentifier
    order_id: WrittenIdentifier
    customer: CustomerReference | None = None
    coupon: NotifiedCoupon
    order_amount: Amount
    currency: Currency
    redeemed_at: WrittenMoment
    shop_id: WrittenIdentifier | None = None
