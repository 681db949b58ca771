"""What a campaign may ask of a request, but for limits: one rule a field, in the order of `Reason`.

A rule says which campaigns ask for it, whether it holds, and what it saw. Judging (`eligibility`) takes the first that
doesn't hold; explaining (`explaining`) tells all of them. Rules of the order are judged again when a lock is burned;
the others the lock has promised.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from shared.domain.model.campaign import Campaign, Condition
from shared.domain.model.clock import is_open, shown_hours
from shared.domain.model.coupon import Coupon
from shared.domain.model.money import shown
from shared.domain.model.order import Order
from shared.domain.model.reasons import Reason
from shared.domain.offers.condition_values import Values
from shared.domain.offers.price import aim, aims, amount_in, eligible_lines
from shared.domain.offers.request import Offer, Request

Holds = Callable[[Request, Offer], bool]
Told = tuple[str, dict[str, str]]
"""(what there is to say, whether the rule holds or not; the numbers behind it)"""


@dataclass(frozen=True, slots=True)
class Rule:
    """One thing that a campaign may ask for. `of_order`: it can only be judged with an order, and each order anew."""

    field: str
    reason: Reason
    asked: Callable[[Campaign], bool]
    holds: Holds
    tell: Callable[[Request, Offer], Told]
    of_order: bool = False


def rules_of(campaign: Campaign, *, of_order: bool = True) -> tuple[tuple[Holds, Rule], ...]:
    """The rules that this campaign asks for, with or without those of an order; found once."""
    found: tuple[tuple[Holds, Rule], ...] | None = campaign.memo.get(of_order)
    if found is None:
        asked = [rule for rule in RULES if rule.asked(campaign) and (of_order or not rule.of_order)]
        found = campaign.memo[of_order] = tuple([(rule.holds, rule) for rule in asked])
    return found


# Status and windows


def _tell_status(request: Request, offer: Offer) -> Told:
    status = offer.campaign.status
    return f"Campaign {offer.campaign.campaign_id!r} is {status}.", {"status": status}


def _has_started(request: Request, offer: Offer) -> bool:
    campaign_start, start = offer.campaign.window.starts_at, offer.coupon.starts_at
    return (campaign_start is None or request.at >= campaign_start) and (start is None or request.at >= start)


def _tell_start(request: Request, offer: Offer) -> Told:
    starts = [one for one in (offer.campaign.window.starts_at, offer.coupon.starts_at) if one is not None]
    if not starts:
        return "It has no beginning.", {}
    start = max(starts).isoformat()
    return f"Coupon {offer.coupon.code!r} can be used from {start} on.", {"starts_at": start}


def _is_not_over(request: Request, offer: Offer) -> bool:
    campaign_end, end = offer.campaign.window.ends_at, offer.coupon.ends_at
    return (campaign_end is None or request.at < campaign_end) and (end is None or request.at < end)


def _tell_end(request: Request, offer: Offer) -> Told:
    ends = [one for one in (offer.campaign.window.ends_at, offer.coupon.ends_at) if one is not None]
    if not ends:
        return "It has no end.", {}
    end = min(ends).isoformat()
    over = "can be used until" if _is_not_over(request, offer) else "expired at"
    return f"Coupon {offer.coupon.code!r} {over} {end}.", {"ends_at": end}


def _is_open(request: Request, offer: Offer) -> bool:
    return is_open(offer.campaign.window, request.at)


def _tell_hours(request: Request, offer: Offer) -> Told:
    window = offer.campaign.window
    local = request.at.astimezone(window.zone)
    hours, at = shown_hours(window), f"{local:%a %H:%M}"
    message = f"Coupon {offer.coupon.code!r} can be used {hours}; it is {at} there."
    return message, {"hours": hours, "local_time": local.isoformat()}


# Where and who


def _is_on_channel(request: Request, offer: Offer) -> bool:
    return request.channel in offer.campaign.eligibility.channels


def _tell_channel(request: Request, offer: Offer) -> Told:
    channels = ", ".join(sorted(offer.campaign.eligibility.channels))
    relation = "and this one is" if _is_on_channel(request, offer) else "not"
    message = f"Coupon {offer.coupon.code!r} is for orders from {channels}, {relation} from {request.channel}."
    return message, {"channel": request.channel, "expected": channels}


def _is_theirs(request: Request, offer: Offer) -> bool:
    holder = offer.coupon.holder_key
    return holder is None or request.customer_key is None or request.customer_key == holder


def _tell_theirs(request: Request, offer: Offer) -> Told:
    code, holder = offer.coupon.code, offer.coupon.holder_key
    if holder is None:
        return f"Coupon {code!r} was issued to nobody, so anybody may use it.", {}
    if request.customer_key is None:
        return f"Coupon {code!r} belongs to a customer; the request names none.", {}
    return f"Coupon {code!r} belongs to {'this' if request.customer_key == holder else 'another'} customer.", {}


def _needs_customer(campaign: Campaign) -> bool:
    eligibility = campaign.eligibility
    return bool(
        eligibility.holder_only or eligibility.first_order_only or eligibility.segments_any or eligibility.segments_all
        or campaign.limits.uses_need_customer
    )  # fmt: skip


def _tell_customer(request: Request, offer: Offer) -> Told:
    names = "the request names none" if request.customer_key is None else "the request names one"
    return f"Coupon {offer.coupon.code!r} needs a customer; {names}.", {}


def _is_in_any(request: Request, offer: Offer) -> bool:
    return not offer.campaign.eligibility.segments_any.isdisjoint(request.segments)


def _is_in_all(request: Request, offer: Offer) -> bool:
    return offer.campaign.eligibility.segments_all <= request.segments


def _is_in_none(request: Request, offer: Offer) -> bool:
    return offer.campaign.eligibility.segments_none.isdisjoint(request.segments)


def _tell_segments(words: str, name: str) -> Callable[[Request, Offer], Told]:
    def tell(request: Request, offer: Offer) -> Told:
        asked = ", ".join(sorted(getattr(offer.campaign.eligibility, name)))
        has = ", ".join(sorted(request.segments))
        message = (
            f"Coupon {offer.coupon.code!r} is for customers {words} {asked}; this one is in {has or 'no segment'}."
        )
        return message, {name: asked, "segments": has}

    return tell


def _is_first(request: Request, offer: Offer) -> bool:
    return not request.other_orders


def _tell_first(request: Request, offer: Offer) -> Told:
    others = sorted(request.other_orders)
    if not others:
        return "The ledger has seen no other order of this customer.", {"orders": "0"}
    message = f"Coupon {offer.coupon.code!r} is for a first order; this customer has ordered before, {others[0]!r}."
    return message, {"order_id": others[0]}


# The order


def _is_open_order(request: Request, offer: Offer) -> bool:
    return request.closed_at is None


def _tell_closed(request: Request, offer: Offer) -> Told:
    if request.closed_at is None:
        return "The order is neither cancelled nor returned.", {}
    at = request.closed_at.isoformat()
    return f"Order {request.order_id!r} was {request.closed_as} at {at}.", {f"{request.closed_as}_at": at}


def _is_validated(request: Request, offer: Offer) -> bool:
    return request.command.validation_code == offer.campaign.validation_code


def _tell_validation(request: Request, offer: Offer) -> Told:
    given = "none was given" if request.command.validation_code is None else "the one that was given is another"
    if _is_validated(request, offer):
        given = "it was given"
    return f"Coupon {offer.coupon.code!r} needs its validation code; {given}.", {}


def _order(request: Request) -> Order:
    if request.order is None:
        raise AssertionError("rules of an order are judged where there is one")
    return request.order


def _asks_currency(campaign: Campaign) -> bool:
    return campaign.currency is not None or campaign.discount.amount_minor is None


def _is_in_currency(request: Request, offer: Offer) -> bool:
    campaign, currency = offer.campaign, _order(request).currency
    if campaign.currency is not None:
        return campaign.currency == currency
    return amount_in(campaign.discount.value, currency) is not None


def _tell_currency(request: Request, offer: Offer) -> Told:
    campaign, currency = offer.campaign, _order(request).currency
    if campaign.currency is None:
        value = campaign.discount.value
        relation = "in the order's currency" if _is_in_currency(request, offer) else "which is no amount in"
        message = f"Coupon {offer.coupon.code!r} takes {value} off, {relation} {currency}."
        return message, {"currency": currency, "value": value}
    message = f"The order is in {currency}, coupon {offer.coupon.code!r} is for orders in {campaign.currency}."
    return message, {"currency": currency, "expected": campaign.currency}


def _asks_minimum(campaign: Campaign) -> bool:
    return bool(campaign.eligibility.min_order_minor or campaign.eligibility.min_order_exclusive)


def _reaches_minimum(request: Request, offer: Offer) -> bool:
    asked, amount = offer.campaign.eligibility, _order(request).amount_minor
    return amount > asked.min_order_minor or (amount == asked.min_order_minor and not asked.min_order_exclusive)


def _tell_minimum(request: Request, offer: Offer) -> Told:
    order, minimum = _order(request), offer.campaign.eligibility.min_order_minor
    details = {"minimum": shown(minimum, order.currency), "amount": shown(order.amount_minor, order.currency)}
    if order.amount_minor < minimum:
        relation = f"is below the minimum of {details['minimum']} {order.currency}"
    elif order.amount_minor == minimum and offer.campaign.eligibility.min_order_exclusive:
        relation = f"must exceed {details['minimum']} {order.currency}"
    else:
        relation = f"reaches the minimum of {details['minimum']} {order.currency}"
    return f"The order's {details['amount']} {order.currency} {relation}.", details


def _quantity(request: Request, offer: Offer) -> int:
    lines = _order(request).lines
    indices = eligible_lines(offer.campaign.scope, lines)
    return sum(line.quantity for line in lines) if indices is None else sum(lines[index].quantity for index in indices)


def _reaches_quantity(request: Request, offer: Offer) -> bool:
    return _quantity(request, offer) >= offer.campaign.eligibility.min_quantity


def _tell_quantity(request: Request, offer: Offer) -> Told:
    minimum, quantity = offer.campaign.eligibility.min_quantity, _quantity(request, offer)
    message = f"Coupon {offer.coupon.code!r} needs {minimum} units that it is good for; the order has {quantity}."
    return message, {"minimum_quantity": str(minimum), "quantity": str(quantity)}


def _has_products(request: Request, offer: Offer) -> bool:
    return aim(offer, _order(request))


def _tell_products(request: Request, offer: Offer) -> Told:
    lines = _order(request).lines
    indices = eligible_lines(offer.campaign.scope, lines)
    eligible = len(lines) if indices is None else len(indices)
    details = {"lines": str(len(lines)), "eligible_lines": str(eligible)}
    what = "something in the order" if _has_products(request, offer) else "none of the order's products"
    return f"Coupon {offer.coupon.code!r} is good for {what}.", details


def _failing(request: Request, offer: Offer) -> Condition | None:
    own: Values | None = None
    for condition in offer.campaign.eligibility.conditions:
        if condition.of_request:
            holds = _holds_for_all(request, condition)
        else:
            own = own or offer_values(request, offer.coupon, offer.campaign)
            holds = condition.holds(own)
        if not holds:
            return condition
    return None


def _holds_for_all(request: Request, condition: Condition) -> bool:
    """Whether a condition holds that looks at no coupon; evaluated once a request, however many campaigns ask."""
    known = request.values.prepared
    holds: bool | None = known.get(condition.expression)
    if holds is None:
        holds = known[condition.expression] = condition.holds(request.values)
    return holds


def offer_values(request: Request, coupon: Coupon, campaign: Campaign) -> Values:
    """The request's values with those of one coupon."""
    return Values(request.values | {"coupon": {"code": coupon.code}, "campaign": _campaign_values(campaign)})


