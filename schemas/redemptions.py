"""Topic `coupons.redemptions`: what became of coupons on orders. Key: order id.

One order request causes at most two events: one for the coupons that were redeemed, one for those that were refused.
"""

from typing import Annotated

from pydantic import Field

from schemas.common import (
    Amount,
    Currency,
    CustomerReference,
    Discount,
    Event,
    EventPart,
    Identifier,
    Metadata,
    Moment,
    Text,
)

Count = Annotated[int, Field(ge=0)]


class LineDiscount(EventPart):
    """A line's share of a discount; the shares sum to the discount."""

    line_id: Identifier
    discount_amount: Amount


class FreeProduct(EventPart):
    """A product that a coupon adds to the order at no cost. Where the order lists it, the discount has its price."""

    product_id: Identifier
    quantity: Annotated[int, Field(ge=1)]


class RedeemedCoupon(EventPart):
    """A coupon that was used, and what it took off. `code` is None for a campaign without codes.

    `discount_amount` is the sum of the lines' shares and of `shipping_discount_amount`, where the order has lines.
    `recurring`: it went on with a subscription, and took no use.
    """

    coupon_id: Identifier
    code: Identifier | None = None
    campaign_id: Identifier
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

    redemption_id: Identifier
    order_id: Identifier
    customer: CustomerReference | None = None
    requested_count: Count
    order_amount: Amount
    currency: Currency
    discount_amount: Amount
    coupons: tuple[RedeemedCoupon, ...]
    lock_reference: Identifier | None = None
    channel: Identifier
    redeemed_at: Moment
    metadata: Metadata | None = None


class RefusedCoupon(EventPart):
    """A coupon that was refused. `code` as the caller wrote it; ids are None where there is no such coupon.

    `reason` is the machine-readable code, `message` the sentence, `details` the numbers behind it.
    """

    code: Identifier | None = None
    coupon_id: Identifier | None = None
    campaign_id: Identifier | None = None
    reason: Identifier
    message: Text
    details: dict[str, str] | None = None


class CouponRedemptionRefused(Event):
    """Coupons that an order named were not used. Amount and currency are None where the order is not known."""

    order_id: Identifier
    customer: CustomerReference | None = None
    requested_count: Count
    currency: Currency | None = None
    order_amount: Amount | None = None
    coupons: tuple[RefusedCoupon, ...]
    lock_reference: Identifier | None = None
    channel: Identifier
    refused_at: Moment
    metadata: Metadata | None = None


class RestoredCoupon(EventPart):
    """A coupon that got `uses` back, and the discount that thereby never was.

    `uses` is 0 where only a part of the order came back, or where the coupon took none. `lines`: what of the discount
    each returned line gives back.
    """

    coupon_id: Identifier
    code: Identifier | None = None
    campaign_id: Identifier
    uses: Count
    discount_amount: Amount
    lines: tuple[LineDiscount, ...] | None = None


class CouponRedemptionRestored(Event):
    """A redemption was taken back. `cause` is the type of the event that did it ("order.cancelled")."""

    redemption_id: Identifier
    order_id: Identifier
    cause: Identifier
    coupons: tuple[RestoredCoupon, ...]
    restored_at: Moment
