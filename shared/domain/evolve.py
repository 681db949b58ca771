"""Fold a verdict into the state, so that the next command of the batch is decided as if it were loaded afresh."""

from dataclasses import replace
from datetime import datetime

from shared.domain.coupons.issue import coupon_end
from shared.domain.model.campaign import Campaign
from shared.domain.model.coupon import Coupon, Hold, code_key
from shared.domain.model.customer import CustomerKey
from shared.domain.model.state import LockState, Meter, OrderState, State
from shared.domain.model.verdicts import LockChange, OrderChange, Transfer, Verdict
from shared.domain.offers.caps import period_keys
from shared.domain.orders.placing import lines_of
from shared.domain.orders.returns import standing_of

_OF_ORDERS = frozenset({"burned", "returned", "restored"})


def evolve(state: State, verdict: Verdict) -> None:
    """Apply a verdict's effect to `state` in place: what it moves, what becomes of locks and orders.

    Coupons, orders and locks that the state doesn't have are passed over, except those that the verdict itself makes.
    """
    if verdict.outcome == "issued":
        _add_issued(state, verdict)
    if verdict.segments is not None:
        person, segments = verdict.segments
        state.segments[person] = frozenset(segments)
    for order in verdict.orders:
        _note(state, order)
    for transfer in verdict.transfers:
        _move(state, transfer, verdict.decided_at)
    for change in verdict.locks:
        _change_lock(state, change)


def _add_issued(state: State, verdict: Verdict) -> None:
    for one in verdict.accepted:
        campaign = state.campaigns.get(one.campaign_id)
        shared = campaign is not None and campaign.code.shared_code is not None
        known = state.coupons.get(one.coupon_id)
        if known is None or not shared:
            limits = None if campaign is None else campaign.limits.uses_per_coupon
            state.coupons[one.coupon_id] = Coupon(
                one.coupon_id, one.code, one.campaign_id, "active", None if shared else verdict.customer_key, limits,
                starts_at=None if shared else one.starts_at,
                ends_at=None if campaign is None else coupon_end(campaign, one.starts_at),
            )  # fmt: skip
            if one.code:
                state.coupon_ids[code_key(one.code)] = one.coupon_id
        if verdict.natural_key is not None:
            state.issued.add((verdict.natural_key, one.campaign_id))


def _move(state: State, transfer: Transfer, decided_at: datetime) -> None:
    coupon = state.coupons.get(transfer.coupon_id)
    held, used = transfer.held_uses, transfer.used_uses
    if coupon is not None:
        coupon.held += held
        coupon.used += used
        if transfer.kind == "voided":
            coupon.status = "voided"
    campaign = state.campaigns.get(transfer.campaign_id)
    if campaign is not None:
        if campaign.meters_campaign:
            _meter(state, transfer, None)
        if campaign.meters_customers and transfer.customer_key is not None:
            _meter(state, transfer, transfer.customer_key)
        if campaign.limits.caps:
            _count_in_periods(state, transfer, campaign, decided_at)
    if transfer.order_id is not None and transfer.kind in _OF_ORDERS:
        _stand(state, transfer)


def _stand(state: State, transfer: Transfer) -> None:
    """What stands redeemed for an order, and for a subscription."""
    if transfer.subscription_id is not None:
        key = (transfer.subscription_id, transfer.coupon_id)
        state.subscriptions[key] = state.subscriptions.get(key, 0) + transfer.used_uses
    order = state.orders.get(transfer.order_id or "")
    if order is None:
        return
    if transfer.kind == "burned":
        order.standing[transfer.coupon_id] = standing_of(transfer)
    elif transfer.kind == "restored":
        order.standing.pop(transfer.coupon_id, None)
    elif (standing := order.standing.get(transfer.coupon_id)) is not None:
        left_minor = standing.discount_minor + transfer.used_minor
        order.standing[transfer.coupon_id] = replace(standing, discount_minor=left_minor)


def _meter(state: State, transfer: Transfer, customer_key: str | None) -> None:
    key = (transfer.campaign_id, customer_key)
    meter = state.meters.get(key)
    if meter is None:
        meter = state.meters[key] = Meter()
    meter.held += transfer.held_uses
    meter.used += transfer.used_uses
    meter.held_minor += transfer.held_minor
    meter.used_minor += transfer.used_minor
    if transfer.kind == "issued":
        meter.issued += 1


def _count_in_periods(state: State, transfer: Transfer, campaign: Campaign, decided_at: datetime) -> None:
    """Book an entry on the periods that it counts in; one without a time of its own counts when it is recorded."""
    issued = 1 if transfer.kind == "issued" else 0
    if not (issued or transfer.held_uses or transfer.used_uses):
        return
    for key in period_keys(campaign, transfer.customer_key, transfer.counted_at or decided_at):
        meter = state.period_meters.get(key)
        if meter is None:
            meter = state.period_meters[key] = Meter()
        meter.issued += issued
        meter.held += transfer.held_uses
        meter.used += transfer.used_uses


def _change_lock(state: State, change: LockChange) -> None:
    """The lock as it is from now on, and the holds of the coupons in it, which exist while it is open."""
    reference = change.lock_reference
    lock = state.locks.get(reference)
    if lock is None:
        if change.expires_at is None:
            return
        lock = state.locks[reference] = LockState(reference, change.status, change.expires_at)
    for locked in lock.uses:
        coupon = state.coupons.get(locked.coupon_id)
        if coupon is not None:
            coupon.holds = [hold for hold in coupon.holds if hold.lock_reference != reference]
    lock.status = change.status
    if change.uses is not None:
        lock.uses = change.uses
    if change.status == "open":
        lock.customer_key, lock.order_id = change.customer_key, change.order_id
        lock.expires_at = change.expires_at or lock.expires_at
        for locked in lock.uses:
            coupon = state.coupons.get(locked.coupon_id)
            if coupon is not None:
                coupon.holds.append(Hold(reference, locked.uses, lock.customer_key, lock.order_id))
    elif change.order_id is not None:
        lock.order_id = change.order_id


def _note(state: State, change: OrderChange) -> None:
    order = state.orders.get(change.order_id)
    if order is None:
        order = state.orders[change.order_id] = OrderState(change.order_id, change.status)
    before = order.customer_key
    order.status = change.status
    order.placed_at = change.placed_at or order.placed_at
    order.paid_at = change.paid_at or order.paid_at
    order.cancelled_at = change.cancelled_at or order.cancelled_at
    order.returned_at = change.returned_at or order.returned_at
    if change.customer is not None:
        order.customer = change.customer
    order.customer_key = change.customer_key or order.customer_key
    order.currency = change.currency or order.currency
    if change.requested_count is not None:
        order.requested_count = change.requested_count
    if change.amount_minor is not None:
        order.amount_minor = change.amount_minor
    if change.lines is not None:
        order.lines = lines_of(change.lines)
    if change.returns is not None:
        order.returns = change.returns
    _note_whose(state, order, before)


def _note_whose(state: State, order: OrderState, before: CustomerKey | None) -> None:
    """Whose standing orders it counts among from now on; `before`: the customer it had until now, maybe another."""
    if (former := state.orders_of.get(before or "")) is not None:
        former.discard(order.order_id)
    if order.status in {"placed", "paid"} and (theirs := state.orders_of.get(order.customer_key or "")) is not None:
        theirs.add(order.order_id)
