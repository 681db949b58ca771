"""Placing an order: what the request names, what the ledger knows of the order, and which of its coupons are judged.

An order is closed while it is cancelled or returned. A placing later than the closing places it again; one that is not
later belongs to the order that was closed. A payment counts when it is later than the last closing. The events' own
times decide, whatever the order of their arrival.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from shared.domain.model.campaign import Campaign
from shared.domain.model.commands import RedeemCoupons
from shared.domain.model.coupon import Coupon
from shared.domain.model.customer import CustomerKey
from shared.domain.model.order import Line
from shared.domain.model.reasons import Reason
from shared.domain.model.state import (
    ActiveRedemption,
    LockedUse,
    LockState,
    OrderLines,
    OrderState,
    OrderStatus,
    PartReturn,
    State,
    is_holding,
    order_hold,
)
from shared.domain.model.verdicts import OrderChange, RefusedCoupon
from shared.domain.offers.basket import basket_of
from shared.domain.offers.judge import judge, judge_locked, judge_recurring
from shared.domain.offers.offer import ResolvedOffer
from shared.domain.offers.request import Request, existing_coupons, named_once
from shared.domain.offers.work import Found, of_lock, too_much
from shared.domain.orders.life_cycle import (
    Effect,
    OrderEvent,
    Phase,
    effect_of,
    is_closed,
    last_closing,
    paid_since_closing,
    phase_of,
    placing_event,
)
from shared.domain.orders.returns import Goods, all_back


def lines_of(lines: Iterable[Line]) -> OrderLines:
    """What is kept of an order's lines."""
    return tuple([(line.line_id, line.quantity, line.unit_minor) for line in lines])


def parts_for(command: RedeemCoupons, known: OrderState | None, now: datetime, *, anew: bool) -> tuple[PartReturn, ...]:
    """The parts that came back of what the command places: those noted before, without what came back earlier."""
    if known is None or not known.returns:
        return ()
    placed_at = command.order.placed_at or command.at
    if anew:
        return tuple([part for part in known.returns if part.at > (placed_at or now)])
    if known.currency is not None or placed_at is None:
        return known.returns
    return tuple([part for part in known.returns if part.at >= placed_at])


def placing_change(
    command: RedeemCoupons, known: OrderState | None, customer_key: CustomerKey | None, now: datetime, *, anew: bool
) -> OrderChange | None:
    """What placing the order (`anew` where it was closed) notes of it; None where nothing changes.

    A placing that names no time is one at `now`, but its time is only noted where it places a closed order anew.
    """
    order = command.order
    status: OrderStatus = "placed"
    placed_at = order.placed_at or command.at
    returns: tuple[PartReturn, ...] | None = None
    if known is not None:
        status = known.status
        if is_closed(known):
            if not anew:
                return None
            status = "paid" if paid_since_closing(known) else "placed"
            placed_at = placed_at or now
        elif placed_at is None or (known.placed_at is not None and placed_at <= known.placed_at):
            if known.currency is not None:
                return None  # the same order again
            placed_at = None
        if known.returns:
            returns = parts_for(command, known, now, anew=anew)
    if not command.priced:
        return OrderChange(order.order_id, status, placed_at, customer_key=customer_key, returns=returns)
    return OrderChange(
        order.order_id, status, placed_at, None, None, None, None, customer_key, order.currency, order.amount_minor,
        None, order.lines, returns,
    )  # fmt: skip


Judged = tuple[list[ResolvedOffer], list[RefusedCoupon]]
"""What the request named, each coupon once: those that are offers to it, and those that are refused."""


@dataclass(slots=True)
class Placing:
    """What placing the order asks, what is known of the order and what it holds now, and what the table says of that.

    `anew`: it places a closed order again. `came_back`: all of it came back before it arrived, which `known` says.
    """

    request: Request
    known: OrderState | None
    hold: LockState | None
    effect: Effect
    anew: bool
    came_back: bool


_FIRST_PLACING = effect_of(Phase.UNKNOWN, OrderEvent.PLACED)
"""What is done with nearly every order: its placing is its first event."""


def placing_of(command: RedeemCoupons, state: State, now: datetime) -> Placing:
    """The command as it is judged."""
    order = command.order
    before = state.orders.get(order.order_id)
    hold = state.locks.get(order_hold(order.order_id))
    if before is None and hold is None:
        return Placing(_request(command, state, now, None, None), None, None, _FIRST_PLACING, False, False)
    known = before if before is None or not before.returns else _all_back_before(command, before, now)
    event = placing_event(known, order.placed_at or command.at or now)
    effect = effect_of(phase_of(known, hold, now), event)
    if hold is not None and not is_holding(hold, now):
        hold = None
    request = _request(command, state, now, known, hold)
    if effect == Effect.REFUSE and known is not None:
        request.closed_at, request.closed_as = last_closing(known), known.status
    return Placing(request, known, hold, effect, event == OrderEvent.PLACED_ANEW, known is not before)


