"""Ledger entries and lock changes for uses that go into a lock or out of it.

A meter is the sum of signed entries, each recorded for the customer it names. So held uses always leave a lock under
the lock's own customer. If another customer burns them, it takes two entries: one for the lock, one for the use.
"""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from typing import Literal

from shared.domain.model.campaign import DiscountOffer
from shared.domain.model.customer import CustomerKey
from shared.domain.model.order import SHIPPING, Order
from shared.domain.model.state import ActiveRedemption, LockedUse, LockState, State, new_active_redemption
from shared.domain.model.verdicts import (
    AcceptedCoupon,
    Benefit,
    LedgerEntry,
    LineShare,
    LockChange,
    new_accepted,
    new_entry,
)
from shared.domain.offers.kinds import KINDS
from shared.domain.offers.price import AppliedOffer
from shared.domain.offers.request import ResolvedOffer


def accepted(applied: AppliedOffer) -> AcceptedCoupon:
    """Return the accepted coupon of a verdict that redeems, holds or locks it."""
    coupon, discount, lines = applied.offer.coupon, applied.offer.discount, applied.shares
    if KINDS[discount.kind].benefit is None and not applied.offer.recurring:
        return new_accepted(
            coupon.coupon_id, coupon.code, coupon.campaign_id, discount.kind, discount.value,
            discount_minor=applied.discount_minor, lines=lines,
        )  # fmt: skip
    return AcceptedCoupon(
        coupon.coupon_id, coupon.code, coupon.campaign_id, discount.kind, discount.value,
        discount_minor=applied.discount_minor, lines=lines, uses=uses_of(applied.offer),
        benefit=benefit_of(discount, lines), recurring=applied.offer.recurring,
    )  # fmt: skip


def accepted_use(state: State, use: LockedUse | ActiveRedemption, redemption: str | None) -> AcceptedCoupon:
    """Return a use that is burned out of a hold, restored, or released, as events show it."""
    coupon, campaign = state.coupons.get(use.coupon_id), state.campaigns.get(use.campaign_id)
    return AcceptedCoupon(
        use.coupon_id, "" if coupon is None else coupon.code, use.campaign_id,
        "" if campaign is None else campaign.discount.kind, "" if campaign is None else campaign.discount.value,
        discount_minor=use.discount_minor, lines=use.lines if isinstance(use, LockedUse) else (), uses=use.uses,
        redemption_id=redemption, benefit=None if campaign is None else benefit_of(campaign.discount, use.lines),
        recurring=not use.uses,
    )  # fmt: skip


def benefit_of(discount: DiscountOffer, lines: tuple[LineShare, ...]) -> Benefit | None:
    """Return the benefit in addition to a discount on goods. `lines` are the shares of its discount."""
    benefit = KINDS[discount.kind].benefit
    if benefit is None:
        return None
    return benefit(discount, sum(part for line_id, part in lines if line_id == SHIPPING))


def uses_of(offer: ResolvedOffer) -> int:
    """Return the uses that an order takes of the coupon: 0 if it continues on a subscription."""
    return 0 if offer.recurring else 1


def subscription_of(offer: ResolvedOffer, order: Order) -> str | None:
    """Return the id of the subscription whose later orders the use covers, or None."""
    return order.subscription_id if offer.campaign.recurring else None


def burned(
    applied: AppliedOffer, customer_key: CustomerKey | None, order: Order, redemption: str, at: datetime
) -> tuple[LedgerEntry, ...]:
    """Return the entries for one use on an order, taken from the offer's hold if it has one. `at`: when it counts."""
    offer = applied.offer
    coupon, lock, locked = offer.coupon, offer.lock, offer.locked
    entry = new_entry(
        "burned", coupon.coupon_id, coupon.campaign_id, customer_key=customer_key, order_id=order.order_id,
        redemption_id=redemption, used_uses=uses_of(offer), used_minor=applied.discount_minor or 0,
        currency=order.currency, lines=applied.shares, counted_at=at, subscription_id=subscription_of(offer, order),
    )  # fmt: skip
    if lock is None or locked is None:
        return (entry,)
    use = _one_use(locked)
    at = use.counted_at or at  # a held use counts at the time it was held
    entry = replace(entry, lock_reference=lock.lock_reference, counted_at=at)
    if lock.customer_key == customer_key and locked.currency in (None, order.currency):
        return (replace(entry, held_uses=-1, held_minor=-use.discount_minor),)
    # The entry that empties the lock names no order, because an order uses a coupon only once.
    emptied = LedgerEntry(
        "burned", use.coupon_id, use.campaign_id, customer_key=lock.customer_key, lock_reference=lock.lock_reference,
        redemption_id=redemption, held_uses=-1, held_minor=-use.discount_minor, currency=locked.currency,
        lines=use.lines, counted_at=at,
    )  # fmt: skip
    return (emptied, entry)


