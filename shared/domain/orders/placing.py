"""Placing an order: what the request names, what the ledger knows of the order, and which of its coupons are judged.

An order is closed while it is cancelled or returned. It is placed again by an event later than that; an earlier event
belongs to the closed order. A payment counts if it is later than the last cancellation or return. The events' own times
decide, not the order of their arrival.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from shared.domain.model.campaign import Campaign
from shared.domain.model.commands import RedeemCoupons
from shared.domain.model.coupon import Coupon, code_key
from shared.domain.model.customer import CustomerKey
from shared.domain.model.ids import readable
from shared.domain.model.reasons import Reason
from shared.domain.model.state import (
    ActiveRedemption,
    LockedUse,
    LockState,
    OrderState,
    OrderStatus,
    PartReturn,
    State,
    is_holding,
    order_hold,
)
from shared.domain.model.verdicts import OrderChange, RefusedCoupon, new_order_change
from shared.domain.offers.basket import basket_of
from shared.domain.offers.request import Request, ResolvedOffer, distinct_coupons, existing_coupons
from shared.domain.offers.rules import judge, judge_locked, judge_recurring
from shared.domain.offers.takeover import with_takeover
from shared.domain.offers.unread import refused_themselves
from shared.domain.offers.work import Found, of_lock, too_much
from shared.domain.orders.life_cycle import (
    Effect,
    OrderEvent,
    Phase,
    Row,
    is_closed,
    is_placed_again,
    last_closed_at,
    paid_since_closed,
    phase_of,
    placing_event,
    row_of,
)
from shared.domain.orders.returns import is_fully_returned


def placed_at_of(command: RedeemCoupons) -> datetime | None:
    """Return when the request places its order; None for a change, which doesn't say."""
    return None if command.changed else command.order.placed_at or command.at


def parts_for(
    command: RedeemCoupons, known: OrderState | None, now: datetime, *, placed_again: bool
) -> tuple[PartReturn, ...]:
    """Return the recorded partial returns of the order as placed now, without those from before it was placed again."""
    if known is None or not known.returns:
        return ()
    placed_at = placed_at_of(command)
    if placed_again:
        return tuple([part for part in known.returns if part.at > (placed_at or now)])
    if known.currency is not None or placed_at is None or last_closed_at(known) is None:
        return known.returns  # of an order that was never closed, whatever clock dated them
    return tuple([part for part in known.returns if part.at >= placed_at])


def placing_change(
    command: RedeemCoupons,
    known: OrderState | None,
    customer_key: CustomerKey | None,
    now: datetime,
    *,
    placed_again: bool,
) -> OrderChange | None:
    """Return the change that placing the order causes, or None. `placed_again`: a closed order is placed again.

    A request without a time is judged at `now`, but its time is only recorded if it places a closed order again. A
    change that arrives before the placing doesn't say when the order was placed.
    """
    order = command.order
    status: OrderStatus = "placed"
    placed_at = placed_at_of(command)
    returns: tuple[PartReturn, ...] | None = None
    if known is not None:
        status = known.status
        if is_closed(known):
            if not placed_again:
                return None
            status = "paid" if paid_since_closed(known) else "placed"
            placed_at = placed_at or now
        elif known.order is not None:
            return _placed_once_more(command, known, customer_key)
        elif known.placed_at is not None and placed_at is not None and placed_at <= known.placed_at:
            placed_at = None
        if known.returns:
            returns = parts_for(command, known, now, placed_again=placed_again)
    if not command.priced:
        return OrderChange(order.order_id, status, placed_at=placed_at, customer_key=customer_key, returns=returns)
    return new_order_change(
        order.order_id, status, placed_at=placed_at, changed_at=(command.at or now) if command.changed else None,
        customer_key=customer_key, order=order, codes=command.recorded_codes, returns=returns,
    )  # fmt: skip


def _placed_once_more(
    command: RedeemCoupons, known: OrderState, customer_key: CustomerKey | None
) -> OrderChange | None:
    """Return the change that records newly named codes and another time of an open order, or None."""
    placed_at, codes = placing_time(command, known), codes_with(known, command)
    if placed_at is None and (codes == known.codes or not command.codes):
        return None
    is_later = placed_at is not None and (known.placed_at is None or placed_at > known.placed_at)
    return OrderChange(
        known.order_id, known.status, placed_at=placed_at, customer_key=customer_key if is_later else None, codes=codes
    )


def placing_time(command: RedeemCoupons, known: OrderState) -> datetime | None:
    """Return when an event places the known order, if that is later or earlier than all placings before, else None."""
    placed_at = placed_at_of(command)
    if placed_at is None or known.placed_at is None or known.first_placed_at is None:
        return placed_at
    return None if known.first_placed_at <= placed_at <= known.placed_at else placed_at


