"""Whether a coupon is good for a request, apart from limits: status, windows, holder, currency, minimum, products.

The checks stand in the order of `Reason`; the first that fails is the one reported.
"""

from shared.domain.asking import Offer, Request
from shared.domain.campaign import Campaign, Scope
from shared.domain.coupon import Coupon
from shared.domain.discount import reckon
from shared.domain.money import shown
from shared.domain.order import Line, Order
from shared.domain.reasons import Reason
from shared.domain.state import LockedUse, LockState
from shared.domain.verdicts import RefusedCoupon


def refuse(
    reason: Reason, message: str, code: str | None, coupon: Coupon | None = None, details: dict[str, str] | None = None
) -> RefusedCoupon:
    """A refusal that names the coupon, where there is one."""
    if coupon is None:
        return RefusedCoupon(reason, message, code, details=details or {})
    return RefusedCoupon(reason, message, code, coupon.coupon_id, coupon.campaign_id, details or {})


def judge(  # noqa: PLR0911 - a check a line
    request: Request, code: str, coupon: Coupon | None
) -> Offer | RefusedCoupon:
    """The coupon as an offer to this request, or why it is none. Limits are judged afterwards, along the way."""
    if coupon is None or coupon.status == "pooled":
        return refuse(Reason.NOT_FOUND, f"There is no coupon {code.strip()!r}.", code)
    campaign = request.state.campaigns.get(coupon.campaign_id)
    if campaign is None:
        return refuse(Reason.NOT_FOUND, f"The campaign of coupon {coupon.code!r} does not exist.", code, coupon)
    if coupon.status == "voided":
        return _voided(code, coupon)
    if campaign.status != "active":
        return refuse(
            Reason.CAMPAIGN_INACTIVE, f"Campaign {campaign.campaign_id!r} is {campaign.status}.", code, coupon,
            {"status": campaign.status},
        )  # fmt: skip
    refused = _outside_window(request, code, coupon, campaign) or _not_theirs(request, code, coupon, campaign)
    if refused is not None:
        return refused
    if request.closed_at is not None:
        return closed(request, code, coupon)
    return _against_order(request, Offer(code, coupon, campaign))


