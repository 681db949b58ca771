"""Campaigns, shops, and a check of outputs, for tests of orders of several shops."""

from tests.ledger import definition

SHARED = definition("shared", code={"shared_code": "SHARED"}, limits={"uses_per_coupon": None})
FIRST = definition("first", code={"shared_code": "FIRST"}, eligibility={"first_order_only": True}, limits={})
MONTHLY = definition("monthly", code={"shared_code": "MONTHLY"}, recurring=True, limits={"uses_per_coupon": 1})
NORTH, SOUTH = "North & Co/EU", "south"
SHOPS = (NORTH, SOUTH, None)


def clean(text: str) -> str:
    """Return `text` after checking that it has no key of an order."""
    assert "\x1f" not in text
    assert "\\u001f" not in text
    assert "\\x1f" not in text
    return text
