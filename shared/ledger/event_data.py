"""The data of the events that the ledger builds, as the type checker sees it. At run time they are plain dicts.

Each `…Data` has the fields of the model of the same name in `schemas`, which `tests/unit/test_event_data.py` checks.
Couponry's other two events are built as models: `ledger.event_withheld` (`shared.ledger.withheld`) and
`coupon.redemption_notified` (the notifier).

A field of a model that the ledger doesn't write, or not always, is NotRequired.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NotRequired, TypedDict


class CustomerReferenceData(TypedDict):
    customer_id: str | None
    email: str | None
    mobile: str | None
    segments: NotRequired[list[str] | None]


class CauseData(TypedDict):
    type: str
    source: str
    id: str


class DiscountData(TypedDict):
    kind: str
    value: str
    currency: NotRequired[str | None]
    max_discount: NotRequired[str | None]
    product_id: NotRequired[str | None]
    payload: NotRequired[Mapping[str, Any] | None]


class CouponIssuedData(TypedDict):
    coupon_id: str
    code: str | None
    campaign_id: str
    customer: CustomerReferenceData
    discount: DiscountData
    uses: int | None
    starts_at: datetime | None
    ends_at: datetime | None
    caused_by: CauseData
    issued_at: datetime


class CouponIssueRefusedData(TypedDict):
    campaign_id: str | None
    customer: CustomerReferenceData
    reason: str
    message: str
    details: dict[str, str] | None
    caused_by: CauseData
    refused_at: datetime | None


class CustomerErasedData(TypedDict):
    erasure_id: str
    pseudonym: str
    customer_id: str | None
    coupon_ids: list[str] | None
    erased_at: datetime


class LineDiscountData(TypedDict):
    line_id: str
    discount_amount: str


class FreeProductData(TypedDict):
    product_id: str
    quantity: int


class RedeemedCouponData(TypedDict):
    coupon_id: str
    code: str | None
    campaign_id: str
    discount: DiscountData
    discount_amount: str
    lines: list[LineDiscountData] | None
    shipping_discount_amount: NotRequired[str | None]
    free_product: NotRequired[FreeProductData | None]
    recurring: NotRequired[bool | None]


class JudgedOrderData(TypedDict):
    """The fields that the two events of an order's coupons have in common. It isn't an event itself."""

    order_id: str
    customer: CustomerReferenceData | None
    requested_count: int
    order_amount: str
    currency: str
    channel: str
    lock_reference: NotRequired[str | None]
    metadata: NotRequired[Mapping[str, Any] | None]
    shop_id: NotRequired[str | None]


class CouponRedeemedData(TypedDict):
    redemption_id: str
    order_id: str
    customer: CustomerReferenceData | None
    requested_count: int
    order_amount: str
    currency: str
    discount_amount: str
    coupons: list[RedeemedCouponData]
    lock_reference: str | None
    channel: str
    redeemed_at: datetime
    metadata: NotRequired[Mapping[str, Any] | None]
    shop_id: NotRequired[str | None]


class RefusedCouponData(TypedDict):
    code: str | None
    coupon_id: str | None
    campaign_id: str | None
    reason: str
    message: str
    details: dict[str, str] | None


class CouponRedemptionRefusedData(TypedDict):
    order_id: str
    customer: CustomerReferenceData | None
    requested_count: int
    currency: str | None
    order_amount: str | None
    coupons: list[RefusedCouponData]
    lock_reference: NotRequired[str | None]
    channel: str
    refused_at: datetime
    metadata: NotRequired[Mapping[str, Any] | None]
    shop_id: NotRequired[str | None]


class AdjustedCouponData(TypedDict):
    coupon_id: str
    code: str | None
    campaign_id: str
    discount_before: str
    discount_amount: str
    lines: list[LineDiscountData] | None
    shipping_discount_amount: NotRequired[str | None]


class CouponRedemptionAdjustedData(TypedDict):
    redemption_id: str
    order_id: str
    customer: CustomerReferenceData | None
    cause: str
    order_amount: str
    currency: str
    discount_before: str
    discount_amount: str
    coupons: list[AdjustedCouponData]
    adjusted_at: datetime
    shop_id: NotRequired[str | None]


class RestoredCouponData(TypedDict):
    coupon_id: str
    code: str | None
    campaign_id: str
    uses: int
    discount_amount: str
    lines: NotRequired[list[LineDiscountData] | None]
    reason: NotRequired[str | None]


class CouponRedemptionRestoredData(TypedDict):
    redemption_id: str
    order_id: str
    customer: CustomerReferenceData | None
    cause: str
    coupons: list[RestoredCouponData]
    restored_at: datetime
    shop_id: NotRequired[str | None]


class LockedCouponData(TypedDict):
    coupon_id: str
    code: str | None
    campaign_id: str
    discount_amount: str | None


class CouponLockedData(TypedDict):
    lock_reference: str
    coupons: list[LockedCouponData]
    customer: CustomerReferenceData | None
    order_id: str | None
    currency: NotRequired[str | None]
    expires_at: datetime
    shop_id: NotRequired[str | None]


class CouponReleasedData(TypedDict):
    lock_reference: str
    coupons: list[LockedCouponData]
    customer: NotRequired[CustomerReferenceData | None]
    order_id: str | None
    currency: NotRequired[str | None]
    released_at: datetime
    cause: NotRequired[str | None]
    reason: NotRequired[str | None]
    shop_id: NotRequired[str | None]


class CouponLockExpiredData(TypedDict):
    lock_reference: str
    coupons: list[LockedCouponData]
    customer: NotRequired[CustomerReferenceData | None]
    order_id: str | None
    currency: NotRequired[str | None]
    expires_at: NotRequired[datetime | None]
    expired_at: datetime
    shop_id: NotRequired[str | None]


class CouponVoidedData(TypedDict):
    coupon_id: str
    code: str | None
    campaign_id: str
    reason: NotRequired[str | None]
    customer: NotRequired[CustomerReferenceData | None]
    voided_at: datetime


class CouponUnvoidedData(TypedDict):
    coupon_id: str
    code: str | None
    campaign_id: str
    customer: CustomerReferenceData | None
    reason: str | None
    unvoided_at: datetime


class CouponExtendedData(TypedDict):
    coupon_id: str
    code: str | None
    campaign_id: str
    customer: CustomerReferenceData | None
    reason: str | None
    ends_before: datetime | None
    ends_at: datetime | None
    extended_at: datetime


class CouponExpiringData(TypedDict):
    coupon_id: str
    code: str | None
    campaign_id: str
    customer: CustomerReferenceData
    expires_at: datetime
    days_left: int


class CouponExpiredData(TypedDict):
    coupon_id: str
    code: str | None
    campaign_id: str
    customer: CustomerReferenceData
    expired_at: datetime


class CouponExhaustedData(TypedDict):
    coupon_id: str
    code: str | None
    campaign_id: str
    limit: int
    exhausted_at: datetime


class CampaignExhaustedData(TypedDict):
    campaign_id: str
    limit: str
    value: str
    currency: str | None
    until: datetime | None
    exhausted_at: datetime


EventData = (
    CouponIssuedData
    | CouponIssueRefusedData
    | CouponRedeemedData
    | CouponRedemptionRefusedData
    | CouponRedemptionAdjustedData
    | CouponRedemptionRestoredData
    | CouponLockedData
    | CouponReleasedData
    | CouponLockExpiredData
    | CouponVoidedData
    | CouponUnvoidedData
    | CouponExtendedData
    | CouponExhaustedData
    | CampaignExhaustedData
)
"""The data of the events of verdicts."""
