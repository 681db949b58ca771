"""Judge a redeemed coupon again on what is left of its order, for campaigns with `on_return: rejudge`."""

from datetime import datetime

from shared.domain.model.clock import END_OF_TIME
from shared.domain.model.commands import RedeemCoupons
from shared.domain.model.order import Order
from shared.domain.model.state import ActiveRedemption, State
from shared.domain.model.verdicts import RefusedCoupon
from shared.domain.offers.basket import basket_of
from shared.domain.offers.price import apply_alone
from shared.domain.offers.request import Request
from shared.domain.offers.resolve import resolve_used
from shared.domain.offers.rules import judge_order


def discount_on(order: Order, redemption: ActiveRedemption, state: State) -> tuple[int, dict[str, int]]:
    """Return the discount of the coupon on `order`, in total and by line id: 0 if a rule of orders refuses it.

    A coupon or campaign that doesn't exist any more keeps its discount.
    """
    coupon, campaign = state.coupons.get(redemption.coupon_id), state.campaigns.get(redemption.campaign_id)
    if coupon is None or campaign is None or redemption.currency not in (None, order.currency):
        return redemption.discount_minor, dict(redemption.lines)
    at: datetime = redemption.counted_at or END_OF_TIME
    command = RedeemCoupons("", order, at=at)
    request = Request(command, state, at, at, redemption.customer_key, order=order, order_id=order.order_id)
    request.basket = basket_of(order)
    judged = judge_order(request, resolve_used(request, coupon.code, coupon, campaign, redemption))
    if isinstance(judged, RefusedCoupon):
        return 0, {}
    applied = apply_alone(request.basket, judged)
    by_line: dict[str, int] = {}
    for line_id, part in applied.shares:
        by_line[line_id] = by_line.get(line_id, 0) + part
    return applied.discount_minor or 0, by_line
