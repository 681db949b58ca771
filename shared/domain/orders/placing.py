"""Placing an order: what the request names, what the ledger knows of the order, and which of its coupons are judged.

An order is closed while it is cancelled or returned. It is placed again by an event later than that; an earlier event
belongs to the closed order. A payment counts if it is later than the last cancellation or return. The events' own times
decide, not the order of their arrival.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from shared.domain.model.coupon import code_key
from shared.domain.model.customer import CustomerKey
from shared.domain.model.order_commands import RedeemCoupons
from shared.domain.model.state import (
    ActiveRedemption,
    LockedUse,
    LockState,
    OrderState,
    OrderStatus,
    PartReturn,
    State,
    is_holding,
    order_hold,
)
from shared.domain.model.verdicts import OrderChange, new_order_change
from shared.domain.offers.basket import basket_of
from shared.domain.offers.request import Request, existing_coupons
from shared.domain.orders.classify import placing_event
from shared.domain.orders.closed import is_closed, is_placed_again, last_closed_at, paid_since_closed
from shared.domain.orders.life_cycle import Effect, OrderEvent, Phase, Row, phase_of, row_of
from shared.domain.orders.returns import is_fully_returned
from shared.domain.orders.uses import before_returns


def placed_at_of(command: RedeemCoupons) -> datetime | None:
    """Return when the request places its order; None for a change, which doesn't say."""
    return None if command.changed else command.order.placed_at or command.at


def parts_for(
    command: RedeemCoupons, known: OrderState | None, now: datetime, *, placed_again: bool
) -> tuple[PartReturn, ...]:
    """Return the recorded partial returns of the order as placed now, without those from before it was placed again."""
    if known is None or not known.returns:
        return ()
    placed_at = placed_at_of(command)
    if placed_again:
        return tuple([part for part in known.returns if part.at > (placed_at or now)])
    if known.currency is not None or placed_at is None or last_closed_at(known) is None:
        return known.returns  # of an order that was never closed, whatever clock dated them
    return tuple([part for part in known.returns if part.at >= placed_at])


def placing_change(
    command: RedeemCoupons,
    known: OrderState | None,
    customer_key: CustomerKey | None,
    now: datetime,
    *,
    placed_again: bool,
) -> OrderChange | None:
    """Return the change that placing the order causes, or None. `placed_again`: a closed order is placed again.

    A request without a time is judged at `now`, but its time is only recorded if it places a closed order again. A
    change that arrives before the placing doesn't say when the order was placed.
    """
    order = command.order
    status: OrderStatus = "placed"
    placed_at = placed_at_of(command)
    returns: tuple[PartReturn, ...] | None = None
    if known is not None:
        status = known.status
        if is_closed(known):
            if not placed_again:
                return None
            status = "paid" if paid_since_closed(known) else "placed"
            placed_at = placed_at or now
        elif known.order is not None:
            return _placed_once_more(command, known, customer_key)
        elif known.placed_at is not None and placed_at is not None and placed_at <= known.placed_at:
            placed_at = None
        if known.returns:
            returns = parts_for(command, known, now, placed_again=placed_again)
    if not command.priced:
        return OrderChange(order.order_id, status, placed_at=placed_at, customer_key=customer_key, returns=returns)
    return new_order_change(
        order.order_id, status, placed_at=placed_at, changed_at=(command.at or now) if command.changed else None,
        customer_key=customer_key, order=order, codes=command.recorded_codes, returns=returns,
    )  # fmt: skip


def _placed_once_more(
    command: RedeemCoupons, known: OrderState, customer_key: CustomerKey | None
) -> OrderChange | None:
    """Return the change that records newly named codes and another time of an open order, or None."""
    placed_at, codes = placing_time(command, known), codes_with(known, command)
    if placed_at is None and (codes == known.codes or not command.codes):
        return None
    is_later = placed_at is not None and (known.placed_at is None or placed_at > known.placed_at)
    return OrderChange(
        known.order_id, known.status, placed_at=placed_at, customer_key=customer_key if is_later else None, codes=codes
    )


def placing_time(command: RedeemCoupons, known: OrderState) -> datetime | None:
    """Return when an event places the known order, if that is later or earlier than all placings before, else None."""
    placed_at = placed_at_of(command)
    if placed_at is None or known.placed_at is None or known.first_placed_at is None:
        return placed_at
    return None if known.first_placed_at <= placed_at <= known.placed_at else placed_at


