"""Verdicts as the native API tells them: amounts as decimal texts, every refusal with its reason.

An answer is a function of the verdict alone, which the journal keeps: told again, it is the same byte for byte.
"""

from typing import Annotated, Any

from fastapi import Response
from pydantic import Field

from services.gateway import documents
from services.gateway.gateway import refused_coupon
from services.gateway.native.bodies import Body, moment
from shared.domain.model.money import format_minor
from shared.domain.model.order import SHIPPING
from shared.domain.model.verdicts import AcceptedCoupon, Verdict


class LineAnswer(Body):
    """What a coupon takes off one line."""

    line_id: str
    discount_amount: str


class CouponAnswer(Body):
    """A coupon that is good. `discount_amount` is null where no order was told."""

    coupon_id: str
    code: str
    campaign_id: str
    kind: str
    value: str
    discount_amount: str | None
    lines: list[LineAnswer]
    shipping_discount_amount: str | None
    free_product: dict[str, Any] | None
    payload: dict[str, Any] | None
    recurring: bool


class RefusedAnswer(Body):
    """A coupon that is refused, and why."""

    code: str | None
    coupon_id: str | None
    campaign_id: str | None
    reason: str
    message: str
    details: dict[str, str]


class VerdictAnswer(Body):
    """What came of a request. `outcome`: redeemed, locked, released, restored, recorded, unchanged, refused."""

    outcome: str
    valid: bool
    order_id: str | None
    redemption_id: str | None
    lock_reference: str | None
    expires_at: str | None
    currency: str | None
    discount_amount: str | None
    coupons: list[CouponAnswer]
    refused: list[RefusedAnswer]
    decided_at: str


class ValidationAnswer(Body):
    """What redeeming would come to now. `outcome`: good or refused."""

    outcome: str
    valid: bool
    order_id: str | None
    currency: str | None
    discount_amount: str | None
    coupons: list[CouponAnswer]
    refused: list[RefusedAnswer]
    decided_at: str


class ErrorAnswer(Body):
    """One thing that is wrong with a request, and where."""

    place: str
    problem: str


class ProblemAnswer(Body):
    """RFC 9457. `code` is what machines go by; a refusal's is its reason, with all that was refused beside it."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    reason: str | None = None
    refused: Annotated[list[RefusedAnswer], Field(default_factory=list)]
    errors: Annotated[list[ErrorAnswer], Field(default_factory=list)]


def coupon_document(coupon: AcceptedCoupon, currency: str | None) -> dict[str, Any]:
    """One accepted coupon."""
    benefit = coupon.benefit
    return {
        "coupon_id": coupon.coupon_id,
        "code": coupon.code,
        "campaign_id": coupon.campaign_id,
        "kind": coupon.discount_kind,
        "value": coupon.discount_value,
        "discount_amount": amount(coupon.discount_minor, currency),
        "lines": [
            {"line_id": line_id, "discount_amount": amount(part, currency)}
            for line_id, part in coupon.lines
            if line_id != SHIPPING
        ],
        "shipping_discount_amount": amount(benefit.shipping_minor, currency)
        if benefit is not None and benefit.shipping_minor
        else None,
        "free_product": {"product_id": benefit.product_id, "quantity": benefit.product_units}
        if benefit is not None and benefit.product_id is not None
        else None,
        "payload": dict(benefit.payload) if benefit is not None and benefit.payload is not None else None,
        "recurring": coupon.recurring,
    }


def verdict_document(verdict: Verdict) -> dict[str, Any]:
    """A verdict, whatever it came to."""
    currency = verdict.currency
    return {
        "outcome": verdict.outcome,
        "valid": verdict.outcome != "refused" and not verdict.refused,
        "order_id": verdict.order_id,
        "redemption_id": verdict.redemption_id,
        "lock_reference": verdict.lock_reference,
        "expires_at": moment(verdict.expires_at),
        "currency": currency,
        "discount_amount": amount(verdict.discount_minor, currency),
        "coupons": [coupon_document(coupon, currency) for coupon in verdict.accepted],
        "refused": [refused_coupon(one) for one in verdict.refused],
        "decided_at": moment(verdict.decided_at),
    }


def amount(minor: int | None, currency: str | None) -> str | None:
    """A decimal text; None where there is no amount, or no currency to write it in."""
    return None if minor is None or currency is None else format_minor(minor, currency)


def answer(document: Any, status: int = 200) -> Response:
    """JSON, as it is kept and sent."""
    return Response(documents.written(document), status, media_type="application/json")
