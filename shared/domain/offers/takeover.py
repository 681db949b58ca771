"""Take over the hold of an older unpaid order: the customer tries again with a new order after a failed payment.

It is only taken over if the coupon has no room otherwise. The older order is judged again if it is paid after all.
"""

from dataclasses import replace

from shared.domain.offers.limits import limit_refusal
from shared.domain.offers.request import Request, ResolvedOffer
from shared.domain.offers.resolve import use_of
from shared.domain.offers.totals import NO_TOTALS


def with_takeover(request: Request, offer: ResolvedOffer) -> ResolvedOffer:
    """Return the offer with the older order's hold as the hold that pays for its use, if it needs it."""
    lock = offer.older
    locked = None if lock is None else use_of(lock, offer.coupon.coupon_id)
    if lock is None or locked is None:
        return offer
    needed = offer.campaign.eligibility.first_order_only and lock.order_id in request.other_orders
    discount_minor = None if request.basket is None else offer.discount_minor
    if not needed and limit_refusal(request, offer, NO_TOTALS, discount_minor) is None:
        return replace(offer, older=None)
    others = max(offer.held_by_others - locked.uses, 0)
    return replace(offer, lock=lock, locked=locked, held_by_others=others)
