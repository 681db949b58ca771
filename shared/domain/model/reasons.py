"""Reasons for refusals: one ordered list, the same on every channel.

When several reasons apply, the first in this order is reported. See docs/rules.md.
"""

from enum import StrEnum


class Reason(StrEnum):
    """A refusal's machine-readable code. The order of the members is the order of precedence."""

    REQUEST_TOO_LARGE = "request_too_large"
    NOT_FOUND = "not_found"
    VOIDED = "voided"
    REWARD_REVOKED = "reward_revoked"
    SHARED_CODE = "shared_code"
    CAMPAIGN_INACTIVE = "campaign_inactive"
    NOT_STARTED = "not_started"
    EXPIRED = "expired"
    OUTSIDE_HOURS = "outside_hours"
    CHANNEL_MISMATCH = "channel_mismatch"
    WRONG_CUSTOMER = "wrong_customer"
    CUSTOMER_REQUIRED = "customer_required"
    SEGMENT_MISMATCH = "segment_mismatch"
    NOT_FIRST_ORDER = "not_first_order"
    ORDER_MISMATCH = "order_mismatch"
    VALIDATION_CODE_MISMATCH = "validation_code_mismatch"
    CURRENCY_MISMATCH = "currency_mismatch"
    BELOW_MINIMUM = "below_minimum"
    NO_ELIGIBLE_PRODUCT = "no_eligible_product"
    CONDITION_FAILED = "condition_failed"
    EXHAUSTED = "exhausted"
    CUSTOMER_LIMIT = "customer_limit"
    CAMPAIGN_EXHAUSTED = "campaign_exhausted"
    BUDGET_EXCEEDED = "budget_exceeded"
    LOCKED_ELSEWHERE = "locked_elsewhere"
    LOCK_NOT_FOUND = "lock_not_found"
    LOCK_EXPIRED = "lock_expired"
    ALREADY_REDEEMED = "already_redeemed"
    NOT_COMBINABLE = "not_combinable"
    BETTER_OFFER_WON = "better_offer_won"
    NO_EFFECT = "no_effect"
    CODE_TAKEN = "code_taken"


PRECEDENCE: dict[Reason, int] = {reason: rank for rank, reason in enumerate(Reason)}

SENTENCES: dict[Reason, str] = {
    Reason.REQUEST_TOO_LARGE: "The request names too many codes for an order of so many lines and conditions.",
    Reason.NOT_FOUND: "There is no such coupon, or no such campaign.",
    Reason.VOIDED: "The coupon was taken out of use.",
    Reason.REWARD_REVOKED: "The reward was revoked.",
    Reason.SHARED_CODE: "All customers share the code, so it isn't changed for one of them.",
    Reason.CAMPAIGN_INACTIVE: "The campaign is paused or archived.",
    Reason.NOT_STARTED: "The campaign or the coupon can't be used yet.",
    Reason.EXPIRED: "The campaign or the coupon can't be used any longer.",
    Reason.OUTSIDE_HOURS: "The coupon can't be used at this hour of the week.",
    Reason.CHANNEL_MISMATCH: "The coupon can't be used where the order was placed.",
    Reason.WRONG_CUSTOMER: "The coupon belongs to another customer.",
    Reason.CUSTOMER_REQUIRED: "The coupon needs a customer, and the request names none.",
    Reason.SEGMENT_MISMATCH: "The customer isn't in the segments that the coupon is for.",
    Reason.NOT_FIRST_ORDER: "The customer has ordered before.",
    Reason.ORDER_MISMATCH: "The order is closed, another order has its id, or the lock is for another order.",
    Reason.VALIDATION_CODE_MISMATCH: "The validation code is missing or wrong.",
    Reason.CURRENCY_MISMATCH: "The order is in another currency than the coupon.",
    Reason.BELOW_MINIMUM: "The order's amount, or its number of units, is below the minimum.",
    Reason.NO_ELIGIBLE_PRODUCT: "The coupon applies to no product of the order.",
    Reason.CONDITION_FAILED: "One of the campaign's conditions isn't true.",
    Reason.EXHAUSTED: "The coupon has no use left.",
    Reason.CUSTOMER_LIMIT: "The customer has reached a limit of the campaign.",
    Reason.CAMPAIGN_EXHAUSTED: "The campaign has reached a limit.",
    Reason.BUDGET_EXCEEDED: "The campaign's budget has no room for the discount.",
    Reason.LOCKED_ELSEWHERE: "Other checkouts hold what is left at the moment.",
    Reason.LOCK_NOT_FOUND: "There is no such lock, or it was released.",
    Reason.LOCK_EXPIRED: "The lock has expired.",
    Reason.ALREADY_REDEEMED: "It has been redeemed already.",
    Reason.NOT_COMBINABLE: "It can't be combined with another coupon of the order, or the request was all or nothing.",
    Reason.BETTER_OFFER_WON: "Another coupon takes more off, and the two can't be combined.",
    Reason.NO_EFFECT: "It would change nothing.",
    Reason.CODE_TAKEN: "A coupon with this code exists already.",
}
"""The meaning of each reason. The message of a refusal adds the numbers of the case."""
