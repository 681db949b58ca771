"""Limits: check for room for one more use of the coupon, its customer, its campaign, its caps and its budget.

Held uses count as used, except for the owner of the lock. An expired lock holds nothing here, even if the meters still
count it. (The engine decides an `ExpireLock` for each expired lock before a command that needs its coupons or meters.)
"""

from shared.domain.model.campaign import Cap
from shared.domain.model.reasons import Reason
from shared.domain.model.state import NO_METER
from shared.domain.model.verdicts import RefusedCoupon, refuse
from shared.domain.offers.budget import Room, budget_room
from shared.domain.offers.exhausted import FullCap, again_at, period_key
from shared.domain.offers.freed import freed_uses, given_up_uses
from shared.domain.offers.request import Request, ResolvedOffer
from shared.domain.offers.totals import RunningTotals, counts_at


def limit_refusal(
    request: Request, offer: ResolvedOffer, totals: RunningTotals, discount_minor: int | None = None
) -> RefusedCoupon | None:
    """Return why there is no room for this offer after those counted in `totals`, or None if there is room.

    `discount_minor` is its discount, None if no order is known: then any remaining budget is enough. A promised offer
    (its lock was named) is only refused for a limit of uses if the lock has no customer and the customer who burns it
    has no use left. The budget must have room for the part of the discount that isn't held.
    """
    coupon, limits = offer.coupon, offer.campaign.limits
    others = 0
    refused: RefusedCoupon | None = None
    held_out = budget_held_out = False
    if not offer.recurring and offer.used is None:  # others take no new use, only budget
        if not offer.promised:
            others = offer.held_by_others
            if coupon.uses_limit is not None and coupon.used >= coupon.uses_limit:
                return exhausted_refusal(offer, coupon.uses_limit)
        refused, held_out = _uses_refusal(request, offer, totals)
    if refused is None and limits.spend_total_minor is not None:
        refused, budget_held_out = budget_room(request, offer, totals, limits.spend_total_minor, discount_minor)
    if refused is None and (held_out or budget_held_out or others):
        return locked_elsewhere(offer, others, held_out, budget_held_out)
    return refused


def _uses_refusal(request: Request, offer: ResolvedOffer, totals: RunningTotals) -> Room:
    """Check the limits of uses for the customer and the campaign."""
    limits, held_out = offer.campaign.limits, False
    refused = None if limits.uses_per_customer is None else customer_limit(request, offer, totals)
    if refused is None and limits.caps:
        refused = customer_caps(request, offer, totals)
    if refused is None and limits.uses_total is not None and not offer.promised:
        refused, held_out = campaign_limit(request, offer, totals, limits.uses_total)
    if refused is None and limits.caps and offer.lock is None:
        refused, cap_held_out = campaign_caps(request, offer, totals)
        held_out = held_out or cap_held_out
    return refused, held_out


def exhausted_refusal(offer: ResolvedOffer, limit: int) -> RefusedCoupon:
    """Return the refusal of a coupon without a use left."""
    coupon = offer.coupon
    message = f"Coupon {coupon.code!r} has been used {_times(limit)}, its limit."
    return refuse(Reason.EXHAUSTED, message, offer.code, coupon, {"limit": str(limit), "used": str(coupon.used)})


def locked_elsewhere(offer: ResolvedOffer, others: int, held_out: bool, budget_held_out: bool) -> RefusedCoupon | None:
    """Return the refusal if only the held uses of other checkouts leave no room, or None."""
    coupon = offer.coupon
    if held_out or budget_held_out:
        left = "no use left" if held_out else "not enough of its budget left"
        message = f"Campaign {coupon.campaign_id!r} has {left} at the moment: other checkouts hold the rest."
        return refuse(Reason.LOCKED_ELSEWHERE, message, offer.code, coupon)
    if coupon.uses_limit is not None and others and coupon.used + others >= coupon.uses_limit:
        message = f"Coupon {coupon.code!r} has no use left at the moment: other checkouts hold {others}."
        return refuse(Reason.LOCKED_ELSEWHERE, message, offer.code, coupon, {"held": str(others)})
    return None


def customer_limit(request: Request, offer: ResolvedOffer, totals: RunningTotals) -> RefusedCoupon | None:
    """Return the refusal if this customer has used up their limit of the campaign, or None."""
    limit, customer_key = offer.campaign.limits.uses_per_customer, request.customer_key
    if limit is None or customer_key is None:
        return None
    own = 1 if offer.lock is not None and offer.lock.customer_key == customer_key else 0
    if own and offer.promised:
        return None
    campaign_id = offer.campaign.campaign_id
    meter = request.state.meters.get((campaign_id, customer_key), NO_METER)
    taken = meter.used + meter.held - own + totals.customer.get(campaign_id, 0)
    if taken >= limit and (meter.held or request.given_up):
        taken -= freed_uses(request, campaign_id, customer=True)
    if taken < limit:
        return None
    message = f"This customer already has the {_uses(limit)} that campaign {campaign_id!r} allows."
    details = {"limit": str(limit), "used": str(meter.used), "held": str(meter.held)}
    return refuse(Reason.CUSTOMER_LIMIT, message, offer.code, offer.coupon, details)


