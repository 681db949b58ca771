"""What happens to an order after it was placed: paid, cancelled, returned.

A cancellation takes every use back of campaigns that restore on it, and lets go of whatever is held for the order; so
does a whole return. A return in part gives back a share of the discount (`returning`). What each event does in which
state is `order_life`'s to say; here is how.
"""

from datetime import datetime
from typing import Literal

from shared.domain.coupons.entries import benefit_of, released
from shared.domain.model.commands import CancelOrder, PayOrder, ReturnOrder
from shared.domain.model.ids import redemption_id
from shared.domain.model.reasons import Reason
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
from shared.domain.model.verdicts import (
    AcceptedCoupon,
    LedgerEntry,
    LockChange,
    OrderChange,
    Outcome,
    RefusedCoupon,
    Verdict,
)
from shared.domain.orders.life_cycle import (
    Effect,
    OrderEvent,
    Phase,
    closing_event,
    effect_of,
    part_event,
    paying_event,
)
from shared.domain.orders.life_cycle import phase_of as phase_by
from shared.domain.orders.placing import is_closed, last_closing
from shared.domain.orders.returns import (
    MOST_PARTS,
    all_back,
    amount_problem,
    goods_of,
    is_noted,
    noted_with,
    part_of,
    shares,
    standing_of,
    too_many,
)

Closing = Literal["cancelled", "returned"]


def pay(command: PayOrder, state: State, now: datetime) -> Verdict:
    """Mark the order paid and burn what it holds, at the discounts it was held at.

    A coupon voided since then is burned all the same: the order was placed with it. A payment not later than the
    order's cancellation or return belongs to what was closed, and is noted nowhere. A later one of a closed order is
    noted without opening it: the order may be on its way to be placed anew.
    """
    at = command.at or now
    known = state.orders.get(command.order_id)
    hold = state.locks.get(order_hold(command.order_id))
    effect = effect_of(phase_by(known, hold, now), paying_event(known, at))
    if effect == Effect.NOTHING:
        return _plain(command, "unchanged", now)
    change = _payment(command.order_id, known, at)
    asked = 0 if known is None else known.requested_count
    if hold is not None and effect == Effect.BURN:
        return _burn_hold(command, state, now, hold, change, asked=asked)
    if hold is not None and change is not None and effect == Effect.REFUSE_LATE:
        return _hold_expired(command, state, now, hold, change, asked=asked)
    return _plain(command, "unchanged" if change is None else "recorded", now, change)


def cancel(command: CancelOrder, state: State, now: datetime) -> Verdict:
    """Restore what the order redeemed and release what it holds. Of an order never seen, note that it is cancelled."""
    return _end(command, "cancelled", state, now)


def return_order(command: ReturnOrder, state: State, now: datetime) -> Verdict:
    """A whole return closes the order like a cancellation; one in part gives back a share of the discount."""
    if command.whole:
        return _end(command, "returned", state, now)
    part = part_of(command, now)
    return _plain(command, "unchanged", now) if part is None else _come_back_in_part(command, part, state, now)


def _end(command: CancelOrder | ReturnOrder, how: Closing, state: State, now: datetime) -> Verdict:
    """Close the order, unless it was closed this way already, or placed anew after the time this event tells of.

    A later time of the same closing is noted, since only what was placed after the last one is placed anew. An order
    that was closed the other way before is closed once more: what only this cause restores is restored now.
    """
    at = command.at or now
    known = state.orders.get(command.order_id)
    hold = state.locks.get(order_hold(command.order_id))
    effect = effect_of(phase_by(known, hold, now), closing_event(known, how, at))
    if effect == Effect.CLOSE:
        return _close(command, _closing(command.order_id, how, how, at), f"order.{how}", state, now)
    if effect == Effect.NOTE_TIME and known is not None:
        before = known.cancelled_at if how == "cancelled" else known.returned_at
        if before is not None and at > before:
            return _plain(command, "recorded", now, _closing(command.order_id, known.status, how, at))
    return _plain(command, "unchanged", now)


def _come_back_in_part(command: ReturnOrder, part: PartReturn, state: State, now: datetime) -> Verdict:
    """Note the part and give back its share, or close the order where nothing of it is left."""
    known = state.orders.get(command.order_id)
    noted = () if known is None else known.returns
    currency = None if known is None else known.currency
    returns = noted_with(part, noted)
    counting = _counting(known, returns)
    event = part_event(known, part.at)
    phase = phase_by(known, state.locks.get(order_hold(command.order_id)), now)
    if known is not None and event == OrderEvent.PART and phase not in _NEVER_LAST:
        event = OrderEvent.PART_LAST if all_back(counting, goods_of(known)) else event
    effect = effect_of(phase, event)
    problem = amount_problem(part, currency)
    if problem is None and (effect == Effect.NOTHING or is_noted(part, noted, currency)):
        return _plain(command, "unchanged", now)
    if problem is None and too_many(returns):
        problem = (
            f"At most {MOST_PARTS} lines and amounts of one order can come back in parts; return the order as a whole."
        )
    if problem is not None:
        return Verdict(  # recorded, and no event: nothing of a redemption was refused
            command.command_id, "refused", now, refused=(RefusedCoupon(Reason.ORDER_MISMATCH, problem),),
            order_id=command.order_id,
        )  # fmt: skip
    if effect == Effect.CLOSE:
        at = max(one.at for one in counting)
        change = OrderChange(command.order_id, "returned", returned_at=at, returns=returns)
        return _close(command, change, "order.returned", state, now)
    change = OrderChange(command.order_id, "placed" if known is None else known.status, returns=returns)
    if effect == Effect.NOTE or known is None:
        return _plain(command, "recorded", now, change)
    return _give_shares(command, known, change, _counting(known, noted), counting, state, now)


