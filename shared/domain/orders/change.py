"""Change an order: judge its coupons on what it is now.

Coupons that it has and that are still good keep their use, with the discount on the new order. Coupons that it no
longer names, or that are no longer good, are restored (if redeemed) or released (if held). Newly named codes are judged
like those of a new order. The uses that it has count as its own, so no limit stands in the way of keeping them.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import NamedTuple

from shared.domain.coupons.entries import (
    accepted,
    lock_changes,
)
from shared.domain.model.clock import later
from shared.domain.model.coupon import Coupon, code_key
from shared.domain.model.customer import CustomerKey
from shared.domain.model.ids import order_details, order_text, redemption_id
from shared.domain.model.order import Order
from shared.domain.model.order_commands import RedeemCoupons
from shared.domain.model.reasons import Reason
from shared.domain.model.state import ActiveRedemption, LockState, OrderState, PartReturn, order_hold
from shared.domain.model.verdicts import (
    LockChange,
    OrderChange,
    Outcome,
    RefusedCoupon,
    Verdict,
    refuse,
)
from shared.domain.offers.price import AppliedOffer
from shared.domain.offers.request import Request, ResolvedOffer
from shared.domain.offers.resolve import resolve_locked, resolve_used
from shared.domain.offers.rules import judge_order
from shared.domain.offers.stack import choose
from shared.domain.offers.unread import refused_themselves
from shared.domain.offers.work import Found, of_lock, too_much
from shared.domain.orders.closed import paid_since_closed
from shared.domain.orders.named import judge_lock, judge_new, named_coupons
from shared.domain.orders.placing import Placing, codes_with, parts_for, placing_change, placing_time
from shared.domain.orders.returns import is_fully_returned, paid_minor
from shared.domain.orders.settle import Effects, Use, restore_returned, restore_shares, settle_hold, settle_redemption
from shared.domain.orders.uses import all_or_nothing, customer_of, hold_uses


class _Returned(NamedTuple):
    """The parts of the order that were returned before it changed; `at`: when the last was, if they are all of it."""

    parts: tuple[PartReturn, ...]
    at: datetime | None


def change(command: RedeemCoupons, placing: Placing) -> Verdict:
    """Return the verdict on a request that changes a known order, or places again one that still has coupons."""
    request, known, hold = placing.request, placing.known, placing.hold
    if known is None:
        raise AssertionError("only a known order can change")
    has: dict[str, Use] = {use.coupon_id: use for use in (() if hold is None else hold.uses)}
    has |= known.redemptions
    named = _named(command, placing, has)
    ids = {coupon.coupon_id for _, coupon in named if coupon is not None} | _ids_of_lock(command, request)
    if not placing.placed_again:
        request.given_up = tuple([use for coupon_id, use in has.items() if coupon_id not in ids])
    offers, refused = _judge(command, placing, named, has)
    applied: list[AppliedOffer] = []
    if offers:
        applied, others = choose(request, offers)
        refused += others
    applied, refused = all_or_nothing(command, applied, refused)
    parts = parts_for(command, known, request.now, placed_again=placing.placed_again)
    returned = _Returned(parts, _all_returned_at(command.order, parts, applied))
    if returned.at is not None and _holds(command, known):  # nothing is held for a returned order
        refused += [_refused_as_returned(command, use, returned.at) for use in applied if _of(use) not in has]
        applied = [use for use in applied if _of(use) in known.redemptions]
    return _verdict(command, placing, has, applied, refused, returned=returned)


def _of(use: AppliedOffer) -> str:
    return use.offer.coupon.coupon_id


def _holds(command: RedeemCoupons, known: OrderState | None) -> bool:
    """Return whether newly named coupons are held until the order is paid."""
    return command.hold and not (known is not None and paid_since_closed(known))


def _all_returned_at(order: Order, parts: Sequence[PartReturn], applied: Iterable[AppliedOffer]) -> datetime | None:
    """Return when the last part of the changed order was returned, or None if something of it is left."""
    if not parts or not is_fully_returned(parts, order, paid_minor(order, applied)):
        return None
    return max(part.at for part in parts)


def _refused_as_returned(command: RedeemCoupons, use: AppliedOffer, returned_at: datetime) -> RefusedCoupon:
    order_id, at = command.order.order_id, returned_at.isoformat()
    message = f"All of order {order_text(order_id)} was returned at {at}."
    details = order_details(order_id) | {"returned_at": at}
    return refuse(Reason.ORDER_MISMATCH, message, use.offer.code, use.offer.coupon, details)


def _named(command: RedeemCoupons, placing: Placing, has: dict[str, Use]) -> list[tuple[str, Coupon | None]]:
    """Return the codes that the changed order names, each once, with their coupons, without those of a new lock.
    A request that only adds names the coupons that the order has. So does one that names the lock that the order
    burned, for the coupons that came from that lock.
    """
    state, known = placing.request.state, placing.known
    found = named_coupons(command, state, has)
    implied: Iterable[str] = ()
    if not command.complete:
        implied = has
    elif command.lock_reference is not None and _is_burned_by(command, placing):
        by_code = set(map(code_key, () if known is None or known.codes is None else known.codes))
        implied = [one for one in has if (coupon := state.coupons.get(one)) and code_key(coupon.code) not in by_code]
    ids = {coupon.coupon_id for _, coupon in found if coupon is not None}
    coupons = [state.coupons.get(coupon_id) for coupon_id in implied if coupon_id not in ids]
    return [*found, *[(coupon.code, coupon) for coupon in coupons if coupon is not None]]


def _is_burned_by(command: RedeemCoupons, placing: Placing) -> bool:
    lock = placing.request.state.locks.get(command.lock_reference or "")
    return lock is not None and lock.status == "burned" and lock.order_id == command.order.order_id


def _ids_of_lock(command: RedeemCoupons, request: Request) -> set[str]:
    lock = request.state.locks.get(command.lock_reference or "")
    return set() if lock is None or lock.status != "open" else {locked.coupon_id for locked in lock.uses}


def _judge(
    command: RedeemCoupons, placing: Placing, named: Found, has: dict[str, Use]
) -> tuple[list[ResolvedOffer], list[RefusedCoupon]]:
    request = placing.request
    refused = too_much(request, [*named, *of_lock(command, request.state, named)])
    offers: list[ResolvedOffer] = []
    for code, coupon in [] if refused else named:
        use = None if coupon is None else has.get(coupon.coupon_id)
        if coupon is None or use is None:
            judged = judge_new(command, request, code, coupon)
        else:
            judged = _judge_kept(request, code, coupon, use, placing.hold)
        if isinstance(judged, ResolvedOffer):
            offers.append(judged)
        else:
            refused.append(judged)
    if command.unread:
        refused += refused_themselves(command)
    if command.lock_reference is not None and not _is_burned_by(command, placing):
        offers, refused = judge_lock(command, placing, offers, refused)
    return offers, refused


def _judge_kept(
    request: Request, code: str, coupon: Coupon, use: Use, hold: LockState | None
) -> ResolvedOffer | RefusedCoupon:
    """Judge a coupon that the order has by the rules of orders. The others were checked when it got the coupon."""
    campaign = request.state.campaigns.get(coupon.campaign_id)
    if campaign is None:
        message = f"The campaign of coupon {coupon.code!r} does not exist."
        return refuse(Reason.NOT_FOUND, message, code, coupon)
    if isinstance(use, ActiveRedemption):
        return judge_order(request, resolve_used(request, code, coupon, campaign, use))
    if hold is None:
        raise AssertionError("a use that the order holds is in its hold")
    return judge_order(request, resolve_locked(request, coupon, campaign, hold, use))


def _verdict(
    command: RedeemCoupons,
    placing: Placing,
    has: dict[str, Use],
    applied: Sequence[AppliedOffer],
    refused: list[RefusedCoupon],
    *,
    returned: _Returned,
) -> Verdict:
    request, known, hold, order = placing.request, placing.known, placing.hold, command.order
    effects = Effects(command, placing, redemption_id(command.command_id))
    by_id = {_of(use): use for use in applied}
    new = [use for use in applied if _of(use) not in has]
    holds, customer_key = _holds(command, known), request.customer_key
    if holds and new and customer_key is None:  # a guest's order takes over the lock of a customer
        customer_key = customer_of(request, new[0])
    for coupon_id, use in has.items():
        if isinstance(use, ActiveRedemption):
            settle_redemption(effects, use, by_id.get(coupon_id))
        elif hold is not None:
            settle_hold(effects, hold, use, by_id.get(coupon_id), customer_key)
    if holds:
        uses, entries = hold_uses(command, request, new, customer_key)
        effects.uses += uses
        effects.entries += entries
    else:
        for taken in new:
            effects.burn(taken, customer_of(request, taken), request.at)
    if returned.parts:
        restore_shares(effects, returned.parts)
    if returned.at is not None:
        restore_returned(effects)
    effects.accepted += [accepted(use) for use in new]
    requested_count = command.named or len(applied) + len(refused)
    hold_change = _hold_change(command, placing, effects, customer_key)
    return Verdict(
        command.command_id, _outcome(effects, refused, holds=holds), request.now, accepted=tuple(effects.accepted),
        refused=tuple(refused), requested_count=requested_count,
        discount_minor=sum(one.discount_minor or 0 for one in effects.accepted),
        currency=order.currency, order_id=order.order_id, redemption_id=None if holds else effects.redemption,
        lock_reference=order_hold(order.order_id) if holds and effects.uses else command.lock_reference,
        expires_at=None if hold_change is None or not effects.uses else hold_change.expires_at,
        customer_key=customer_key, entries=tuple(effects.entries),
        locks=(*lock_changes(new, order.order_id), *(() if hold_change is None else (hold_change,))),
        orders=(_order_change(command, placing, customer_key, requested_count, returned),), kept=tuple(effects.kept),
    )  # fmt: skip


def _outcome(effects: Effects, refused: list[RefusedCoupon], *, holds: bool) -> Outcome:
    if effects.accepted:
        return "held" if holds else "redeemed"
    if effects.entries or effects.kept:
        return "adjusted"
    return "refused" if refused else "recorded"


def _hold_change(
    command: RedeemCoupons, placing: Placing, effects: Effects, customer_key: CustomerKey | None
) -> LockChange | None:
    """Return the change of the order's own hold, or None if it has none before and after."""
    order_id, now = command.order.order_id, placing.request.now
    reference = order_hold(order_id)
    before = placing.request.state.locks.get(reference)
    if before is None and not effects.uses:
        return None
    if not effects.uses:
        if before is None or (placing.hold is None and not before.lost):
            return None
        status = "released" if before.status == "open" else before.status
        return LockChange(reference, status, customer_key=before.customer_key, order_id=order_id, uses=(), lost=())
    expires_at = later(now, command.hold_seconds) if command.hold or before is None else before.expires_at
    return LockChange(
        reference, "open", customer_key=customer_key, order_id=order_id, expires_at=expires_at,
        uses=tuple(effects.uses), lost=(),
    )  # fmt: skip


def _order_change(
    command: RedeemCoupons,
    placing: Placing,
    customer_key: CustomerKey | None,
    requested_count: int,
    returned: _Returned,
) -> OrderChange:
    """Return the change that records the order as it is now."""
    known, request = placing.known, placing.request
    if known is None:
        raise AssertionError("only a known order can change")
    change, at = None, command.order.placed_at or request.at
    if placing.placed_again:
        change = placing_change(command, known, customer_key, request.now, placed_again=True)
    if change is None:
        change = OrderChange(
            command.order.order_id, known.status, placed_at=placing_time(command, known),
            changed_at=at if known.changed_at is None else max(at, known.changed_at),
            customer_key=customer_key, order=command.order,
            codes=command.recorded_codes if command.complete else codes_with(known, command),
        )  # fmt: skip
    if command.hold:
        change = replace(change, customer=command.customer, requested_count=requested_count)
    if returned.at is not None:
        change = replace(change, status="returned", returned_at=returned.at)
    return change
