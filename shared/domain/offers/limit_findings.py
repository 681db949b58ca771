"""The limits of a campaign one by one, with the numbers that they count. Used to explain, not to decide."""

from collections.abc import Iterator

from shared.domain.model.campaign import Cap
from shared.domain.model.money import shown
from shared.domain.model.state import Meter
from shared.domain.model.value import value
from shared.domain.model.verdicts import RefusedCoupon
from shared.domain.offers.caps import NO_METER, period_key
from shared.domain.offers.limits import (
    RunningTotals,
    budget_room,
    campaign_cap,
    campaign_limit,
    customer_cap,
    customer_limit,
    exhausted,
    locked_elsewhere,
)
from shared.domain.offers.offer import ResolvedOffer
from shared.domain.offers.request import Request

_ALONE = RunningTotals()  # never changed


@value
class LimitFinding:
    """The result of one limit. `field` is the campaign's, `saw` the numbers, `refused` is None if there is room.

    `held_out`: only uses held by other checkouts are in the way.
    """

    field: str
    saw: dict[str, str]
    refused: RefusedCoupon | None = None
    held_out: bool = False


def limits_of(request: Request, offer: ResolvedOffer, discount_minor: int | None) -> Iterator[LimitFinding]:
    """Yield each limit that the campaign has, in the order of reasons, and last the uses held by other checkouts.

    Checks all limits, while `limits.limit_refusal` stops at the first one without room.
    """
    others = 0
    uses_held_out = budget_held_out = False
    if not offer.recurring:  # a later order of a subscription takes no use, only budget
        others = offer.held_by_others
        for limit in (*_of_coupon(offer), *_of_customer(request, offer), *_of_campaign(request, offer)):
            uses_held_out = uses_held_out or limit.held_out
            yield limit
    for limit in _of_budget(request, offer, discount_minor):
        budget_held_out = limit.held_out
        yield limit
    elsewhere = locked_elsewhere(offer, others, uses_held_out, budget_held_out)
    if elsewhere is not None:
        yield LimitFinding("limits", elsewhere.details, elsewhere)


def _of_coupon(offer: ResolvedOffer) -> Iterator[LimitFinding]:
    coupon = offer.coupon
    if coupon.uses_limit is not None:
        counted = {"limit": str(coupon.uses_limit), "used": str(coupon.used), "held": str(coupon.held)}
        full = coupon.used >= coupon.uses_limit
        yield LimitFinding("limits.uses_per_coupon", counted, exhausted(offer, coupon.uses_limit) if full else None)


def _of_customer(request: Request, offer: ResolvedOffer) -> Iterator[LimitFinding]:
    """Yield the customer's limits. Nothing without a customer, because that is a refusal of its own."""
    limits, customer_key = offer.campaign.limits, request.customer_key
    if customer_key is None:
        return
    if limits.uses_per_customer is not None:
        meter = request.state.meters.get((offer.campaign.campaign_id, customer_key), NO_METER)
        refused = customer_limit(request, offer, _ALONE)
        yield LimitFinding("limits.uses_per_customer", _counted(meter, limits.uses_per_customer), refused)
    for cap in limits.caps:
        if cap.each == "customer" and cap.uses is not None:
            refused = customer_cap(request, offer, _ALONE, cap, cap.uses)
            yield LimitFinding("limits.caps", _capped(request, offer, cap, cap.uses), refused)


def _of_campaign(request: Request, offer: ResolvedOffer) -> Iterator[LimitFinding]:
    limits = offer.campaign.limits
    if limits.uses_total is not None:
        refused, held_out = campaign_limit(request, offer, _ALONE, limits.uses_total)
        meter = request.state.meters.get((offer.campaign.campaign_id, None), NO_METER)
        yield LimitFinding("limits.uses_total", _counted(meter, limits.uses_total), refused, held_out)
    for cap in limits.caps:
        if cap.each == "campaign" and cap.uses is not None:
            # A use of an own hold is counted in the cap already.
            room = campaign_cap(request, offer, _ALONE, cap, cap.uses) if offer.lock is None else (None, False)
            yield LimitFinding("limits.caps", _capped(request, offer, cap, cap.uses), *room)


def _of_budget(request: Request, offer: ResolvedOffer, discount_minor: int | None) -> Iterator[LimitFinding]:
    budget, currency = offer.campaign.limits.spend_total_minor, offer.campaign.currency
    if budget is None:
        return
    refused, held_out = budget_room(request, offer, _ALONE, budget, discount_minor)
    meter = request.state.meters.get((offer.campaign.campaign_id, None), NO_METER)
    saw = {
        "budget": shown(budget, currency),
        "spent": shown(meter.used_minor, currency),
        "held": shown(meter.held_minor, currency),
    }
    if discount_minor is not None:
        saw["discount"] = shown(discount_minor, currency)
    yield LimitFinding("limits.spend_total", saw, refused, held_out)


def _counted(meter: Meter, limit: int) -> dict[str, str]:
    return {"limit": str(limit), "used": str(meter.used), "held": str(meter.held)}


def _capped(request: Request, offer: ResolvedOffer, cap: Cap, limit: int) -> dict[str, str]:
    key = period_key(offer.campaign, cap, request.customer_key, request.at)
    meter = request.state.period_meters.get(key, NO_METER)
    return {"each": cap.each, "period": key[2], **_counted(meter, limit)}
