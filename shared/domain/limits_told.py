"""The limits of a campaign one by one, with the numbers that they count: for explaining, not for deciding."""

from collections.abc import Iterator

from shared.domain.asking import Along, Offer, Request
from shared.domain.campaign import Cap
from shared.domain.caps import NO_METER, period_key
from shared.domain.limits import (
    budget_room,
    campaign_caps,
    campaign_limit,
    customer_caps,
    customer_limit,
    exhausted,
    find_source,
    locked_elsewhere,
)
from shared.domain.money import shown
from shared.domain.state import Meter
from shared.domain.value import value
from shared.domain.verdicts import RefusedCoupon


@value
class LimitTold:
    """One limit. `field` is the campaign's; `saw` the numbers; `refused` why it leaves no room, None where it does."""

    field: str
    saw: dict[str, str]
    refused: RefusedCoupon | None = None


def limits_of(request: Request, offer: Offer, discount_minor: int | None) -> Iterator[LimitTold]:
    """Each limit that the campaign has, in the order of reasons; at last what only other checkouts hold."""
    limits, state, campaign_id = offer.campaign.limits, request.state, offer.campaign.campaign_id
    along, coupon, held_out, budget_held_out = Along(), offer.coupon, False, False
    others = find_source(request, offer) if coupon.held else 0
    if coupon.uses_limit is not None:
        full = coupon.used >= coupon.uses_limit
        counted = {"limit": str(coupon.uses_limit), "used": str(coupon.used), "held": str(coupon.held)}
        yield LimitTold("limits.uses_per_coupon", counted, exhausted(offer, coupon.uses_limit) if full else None)
    if limits.uses_per_customer is not None:
        meter = state.meters.get((campaign_id, request.person), NO_METER)
        refused = customer_limit(request, offer, along)
        yield LimitTold("limits.uses_per_customer", _counted(meter, limits.uses_per_customer), refused)
    for cap in [cap for cap in limits.caps if cap.uses is not None and cap.each == "customer"]:
        yield LimitTold(*_cap(request, offer, cap), customer_caps(request, offer, along))
    if limits.uses_total is not None:
        refused, held_out = campaign_limit(request, offer, along, limits.uses_total)
        meter = state.meters.get((campaign_id, None), NO_METER)
        yield LimitTold("limits.uses_total", _counted(meter, limits.uses_total), refused)
    for cap in [cap for cap in limits.caps if cap.uses is not None and cap.each == "campaign"]:
        refused, by_cap = campaign_caps(request, offer, along) if offer.lock is None else (None, False)
        held_out = held_out or by_cap
        yield LimitTold(*_cap(request, offer, cap), refused)
    if limits.spend_total_minor is not None:
        refused, budget_held_out = budget_room(request, offer, along, limits.spend_total_minor, discount_minor)
        meter, currency = state.meters.get((campaign_id, None), NO_METER), offer.campaign.currency
        spent = {"spent": shown(meter.used_minor, currency), "held": shown(meter.held_minor, currency)}
        yield LimitTold("limits.spend_total", {"limit": shown(limits.spend_total_minor, currency), **spent}, refused)
    elsewhere = locked_elsewhere(offer, others, held_out, budget_held_out)
    if elsewhere is not None:
        yield LimitTold("limits", elsewhere.details, elsewhere)


def _counted(meter: Meter, limit: int) -> dict[str, str]:
    return {"limit": str(limit), "used": str(meter.used), "held": str(meter.held)}


def _cap(request: Request, offer: Offer, cap: Cap) -> tuple[str, dict[str, str]]:
    key = period_key(offer.campaign, cap, request.person, request.at)
    meter = request.state.period_meters.get(key, NO_METER)
    return "limits.caps", {"each": cap.each, "period": key[2], **_counted(meter, cap.uses or 0)}
