"""Topic `coupons.redemptions`: what became of coupons on orders. Key: order id.

One order request causes at most two events: one for the coupons that were redeemed, one for those that were refused.
"""

from schemas.common import (
    Amount,
    Count,
    Currency,
    CustomerReference,
    Discount,
    Event,
    EventPart,
    LockReference,
    Metadata,
    Number,
    Text,
    WrittenIdentifier,
    WrittenMoment,
)


class LineDiscount(EventPart):
    """A line's share of a discount; the shares sum to the discount."""

    line_id: WrittenIdentifier
    discount_amount: Amount


class FreeProduct(EventPart):
    """A product that a coupon adds to the order at no cost. Where the order lists it, the discount has its price."""

    product_id: WrittenIdentifier
    quantity: Number


class RedeemedCoupon(EventPart):
    """A coupon that was used, and what it took off. `code` is None for a campaign without codes.

    `discount_amount` is the sum of the lines' shares and of `shipping_discount_amount`, where the order has lines.
    `recurring`: it went on with a subscription, and took no use.
    """

    coupon_id: WrittenIdentifier
    code: WrittenIdentifier | None = None
    campaign_id: WrittenIdentifier
    discount: Discount
    discount_amount: Amount
    lines: tuple[LineDiscount, ...] | None = None
    shipping_discount_amount: Amount | None = None
    free_product: FreeProduct | None = None
    recurring: bool | None = None


class CouponRedeemed(Event):
    """Coupons were used on an order. `requested_count` is how many the request named, refused ones included.

    `metadata`: what the request said of the redemption itself, handed on.
    """

    redemption_id: WrittenIdentifier
    order_id: WrittenIdentifier
    customer: CustomerReference | None = None
    requested_count: Count
    order_amount: Amount
    currency: Currency
    discount_amount: Amount
    coupons: tuple[RedeemedCoupon, ...]
    lock_reference: LockReference | None = None
    channel: WrittenIdentifier
    redeemed_at: WrittenMoment
    metadata: Metadata | None = None


class RefusedCoupon(EventPart):
    """A coupon that was refused. `code` as the caller wrote it; ids are None where there is no such coupon.

    `reason` is the machine-readable code, `message` the sentence, `details` the numbers behind it.
    """

    code: WrittenIdentifier | None = None
    coupon_id: WrittenIdentifier | None = None
    campaign_id: WrittenIdentifier | None = None
    reason: WrittenIdentifier
    message: Text
    details: dict[str, str] | None = None


class CouponRedemptionRefused(Event):
    """Coupons that an order named were not used. Amount and currency are None where the order is not known."""

    order_id: WrittenIdentifier
    customer: CustomerReference | None = None
    requested_count: Count
    currency: Currency | None = None
    order_amount: Amount | None = None
    coupons: tuple[RefusedCoupon, ...]
    lock_reference: LockReference | None = None
    channel: WrittenIdentifier
    refused_at: WrittenMoment
    metadata: Metadata | None = None


class RestoredCoupon(EventPart):
    """A coupon that got `uses` back, and the discount that thereby never was.

    `uses` is 0 where only a part of the order came back, or where the coupon took none. `lines`: what of the discount
    each returned line gives back.
    """

    coupon_id: WrittenIdentifier
    code: WrittenIdentifier | None = None
    campaign_id: WrittenIdentifier
    uses: Count
    discount_amount: Amount
    lines: tuple[LineDiscount, ...] | None = None


class CouponRedemptionRestored(Event):
    """A redemption was taken back. `cause` is the type of the event that did it ("order.cancelled")."""

    redemption_id: WrittenIdentifier
    order_id: WrittenIdentifier
    cause: WrittenIdentifier
    coupons: tuple[RestoredCoupon, ...]
    restored_at: WrittenMoment
