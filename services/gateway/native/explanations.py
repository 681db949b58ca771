"""Explanations as JSON: every rule with its result and the numbers it compared."""

from typing import Any

from services.gateway.native.bodies import Body
from services.gateway.native.responses import amount
from shared.domain.explain import Explanation


class FindingAnswer(Body):
    """One rule. `outcome`: holds, refused, not_asked, not_judged, needs_an_order."""

    rule: str
    outcome: str
    reason: str | None
    message: str | None
    saw: dict[str, str]


class ExplanationAnswer(Body):
    """All rules for one code. `outcome`: good, unchanged (the order has the coupon already), or the refusal reason."""

    code: str
    outcome: str
    message: str | None
    currency: str | None
    discount_amount: str | None
    findings: list[FindingAnswer]


def explanation_document(explanation: Explanation) -> dict[str, Any]:
    """Return the explanation as a JSON document."""
    verdict = explanation.verdict
    refused = verdict.refused[0] if verdict.refused else None
    return {
        "code": explanation.code,
        "outcome": refused.reason.value if refused else "good" if verdict.accepted else "unchanged",
        "message": refused.message if refused else None,
        "currency": verdict.currency,
        "discount_amount": amount(verdict.discount_minor, verdict.currency) if verdict.accepted else None,
        "findings": [one.document() for one in explanation.findings],
    }