def burned_from_hold(hold: LockState, locked: LockedUse, order_id: str, redemption: str) -> LedgerEntry:
    """Return the entry that burns what `hold` holds of one coupon, at the discount it was held at."""
    return LedgerEntry(
        "burned", locked.coupon_id, locked.campaign_id, customer_key=hold.customer_key, order_id=order_id,
        lock_reference=hold.lock_reference, redemption_id=redemption, held_uses=-locked.uses, used_uses=locked.uses,
        held_minor=-locked.discount_minor, used_minor=locked.discount_minor, currency=locked.currency,
        lines=locked.lines, counted_at=locked.counted_at, subscription_id=locked.subscription_id,
    )  # fmt: skip


def held(
    applied: AppliedOffer, customer_key: CustomerKey | None, order_id: str | None, reference: str, locked: LockedUse
) -> tuple[LedgerEntry, ...]:
    """Return the entries for one use held by lock `reference`, taken from the offer's own hold if it has one."""
    offer = applied.offer
    entry = taken_into_lock(locked, customer_key, order_id, reference)
    if offer.lock is None or offer.locked is None:
        return (entry,)
    return (released(offer.lock, _one_use(offer.locked), order_id), entry)


def taken_into_lock(
    locked: LockedUse, customer_key: CustomerKey | None, order_id: str | None, reference: str
) -> LedgerEntry:
    """Return the entry that puts a use into lock `reference`."""
    return LedgerEntry(
        "locked", locked.coupon_id, locked.campaign_id, customer_key=customer_key, order_id=order_id,
        lock_reference=reference, held_uses=locked.uses, held_minor=locked.discount_minor, currency=locked.currency,
        lines=locked.lines, counted_at=locked.counted_at,
    )  # fmt: skip


def released(lock: LockState, locked: LockedUse, order_id: str | None = None) -> LedgerEntry:
    """Return the entry that releases what `lock` holds of one coupon."""
    return LedgerEntry(
        "released", locked.coupon_id, locked.campaign_id, customer_key=lock.customer_key,
        order_id=lock.order_id if lock.order_id is not None else order_id, lock_reference=lock.lock_reference,
        held_uses=-locked.uses, held_minor=-locked.discount_minor, currency=locked.currency, lines=locked.lines,
        counted_at=locked.counted_at,
    )  # fmt: skip


def restored(redemption: ActiveRedemption, order_id: str) -> LedgerEntry:
    """Return the entry that takes a redemption back. A coupon that was voided or expired meanwhile stays so."""
    return LedgerEntry(
        "restored", redemption.coupon_id, redemption.campaign_id, customer_key=redemption.customer_key,
        order_id=order_id, redemption_id=redemption.redemption_id, used_uses=-redemption.uses,
        used_minor=-redemption.discount_minor, currency=redemption.currency, counted_at=redemption.counted_at,
        subscription_id=redemption.subscription_id,
    )  # fmt: skip


def adjusted(redemption: ActiveRedemption, order_id: str, used_minor: int, lines: tuple[LineShare, ...]) -> LedgerEntry:
    """Return the entry that changes a redemption's discount by `used_minor`. `lines`: the new shares of all of it."""
    return LedgerEntry(
        "adjusted", redemption.coupon_id, redemption.campaign_id, customer_key=redemption.customer_key,
        order_id=order_id, redemption_id=redemption.redemption_id, used_minor=used_minor, currency=redemption.currency,
        lines=lines, counted_at=redemption.counted_at, subscription_id=redemption.subscription_id,
    )  # fmt: skip


