"""Limits: check for room for one more use of the coupon, its customer, its campaign, its caps and its budget.

Held uses count as used, except for the owner of the lock. An expired lock holds nothing here, even if the meters still
count it. (The engine decides an `ExpireLock` for each expired lock before a command that needs its coupons or meters.)
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

from shared.domain.model.campaign import Cap
from shared.domain.model.clock import period_of
from shared.domain.model.money import format_for_message
from shared.domain.model.reasons import Reason
from shared.domain.model.state import NO_METER, ActiveRedemption, LockedUse, PeriodKey
from shared.domain.model.verdicts import RefusedCoupon, refuse
from shared.domain.offers.exhausted import full_cap, period_key
from shared.domain.offers.request import Request, ResolvedOffer

Room = tuple[RefusedCoupon | None, bool]
"""(refusal if the limit is used up, True if only the held uses of others leave no room)"""


@dataclass(slots=True)
class RunningTotals:
    """The uses and discounts of the coupons chosen so far in this request, by campaign.

    `uses` counts all of them; `campaign` and `customer` count those without an own hold, and `periods` those in each
    period of a cap. `spent_minor` is their discount, `held_minor` the part that was held for it.
    """

    uses: dict[str, int] = field(default_factory=dict)
    campaign: dict[str, int] = field(default_factory=dict)
    customer: dict[str, int] = field(default_factory=dict)
    periods: dict[PeriodKey, int] = field(default_factory=dict)
    spent_minor: dict[str, int] = field(default_factory=dict)
    held_minor: dict[str, int] = field(default_factory=dict)

    def copy(self) -> "RunningTotals":
        """Return an independent copy."""
        return RunningTotals(
            dict(self.uses), dict(self.campaign), dict(self.customer), dict(self.periods), dict(self.spent_minor),
            dict(self.held_minor),
        )  # fmt: skip


NO_TOTALS = RunningTotals()
"""Nothing was chosen before; never changed."""


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


def add_to_totals(
    request: Request, offer: ResolvedOffer, totals: RunningTotals, discount_minor: int | None = None
) -> None:
    """Count this offer in `totals`."""
    campaign_id, limits = offer.campaign.campaign_id, offer.campaign.limits
    if limits.spend_total_minor is not None:
        spent_minor = (discount_minor or 0) - _used_minor(offer)
        totals.spent_minor[campaign_id] = totals.spent_minor.get(campaign_id, 0) + spent_minor
        totals.held_minor[campaign_id] = totals.held_minor.get(campaign_id, 0) + _held_minor(offer)
    if offer.recurring or offer.used is not None:
        return
    totals.uses[campaign_id] = totals.uses.get(campaign_id, 0) + 1
    if offer.lock is None:
        totals.campaign[campaign_id] = totals.campaign.get(campaign_id, 0) + 1
    if offer.lock is None or offer.lock.customer_key != request.customer_key:
        totals.customer[campaign_id] = totals.customer.get(campaign_id, 0) + 1
    for cap in limits.caps:
        held = offer.lock is not None and (cap.each == "campaign" or offer.lock.customer_key == request.customer_key)
        if not held and (cap.each == "campaign" or request.customer_key is not None):
            key = period_key(offer.campaign, cap, request.customer_key, _counts_at(request, offer))
            totals.periods[key] = totals.periods.get(key, 0) + 1


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
        taken -= _freed_uses(request, campaign_id, customer=True)
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
    at = _counts_at(request, offer)
    key = period_key(campaign, cap, customer_key, at)
    meter = request.state.period_meters.get(key, NO_METER)
    taken = meter.used + meter.held + totals.periods.get(key, 0)
    if taken >= limit and (meter.held or request.given_up):
        taken -= _freed_uses(request, campaign.campaign_id, customer=True, within=(offer, cap, key[2]))
    if taken < limit:
        return None
    reached = full_cap(campaign, cap, limit, meter.used, at)
    message = f"This customer already has the {reached.describe('use')} that campaign {key[0]!r} allows."
    details = reached.details("used") | {"held": str(meter.held)}
    return refuse(Reason.CUSTOMER_LIMIT, message, offer.code, offer.coupon, details)


def campaign_limit(request: Request, offer: ResolvedOffer, totals: RunningTotals, limit: int) -> Room:
    """Check `uses_total` of the campaign."""
    campaign_id = offer.campaign.campaign_id
    meter = request.state.meters.get((campaign_id, None), NO_METER)
    used = meter.used + totals.uses.get(campaign_id, 0)
    if used >= limit and used - _given_up_uses(request, offer) >= limit:
        message = f"Campaign {campaign_id!r} has used all of its {_uses(limit)}."
        details = {"limit": str(limit), "used": str(meter.used)}
        return refuse(Reason.CAMPAIGN_EXHAUSTED, message, offer.code, offer.coupon, details), False
    own = 0 if offer.lock is None else 1
    taken = meter.used + meter.held - own + totals.campaign.get(campaign_id, 0)
    if taken >= limit and (meter.held or request.given_up):
        taken -= _freed_uses(request, campaign_id, customer=False)
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
    key = period_key(campaign, cap, None, request.at)
    meter = request.state.period_meters.get(key, NO_METER)
    used = meter.used + totals.periods.get(key, 0)
    if used >= limit and used - _given_up_uses(request, offer, (cap, key[2])) >= limit:
        reached = full_cap(campaign, cap, limit, meter.used, request.at)
        message = f"Campaign {key[0]!r} has used all of its {reached.describe('use')}."
        return refuse(Reason.CAMPAIGN_EXHAUSTED, message, offer.code, offer.coupon, reached.details("used")), False
    if used + meter.held < limit:
        return None, False
    freed = _freed_uses(request, campaign.campaign_id, customer=False, within=(offer, cap, key[2]))
    return None, used + meter.held - freed >= limit


def budget_room(
    request: Request, offer: ResolvedOffer, totals: RunningTotals, budget: int, discount_minor: int | None
) -> Room:
    """Check that the budget has room for the part of the discount that the offer's own hold doesn't cover."""
    campaign_id, currency = offer.campaign.campaign_id, offer.campaign.currency
    needed, own = 1 if discount_minor is None else discount_minor, _held_minor(offer)
    own_used = _used_minor(offer)
    if needed <= own + own_used:
        return None, False
    meter = request.state.meters.get((campaign_id, None), NO_METER)
    spent = meter.used_minor + totals.spent_minor.get(campaign_id, 0) - own_used
    if request.given_up:
        spent -= sum(one.discount_minor for one in _given_up(request, campaign_id) if isinstance(one, ActiveRedemption))
    if spent + needed > budget:
        details = {
            "budget": format_for_message(budget, currency),
            "spent": format_for_message(spent, currency),
            "held": format_for_message(meter.held_minor, currency),
        }
        if discount_minor is None:
            message = f"Campaign {campaign_id!r} has spent all of its budget of {details['budget']} {currency}."
        else:
            details["discount"] = format_for_message(discount_minor, currency)
            message = (
                f"Coupon {offer.coupon.code!r} would take off {details['discount']} {currency}; campaign "
                f"{campaign_id!r} has spent {details['spent']} of its budget of {details['budget']}."
            )
        return refuse(Reason.BUDGET_EXCEEDED, message, offer.code, offer.coupon, details), False
    taken = spent + meter.held_minor - totals.held_minor.get(campaign_id, 0) - own
    if taken + needed > budget and meter.held_minor:
        freed = _freed(request, campaign_id, customer=False)
        taken -= sum(locked.discount_minor for locked in freed if isinstance(locked, LockedUse))
    return None, taken + needed > budget


def _freed_uses(
    request: Request, campaign_id: str, customer: bool, within: tuple[ResolvedOffer, Cap, str] | None = None
) -> int:
    """Return how many counted uses of the campaign (and customer) don't count any more, in total or in one period."""
    freed = _freed(request, campaign_id, customer)
    if within is None:
        return sum(locked.uses for locked in freed)
    offer, cap, period = within
    zone = offer.campaign.window.zone
    return sum(locked.uses for locked in freed if period_of(cap.per, locked.counted_at or request.now, zone) == period)


