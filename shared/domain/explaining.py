"""Why a code is or isn't good: every rule with its verdict and the numbers it saw, not just the first that refuses.

The findings stand in the order of `Reason`, so the first that refuses is the reason that a request for this one code
would be told; the last word, `Explanation.verdict`, is `decide`'s own.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Literal

from shared.domain.asking import Offer, Request
from shared.domain.campaign import Campaign
from shared.domain.combining import adds_something, clash
from shared.domain.commands import LockCoupons, RedeemCoupons
from shared.domain.coupon import Coupon, code_key
from shared.domain.decide import decide
from shared.domain.limits_told import limits_of
from shared.domain.locking import request_for_lock
from shared.domain.money import shown
from shared.domain.pricing import price
from shared.domain.reasons import Reason
from shared.domain.redeeming import request_for_order
from shared.domain.rules import RULES
from shared.domain.stacking import no_effect, not_beside
from shared.domain.state import State
from shared.domain.value import value
from shared.domain.verdicts import Verdict

Outcome = Literal["holds", "refused", "not asked", "needs an order"]


@value
class Finding:
    """One rule. `field` is the campaign's, `saw` the numbers, `message` what it comes to in a sentence."""

    field: str
    outcome: Outcome
    reason: Reason | None = None
    message: str = ""
    saw: tuple[tuple[str, str], ...] = ()


@value
class Explanation:
    """What there is to say of one code. `verdict` is what a request for it alone would be told."""

    code: str
    findings: tuple[Finding, ...]
    verdict: Verdict


def explain(command: RedeemCoupons | LockCoupons, state: State, now: datetime) -> Explanation:
    """Every rule for the one code that `command` names; changes nothing."""
    [code] = command.codes
    verdict = decide(command, state, now)
    coupon_id = state.coupon_ids.get(code_key(code))
    coupon = None if coupon_id is None else state.coupons.get(coupon_id)
    campaign = None if coupon is None else state.campaigns.get(coupon.campaign_id)
    if coupon is None or campaign is None or coupon.status == "pooled":
        return Explanation(
            code, (_refused("code", Reason.NOT_FOUND, f"There is no coupon {code.strip()!r}."),), verdict
        )
    if isinstance(command, RedeemCoupons):
        request = request_for_order(command, state, now)
    else:
        request = request_for_lock(command, state, now)
    return Explanation(code, tuple(_findings(request, code, coupon, campaign)), verdict)


def _findings(request: Request, code: str, coupon: Coupon, campaign: Campaign) -> Iterator[Finding]:
    yield Finding("code", "holds", None, f"The coupon is of campaign {campaign.campaign_id!r}.")
    if coupon.status == "voided":
        yield _refused("coupon", Reason.VOIDED, f"Coupon {coupon.code!r} was taken out of use.")
    else:
        yield Finding("coupon", "holds", None, "It was not taken out of use.")
    offer = Offer(code, coupon, campaign)
    good = True
    for rule in RULES:
        if rule.field == "status" and campaign.status == "active":
            yield Finding("status", "holds", None, f"Campaign {campaign.campaign_id!r} is active.")
        elif not rule.asked(campaign):
            yield Finding(rule.field, "not asked")
        elif rule.of_order and request.order is None:
            yield Finding(rule.field, "needs an order")
        else:
            holds = rule.holds(request, offer)
            good = good and (holds or not rule.of_order)
            message, details = rule.tell(request, offer)
            reason = None if holds else rule.reason
            yield Finding(rule.field, "holds" if holds else "refused", reason, "" if holds else message, _saw(details))
    yield from _of_limits(request, offer, priced=good)


def _of_limits(request: Request, offer: Offer, *, priced: bool) -> Iterator[Finding]:
    discount: int | None = None
    if request.basket is not None and priced:
        offer.untouched_minor, offer.weights = price(request.basket, offer)
        discount = offer.untouched_minor
    for limit in limits_of(request, offer, discount):
        outcome: Outcome = "holds" if limit.refused is None else "refused"
        reason = None if limit.refused is None else limit.refused.reason
        message = "" if limit.refused is None else limit.refused.message
        yield Finding(limit.field, outcome, reason, message, _saw(limit.saw))
    other = clash(offer, request.beside, len(request.beside) + 1)
    if other is not None:
        refused = not_beside(offer, other)
        yield _refused("stacking", refused.reason, refused.message, refused.details)
    elif request.beside:
        beside = ", ".join(one.code for one in request.beside)
        yield Finding("stacking", "holds", None, "", (("beside", beside),))
    if discount is None or request.order is None:
        yield Finding("discount", "needs an order")
    elif adds_something(offer, discount):
        told = shown(discount, request.order.currency)
        yield Finding("discount", "holds", None, "", (("discount", told), ("currency", request.order.currency)))
    else:
        nothing = no_effect(request, offer)
        yield _refused("discount", nothing.reason, nothing.message)


def _refused(field: str, reason: Reason, message: str, details: dict[str, str] | None = None) -> Finding:
    return Finding(field, "refused", reason, message, _saw(details or {}))


def _saw(details: dict[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple(details.items())
