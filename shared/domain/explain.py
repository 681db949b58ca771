"""Explain a code: every rule with its result and the numbers it saw, not only the first rule that refuses.

The findings are in the order of `Reason`, so the first refusal is the reason that a request for this code would get.
`Explanation.verdict` is the verdict of `decide` itself.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Any, Literal

from shared.domain.coupons.locks import redeemed_already, reference_problem, request_for_lock
from shared.domain.decide import decide, not_later
from shared.domain.model.commands import LockCoupons
from shared.domain.model.coupon import Coupon, code_key
from shared.domain.model.ids import order_text
from shared.domain.model.money import format_for_message
from shared.domain.model.order_commands import RedeemCoupons
from shared.domain.model.reasons import Reason
from shared.domain.model.state import State
from shared.domain.model.value import value
from shared.domain.model.verdicts import RefusedCoupon, Verdict
from shared.domain.offers.combine import conflicting_offer, has_effect
from shared.domain.offers.cycles import is_waived
from shared.domain.offers.messages import limits_of
from shared.domain.offers.request import Request, ResolvedOffer
from shared.domain.offers.resolve import resolve, resolve_recurring
from shared.domain.offers.rules import RULES, Rule
from shared.domain.offers.stack import no_effect, not_combinable
from shared.domain.offers.work import too_much
from shared.domain.orders.life_cycle import Effect
from shared.domain.orders.mismatch import is_mismatch, mismatch
from shared.domain.orders.named import continued_campaign, has_coupon
from shared.domain.orders.placing import placing_of
from shared.domain.tenancy import state_for_caller

_WITH_TIME = frozenset(("window.starts_at", "window.ends_at"))
_OF_CUSTOMER = frozenset(("eligibility.segments_any", "eligibility.segments_all", "eligibility.first_order_only"))

Outcome = Literal["holds", "refused", "not asked", "not judged", "needs an order"]
"""`not asked`: the campaign doesn't have this rule. `not judged`: the rule makes no difference in this case."""


@value
class Finding:
    """The result of one rule. `field` is the campaign's if it has one, `saw` the numbers, `message` a sentence."""

    field: str
    outcome: Outcome
    reason: Reason | None = None
    message: str = ""
    saw: tuple[tuple[str, str], ...] = ()

    def document(self) -> dict[str, Any]:
        """Return the finding as plain values for JSON."""
        return {
            "rule": self.field,
            "outcome": self.outcome.replace(" ", "_"),
            "reason": self.reason,
            "message": self.message or None,
            "saw": dict(self.saw),
        }


@value
class Explanation:
    """The findings for one code. `verdict` is that on a request for this code alone."""

    code: str
    findings: tuple[Finding, ...]
    verdict: Verdict


def explain(command: RedeemCoupons | LockCoupons, state: State, now: datetime) -> Explanation:
    """Return the result of every rule for the one code that `command` names. Changes nothing.

    A lock that a RedeemCoupons names is ignored. Raises ValueError if the command names no code or several.
    """
    if len(command.codes) != 1:
        raise ValueError(f"one code can be explained at a time, not {len(command.codes)}")
    [code] = command.codes
    if isinstance(command, RedeemCoupons):
        command = not_later(command, now)
    state = state_for_caller(command, state)
    coupon_id = state.coupon_ids.get(code_key(code))
    coupon = None if coupon_id is None else state.coupons.get(coupon_id)
    if isinstance(command, RedeemCoupons):
        findings = _for_order(command, state, now, code, coupon)
    else:
        findings = _for_lock(command, state, now, code, coupon)
    verdict = decide(command, state, now)
    found = tuple(findings)
    if isinstance(command, RedeemCoupons) and not any(one.outcome == "refused" for one in found):
        found = (*found, *_by_the_order(verdict, coupon))
    return Explanation(code, found, verdict)


def _by_the_order(verdict: Verdict, coupon: Coupon | None) -> Iterator[Finding]:
    """Yield the refusal for a reason that none of the rules for a single coupon has: what the order is already."""
    for refused in verdict.refused:
        if coupon is None or refused.coupon_id in (None, coupon.coupon_id):
            yield _refused("order", refused)
            return


def _for_order(
    command: RedeemCoupons, state: State, now: datetime, code: str, coupon: Coupon | None
) -> Iterator[Finding]:
    placing = placing_of(command, state, now)
    campaign = None if coupon is None else state.campaigns.get(coupon.campaign_id)
    if is_mismatch(command, placing):
        yield _refused("order", mismatch(command, placing).refused[0])
        return
    if coupon is not None and has_coupon(coupon.coupon_id, placing.known, placing.hold):
        if placing.effect is Effect.CHANGE:
            yield _holds("code", f"The coupon is of campaign {coupon.campaign_id!r}.")
            name = order_text(command.order.order_id)
            yield _holds("order", f"Order {name} has it already; it is judged on the new basket.")
            return
        yield _holds("code", f"The coupon is of campaign {coupon.campaign_id!r}.")
        redeemed = placing.known is not None and coupon.coupon_id in placing.known.redemptions
        how = "has redeemed it" if redeemed else "holds it until its payment"
        yield _holds(
            "order", f"Order {order_text(command.order.order_id)} {how} already, so its rules aren't checked again."
        )
    elif coupon is None or coupon.status == "pooled" or campaign is None:
        yield _not_found(code, coupon)
    else:
        continued = continued_campaign(command, state, coupon) is not None
        resolved = resolve_recurring if continued else resolve
        yield from _of_coupon(placing.request, resolved(placing.request, code, coupon, campaign))