def _campaign_values(campaign: Campaign) -> dict[str, Any]:
    return {"campaign_id": campaign.campaign_id, "metadata": campaign.metadata}


def _conditions_hold(request: Request, offer: Offer) -> bool:
    return _failing(request, offer) is None


def _tell_conditions(request: Request, offer: Offer) -> Told:
    failing = _failing(request, offer)
    if failing is None:
        names = ", ".join(condition.name for condition in offer.campaign.eligibility.conditions)
        return "Every condition holds.", {"conditions": names}
    message = f"Coupon {offer.coupon.code!r} has the condition {failing.name!r}, and it doesn't hold."
    return message, {"condition": failing.name, "expression": failing.expression}


RULES: Final = (
    Rule("status", Reason.CAMPAIGN_INACTIVE, lambda it: it.status != "active", lambda *_: False, _tell_status),
    Rule("window.starts_at", Reason.NOT_STARTED, lambda _: True, _has_started, _tell_start),
    Rule("window.ends_at", Reason.EXPIRED, lambda _: True, _is_not_over, _tell_end),
    Rule("window.hours", Reason.OUTSIDE_HOURS, lambda it: bool(it.window.hours), _is_open, _tell_hours),
    Rule(
        "eligibility.channels", Reason.CHANNEL_MISMATCH, lambda it: bool(it.eligibility.channels), _is_on_channel,
        _tell_channel,
    ),
    Rule(
        "eligibility.holder_only", Reason.WRONG_CUSTOMER, lambda it: it.eligibility.holder_only, _is_theirs,
        _tell_theirs,
    ),
    Rule(
        "customer", Reason.CUSTOMER_REQUIRED, _needs_customer, lambda it, _: it.customer_key is not None,
        _tell_customer,
    ),
    Rule(
        "eligibility.segments_any", Reason.SEGMENT_MISMATCH, lambda it: bool(it.eligibility.segments_any), _is_in_any,
        _tell_segments("in one of", "segments_any"),
    ),
    Rule(
        "eligibility.segments_all", Reason.SEGMENT_MISMATCH, lambda it: bool(it.eligibility.segments_all), _is_in_all,
        _tell_segments("in all of", "segments_all"),
    ),
    Rule(
        "eligibility.segments_none", Reason.SEGMENT_MISMATCH, lambda it: bool(it.eligibility.segments_none),
        _is_in_none, _tell_segments("in none of", "segments_none"),
    ),
    Rule(
        "eligibility.first_order_only", Reason.NOT_FIRST_ORDER, lambda it: it.eligibility.first_order_only, _is_first,
        _tell_first,
    ),
    Rule("order", Reason.ORDER_MISMATCH, lambda _: True, _is_open_order, _tell_closed),
    Rule(
        "validation_code", Reason.VALIDATION_CODE_MISMATCH, lambda it: it.validation_code is not None, _is_validated,
        _tell_validation,
    ),
    Rule("eligibility.currency", Reason.CURRENCY_MISMATCH, _asks_currency, _is_in_currency, _tell_currency, True),
    Rule("eligibility.min_order_amount", Reason.BELOW_MINIMUM, _asks_minimum, _reaches_minimum, _tell_minimum, True),
    Rule(
        "eligibility.min_quantity", Reason.BELOW_MINIMUM, lambda it: it.eligibility.min_quantity > 0,
        _reaches_quantity, _tell_quantity, True,
    ),
    Rule("applies_to", Reason.NO_ELIGIBLE_PRODUCT, aims, _has_products, _tell_products, True),
    Rule(
        "eligibility.conditions", Reason.CONDITION_FAILED, lambda it: bool(it.eligibility.conditions),
        _conditions_hold, _tell_conditions, True,
    ),
)  # fmt: skip
"""In the order of `Reason`; a test holds it there."""