def adjusted_hold(lock: LockState, locked: LockedUse, held_minor: int) -> LedgerEntry:
    """Return the entry that changes the discount that `lock` holds by `held_minor`. `locked`: as it is held now."""
    return LedgerEntry(
        "adjusted", locked.coupon_id, locked.campaign_id, customer_key=lock.customer_key, order_id=lock.order_id,
        lock_reference=lock.lock_reference, held_minor=held_minor, currency=locked.currency, lines=locked.lines,
        counted_at=locked.counted_at,
    )  # fmt: skip


def counted_at(applied: AppliedOffer, at: datetime) -> datetime:
    """Return when a use held from `at` on counts: a use that was held before keeps its time."""
    locked = applied.offer.locked
    return at if locked is None or locked.counted_at is None else locked.counted_at


def lock_changes(
    applied: Iterable[AppliedOffer], order_id: str | None, status_when_empty: Literal["burned", "released"] = "burned"
) -> list[LockChange]:
    """Return the changes of locks that held the applied offers. A lock with remaining uses stays open."""
    changed: dict[str, tuple[LockState, set[str]]] = {}
    for use in applied:
        lock = use.offer.lock
        if lock is not None:
            changed.setdefault(lock.lock_reference, (lock, set()))[1].add(use.offer.coupon.coupon_id)
    return [
        _taken_over(lock, coupon_ids) if lock.is_of_order and lock.order_id != order_id
        else _without(lock, coupon_ids, order_id, status_when_empty)
        for lock, coupon_ids in changed.values()
    ]  # fmt: skip


def _one_use(locked: LockedUse) -> LockedUse:
    if locked.uses == 1:
        return locked
    return _uses(locked, 1, locked.one_use_minor)


def _uses(locked: LockedUse, uses: int, discount_minor: int) -> LockedUse:
    """Return some of the uses that a lock holds of one coupon. Lines are known only for all of them."""
    return LockedUse(
        locked.coupon_id, locked.campaign_id, uses=uses, discount_minor=discount_minor, currency=locked.currency,
        counted_at=locked.counted_at,
    )  # fmt: skip


def _taken_over(lock: LockState, coupon_ids: set[str]) -> LockChange:
    """Return the change of an older order's hold that a newer order takes uses of: they are lost to the older one."""
    kept = tuple([locked for locked in lock.uses if locked.coupon_id not in coupon_ids])
    lost = tuple([locked for locked in lock.uses if locked.coupon_id in coupon_ids])
    return LockChange(
        lock.lock_reference, "open" if kept else "released", customer_key=lock.customer_key, order_id=lock.order_id,
        expires_at=lock.expires_at, uses=kept, lost=(*lock.lost, *lost),
    )  # fmt: skip


def _without(
    lock: LockState, coupon_ids: set[str], order_id: str | None, status_when_empty: Literal["burned", "released"]
) -> LockChange:
    remainder: list[LockedUse] = []
    for locked in lock.uses:
        if locked.coupon_id not in coupon_ids:
            remainder.append(locked)
        elif locked.uses > 1:
            remainder.append(_uses(locked, locked.uses - 1, locked.discount_minor - locked.one_use_minor))
    return LockChange(
        lock.lock_reference, "open" if remainder else status_when_empty, customer_key=lock.customer_key,
        order_id=lock.order_id if remainder else order_id, expires_at=lock.expires_at, uses=tuple(remainder),
    )  # fmt: skip


def active_redemption(burned: LedgerEntry) -> ActiveRedemption:
    """Return the redemption that a burned coupon creates on its order."""
    return new_active_redemption(
        burned.coupon_id, burned.campaign_id, redemption_id=burned.redemption_id or "", uses=burned.used_uses,
        discount_minor=burned.used_minor, currency=burned.currency, customer_key=burned.customer_key,
        lines=burned.lines, burned_minor=burned.used_minor, counted_at=burned.counted_at,
        subscription_id=burned.subscription_id,
    )  # fmt: skip
