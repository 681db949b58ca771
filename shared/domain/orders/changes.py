"""Changes of an order after it was placed: cancelled, returned as a whole, or returned in part.

A cancellation or a whole return restores every use of campaigns that restore on it, and releases everything that is
held for the order. A return in part restores a share of the discount (see `returns`). The table in `life_cycle` says
which event has which effect in which phase.
"""

from datetime import datetime
from typing import Literal

from shared.domain.coupons.change import ends_after_restore
from shared.domain.coupons.entries import accepted_use, released, restored
from shared.domain.model.order_commands import CancelOrder, FailPayment, PayOrder, ReturnOrder
from shared.domain.model.reasons import Reason
from shared.domain.model.state import (
    LockState,
    OrderState,
    OrderStatus,
    PartReturn,
    State,
    is_holding,
    order_hold,
)
from shared.domain.model.verdicts import (
    AcceptedCoupon,
    LedgerEntry,
    LockChange,
    OrderChange,
    Outcome,
    RefusedCoupon,
    Verdict,
)
from shared.domain.orders.classify import closing_event, part_event
from shared.domain.orders.closed import is_closed, last_closed_at
from shared.domain.orders.life_cycle import Effect, OrderEvent, Phase, phase_of, row_of
from shared.domain.orders.return_shares import shares
from shared.domain.orders.returns import (
    MAX_RETURNED_PARTS,
    amount_problem,
    content_problem,
    is_fully_returned,
    is_recorded,
    nothing_of,
    other_content,
    paid_minor,
    part_of,
    too_many,
    with_part,
)
from shared.domain.orders.uses import restorable

ClosingStatus = Literal["cancelled", "returned"]


def cancel(command: CancelOrder, state: State, now: datetime) -> Verdict:
    """Restore what the order redeemed and release what it holds. For an unknown order, record that it is cancelled."""
    return _end(command, "cancelled", state, now)


def return_order(command: ReturnOrder, state: State, now: datetime) -> Verdict:
    """Close the order on a whole return; restore a share of the discount on a return in part."""
    if command.whole:
        return _refused_return_id(command, state, now) or _end(command, "returned", state, now)
    part = part_of(command, now)
    if part is None:
        return plain_verdict(command, "unchanged", now, why="nothing_returned")
    return _return_in_part(command, part, state, now)


def _refused_return_id(command: ReturnOrder, state: State, now: datetime) -> Verdict | None:
    """Refuse a whole return under the id of a part that was returned before. None: it has an id of its own, or none."""
    known = state.orders.get(command.order_id)
    if command.return_id is None or known is None:
        return None
    if all(part.return_id != command.return_id for part in known.returns):
        return None
    return _refused_part(command, now, other_content(command.return_id))


def _refused_part(command: ReturnOrder, now: datetime, problem: str) -> Verdict:
    """Return the verdict on a return that can't be recorded. No event is published: no redemption was refused."""
    refused = [RefusedCoupon(Reason.ORDER_MISMATCH, problem)]
    return Verdict.all_refused(command.command_id, now, refused, order_id=command.order_id)


def _end(command: CancelOrder | ReturnOrder, how: ClosingStatus, state: State, now: datetime) -> Verdict:
    """Close the order, unless it is already closed this way or was placed again after the time of this event.

    A later time of the same event is recorded, because the order can be placed again only after it. An order that was
    closed the other way is closed once more: what only this event restores is restored now.
    """
    at = command.at or now
    known = state.orders.get(command.order_id)
    hold = state.locks.get(order_hold(command.order_id))
    row = row_of(phase_of(known, hold, now), closing_event(known, how, at))
    if row.effect == Effect.CLOSE:
        return _close(command, _closed_change(command.order_id, how, how, at), f"order.{how}", state, now)
    if row.effect == Effect.RECORD_TIME and known is not None:
        before = known.cancelled_at if how == "cancelled" else known.returned_at
        if before is not None and at > before:
            return plain_verdict(command, "recorded", now, _closed_change(command.order_id, known.status, how, at))
    return plain_verdict(command, "unchanged", now, why=row.why)


def _return_in_part(command: ReturnOrder, part: PartReturn, state: State, now: datetime) -> Verdict:
    """Record the part and restore its share, or close the order if nothing of it is left."""
    known = state.orders.get(command.order_id)
    hold = state.locks.get(order_hold(command.order_id))
    recorded = () if known is None else known.returns
    order = None if known is None else known.order
    currency = None if order is None else order.currency
    returns = with_part(part, recorded)
    counting = _counting(known, returns)
    event = part_event(known, part.at)
    phase = phase_of(known, hold, now)
    paid = _paid(known, hold)
    if order is not None and event == OrderEvent.PART and phase not in _NEVER_LAST:
        event = OrderEvent.PART_LAST if is_fully_returned(counting, order, paid) else event
    row = row_of(phase, event)
    problem = amount_problem(part, currency) or content_problem(part, recorded, currency)
    if problem is None and is_recorded(part, recorded, currency):
        return plain_verdict(command, "unchanged", now, why="same_content")
    if problem is None and row.effect == Effect.NOTHING:
        return plain_verdict(command, "unchanged", now, why=row.why)
    if problem is None and too_many(returns):
        problem = (
            f"At most {MAX_RETURNED_PARTS} lines and amounts of one order can be returned in parts; "
            "return the order as a whole."
        )
    if problem is not None:
        return _refused_part(command, now, problem)
    if row.effect == Effect.CLOSE:
        at = max(part.at for part in counting)
        change = OrderChange(command.order_id, "returned", returned_at=at, returns=returns)
        return _close(command, change, "order.returned", state, now)
    change = OrderChange(command.order_id, "placed" if known is None else known.status, returns=returns)
    why = None if row.effect == Effect.RECORD or order is None else nothing_of(part, order)
    if why is not None or row.effect == Effect.RECORD or known is None or order is None:
        return plain_verdict(command, "recorded" if why is None else "unchanged", now, change, why=why)
    before = _counting(known, recorded)
    entries = shares(known.redemptions.values(), state, order, paid=paid, before=before, after=counting)
    return _share_verdict(command, state, now, change, entries)