def _for_lock(command: LockCoupons, state: State, now: datetime, code: str, coupon: Coupon | None) -> Iterator[Finding]:
    request = request_for_lock(command, state, now)
    problem = reference_problem(command, state.locks.get(command.lock_reference), request.customer_key)
    if problem is not None:
        yield _refused("lock_reference", problem)
    campaign = None if coupon is None else state.campaigns.get(coupon.campaign_id)
    if coupon is None or coupon.status == "pooled" or campaign is None:
        yield _not_found(code, coupon)
    else:
        yield from _of_coupon(request, resolve(request, code, coupon, campaign))


def _of_coupon(request: Request, offer: ResolvedOffer) -> Iterator[Finding]:
    coupon, campaign = offer.coupon, offer.campaign
    if too_large := too_much(request, [(offer.code, coupon)]):
        yield _refused("request", too_large[0])
        return
    yield _holds("code", f"The coupon is of campaign {campaign.campaign_id!r}.")
    if coupon.status == "voided":
        message = f"Coupon {coupon.code!r} was taken out of use."
        yield Finding("coupon", "refused", Reason.VOIDED, message)
    else:
        yield _holds("coupon", "It was not taken out of use.")
    discount: int | None = None
    rules = [_of_rule(rule, request, offer) for rule in RULES]
    yield from rules
    if request.basket is not None and not any(
        rule.of_order and finding.outcome == "refused" for rule, finding in zip(RULES, rules, strict=True)
    ):
        discount = offer.discount_minor
    for limit in limits_of(request, offer, discount):
        if limit.refused is None:
            yield Finding(limit.field, "holds", None, "", tuple(limit.saw.items()))
        else:
            refused = limit.refused
            yield Finding(limit.field, "refused", refused.reason, refused.message, tuple(limit.saw.items()))
    yield from _of_existing(request, offer)
    yield _of_effect(request, offer, discount)


def _of_rule(rule: Rule, request: Request, offer: ResolvedOffer) -> Finding:
    campaign = offer.campaign
    if rule.field == "status" and campaign.status == "active":
        # Judging uses this rule only for campaigns that aren't active.
        return _holds("status", *rule.describe(request, offer, True))
    if not rule.is_required(campaign):
        return Finding(rule.field, "not asked")
    if (rule.of_order and request.order is None) or (rule.field == "order" and request.order_id is None):
        return Finding(rule.field, "needs an order")
    if why_not := _reason_not_judged(rule, request, offer):
        return Finding(rule.field, "not judged", None, why_not)
    passes = rule.passes(request, offer)
    message, details = rule.describe(request, offer, passes)
    if rule.field in _WITH_TIME:
        details = details | {"at": request.at.isoformat(timespec="seconds")}
    if passes:
        return _holds(rule.field, message, details)
    return Finding(rule.field, "refused", rule.reason, message, tuple(details.items()))


def _reason_not_judged(rule: Rule, request: Request, offer: ResolvedOffer) -> str:
    if offer.recurring and not rule.of_order and rule.reason is not Reason.ORDER_MISMATCH:
        return "The coupon's first use on this subscription covers it."
    if rule.field in _OF_CUSTOMER and request.customer_key is None:
        return "The request names no customer."
    if is_waived(rule.reason, offer):
        return "The order costs nothing. The orders of its subscription that cost something are judged."
    currency, order = offer.campaign.currency, request.order
    if rule.field == "eligibility.min_order_amount" and order is not None and currency not in (None, order.currency):
        return "The order is in another currency."
    return ""


def _of_existing(request: Request, offer: ResolvedOffer) -> Iterator[Finding]:
    """Yield the findings about the coupons that the order has already."""
    order = request.state.orders.get(request.order_id or "")
    if isinstance(request.command, LockCoupons) and order is not None and offer.coupon.coupon_id in order.redemptions:
        yield _refused("order", redeemed_already(offer, order))
    other = conflicting_offer(offer, request.existing, len(request.existing) + 1)
    if other is not None:
        yield _refused("stacking", not_combinable(offer, other))
    elif request.existing:
        existing = ", ".join(coupon.code for coupon in request.existing)
        yield _holds("stacking", "It can be combined with the coupons that the order has.", {"beside": existing})
    elif request.order_id is None:
        yield Finding("stacking", "needs an order")
    else:
        yield _holds("stacking", "The order has no other coupon yet.")


def _of_effect(request: Request, offer: ResolvedOffer, discount_minor: int | None) -> Finding:
    if request.order is None:
        return Finding("discount", "needs an order")
    if discount_minor is None:
        return Finding("discount", "not judged", None, "It can't be used on this order.")
    if not has_effect(offer, discount_minor):
        return _refused("discount", no_effect(request, offer))
    currency = request.order.currency
    return _holds("discount", "", {"discount": format_for_message(discount_minor, currency), "currency": currency})


def _not_found(code: str, coupon: Coupon | None) -> Finding:
    message = f"There is no coupon {code.strip()!r}."
    if coupon is not None and coupon.status != "pooled":
        message = f"The campaign of coupon {coupon.code!r} does not exist."
    return Finding("code", "refused", Reason.NOT_FOUND, message)


def _holds(field: str, message: str, details: dict[str, str] | None = None) -> Finding:
    return Finding(field, "holds", None, message, tuple((details or {}).items()))


def _refused(field: str, refused: RefusedCoupon) -> Finding:
    return Finding(field, "refused", refused.reason, refused.message, tuple(refused.details.items()))
