"""Locks: hold uses for a customer or an order for a limited time, release them, and expire them."""

from datetime import datetime

from shared.domain.coupons.entries import accepted, counted_at, held, lock_changes, released
from shared.domain.model.clock import later
from shared.domain.model.commands import ExpireLock, LockCoupons, ReleaseLock
from shared.domain.model.coupon import code_key
from shared.domain.model.ids import order_text
from shared.domain.model.reasons import Reason
from shared.domain.model.state import LockedUse, LockState, OrderState, State, is_holding
from shared.domain.model.verdicts import (
    AcceptedCoupon,
    LedgerEntry,
    LockChange,
    Outcome,
    RefusedCoupon,
    Verdict,
    refuse,
)
from shared.domain.offers.basket import basket_of
from shared.domain.offers.limits import limit_refusal
from shared.domain.offers.price import AppliedOffer
from shared.domain.offers.request import Request, ResolvedOffer, distinct_coupons, existing_coupons
from shared.domain.offers.rules import judge
from shared.domain.offers.stack import choose, refused_with, sorted_refusals
from shared.domain.offers.totals import RunningTotals
from shared.domain.offers.work import too_much

OWN_REFERENCES = "order:"
"""Prefix reserved by the ledger for the hold of an order until payment (`state.order_hold`)."""


def lock(command: LockCoupons, state: State, now: datetime) -> Verdict:
    """Hold one use of each coupon, all or nothing.

    Coupons are judged like a redemption at `now`; rules that depend on an order apply only if one is given. A repeated
    reference replaces what the lock holds in one step; if that is refused, the lock stays as it was. Uses that the same
    customer holds under another reference (for no order, or for this one) are moved to this lock.
    """
    customer_key = state.customers.get(command.command_id)
    known = state.locks.get(command.lock_reference)
    problem = reference_problem(command, known, customer_key)
    if problem is not None:
        return _refused(command, now, [problem], customer_key, max(len({code_key(code) for code in command.codes}), 1))
    request = request_for_lock(command, state, now)
    order = None if command.order_id is None else state.orders.get(command.order_id)
    offers, refused, count = _judge(command, request, order)
    applied: list[AppliedOffer] = []
    if offers:
        applied, others = choose(request, offers)
        refused += others
    if refused:
        refused = sorted_refusals(refused)
        refused += refused_with(applied, refused[0], None)
        return _refused(command, now, sorted_refusals(refused), customer_key, count)
    if not applied:
        message = "A lock needs at least one coupon; the request names none."
        return _refused(command, now, [RefusedCoupon(Reason.NOT_FOUND, message)], customer_key, 0)
    return _open(command, request, applied, count)


def request_for_lock(command: LockCoupons, state: State, now: datetime) -> Request:
    """Return the request that the command is judged as."""
    known = state.locks.get(command.lock_reference)
    request = Request(
        command,
        state,
        now,
        now,
        state.customers.get(command.command_id),
        order=command.order,
        order_id=command.order_id,
    )
    request.replaced = known if known is not None and known.status == "open" else None
    if command.order is not None:
        request.basket = basket_of(command.order)
    order = None if command.order_id is None else state.orders.get(command.order_id)
    if order is not None:
        request.existing = existing_coupons(state, order.redemptions.values())
    return request


def release(command: ReleaseLock, state: State, now: datetime) -> Verdict:
    """Release a lock. A repeated release changes nothing; a burned or expired lock is refused."""
    reference = command.lock_reference
    known = state.locks.get(reference)
    if known is None:
        return _lock_refused(command, now, Reason.LOCK_NOT_FOUND, f"There is no lock {reference!r}.")
    if known.status == "released":
        return Verdict.unchanged(command.command_id, now, why="released_already", lock_reference=reference)
    if known.status == "burned":
        return _lock_refused(command, now, Reason.ALREADY_REDEEMED, f"What lock {reference!r} held has been redeemed.")
    if not is_holding(known, now):
        message = f"Lock {reference!r} expired at {known.expires_at.isoformat()}."
        return _lock_refused(command, now, Reason.LOCK_EXPIRED, message)
    change = LockChange(reference, "released", customer_key=known.customer_key, order_id=known.order_id, uses=())
    return _close(command, state, now, known, change)


def expire(command: ExpireLock, state: State, now: datetime) -> Verdict:
    """Release what a lock holds if it has expired. Any other lock is left unchanged."""
    known = state.locks.get(command.lock_reference)
    if known is None or known.status != "open" or known.expires_at > now:
        return Verdict.unchanged(command.command_id, now, why="not_expired", lock_reference=command.lock_reference)
    change = LockChange(known.lock_reference, "expired", customer_key=known.customer_key, order_id=known.order_id)
    return _close(command, state, now, known, change)


