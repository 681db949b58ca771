"""Topic `coupons.redemption-notifications`: one redeemed coupon, told to whoever waits for it. Key: order id."""

from schemas.common import Amount, Currency, CustomerReference, Discount, Event, EventPart, Identifier, Moment


class NotifiedCoupon(EventPart):
    """The coupon that was used, and what it took off. `code` is None for a campaign without codes."""

    coupon_id: Identifier
    code: Identifier | None = None
    campaign_id: Identifier
    discount: Discount
    discount_amount: Amount


class CouponRedemptionNotified(Event):
    """A request named exactly one coupon, and it was redeemed. Requests with several coupons never cause one."""

    redemption_id: Identifier
    order_id: Identifier
    customer: CustomerReference | None = None
    coupon: NotifiedCoupon
    order_amount: Amount
    currency: Currency
    redeemed_at: Moment
