"""Whether a coupon is good for a request, apart from limits: the first of `rules` that doesn't hold says why not."""

from shared.domain.model.campaign import Campaign
from shared.domain.model.coupon import Coupon
from shared.domain.model.reasons import Reason
from shared.domain.model.state import LockedUse, LockState
from shared.domain.model.verdicts import RefusedCoupon, refuse
from shared.domain.offers.price import price
from shared.domain.offers.request import Offer, Request
from shared.domain.offers.rules import Rule, rules_of


def judge(request: Request, code: str, coupon: Coupon | None) -> Offer | RefusedCoupon:
    """The coupon as an offer to this request, or why it is none. Limits are judged afterwards, along the way."""
    if coupon is None or coupon.status == "pooled":
        return refuse(Reason.NOT_FOUND, f"There is no coupon {code.strip()!r}.", code)
    campaign = request.state.campaigns.get(coupon.campaign_id)
    if campaign is None:
        return refuse(Reason.NOT_FOUND, f"The campaign of coupon {coupon.code!r} does not exist.", code, coupon)
    if coupon.status == "voided":
        return _voided(code, coupon)
    offer = Offer(code, coupon, campaign)
    for holds, rule in rules_of(campaign, of_order=request.order is not None):
        if not holds(request, offer):
            return refused_by(rule, request, offer)
    return _priced(request, offer)


def judge_locked(request: Request, lock: LockState, locked: LockedUse, over: bool) -> Offer | RefusedCoupon:
    """One coupon of a lock that the request names, judged by the rules of the order; the lock promised the rest.

    `over`: the lock ran out of time.
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
    judged = judge_order(request, Offer(code, coupon, campaign, lock=lock, locked=locked, promised=True))
    if over and isinstance(judged, Offer):
        until = lock.expires_at.isoformat()
        message = f"Lock {lock.lock_reference!r} expired at {until}."
        return refuse(Reason.LOCK_EXPIRED, message, code, coupon, {"expired_at": until})
    return judged


def judge_order(request: Request, offer: Offer) -> Offer | RefusedCoupon:
    """An offer that was promised before, judged by what depends on this order: its state, and the rules of orders."""
    for holds, rule in rules_of(offer.campaign, of_order=request.order is not None):
        if (rule.of_order or rule.reason is Reason.ORDER_MISMATCH) and not holds(request, offer):
            return refused_by(rule, request, offer)
    return _priced(request, offer)


def judge_recurring(request: Request, code: str, coupon: Coupon, campaign: Campaign) -> Offer | RefusedCoupon:
    """A coupon that goes on with the order's subscription, judged for what depends on the order.

    Its first use promised the rest, as a lock does: who may use it, when, and how often.
    """
    if coupon.status == "voided":
        return _voided(code, coupon)
    return judge_order(request, Offer(code, coupon, campaign, recurring=True))


def refused_by(rule: Rule, request: Request, offer: Offer) -> RefusedCoupon:
    """The refusal that a rule gives which doesn't hold."""
    message, details = rule.tell(request, offer)
    return refuse(rule.reason, message, offer.code, offer.coupon, details)


def _voided(code: str, coupon: Coupon) -> RefusedCoupon:
    return refuse(Reason.VOIDED, f"Coupon {coupon.code!r} was taken out of use.", code, coupon)


def _priced(request: Request, offer: Offer) -> Offer:
    """With its discount on the untouched order, where there is one."""
    if request.basket is not None:
        offer.untouched_minor, offer.weights = price(request.basket, offer)
    return offer