def codes_with(known: OrderState | None, command: RedeemCoupons) -> tuple[str, ...]:
    """Return the codes that the order has named, with those of the request."""
    before = () if known is None or known.codes is None else known.codes
    keys = set(map(code_key, before))
    more = sorted({code_key(code) for code in command.codes} - keys)
    return (*before, *more)


Judged = tuple[list[ResolvedOffer], list[RefusedCoupon]]
"""The coupons that the request named, each once: offers and refusals."""


@dataclass(slots=True)
class Placing:
    """A request to place or change an order, with the known order, its current hold, and its row of the life cycle.

    `placed_again`: a closed order is placed again. `all_returned`: all parts were returned before this event arrived;
    `known` is a returned order then.
    """

    request: Request
    row: Row
    known: OrderState | None = None
    hold: LockState | None = None
    placed_again: bool = False
    all_returned: bool = False

    @property
    def effect(self) -> Effect:
        """Return the effect of the request on the order."""
        return self.row.effect


_FIRST_PLACING: Final = row_of(Phase.UNKNOWN, OrderEvent.PLACED)
"""The usual case: this is the first event of the order."""


def placing_of(command: RedeemCoupons, state: State, now: datetime, *, paid: int | None = None) -> Placing:
    """Return the command with all that is known of its order.

    `paid`: what its goods cost after discounts, None if its coupons aren't judged yet.
    """
    order = command.order
    before = state.orders.get(order.order_id)
    hold = state.locks.get(order_hold(order.order_id))
    if before is None and hold is None:
        return Placing(_request(command, state, now, None, None), _FIRST_PLACING)
    known = before if before is None or not before.returns else _fully_returned_before(command, before, now, paid)
    event = placing_event(
        command, known, state.customers.get(command.command_id), now, names_new_lock=_names_new_lock(command, state)
    )
    row = row_of(phase_of(known, hold, now), event)
    if hold is not None and not is_holding(hold, now):
        hold = None
    request = _request(command, state, now, known, hold, complete=row.effect == Effect.CHANGE)
    if row.effect == Effect.REFUSE and known is not None and is_closed(known):
        request.closed_at, request.closed_as = last_closed_at(known), known.status
    return Placing(
        request, row, known, hold,
        placed_again=event == OrderEvent.PLACED_AGAIN, all_returned=known is not before,
    )  # fmt: skip


def _names_new_lock(command: RedeemCoupons, state: State) -> bool:
    if command.lock_reference is None:
        return False
    lock = state.locks.get(command.lock_reference)
    return lock is None or lock.status != "burned" or lock.order_id != command.order.order_id


def _fully_returned_before(command: RedeemCoupons, known: OrderState, now: datetime, paid: int | None) -> OrderState:
    """Return the order as it is when placed: returned, if all of its parts were returned before this event."""
    placed_again = is_placed_again(known, command, command.order.placed_at or command.at or now)
    if known.order is not None and not placed_again:
        return known
    parts = parts_for(command, known, now, placed_again=placed_again)
    if not is_fully_returned(parts, command.order, command.order.amount_minor if paid is None else paid):
        return known
    return replace(known, status="returned", returned_at=max(part.at for part in parts))


def _request(
    command: RedeemCoupons,
    state: State,
    now: datetime,
    known: OrderState | None,
    hold: LockState | None,
    *,
    complete: bool = False,
) -> Request:
    """Return the request. `complete`: all coupons of the order are judged, so none of them is beside the others."""
    order, at = command.order, command.at
    if at is None or at > now:
        at = now
    customer_key = state.customers.get(command.command_id)
    if hold is not None and hold.customer_key is not None:
        customer_key = hold.customer_key  # the order's customer until it is paid
    request = Request(command, state, now, at, customer_key)
    request.order_id = order.order_id
    earlier: list[ActiveRedemption | LockedUse] = []
    if known is not None and not complete:
        # A partial return doesn't make room for another coupon: the full discount still counts.
        earlier += [
            use if use.discount_minor == use.burned_minor else replace(use, discount_minor=use.burned_minor)
            for use in known.redemptions.values()
        ]
    if hold is not None and not complete:
        earlier += hold.uses
    if earlier:
        request.existing = existing_coupons(state, earlier)
        earlier = [use for use in earlier if use.currency == order.currency]
    if command.priced:
        request.order, request.basket = order, basket_of(order, earlier, state.campaigns)
    return request


