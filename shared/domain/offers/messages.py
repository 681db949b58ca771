"""Describe the results of rules and limits: a sentence and its numbers, whether they pass or not."""

from collections.abc import Callable, Iterator

from shared.domain.model.campaign import Cap
from shared.domain.model.clock import format_hours
from shared.domain.model.ids import order_details, order_text
from shared.domain.model.money import format_for_message
from shared.domain.model.order import Order
from shared.domain.model.state import NO_METER, Meter
from shared.domain.model.value import value
from shared.domain.model.verdicts import RefusedCoupon
from shared.domain.offers.budget import budget_room
from shared.domain.offers.conditions import failing_condition
from shared.domain.offers.exhausted import period_key
from shared.domain.offers.limits import (
    campaign_cap,
    campaign_limit,
    customer_cap,
    customer_limit,
    exhausted_refusal,
    locked_elsewhere,
)
from shared.domain.offers.request import Request, ResolvedOffer
from shared.domain.offers.resolve import eligible_lines, eligible_quantity
from shared.domain.offers.totals import NO_TOTALS

Message = tuple[str, dict[str, str]]
"""(one sentence, its numbers)"""

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
    starts = [start for start in (offer.campaign.window.starts_at, offer.coupon.starts_at) if start is not None]
    if not starts:
        return "It has no start.", {}
    start = max(starts).isoformat()
    return f"Coupon {offer.coupon.code!r} can be used from {start} on.", {"starts_at": start}


def describe_end(request: Request, offer: ResolvedOffer, passes: bool) -> Message:
    ends = [end for end in (offer.campaign.window.ends_at, offer.coupon.ends_at) if end is not None]
    if not ends:
        return "It has no end.", {}
    end = min(ends).isoformat()
    relation = "can be used until" if passes else "expired at"
    return f"Coupon {offer.coupon.code!r} {relation} {end}.", {"ends_at": end}


def describe_hours(request: Request, offer: ResolvedOffer, passes: bool) -> Message:
    window = offer.campaign.window
    local = request.at.astimezone(window.zone)
    hours, at = format_hours(window), f"{local:%a %H:%M}"
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
        required = ", ".join(sorted(getattr(offer.campaign.eligibility, name)))
        has = ", ".join(sorted(request.segments))
        message = (
            f"Coupon {offer.coupon.code!r} is for customers {words} {required}; this one is in {has or 'no segment'}."
        )
        return message, {name: required, "segments": has}

    return describe


def describe_first_order(request: Request, offer: ResolvedOffer, passes: bool) -> Message:
    others = sorted(request.other_orders)
    if not others:
        return "The ledger has no other order of this customer.", {"orders": "0"}
    message = f"Coupon {offer.coupon.code!r} is for a first order; this customer has ordered before, "
    message += f"{order_text(others[0])}."
    return message, order_details(others[0])


def describe_closed_order(request: Request, offer: ResolvedOffer, passes: bool) -> Message:
    if request.closed_at is None:
        return "The order is neither cancelled nor returned.", {}
    at = request.closed_at.isoformat()
    return f"Order {order_text(request.order_id)} was {request.closed_as} at {at}.", {f"{request.closed_as}_at": at}


def describe_validation_code(request: Request, offer: ResolvedOffer, passes: bool) -> Message:
    given = "none was given" if request.command.validation_code is None else "the given one is wrong"
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
    amount = format_for_message(order.amount_minor, order.currency)
    details = {"minimum": format_for_message(minimum, order.currency), "amount": amount}
    if order.amount_minor < minimum:
        relation = f"is below the minimum of {details['minimum']} {order.currency}"
    elif passes:
        relation = f"reaches the minimum of {details['minimum']} {order.currency}"
    else:
        relation = f"must exceed {details['minimum']} {order.currency}"
    return f"The order's {amount} {order.currency} {relation}.", details


def describe_quantity(request: Request, offer: ResolvedOffer, passes: bool) -> Message:
    minimum = offer.campaign.eligibility.min_quantity
    quantity = eligible_quantity(offer.campaign.scope, order_of(request).lines)
    message = f"Coupon {offer.coupon.code!r} needs {minimum} units that it applies to; the order has {quantity}."
    return message, {"minimum_quantity": str(minimum), "quantity": str(quantity)}


def describe_products(request: Request, offer: ResolvedOffer, passes: bool) -> Message:
    lines = order_of(request).lines
    indices = eligible_lines(offer.campaign.scope, lines)
    eligible = len(lines) if indices is None else len(indices)
    details = {"lines": str(len(lines)), "eligible_lines": str(eligible)}
    what = "something in the order" if passes else "none of the order's products"
    return f"Coupon {offer.coupon.code!r} applies to {what}.", details


def describe_conditions(request: Request, offer: ResolvedOffer, passes: bool) -> Message:
    failing = None if passes else failing_condition(request, offer.coupon, offer.campaign)
    if failing is None:
        names = ", ".join(condition.name for condition in offer.campaign.eligibility.conditions)
        return "Every condition holds.", {"conditions": names}
    message = f"Coupon {offer.coupon.code!r} has the condition {failing.name!r}, and it doesn't hold."
    return message, {"condition": failing.name, "expression": failing.expression}