def _given_up_uses(request: Request, offer: ResolvedOffer, within: tuple[Cap, str] | None = None) -> int:
    """Return how many used (not only held) uses of the campaign the order gives up, in total or in one period."""
    used = [one for one in _given_up(request, offer.campaign.campaign_id) if isinstance(one, ActiveRedemption)]
    if within is not None:
        (cap, period), zone = within, offer.campaign.window.zone
        used = [one for one in used if period_of(cap.per, one.counted_at or request.now, zone) == period]
    return sum(one.uses for one in used)


def _given_up(request: Request, campaign_id: str) -> Iterator[ActiveRedemption | LockedUse]:
    """Yield the uses of the campaign that the changed order gives up."""
    yield from (one for one in request.given_up if one.campaign_id == campaign_id)


def _freed(request: Request, campaign_id: str, customer: bool) -> Iterator[ActiveRedemption | LockedUse]:
    """Yield the uses of the campaign (and customer) that the order gives up, or that are in locks which have expired or
    are being replaced.
    """
    for one in _given_up(request, campaign_id):
        if not customer or not isinstance(one, ActiveRedemption) or one.customer_key == request.customer_key:
            yield one
    for lock in request.state.locks.values():
        if lock.status != "open" or (lock.expires_at > request.now and lock is not request.replaced):
            continue
        if customer and lock.customer_key != request.customer_key:
            continue
        yield from (locked for locked in lock.uses if locked.campaign_id == campaign_id)


def _counts_at(request: Request, offer: ResolvedOffer) -> datetime:
    """Return when the use counts: when it was held, or at the request's time."""
    return request.at if offer.locked is None else offer.locked.counted_at or request.at


def _held_minor(offer: ResolvedOffer) -> int:
    """Return the discount that the offer's own hold covers."""
    return 0 if offer.locked is None else offer.locked.one_use_minor


def _used_minor(offer: ResolvedOffer) -> int:
    """Return the discount that a coupon has already which the order has redeemed."""
    return 0 if offer.used is None else offer.used.discount_minor


def _uses(number: int) -> str:
    return "1 use" if number == 1 else f"{number} uses"


def _times(number: int) -> str:
    return "once" if number == 1 else f"{number} times"
