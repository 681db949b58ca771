"""Values for every variable that a condition may name, and a short way to compile a condition."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from shared.ledger.conditions import REDEMPTION_VARIABLES, compile_condition

AT = datetime(2026, 7, 1, 22, 30, tzinfo=UTC)

VALUES: dict[str, Any] = {
    "order": {
        "order_id": "o-1",
        "shop_id": None,
        "currency": "EUR",
        "amount_minor": 12_345,
        "amount": 123.45,
        "shipping_minor": None,
        "quantity": 3,
        "channel": None,
        "metadata": {
            "tier": 2,
            "tier_text": "2",
            "ratio": 2.0,
            "vip": True,
            "none": None,
            "tags": ["new", "gift"],
            "utm-source": "mail",
            "größe": "groß",
            "wish": "🎁",
            "large": 2**63 - 1,
            "larger": 2**64,
            "deep": {"er": {"est": 1}},
            "tier_of_line": "a",
        },
        "lines": [
            {
                "line_id": "1",
                "product_id": "hat",
                "variant_id": None,
                "collection_ids": ["summer", "sale"],
                "quantity": 1,
                "unit_minor": 10_000,
                "metadata": {"tier": "a"},
            },
            {
                "line_id": "2",
                "product_id": "shoe",
                "variant_id": "shoe-42",
                "collection_ids": [],
                "quantity": 2,
                "unit_minor": 1_172,
                "metadata": None,
            },
        ],
    },
    "customer": {"customer_id": "c-1", "email": None, "mobile": "+31612345678", "segments": ["gold", "vip"]},
    "coupon": {"code": "SAVE-1"},
    "campaign": {"campaign_id": "save10", "metadata": {"tier": 2}},
    "at": AT,
}


def redemption(expression: str) -> Callable[[Mapping[str, Any]], bool]:
    return compile_condition(expression, REDEMPTION_VARIABLES)


def changed(**order: Any) -> dict[str, Any]:
    """Return VALUES with fields of the order replaced."""
    return {**VALUES, "order": {**VALUES["order"], **order}}
