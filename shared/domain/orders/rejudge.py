"""Judge redeemed coupons again on what is left of their order, for campaigns with `on_return: rejudge`.

The rules of orders are judged (currency, minimum, quantity, products, conditions) and the discount is computed again,
each with the campaign as it is now. Who the customer is, when the coupon was used and what it was combined with isn't
judged again.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from shared.domain.model.clock import END_OF_TIME
from shared.domain.model.order import Order
from shared.domain.model.order_commands import RedeemCoupons
from shared.domain.model.state import ActiveRedemption, State
from shared.domain.model.value import value
from shared.domain.offers.basket import Basket, basket_of, scaled
from shared.domain.offers.combine import order_of_application
from shared.domain.offers.price import apply_price, price
from shared.domain.offers.request import Request, ResolvedOffer
from shared.domain.offers.resolve import resolve_used
from shared.domain.offers.rules import judge_order


@value
class LeftOver:
    """What is left of an order. `listed_minor`: the price of its lines and other goods, before some of these goods were
    returned by amount, so that it isn't known which.
    """

    order: Order
    listed_minor: int


def deserved(
    left: LeftOver, redemptions: Iterable[ActiveRedemption], others: Iterable[ActiveRedemption], state: State
) -> list[ActiveRedemption]:
    """Return `redemptions` with the discount that they deserve on what is left: never more than they have.

    `others` are further redemptions of the order, with the discount that they keep; together none takes more off than
    the goods cost. As when they were redeemed, coupons of one request apply one after the other, and coupons of later
    requests apply to the same prices.
    """
    requests: dict[str | None, list[ActiveRedemption]] = {}
    for redemption in redemptions:
        requests.setdefault(redemption.redemption_id, []).append(redemption)
    found: list[ActiveRedemption] = []
    earlier = list(others)
    for together in requests.values():
        applied = _applied_together(left, together, [*earlier, *found], state)
        found += applied
    return found


def _applied_together(
    left: LeftOver, redemptions: Sequence[ActiveRedemption], earlier: Sequence[ActiveRedemption], state: State
) -> list[ActiveRedemption]:
    order, first = left.order, redemptions[0]
    at = first.counted_at or END_OF_TIME
    command = RedeemCoupons("", order, at=at)
    request = Request(command, state, at, at, first.customer_key, order=order, order_id=order.order_id)
    request.judges_customer = False
    basket = request.basket = _basket(left, earlier, state)
    offers: dict[str, ResolvedOffer] = {}
    found: dict[str, ActiveRedemption] = {}
    for redemption in redemptions:
        coupon, campaign = state.coupons.get(redemption.coupon_id), state.campaigns.get(redemption.campaign_id)
        if coupon is None or campaign is None or redemption.currency not in (None, order.currency):
            found[redemption.coupon_id] = redemption  # it can't be judged, so it keeps its discount
            continue
        judged = judge_order(request, resolve_used(request, coupon.code, coupon, campaign, redemption))
        if isinstance(judged, ResolvedOffer):
            offers[redemption.coupon_id] = judged
        found[redemption.coupon_id] = replace(redemption, discount_minor=0, lines=())
    for offer in sorted(offers.values(), key=order_of_application):
        applied = apply_price(basket, offer, *price(basket, offer))
        had = next(one for one in redemptions if one.coupon_id == offer.coupon.coupon_id)
        found[had.coupon_id] = replace(
            had, discount_minor=min(applied.discount_minor or 0, had.discount_minor), lines=applied.shares
        )
    return list(found.values())


def _basket(left: LeftOver, earlier: Sequence[ActiveRedemption], state: State) -> Basket:
    order = left.order
    in_currency = [use for use in earlier if use.currency in (None, order.currency)]
    basket = basket_of(order, in_currency, state.campaigns)
    return basket if order.amount_minor >= left.listed_minor else scaled(basket, order.amount_minor, left.listed_minor)
