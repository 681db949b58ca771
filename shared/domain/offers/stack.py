"""Which of several coupons are used: best offer wins, and what lost says to what.

Which may go together, and how the best way is found: `combining`. Nothing here depends on the order in which codes were
named.
"""

from collections.abc import Sequence

from shared.domain.model.reasons import Reason
from shared.domain.model.verdicts import RefusedCoupon, refuse
from shared.domain.offers.combine import (
    Choice,
    adds_something,
    alone,
    best_combination,
    clash,
    order_of_application,
)
from shared.domain.offers.limits import count, limit_refusal
from shared.domain.offers.price import price, take_alone
from shared.domain.offers.request import AppliedOffer, ExistingCoupon, Offer, Request, RunningTotals

_NOTHING = RunningTotals()  # never counted into


Chosen = tuple[list[AppliedOffer], list[RefusedCoupon]]
"""What was taken, in the order of application, and what was refused."""


def choose(request: Request, offers: list[Offer]) -> Chosen:
    """The best choice among `offers`, with a refusal for each offer that isn't in it."""
    if len(offers) == 1:
        return _single(request, offers[0])
    viable: list[Offer] = []
    refused: list[RefusedCoupon] = []
    for offer in offers:
        refusal = _by_itself(request, offer)
        if refusal is None:
            viable.append(offer)
        else:
            refused.append(refusal)
    viable.sort(key=order_of_application)
    if len(viable) < 2:
        taken = alone(request, viable[0]).taken if viable else []
        others: list[RefusedCoupon] = []
    elif request.order is None:
        taken, others = _without_order(request, viable)
    else:
        taken, others = _best(request, viable)
    return taken, others + refused


def _by_itself(request: Request, offer: Offer) -> RefusedCoupon | None:
    """Why it would not even do alone: what has no room or changes nothing by itself could neither win nor lose."""
    known = request.basket is not None
    refusal = limit_refusal(request, offer, _NOTHING, offer.untouched_minor if known else None)
    if refusal is None and request.existing:
        other = clash(offer, request.existing, len(request.existing) + 1)
        refusal = None if other is None else not_beside(offer, other)
    if refusal is None and known and not adds_something(offer, offer.untouched_minor):
        refusal = no_effect(request, offer)
    return refusal


def _single(request: Request, offer: Offer) -> Chosen:
    refused = _by_itself(request, offer)
    if refused is not None:
        return [], [refused]
    basket = request.basket
    return [AppliedOffer(offer, None) if basket is None else take_alone(basket, offer)], []


def _best(request: Request, viable: list[Offer]) -> Chosen:
    best = best_combination(request, viable)
    winners = [one.offer for one in best.taken]
    lost = [offer for offer in viable if not any(offer is winner for winner in winners)]
    return best.taken, [_lost(request, offer, best, winners) for offer in lost]


def _lost(request: Request, offer: Offer, best: Choice, winners: Sequence[Offer]) -> RefusedCoupon:
    """Why an offer that would do alone isn't in the best choice, in the order of reasons."""
    discount = None if best.basket is None else price(best.basket, offer)[0]
    refusal = limit_refusal(request, offer, best.totals, discount)
    if refusal is not None:
        return refusal
    winner = clash(offer, winners, len(winners) + len(request.existing) + 1)
    if winner is None and discount is not None and not adds_something(offer, discount):
        return no_effect(request, offer)
    code = _code(winner or winners[0])
    message = f"Coupon {code!r} takes more off, and the two don't go together."
    return refuse(Reason.BETTER_OFFER_WON, message, offer.code, offer.coupon, {"winner": code})


def _without_order(request: Request, viable: list[Offer]) -> Chosen:
    """Without an order no offer is better than another: those that don't go together keep each other out."""
    taken: list[AppliedOffer] = []
    refused: list[RefusedCoupon] = []
    totals = RunningTotals()
    for offer in viable:
        others = [one for one in viable if one is not offer]
        other = clash(offer, others, len(viable) + len(request.existing))
        if other is not None:
            refused.append(not_beside(offer, other, "refused_with"))
            continue
        gone = limit_refusal(request, offer, totals)
        if gone is not None:
            refused.append(gone)
            continue
        count(request, offer, totals)
        taken.append(AppliedOffer(offer, None))
    return taken, refused


def not_beside(offer: Offer, other: Offer | ExistingCoupon, called: str = "with") -> RefusedCoupon:
    """The two don't go together."""
    code = _code(other)
    message = f"Coupon {offer.coupon.code!r} can't be combined with {code!r}."
    return refuse(Reason.NOT_COMBINABLE, message, offer.code, offer.coupon, {called: code})


def _code(other: Offer | ExistingCoupon) -> str:
    return other.coupon.code if isinstance(other, Offer) else other.code


def no_effect(request: Request, offer: Offer) -> RefusedCoupon:
    """It would change nothing about the order."""
    code = offer.coupon.code
    message = f"Coupon {code!r} would take nothing off this order."
    if offer.campaign.discount.kind == "free_shipping" and request.order is not None:
        left = request.order.shipping_minor > 0
        what = "nothing is left of the order's shipping" if left else "the order states no cost of shipping"
        message = f"Coupon {code!r} takes the shipping off, and {what}."
    return refuse(Reason.NO_EFFECT, message, offer.code, offer.coupon)
