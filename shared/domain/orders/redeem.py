"""Redeem: use coupons on an order at once, or hold them until payment (with `COUPONRY_BURN_ON=paid`).

A repeated event keeps the redeemed and held coupons of the order; only codes that it newly names are judged. Coupons
are judged one by one, or all or nothing (`atomic`).
"""

from dataclasses import replace
from datetime import datetime

from shared.domain.coupons.entries import (
    accepted,
    burned,
    counted_at,
    held,
    lock_changes,
    released,
    subscription_of,
    taken_into_lock,
    uses_of,
)
from shared.domain.model.clock import later
from shared.domain.model.commands import RedeemCoupons
from shared.domain.model.ids import redemption_id
from shared.domain.model.state import LockedUse, LockState, State, is_holding, order_hold
from shared.domain.model.verdicts import (
    AcceptedCoupon,
    LedgerEntry,
    LockChange,
    OrderChange,
    Outcome,
    RefusedCoupon,
    Verdict,
    new_verdict,
)
from shared.domain.offers.price import AppliedOffer
from shared.domain.offers.request import Request
from shared.domain.offers.stack import choose, refused_with, sorted_refusals
from shared.domain.offers.unread import refused_themselves
from shared.domain.orders.life_cycle import Effect, paid_since_closed
from shared.domain.orders.placing import Placing, judge_named, lines_of, parts_for, placing_change, placing_of
from shared.domain.orders.returns import Goods, active_redemption, goods_of, shares


def redeem(command: RedeemCoupons, state: State, now: datetime) -> Verdict:
    """Judge the coupons of an order and use (or hold) those that it may use."""
    if not command.priced:
        command = _with_currency_of_lock(command, state)
    order = command.order
    placing = placing_of(command, state, now)
    request, known, effect, placed_again = placing.request, placing.known, placing.effect, placing.placed_again
    offers, refused = judge_named(command, placing)
    if command.unread:
        refused += refused_themselves(command)
    change = placing_change(command, known, request.customer_key, now, placed_again=placed_again)
    if known is not None and placing.all_returned:
        change = OrderChange(order.order_id, "returned", returned_at=known.returned_at)
    if not offers and not refused:
        # Keep the customer: other commands of the batch may depend on whether this is the customer's first order.
        outcome: Outcome = "unchanged" if change is None or known is None else "recorded"
        return Verdict(
            command.command_id, outcome, now, currency=order.currency, order_id=order.order_id,
            customer_key=request.customer_key, orders=() if change is None else (change,),
        )  # fmt: skip
    applied: list[AppliedOffer] = []
    if offers:
        applied, others = choose(request, offers)
        refused += others
        if not command.priced:
            applied = [_as_held(use) for use in applied]
    if command.atomic and refused and applied:
        refused = sorted_refusals(refused)
        refused += refused_with(applied, refused[0], command.lock_reference)
        applied = []
    if len(refused) > 1:
        refused = sorted_refusals(refused)
    if not applied:
        return Verdict.all_refused(
            command.command_id, now, refused, requested_count=command.named or len(refused), currency=order.currency,
            order_id=order.order_id, lock_reference=command.lock_reference, customer_key=request.customer_key,
            change=change,
        )  # fmt: skip
    if command.hold and not (known is not None and effect == Effect.JUDGE and paid_since_closed(known)):
        return _hold(command, request, applied, refused, change)
    return _burn(command, placing, applied, refused, change)


def _with_currency_of_lock(command: RedeemCoupons, state: State) -> RedeemCoupons:
    lock = state.locks.get(command.lock_reference or "")
    held = None if lock is None else next((use.currency for use in lock.uses if use.currency is not None), None)
    return command if held is None else replace(command, order=replace(command.order, currency=held))


def _as_held(applied: AppliedOffer) -> AppliedOffer:
    """Return the discount on an order without a price: what the lock held for the coupon, or zero."""
    locked = applied.offer.locked
    if locked is None:
        return AppliedOffer(applied.offer, 0)
    return AppliedOffer(applied.offer, locked.one_use_minor, locked.lines if locked.uses == 1 else ())


def _goods(request: Request, change: OrderChange | None) -> Goods:
    """Return the goods of the order after `change`."""
    known = request.state.orders.get(request.order_id or "")
    if change is not None and change.lines is not None:
        return Goods(lines_of(change.lines), change.amount_minor or 0, change.currency)
    return Goods((), 0, None) if known is None else goods_of(known)


def _customer_of(request: Request, applied: AppliedOffer) -> str | None:
    """Return the customer whose use it is: the order's, or for a guest order the lock's."""
    if request.customer_key is None and applied.offer.lock is not None:
        return applied.offer.lock.customer_key
    return request.customer_key


