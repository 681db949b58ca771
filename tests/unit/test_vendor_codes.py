"""Every reason has a code of each vendor, from the vendor's own list."""

from typing import get_args

import pytest

from services.gateway.facades.vendor_codes import (
    CAPILLARY_FAILED,
    CAPILLARY_MAX_COUPONS,
    CAPILLARY_SUCCEEDED,
    CAPILLARY_TOO_MANY_COUPONS,
    GAMEBALL_FAILED,
    VENDOR_CODES,
    VOUCHERIFY_FAILED,
    Vendor,
)
from shared.domain.model.reasons import Reason

COMING = {"channel_mismatch", "condition_failed", "code_taken"}
"""Reasons that may have a row before they exist."""

# All codes in the vendors' lists; the module names the pages.
CAPILLARY = {
    500, 510, 629, 660, 661, 683, 687, *range(700, 708), *range(709, 717), *range(718, 727), *range(728, 734), 735, 736,
    738, 739, 740, 742, *range(744, 757), 759, 777, 780, 781, *range(786, 800), 1000,
}  # fmt: skip
GAMEBALL = {
    1000, 1001, 1002, 2000, 2001, *range(3000, 3018), 4000, 4004, 4500, 5000, 5003, *range(6000, 6004),
    *range(7000, 7007), 8000, *range(9000, 9009),
}  # fmt: skip
PADDLE = set(range(100, 151))
VOUCHERIFY = {
    "already_rolled_back", "customer_rules_violated", "duplicate_resource_key", "gift_amount_exceeded",
    "invalid_amount", "invalid_customer", "invalid_order", "invalid_payload", "invalid_voucher", "missing_amount",
    "missing_customer", "missing_order", "missing_order_items", "multiple_requests", "not_found",
    "order_rules_violated", "promotion_inactive", "promotion_not_active_now", "quantity_exceeded",
    "resource_not_found", "voucher_disabled", "voucher_expired", "voucher_not_active", "voucher_not_active_now",
    # of skipped redeemables
    "applicable_redeemables_limit_exceeded", "applicable_redeemables_per_category_limit_exceeded",
    "applicable_exclusive_redeemables_limit_exceeded", "applicable_exclusive_redeemables_per_category_limit_exceeded",
    "exclusion_rules_not_met", "preceding_validation_failed",
}  # fmt: skip
VOUCHERIFY_SEEN_IN_CLIENTS = {"redemption_rules_violated"}


def test_every_reason_has_a_row_and_every_row_a_reason() -> None:
    reasons = {reason.value for reason in Reason}
    assert reasons <= set(VENDOR_CODES)
    assert set(VENDOR_CODES) <= reasons | COMING


def test_the_rows_are_in_order_of_precedence() -> None:
    known = [reason.value for reason in Reason]
    assert [reason for reason in VENDOR_CODES if reason in known] == known


@pytest.mark.parametrize("reason", VENDOR_CODES)
def test_every_code_is_in_the_vendors_list(reason: str) -> None:
    codes = VENDOR_CODES[reason]
    assert codes.capillary in CAPILLARY
    assert codes.gameball in GAMEBALL
    assert codes.paddle is None or codes.paddle in PADDLE
    assert codes.voucherify in VOUCHERIFY | VOUCHERIFY_SEEN_IN_CLIENTS


@pytest.mark.parametrize("reason", VENDOR_CODES)
def test_a_documented_code_is_one_that_the_vendors_docs_list(reason: str) -> None:
    codes = VENDOR_CODES[reason]
    assert codes.documented <= set(get_args(Vendor)) - {"sitevibes"}
    assert "paddle" not in codes.documented or codes.paddle is not None
    assert "voucherify" not in codes.documented or codes.voucherify in VOUCHERIFY


@pytest.mark.parametrize("reason", VENDOR_CODES)
def test_a_refusal_never_has_a_success_code(reason: str) -> None:
    codes = VENDOR_CODES[reason]
    assert codes.capillary not in (CAPILLARY_SUCCEEDED, 731, 745), "Capillary's three codes for success"
    assert 400 <= codes.sitevibes < 500, "SiteVibes creates the reward on any 2xx; a 5xx would mean an internal error"


@pytest.mark.parametrize(
    ("reason", "code"),
    [
        ("not_found", 702),
        ("expired", 713),
        ("exhausted", 711),
        ("customer_limit", 716),
        ("campaign_exhausted", 714),
        ("wrong_customer", 703),
        ("customer_required", 721),
        ("condition_failed", 709),
        ("voided", 660),
    ],
)
def test_capillarys_clients_read_the_codes_they_know(reason: str, code: int) -> None:
    assert VENDOR_CODES[reason].capillary == code


def test_capillarys_requests_have_a_code_for_success_and_one_for_too_many_coupons() -> None:
    assert (CAPILLARY_SUCCEEDED, CAPILLARY_TOO_MANY_COUPONS, CAPILLARY_MAX_COUPONS) == (700, 629, 100)


def test_a_transaction_id_that_gameball_saw_before_is_its_error_9004() -> None:
    assert VENDOR_CODES["already_redeemed"].gameball == 9004


def test_paddle_has_codes_only_for_reasons_of_its_calls() -> None:
    met = {reason: codes.paddle for reason, codes in VENDOR_CODES.items() if codes.paddle is not None}
    assert met == {"not_found": 135, "voided": 135, "code_taken": 132}


def test_a_general_failure_is_documented_only_for_rules_about_the_order() -> None:
    general = {CAPILLARY_FAILED: "capillary", GAMEBALL_FAILED: "gameball", VOUCHERIFY_FAILED: "voucherify"}
    claimed = {
        reason
        for reason, codes in VENDOR_CODES.items()
        for code in (codes.capillary, codes.gameball, codes.voucherify)
        if code in general and general[code] in codes.documented
    }
    assert claimed == {"below_minimum", "no_eligible_product", "condition_failed"}, "rules about the order's content"
