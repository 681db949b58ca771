"""For each refusal reason, the error code of each of the five vendor APIs.

Data only. A code that the vendor's own list gives for the same case is `documented`. Otherwise it is the closest code
of that list, or, if there is none, the vendor's code for any failure. No code is invented. The exception is SiteVibes:
it only checks that the HTTP status is 200 to 299, so the status of a refusal is ours to choose.

Sources: Capillary docs.capillarytech.com/reference/coupon-1 (v1.1) and /coupon-apis (v2); Gameball docs.gameball.co
/api-reference/overview/status-error-codes; Paddle developer.paddle.com/classic, "API Error Codes"; Voucherify
docs.voucherify.io/reference/errors and, for skipped redeemables, /reference/the-validation-object; SiteVibes
help.sitevibes.com, "Creating Custom Coupon Rewards via API".
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final, Literal

Vendor = Literal["capillary", "gameball", "paddle", "voucherify", "sitevibes"]


@dataclass(frozen=True, slots=True)
class VendorCodes:
    """The codes of the five vendors for one reason.

    `capillary`: item_status.code. `gameball`: code. `paddle`: error.code; None if no Paddle Classic call can have the
    reason, since that API doesn't redeem coupons. `voucherify`: key. `sitevibes`: the HTTP status. `documented`: the
    vendors that list the code for this case; the codes of the others are their closest.
    """

    capillary: int
    gameball: int
    voucherify: str
    sitevibes: int
    paddle: int | None = None
    documented: frozenset[Vendor] = frozenset()


CAPILLARY_SUCCEEDED: Final = 700
"""item_status.code of a redeemed coupon."""

CAPILLARY_TOO_MANY_COUPONS: Final = 629
"""The code of a whole request with more than `CAPILLARY_MAX_COUPONS` coupons, or with input that can't be read."""

CAPILLARY_MAX_COUPONS: Final = 100
"""Maximum coupons per redeem request. Capillary's bulk page says 50, its list of codes 100; we use the latter."""

CAPILLARY_FAILED: Final = 709
"""Capillary's "coupon processing failed", for cases that its list doesn't distinguish."""

GAMEBALL_FAILED: Final = 4000
"""Gameball's "operation failed". Its list has no codes for coupons."""

VOUCHERIFY_FAILED: Final = "order_rules_violated"
"""Voucherify's key for an order that any validation rule refuses."""

_RULES: Final = 422
_CONFLICT: Final = 409


def _row(
    capillary: int,
    gameball: int,
    voucherify: str,
    sitevibes: int,
    *,
    paddle: int | None = None,
    documented: Collection[Vendor] = (),
) -> VendorCodes:
    return VendorCodes(capillary, gameball, voucherify, sitevibes, paddle, frozenset(documented))


