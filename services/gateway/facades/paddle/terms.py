"""Paddle Classic's fields as a campaign: made from a create, changed by an update. No rule of its own."""

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


def campaign_of(campaign_id: str, told: Fields, currency: str) -> CampaignDefinition:
    """The campaign of a create_coupon; `currency` is that of a threshold that names none. Raises a PaddleProblem."""
    kind = read.needed(told, "coupon_type")
    if kind not in {"product", "checkout"}:
        raise PaddleProblem(read.MISSING, f"coupon_type must be product or checkout, not {kind[:40]!r}.")
    product_ids = read.products(told.get("product_ids", ""))
    if kind == "product" and not product_ids:
        raise PaddleProblem(read.MISSING, "product_ids is missing; a coupon for products needs it.")
    uses = read.whole(told, "allowed_uses", read.BAD_USES)
    if uses is None:
        raise PaddleProblem(read.MISSING, "allowed_uses is missing.")
    discount_type = read.needed(told, "discount_type")
    if discount_type not in {"flat", "percentage"}:
        raise PaddleProblem(read.BAD_TYPE, f"discount_type must be flat or percentage, not {discount_type[:40]!r}.")
    amount = read.needed(told, "discount_amount")
    document: dict[str, Any] = {
        "campaign_id": campaign_id,
        "name": told.get("description", "")[:2_000],
        "group": told.get("group") or None,
        "discount": _discount(discount_type, amount, told),
        "applies_to": {"product_ids": product_ids},
        "code": _code(told),
        "limits": {"uses_per_coupon": uses},
        "window": {"ends_at": read.expiry(told["expires"]) if told.get("expires") else None},
        "eligibility": _threshold(told.get("minimum_threshold", ""), _currency(told) or currency),
        "recurring": bool(read.flag(told, "recurring")),
        "metadata": {"coupon_type": kind},
    }
    return checked(document)


def changed(before: CampaignDefinition, told: Fields, currency: str) -> CampaignDefinition:
    """The campaign after an update_coupon; an empty field takes away what it names. Raises a PaddleProblem."""
    document: dict[str, Any] = before.model_dump(mode="json")
    if told.get("new_group"):
        document["group"] = told["new_group"]
    if "product_ids" in told:
        document["applies_to"]["product_ids"] = read.products(told["product_ids"])
    if "expires" in told:
        document["window"]["ends_at"] = read.expiry(told["expires"]) if told["expires"] else None
    if (uses := read.whole(told, "allowed_uses", read.BAD_USES)) is not None:
        document["limits"]["uses_per_coupon"] = uses
    if (recurring := read.flag(told, "recurring")) is not None:
        document["recurring"] = recurring
    discount = document["discount"]
    if told.get("discount_amount"):
        kind = "flat" if discount["kind"] == "fixed" else "percentage"
        told_or_before = told if told.get("currency") or kind == "percentage" else {
            **told, "currency": discount["currency"] or "",
        }  # fmt: skip
        document["discount"] = discount | _discount(kind, told["discount_amount"], told_or_before)
    if "minimum_threshold" in told:
        known = document["eligibility"]["currency"] or discount["currency"] or currency
        document["eligibility"] |= _threshold(told["minimum_threshold"], _currency(told) or known)
    elif document["eligibility"]["min_order_amount"] is not None and _currency(told) not in {
        None, document["eligibility"]["currency"],
    }:  # fmt: skip
        raise PaddleProblem(read.MISSING, "minimum_threshold is missing; it was set in another currency.")
    return checked(document)


def checked(document: dict[str, Any]) -> CampaignDefinition:
    """The document as a campaign that makes sense. Raises a PaddleProblem."""
    try:
        definition = parse(CampaignDefinition, orjson.dumps(document))
        to_domain(definition, 0)
    except (InvalidDocumentError, DefinitionError) as error:
        raise PaddleProblem(read.MISSING, str(error)) from None
    return definition


def _discount(kind: str, amount: str, told: Fields) -> dict[str, Any]:
    if kind == "percentage":
        if _AMOUNT.match(amount) is None or not 0 < float(amount) < 100:
            raise PaddleProblem(read.BAD_PERCENTAGE, f"{amount[:40]!r} is no percentage; it must be below 100.")
        return {"kind": "percentage", "value": amount, "currency": None}
    if _AMOUNT.match(amount) is None or float(amount) < 0.01:
        raise PaddleProblem(read.BAD_AMOUNT, f"{amount[:40]!r} is no amount; it must be 0.01 or more.")
    currency = _currency(told)
    if currency is None:
        raise PaddleProblem(read.MISSING, "currency is missing; a flat discount needs it.")
    return {"kind": "fixed", "value": amount, "currency": currency}


def _currency(told: Fields) -> str | None:
    text = told.get("currency", "")
    if not text:
        return None
    if _CURRENCY.match(text) is None:
        raise PaddleProblem(read.BAD_CURRENCY, f"{text[:40]!r} is no currency; write it like USD.")
    return text


def _threshold(text: str, currency: str) -> dict[str, Any]:
    """The amount that an order must exceed; blank or 0 takes it away."""
    if not text or (_AMOUNT.match(text) is not None and float(text) == 0):
        return {"min_order_amount": None, "min_order_amount_exclusive": False, "currency": None}
    if _AMOUNT.match(text) is None:
        raise PaddleProblem(read.BAD_AMOUNT, f"minimum_threshold must be an amount, not {text[:40]!r}.")
    return {"min_order_amount": text, "min_order_amount_exclusive": True, "currency": currency}


def _code(told: Fields) -> dict[str, Any]:
    """How codes are made; a code that is given is a coupon's own, not the campaign's."""
    code, prefix = told.get("coupon_code", ""), told.get("coupon_prefix", "")
    if code and (prefix or told.get("num_coupons")):
        raise PaddleProblem(read.MISSING, "coupon_prefix and num_coupons are not valid with a coupon_code.")
    if code and (len(code) < SHORTEST_CODE or len(code) > 255 or not code.isprintable()):
        raise PaddleProblem(read.BAD_CODE, f"coupon_code must have {SHORTEST_CODE} to 255 characters.")
    return {"prefix": prefix} if prefix else {}
