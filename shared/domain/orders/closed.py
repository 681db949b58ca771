"""Find out whether an order is closed: cancelled or returned since it was last placed."""

from datetime import datetime
from typing import Literal

from shared.domain.model.clock import END_OF_TIME
from shared.domain.model.order import is_same_content
from shared.domain.model.order_commands import RedeemCoupons
from shared.domain.model.state import OrderState


def closed_since(known: OrderState, how: Literal["cancelled", "returned"]) -> bool:
    """Return whether the order was closed this way since it was last placed."""
    closed_at = known.cancelled_at if how == "cancelled" else known.returned_at
    return closed_at is not None and (known.placed_at is None or closed_at >= known.placed_at)


def is_closed(order: OrderState) -> bool:
    """Return whether the order is cancelled or returned."""
    return order.status in {"cancelled", "returned"}


def last_closed_at(order: OrderState) -> datetime | None:
    """Return when the order was last cancelled or returned, by the events' own times; None if it never was."""
    times = [time for time in (order.cancelled_at, order.returned_at) if time is not None]
    if times:
        return max(times)
    return END_OF_TIME if is_closed(order) else None


def paid_since_closed(order: OrderState) -> bool:
    """Return whether the order is paid, now or once it is placed again."""
    if order.status == "paid":
        return True
    closed_at = last_closed_at(order)
    return order.paid_at is not None and (closed_at is None or order.paid_at > closed_at)


def is_placed_again(order: OrderState, command: RedeemCoupons, placed_at: datetime) -> bool:
    """Return whether the order is closed and the request, placed at `placed_at`, places it again.

    At the very time of the closing it does so with other content, since some systems keep whole seconds. A placing that
    is known already doesn't, though a slower clock dated the closing before it.
    """
    closed_at = last_closed_at(order)
    if command.changed or not is_closed(order) or closed_at is None:
        return False
    if order.order is None and not closed_at.microsecond:  # the time of an event that came first, in whole seconds
        placed_at = placed_at.replace(microsecond=0)
    if placed_at == closed_at:
        return order.order is not None and not is_same_content(order.order, command.order)
    is_known = order.order is not None and order.placed_at is not None and placed_at <= order.placed_at
    return placed_at > closed_at and not is_known
