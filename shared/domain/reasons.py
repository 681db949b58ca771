"""Why something was refused: one ordered list, the same on every channel.

When several reasons apply, the first in this order is the one reported. Source: design §5.
"""

from enum import StrEnum


class Reason(StrEnum):
    """A refusal's machine-readable code. The order of the members is the order of precedence."""

    NOT_FOUND = "not_found"
    VOIDED = "voided"
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


PRECEDENCE: dict[Reason, int] = {reason: rank for rank, reason in enumerate(Reason)}
