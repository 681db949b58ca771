"""Callers that are limited to campaign groups: hide other campaigns from them.

A command that carries `groups` is decided on a state without the coupons, campaigns and locks of other groups, so a
coupon of another group gets the same response as one that doesn't exist. A campaign without a group is in no group.

Callers choose shop ids, order ids and lock references in one common namespace. A command can't change an order with
uses of another group, nor add coupons to it; a lock reference with uses of another group counts as taken.
"""

from collections.abc import Iterable
from dataclasses import replace

from shared.domain.model.commands import Command, CreateCoupons, IssueCoupons, LockCoupons
from shared.domain.model.ids import order_text
from shared.domain.model.order_commands import CancelOrder, FailPayment, RedeemCoupons, ReturnOrder
from shared.domain.model.reasons import Reason
from shared.domain.model.state import ActiveRedemption, LockedUse, State
from shared.domain.model.verdicts import RefusedCoupon, Verdict


def state_for_caller(command: Command, state: State) -> State:
    """Return the state without what is hidden from the caller of `command`."""
    groups = command.groups
    if groups is None:
        return state
    if isinstance(command, IssueCoupons | CreateCoupons):
        campaigns = {name: campaign for name, campaign in state.campaigns.items() if campaign.group in groups}
        return replace(state, campaigns=campaigns)
    locks = dict(state.locks)
    for reference, lock in state.locks.items():
        if _all_visible(state, groups, (*lock.uses, *lock.lost)):
            continue
        if isinstance(command, LockCoupons):  # treat the reference as taken, like that of a burned lock
            locks[reference] = replace(lock, status="burned", uses=(), order_id=None)
        else:
            del locks[reference]
    orders, order_id = state.orders, command.named_order
    if order_id is not None and not _is_order_visible(state, groups, order_id):
        orders = {name: one for name, one in orders.items() if name != order_id}
    codes = {
        key: one for key, one in state.coupon_ids.items() if _is_visible(state, groups, state.coupons[one].campaign_id)
    }
    return replace(state, coupon_ids=codes, locks=locks, orders=orders)


def verdict_for_caller(command: Command, state: State, verdict: Verdict) -> Verdict:
    """Return the verdict for the caller of `command`: it names nothing of other groups and changes nothing there."""
    groups = command.groups
    if groups is None:
        return verdict
    if isinstance(command, CancelOrder | FailPayment | ReturnOrder):
        if not _is_order_visible(state, groups, command.order_id):
            verdict = replace(verdict, entries=(), locks=(), orders=())
        # The currency would reveal that the order id exists for another group.
        return verdict if verdict.accepted else replace(verdict, currency=None)
    if isinstance(command, RedeemCoupons) and not _is_order_visible(state, groups, command.order.order_id):
        return _order_taken(command, verdict) if verdict.accepted else replace(verdict, orders=())
    if isinstance(command, CreateCoupons):
        return replace(verdict, refused=tuple([_without_owner(refusal, state, groups) for refusal in verdict.refused]))
    return verdict


def _order_taken(command: RedeemCoupons, verdict: Verdict) -> Verdict:
    order_id = command.order.order_id
    refused = RefusedCoupon(
        Reason.ORDER_MISMATCH, f"Order id {order_text(order_id)} is taken; use another id for your order."
    )
    return Verdict(
        verdict.command_id, "refused", verdict.decided_at, refused=(refused,), requested_count=verdict.requested_count,
        order_id=order_id, customer_key=verdict.customer_key,
    )  # fmt: skip


def _without_owner(refused: RefusedCoupon, state: State, groups: frozenset[str]) -> RefusedCoupon:
    owner = refused.details.get("campaign_id")
    if refused.reason is not Reason.CODE_TAKEN or owner is None or _is_visible(state, groups, owner):
        return refused
    return replace(refused, message=f"The code {(refused.code or '').strip()!r} exists already.", details={})


def _is_order_visible(state: State, groups: frozenset[str], order_id: str) -> bool:
    order = state.orders.get(order_id)
    redemptions: Iterable[ActiveRedemption] = () if order is None else order.redemptions.values()
    held = [use for lock in state.locks.values() if lock.order_id == order_id for use in (*lock.uses, *lock.lost)]
    return _all_visible(state, groups, redemptions) and _all_visible(state, groups, held)


def _all_visible(state: State, groups: frozenset[str], uses: Iterable[ActiveRedemption | LockedUse]) -> bool:
    return all(_is_visible(state, groups, use.campaign_id) for use in uses)


def _is_visible(state: State, groups: frozenset[str], campaign_id: str) -> bool:
    campaign = state.campaigns.get(campaign_id)
    return campaign is not None and campaign.group in groups
