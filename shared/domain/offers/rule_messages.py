"""What the rules report: one sentence and the numbers behind it, whether the rule passes or not."""

from collections.abc import Callable

from shared.domain.model.clock import shown_hours
from shared.domain.model.money import shown
from shared.domain.model.order import Order
from shared.domain.offers.conditions import failing_condition
from shared.domain.offers.offer import ResolvedOffer
from shared.domain.offers.request import Request
from shared.domain.offers.resolve import eligible_lines, eligible_quantity

Message = tuple[str, dict[str, str]]
"""(one sentence, the numbers behind it)"""

Describe = Callable[[Request, ResolvedOffer, bool], Message]
"""(request, offer, whether the rule passes) → the message"""


def order_of(request: Request) -> Order:
    """Return the order of a request that has one."""
    if request.order is None:
        raise AssertionError("rules of an order are only judged with an order")
    return request.order


def describe_status(request: Request, offer: ResolvedOffer, passes: bool) -> Message:
    status = offer.campaign.status
    return f"Campaign {offer.campaign.campaign_id!r} is {status}.", {"status": status}


def describe_start(request: Request, offer: ResolvedOffer, passes: bool) -> Message:
    starts = [one for one in (offer.campaign.window.starts_at, offer.coupon.starts_at) if one is not None]
    if not starts:
        return "It has no start.", {}
    start = max(starts).isoformat()
    return f"Coupon {offer.coupon.code!r} can be used from {start} on.", {"starts_at": start}


def describe_end(request: Request, offer: ResolvedOffer, passes: bool) -> Message:
    ends = [one for one in (offer.campaign.window.ends_at, offer.coupon.ends_at) if one is not None]
    if not ends:
        return "It has no end.", {}
    end = min(ends).isoformat()
    relation = "can be used until" if passes else "expired at"
    return f"Coupon {offer.coupon.code!r} {relation} {end}.", {"ends_at": end}


def describe_hours(request: Request, offer: ResolvedOffer, passes: bool) -> Message:
    window = offer.campaign.window
    local = request.at.astimezone(window.zone)
    hours, at = shown_hours(window), f"{local:%a %H:%M}"
    message = f"Coupon {offer.coupon.code!r} can be used {hours}; it is {at} there."
    return message, {"hours": hours, "local_time": local.isoformat()}


def describe_channel(request: Request, offer: ResolvedOffer, passes: bool) -> Message:
    channels = ", ".join(sorted(offer.campaign.eligibility.channels))
    relation = "and this one is" if passes else "not"
    message = f"Coupon {offer.coupon.code!r} is for orders from {channels}, {relation} from {request.channel}."
    return message, {"channel": request.channel, "expected": channels}


def describe_holder(request: Request, offer: ResolvedOffer, passes: bool) -> Message:
    code, holder = offer.coupon.code, offer.coupon.holder_key
    if holder is None:
        return f"Coupon {code!r} has no holder, so every customer may use it.", {}
    if request.customer_key is None:
        return f"Coupon {code!r} belongs to a customer; the request names none.", {}
    return f"Coupon {code!r} belongs to {'this' if request.customer_key == holder else 'another'} customer.", {}


def describe_customer(request: Request, offer: ResolvedOffer, passes: bool) -> Message:
    names = "the request names none" if request.customer_key is None else "the request names one"
    return f"Coupon {offer.coupon.code!r} needs a customer; {names}.", {}


def describe_segments(words: str, name: str) -> Describe:
    """Return the description of one of the segment rules: `words` say how, `name` is the campaign's field."""

    def describe(request: Request, offer: ResolvedOffer, passes: bool) -> Message:
        asked = ", ".join(sorted(getattr(offer.campaign.eligibility, name)))
        has = ", ".join(sorted(request.segments))
        message = (
            f"Coupon {offer.coupon.code!r} is for customers {words} {asked}; this one is in {has or 'no segment'}."
        )
        return message, {name: asked, "segments": has}

    return describe


def describe_first_order(request: Request, offer: ResolvedOffer, passes: bool) -> Message:
    others = sorted(request.other_orders)
    if not others:
        return "The ledger has no other order of this customer.", {"orders": "0"}
    message = f"Coupon {offer.coupon.code!r} is for a first order; this customer has ordered before, {others[0]!r}."
    return message, {"order_id": others[0]}


def describe_closed_order(request: Request, offer: ResolvedOffer, passes: bool) -> Message:
    if request.closed_at is None:
        return "The order is neither cancelled nor returned.", {}
    at = request.closed_at.isoformat()
    return f"Order {request.order_id!r} was {request.closed_as} at {at}.", {f"{request.closed_as}_at": at}


def describe_validation_code(request: Request, offer: ResolvedOffer, passes: bool) -> Message:
    given = "none was given" if request.command.validation_code is None else "the one that was given is another"
    if passes:
        given = "it was given"
    return f"Coupon {offer.coupon.code!r} needs its validation code; {given}.", {}


def describe_currency(request: Request, offer: ResolvedOffer, passes: bool) -> Message:
    campaign, currency = offer.campaign, order_of(request).currency
    if campaign.currency is None:
        value = campaign.discount.value
        relation = "in the order's currency" if passes else "which is not a valid amount in"
        message = f"Coupon {offer.coupon.code!r} takes {value} off, {relation} {currency}."
        return message, {"currency": currency, "value": value}
    message = f"The order is in {currency}, coupon {offer.coupon.code!r} is for orders in {campaign.currency}."
    return message, {"currency": currency, "expected": campaign.currency}


def describe_minimum(request: Request, offer: ResolvedOffer, passes: bool) -> Message:
    order, minimum = order_of(request), offer.campaign.eligibility.min_order_minor
    details = {"minimum": shown(minimum, order.currency), "amount": shown(order.amount_minor, order.currency)}
    if order.amount_minor < minimum:
        relation = f"is below the minimum of {details['minimum']} {order.currency}"
    elif passes:
        relation = f"reaches the minimum of {details['minimum']} {order.currency}"
    else:
        relation = f"must exceed {details['minimum']} {order.currency}"
    return f"The order's {details['amount']} {order.currency} {relation}.", details


def describe_quantity(request: Request, offer: ResolvedOffer, passes: bool) -> Message:
    minimum = offer.campaign.eligibility.min_quantity
    quantity = eligible_quantity(offer.campaign.scope, order_of(request).lines)
    message = f"Coupon {offer.coupon.code!r} needs {minimum} units that it is good for; the order has {quantity}."
    return message, {"minimum_quantity": str(minimum), "quantity": str(quantity)}


def describe_products(request: Request, offer: ResolvedOffer, passes: bool) -> Message:
    lines = order_of(request).lines
    indices = eligible_lines(offer.campaign.scope, lines)
    eligible = len(lines) if indices is None else len(indices)
    details = {"lines": str(len(lines)), "eligible_lines": str(eligible)}
    what = "something in the order" if passes else "none of the order's products"
    return f"Coupon {offer.coupon.code!r} is good for {what}.", details


def describe_conditions(request: Request, offer: ResolvedOffer, passes: bool) -> Message:
    failing = None if passes else failing_condition(request, offer.coupon, offer.campaign)
    if failing is None:
        names = ", ".join(condition.name for condition in offer.campaign.eligibility.conditions)
        return "Every condition holds.", {"conditions": names}
    message = f"Coupon {offer.coupon.code!r} has the condition {failing.name!r}, and it doesn't hold."
    return message, {"condition": failing.name, "expression": failing.expression}
