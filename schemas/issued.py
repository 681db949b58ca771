"""Topic `coupons.issued`: coupons that were issued, and those that were not. Key: customer id."""

from typing import Annotated

from schemas.common import (
    BlankInAvro,
    Cause,
    CustomerReference,
    Discount,
    Event,
    Number,
    Text,
    WrittenIdentifier,
    WrittenMoment,
)


class CouponIssued(Event):
    """A customer got a coupon, good in `[starts_at, ends_at)`; either may be open.

    `code` is None for a campaign without codes. `uses` is how often it can be used, None without limit.
    """

    coupon_id: WrittenIdentifier
    code: WrittenIdentifier | None = None
    campaign_id: WrittenIdentifier
    customer: CustomerReference
    discount: Discount
    uses: Number | None = None
    starts_at: WrittenMoment | None = None
    ends_at: WrittenMoment | None = None
    caused_by: Cause
    issued_at: WrittenMoment


class CouponIssueRefused(Event):
    """A campaign that matched gave no coupon: `reason` is the code, `message` the sentence.

    `campaign_id` is null where a reward matched no campaign at all.
    """

    campaign_id: Annotated[WrittenIdentifier | None, BlankInAvro()] = None
    customer: CustomerReference
    reason: WrittenIdentifier
    message: Text
    details: dict[str, str] | None = None
    caused_by: Cause
    refused_at: WrittenMoment | None = None
