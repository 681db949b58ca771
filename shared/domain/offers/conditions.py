"""Build the values that conditions of campaigns read, and find the condition that fails. Variables: docs/rules.md."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from shared.domain.model.campaign import Campaign, Condition
from shared.domain.model.coupon import Coupon
from shared.domain.model.customer import completed
from shared.domain.model.ids import split_order_key
from shared.domain.model.money import format_for_message

if TYPE_CHECKING:
    from shared.domain.offers.request import Request


class Values(dict[str, Any]):
    """The values by variable. `cache` caches what evaluating conditions on them needs; the values never change."""

    __slots__ = ("cache",)

    def __init__(self, values: Mapping[str, Any]) -> None:
        super().__init__(values)
        self.cache: dict[object, Any] = {}


def request_values(request: "Request") -> Values:
    """Return the values of one request: order, customer and time, as plain JSON-like values.

    Of the customer, the values that the request names come first, then those that the ledger knows.
    """
    order = request.order
    known = request.state.known_customers.get(request.customer_key or "", {})
    customer = completed(request.customer, known, request.state.identity)
    values: dict[str, Any] = {
        "at": request.at,
        "customer": {
            "customer_id": customer.customer_id,
            "email": customer.email,
            "mobile": customer.mobile,
            "segments": sorted(request.segments),
        },
    }
    if order is not None:
        shop_id, order_id = split_order_key(order.order_id)
        values["order"] = {
            "order_id": order_id,
            "shop_id": shop_id,
            "currency": order.currency,
            "amount_minor": order.amount_minor,
            "amount": float(format_for_message(order.amount_minor, order.currency)),
            "shipping_minor": order.shipping_minor,
            "quantity": sum(line.quantity for line in order.lines),
            "channel": request.channel,
            "metadata": order.metadata or {},
            "lines": [
                {
                    "line_id": line.line_id,
                    "product_id": line.product_id,
                    "variant_id": line.variant_id,
                    "collection_ids": list(line.collection_ids),
                    "quantity": line.quantity,
                    "unit_minor": line.unit_minor,
                    "metadata": line.metadata or {},
                }
                for line in order.lines
            ],
        }
    return Values(values)


def offer_values(request: "Request", coupon: Coupon, campaign: Campaign) -> Values:
    """Return the request's values and those of one coupon and its campaign."""
    own = {"campaign_id": campaign.campaign_id, "metadata": campaign.metadata}
    return Values(request.values | {"coupon": {"code": coupon.code}, "campaign": own})


def failing_condition(request: "Request", coupon: Coupon, campaign: Campaign) -> Condition | None:
    """Return the campaign's first condition that is not true; None if all are."""
    own: Values | None = None
    for condition in campaign.eligibility.conditions:
        if condition.customer_fields and not request.judges_customer:
            continue
        if condition.of_request:
            is_true = _is_true_for_all(request, condition)
        else:
            own = own or offer_values(request, coupon, campaign)
            is_true = condition.is_true(own)
        if not is_true:
            return condition
    return None


def _is_true_for_all(request: "Request", condition: Condition) -> bool:
    """Evaluate a condition that reads nothing of the coupon: once per request, however many campaigns have it."""
    known = request.values.cache
    is_true: bool | None = known.get(condition.expression)
    if is_true is None:
        is_true = known[condition.expression] = condition.is_true(request.values)
    return is_true
