"""The entry point of the domain: decide commands, and apply their verdicts to the state.

    verdict = decide(command, state, now)
    evolve(state, verdict)

`decide` is pure and total: it changes nothing, reads only its arguments, and decides every well-formed command.
The commands of a batch are decided in sequence on one state, and each verdict is applied before the next command. The
result is the same as if each command ran on its own.
"""

from dataclasses import replace
from datetime import datetime
from typing import assert_never

from shared.domain.coupons.change import change, void
from shared.domain.coupons.create import create
from shared.domain.coupons.issue import issue
from shared.domain.coupons.locks import expire, lock, release
from shared.domain.coupons.revoke import revoke, void_restored
from shared.domain.evolve import evolve
from shared.domain.model.commands import (
    ChangeCoupon,
    Command,
    CreateCoupons,
    ExpireLock,
    IssueCoupons,
    LockCoupons,
    RecordCustomer,
    ReleaseLock,
    RevokeReward,
    VoidCoupon,
)
from shared.domain.model.order_commands import (
    CancelOrder,
    FailPayment,
    OrderCommand,
    PayOrder,
    RedeemCoupons,
    ReturnOrder,
)
from shared.domain.model.state import State
from shared.domain.model.verdicts import Verdict
from shared.domain.orders.changes import cancel, return_order
from shared.domain.orders.payment import fail_payment, pay
from shared.domain.orders.redeem import redeem
from shared.domain.tenancy import state_for_caller, verdict_for_caller

__all__ = ["decide", "evolve"]


def decide(command: Command, state: State, now: datetime) -> Verdict:
    """Return the verdict on `command` for `state` at `now` (the database's time, UTC)."""
    if command.at is not None and command.at > now and isinstance(command, OrderCommand):
        command = not_later(command, now) if isinstance(command, RedeemCoupons) else replace(command, at=now)
    if command.groups is None:
        verdict = _decide(command, state, now)
    else:
        verdict = verdict_for_caller(command, state, _decide(command, state_for_caller(command, state), now))
    for entry in verdict.entries:
        if entry.kind == "restored":
            verdict = void_restored(verdict, state)
            break
    if isinstance(command, RedeemCoupons) and command.metadata is not None:
        verdict = replace(verdict, metadata=command.metadata)
    customer = command.customer
    if customer is not None and customer.segments is not None:
        # The customer's segments are recorded even if the command is refused.
        customer_key = state.customers.get(command.command_id)
        verdict = verdict if customer_key is None else replace(verdict, segments=(customer_key, customer.segments))
    return verdict


def _decide(command: Command, state: State, now: datetime) -> Verdict:  # noqa: PLR0911, PLR0912 - one per command
    """Return the verdict. Frequent commands come first, because the cases are tried in order."""
    match command:
        case RedeemCoupons():
            return redeem(command, state, now)
        case IssueCoupons():
            return issue(command, state, now)
        case PayOrder():
            return pay(command, state, now)
        case LockCoupons():
            return lock(command, state, now)
        case ReleaseLock():
            return release(command, state, now)
        case ExpireLock():
            return expire(command, state, now)
        case FailPayment():
            return fail_payment(command, state, now)
        case CancelOrder():
            return cancel(command, state, now)
        case ReturnOrder():
            return return_order(command, state, now)
        case RecordCustomer():
            return _record_customer(command, state, now)
        case CreateCoupons():
            return create(command, state, now)
        case VoidCoupon():
            return void(command, state, now)
        case ChangeCoupon():
            return change(command, state, now)
        case RevokeReward():
            return revoke(command, state, now)
        case _:
            assert_never(command)


def not_later(command: RedeemCoupons, now: datetime) -> RedeemCoupons:
    """Return the command, with the time `now` if it has a later one: another system's clock may be fast."""
    if command.at is None or command.at <= now:
        return command
    placed_at = command.order.placed_at
    order = command.order if placed_at is None or placed_at <= now else replace(command.order, placed_at=now)
    return replace(command, at=now, order=order)


def _record_customer(command: RecordCustomer, state: State, now: datetime) -> Verdict:
    """Return the verdict that records what the command states about the customer."""
    return Verdict(command.command_id, "recorded", now, customer_key=state.customers.get(command.command_id))
