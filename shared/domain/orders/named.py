"""Judge the coupons that a request to place an order names: by code, and by lock."""

from collections.abc import Iterable

from shared.domain.model.campaign import Campaign
from shared.domain.model.coupon import Coupon, code_key
from shared.domain.model.ids import readable
from shared.domain.model.order_commands import RedeemCoupons
from shared.domain.model.reasons import Reason
from shared.domain.model.state import LockState, OrderState, State, is_holding, order_hold
from shared.domain.model.verdicts import RefusedCoupon
from shared.domain.offers.request import Request, ResolvedOffer, distinct_coupons
from shared.domain.offers.rules import judge, judge_locked, judge_recurring
from shared.domain.offers.takeover import with_takeover
from shared.domain.offers.unread import refused_themselves
from shared.domain.offers.work import Found, of_lock, too_much
from shared.domain.orders.placing import Placing

Judged = tuple[list[ResolvedOffer], list[RefusedCoupon]]
"""The coupons that the request named, each once: offers and refusals."""


def judge_named(command: RedeemCoupons, placing: Placing) -> Judged:
    """Judge the coupons that the request names. All of them are refused if that would take too much work."""
    request, known, hold = placing.request, placing.known, placing.hold
    if known is None and hold is None:
        found = distinct_coupons(command.codes, request.state)
    else:
        has = (*(() if known is None else known.redemptions), *[use.coupon_id for use in (hold.uses if hold else ())])
        found = named_coupons(command, request.state, has)
        found = [one for one in found if one[1] is None or not has_coupon(one[1].coupon_id, known, hold)]
    if command.lock_reference is None:
        refused = too_much(request, found)
        return ([], refused) if refused else _judge_codes(command, request, found)
    refused = too_much(request, [*found, *of_lock(command, request.state, found)])
    return ([], refused) if refused else judge_lock(command, placing, *_judge_codes(command, request, found))


def named_coupons(command: RedeemCoupons, state: State, has: Iterable[str]) -> list[tuple[str, Coupon | None]]:
    """Return the codes that the request names, each once, with their coupons.

    A code means the coupon that the order has under it, even if it was freed and is another campaign's by now.
    """
    own = {code_key(coupon.code): coupon for one in has if (coupon := state.coupons.get(one)) is not None}
    return [(code, own.get(code_key(code), coupon)) for code, coupon in distinct_coupons(command.codes, state)]


def judge_new(
    command: RedeemCoupons, request: Request, code: str, coupon: Coupon | None
) -> ResolvedOffer | RefusedCoupon:
    """Judge a coupon that the order doesn't have yet."""
    if coupon is not None and command.order.subscription_id is not None:
        continued = continued_campaign(command, request.state, coupon)
        if continued is not None:
            return judge_recurring(request, code, coupon, continued)
    judged = judge(request, code, coupon)
    if isinstance(judged, ResolvedOffer) and judged.older is not None:
        return with_takeover(request, judged)
    return judged


def _judge_codes(command: RedeemCoupons, request: Request, found: Found) -> Judged:
    offers: list[ResolvedOffer] = []
    refused = refused_themselves(command) if command.unread else []
    is_usual = command.order.subscription_id is None and not command.takeover
    for code, coupon in found:
        judged = judge(request, code, coupon) if is_usual else judge_new(command, request, code, coupon)
        if isinstance(judged, ResolvedOffer):
            offers.append(judged)
        else:
            refused.append(judged)
    return offers, refused


def continued_campaign(command: RedeemCoupons, state: State, coupon: Coupon) -> Campaign | None:
    """Return the campaign if this later order of a subscription continues an earlier use of the coupon, else None.

    With a number of cycles, orders may arrive in any order: whichever takes the coupon, all others continue.
    """
    campaign, order = state.campaigns.get(coupon.campaign_id), command.order
    if campaign is None or not campaign.recurring or order.subscription_id is None:
        return None
    if order.cycle <= 1 and campaign.recurring_cycles is None:
        return None
    active_uses = state.subscriptions.get((order.subscription_id, coupon.coupon_id), 0)
    return campaign if active_uses > 0 else None


def judge_lock(
    command: RedeemCoupons, placing: Placing, offers: list[ResolvedOffer], refused: list[RefusedCoupon]
) -> Judged:
    """Add the coupons of the lock that the request names to `offers` and `refused`."""
    request, reference = placing.request, command.lock_reference or ""
    hold = order_hold(command.order.order_id)
    if reference in (hold, readable(hold)):
        return offers, refused  # the order has these coupons already
    lock = request.state.locks.get(reference)
    if lock is None or lock.status == "released":
        message = f"There is no lock {reference!r}." if lock is None else f"Lock {reference!r} was released."
        return offers, [*refused, RefusedCoupon(Reason.LOCK_NOT_FOUND, message)]
    if lock.status == "burned":
        ours = lock.order_id is not None and lock.order_id == command.order.order_id
        if ours and not placing.placed_again:
            return offers, refused
        message = f"What lock {reference!r} held has been redeemed already."
        return offers, [*refused, RefusedCoupon(Reason.ALREADY_REDEEMED, message)]
    is_expired = not is_holding(lock, request.now)
    if is_expired and not lock.uses:
        message = f"Lock {reference!r} expired at {lock.expires_at.isoformat()}."
        return offers, [*refused, RefusedCoupon(Reason.LOCK_EXPIRED, message)]
    for locked in lock.uses:
        if has_coupon(locked.coupon_id, placing.known, placing.hold):
            continue
        judged = judge_locked(request, lock, locked, is_expired)
        # A coupon named by its code as well is still one coupon; the judgement by the lock replaces the other.
        offers = [offer for offer in offers if offer.coupon.coupon_id != locked.coupon_id]
        refused = [refusal for refusal in refused if refusal.coupon_id != locked.coupon_id]
        if isinstance(judged, ResolvedOffer):
            offers.append(judged)
        else:
            refused.append(judged)
    return offers, refused


def has_coupon(coupon_id: str, known: OrderState | None, hold: LockState | None) -> bool:
    """Return whether the order has redeemed the coupon, or holds it until payment."""
    if known is not None and coupon_id in known.redemptions:
        return True
    return hold is not None and any(locked.coupon_id == coupon_id for locked in hold.uses)
