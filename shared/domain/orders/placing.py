"""What is known of an order, and what placing it makes of that. The events' own times order them, however they arrive.

An order is closed while it is cancelled or returned. A placing later than the closing places it anew; one that is not
later is the order that was closed. A payment counts when it is later than the last closing.
"""

from collections.abc import Iterable
from datetime import datetime

from shared.domain.model.clock import END_OF_TIME
from shared.domain.model.commands import RedeemCoupons
from shared.domain.model.customer import CustomerKey
from shared.domain.model.order import Line
from shared.domain.model.state import OrderLines, OrderState, OrderStatus, PartReturn
from shared.domain.model.verdicts import OrderChange


def is_closed(order: OrderState) -> bool:
    return order.status in {"cancelled", "returned"}


def last_closing(order: OrderState) -> datetime | None:
    """When the order was last cancelled or returned, by the events' own times; None where it never was."""
    times = [time for time in (order.cancelled_at, order.returned_at) if time is not None]
    if times:
        return max(times)
    return END_OF_TIME if is_closed(order) else None


def paid_since_closing(order: OrderState) -> bool:
    """Whether the order is paid, as it stands or as a new placing would make it stand."""
    if order.status == "paid":
        return True
    closing = last_closing(order)
    return order.paid_at is not None and (closing is None or order.paid_at > closing)


def placed_again(order: OrderState, placing: datetime) -> bool:
    """Whether a placing at this time places a closed order anew."""
    closing = last_closing(order)
    return is_closed(order) and closing is not None and placing > closing


def lines_of(lines: Iterable[Line]) -> OrderLines:
    """What is kept of an order's lines."""
    return tuple([(line.line_id, line.quantity, line.unit_minor) for line in lines])


def parts_for(command: RedeemCoupons, known: OrderState | None, now: datetime, *, anew: bool) -> tuple[PartReturn, ...]:
    """The parts that came back of what the command places: those noted before, without what came back earlier."""
    if known is None or not known.returns:
        return ()
    placed_at = command.order.placed_at or command.at
    if anew:
        return tuple([part for part in known.returns if part.at > (placed_at or now)])
    if known.currency is not None or placed_at is None:
        return known.returns
    return tuple([part for part in known.returns if part.at >= placed_at])


def placing_change(
    command: RedeemCoupons, known: OrderState | None, customer_key: CustomerKey | None, now: datetime, *, anew: bool
) -> OrderChange | None:
    """What placing the order (`anew` where it was closed) notes of it; None where nothing changes.

    A placing that names no time is one at `now`, but its time is only noted where it places a closed order anew.
    """
    order = command.order
    status: OrderStatus = "placed"
    placed_at = order.placed_at or command.at
    returns: tuple[PartReturn, ...] | None = None
    if known is not None:
        status = known.status
        if is_closed(known):
            if not anew:
                return None
            status = "paid" if paid_since_closing(known) else "placed"
            placed_at = placed_at or now
        elif placed_at is None or (known.placed_at is not None and placed_at <= known.placed_at):
            if known.currency is not None:
                return None  # the same order again
            placed_at = None
        if known.returns:
            returns = parts_for(command, known, now, anew=anew)
    if not command.priced:
        return OrderChange(order.order_id, status, placed_at, customer_key=customer_key, returns=returns)
    return OrderChange(
        order.order_id, status, placed_at, None, None, None, None, customer_key, order.currency, order.amount_minor,
        None, order.lines, returns,
    )  # fmt: skip