def _all_back_before(command: RedeemCoupons, known: OrderState, now: datetime) -> OrderState:
    """The order as it stands when it is placed: returned, where all of it came back in parts before it arrived."""
    order = command.order
    anew = placing_event(known, order.placed_at or command.at or now) == OrderEvent.PLACED_ANEW
    if known.currency is not None and not anew:
        return known
    parts = parts_for(command, known, now, anew=anew)
    if not all_back(parts, Goods(lines_of(order.lines), order.amount_minor, order.currency)):
        return known
    return replace(known, status="returned", returned_at=max(part.at for part in parts))


def _request(
    command: RedeemCoupons, state: State, now: datetime, known: OrderState | None, hold: LockState | None
) -> Request:
    order, asked = command.order, command.at
    at = now if asked is None or asked > now else asked
    customer_key = state.customers.get(command.command_id)
    if hold is not None and hold.customer_key is not None:
        customer_key = hold.customer_key  # whoever the order belongs to while it waits for its payment
    request = Request(command, state, now, at, customer_key, order if command.priced else None, order.order_id)
    earlier: list[ActiveRedemption | LockedUse] = []
    if known is not None:
        # What came back in parts was taken off all the same: it doesn't make room for another coupon.
        earlier += [
            one if one.discount_minor == one.burned_minor else replace(one, discount_minor=one.burned_minor)
            for one in known.redemptions.values()
        ]
    if hold is not None:
        earlier += hold.uses
    if earlier:
        request.existing = existing_coupons(state, earlier)
        earlier = [one for one in earlier if one.currency == order.currency]
    if command.priced:
        request.basket = basket_of(order, earlier)
    return request


def judge_named(command: RedeemCoupons, placing: Placing) -> Judged:
    """What the request names, judged; all of it refused where that would take too much work."""
    request, known, hold = placing.request, placing.known, placing.hold
    found = named_once(command.codes, request.state)
    if known is not None or hold is not None:
        found = [one for one in found if one[1] is None or not stands(one[1].coupon_id, known, hold)]
    if command.lock_reference is None:
        refused = too_much(request, found)
        return ([], refused) if refused else _judge_codes(command, request, found)
    refused = too_much(request, [*found, *of_lock(command, request.state, found)])
    return ([], refused) if refused else _judge_lock(command, placing, *_judge_codes(command, request, found))


def _judge_codes(command: RedeemCoupons, request: Request, found: Found) -> Judged:
    offers: list[ResolvedOffer] = []
    refused: list[RefusedCoupon] = []
    for code, coupon in found:
        goes_on = None if coupon is None or command.order.cycle <= 1 else going_on(command, request.state, coupon)
        if coupon is not None and goes_on is not None:
            judged = judge_recurring(request, code, coupon, goes_on)
        else:
            judged = judge(request, code, coupon)
        if isinstance(judged, ResolvedOffer):
            offers.append(judged)
        else:
            refused.append(judged)
    return offers, refused


def going_on(command: RedeemCoupons, state: State, coupon: Coupon) -> Campaign | None:
    """The coupon's campaign, where the order is a later one of a subscription for which a use of the coupon stands."""
    campaign = state.campaigns.get(coupon.campaign_id)
    if campaign is None or not campaign.recurring or command.order.subscription_id is None:
        return None
    stand = state.subscriptions.get((command.order.subscription_id, coupon.coupon_id), 0)
    return campaign if stand > 0 else None


def _judge_lock(
    command: RedeemCoupons, placing: Placing, offers: list[ResolvedOffer], refused: list[RefusedCoupon]
) -> Judged:
    """`offers` and `refused` with the coupons of the lock that the request names, which its promise covers."""
    request, reference = placing.request, command.lock_reference or ""
    if reference == order_hold(command.order.order_id):
        return offers, refused  # what the order holds for itself stands already
    lock = request.state.locks.get(reference)
    if lock is None or lock.status == "released":
        message = f"There is no lock {reference!r}." if lock is None else f"Lock {reference!r} was released."
        return offers, [*refused, RefusedCoupon(Reason.LOCK_NOT_FOUND, message)]
    if lock.status == "burned":
        ours = lock.order_id is not None and lock.order_id == command.order.order_id
        if ours and not placing.anew:
            return offers, refused
        message = f"What lock {reference!r} held has been redeemed already."
        return offers, [*refused, RefusedCoupon(Reason.ALREADY_REDEEMED, message)]
    over = not is_holding(lock, request.now)
    if over and not lock.uses:
        message = f"Lock {reference!r} expired at {lock.expires_at.isoformat()}."
        return offers, [*refused, RefusedCoupon(Reason.LOCK_EXPIRED, message)]
    for locked in lock.uses:
        if stands(locked.coupon_id, placing.known, placing.hold):
            continue
        judged = judge_locked(request, lock, locked, over)
        # Named by its code as well, it is one coupon all the same; the lock's promise is the stronger claim.
        offers = [one for one in offers if one.coupon.coupon_id != locked.coupon_id]
        refused = [one for one in refused if one.coupon_id != locked.coupon_id]
        if isinstance(judged, ResolvedOffer):
            offers.append(judged)
        else:
            refused.append(judged)
    return offers, refused


def stands(coupon_id: str, known: OrderState | None, hold: LockState | None) -> bool:
    """Whether the order has redeemed the coupon, or holds it until its payment."""
    if known is not None and coupon_id in known.redemptions:
        return True
    return hold is not None and any(locked.coupon_id == coupon_id for locked in hold.uses)
