"""Classify commands as events of the life cycle, by what is known of their order."""

from datetime import datetime
from typing import Literal

from shared.domain.model.coupon import code_key
from shared.domain.model.customer import CustomerKey
from shared.domain.model.order import is_same_content
from shared.domain.model.order_commands import RedeemCoupons
from shared.domain.model.state import OrderState
from shared.domain.orders.closed import is_closed, is_placed_again, last_closed_at
from shared.domain.orders.life_cycle import OrderEvent


def placing_event(  # noqa: PLR0911 - one per event
    command: RedeemCoupons,
    known: OrderState | None,
    customer_key: CustomerKey | None,
    now: datetime,
    *,
    names_new_lock: bool = False,
) -> OrderEvent:
    """Return the event of a request to place or change an order, for the customer `customer_key`.

    A guest's order that names its customer is a new version. `names_new_lock`: it names a lock that it hasn't burned.
    """
    first = OrderEvent.CHANGED if command.changed else OrderEvent.PLACED
    if known is None:
        return first
    at = command.order.placed_at or command.at or now
    if is_closed(known):
        return OrderEvent.PLACED_AGAIN if is_placed_again(known, command, at) else first
    if known.order is None or not command.priced:
        return first
    same_order, last_at = is_same_content(known.order, command.order), last_version_at(known)
    if not command.complete:  # several customers may add coupons to one order
        return OrderEvent.PLACED if same_order else OrderEvent.PLACED_OTHER
    if is_for_another(known, customer_key):
        return OrderEvent.PLACED_FOR_ANOTHER
    is_claimed = known.customer_key is None and customer_key is not None and (command.changed or known.status != "paid")
    if same_order and not names_new_lock and not is_claimed and _names_the_same(known, command):
        return OrderEvent.PLACED_SAME if last_at is None or at <= last_at else OrderEvent.PLACED_LATER
    if last_at is not None and at < last_at:
        return OrderEvent.PLACED_OLDER
    return OrderEvent.CHANGED if command.changed else OrderEvent.PLACED_OTHER


def last_version_at(known: OrderState) -> datetime | None:
    """Return when the order was last placed or changed, by the events' own times; None if no event has said it."""
    times = [time for time in (known.placed_at, known.changed_at) if time is not None]
    return max(times, default=None)


def is_for_another(known: OrderState, customer_key: CustomerKey | None) -> bool:
    """Return whether the known order and a request name different customers."""
    return None not in (known.customer_key, customer_key) and known.customer_key != customer_key


def _names_the_same(known: OrderState, command: RedeemCoupons) -> bool:
    """Return whether the request names the codes that the order named before."""
    if known.codes is None:  # recorded by a version that didn't keep the codes
        return False
    return set(map(code_key, known.codes)) == set(map(code_key, command.codes))


def paying_event(known: OrderState | None, at: datetime) -> OrderEvent:
    """Return the event for a payment. One until the last cancellation or return belongs to the closed order."""
    closed_at = None if known is None else last_closed_at(known)
    return OrderEvent.PAID_EARLIER if closed_at is not None and at <= closed_at else OrderEvent.PAID


def failing_event(known: OrderState | None, at: datetime) -> OrderEvent:
    """Return the event for a failed payment. A change or another placing after it starts a new payment."""
    if known is None:
        return OrderEvent.FAILED
    earlier = _is_earlier(known, at) or (known.changed_at is not None and at < known.changed_at)
    return OrderEvent.FAILED_EARLIER if earlier else OrderEvent.FAILED


def closing_event(known: OrderState | None, how: Literal["cancelled", "returned"], at: datetime) -> OrderEvent:
    """Return the event for a cancellation or a whole return.

    One that is dated before the placing belongs to an earlier order only if there was one: clocks differ, and some
    systems keep whole seconds.
    """
    earlier = known is not None and _is_earlier(known, at)
    if how == "cancelled":
        return OrderEvent.CANCELLED_EARLIER if earlier else OrderEvent.CANCELLED
    return OrderEvent.RETURNED_EARLIER if earlier else OrderEvent.RETURNED


def part_event(known: OrderState | None, at: datetime) -> OrderEvent:
    """Return the event for a return in part; never PART_LAST, which depends on the other parts.

    A part at the very time the order was placed again belongs to the closed order, like every part before it.
    """
    if known is None:
        return OrderEvent.PART
    closed_at = last_closed_at(known)
    if is_closed(known) and closed_at is not None and at > closed_at:
        return OrderEvent.PART_LATER
    was_placed_again = closed_at is not None and not is_closed(known)
    if _is_earlier(known, at) or (at == known.placed_at and was_placed_again):
        return OrderEvent.PART_EARLIER
    return OrderEvent.PART


def _is_earlier(known: OrderState, at: datetime) -> bool:
    """Return whether an event belongs to an earlier order with this id: one that was placed before the event, or that
    was closed before this one was placed.
    """
    placed_at, first = known.placed_at, known.first_placed_at
    if placed_at is None or at >= placed_at:
        return False
    closed = (known.cancelled_at, known.returned_at)
    return (first is not None and first <= at) or any(time is not None and time <= placed_at for time in closed)