def customer_caps(request: Request, offer: ResolvedOffer, totals: RunningTotals) -> RefusedCoupon | None:
    """Return the refusal of the first cap without room for this customer, or None."""
    for cap in offer.campaign.limits.caps:
        if cap.each == "customer" and cap.uses is not None:
            refused = customer_cap(request, offer, totals, cap, cap.uses)
            if refused is not None:
                return refused
    return None


def customer_cap(
    request: Request, offer: ResolvedOffer, totals: RunningTotals, cap: Cap, limit: int
) -> RefusedCoupon | None:
    """Return the refusal if this cap has no room for the customer. Their own holds are counted already."""
    customer_key, campaign = request.customer_key, offer.campaign
    if customer_key is None or (offer.lock is not None and offer.lock.customer_key == customer_key):
        return None
    at = counts_at(request, offer)
    key = period_key(campaign, cap, customer_key, offer.coupon.coupon_id, at)
    meter = request.state.period_meters.get(key, NO_METER)
    taken = meter.used + meter.held + totals.periods.get(key, 0)
    if taken >= limit and (meter.held or request.given_up):
        taken -= freed_uses(request, campaign.campaign_id, customer=True, within=(offer, cap, key[2]))
    if taken < limit:
        return None
    reached = FullCap(cap, limit, meter.used, key[2], again_at(campaign, cap, at))
    message = f"This customer already has the {reached.describe('use')} that campaign {key[0]!r} allows."
    details = reached.details("used") | {"held": str(meter.held)}
    return refuse(Reason.CUSTOMER_LIMIT, message, offer.code, offer.coupon, details)


def campaign_limit(request: Request, offer: ResolvedOffer, totals: RunningTotals, limit: int) -> Room:
    """Check `uses_total` of the campaign."""
    campaign_id = offer.campaign.campaign_id
    meter = request.state.meters.get((campaign_id, None), NO_METER)
    used = meter.used + totals.uses.get(campaign_id, 0)
    if used >= limit and used - given_up_uses(request, offer) >= limit:
        message = f"Campaign {campaign_id!r} has used all of its {_uses(limit)}."
        details = {"limit": str(limit), "used": str(meter.used)}
        return refuse(Reason.CAMPAIGN_EXHAUSTED, message, offer.code, offer.coupon, details), False
    own = 0 if offer.lock is None else 1
    taken = meter.used + meter.held - own + totals.campaign.get(campaign_id, 0)
    if taken >= limit and (meter.held or request.given_up):
        taken -= freed_uses(request, campaign_id, customer=False)
    return None, taken >= limit


def campaign_caps(request: Request, offer: ResolvedOffer, totals: RunningTotals) -> Room:
    """Check the campaign's caps for a use without an own hold. A used-up cap is reported before a held one."""
    held_out = False
    for cap in offer.campaign.limits.caps:
        if cap.each == "campaign" and cap.uses is not None:
            refused, by_cap = campaign_cap(request, offer, totals, cap, cap.uses)
            if refused is not None:
                return refused, False
            held_out = held_out or by_cap
    return None, held_out


def campaign_cap(request: Request, offer: ResolvedOffer, totals: RunningTotals, cap: Cap, limit: int) -> Room:
    """Check one cap of the campaign."""
    campaign = offer.campaign
    key = period_key(campaign, cap, None, offer.coupon.coupon_id, request.at)
    meter = request.state.period_meters.get(key, NO_METER)
    used = meter.used + totals.periods.get(key, 0)
    if used >= limit and used - given_up_uses(request, offer, (cap, key[2])) >= limit:
        reached = FullCap(cap, limit, meter.used, key[2], again_at(campaign, cap, request.at))
        message = f"Campaign {key[0]!r} has used all of its {reached.describe('use')}."
        return refuse(Reason.CAMPAIGN_EXHAUSTED, message, offer.code, offer.coupon, reached.details("used")), False
    if used + meter.held < limit:
        return None, False
    freed = freed_uses(request, campaign.campaign_id, customer=False, within=(offer, cap, key[2]))
    return None, used + meter.held - freed >= limit


def _uses(number: int) -> str:
    return "1 use" if number == 1 else f"{number} uses"


def _times(number: int) -> str:
    return "once" if number == 1 else f"{number} times"
