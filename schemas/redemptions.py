"""Topic `coupons.redemptions`: coupons redeemed, refused, adjusted and restored on orders. Key: order id.

A request causes at most one event for redeemed coupons and one for refused ones. An order that changes causes one
event for each earlier redemption whose discounts change, and one for each that is restored.

`shop_id` is that of the order; see `schemas.orders.OrderReference`.
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
    shop_id: WrittenIdentifier | None = None


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
    shop_id: WrittenIdentifier | None = None


class AdjustedCoupon(EventPart):
    """A coupon that keeps its use on a changed order, with its discount before and now. `lines`: as it is now."""

    coupon_id: WrittenIdentifier
    code: WrittenIdentifier | None = None
    campaign_id: WrittenIdentifier
    discount_before: Amount
    discount_amount: Amount
    lines: tuple[LineDiscount, ...] | None = None
    shipping_discount_amount: Amount | None = None


class CouponRedemptionAdjusted(Event):
    """The discounts of a redemption changed, because its order did. `coupons`: those whose discount changed.

    `discount_before` and `discount_amount` are the sums of these coupons.
    """

    redemption_id: WrittenIdentifier
    order_id: WrittenIdentifier
    customer: CustomerReference | None = None
    cause: WrittenIdentifier
    order_amount: Amount
    currency: Currency
    discount_before: Amount
    discount_amount: Amount
    coupons: tuple[AdjustedCoupon, ...]
    adjusted_at: WrittenMoment
    shop_id: WrittenIdentifier | None = None


class RestoredCoupon(EventPart):
    """A coupon with its restored `uses` and the discount that no longer applies.

    `uses` is 0 if only part of the order was returned, or if the coupon took no use. `lines`: each returned line's
    share of the discount. `reason`: why a changed order can't use the coupon any longer; None if it isn't named again.
    """

    coupon_id: WrittenIdentifier
    code: WrittenIdentifier | None = None
    campaign_id: WrittenIdentifier
    uses: Count
    discount_amount: Amount
    lines: tuple[LineDiscount, ...] | None = None
    reason: WrittenIdentifier | None = None


class CouponRedemptionRestored(Event):
    """A redemption was undone, in whole or in part. `cause` is the type of the causing event ("order.cancelled")."""

    redemption_id: WrittenIdentifier
    order_id: WrittenIdentifier
    cause: WrittenIdentifier
    coupons: tuple[RestoredCoupon, ...]
    restored_at: WrittenMoment
    customer: CustomerReference | None = None
    shop_id: WrittenIdentifier | None = None


RedemptionEvent = CouponRedeemed | CouponRedemptionRefused | CouponRedemptionAdjusted | CouponRedemptionRestored
"""An event of the redemption stream."""
