"""Payment of an order: burn what it holds, report that the hold has expired, or release it if the payment failed."""

from dataclasses import dataclass, replace
from datetime import datetime

from shared.domain.coupons.entries import (
    accepted,
    accepted_use,
    active_redemption,
    burned,
    burned_from_hold,
    lock_changes,
    released,
)
from shared.domain.model.ids import redemption_id
from shared.domain.model.order_commands import FailPayment, PayOrder, RedeemCoupons
from shared.domain.model.reasons import Reason
from shared.domain.model.state import ActiveRedemption, LockedUse, LockState, OrderState, State, order_hold
from shared.domain.model.verdicts import LedgerEntry, LockChange, OrderChange, RefusedCoupon, Verdict, refuse
from shared.domain.offers.basket import basket_of
from shared.domain.offers.price import AppliedOffer
from shared.domain.offers.request import Request, ResolvedOffer, existing_coupons
from shared.domain.offers.rules import judge, judge_recurring
from shared.domain.offers.stack import choose, sorted_refusals
from shared.domain.orders.changes import plain_verdict
from shared.domain.orders.classify import failing_event, paying_event
from shared.domain.orders.closed import is_closed
from shared.domain.orders.life_cycle import Effect, phase_of, row_of
from shared.domain.orders.return_shares import shares
from shared.domain.orders.returns import paid_minor
from shared.domain.orders.uses import before_returns


def pay(command: PayOrder, state: State, now: datetime) -> Verdict:
    """Mark the order paid and burn what it holds, at the discounts it was held at.

    A coupon that was voided since then is burned as well, because the order was placed with it. What the hold gave up
    is judged again, and so is what it held if it expired between the payment and its arrival. A payment not later than
    the order's cancellation or return belongs to the closed order and is ignored. A later payment of a closed order is
    recorded without opening it: the event that places the order again may still arrive.
    """
    at = command.at or now
    known = state.orders.get(command.order_id)
    hold = _hold_when_paid(state.locks.get(order_hold(command.order_id)), at)
    row = row_of(phase_of(known, hold, min(at, now)), paying_event(known, at))
    change = None if row.effect == Effect.NOTHING else _payment(command.order_id, known, at)
    if hold is not None and row.effect in (Effect.BURN, Effect.JUDGE_LOST):
        return _burn_hold(command, state, now, hold, change)
    if hold is not None and change is not None and row.effect == Effect.REFUSE_LATE:
        return _hold_expired(command, state, now, hold, change)
    if change is None:
        return plain_verdict(command, "unchanged", now, why=row.why)
    return plain_verdict(command, "recorded", now, change)


def _hold_when_paid(hold: LockState | None, at: datetime) -> LockState | None:
    """Return the order's hold for a payment made at `at`. If it has expired since, its uses are lost: others may have
    them by now.
    """
    if hold is None or hold.status != "expired" or at >= hold.expires_at:
        return hold
    return replace(hold, status="released", uses=(), lost=(*hold.lost, *hold.uses))


def fail_payment(command: FailPayment, state: State, now: datetime) -> Verdict:
    """Release what the order holds. The hold keeps its uses as lost: if it is paid after all, they are judged again."""
    known = state.orders.get(command.order_id)
    hold = state.locks.get(order_hold(command.order_id))
    row = row_of(phase_of(known, hold, now), failing_event(known, command.at or now))
    if hold is None or row.effect != Effect.RELEASE:
        return plain_verdict(command, "unchanged", now, why=row.why)
    change = LockChange(
        hold.lock_reference, "released", customer_key=hold.customer_key, order_id=command.order_id, uses=(),
        lost=(*hold.lost, *hold.uses),
    )  # fmt: skip
    accepted_coupons = tuple([accepted_use(state, locked, None) for locked in hold.uses])
    return Verdict(
        command.command_id, "released", now, accepted=accepted_coupons, requested_count=len(accepted_coupons),
        discount_minor=sum(locked.discount_minor for locked in hold.uses), currency=_currency(hold),
        order_id=command.order_id, lock_reference=hold.lock_reference, customer_key=hold.customer_key,
        entries=tuple([released(hold, locked) for locked in hold.uses]), locks=(change,),
    )  # fmt: skip


def _payment(order_id: str, known: OrderState | None, at: datetime) -> OrderChange | None:
    """Return the change for a payment at `at`, or None if it is known already. A closed order stays closed."""
    if known is None or not is_closed(known):
        return None if known is not None and known.status == "paid" else OrderChange(order_id, "paid", paid_at=at)
    if known.paid_at is not None and known.paid_at >= at:
        return None
    return OrderChange(order_id, known.status, paid_at=at)


@dataclass(slots=True)
class _Lost:
    """The uses that an order's hold gave up, judged again."""

    applied: list[AppliedOffer]
    refused: list[RefusedCoupon]
    at: datetime


