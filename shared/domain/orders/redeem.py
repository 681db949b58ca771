"""Redeem: use coupons on an order, at once or (where orders are burned when paid) as a hold until the payment.

An order that comes again changes nothing that stands: its redeemed and held coupons are left out, what it newly names
is judged as a request of its own. Coupons are judged each on its own, or all or nothing (`atomic`).
"""

from dataclasses import dataclass, replace
from datetime import datetime

from shared.domain.coupons.entries import (
    accepted,
    burned,
    counted_at,
    drained,
    held,
    released,
    subscription_of,
    uses_of,
)
from shared.domain.model.campaign import Campaign
from shared.domain.model.clock import later
from shared.domain.model.commands import RedeemCoupons
from shared.domain.model.coupon import Coupon, code_key
from shared.domain.model.ids import redemption_id
from shared.domain.model.reasons import PRECEDENCE, Reason
from shared.domain.model.state import ActiveRedemption, LockedUse, LockState, OrderState, State, is_holding, order_hold
from shared.domain.model.verdicts import (
    AcceptedCoupon,
    LedgerEntry,
    LockChange,
    OrderChange,
    Outcome,
    RefusedCoupon,
    Verdict,
    refuse,
)
from shared.domain.offers.judge import judge, judge_locked, judge_recurring
from shared.domain.offers.request import AppliedOffer, Offer, Request, basket_of, existing_coupons, named_once
from shared.domain.offers.stack import choose
from shared.domain.offers.work import Found, of_lock, too_much
from shared.domain.orders.life_cycle import Effect, OrderEvent, Phase, effect_of, phase_of, placing_event
from shared.domain.orders.placing import last_closing, lines_of, paid_since_closing, parts_for, placing_change
from shared.domain.orders.returns import Goods, all_back, goods_of, shares, standing_of

Judged = tuple[list[Offer], list[RefusedCoupon]]
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


_UNHEARD_OF = effect_of(Phase.UNKNOWN, OrderEvent.PLACED)
"""What is done with nearly every order: the first that is heard of it is its placing."""


def placing_of(command: RedeemCoupons, state: State, now: datetime) -> Placing:
    """The command as it is judged."""
    order = command.order
    before = state.orders.get(order.order_id)
    hold = state.locks.get(order_hold(order.order_id))
    if before is None and hold is None:
        return Placing(_request(command, state, now, None, None), None, None, _UNHEARD_OF, False, False)
    known = before if before is None or not before.returns else _all_back_before(command, before, now)
    event = placing_event(known, order.placed_at or command.at or now)
    effect = effect_of(phase_of(known, hold, now), event)
    if hold is not None and not is_holding(hold, now):
        hold = None
    request = _request(command, state, now, known, hold)
    if effect == Effect.REFUSE and known is not None:
        request.closed_at, request.closed_as = last_closing(known), known.status
    return Placing(request, known, hold, effect, event == OrderEvent.PLACED_ANEW, known is not before)


def redeem(command: RedeemCoupons, state: State, now: datetime) -> Verdict:
    """Judge the coupons of an order and use (or hold) those that are good for it."""
    if not command.priced:
        command = _in_the_currency_of_its_lock(command, state)
    order = command.order
    placing = placing_of(command, state, now)
    request, known, effect, anew = placing.request, placing.known, placing.effect, placing.anew
    offers, refused = _judged(command, placing)
    change = placing_change(command, known, request.customer_key, now, anew=anew)
    if known is not None and placing.came_back:
        change = OrderChange(order.order_id, "returned", returned_at=known.returned_at)
    if not offers and not refused:
        # Whose order it is has to be known to what else a batch says of it: it may be somebody's first.
        outcome: Outcome = "unchanged" if change is None or known is None else "recorded"
        return Verdict(
            command.command_id, outcome, now, currency=order.currency, order_id=order.order_id,
            customer_key=request.customer_key, orders=() if change is None else (change,),
        )  # fmt: skip
    taken: list[AppliedOffer] = []
    if offers:
        taken, others = choose(request, offers)
        refused += others
        if not command.priced:
            taken = [_as_held(one) for one in taken]
    if command.atomic and refused and taken:
        refused = sorted_refusals(refused)
        refused += refused_with(taken, refused[0], command.lock_reference)
        taken = []
    if len(refused) > 1:
        refused = sorted_refusals(refused)
    if not taken:
        return Verdict(
            command.command_id, "refused", now, (), tuple(refused), command.named or len(refused), 0, order.currency,
            order.order_id, None, command.lock_reference, None, request.customer_key, (), (),
            () if change is None else (change,),
        )  # fmt: skip
    if command.hold and not (known is not None and effect == Effect.JUDGE and paid_since_closing(known)):
        return _hold(command, request, taken, refused, change)
    return _burn(command, placing, taken, refused, change)