def judge_named(command: RedeemCoupons, placing: Placing) -> Judged:
    """Judge the coupons that the request names. All of them are refused if that would take too much work."""
    request, known, hold = placing.request, placing.known, placing.hold
    if known is None and hold is None:
        found = distinct_coupons(command.codes, request.state)
    else:
        has = (*(() if known is None else known.redemptions), *[use.coupon_id for use in (hold.uses if hold else ())])
        found = named_coupons(command, request.state, has)
        found = [one for one in found if one[1] is None or not has_coupon(one[1].coupon_id, known, hold)]
    if command.lock_reference is None:
        refused = too_much(request, found)
        return ([], refused) if refused else _judge_codes(command, request, found)
    refused = too_much(request, [*found, *of_lock(command, request.state, found)])
    return ([], refused) if refused else judge_lock(command, placing, *_judge_codes(command, request, found))


def named_coupons(command: RedeemCoupons, state: State, has: Iterable[str]) -> list[tuple[str, Coupon | None]]:
    """Return the codes that the request names, each once, with their coupons.

    A code means the coupon that the order has under it, even if it was freed and is another campaign's by now.
    """
    own = {code_key(coupon.code): coupon for one in has if (coupon := state.coupons.get(one)) is not None}
    return [(code, own.get(code_key(code), coupon)) for code, coupon in distinct_coupons(command.codes, state)]


def judge_new(
    command: RedeemCoupons, request: Request, code: str, coupon: Coupon | None
) -> ResolvedOffer | RefusedCoupon:
    """Judge a coupon that the order doesn't have yet."""
    if coupon is not None and command.order.cycle > 1:
        continued = continued_campaign(command, request.state, coupon)
        if continued is not None:
            return judge_recurring(request, code, coupon, continued)
    judged = judge(request, code, coupon)
    if isinstance(judged, ResolvedOffer) and judged.older is not None:
        return with_takeover(request, judged)
    return judged


def _judge_codes(command: RedeemCoupons, request: Request, found: Found) -> Judged:
    offers: list[ResolvedOffer] = []
    refused = refused_themselves(command) if command.unread else []
    for code, coupon in found:
        judged = judge_new(command, request, code, coupon)
        if isinstance(judged, ResolvedOffer):
            offers.append(judged)
        else:
            refused.append(judged)
    return offers, refused


def continued_campaign(command: RedeemCoupons, state: State, coupon: Coupon) -> Campaign | None:
    """Return the campaign if this later order of a subscription continues an earlier use of the coupon, else None."""
    campaign = state.campaigns.get(coupon.campaign_id)
    if campaign is None or not campaign.recurring or command.order.subscription_id is None:
        return None
    active_uses = state.subscriptions.get((command.order.subscription_id, coupon.coupon_id), 0)
    return campaign if active_uses > 0 else None


def judge_lock(
    command: RedeemCoupons, placing: Placing, offers: list[ResolvedOffer], refused: list[RefusedCoupon]
) -> Judged:
    """Add the coupons of the lock that the request names to `offers` and `refused`."""
    request, reference = placing.request, command.lock_reference or ""
    hold = order_hold(command.order.order_id)
    if reference in (hold, readable(hold)):
        return offers, refused  # the order has these coupons already
    lock = request.state.locks.get(reference)
    if lock is None or lock.status == "released":
        message = f"There is no lock {reference!r}." if lock is None else f"Lock {reference!r} was released."
        return offers, [*refused, RefusedCoupon(Reason.LOCK_NOT_FOUND, message)]
    if lock.status == "burned":
        ours = lock.order_id is not None and lock.order_id == command.order.order_id
        if ours and not placing.placed_again:
            return offers, refused
        message = f"What lock {reference!r} held has been redeemed already."
        return offers, [*refused, RefusedCoupon(Reason.ALREADY_REDEEMED, message)]
    is_expired = not is_holding(lock, request.now)
    if is_expired and not lock.uses:
        message = f"Lock {reference!r} expired at {lock.expires_at.isoformat()}."
        return offers, [*refused, RefusedCoupon(Reason.LOCK_EXPIRED, message)]
    for locked in lock.uses:
        if has_coupon(locked.coupon_id, placing.known, placing.hold):
            continue
        judged = judge_locked(request, lock, locked, is_expired)
        # A coupon named by its code as well is still one coupon; the judgement by the lock replaces the other.
        offers = [offer for offer in offers if offer.coupon.coupon_id != locked.coupon_id]
        refused = [refusal for refusal in refused if refusal.coupon_id != locked.coupon_id]
        if isinstance(judged, ResolvedOffer):
            offers.append(judged)
        else:
            refused.append(judged)
    return offers, refused


def has_coupon(coupon_id: str, known: OrderState | None, hold: LockState | None) -> bool:
    """Return whether the order has redeemed the coupon, or holds it until payment."""
    if known is not None and coupon_id in known.redemptions:
        return True
    return hold is not None and any(locked.coupon_id == coupon_id for locked in hold.uses)