def _burn_hold(command: PayOrder, state: State, now: datetime, hold: LockState, change: OrderChange | None) -> Verdict:
    redemption = redemption_id(command.command_id)
    known = state.orders.get(command.order_id)
    entries = tuple([burned_from_hold(hold, locked, command.order_id, redemption) for locked in hold.uses])
    accepted_coupons = tuple([accepted_use(state, locked, None) for locked in hold.uses])
    refused: list[RefusedCoupon] = []
    locks: tuple[LockChange, ...] = ()
    if hold.lost:
        lost = _judge_lost(command, state, now, hold, known)
        refused = sorted_refusals(lost.refused)
        if known is not None and known.order is not None:
            for use in lost.applied:
                entries += burned(use, hold.customer_key, known.order, redemption, lost.at)
        accepted_coupons += tuple([accepted(use) for use in lost.applied])
        locks = tuple(lock_changes(lost.applied, command.order_id))
    entries += _shares_of_parts(command, state, known, entries)
    burned_hold = LockChange(
        hold.lock_reference, "burned", customer_key=hold.customer_key, order_id=command.order_id,
        expires_at=hold.expires_at, uses=(), lost=(),
    )  # fmt: skip
    requested_count = 0 if known is None else known.requested_count
    return Verdict(
        command.command_id, "redeemed" if accepted_coupons else "refused" if refused else "recorded", now,
        accepted=accepted_coupons, refused=tuple(refused),
        requested_count=max(requested_count, len(accepted_coupons) + len(refused)),
        discount_minor=sum(coupon.discount_minor or 0 for coupon in accepted_coupons),
        currency=_currency(hold), order_id=command.order_id, redemption_id=redemption, customer_key=hold.customer_key,
        entries=entries, locks=(burned_hold, *locks), orders=() if change is None else (change,),
    )  # fmt: skip


def _shares_of_parts(
    command: PayOrder, state: State, known: OrderState | None, entries: tuple[LedgerEntry, ...]
) -> tuple[LedgerEntry, ...]:
    """Return the entries that restore the shares of parts which were returned before the payment."""
    if known is None or not known.returns or known.order is None:
        return ()
    burned_now = [active_redemption(entry) for entry in entries if entry.order_id is not None]
    paid = paid_minor(known.order, [*known.redemptions.values(), *burned_now])
    others = known.redemptions.values()
    return tuple(shares(burned_now, state, known.order, paid=paid, before=(), after=known.returns, others=others))


def _judge_lost(command: PayOrder, state: State, now: datetime, hold: LockState, known: OrderState | None) -> _Lost:
    """Judge the uses that the hold gave up: as of the time they were held, with the limits as they are now."""
    at = min((locked.counted_at or now for locked in hold.lost), default=now)
    order = None if known is None else known.order
    if known is None or order is None:
        message = "The order gave up its coupons before it was paid, and its amounts aren't known."
        return _Lost([], [_lost_refused(state, locked, Reason.LOCK_EXPIRED, message) for locked in hold.lost], at)
    earlier: list[ActiveRedemption | LockedUse] = [*before_returns(known.redemptions.values()), *hold.uses]
    # The order's row doesn't keep the segments that it named; those that the ledger knows by now count.
    customer = None if known.customer is None else replace(known.customer, segments=None)
    as_placed = RedeemCoupons(command.command_id, order, customer=customer, at=at, channel=command.channel)
    request = Request(as_placed, state, now, at, hold.customer_key, order=order, order_id=command.order_id)
    request.existing = existing_coupons(state, earlier)
    in_currency = [use for use in earlier if use.currency == order.currency]
    request.basket = basket_of(order, in_currency, state.campaigns)
    offers: list[ResolvedOffer] = []
    refused: list[RefusedCoupon] = []
    for locked in hold.lost:
        if locked.coupon_id in known.redemptions:
            continue
        judged = _judge_one(request, as_placed, locked)
        if isinstance(judged, ResolvedOffer):
            offers.append(judged)
        else:
            refused.append(judged)
    if not offers:
        return _Lost([], refused, at)
    applied, others = choose(request, offers)
    return _Lost(applied, refused + others, at)


def _judge_one(request: Request, as_placed: RedeemCoupons, locked: LockedUse) -> ResolvedOffer | RefusedCoupon:
    coupon, campaign = request.state.coupons.get(locked.coupon_id), request.state.campaigns.get(locked.campaign_id)
    if coupon is None or campaign is None:
        message = "The coupon that the order held does not exist any more."
        return _lost_refused(request.state, locked, Reason.NOT_FOUND, message)
    if not locked.uses:
        return judge_recurring(request, coupon.code, coupon, campaign)
    # The order gave the validation code when it was placed.
    command = replace(as_placed, validation_code=campaign.validation_code)
    return judge(replace(request, command=command), coupon.code, coupon)


def _lost_refused(state: State, locked: LockedUse, reason: Reason, message: str) -> RefusedCoupon:
    coupon = state.coupons.get(locked.coupon_id)
    if coupon is None:
        return RefusedCoupon(reason, message, None, locked.coupon_id, locked.campaign_id)
    return refuse(reason, message, coupon.code, coupon)


def _hold_expired(command: PayOrder, state: State, now: datetime, hold: LockState, change: OrderChange) -> Verdict:
    """Refuse a late payment: the expired hold was released, except coupons that the order has redeemed since."""
    known = state.orders.get(command.order_id)
    held = (*hold.uses, *hold.lost)
    lost = [locked for locked in held if known is None or locked.coupon_id not in known.redemptions]
    if held and not lost:
        return plain_verdict(command, "recorded", now, change)
    until = hold.expires_at.isoformat()
    message = f"The order held its coupons until {until}; the payment came later."
    refused = [
        replace(_lost_refused(state, locked, Reason.LOCK_EXPIRED, message), details={"expired_at": until})
        for locked in lost
    ]
    requested_count = 0 if known is None else known.requested_count
    return Verdict.all_refused(
        command.command_id, now,
        refused or [RefusedCoupon(Reason.LOCK_EXPIRED, message, details={"expired_at": until})],
        requested_count=max(requested_count, len(refused), 1), currency=_currency(hold), order_id=command.order_id,
        customer_key=hold.customer_key, change=change,
    )  # fmt: skip


def _currency(lock: LockState) -> str | None:
    uses = lock.uses or lock.lost
    return uses[0].currency if uses else None
