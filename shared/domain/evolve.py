"""Apply a verdict to the state, so that the next command of the batch is decided as if the state were loaded again."""

from dataclasses import replace
from datetime import datetime

from shared.domain.coupons.change import status_after_undoing
from shared.domain.coupons.entries import active_redemption
from shared.domain.coupons.issue import coupon_end
from shared.domain.model.campaign import Campaign
from shared.domain.model.coupon import Coupon, Hold, code_key
from shared.domain.model.customer import CustomerKey
from shared.domain.model.state import LockState, Meter, OrderState, State, order_hold
from shared.domain.model.verdicts import LedgerEntry, LockChange, OrderChange, Verdict
from shared.domain.offers.exhausted import period_keys

_OF_ORDERS = frozenset({"burned", "adjusted", "returned", "restored"})
_WITHOUT_USES = frozenset({"voided", "unvoided", "extended"})
"""Entries that change a coupon but no use of it, and no running total."""


def evolve(state: State, verdict: Verdict) -> None:
    """Apply a verdict's effects to `state` in place: its entries, and its changes of locks and orders.

    Coupons, orders and locks that the state doesn't have are ignored, except those that the verdict itself creates.
    """
    if verdict.outcome == "issued":
        _add_issued(state, verdict)
    if verdict.segments is not None:
        customer_key, segments = verdict.segments
        state.segments[customer_key] = frozenset(segments)
    for order in verdict.orders:
        _apply_order_change(state, order)
    for entry in verdict.entries:
        _apply_entry(state, entry, verdict.decided_at)
    for change in verdict.locks:
        _change_lock(state, change)
    if verdict.revocation is not None:
        state.revoked.add(verdict.revocation.occasion)
        for coupon_id in verdict.revocation.used:
            state.coupons[coupon_id].revoked = True


def _add_issued(state: State, verdict: Verdict) -> None:
    for issued in verdict.accepted:
        campaign = state.campaigns.get(issued.campaign_id)
        shared = campaign is not None and campaign.code.shared_code is not None
        known = state.coupons.get(issued.coupon_id)
        if known is None or not shared:
            limits = None if campaign is None else campaign.limits.uses_per_coupon
            state.coupons[issued.coupon_id] = Coupon(
                issued.coupon_id, issued.code, issued.campaign_id, "active",
                None if shared else verdict.customer_key, limits,
                starts_at=None if shared else issued.starts_at,
                ends_at=None if campaign is None else coupon_end(campaign, issued.starts_at),
            )  # fmt: skip
            if issued.code:
                state.coupon_ids[code_key(issued.code)] = issued.coupon_id
        if verdict.natural_key is not None:
            state.issued.add((verdict.natural_key, issued.campaign_id))
            if not shared:
                state.issued_for.setdefault(verdict.natural_key, []).append(issued.coupon_id)


def _apply_entry(state: State, entry: LedgerEntry, decided_at: datetime) -> None:
    if entry.kind in _WITHOUT_USES:
        _change_coupon(state, entry)
        return
    coupon = state.coupons.get(entry.coupon_id)
    if coupon is not None:
        coupon.held += entry.held_uses
        coupon.used += entry.used_uses
    campaign = state.campaigns.get(entry.campaign_id)
    if campaign is not None:
        if campaign.meters_campaign:
            _meter(state, entry, None)
        if campaign.meters_customers and entry.customer_key is not None:
            _meter(state, entry, entry.customer_key)
        if campaign.limits.caps:
            _count_in_periods(state, entry, campaign, decided_at)
    if entry.order_id is not None and entry.kind in _OF_ORDERS:
        _update_redemptions(state, entry)


def _change_coupon(state: State, entry: LedgerEntry) -> None:
    coupon = state.coupons.get(entry.coupon_id)
    if coupon is None:
        return
    if entry.kind == "voided":
        coupon.status, coupon.revoked = "voided", False
    elif entry.kind == "unvoided":
        coupon.status = status_after_undoing(coupon, state.campaigns.get(entry.campaign_id))
    elif entry.end is not None:
        coupon.ends_at = entry.end.after


def _update_redemptions(state: State, entry: LedgerEntry) -> None:
    """Update the active redemptions of the order, and the active uses of its subscription."""
    if entry.subscription_id is not None:
        key = (entry.subscription_id, entry.coupon_id)
        state.subscriptions[key] = state.subscriptions.get(key, 0) + entry.used_uses
        if entry.kind == "burned":
            state.cycles.setdefault(key, {})[entry.order_id or ""] = True
        elif entry.kind == "restored":
            state.cycles.get(key, {}).pop(entry.order_id or "", None)
    order = state.orders.get(entry.order_id or "")
    if order is None:
        return
    if entry.kind == "burned":
        order.redemptions[entry.coupon_id] = active_redemption(entry)
    elif entry.kind == "restored":
        order.redemptions.pop(entry.coupon_id, None)
    elif entry.redemption_id is not None and (redemption := order.redemptions.get(entry.coupon_id)) is not None:
        now = replace(redemption, discount_minor=redemption.discount_minor + entry.used_minor)
        if entry.kind == "adjusted":
            now = replace(now, burned_minor=redemption.burned_minor + entry.used_minor, lines=entry.lines)
        order.redemptions[entry.coupon_id] = now