def judge_locked(  # noqa: PLR0911 - a check a line
    request: Request, lock: LockState, locked: LockedUse, over: bool
) -> Offer | RefusedCoupon:
    """One coupon of a lock that the request names, judged for what depends on the order; the lock promised the rest.

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
    if lock.customer_key is not None and request.person is not None and lock.customer_key != request.person:
        message = f"Lock {lock.lock_reference!r} belongs to another customer."
        return refuse(Reason.WRONG_CUSTOMER, message, code, coupon)
    if lock.order_id is not None and lock.order_id != request.order_id:
        message = f"Lock {lock.lock_reference!r} is for order {lock.order_id!r}, not for {request.order_id!r}."
        return refuse(Reason.ORDER_MISMATCH, message, code, coupon, {"order_id": lock.order_id})
    if request.closed_at is not None:
        return closed(request, code, coupon)
    judged = _against_order(request, Offer(code, coupon, campaign, lock=lock, locked=locked, promised=True))
    if over and isinstance(judged, Offer):
        until = lock.expires_at.isoformat()
        message = f"Lock {lock.lock_reference!r} expired at {until}."
        return refuse(Reason.LOCK_EXPIRED, message, code, coupon, {"expired_at": until})
    return judged


def judge_recurring(request: Request, code: str, coupon: Coupon, campaign: Campaign) -> Offer | RefusedCoupon:
    """A coupon that goes on with the order's subscription, judged for what depends on the order.

    Its first use promised the rest, as a lock does: who may use it, when, and how often.
    """
    if coupon.status == "voided":
        return _voided(code, coupon)
    if request.closed_at is not None:
        return closed(request, code, coupon)
    return _against_order(request, Offer(code, coupon, campaign, recurring=True))


def closed(request: Request, code: str, coupon: Coupon | None) -> RefusedCoupon:
    """The order was cancelled or returned, and this request does not place it anew."""
    at = "" if request.closed_at is None else request.closed_at.isoformat()
    message = f"Order {request.order_id!r} was {request.closed_as} at {at}."
    return refuse(Reason.ORDER_MISMATCH, message, code, coupon, {f"{request.closed_as}_at": at})


def eligible_lines(scope: Scope, lines: tuple[Line, ...]) -> tuple[int, ...] | None:
    """The indices of the lines that `scope` is good for; None where it is good for the whole order."""
    wanted = scope.product_ids or scope.variant_ids or scope.collection_ids
    if not wanted and not scope.excluded_product_ids:
        return None
    return tuple(
        [
            index
            for index, line in enumerate(lines)
            if line.product_id not in scope.excluded_product_ids
            and (
                not wanted
                or line.product_id in scope.product_ids
                or line.variant_id in scope.variant_ids
                or not scope.collection_ids.isdisjoint(line.collection_ids)
            )
        ]
    )


def _voided(code: str, coupon: Coupon) -> RefusedCoupon:
    return refuse(Reason.VOIDED, f"Coupon {coupon.code!r} was taken out of use.", code, coupon)


def _outside_window(request: Request, code: str, coupon: Coupon, campaign: Campaign) -> RefusedCoupon | None:
    at = request.at
    window = campaign.window
    for start in (window.starts_at, coupon.starts_at):
        if start is not None and at < start:
            message = f"Coupon {coupon.code!r} can be used from {start.isoformat()} on."
            return refuse(Reason.NOT_STARTED, message, code, coupon, {"starts_at": start.isoformat()})
    end = window.ends_at
    if end is None or (coupon.ends_at is not None and coupon.ends_at < end):
        end = coupon.ends_at
    if end is not None and at >= end:
        message = f"Coupon {coupon.code!r} expired at {end.isoformat()}."
        return refuse(Reason.EXPIRED, message, code, coupon, {"ends_at": end.isoformat()})
    return None


def _not_theirs(request: Request, code: str, coupon: Coupon, campaign: Campaign) -> RefusedCoupon | None:
    person = request.person
    bound = campaign.eligibility.holder_only and coupon.holder_key is not None
    if bound and person is not None and person != coupon.holder_key:
        return refuse(Reason.WRONG_CUSTOMER, f"Coupon {coupon.code!r} belongs to another customer.", code, coupon)
    if person is None and (bound or campaign.eligibility.holder_only or campaign.limits.uses_per_customer is not None):
        message = f"Coupon {coupon.code!r} needs a customer; the request names none."
        return refuse(Reason.CUSTOMER_REQUIRED, message, code, coupon)
    return None


def _against_order(request: Request, offer: Offer) -> Offer | RefusedCoupon:
    """Currency, minimum, products; where there is an order, the discount on it untouched."""
    order, basket, campaign = request.order, request.basket, offer.campaign
    if order is None or basket is None:
        return offer
    if campaign.currency is not None and campaign.currency != order.currency:
        message = (
            f"The order is in {order.currency}, coupon {offer.coupon.code!r} is for orders in {campaign.currency}."
        )
        details = {"currency": order.currency, "expected": campaign.currency}
        return refuse(Reason.CURRENCY_MISMATCH, message, offer.code, offer.coupon, details)
    refused = _below_minimum(order, offer)
    if refused is not None:
        return refused
    indices = eligible_lines(campaign.scope, order.lines)
    if indices is None:
        base = sum(basket.amounts) if basket.amounts else basket.left_minor
    elif indices:
        offer.indices = indices
        amounts = basket.amounts
        base = sum([amounts[index] for index in indices])
    else:
        message = f"Coupon {offer.coupon.code!r} is good for none of the order's products."
        return refuse(Reason.NO_ELIGIBLE_PRODUCT, message, offer.code, offer.coupon, {"lines": str(len(order.lines))})
    reckoned = reckon(campaign.discount, min(base, basket.left_minor))
    offer.untouched_minor = min(reckoned, basket.room_for(offer.indices))
    return offer


def _below_minimum(order: Order, offer: Offer) -> RefusedCoupon | None:
    campaign = offer.campaign.eligibility
    minimum, amount = campaign.min_order_minor, order.amount_minor
    if amount > minimum or (amount == minimum and not campaign.min_order_exclusive):
        return None
    if not minimum and not campaign.min_order_exclusive:
        return None
    details = {"minimum": shown(minimum, order.currency), "amount": shown(amount, order.currency)}
    if amount < minimum:
        relation = f"is below the minimum of {details['minimum']} {order.currency}"
    else:
        relation = f"must exceed {details['minimum']} {order.currency}"
    message = f"The order's {details['amount']} {order.currency} {relation}."
    return refuse(Reason.BELOW_MINIMUM, message, offer.code, offer.coupon, details)
