"""Refuse an order under the id of another one: another customer, or other goods after it was closed or paid."""

from shared.domain.model.ids import order_details, order_text
from shared.domain.model.order import is_same_content
from shared.domain.model.order_commands import RedeemCoupons
from shared.domain.model.reasons import Reason
from shared.domain.model.verdicts import RefusedCoupon, Verdict, refuse
from shared.domain.offers.request import distinct_coupons
from shared.domain.offers.stack import sorted_refusals
from shared.domain.orders.classify import is_for_another
from shared.domain.orders.closed import is_closed
from shared.domain.orders.life_cycle import Effect
from shared.domain.orders.placing import Placing


def is_mismatch(command: RedeemCoupons, placing: Placing) -> bool:
    """Return whether the refused request is about another order than the known one.

    A closed order that is placed once more without coupons is not: it has nothing to refuse.
    """
    known = placing.known
    if placing.effect is not Effect.REFUSE or known is None or placing.all_returned:
        return False
    if not is_closed(known):
        return True
    if command.codes or command.lock_reference is not None or known.order is None:
        return False  # each coupon is refused with its own reason
    customer_key = placing.request.state.customers.get(command.command_id)
    return command.changed or is_for_another(known, customer_key) or not is_same_content(known.order, command.order)


def mismatch(command: RedeemCoupons, placing: Placing) -> Verdict:
    """Refuse each coupon of the request, or the request itself if it names none. Nothing changes."""
    request = placing.request
    order_id = command.order.order_id
    message = _message(order_id, command, placing)
    details = order_details(order_id)
    refused = [
        refuse(Reason.ORDER_MISMATCH, message, code, coupon, details)
        for code, coupon in distinct_coupons(command.codes, request.state)
    ]
    requested_count = len(refused) or int(command.lock_reference is not None)
    if not refused:
        refused = [RefusedCoupon(Reason.ORDER_MISMATCH, message, details=details)]
    return Verdict.all_refused(
        command.command_id, request.now, sorted_refusals(refused), requested_count=requested_count,
        currency=command.order.currency, order_id=order_id, lock_reference=command.lock_reference,
        customer_key=request.state.customers.get(command.command_id),
    )  # fmt: skip


def _message(order_id: str, command: RedeemCoupons, placing: Placing) -> str:
    known = placing.known
    customer_key = placing.request.state.customers.get(command.command_id)
    if known is not None and is_for_another(known, customer_key):
        return (
            f"Order {order_text(order_id)} belongs to another customer; give each order an id of its own, or a shop_id."
        )
    if known is not None and is_closed(known):
        return f"Order {order_text(order_id)} was {known.status}; give a new order an id of its own, or a shop_id."
    return (
        f"Order {order_text(order_id)} was paid with other goods; send order.changed to change it, or give a new order "
        "an id of its own."
    )
