"""Verdicts as JSON of the native API: amounts are decimal strings, each refusal has its reason.

A response depends only on the verdict, which the journal keeps. So a retry gets the same response, byte for byte.
"""

from typing import Annotated, Any

from fastapi import Response
from pydantic import Field

from services.gateway import documents
from services.gateway.gateway import refused_coupon
from services.gateway.native.bodies import Body, moment
from shared.domain.model.ids import order_names, readable
from shared.domain.model.money import format_minor
from shared.domain.model.order import SHIPPING
from shared.domain.model.verdicts import AcceptedCoupon, Verdict


class LineAnswer(Body):
    """The discount of a coupon on one line."""

    line_id: str
    discount_amount: str


class CouponAnswer(Body):
    """An accepted coupon. `discount_amount` is null if the request had no order."""

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
    """A refused coupon and the reason."""

    code: str | None
    coupon_id: str | None
    campaign_id: str | None
    reason: str
    message: str
    details: dict[str, str]


class VerdictAnswer(Body):
    """The result of a request. `outcome`: redeemed, adjusted (a changed order), locked, released, restored, recorded,
    unchanged, refused.
    """

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
    shop_id: str | None
    why: Annotated[str | None, Field(description="outcome unchanged: why there was nothing to do")] = None


class ValidationAnswer(Body):
    """The result that redeeming would have now. `outcome`: good or refused."""

    outcome: str
    valid: bool
    order_id: str | None
    currency: str | None
    discount_amount: str | None
    coupons: list[CouponAnswer]
    refused: list[RefusedAnswer]
    decided_at: str
    shop_id: str | None


class ErrorAnswer(Body):
    """One error in a request, and its place."""

    place: str
    problem: str


class ProblemAnswer(Body):
    """A problem (RFC 9457). `code` is for programs; for a refusal it is the reason, and `refused` has every coupon."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    reason: str | None = None
    refused: Annotated[list[RefusedAnswer], Field(default_factory=list)]
    errors: Annotated[list[ErrorAnswer], Field(default_factory=list)]


def coupon_document(coupon: AcceptedCoupon, currency: str | None) -> dict[str, Any]:
    """Return an accepted coupon as a JSON document."""
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
    """Return a verdict, accepted or refused, as a JSON document."""
    currency, coupons, sum_minor = verdict.currency, verdict.accepted, verdict.discount_minor
    names = order_names(verdict.order_id)
    if verdict.kept:  # a changed order: all coupons that it has now
        coupons = (*[kept.coupon for kept in verdict.kept], *coupons)
        sum_minor = sum(coupon.discount_minor or 0 for coupon in coupons)
    return {
        "outcome": verdict.outcome,
        "valid": verdict.outcome != "refused" and not verdict.refused,
        "order_id": names["order_id"],
        "redemption_id": verdict.redemption_id,
        "lock_reference": None if verdict.lock_reference is None else readable(verdict.lock_reference),
        "expires_at": moment(verdict.expires_at),
        "currency": currency,
        "discount_amount": amount(sum_minor, currency),
        "coupons": [coupon_document(coupon, currency) for coupon in coupons],
        "refused": [refused_coupon(one) for one in verdict.refused],
        "decided_at": moment(verdict.decided_at),
        "shop_id": names["shop_id"],
        "why": verdict.why,
    }


def amount(minor: int | None, currency: str | None) -> str | None:
    """Return an amount as a decimal string, or None without an amount or a currency."""
    return None if minor is None or currency is None else format_minor(minor, currency)


def json_response(document: Any, status: int = 200) -> Response:
    """Return a JSON response."""
    return Response(documents.written(document), status, media_type="application/json")
