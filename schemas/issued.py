"""Topic `coupons.issued`: issued coupons, refused issues, erased customers. Key: customer id."""

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
    WrittenIdentifiers,
    WrittenMoment,
)


class CouponIssued(Event):
    """A coupon was issued to a customer. It is valid in `[starts_at, ends_at)`; either may be open.

    `code` is None for a campaign without codes. `uses` is how often it can be used; None means no limit.
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
    """A matching campaign issued no coupon. `reason` is the code, `message` a sentence.

    `campaign_id` is null if a reward matched no campaign.
    """

    campaign_id: Annotated[WrittenIdentifier | None, BlankInAvro()] = None
    customer: CustomerReference
    reason: WrittenIdentifier
    message: Text
    details: dict[str, str] | None = None
    caused_by: Cause
    refused_at: WrittenMoment | None = None


class CustomerErased(Event):
    """A customer was erased (GDPR Art. 17): readers must erase their data about this customer.

    The event only holds what readers need to find their rows: `customer_id` and up to 1,000 `coupon_ids`. The ledger's
    rows now belong to `pseudonym`; later events use `erased-<pseudonym>` for the customer. A customer with several ids
    causes one event for each, with the same `erasure_id`.
    """

    erasure_id: WrittenIdentifier
    pseudonym: WrittenIdentifier
    customer_id: WrittenIdentifier | None = None
    coupon_ids: WrittenIdentifiers | None = None
    erased_at: WrittenMoment
