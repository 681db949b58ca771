"""Conversion of Paddle Classic's fields to a campaign: for a create and for an update, without any rules."""

import re
from typing import Any, Final

import orjson

from schemas.campaigns import CampaignDefinition
from schemas.common import AMOUNT_PATTERN, CURRENCY_PATTERN
from schemas.parsing import InvalidDocumentError, parse
from services.gateway.facades.paddle import fields as read
from services.gateway.facades.paddle.fields import Fields, PaddleProblem
from shared.ledger.definitions import DefinitionError, to_domain

_AMOUNT: Final = re.compile(AMOUNT_PATTERN)
_CURRENCY: Final = re.compile(CURRENCY_PATTERN)
SHORTEST_CODE: Final = 5


def campaign_of(campaign_id: str, fields: Fields, currency: str) -> CampaignDefinition:
    """Build the campaign of create_coupon; `currency` is the default of the threshold. Raises a PaddleProblem."""
    kind = read.needed(fields, "coupon_type")
    if kind not in {"product", "checkout"}:
        raise PaddleProblem(read.MISSING, f"coupon_type must be product or checkout, not {kind[:40]!r}.")
    product_ids = read.products(fields.get("product_ids", ""))
    if kind == "product" and not product_ids:
        raise PaddleProblem(read.MISSING, "product_ids is missing; a coupon for products needs it.")
    uses = read.whole(fields, "allowed_uses", read.BAD_USES)
    if uses is None:
        raise PaddleProblem(read.MISSING, "allowed_uses is missing.")
    discount_type = read.needed(fields, "discount_type")
    if discount_type not in {"flat", "percentage"}:
        raise PaddleProblem(read.BAD_TYPE, f"discount_type must be flat or percentage, not {discount_type[:40]!r}.")
    amount = read.needed(fields, "discount_amount")
    document: dict[str, Any] = {
        "campaign_id": campaign_id,
        "name": fields.get("description", "")[:2_000],
        "group": fields.get("group") or None,
        "discount": _discount(discount_type, amount, fields),
        "applies_to": {"product_ids": product_ids},
        "code": _code(fields),
        "limits": {"uses_per_coupon": uses},
        "window": {"ends_at": read.expiry(fields["expires"]) if fields.get("expires") else None},
        "eligibility": _threshold(fields.get("minimum_threshold", ""), _currency(fields) or currency),
        "recurring": bool(read.flag(fields, "recurring")),
        "metadata": {"coupon_type": kind},
    }
    return checked(document)


def changed(before: CampaignDefinition, fields: Fields, currency: str) -> CampaignDefinition:
    """Apply update_coupon to a campaign; an empty field removes its term. Raises a PaddleProblem."""
    document: dict[str, Any] = before.model_dump(mode="json")
    if fields.get("new_group"):
        document["group"] = fields["new_group"]
    if "product_ids" in fields:
        document["applies_to"]["product_ids"] = read.products(fields["product_ids"])
    if "expires" in fields:
        document["window"]["ends_at"] = read.expiry(fields["expires"]) if fields["expires"] else None
    if (uses := read.whole(fields, "allowed_uses", read.BAD_USES)) is not None:
        document["limits"]["uses_per_coupon"] = uses
    if (recurring := read.flag(fields, "recurring")) is not None:
        document["recurring"] = recurring
    discount = document["discount"]
    if fields.get("discount_amount"):
        kind = "flat" if discount["kind"] == "fixed" else "percentage"
        with_currency = fields if fields.get("currency") or kind == "percentage" else {
            **fields, "currency": discount["currency"] or "",
        }  # fmt: skip
        document["discount"] = discount | _discount(kind, fields["discount_amount"], with_currency)
    if "minimum_threshold" in fields:
        known = document["eligibility"]["currency"] or discount["currency"] or currency
        document["eligibility"] |= _threshold(fields["minimum_threshold"], _currency(fields) or known)
    elif document["eligibility"]["min_order_amount"] is not None and _currency(fields) not in {
        None, document["eligibility"]["currency"],
    }:  # fmt: skip
        raise PaddleProblem(read.MISSING, "minimum_threshold is missing; it was set in another currency.")
    return checked(document)


def checked(document: dict[str, Any]) -> CampaignDefinition:
    """Parse and check a campaign document. Raises a PaddleProblem."""
    try:
        definition = parse(CampaignDefinition, orjson.dumps(document))
        to_domain(definition, 0)
    except (InvalidDocumentError, DefinitionError) as error:
        raise PaddleProblem(read.MISSING, str(error)) from None
    return definition


def _discount(kind: str, amount: str, fields: Fields) -> dict[str, Any]:
    if kind == "percentage":
        if _AMOUNT.match(amount) is None or not 0 < float(amount) < 100:
            raise PaddleProblem(
                read.BAD_PERCENTAGE, f"{amount[:40]!r} is not a valid percentage; it must be above 0 and below 100."
            )
        return {"kind": "percentage", "value": amount, "currency": None}
    if _AMOUNT.match(amount) is None or float(amount) < 0.01:
        raise PaddleProblem(read.BAD_AMOUNT, f"{amount[:40]!r} is not a valid amount; it must be 0.01 or more.")
    currency = _currency(fields)
    if currency is None:
        raise PaddleProblem(read.MISSING, "currency is missing; a flat discount needs it.")
    return {"kind": "fixed", "value": amount, "currency": currency}


def _currency(fields: Fields) -> str | None:
    text = fields.get("currency", "")
    if not text:
        return None
    if _CURRENCY.match(text) is None:
        raise PaddleProblem(read.BAD_CURRENCY, f"{text[:40]!r} is not a valid currency; use a code such as USD.")
    return text


def _threshold(text: str, currency: str) -> dict[str, Any]:
    """Return the eligibility for the amount that an order must exceed; blank or 0 removes the threshold."""
    if not text or (_AMOUNT.match(text) is not None and float(text) == 0):
        return {"min_order_amount": None, "min_order_amount_exclusive": False, "currency": None}
    if _AMOUNT.match(text) is None:
        raise PaddleProblem(read.BAD_AMOUNT, f"minimum_threshold must be an amount, not {text[:40]!r}.")
    return {"min_order_amount": text, "min_order_amount_exclusive": True, "currency": currency}


def _code(fields: Fields) -> dict[str, Any]:
    """Return how the campaign generates codes. A given code belongs to the coupon, not to the campaign."""
    code, prefix = fields.get("coupon_code", ""), fields.get("coupon_prefix", "")
    if code and (prefix or fields.get("num_coupons")):
        raise PaddleProblem(read.MISSING, "coupon_prefix and num_coupons are not valid with a coupon_code.")
    if code and (len(code) < SHORTEST_CODE or len(code) > 255 or not code.isprintable()):
        raise PaddleProblem(read.BAD_CODE, f"coupon_code must have {SHORTEST_CODE} to 255 characters.")
    return {"prefix": prefix} if prefix else {}
