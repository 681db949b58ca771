"""Check that the budget of a campaign has room for a discount."""

from shared.domain.model.money import format_for_message
from shared.domain.model.reasons import Reason
from shared.domain.model.state import NO_METER, ActiveRedemption, LockedUse
from shared.domain.model.verdicts import RefusedCoupon, refuse
from shared.domain.offers.freed import freed, given_up
from shared.domain.offers.request import Request, ResolvedOffer
from shared.domain.offers.totals import RunningTotals, held_minor, used_minor

Room = tuple[RefusedCoupon | None, bool]
"""(refusal if the limit is used up, True if only the held uses of others leave no room)"""


def budget_room(
    request: Request, offer: ResolvedOffer, totals: RunningTotals, budget: int, discount_minor: int | None
) -> Room:
    """Check that the budget has room for the part of the discount that the offer's own hold doesn't cover."""
    campaign_id, currency = offer.campaign.campaign_id, offer.campaign.currency
    needed, own = 1 if discount_minor is None else discount_minor, held_minor(offer)
    own_used = used_minor(offer)
    if needed <= own + own_used:
        return None, False
    meter = request.state.meters.get((campaign_id, None), NO_METER)
    spent = meter.used_minor + totals.spent_minor.get(campaign_id, 0) - own_used
    if request.given_up:
        spent -= sum(one.discount_minor for one in given_up(request, campaign_id) if isinstance(one, ActiveRedemption))
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
        makes_way = freed(request, campaign_id, customer=False)
        taken -= sum(locked.discount_minor for locked in makes_way if isinstance(locked, LockedUse))
    return None, taken + needed > budget
