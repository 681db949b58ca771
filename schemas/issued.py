"""Topic `coupons.issued`: coupons that were issued, those that were not, erased customers. Key: customer id."""

from typing import Annotated

from pydantic import Field

from schemas.common import Cause, CustomerReference, Discount, Event, Identifier, Identifiers, Moment, Text


class CouponIssued(Event):
    """A customer got a coupon, good in `[starts_at, ends_at)`; either may be open.

    `code` is None for a campaign without codes. `uses` is how often it can be used, None without limit.
    """

    coupon_id: Identifier
    code: Identifier | None = None
    campaign_id: Identifier
    customer: CustomerReference
    discount: Discount
    uses: Annotated[int, Field(ge=1)] | None = None
    starts_at: Moment | None = None
    ends_at: Moment | None = None
    caused_by: Cause
    issued_at: Moment


class CouponIssueRefused(Event):
    """A campaign that matched gave no coupon: `reason` is the code, `message` the sentence."""

    campaign_id: Identifier
    customer: CustomerReference
    reason: Identifier
    message: Text
    details: dict[str, str] | None = None
    caused_by: Cause
    refused_at: Moment | None = None


class CustomerErased(Event):
    """A customer was erased (GDPR Art. 17): readers erase what they have of this customer.

    It says no more than readers need to find their own rows: `customer_id`, and up to 1,000 `coupon_ids`. `pseudonym`
    is who the ledger's rows belong to from now on; `erased-<pseudonym>` stands for the customer in events that are
    published later. A customer with several ids causes an event for each, under one `erasure_id`.
    """

    erasure_id: Identifier
    pseudonym: Identifier
    customer_id: Identifier | None = None
    coupon_ids: Identifiers | None = None
    erased_at: Moment
