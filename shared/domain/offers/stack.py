"""Choose which of several coupons are used: the best offer wins, and each other one gets its refusal.

`combine` says which coupons can be combined, and finds the best combination. The order in which codes were named makes
no difference.
"""

from collections.abc import Sequence

from shared.domain.model.coupon import code_key
from shared.domain.model.reasons import PRECEDENCE, Reason
from shared.domain.model.verdicts import RefusedCoupon, refuse
from shared.domain.offers.combine import (
    Choice,
    alone,
    best_combination,
    conflicting_offer,
    has_effect,
    order_of_application,
)
from shared.domain.offers.kinds import KINDS
from shared.domain.offers.limits import limit_refusal
from shared.domain.offers.price import AppliedOffer, apply_alone, price
from shared.domain.offers.request import ExistingCoupon, Request, ResolvedOffer
from shared.domain.offers.totals import NO_TOTALS, RunningTotals, add_to_totals

Chosen = tuple[list[AppliedOffer], list[RefusedCoupon]]
"""(applied offers in the order of application, refusals)"""


def choose(request: Request, offers: list[ResolvedOffer]) -> Chosen:
    """Return the best choice among `offers`, with a refusal for each offer that isn't in it."""
    if len(offers) == 1:
        return _single(request, offers[0])
    viable: list[ResolvedOffer] = []
    refused: list[RefusedCoupon] = []
    for offer in offers:
        refusal = _by_itself(request, offer)
        if refusal is None:
            viable.append(offer)
        else:
            refused.append(refusal)
    viable.sort(key=order_of_application)
    if len(viable) < 2:
        applied = alone(request, viable[0]).applied if viable else []
        others: list[RefusedCoupon] = []
    elif request.order is None:
        applied, others = _without_order(request, viable)
    else:
        applied, others = _best(request, viable)
    return applied, others + refused


def _by_itself(request: Request, offer: ResolvedOffer) -> RefusedCoupon | None:
    """Return why the offer can't be used alone: no room, no effect, or not combinable with the order's coupons."""
    known = request.basket is not None
    refusal = limit_refusal(request, offer, NO_TOTALS, offer.discount_minor if known else None)
    if refusal is None and request.existing:
        other = conflicting_offer(offer, request.existing, len(request.existing) + 1)
        refusal = None if other is None else not_combinable(offer, other)
    if refusal is None and known and not has_effect(offer, offer.discount_minor):
        refusal = no_effect(request, offer)
    return refusal


def _single(request: Request, offer: ResolvedOffer) -> Chosen:
    refused = _by_itself(request, offer)
    if refused is not None:
        return [], [refused]
    basket = request.basket
    return [AppliedOffer(offer, None) if basket is None else apply_alone(basket, offer)], []


def _best(request: Request, viable: list[ResolvedOffer]) -> Chosen:
    best = best_combination(request, viable)
    if len(best.applied) == len(viable):
        return best.applied, []
    winners = [use.offer for use in best.applied]
    lost = [offer for offer in viable if not any(offer is winner for winner in winners)]
    return best.applied, [_lost(request, offer, best, winners) for offer in lost]


def _lost(request: Request, offer: ResolvedOffer, best: Choice, winners: Sequence[ResolvedOffer]) -> RefusedCoupon:
    """Return why an offer that can be used alone isn't in the best choice, in the order of reasons."""
    discount = None if best.basket is None else price(best.basket, offer)[0]
    refusal = limit_refusal(request, offer, best.totals, discount)
    if refusal is not None:
        return refusal
    winner = conflicting_offer(offer, winners, len(winners) + len(request.existing) + 1)
    if winner is None and discount is not None and not has_effect(offer, discount):
        return no_effect(request, offer)
    code = _code(winner or winners[0])
    message = f"Coupon {code!r} takes more off, and the two can't be combined."
    return refuse(Reason.BETTER_OFFER_WON, message, offer.code, offer.coupon, {"winner": code})


def _without_order(request: Request, viable: list[ResolvedOffer]) -> Chosen:
    """Without an order no offer is better than another: offers that can't be combined are all refused."""
    applied: list[AppliedOffer] = []
    refused: list[RefusedCoupon] = []
    totals = RunningTotals()
    for offer in viable:
        others = [rival for rival in viable if rival is not offer]
        other = conflicting_offer(offer, others, len(viable) + len(request.existing))
        if other is not None:
            refused.append(not_combinable(offer, other, "refused_with"))
            continue
        refusal = limit_refusal(request, offer, totals)
        if refusal is not None:
            refused.append(refusal)
            continue
        add_to_totals(request, offer, totals)
        applied.append(AppliedOffer(offer, None))
    return applied, refused


def not_combinable(
    offer: ResolvedOffer, other: ResolvedOffer | ExistingCoupon, details_key: str = "with"
) -> RefusedCoupon:
    """Return the refusal of an offer that can't be combined with `other`."""
    code = _code(other)
    message = f"Coupon {offer.coupon.code!r} can't be combined with {code!r}."
    return refuse(Reason.NOT_COMBINABLE, message, offer.code, offer.coupon, {details_key: code})


def _code(other: ResolvedOffer | ExistingCoupon) -> str:
    return other.coupon.code if isinstance(other, ResolvedOffer) else other.code


def no_effect(request: Request, offer: ResolvedOffer) -> RefusedCoupon:
    """Return the refusal of an offer that would change nothing about the order."""
    what, describe = "would take nothing off this order", KINDS[offer.discount.kind].no_effect
    if describe is not None and request.order is not None:
        what = describe(request.order.shipping_minor > 0)
    return refuse(Reason.NO_EFFECT, f"Coupon {offer.coupon.code!r} {what}.", offer.code, offer.coupon)


def sorted_refusals(refused: list[RefusedCoupon]) -> list[RefusedCoupon]:
    """Sort by code, so that the order of the request makes no difference; refusals without a code come first."""
    return sorted(refused, key=lambda it: (code_key(it.code or ""), it.coupon_id or "", PRECEDENCE[it.reason]))


def refused_with(applied: list[AppliedOffer], first: RefusedCoupon, reference: str | None) -> list[RefusedCoupon]:
    """Return the refusals of coupons that could be used, in an all-or-nothing request in which `first` was refused."""
    other = first.code or reference or ""
    return [
        refuse(
            Reason.NOT_COMBINABLE,
            f"The request was all or nothing, and {other!r} was refused ({first.reason.value}).",
            use.offer.code, use.offer.coupon, {"refused_with": other},
        )
        for use in applied
    ]  # fmt: skip