def _burn(
    command: RedeemCoupons,
    placing: Placing,
    applied: list[AppliedOffer],
    refused: list[RefusedCoupon],
    change: OrderChange | None,
) -> Verdict:
    order, request = command.order, placing.request
    redemption = redemption_id(command.command_id)
    accepted_coupons: list[AcceptedCoupon] = []
    entries: tuple[LedgerEntry, ...] = ()
    total, locked = 0, False
    customer_key = request.customer_key
    for use in applied:
        customer_key = _customer_of(request, use)
        accepted_coupons.append(accepted(use))
        entries += burned(use, customer_key, order, redemption, request.at)
        total += use.discount_minor or 0
        locked = locked or use.offer.lock is not None
    if placing.known is not None and placing.known.returns:  # parts were returned before these coupons are burned
        returns = parts_for(command, placing.known, request.now, placed_again=placing.placed_again)
        burned_now = [active_redemption(entry) for entry in entries if entry.order_id is not None]
        goods = _goods(request, change)
        entries += tuple(
            shares(burned_now, request.state.campaigns, goods, order_id=order.order_id, before=(), after=returns)
        )
    return new_verdict(
        command.command_id, "redeemed", request.now, accepted=tuple(accepted_coupons), refused=tuple(refused),
        requested_count=command.named or len(applied) + len(refused), discount_minor=total, currency=order.currency,
        order_id=order.order_id, redemption_id=redemption, lock_reference=command.lock_reference,
        customer_key=customer_key, entries=entries,
        locks=tuple(lock_changes(applied, order.order_id)) if locked else (),
        orders=() if change is None else (change,),
    )  # fmt: skip


def _hold(
    command: RedeemCoupons,
    request: Request,
    applied: list[AppliedOffer],
    refused: list[RefusedCoupon],
    change: OrderChange | None,
) -> Verdict:
    """Hold the applied coupons under the order's own lock, in addition to those it holds already."""
    order, reference = command.order, order_hold(command.order.order_id)
    expires_at = later(request.now, command.hold_seconds)
    before = request.state.locks.get(reference)
    customer_key = _customer_of(request, applied[0]) if request.customer_key is None else request.customer_key
    uses, entries = _held_before(before, request.now, customer_key, order.order_id)
    known = request.state.orders.get(order.order_id)
    requested_count = len(applied) + len(refused) + (known.requested_count if uses and known is not None else 0)
    accepted_coupons: list[AcceptedCoupon] = []
    total = 0
    for use in applied:
        discount = use.discount_minor or 0
        coupon = use.offer.coupon
        locked = LockedUse(
            coupon.coupon_id, coupon.campaign_id, uses=uses_of(use.offer), discount_minor=discount,
            currency=order.currency, lines=use.shares, counted_at=counted_at(use, request.at),
            subscription_id=subscription_of(use.offer, order),
        )  # fmt: skip
        uses.append(locked)
        entries += held(use, customer_key, order.order_id, reference, locked)
        accepted_coupons.append(accepted(use))
        total += discount
    order_change = OrderChange(
        order.order_id, "placed" if change is None else change.status,
        placed_at=None if change is None else change.placed_at,
        customer=command.customer, customer_key=customer_key, currency=order.currency if command.priced else None,
        amount_minor=order.amount_minor if command.priced else None, requested_count=requested_count,
        lines=order.lines if command.priced else None, returns=None if change is None else change.returns,
    )  # fmt: skip
    hold = LockChange(
        reference, "open", customer_key=customer_key, order_id=order.order_id, expires_at=expires_at, uses=tuple(uses)
    )
    return Verdict(
        command.command_id, "held", request.now, accepted=tuple(accepted_coupons), refused=tuple(refused),
        requested_count=len(applied) + len(refused), discount_minor=total, currency=order.currency,
        order_id=order.order_id, lock_reference=reference, expires_at=expires_at, customer_key=customer_key,
        entries=tuple(entries), locks=(*lock_changes(applied, order.order_id), hold), orders=(order_change,),
    )  # fmt: skip


def _held_before(
    before: LockState | None, now: datetime, customer_key: str | None, order_id: str
) -> tuple[list[LockedUse], list[LedgerEntry]]:
    """Return the uses that the order's hold keeps, and the ledger entries for keeping or releasing them."""
    if before is None or before.status != "open":
        return [], []
    if not is_holding(before, now):  # expired: release what it held and start empty
        return [], [released(before, locked) for locked in before.uses]
    entries: list[LedgerEntry] = []
    if before.customer_key != customer_key:  # a guest order now names its customer, who takes over the hold
        for locked in before.uses:
            entries.append(released(before, locked))
            entries.append(taken_into_lock(locked, customer_key, order_id, before.lock_reference))
    return list(before.uses), entries