def _in_the_currency_of_its_lock(command: RedeemCoupons, state: State) -> RedeemCoupons:
    lock = state.locks.get(command.lock_reference or "")
    held = None if lock is None else next((one.currency for one in lock.uses if one.currency is not None), None)
    return command if held is None else replace(command, order=replace(command.order, currency=held))


def _as_held(taken: AppliedOffer) -> AppliedOffer:
    """What a coupon takes off an order of which nobody said what it costs: what its lock held for it, or nothing."""
    locked = taken.offer.locked
    if locked is None:
        return AppliedOffer(taken.offer, 0)
    return AppliedOffer(taken.offer, locked.one_use_minor, locked.lines if locked.uses == 1 else ())


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


def _goods(request: Request, change: OrderChange | None) -> Goods:
    """What the order consists of, after `change`."""
    known = request.state.orders.get(request.order_id or "")
    if change is not None and change.lines is not None:
        return Goods(lines_of(change.lines), change.amount_minor or 0, change.currency)
    return Goods((), 0, None) if known is None else goods_of(known)


def sorted_refusals(refused: list[RefusedCoupon]) -> list[RefusedCoupon]:
    """By code, so that the order in which codes were named shows nowhere; what has no code comes first."""
    return sorted(refused, key=lambda one: (code_key(one.code or ""), one.coupon_id or "", PRECEDENCE[one.reason]))


def refused_with(taken: list[AppliedOffer], first: RefusedCoupon, reference: str | None) -> list[RefusedCoupon]:
    """All or nothing: the refusals of what would have been fine, had not `first` been refused."""
    other = first.code or reference or ""
    return [
        refuse(
            Reason.NOT_COMBINABLE,
            f"All or nothing was asked for, and {other!r} was refused ({first.reason.value}).",
            one.offer.code, one.offer.coupon, {"refused_with": other},
        )
        for one in taken
    ]  # fmt: skip


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


def _judged(command: RedeemCoupons, placing: Placing) -> Judged:
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
    offers: list[Offer] = []
    refused: list[RefusedCoupon] = []
    for code, coupon in found:
        goes_on = None if coupon is None or command.order.cycle <= 1 else going_on(command, request.state, coupon)
        if coupon is not None and goes_on is not None:
            judged = judge_recurring(request, code, coupon, goes_on)
        else:
            judged = judge(request, code, coupon)
        if isinstance(judged, Offer):
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


def _judge_lock(command: RedeemCoupons, placing: Placing, offers: list[Offer], refused: list[RefusedCoupon]) -> Judged:
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
        if isinstance(judged, Offer):
            offers.append(judged)
        else:
            refused.append(judged)
    return offers, refused


def stands(coupon_id: str, known: OrderState | None, hold: LockState | None) -> bool:
    """Whether the order has redeemed the coupon, or holds it until its payment."""
    if known is not None and coupon_id in known.redemptions:
        return True
    return hold is not None and any(locked.coupon_id == coupon_id for locked in hold.uses)


def _user(request: Request, taken: AppliedOffer) -> str | None:
    """Whose use it is: the order's customer, or for a guest the one whose lock it burns."""
    if request.customer_key is None and taken.offer.lock is not None:
        return taken.offer.lock.customer_key
    return request.customer_key