def codes_with(known: OrderState | None, command: RedeemCoupons) -> tuple[str, ...]:
    """Return the codes that the order has named, with those of the request."""
    before = () if known is None or known.codes is None else known.codes
    keys = set(map(code_key, before))
    more = sorted({code_key(code) for code in command.codes} - keys)
    return (*before, *more)


@dataclass(slots=True)
class Placing:
    """A request to place or change an order, with the known order, its current hold, and its row of the life cycle.

    `placed_again`: a closed order is placed again. `judges_all`: the coupons that the order has are judged as well,
    because it changed, or was placed again with coupons that were not restored. `all_returned`: all parts were returned
    before this event arrived; `known` is a returned order then.
    """

    request: Request
    row: Row
    known: OrderState | None = None
    hold: LockState | None = None
    placed_again: bool = False
    judges_all: bool = False
    all_returned: bool = False

    @property
    def effect(self) -> Effect:
        """Return the effect of the request on the order."""
        return self.row.effect


_FIRST_PLACING: Final = row_of(Phase.UNKNOWN, OrderEvent.PLACED)
"""The usual case: this is the first event of the order."""


def placing_of(command: RedeemCoupons, state: State, now: datetime, *, paid: int | None = None) -> Placing:
    """Return the command with all that is known of its order.

    `paid`: what its goods cost after discounts, None if its coupons aren't judged yet.
    """
    order = command.order
    before = state.orders.get(order.order_id)
    hold = state.locks.get(order_hold(order.order_id))
    if before is None and hold is None:
        return Placing(_request(command, state, now, None, None), _FIRST_PLACING)
    known = before if before is None or not before.returns else _fully_returned_before(command, before, now, paid)
    event = placing_event(
        command, known, state.customers.get(command.command_id), now, names_new_lock=_names_new_lock(command, state)
    )
    row = row_of(phase_of(known, hold, now), event)
    if hold is not None and not is_holding(hold, now):
        hold = None
    placed_again = event == OrderEvent.PLACED_AGAIN
    has_uses = known is not None and bool(known.redemptions)
    judges_all = row.effect == Effect.CHANGE or (placed_again and has_uses and command.priced)
    request = _request(command, state, now, known, hold, complete=judges_all)
    if row.effect == Effect.REFUSE and known is not None and is_closed(known):
        request.closed_at, request.closed_as = last_closed_at(known), known.status
    return Placing(
        request, row, known, hold,
        placed_again=placed_again, judges_all=judges_all, all_returned=known is not before,
    )  # fmt: skip


def _names_new_lock(command: RedeemCoupons, state: State) -> bool:
    if command.lock_reference is None:
        return False
    lock = state.locks.get(command.lock_reference)
    return lock is None or lock.status != "burned" or lock.order_id != command.order.order_id


def _fully_returned_before(command: RedeemCoupons, known: OrderState, now: datetime, paid: int | None) -> OrderState:
    """Return the order as it is when placed: returned, if all of its parts were returned before this event."""
    placed_again = is_placed_again(known, command, command.order.placed_at or command.at or now)
    if known.order is not None and not placed_again:
        return known
    parts = parts_for(command, known, now, placed_again=placed_again)
    if not is_fully_returned(parts, command.order, command.order.amount_minor if paid is None else paid):
        return known
    # Parts that a slower clock dated before the placing are about this order, so it isn't placed again after them.
    placed_at = placed_at_of(command) or command.at or now
    return replace(known, status="returned", returned_at=max(placed_at, *[part.at for part in parts]))


def _request(
    command: RedeemCoupons,
    state: State,
    now: datetime,
    known: OrderState | None,
    hold: LockState | None,
    *,
    complete: bool = False,
) -> Request:
    """Return the request. `complete`: all coupons of the order are judged, so none of them is beside the others."""
    order, at = command.order, command.at
    if at is None or at > now:
        at = now
    customer_key = state.customers.get(command.command_id)
    if hold is not None and hold.customer_key is not None:
        customer_key = hold.customer_key  # the order's customer until it is paid
    request = Request(command, state, now, at, customer_key)
    request.order_id = order.order_id
    earlier: list[ActiveRedemption | LockedUse] = []
    if known is not None and not complete:
        earlier += before_returns(known.redemptions.values())
    if hold is not None and not complete:
        earlier += hold.uses
    if earlier:
        request.existing = existing_coupons(state, earlier)
        earlier = [use for use in earlier if use.currency == order.currency]
    if command.priced:
        request.order, request.basket = order, basket_of(order, earlier, state.campaigns)
    return request