# Limits, each with the numbers that it counts. `explain` reports them; deciding stops at the first without room.


@value
class LimitFinding:
    """The result of one limit. `field` is the campaign's, `saw` the numbers, `refused` is None if there is room.

    `held_out`: only the held uses of other checkouts leave no room.
    """

    field: str
    saw: dict[str, str]
    refused: RefusedCoupon | None = None
    held_out: bool = False


def limits_of(request: Request, offer: ResolvedOffer, discount_minor: int | None) -> Iterator[LimitFinding]:
    """Yield each limit that the campaign has, in the order of reasons, and last the uses held by other checkouts.

    Checks all limits, while `limits.limit_refusal` stops at the first one without room.
    """
    others = 0
    uses_held_out = budget_held_out = False
    if not offer.recurring:  # a later order of a subscription takes no use, only budget
        others = offer.held_by_others
        for limit in (*_of_coupon(offer), *_of_customer(request, offer), *_of_campaign(request, offer)):
            uses_held_out = uses_held_out or limit.held_out
            yield limit
    for limit in _of_budget(request, offer, discount_minor):
        budget_held_out = limit.held_out
        yield limit
    elsewhere = locked_elsewhere(offer, others, uses_held_out, budget_held_out)
    if elsewhere is not None:
        yield LimitFinding("limits", elsewhere.details, elsewhere)


def _of_coupon(offer: ResolvedOffer) -> Iterator[LimitFinding]:
    coupon = offer.coupon
    if coupon.uses_limit is not None:
        counted = {"limit": str(coupon.uses_limit), "used": str(coupon.used), "held": str(coupon.held)}
        is_exhausted = coupon.used >= coupon.uses_limit
        yield LimitFinding(
            "limits.uses_per_coupon", counted, exhausted_refusal(offer, coupon.uses_limit) if is_exhausted else None
        )


def _of_customer(request: Request, offer: ResolvedOffer) -> Iterator[LimitFinding]:
    """Yield the customer's limits. Nothing without a customer, because that is a refusal of its own."""
    limits, customer_key = offer.campaign.limits, request.customer_key
    if customer_key is None:
        return
    if limits.uses_per_customer is not None:
        meter = request.state.meters.get((offer.campaign.campaign_id, customer_key), NO_METER)
        refused = customer_limit(request, offer, NO_TOTALS)
        yield LimitFinding("limits.uses_per_customer", _counted(meter, limits.uses_per_customer), refused)
    for cap in limits.caps:
        if cap.each == "customer" and cap.uses is not None:
            refused = customer_cap(request, offer, NO_TOTALS, cap, cap.uses)
            yield LimitFinding("limits.caps", _capped(request, offer, cap, cap.uses), refused)


def _of_campaign(request: Request, offer: ResolvedOffer) -> Iterator[LimitFinding]:
    limits = offer.campaign.limits
    if limits.uses_total is not None:
        refused, held_out = campaign_limit(request, offer, NO_TOTALS, limits.uses_total)
        meter = request.state.meters.get((offer.campaign.campaign_id, None), NO_METER)
        yield LimitFinding("limits.uses_total", _counted(meter, limits.uses_total), refused, held_out)
    for cap in limits.caps:
        if cap.each == "campaign" and cap.uses is not None:
            # A use of an own hold is counted in the cap already.
            room = campaign_cap(request, offer, NO_TOTALS, cap, cap.uses) if offer.lock is None else (None, False)
            yield LimitFinding("limits.caps", _capped(request, offer, cap, cap.uses), *room)


def _of_budget(request: Request, offer: ResolvedOffer, discount_minor: int | None) -> Iterator[LimitFinding]:
    budget, currency = offer.campaign.limits.spend_total_minor, offer.campaign.currency
    if budget is None:
        return
    refused, held_out = budget_room(request, offer, NO_TOTALS, budget, discount_minor)
    meter = request.state.meters.get((offer.campaign.campaign_id, None), NO_METER)
    saw = {
        "budget": format_for_message(budget, currency),
        "spent": format_for_message(meter.used_minor, currency),
        "held": format_for_message(meter.held_minor, currency),
    }
    if discount_minor is not None:
        saw["discount"] = format_for_message(discount_minor, currency)
    yield LimitFinding("limits.spend_total", saw, refused, held_out)


def _counted(meter: Meter, limit: int) -> dict[str, str]:
    return {"limit": str(limit), "used": str(meter.used), "held": str(meter.held)}


def _capped(request: Request, offer: ResolvedOffer, cap: Cap, limit: int) -> dict[str, str]:
    key = period_key(offer.campaign, cap, request.customer_key, offer.coupon.coupon_id, request.at)
    meter = request.state.period_meters.get(key, NO_METER)
    return {"each": cap.each, "period": key[2], **_counted(meter, limit)}
