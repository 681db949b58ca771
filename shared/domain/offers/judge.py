"""Judge a coupon by the rules, without limits: the first rule that fails is the refusal."""

from shared.domain.model.campaign import Campaign
from shared.domain.model.coupon import Coupon
from shared.domain.model.reasons import Reason
from shared.domain.model.state import LockedUse, LockState
from shared.domain.model.verdicts import RefusedCoupon, refuse
from shared.domain.offers.offer import ResolvedOffer
from shared.domain.offers.request import Request
from shared.domain.offers.resolve import resolve, resolve_locked, resolve_recurring
from shared.domain.offers.rules import Rule, rules_of


def judge(request: Request, code: str, coupon: Coupon | None) -> ResolvedOffer | RefusedCoupon:
    """Return the coupon as an offer with its price on the untouched order, or its refusal. Limits are judged later."""
    if coupon is None or coupon.status == "pooled":
        return refuse(Reason.NOT_FOUND, f"There is no coupon {code.strip()!r}.", code)
    campaign = request.state.campaigns.get(coupon.campaign_id)
    if campaign is None:
        return refuse(Reason.NOT_FOUND, f"The campaign of coupon {coupon.code!r} does not exist.", code, coupon)
    if coupon.status == "voided":
        return _voided(code, coupon)
    offer = resolve(request, code, coupon, campaign)
    for passes, rule in rules_of(campaign, of_order=request.order is not None):
        if not passes(request, offer):
            return refused_by(rule, request, offer)
    return offer


def judge_locked(request: Request, lock: LockState, locked: LockedUse, over: bool) -> ResolvedOffer | RefusedCoupon:
    """Judge a coupon of a lock that the request names by the rules of the order; the lock promised the others.

    `over`: the lock has expired.
    """
    coupon = request.state.coupons.get(locked.coupon_id)
    campaign = request.state.campaigns.get(locked.campaign_id)
    if coupon is None or campaign is None:
        message = f"The coupon that lock {lock.lock_reference!r} held does not exist any more."
        return RefusedCoupon(Reason.NOT_FOUND, message, None, locked.coupon_id, locked.campaign_id)
    code = coupon.code
    if coupon.status == "voided":
        return _voided(code, coupon)
    if lock.customer_key is not None and request.customer_key is not None and lock.customer_key != request.customer_key:
        message = f"Lock {lock.lock_reference!r} belongs to another customer."
        return refuse(Reason.WRONG_CUSTOMER, message, code, coupon)
    if lock.order_id is not None and lock.order_id != request.order_id:
        message = f"Lock {lock.lock_reference!r} is for order {lock.order_id!r}, not for {request.order_id!r}."
        return refuse(Reason.ORDER_MISMATCH, message, code, coupon, {"order_id": lock.order_id})
    judged = judge_order(request, resolve_locked(request, coupon, campaign, lock, locked))
    if over and isinstance(judged, ResolvedOffer):
        until = lock.expires_at.isoformat()
        message = f"Lock {lock.lock_reference!r} expired at {until}."
        return refuse(Reason.LOCK_EXPIRED, message, code, coupon, {"expired_at": until})
    return judged


def judge_order(request: Request, offer: ResolvedOffer) -> ResolvedOffer | RefusedCoupon:
    """Judge an offer that was promised before by what depends on this order: its state, and the rules of orders."""
    for passes, rule in rules_of(offer.campaign, of_order=request.order is not None):
        if (rule.of_order or rule.reason is Reason.ORDER_MISMATCH) and not passes(request, offer):
            return refused_by(rule, request, offer)
    return offer


def judge_recurring(request: Request, code: str, coupon: Coupon, campaign: Campaign) -> ResolvedOffer | RefusedCoupon:
    """Judge a coupon that continues with the order's subscription by what depends on the order.

    Its first use promised the other rules, as a lock does: who may use it, when, and how often.
    """
    if coupon.status == "voided":
        return _voided(code, coupon)
    return judge_order(request, resolve_recurring(request, code, coupon, campaign))


def refused_by(rule: Rule, request: Request, offer: ResolvedOffer) -> RefusedCoupon:
    """Return the refusal of a rule that failed."""
    message, details = rule.describe(request, offer, False)
    return refuse(rule.reason, message, offer.code, offer.coupon, details)


def _voided(code: str, coupon: Coupon) -> RefusedCoupon:
    return refuse(Reason.VOIDED, f"Coupon {coupon.code!r} was taken out of use.", code, coupon)