_NEVER_LAST = (Phase.UNKNOWN, Phase.NOTED, Phase.RETURNED, Phase.BOTH)
"""Phases in which no part is the last: nobody knows how much there is, or nothing is left."""


def _counting(known: OrderState | None, returns: tuple[PartReturn, ...]) -> tuple[PartReturn, ...]:
    """The parts that are of the order as it stands: of a closed one, those not later than the closing."""
    closing = None if known is None or not is_closed(known) else last_closing(known)
    if closing is None:
        return returns
    return tuple([one for one in returns if one.at <= closing])


def _give_shares(  # noqa: PLR0917 - private, called once
    command: ReturnOrder,
    known: OrderState,
    change: OrderChange,
    before: tuple[PartReturn, ...],
    after: tuple[PartReturn, ...],
    state: State,
    now: datetime,
) -> Verdict:
    entries = shares(known.redemptions.values(), state.campaigns, goods_of(known), before, after, command.order_id)
    if not entries:
        return _plain(command, "recorded", now, change)
    told = []
    for one in entries:
        coupon, campaign = state.coupons.get(one.coupon_id), state.campaigns[one.campaign_id]
        told.append(
            AcceptedCoupon(
                one.coupon_id, "" if coupon is None else coupon.code, one.campaign_id, campaign.discount.kind,
                campaign.discount.value, -one.used_minor, one.lines, 0, redemption_id=one.redemption_id,
            )
        )  # fmt: skip
    return Verdict(
        command.command_id, "restored", now, tuple(told), requested_count=len(told),
        discount_minor=-sum(one.used_minor for one in entries), currency=entries[0].currency,
        order_id=command.order_id, redemption_id=entries[0].redemption_id, customer_key=entries[0].customer_key,
        entries=tuple(entries), orders=(change,),
    )  # fmt: skip


def _payment(order_id: str, known: OrderState | None, at: datetime) -> OrderChange | None:
    """The order was paid at `at`; None where that is known. A closed order stays closed."""
    if known is None or not is_closed(known):
        return None if known is not None and known.status == "paid" else OrderChange(order_id, "paid", paid_at=at)
    if known.paid_at is not None and known.paid_at >= at:
        return None
    return OrderChange(order_id, known.status, paid_at=at)


def _close(command: CancelOrder | ReturnOrder, change: OrderChange, cause: str, state: State, now: datetime) -> Verdict:
    """Restore what `cause` restores, with what is left of its discount, and release what is held."""
    known = state.orders.get(command.order_id)
    restored = _restorable(state, known, cause)
    locks = _locks_of(state, command.order_id, now)
    entries = [_restore(command.order_id, standing) for standing in restored]
    entries += [released(lock, locked, command.order_id) for lock in locks for locked in lock.uses]
    if restored:
        outcome: Outcome = "restored"
        told = tuple([_told(state, one, one.redemption_id) for one in restored])
    else:
        outcome = "released" if entries else "recorded"
        told = tuple([_told(state, locked, None) for lock in locks for locked in lock.uses])
    first = restored[0] if restored else None
    return Verdict(
        command.command_id, outcome, now, told, requested_count=len(told),
        discount_minor=sum(one.discount_minor or 0 for one in told),
        currency=first.currency if first else None if known is None else known.currency,
        order_id=command.order_id, redemption_id=first.redemption_id if first else None,
        customer_key=first.customer_key if first else None,
        entries=tuple(entries), orders=(change,),
        locks=tuple(
            [LockChange(one.lock_reference, "released", one.customer_key, one.order_id, uses=()) for one in locks]
        ),
    )  # fmt: skip


def _closing(order_id: str, status: OrderStatus, how: Closing, at: datetime) -> OrderChange:
    """The order was cancelled or returned at `at`; `status` is what it counts as from now on."""
    return OrderChange(
        order_id,
        status,
        cancelled_at=at if how == "cancelled" else None,
        returned_at=at if how == "returned" else None,
    )


