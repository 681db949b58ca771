"""Payment of an order: burn what it holds, or report that the hold has expired."""

from datetime import datetime

from shared.domain.coupons.entries import accepted_use, burned_from_hold
from shared.domain.model.commands import PayOrder
from shared.domain.model.ids import redemption_id
from shared.domain.model.reasons import Reason
from shared.domain.model.state import LockState, OrderState, State, order_hold
from shared.domain.model.verdicts import LockChange, OrderChange, RefusedCoupon, Verdict
from shared.domain.orders.changes import plain_verdict
from shared.domain.orders.life_cycle import Effect, effect_of, is_closed, paying_event, phase_of
from shared.domain.orders.returns import active_redemption, goods_of, shares


def pay(command: PayOrder, state: State, now: datetime) -> Verdict:
    """Mark the order paid and burn what it holds, at the discounts it was held at.

    A coupon that was voided since then is burned as well, because the order was placed with it. A payment not later
    than the order's cancellation or return belongs to the closed order and is ignored. A later payment of a closed
    order is recorded without opening it: the event that places the order again may still arrive.
    """
    at = command.at or now
    known = state.orders.get(command.order_id)
    hold = state.locks.get(order_hold(command.order_id))
    effect = effect_of(phase_of(known, hold, now), paying_event(known, at))
    if effect == Effect.NOTHING:
        return plain_verdict(command, "unchanged", now)
    change = _payment(command.order_id, known, at)
    requested_count = 0 if known is None else known.requested_count
    if hold is not None and effect == Effect.BURN:
        return _burn_hold(command, state, now, hold, change, requested_count=requested_count)
    if hold is not None and change is not None and effect == Effect.REFUSE_LATE:
        return _hold_expired(command, state, now, hold, change, requested_count=requested_count)
    return plain_verdict(command, "unchanged" if change is None else "recorded", now, change)


def _payment(order_id: str, known: OrderState | None, at: datetime) -> OrderChange | None:
    """Return the change for a payment at `at`, or None if it is known already. A closed order stays closed."""
    if known is None or not is_closed(known):
        return None if known is not None and known.status == "paid" else OrderChange(order_id, "paid", paid_at=at)
    if known.paid_at is not None and known.paid_at >= at:
        return None
    return OrderChange(order_id, known.status, paid_at=at)


def _burn_hold(
    command: PayOrder, state: State, now: datetime, hold: LockState, change: OrderChange | None, *, requested_count: int
) -> Verdict:
    redemption = redemption_id(command.command_id)
    entries = tuple([burned_from_hold(hold, locked, command.order_id, redemption) for locked in hold.uses])
    known = state.orders.get(command.order_id)
    if known is not None and known.returns:
        burned_now = map(active_redemption, entries)
        goods = goods_of(known)
        entries += tuple(
            shares(burned_now, state.campaigns, goods, order_id=command.order_id, before=(), after=known.returns)
        )
    accepted = tuple([accepted_use(state, locked, None) for locked in hold.uses])
    burned = LockChange(
        hold.lock_reference, "burned", customer_key=hold.customer_key, order_id=command.order_id,
        expires_at=hold.expires_at, uses=(),
    )  # fmt: skip
    return Verdict(
        command.command_id, "redeemed", now, accepted=accepted, requested_count=max(requested_count, len(accepted)),
        discount_minor=sum(locked.discount_minor for locked in hold.uses), currency=_currency(hold),
        order_id=command.order_id, redemption_id=redemption, customer_key=hold.customer_key, entries=entries,
        locks=(burned,), orders=() if change is None else (change,),
    )  # fmt: skip


def _hold_expired(
    command: PayOrder, state: State, now: datetime, hold: LockState, change: OrderChange, *, requested_count: int
) -> Verdict:
    """Refuse a late payment: the expired hold was released, except coupons that the order has redeemed since."""
    known = state.orders.get(command.order_id)
    lost = [locked for locked in hold.uses if known is None or locked.coupon_id not in known.redemptions]
    if hold.uses and not lost:
        return plain_verdict(command, "recorded", now, change)
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
    return Verdict.all_refused(
        command.command_id, now,
        refused or [RefusedCoupon(Reason.LOCK_EXPIRED, message, details={"expired_at": until})],
        requested_count=max(requested_count, len(refused), 1), currency=_currency(hold), order_id=command.order_id,
        customer_key=hold.customer_key, change=change,
    )  # fmt: skip


def _currency(lock: LockState) -> str | None:
    return lock.uses[0].currency if lock.uses else None
