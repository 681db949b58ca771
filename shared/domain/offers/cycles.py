"""Cycles: for how many orders of a subscription that cost something a coupon gives its discount.

An order counts while it has redeemed the coupon or holds it until payment. Orders that cost nothing, such as those of a
free trial, count no cycle.
"""

from shared.domain.model.ids import order_text
from shared.domain.model.order import Order
from shared.domain.model.reasons import Reason
from shared.domain.model.state import State
from shared.domain.offers.request import Request, ResolvedOffer


def is_trial(order: Order) -> bool:
    """Return whether the order takes a coupon with cycles for its subscription although it costs nothing."""
    return order.subscription_id is not None and order.is_free


def is_waived(reason: Reason, offer: ResolvedOffer) -> bool:
    """Return whether a rule waits for the orders that cost something: a trial reaches no minimum."""
    return offer.trial and reason is Reason.BELOW_MINIMUM


def has_cycle_left(request: Request, offer: ResolvedOffer) -> bool:
    """Return whether the order may have one of the coupon's cycles. One that it has already stays its own."""
    order, limit = request.order, offer.campaign.recurring_cycles
    if order is None or limit is None or order.subscription_id is None or order.is_free:
        return True
    counted = _counted(request.state, order.subscription_id, offer.coupon.coupon_id)
    return order.order_id in counted or len(counted) < limit


def describe_cycles(request: Request, offer: ResolvedOffer, passes: bool) -> tuple[str, dict[str, str]]:
    """Return the sentence about the cycles of the order's subscription, and its numbers."""
    limit, order = offer.campaign.recurring_cycles or 0, request.order
    details = {"limit": str(limit)}
    if order is None or order.subscription_id is None:
        return "The order is of no subscription.", details
    counted = _counted(request.state, order.subscription_id, offer.coupon.coupon_id)
    name = order_text(order.subscription_id)
    orders = "1 order" if limit == 1 else f"{limit} orders"
    message = f"Coupon {offer.coupon.code!r} is for {orders} of a subscription; {name} has used it for {len(counted)}."
    return message, details | {"used": str(len(counted))}


def _counted(state: State, subscription_id: str, coupon_id: str) -> set[str]:
    """Return the orders of the subscription whose cycles count. The state's own orders say what they cost now."""
    counted = set()
    for order_id, cost_something in state.cycles.get((subscription_id, coupon_id), {}).items():
        known = state.orders.get(order_id)
        if cost_something if known is None or known.order is None else not known.order.is_free:
            counted.add(order_id)
    return counted