def _burn(
    command: RedeemCoupons,
    placing: Placing,
    taken: list[AppliedOffer],
    refused: list[RefusedCoupon],
    change: OrderChange | None,
) -> Verdict:
    order, request = command.order, placing.request
    redemption = redemption_id(command.command_id)
    told: list[AcceptedCoupon] = []
    entries: tuple[LedgerEntry, ...] = ()
    total, locked = 0, False
    user = request.customer_key
    for one in taken:
        user = _user(request, one)
        told.append(accepted(one))
        entries += burned(one, user, order, redemption, request.at)
        total += one.discount_minor or 0
        locked = locked or one.offer.lock is not None
    if placing.known is not None and placing.known.returns:  # of what is burned now, something has come back already
        returns = parts_for(command, placing.known, request.now, anew=placing.anew)
        burned_now = [standing_of(entry) for entry in entries if entry.order_id is not None]
        entries += tuple(
            shares(burned_now, request.state.campaigns, _goods(request, change), (), returns, order.order_id)
        )
    return Verdict(
        command.command_id, "redeemed", request.now, tuple(told), tuple(refused),
        command.named or len(taken) + len(refused), total, order.currency, order.order_id, redemption,
        command.lock_reference, None, user, entries, tuple(drained(taken, order.order_id)) if locked else (),
        () if change is None else (change,),
    )  # fmt: skip


def _hold(
    command: RedeemCoupons,
    request: Request,
    taken: list[AppliedOffer],
    refused: list[RefusedCoupon],
    change: OrderChange | None,
) -> Verdict:
    """Hold what was taken under the order's own lock, beside what that holds already."""
    order, reference = command.order, order_hold(command.order.order_id)
    expires_at = later(request.now, command.hold_seconds)
    before = request.state.locks.get(reference)
    user = _user(request, taken[0]) if request.customer_key is None else request.customer_key
    uses, entries = _held_before(before, request.now, user, order.order_id)
    known = request.state.orders.get(order.order_id)
    asked = len(taken) + len(refused) + (known.requested_count if uses and known is not None else 0)
    told: list[AcceptedCoupon] = []
    total = 0
    for one in taken:
        discount = one.discount_minor or 0
        coupon = one.offer.coupon
        locked = LockedUse(
            coupon.coupon_id, coupon.campaign_id, uses_of(one.offer), discount, order.currency, one.shares,
            counted_at(one, request.at), subscription_of(one.offer, order),
        )  # fmt: skip
        uses.append(locked)
        entries += held(one, user, order.order_id, reference, locked)
        told.append(accepted(one))
        total += discount
    noted = OrderChange(
        order.order_id, "placed" if change is None else change.status, None if change is None else change.placed_at,
        customer=command.customer, customer_key=user, currency=order.currency if command.priced else None,
        amount_minor=order.amount_minor if command.priced else None, requested_count=asked,
        lines=order.lines if command.priced else None, returns=None if change is None else change.returns,
    )  # fmt: skip
    return Verdict(
        command.command_id, "held", request.now, tuple(told), tuple(refused), len(taken) + len(refused), total,
        order.currency, order.order_id, None, reference, expires_at, user, tuple(entries),
        (
            *drained(taken, order.order_id),
            LockChange(reference, "open", user, order.order_id, expires_at, tuple(uses)),
        ),
        (noted,),
    )  # fmt: skip


def _held_before(
    before: LockState | None, now: datetime, user: str | None, order_id: str
) -> tuple[list[LockedUse], list[LedgerEntry]]:
    """What the order's hold keeps, and the entries that keeping or losing it takes."""
    if before is None or before.status != "open":
        return [], []
    if not is_holding(before, now):  # over: it gives back what it held and begins anew
        return [], [released(before, locked) for locked in before.uses]
    entries: list[LedgerEntry] = []
    if before.customer_key != user:  # a guest's order that now names its customer: what is held moves to their name
        for locked in before.uses:
            entries.append(released(before, locked))
            entries.append(
                LedgerEntry(
                    "locked", locked.coupon_id, locked.campaign_id, user, order_id, before.lock_reference, None,
                    locked.uses, 0, locked.discount_minor, 0, locked.currency, locked.lines, locked.counted_at,
                )
            )  # fmt: skip
    return list(before.uses), entries
