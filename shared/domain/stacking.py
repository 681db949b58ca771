"""Which of several coupons are used: best offer wins.

An `exclusive` coupon goes alone; `combinable` ones go together. The choices are therefore each exclusive coupon alone
and all combinable ones at once; the one that takes most off wins. Equal ones: the fewer coupons used up, then the
order of application. Nothing here depends on the order in which codes were named.
"""

from dataclasses import dataclass, field

from shared.domain.asking import Along, Basket, Offer, Request, Taken
from shared.domain.coupon import code_key
from shared.domain.discount import reckon, spread
from shared.domain.eligibility import refuse
from shared.domain.limits import count, limit_refusal
from shared.domain.reasons import Reason
from shared.domain.verdicts import RefusedCoupon

_NOTHING = Along()  # never counted into


@dataclass(slots=True)
class Choice:
    """Coupons that may go together: what was taken, what fell out on the way, what it comes to in minor units."""

    taken: list[Taken] = field(default_factory=list)
    refused: list[RefusedCoupon] = field(default_factory=list)
    total_minor: int = 0


def choose(request: Request, offers: list[Offer]) -> Choice:
    """The best choice among `offers`, with a refusal for each offer that isn't in it."""
    if len(offers) == 1:
        return _single(request, offers[0])
    viable, refused = _alone(request, offers)
    if len(viable) < 2:
        best = _apply(request, viable)
    elif request.order is None:
        best = _without_order(request, viable)
    else:
        best = _best(request, viable)
    best.refused += refused
    return best


def order_of_application(offer: Offer) -> tuple[int, int, str, str]:
    """Campaign priority (the higher number first), the greater discount on the untouched order, campaign id, code."""
    return (
        -offer.campaign.stacking.priority,
        -offer.untouched_minor,
        offer.campaign.campaign_id,
        code_key(offer.coupon.code),
    )


def left_for(basket: Basket, offer: Offer) -> int:
    """What the offer takes off what remains of the lines it is good for."""
    amounts, indices = basket.amounts, offer.indices
    weights = amounts if indices is None else [amounts[index] for index in indices]
    base = min(sum(weights), basket.left_minor) if amounts else basket.left_minor
    return min(reckon(offer.campaign.discount, base), basket.room_for(indices))


def take(basket: Basket, offer: Offer, discount_minor: int) -> Taken:
    """The offer with its discount spread over the lines it is good for; the basket is left with the rest."""
    amounts, indices, rooms = basket.amounts, offer.indices, basket.rooms
    weights = amounts if indices is None else [amounts[index] for index in indices]
    if rooms is not None:  # spread over what earlier requests left, so that no line gives more than it costs
        weights = rooms if indices is None else [rooms[index] for index in indices]
    basket.left_minor -= discount_minor
    basket.room_minor -= discount_minor
    shares: list[tuple[int, int]] = []
    where = range(len(amounts)) if indices is None else indices
    for index, part in zip(where, spread(discount_minor, weights), strict=True):
        if part:
            amounts[index] -= part
            if rooms is not None:
                rooms[index] -= part
            shares.append((index, part))
    return Taken(offer, discount_minor, tuple(shares))


def _single(request: Request, offer: Offer) -> Choice:
    refused = limit_refusal(request, offer, _NOTHING, None if request.basket is None else offer.untouched_minor)
    if refused is None and request.order is not None and not offer.untouched_minor:
        refused = _no_effect(offer)
    if refused is not None:
        return Choice([], [refused], 0)
    if request.basket is None:
        return Choice([Taken(offer, None)], [], 0)
    return Choice([take(request.basket, offer, offer.untouched_minor)], [], offer.untouched_minor)


def _alone(request: Request, offers: list[Offer]) -> tuple[list[Offer], list[RefusedCoupon]]:
    """Those that would do alone: what has no room or takes nothing off by itself is no offer that could win or lose."""
    viable: list[Offer] = []
    refused: list[RefusedCoupon] = []
    for offer in offers:
        refusal = limit_refusal(request, offer, _NOTHING, None if request.basket is None else offer.untouched_minor)
        if refusal is None and request.order is not None and not offer.untouched_minor:
            refusal = _no_effect(offer)
        if refusal is None:
            viable.append(offer)
        else:
            refused.append(refusal)
    viable.sort(key=order_of_application)
    return viable, refused


def _apply(request: Request, offers: list[Offer]) -> Choice:
    """The offers one after another, each on what the ones before left; limits are counted along the way."""
    choice, along = Choice(), Along()
    whole = request.basket
    basket = None if whole is None else whole.copy()
    for offer in offers:
        discount_minor = None if basket is None else left_for(basket, offer)
        refused = limit_refusal(request, offer, along, discount_minor)
        if refused is None and discount_minor == 0:
            refused = _no_effect(offer)
        if refused is not None:
            choice.refused.append(refused)
            continue
        taken = Taken(offer, None) if basket is None else take(basket, offer, discount_minor or 0)
        count(request, offer, along, discount_minor)
        choice.taken.append(taken)
        choice.total_minor += taken.discount_minor or 0
    return choice


def _best(request: Request, viable: list[Offer]) -> Choice:
    groups = [[offer] for offer in viable if offer.campaign.stacking.policy == "exclusive"]
    if together := [offer for offer in viable if offer.campaign.stacking.policy == "combinable"]:
        groups.append(together)
    choices = [_apply(request, group) for group in groups]
    best = min(
        choices,
        key=lambda choice: (
            -choice.total_minor,
            len(choice.taken),
            [order_of_application(taken.offer) for taken in choice.taken],
        ),
    )
    winner = best.taken[0].offer
    for group, choice in zip(groups, choices, strict=True):
        if choice is not best:
            best.refused += [_lost(offer, winner) for offer in group]
    return best


def _without_order(request: Request, viable: list[Offer]) -> Choice:
    """Without an order no offer is better than another: one that goes alone keeps all of them apart."""
    alone = next((offer for offer in viable if offer.campaign.stacking.policy == "exclusive"), None)
    if alone is None:
        return _apply(request, viable)
    choice = Choice()
    for offer in viable:
        other = next(one for one in viable if one is not offer) if offer is alone else alone
        message = f"Coupon {offer.coupon.code!r} can't be combined with {other.coupon.code!r}."
        details = {"refused_with": other.coupon.code}
        choice.refused.append(refuse(Reason.NOT_COMBINABLE, message, offer.code, offer.coupon, details))
    return choice


def _no_effect(offer: Offer) -> RefusedCoupon:
    message = f"Coupon {offer.coupon.code!r} would take nothing off this order."
    return refuse(Reason.NO_EFFECT, message, offer.code, offer.coupon)


def _lost(offer: Offer, winner: Offer) -> RefusedCoupon:
    message = f"Coupon {winner.coupon.code!r} takes more off, and the two don't go together."
    return refuse(Reason.BETTER_OFFER_WON, message, offer.code, offer.coupon, {"winner": winner.coupon.code})