def _paid(known: OrderState | None, hold: LockState | None) -> int:
    """Return what the goods of the order cost after the discounts that it has or holds."""
    if known is None or known.order is None:
        return 0
    held = () if hold is None or hold.status != "open" else hold.uses
    return paid_minor(known.order, [*known.redemptions.values(), *held])


_NEVER_LAST = (Phase.UNKNOWN, Phase.RECORDED, Phase.RETURNED, Phase.BOTH)
"""Phases in which no part completes the return: the size of the order is unknown, or nothing is left of it."""


def _counting(known: OrderState | None, returns: tuple[PartReturn, ...]) -> tuple[PartReturn, ...]:
    """Return the parts that count since the order was last placed. For a closed order: those until it was closed."""
    closed_at = None if known is None or not is_closed(known) else last_closed_at(known)
    if closed_at is None:
        return returns
    return tuple([part for part in returns if part.at <= closed_at])


def _share_verdict(
    command: ReturnOrder, state: State, now: datetime, change: OrderChange, entries: list[LedgerEntry]
) -> Verdict:
    """Return the verdict on a return in part that restores the shares in `entries`."""
    if not entries:
        return plain_verdict(command, "recorded", now, change)
    accepted = []
    for entry in entries:
        coupon, campaign = state.coupons.get(entry.coupon_id), state.campaigns[entry.campaign_id]
        accepted.append(
            AcceptedCoupon(
                entry.coupon_id, "" if coupon is None else coupon.code, entry.campaign_id, campaign.discount.kind,
                campaign.discount.value, discount_minor=-entry.used_minor, lines=entry.lines, uses=0,
                redemption_id=entry.redemption_id,
            )
        )  # fmt: skip
    return Verdict(
        command.command_id, "restored", now, accepted=tuple(accepted), requested_count=len(accepted),
        discount_minor=-sum(entry.used_minor for entry in entries), currency=entries[0].currency,
        order_id=command.order_id, redemption_id=entries[0].redemption_id, customer_key=entries[0].customer_key,
        entries=tuple(entries), orders=(change,),
    )  # fmt: skip


def _close(command: CancelOrder | ReturnOrder, change: OrderChange, cause: str, state: State, now: datetime) -> Verdict:
    """Restore the uses that `cause` restores, with the remaining discount, and release what is held."""
    known = state.orders.get(command.order_id)
    redemptions = restorable(state, () if known is None else known.redemptions.values(), cause)
    locks = _locks_of(state, command.order_id, now)
    entries = [restored(redemption, command.order_id) for redemption in redemptions]
    entries += [released(lock, locked, command.order_id) for lock in locks for locked in lock.uses]
    entries += ends_after_restore(state, redemptions, min(command.at or now, now))
    if redemptions:
        outcome: Outcome = "restored"
        accepted = tuple([accepted_use(state, redemption, redemption.redemption_id) for redemption in redemptions])
    else:
        outcome = "released" if entries else "recorded"
        accepted = tuple([accepted_use(state, locked, None) for lock in locks for locked in lock.uses])
    first = redemptions[0] if redemptions else None
    released_locks = [
        LockChange(
            lock.lock_reference, "released", customer_key=lock.customer_key, order_id=lock.order_id, uses=(), lost=()
        )
        for lock in locks
    ]
    return Verdict(
        command.command_id, outcome, now, accepted=accepted, requested_count=len(accepted),
        discount_minor=sum(coupon.discount_minor or 0 for coupon in accepted),
        currency=first.currency if first else None if known is None else known.currency,
        order_id=command.order_id, redemption_id=first.redemption_id if first else None,
        customer_key=first.customer_key if first else None,
        entries=tuple(entries), orders=(change,),
        locks=(*released_locks, *_without_lost(state, command.order_id, locks)),
    )  # fmt: skip


def _without_lost(state: State, order_id: str, released_locks: list[LockState]) -> list[LockChange]:
    """Return the change by which the order's own hold forgets what it gave up: a payment of the order, if it is placed
    again, is about other coupons. One that is released now forgets it as well.
    """
    hold = state.locks.get(order_hold(order_id))
    if hold is None or not hold.lost or hold in released_locks:
        return []
    return [LockChange(hold.lock_reference, hold.status, order_id=order_id, lost=())]


def _closed_change(order_id: str, status: OrderStatus, how: ClosingStatus, at: datetime) -> OrderChange:
    """Return the change for an order closed at `at`; `status` is its new status."""
    return OrderChange(
        order_id,
        status,
        cancelled_at=at if how == "cancelled" else None,
        returned_at=at if how == "returned" else None,
    )


def _locks_of(state: State, order_id: str, now: datetime) -> list[LockState]:
    """Return the locks that hold uses for this order: its own hold, and locks bound to it."""
    found = [lock for lock in state.locks.values() if lock.order_id == order_id and is_holding(lock, now)]
    return sorted(found, key=lambda lock: lock.lock_reference)


def plain_verdict(
    command: PayOrder | FailPayment | CancelOrder | ReturnOrder,
    outcome: Outcome,
    now: datetime,
    change: OrderChange | None = None,
    *,
    why: str | None = None,
) -> Verdict:
    """Return a verdict that changes no coupon. `why`: the reason if it changes nothing."""
    return Verdict(
        command.command_id, outcome, now, order_id=command.order_id, orders=() if change is None else (change,), why=why
    )
