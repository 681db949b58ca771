"""Whether there is room for one more use: the coupon's own limit, the customer's, the campaign's; and who holds what.

What a lock holds counts as gone for everybody but its owner. A lock whose time is over holds nothing here, whatever the
counters still say. (The engine decides an `ExpireLock` for each such lock before anything that touches its coupons or
meters, so that the ledger's own constraints see it too.)
"""

from shared.domain.asking import Along, Offer, Request, holds_now
from shared.domain.coupon import Hold
from shared.domain.eligibility import refuse
from shared.domain.reasons import Reason
from shared.domain.state import LockedUse, LockState, Meter, order_hold
from shared.domain.verdicts import RefusedCoupon

_NO_METER = Meter()


def find_source(request: Request, offer: Offer) -> int:
    """How many uses of the offer's coupon others hold; sets the own hold that pays for this use, where there is one.

    Own is what is bound to this order, or to this person and no order. Of several, the one bound to the order comes
    first, then the lowest reference: the same one whatever order they were loaded in.
    """
    coupon = offer.coupon
    others = coupon.held
    best: tuple[bool, str] | None = None
    for hold in coupon.holds:
        lock = request.state.locks.get(hold.lock_reference)
        if lock is None:
            continue  # a hold nobody can account for stays somebody else's
        if not holds_now(lock, request.now) or lock is request.replaced:
            others -= hold.uses
        elif _own(request, hold) and (locked := _share(lock, coupon.coupon_id)) is not None:
            others -= hold.uses
            rank = (hold.order_id is None, hold.lock_reference)
            if offer.promised is False and (best is None or rank < best):
                best = rank
                offer.lock, offer.locked = lock, locked
    return max(others, 0)


def limit_refusal(request: Request, offer: Offer, along: Along) -> RefusedCoupon | None:
    """Why there is no room for this offer after those counted in `along`; None where there is.

    A promised offer (its lock was named) is never refused for a limit, but for one case: the lock was nobody's, and
    the person who burns it has no use left.
    """
    coupon, limits = offer.coupon, offer.campaign.limits
    if offer.promised or offer.recurring:  # what is recurring takes no use
        return None if offer.recurring else _customer_limit(request, offer, along)
    others = find_source(request, offer) if coupon.held else 0
    if coupon.uses_limit is not None and coupon.used >= coupon.uses_limit:
        uses = _times(coupon.uses_limit)
        details = {"limit": str(coupon.uses_limit), "used": str(coupon.used)}
        return refuse(
            Reason.EXHAUSTED, f"Coupon {coupon.code!r} has been used {uses}, its limit.", offer.code, coupon, details
        )
    if limits.uses_per_customer is not None:
        refused = _customer_limit(request, offer, along)
        if refused is not None:
            return refused
    held_out = False
    if limits.uses_total is not None:
        refused, held_out = _campaign_limit(request, offer, along, limits.uses_total)
        if refused is not None:
            return refused
    if held_out or (coupon.uses_limit is not None and others and coupon.used + others >= coupon.uses_limit):
        what = f"Campaign {coupon.campaign_id!r}" if held_out else f"Coupon {coupon.code!r}"
        message = f"{what} has no use left at the moment: other checkouts hold {'the rest' if held_out else others}."
        return refuse(Reason.LOCKED_ELSEWHERE, message, offer.code, coupon, {} if held_out else {"held": str(others)})
    return None


def count(request: Request, offer: Offer, along: Along) -> None:
    """Note in `along` that this offer is taken."""
    if offer.recurring:
        return
    campaign_id = offer.campaign.campaign_id
    along.taken[campaign_id] = along.taken.get(campaign_id, 0) + 1
    if offer.lock is None:
        along.campaign[campaign_id] = along.campaign.get(campaign_id, 0) + 1
    if offer.lock is None or offer.lock.customer_key != request.person:
        along.customer[campaign_id] = along.customer.get(campaign_id, 0) + 1


def _customer_limit(request: Request, offer: Offer, along: Along) -> RefusedCoupon | None:
    limit, person = offer.campaign.limits.uses_per_customer, request.person
    if limit is None or person is None:
        return None
    own = 1 if offer.lock is not None and offer.lock.customer_key == person else 0
    if own and offer.promised:
        return None
    campaign_id = offer.campaign.campaign_id
    meter = request.state.meters.get((campaign_id, person), _NO_METER)
    gone = meter.used + meter.held - own + along.customer.get(campaign_id, 0)
    if gone >= limit and meter.held:
        gone -= _freed(request, campaign_id, customer=True)
    if gone < limit:
        return None
    message = f"This customer already has the {_uses(limit)} that campaign {campaign_id!r} allows."
    details = {"limit": str(limit), "used": str(meter.used), "held": str(meter.held)}
    return refuse(Reason.CUSTOMER_LIMIT, message, offer.code, offer.coupon, details)


def _campaign_limit(request: Request, offer: Offer, along: Along, limit: int) -> tuple[RefusedCoupon | None, bool]:
    """(used up, held up): whether the campaign's uses are gone for good, or only held at the moment."""
    campaign_id = offer.campaign.campaign_id
    meter = request.state.meters.get((campaign_id, None), _NO_METER)
    if meter.used + along.taken.get(campaign_id, 0) >= limit:
        message = f"Campaign {campaign_id!r} has given all of its {_uses(limit)}."
        details = {"limit": str(limit), "used": str(meter.used)}
        return refuse(Reason.CAMPAIGN_EXHAUSTED, message, offer.code, offer.coupon, details), False
    own = 0 if offer.lock is None else 1
    gone = meter.used + meter.held - own + along.campaign.get(campaign_id, 0)
    if gone >= limit and meter.held:
        gone -= _freed(request, campaign_id, customer=False)
    return None, gone >= limit


def _freed(request: Request, campaign_id: str, customer: bool) -> int:
    """Held uses of the campaign (of this customer) that hold nothing: their lock is over, or is being replaced."""
    freed = 0
    for lock in request.state.locks.values():
        if lock.status != "open" or (lock.expires_at > request.now and lock is not request.replaced):
            continue
        if customer and lock.customer_key != request.person:
            continue
        freed += sum(locked.uses for locked in lock.uses if locked.campaign_id == campaign_id)
    return freed


def _own(request: Request, hold: Hold) -> bool:
    if hold.order_id is not None:
        return hold.order_id == request.order_id and hold.lock_reference != order_hold(hold.order_id)
    return hold.customer_key is not None and hold.customer_key == request.person


def _share(lock: LockState, coupon_id: str) -> LockedUse | None:
    for locked in lock.uses:
        if locked.coupon_id == coupon_id:
            return locked
    return None


def _uses(number: int) -> str:
    return "1 use" if number == 1 else f"{number} uses"


def _times(number: int) -> str:
    return "once" if number == 1 else f"{number} times"
