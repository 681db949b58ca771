"""Find uses that are still counted but make way: those of expired or replaced locks, and those an order gives up."""

from collections.abc import Iterator

from shared.domain.model.campaign import Cap
from shared.domain.model.state import ActiveRedemption, LockedUse
from shared.domain.offers.periods import PERIODS
from shared.domain.offers.request import Request, ResolvedOffer


def freed_uses(
    request: Request, campaign_id: str, customer: bool, within: tuple[ResolvedOffer, Cap, str] | None = None
) -> int:
    """Return how many counted uses of the campaign (and customer) don't count any more, in total or in one period."""
    uses = freed(request, campaign_id, customer)
    if within is None:
        return sum(locked.uses for locked in uses)
    offer, cap, period = within
    return sum(locked.uses for locked in uses if _period(request, offer, cap, locked) == period)


def given_up_uses(request: Request, offer: ResolvedOffer, within: tuple[Cap, str] | None = None) -> int:
    """Return how many used (not only held) uses of the campaign the order gives up, in total or in one period."""
    used = [one for one in given_up(request, offer.campaign.campaign_id) if isinstance(one, ActiveRedemption)]
    if within is not None:
        cap, period = within
        used = [one for one in used if _period(request, offer, cap, one) == period]
    return sum(one.uses for one in used)


def _period(request: Request, offer: ResolvedOffer, cap: Cap, use: ActiveRedemption | LockedUse) -> str:
    return PERIODS[cap.per].name(use.coupon_id, use.counted_at or request.now, offer.campaign.window.zone)


def given_up(request: Request, campaign_id: str) -> Iterator[ActiveRedemption | LockedUse]:
    """Yield the uses of the campaign that the changed order gives up."""
    yield from (one for one in request.given_up if one.campaign_id == campaign_id)


def freed(request: Request, campaign_id: str, customer: bool) -> Iterator[ActiveRedemption | LockedUse]:
    """Yield the uses of the campaign (and customer) that the order gives up, or that are in locks which have expired or
    are being replaced.
    """
    for one in given_up(request, campaign_id):
        if not customer or not isinstance(one, ActiveRedemption) or one.customer_key == request.customer_key:
            yield one
    for lock in request.state.locks.values():
        if lock.status != "open" or (lock.expires_at > request.now and lock is not request.replaced):
            continue
        if customer and lock.customer_key != request.customer_key:
            continue
        yield from (locked for locked in lock.uses if locked.campaign_id == campaign_id)