def _restorable(state: State, known: OrderState | None, cause: str) -> list[ActiveRedemption]:
    """What stands redeemed for the order and is given back on `cause`, by coupon id so that the order is always one."""
    if known is None:
        return []
    standing = [
        one
        for one in known.redemptions.values()
        if (campaign := state.campaigns.get(one.campaign_id)) is not None and cause in campaign.restore_on
    ]
    return sorted(standing, key=lambda one: one.coupon_id)


def _restore(order_id: str, standing: ActiveRedemption) -> LedgerEntry:
    """The entry that takes a redemption back. A coupon that was voided or ran out meanwhile stays so."""
    return LedgerEntry(
        "restored", standing.coupon_id, standing.campaign_id, standing.customer_key, order_id, None,
        standing.redemption_id, 0, -standing.uses, 0, -standing.discount_minor, standing.currency, (),
        standing.counted_at, standing.subscription_id,
    )  # fmt: skip


def _locks_of(state: State, order_id: str, now: datetime) -> list[LockState]:
    """The locks that hold something for this order: its own hold, and those bound to it."""
    found = [lock for lock in state.locks.values() if lock.order_id == order_id and is_holding(lock, now)]
    return sorted(found, key=lambda lock: lock.lock_reference)


def _burn_hold(
    command: PayOrder, state: State, now: datetime, hold: LockState, change: OrderChange | None, *, asked: int
) -> Verdict:
    redemption = redemption_id(command.command_id)
    entries = tuple(
        [
            LedgerEntry(
                "burned", locked.coupon_id, locked.campaign_id, hold.customer_key, command.order_id,
                hold.lock_reference, redemption, -locked.uses, locked.uses, -locked.discount_minor,
                locked.discount_minor, locked.currency, locked.lines, locked.counted_at, locked.subscription_id,
            )
            for locked in hold.uses
        ]
    )  # fmt: skip
    known = state.orders.get(command.order_id)
    if known is not None and known.returns:
        burned_now = map(standing_of, entries)
        entries += tuple(shares(burned_now, state.campaigns, goods_of(known), (), known.returns, command.order_id))
    told = tuple([_told(state, locked, None) for locked in hold.uses])
    burned = LockChange(hold.lock_reference, "burned", hold.customer_key, command.order_id, hold.expires_at, ())
    return Verdict(
        command.command_id, "redeemed", now, told, requested_count=max(asked, len(told)),
        discount_minor=sum(locked.discount_minor for locked in hold.uses), currency=_currency(hold),
        order_id=command.order_id, redemption_id=redemption, customer_key=hold.customer_key, entries=entries,
        locks=(burned,), orders=() if change is None else (change,),
    )  # fmt: skip


def _hold_expired(
    command: PayOrder, state: State, now: datetime, hold: LockState, change: OrderChange, *, asked: int
) -> Verdict:
    """The payment came too late: what the order held has gone back, but for what it has redeemed since."""
    known = state.orders.get(command.order_id)
    lost = [locked for locked in hold.uses if known is None or locked.coupon_id not in known.redemptions]
    if hold.uses and not lost:
        return _plain(command, "recorded", now, change)
    until = hold.expires_at.isoformat()
    message = f"The order held its coupons until {until}; the payment came later."
    refused = []
    for locked in lost:
        coupon = state.coupons.get(locked.coupon_id)
        code = None if coupon is None else coupon.code
        refused.append(
            RefusedCoupon(
                Reason.LOCK_EXPIRED, message, code, locked.coupon_id, locked.campaign_id, {"expired_at": until}
            )
        )
    return Verdict(
        command.command_id, "refused", now,
        refused=tuple(refused) or (RefusedCoupon(Reason.LOCK_EXPIRED, message, details={"expired_at": until}),),
        requested_count=max(asked, len(refused), 1), currency=_currency(hold), order_id=command.order_id,
        customer_key=hold.customer_key, orders=(change,),
    )  # fmt: skip


def _told(state: State, use: LockedUse | ActiveRedemption, redemption: str | None) -> AcceptedCoupon:
    """What is told of a use that is burned out of a hold, given back, or let go."""
    coupon, campaign = state.coupons.get(use.coupon_id), state.campaigns.get(use.campaign_id)
    return AcceptedCoupon(
        use.coupon_id, "" if coupon is None else coupon.code, use.campaign_id,
        "" if campaign is None else campaign.discount.kind, "" if campaign is None else campaign.discount.value,
        use.discount_minor, use.lines if isinstance(use, LockedUse) else (), use.uses, redemption_id=redemption,
        benefit=None if campaign is None else benefit_of(campaign.discount, use.lines),
        recurring=not use.uses,
    )  # fmt: skip


def _currency(lock: LockState) -> str | None:
    return lock.uses[0].currency if lock.uses else None


def _plain(
    command: PayOrder | CancelOrder | ReturnOrder, outcome: Outcome, now: datetime, change: OrderChange | None = None
) -> Verdict:
    return Verdict(
        command.command_id, outcome, now, order_id=command.order_id, orders=() if change is None else (change,)
    )