def reference_problem(command: LockCoupons, known: LockState | None, customer_key: str | None) -> RefusedCoupon | None:
    """Return why no lock can be opened or replaced under this reference, or None."""
    reference = command.lock_reference
    if reference.startswith(OWN_REFERENCES):
        message = f"Lock references that begin with {OWN_REFERENCES!r} are reserved for orders; choose another one."
        return RefusedCoupon(Reason.ORDER_MISMATCH, message)
    if known is None:
        return None
    if known.status == "burned":
        message = f"What lock {reference!r} held has been redeemed; choose another reference."
        return RefusedCoupon(Reason.ALREADY_REDEEMED, message)
    if known.status == "open" and None not in (known.customer_key, customer_key) and known.customer_key != customer_key:
        return RefusedCoupon(Reason.WRONG_CUSTOMER, f"Lock {reference!r} belongs to another customer.")
    return None


def _judge(
    command: LockCoupons, request: Request, order: OrderState | None
) -> tuple[list[ResolvedOffer], list[RefusedCoupon], int]:
    found = distinct_coupons(command.codes, request.state)
    offers: list[ResolvedOffer] = []
    refused = too_much(request, found)
    for code, coupon in [] if refused else found:
        judged = judge(request, code, coupon)
        if isinstance(judged, ResolvedOffer) and order is not None and judged.coupon.coupon_id in order.redemptions:
            # Reasons of limits come first.
            discount_minor = None if request.basket is None else judged.discount_minor
            judged = limit_refusal(request, judged, RunningTotals(), discount_minor) or redeemed_already(judged, order)
        if isinstance(judged, ResolvedOffer):
            offers.append(judged)
        else:
            refused.append(judged)
    return offers, refused, len(offers) + len(refused)


def redeemed_already(offer: ResolvedOffer, order: OrderState) -> RefusedCoupon:
    """Return the refusal of a coupon that the order has redeemed already."""
    message = f"Coupon {offer.coupon.code!r} has been redeemed for order {order_text(order.order_id)} already."
    return refuse(Reason.ALREADY_REDEEMED, message, offer.code, offer.coupon)


def _open(command: LockCoupons, request: Request, applied: list[AppliedOffer], count: int) -> Verdict:
    customer_key, order, replaced = request.customer_key, command.order, request.replaced
    expires_at = later(request.now, command.lock_seconds)
    currency = None if order is None else order.currency
    accepted_coupons: list[AcceptedCoupon] = []
    uses: list[LockedUse] = []
    entries: list[LedgerEntry] = [] if replaced is None else [released(replaced, locked) for locked in replaced.uses]
    for use in applied:
        coupon = use.offer.coupon
        counts = counted_at(use, request.at)
        locked = LockedUse(
            coupon.coupon_id, coupon.campaign_id, uses=1, discount_minor=use.discount_minor or 0, currency=currency,
            lines=use.shares, counted_at=counts,
        )  # fmt: skip
        uses.append(locked)
        entries += held(use, customer_key, command.order_id, command.lock_reference, locked)
        accepted_coupons.append(accepted(use))
    opened = LockChange(
        command.lock_reference, "open", customer_key=customer_key, order_id=command.order_id, expires_at=expires_at,
        uses=tuple(uses),
    )  # fmt: skip
    return Verdict(
        command.command_id, "locked", request.now, accepted=tuple(accepted_coupons), requested_count=count,
        discount_minor=sum(use.discount_minor or 0 for use in applied), currency=currency, order_id=command.order_id,
        lock_reference=command.lock_reference, expires_at=expires_at, customer_key=customer_key, entries=tuple(entries),
        locks=(*lock_changes(applied, None, "released"), opened),
    )  # fmt: skip


def _close(
    command: ReleaseLock | ExpireLock, state: State, now: datetime, known: LockState, change: LockChange
) -> Verdict:
    accepted_coupons = []
    for locked in known.uses:
        coupon, campaign = state.coupons.get(locked.coupon_id), state.campaigns.get(locked.campaign_id)
        kind, value = ("", "") if campaign is None else (campaign.discount.kind, campaign.discount.value)
        code = "" if coupon is None else coupon.code
        accepted_coupons.append(
            AcceptedCoupon(
                locked.coupon_id, code, locked.campaign_id, kind, value, discount_minor=locked.discount_minor,
                lines=locked.lines, uses=locked.uses,
            )
        )  # fmt: skip
    outcome: Outcome = "released" if change.status == "released" else "expired"
    return Verdict(
        command.command_id, outcome, now, accepted=tuple(accepted_coupons), requested_count=len(accepted_coupons),
        order_id=known.order_id, currency=known.uses[0].currency if known.uses else None,
        lock_reference=known.lock_reference,
        expires_at=known.expires_at, customer_key=known.customer_key,
        entries=tuple([released(known, locked) for locked in known.uses]), locks=(change,),
    )  # fmt: skip


def _refused(
    command: LockCoupons, now: datetime, refused: list[RefusedCoupon], customer_key: str | None, count: int
) -> Verdict:
    return Verdict.all_refused(
        command.command_id, now, refused, requested_count=count, order_id=command.order_id,
        lock_reference=command.lock_reference, customer_key=customer_key,
    )  # fmt: skip


def _lock_refused(command: ReleaseLock, now: datetime, reason: Reason, message: str) -> Verdict:
    refused = [RefusedCoupon(reason, message)]
    return Verdict.all_refused(command.command_id, now, refused, lock_reference=command.lock_reference)
