"""Topic `coupons.redemptions`: coupons redeemed, refused and restored on orders. Key: order id.

One order request causes at most two events: one for redeemed coupons, one for refused ones.
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
    """A line's share of a discount. All shares sum to the discount."""

    line_id: WrittenIdentifier
    discount_amount: Amount


class FreeProduct(EventPart):
    """A free product that a coupon adds to the order. If the order lists it, its price is part of the discount."""

    product_id: WrittenIdentifier
    quantity: Number


class RedeemedCoupon(EventPart):
    """A used coupon and its discount. `code` is None for a campaign without codes.

    `discount_amount` is the sum of the lines' shares and `shipping_discount_amount`, if the order has lines.
    `recurring`: it continued on a later order of a subscription and took no use.
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
    """Coupons were used on an order. `requested_count` is the number of coupons in the request, with refused ones.

    `metadata`: the request's metadata about the redemption, unchanged.
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
    """A refused coupon. `code` is as written by the caller; ids are None if the coupon doesn't exist.

    `reason` is the machine-readable code, `message` a sentence, `details` the numbers it is based on.
    """

    code: WrittenIdentifier | None = None
    coupon_id: WrittenIdentifier | None = None
    campaign_id: WrittenIdentifier | None = None
    reason: WrittenIdentifier
    message: Text
    details: dict[str, str] | None = None


class CouponRedemptionRefused(Event):
    """Coupons of an order were refused. Amount and currency are None if the order is not known."""

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
    """A coupon with its restored `uses` and the discount that no longer applies.

    `uses` is 0 if only part of the order was returned, or if the coupon took no use. `lines`: each returned line's
    share of the discount.
    """

    coupon_id: WrittenIdentifier
    code: WrittenIdentifier | None = None
    campaign_id: WrittenIdentifier
    uses: Count
    discount_amount: Amount
    lines: tuple[LineDiscount, ...] | None = None


class CouponRedemptionRestored(Event):
    """A redemption was undone, in whole or in part. `cause` is the type of the causing event ("order.cancelled")."""

    redemption_id: WrittenIdentifier
    order_id: WrittenIdentifier
    cause: WrittenIdentifier
    coupons: tuple[RestoredCoupon, ...]
    restored_at: WrittenMoment
