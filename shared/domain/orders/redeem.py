"""Redeem: use coupons on an order at once, or hold them until payment (with `COUPONRY_BURN_ON=paid`).

A request that adds to its order keeps the redeemed and held coupons of the order; only codes that it newly names are
judged. Coupons are judged one by one, or all or nothing (`atomic`).
"""

from dataclasses import replace
from datetime import datetime

from shared.domain.coupons.entries import (
    accepted,
    accepted_use,
    active_redemption,
    burned,
    lock_changes,
    released,
    taken_into_lock,
)
from shared.domain.model.clock import later
from shared.domain.model.ids import redemption_id
from shared.domain.model.order_commands import RedeemCoupons
from shared.domain.model.state import ActiveRedemption, LockedUse, LockState, OrderState, State, is_holding, order_hold
from shared.domain.model.verdicts import (
    AcceptedCoupon,
    KeptCoupon,
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
from shared.domain.offers.stack import choose
from shared.domain.orders.change import change
from shared.domain.orders.classify import last_version_at
from shared.domain.orders.closed import paid_since_closed
from shared.domain.orders.life_cycle import Effect
from shared.domain.orders.mismatch import is_mismatch, mismatch
from shared.domain.orders.named import judge_named
from shared.domain.orders.placing import Placing, codes_with, parts_for, placing_change, placing_of, placing_time
from shared.domain.orders.return_shares import shares
from shared.domain.orders.returns import paid_minor
from shared.domain.orders.uses import all_or_nothing, customer_of, hold_uses, without


def redeem(command: RedeemCoupons, state: State, now: datetime, paid: int | None = None) -> Verdict:
    """Judge the coupons of an order and use (or hold) those that it may use.

    `paid`: what its goods cost after discounts, None before the coupons are judged.
    """
    if not command.priced:
        command = _with_currency_of_lock(command, state)
    order = command.order
    placing = placing_of(command, state, now, paid=paid)
    request, known, placed_again = placing.request, placing.known, placing.placed_again
    if known is not None and (settled := _settled(command, placing, known)) is not None:
        return settled
    offers, refused = judge_named(command, placing)
    changed = placing_change(command, known, request.customer_key, now, placed_again=placed_again)
    if known is not None and placing.all_returned:
        changed = OrderChange(order.order_id, "returned", returned_at=known.returned_at)
    if not offers and not refused:
        return _without_coupons(command, placing, changed)
    applied: list[AppliedOffer] = []
    if offers:
        applied, others = choose(request, offers)
        refused += others
        if not command.priced:
            applied = [_as_held(use) for use in applied]
    if refused:
        applied, refused = all_or_nothing(command, applied, refused)
    if known is not None and known.returns and applied and paid is None:
        refunded = _refunded_before(command, placing, applied)
        if refunded is not None:
            return redeem(command, state, now, refunded)
    if not applied:
        return Verdict.all_refused(
            command.command_id, now, refused, requested_count=command.named or len(refused), currency=order.currency,
            order_id=order.order_id, lock_reference=command.lock_reference, customer_key=request.customer_key,
            change=changed,
        )  # fmt: skip
    is_paid = known is not None and placing.row.effect is Effect.JUDGE and paid_since_closed(known)
    if command.hold and not is_paid:
        return _hold(command, request, applied, refused, changed)
    return _burn(command, placing, applied, refused, changed)


def _settled(command: RedeemCoupons, placing: Placing, known: OrderState) -> Verdict | None:
    """Return the verdict on a known order that isn't a request for further coupons, else None."""
    if placing.judges_all:
        return change(command, placing)
    if placing.row.effect is Effect.RECORD_TIME:
        return _record_time(command, placing, known)
    if placing.row.effect is not Effect.JUDGE and is_mismatch(command, placing):
        return mismatch(command, placing)
    return None


def _without_coupons(command: RedeemCoupons, placing: Placing, change: OrderChange | None) -> Verdict:
    """Return the verdict on an order that names no coupons, or only those that it has."""
    if change is None:
        return _nothing(command, placing)
    # Keep the customer: other commands of the batch may depend on whether this is the customer's first order.
    outcome: Outcome = "unchanged" if placing.known is None else "recorded"
    return Verdict(
        command.command_id, outcome, placing.request.now, currency=command.order.currency,
        order_id=command.order.order_id, customer_key=placing.request.customer_key, orders=(change,),
    )  # fmt: skip


def _refunded_before(command: RedeemCoupons, placing: Placing, applied: list[AppliedOffer]) -> int | None:
    """Return what the goods cost with these coupons if all of it was refunded before the order arrived, else None."""
    request, order = placing.request, command.order
    if placing.all_returned:
        return None
    paid = paid_minor(order, applied)
    return paid if placing_of(command, request.state, request.now, paid=paid).all_returned else None


def _record_time(command: RedeemCoupons, placing: Placing, known: OrderState) -> Verdict:
    """Return the verdict on an event with nothing new but its time. It shows the coupons that the order has."""
    request, hold = placing.request, placing.hold
    uses: list[ActiveRedemption | LockedUse] = [*known.redemptions.values(), *(() if hold is None else hold.uses)]
    if any(use.currency not in (None, command.order.currency) for use in uses):
        uses = []  # an older version, in another currency
    kept = [KeptCoupon(_as_it_is(request.state, use), use.discount_minor, request.customer_key) for use in uses]
    verdict = replace(_nothing(command, placing), kept=tuple(kept), requested_count=len(kept))
    placed_at, changed_at = placing_time(command, known), None
    if command.changed:  # from now on, an older version is one from before this time
        at, last_at = command.at or placing.request.now, last_version_at(known)
        changed_at = at if last_at is None or at > last_at else None
    if placed_at is None and changed_at is None:
        return verdict
    change = OrderChange(known.order_id, known.status, placed_at=placed_at, changed_at=changed_at)
    return replace(verdict, orders=(change,))


def _as_it_is(state: State, use: ActiveRedemption | LockedUse) -> AcceptedCoupon:
    """Return a coupon that the order has. The shares by line are those of the whole discount, before any return."""
    redemption = use.redemption_id if isinstance(use, ActiveRedemption) else None
    return replace(accepted_use(state, use, redemption), lines=use.lines)


def _nothing(command: RedeemCoupons, placing: Placing) -> Verdict:
    """Return the verdict on a request that left nothing to do."""
    return Verdict(
        command.command_id, "unchanged", placing.request.now, currency=command.order.currency,
        order_id=command.order.order_id, customer_key=placing.request.customer_key, why=placing.row.why,
    )  # fmt: skip


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
        customer_key = customer_of(request, use)
        accepted_coupons.append(accepted(use))
        entries += burned(use, customer_key, order, redemption, request.at)
        total += use.discount_minor or 0
        locked = locked or use.offer.lock is not None
    if placing.known is not None and placing.known.returns:  # parts were returned before these coupons are burned
        entries += _shares_of_earlier_parts(command, placing, entries)
    return new_verdict(
        command.command_id, "redeemed", request.now, accepted=tuple(accepted_coupons), refused=tuple(refused),
        requested_count=command.named or len(applied) + len(refused), discount_minor=total, currency=order.currency,
        order_id=order.order_id, redemption_id=redemption, lock_reference=command.lock_reference,
        customer_key=customer_key, entries=entries,
        locks=tuple(lock_changes(applied, order.order_id)) if locked else (),
        orders=() if change is None else (change,),
    )  # fmt: skip


def _shares_of_earlier_parts(
    command: RedeemCoupons, placing: Placing, entries: tuple[LedgerEntry, ...]
) -> tuple[LedgerEntry, ...]:
    """Return the entries that restore the shares of parts which were returned before the coupons are burned."""
    known, request, order = placing.known, placing.request, command.order
    content = order if command.priced else None if known is None else known.order
    if known is None or content is None:
        return ()
    returns = parts_for(command, known, request.now, placed_again=placing.placed_again)
    burned_now = [active_redemption(entry) for entry in entries if entry.order_id is not None]
    paid = paid_minor(content, [*known.redemptions.values(), *burned_now])
    others = known.redemptions.values()
    return tuple(shares(burned_now, request.state, content, paid=paid, before=(), after=returns, others=others))


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
    customer_key = customer_of(request, applied[0]) if request.customer_key is None else request.customer_key
    uses, entries = _held_before(before, request.now, customer_key, order.order_id)
    known = request.state.orders.get(order.order_id)
    requested_count = len(applied) + len(refused) + (known.requested_count if uses and known is not None else 0)
    new_uses, new_entries = hold_uses(command, request, applied, customer_key)
    uses += new_uses
    entries += new_entries
    order_change = OrderChange(
        order.order_id, "placed" if change is None else change.status,
        placed_at=None if change is None else change.placed_at,
        changed_at=None if change is None else change.changed_at, customer=command.customer,
        customer_key=customer_key, order=order if command.priced else None,
        codes=codes_with(known, command) if change is None or change.codes is None else change.codes,
        requested_count=requested_count, returns=None if change is None else change.returns,
    )  # fmt: skip
    lost = None if before is None or not before.lost else without(before.lost, new_uses)
    hold = LockChange(
        reference, "open", customer_key=customer_key, order_id=order.order_id, expires_at=expires_at, uses=tuple(uses),
        lost=lost,
    )  # fmt: skip
    return Verdict(
        command.command_id, "held", request.now, accepted=tuple([accepted(use) for use in applied]),
        refused=tuple(refused), requested_count=len(applied) + len(refused),
        discount_minor=sum(use.discount_minor or 0 for use in applied), currency=order.currency,
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