# Meanings of these codes in the vendors' lists:
# Capillary's: 660 revoked, 702 code invalid, 703 not issued to this customer, 705 code and validation code invalid (725
# if none was given), 710 not meant for this customer, 711 already used, 712 series or campaign expired, 713 coupon
# expired, 714 campaign's most redemptions reached, 716 same coupon several times, 721 customer invalid, 722 coupon not
# created, 729 outside the series' redemption range (days and hours), 733 transaction amount invalid, 735 invalid store,
# 739 redemption date invalid, 749 failed because others in the batch did, 786 try again later.
# Gameball's: 2001 concurrent request, 3000 missing arguments, 3003 invalid value, 3007 duplicate name, 3009 entity
# inactive, 3011 exceeds limits, 4004 not found, 9001 transaction cancelled, 9004 duplicate transaction id, 9006 hold
# reference not found.
# Paddle's: 132 the code is used for the product already, 135 coupon not found (a coupon out of use is a deleted one).
# Voucherify's docs don't list redemption_rules_violated; a client of the live API uses it for a campaign's limit
# (trainline, promocode-service).
VENDOR_CODES: Final[Mapping[str, VendorCodes]] = {
    "request_too_large": _row(CAPILLARY_FAILED, 3011, "invalid_payload", 413),
    "not_found": _row(
        702, 4004, "resource_not_found", 404, documented={"capillary", "gameball", "paddle", "voucherify"}, paddle=135
    ),
    "voided": _row(660, 3009, "voucher_disabled", 410, documented={"capillary", "gameball", "voucherify"}, paddle=135),
    "reward_revoked": _row(660, 3009, "voucher_disabled", 410, documented={"capillary"}),
    "shared_code": _row(CAPILLARY_FAILED, GAMEBALL_FAILED, "invalid_voucher", _CONFLICT),
    "campaign_inactive": _row(712, 3009, "voucher_disabled", _CONFLICT, documented={"gameball"}),
    "not_started": _row(739, 3009, "voucher_not_active", _CONFLICT, documented={"voucherify"}),
    "expired": _row(713, 3009, "voucher_expired", 410, documented={"capillary", "voucherify"}),
    "outside_hours": _row(729, 3009, "voucher_not_active_now", _CONFLICT, documented={"capillary", "voucherify"}),
    "channel_mismatch": _row(735, GAMEBALL_FAILED, VOUCHERIFY_FAILED, _RULES),
    "wrong_customer": _row(703, GAMEBALL_FAILED, "customer_rules_violated", _RULES, documented={"capillary"}),
    "customer_required": _row(721, 3000, "missing_customer", _RULES, documented={"gameball", "voucherify"}),
    "segment_mismatch": _row(
        710, GAMEBALL_FAILED, "customer_rules_violated", _RULES, documented={"capillary", "voucherify"}
    ),
    "not_first_order": _row(710, GAMEBALL_FAILED, "customer_rules_violated", _RULES),
    "order_mismatch": _row(CAPILLARY_FAILED, 9001, "invalid_order", _CONFLICT),
    "validation_code_mismatch": _row(705, 3003, VOUCHERIFY_FAILED, _RULES, documented={"capillary"}),
    "currency_mismatch": _row(CAPILLARY_FAILED, 3003, VOUCHERIFY_FAILED, _RULES),
    "below_minimum": _row(733, GAMEBALL_FAILED, VOUCHERIFY_FAILED, _RULES, documented={"voucherify"}),
    "no_eligible_product": _row(
        CAPILLARY_FAILED, GAMEBALL_FAILED, VOUCHERIFY_FAILED, _RULES, documented={"voucherify"}
    ),
    "condition_failed": _row(CAPILLARY_FAILED, GAMEBALL_FAILED, VOUCHERIFY_FAILED, _RULES, documented={"voucherify"}),
    "exhausted": _row(711, 3011, "quantity_exceeded", _CONFLICT, documented={"capillary", "gameball", "voucherify"}),
    "customer_limit": _row(716, 3011, "redemption_rules_violated", _CONFLICT, documented={"capillary", "gameball"}),
    "campaign_exhausted": _row(714, 3011, "redemption_rules_violated", _CONFLICT, documented={"capillary", "gameball"}),
    "budget_exceeded": _row(714, 3011, "redemption_rules_violated", _CONFLICT, documented={"gameball"}),
    "locked_elsewhere": _row(786, 2001, "multiple_requests", 423, documented={"voucherify"}),
    "lock_not_found": _row(CAPILLARY_FAILED, 9006, "not_found", 404, documented={"voucherify"}),
    "lock_expired": _row(CAPILLARY_FAILED, 9006, "not_found", 410),
    "already_redeemed": _row(711, 9004, "quantity_exceeded", _CONFLICT, documented={"capillary", "gameball"}),
    "not_combinable": _row(749, GAMEBALL_FAILED, "exclusion_rules_not_met", _CONFLICT, documented={"voucherify"}),
    "better_offer_won": _row(749, GAMEBALL_FAILED, "applicable_redeemables_limit_exceeded", _CONFLICT),
    "no_effect": _row(CAPILLARY_FAILED, GAMEBALL_FAILED, VOUCHERIFY_FAILED, _RULES),
    "code_taken": _row(722, 3007, "duplicate_resource_key", _CONFLICT, documented={"paddle", "voucherify"}, paddle=132),
}
"""Codes by the reason's value: one row per reason, in order of precedence."""