def _meter(state: State, entry: LedgerEntry, customer_key: str | None) -> None:
    key = (entry.campaign_id, customer_key)
    meter = state.meters.get(key)
    if meter is None:
        meter = state.meters[key] = Meter()
    meter.held += entry.held_uses
    meter.used += entry.used_uses
    meter.held_minor += entry.held_minor
    meter.used_minor += entry.used_minor
    if entry.kind == "issued":
        meter.issued += 1


def _count_in_periods(state: State, entry: LedgerEntry, campaign: Campaign, decided_at: datetime) -> None:
    """Count an entry in its periods. An entry without a time of its own counts when it is recorded."""
    issued = 1 if entry.kind == "issued" else 0
    if not (issued or entry.held_uses or entry.used_uses):
        return
    coupon_id = None if issued else entry.coupon_id
    for _, key in period_keys(campaign, entry.customer_key, coupon_id, entry.counted_at or decided_at):
        meter = state.period_meters.get(key)
        if meter is None:
            meter = state.period_meters[key] = Meter()
        meter.issued += issued
        meter.held += entry.held_uses
        meter.used += entry.used_uses


def _change_lock(state: State, change: LockChange) -> None:
    """Update the lock, and the holds of its coupons, which exist while it is open."""
    reference = change.lock_reference
    lock = state.locks.get(reference)
    if lock is None:
        if change.expires_at is None:
            return
        lock = state.locks[reference] = LockState(reference, change.status, change.expires_at)
    _hold_cycles(state, lock, held=False)
    for locked in lock.uses:
        coupon = state.coupons.get(locked.coupon_id)
        if coupon is not None:
            coupon.holds = [hold for hold in coupon.holds if hold.lock_reference != reference]
    lock.status = change.status
    if change.uses is not None:
        lock.uses = change.uses
    if change.lost is not None:
        lock.lost = change.lost
    if change.status == "open":
        lock.customer_key, lock.order_id = change.customer_key, change.order_id
        lock.expires_at = change.expires_at or lock.expires_at
        for locked in lock.uses:
            coupon = state.coupons.get(locked.coupon_id)
            if coupon is not None:
                coupon.holds.append(Hold(reference, locked.uses, lock.customer_key, lock.order_id))
        _hold_cycles(state, lock, held=True)
    elif change.order_id is not None:
        lock.order_id = change.order_id
    if lock.is_of_order and (order := state.orders.get(lock.order_id or "")) is not None:
        _update_orders_of(state, order, order.customer_key)


def _hold_cycles(state: State, lock: LockState, *, held: bool) -> None:
    """Count the cycles that an unpaid order holds, or stop counting those that it hasn't redeemed."""
    order_id = lock.order_id
    for locked in lock.uses if order_id is not None else ():
        if locked.subscription_id is None or order_id is None:
            continue
        orders = state.cycles.setdefault((locked.subscription_id, locked.coupon_id), {})
        order = state.orders.get(order_id)
        if held:
            orders[order_id] = True
        elif order is None or locked.coupon_id not in order.redemptions:
            orders.pop(order_id, None)


def _apply_order_change(state: State, change: OrderChange) -> None:
    order = state.orders.get(change.order_id)
    if order is None:
        order = state.orders[change.order_id] = OrderState(change.order_id, change.status)
    before = order.customer_key
    order.status = change.status
    if change.placed_at is not None:
        order.first_placed_at = min(change.placed_at, order.first_placed_at or change.placed_at)
        order.placed_at = max(change.placed_at, order.placed_at or change.placed_at)
    order.paid_at = change.paid_at or order.paid_at
    order.cancelled_at = change.cancelled_at or order.cancelled_at
    order.returned_at = change.returned_at or order.returned_at
    if change.customer is not None:
        order.customer = change.customer
    order.changed_at = change.changed_at or order.changed_at
    order.customer_key = change.customer_key or order.customer_key
    if change.order is not None:
        order.order = change.order
    if change.codes is not None:
        order.codes = change.codes
    if change.requested_count is not None:
        order.requested_count = change.requested_count
    if change.returns is not None:
        order.returns = change.returns
    _update_orders_of(state, order, before)


def _counts_as_order(state: State, order: OrderState) -> bool:
    """Return whether the order is open. An unpaid order that has lost its hold isn't."""
    if order.status == "paid":
        return True
    hold = state.locks.get(order_hold(order.order_id))
    return order.status == "placed" and (hold is None or hold.status not in {"expired", "released"})


def _update_orders_of(state: State, order: OrderState, before: CustomerKey | None) -> None:
    """Update the open orders of the order's customer and of `before`, its previous customer."""
    if (former := state.orders_of.get(before or "")) is not None:
        former.discard(order.order_id)
    if _counts_as_order(state, order) and (theirs := state.orders_of.get(order.customer_key or "")) is not None:
        theirs.add(order.order_id)
