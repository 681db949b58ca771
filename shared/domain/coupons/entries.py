"""How uses get into locks and out of them: the ledger entries for it, and what becomes of the locks.

A meter is the sum of signed entries, each booked on the customer it names. So what a lock held is taken out under the
lock's customer, also where somebody else burns it: then it takes two entries, a release and a use.
"""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from typing import Literal

from shared.domain.model.campaign import PLAIN, DiscountOffer
from shared.domain.model.customer import CustomerKey
from shared.domain.model.order import SHIPPING, Order
from shared.domain.model.state import LockedUse, LockState
from shared.domain.model.verdicts import AcceptedCoupon, Benefit, LedgerEntry, LineShare, LockChange
from shared.domain.offers.request import AppliedOffer, Offer


def accepted(taken: AppliedOffer) -> AcceptedCoupon:
    """What is told of a coupon that was redeemed, held or locked."""
    coupon, discount, lines = taken.offer.coupon, taken.offer.campaign.discount, taken.shares
    if discount.kind in PLAIN and not taken.offer.recurring:
        return AcceptedCoupon(
            coupon.coupon_id, coupon.code, coupon.campaign_id, discount.kind, discount.value, taken.discount_minor,
            lines,
        )  # fmt: skip
    return AcceptedCoupon(
        coupon.coupon_id, coupon.code, coupon.campaign_id, discount.kind, discount.value, taken.discount_minor, lines,
        uses_of(taken.offer), benefit=benefit_of(discount, lines), recurring=taken.offer.recurring,
    )  # fmt: skip


def benefit_of(discount: DiscountOffer, lines: tuple[LineShare, ...]) -> Benefit | None:
    """What the coupon gives beside a discount on goods, `lines` being the shares of what it takes off."""
    if discount.kind in PLAIN:
        return None
    shipping = sum(part for line_id, part in lines if line_id == SHIPPING)
    return Benefit(shipping, discount.product_id, discount.units, discount.payload)


def uses_of(offer: Offer) -> int:
    """How many uses an order takes of the coupon: none where it goes on with a subscription."""
    return 0 if offer.recurring else 1


def subscription_of(offer: Offer, order: Order) -> str | None:
    """The subscription whose later orders the use covers."""
    return order.subscription_id if offer.campaign.recurring else None


def burned(
    taken: AppliedOffer, user: CustomerKey | None, order: Order, redemption: str, at: datetime
) -> tuple[LedgerEntry, ...]:
    """The entries for one use on an order, out of the offer's own hold where it has one. `at`: when it counts."""
    offer = taken.offer
    coupon, lock, locked = offer.coupon, offer.lock, offer.locked
    entry = LedgerEntry(
        "burned", coupon.coupon_id, coupon.campaign_id, user, order.order_id, None, redemption, 0, uses_of(offer), 0,
        taken.discount_minor or 0, order.currency, taken.shares, at, subscription_of(offer, order),
    )  # fmt: skip
    if lock is None or locked is None:
        return (entry,)
    one = _one(locked)
    at = one.counted_at or at  # what was held counts when it was held
    entry = replace(entry, lock_reference=lock.lock_reference, counted_at=at)
    if lock.customer_key == user and locked.currency in (None, order.currency):
        return (replace(entry, held_uses=-1, held_minor=-one.discount_minor),)
    # What is taken out of the lock is an entry of its own. It names no order: an order uses a coupon once.
    emptied = LedgerEntry(
        "burned", one.coupon_id, one.campaign_id, lock.customer_key, None, lock.lock_reference, redemption, -1, 0,
        -one.discount_minor, 0, locked.currency, one.lines, at,
    )  # fmt: skip
    return (emptied, entry)


def held(
    taken: AppliedOffer, user: CustomerKey | None, order_id: str | None, reference: str, locked: LockedUse
) -> tuple[LedgerEntry, ...]:
    """The entries for one use that goes under lock `reference`, out of the offer's own hold where it has one."""
    offer = taken.offer
    entry = LedgerEntry(
        "locked", locked.coupon_id, locked.campaign_id, user, order_id, reference, None, locked.uses, 0,
        locked.discount_minor, 0, locked.currency, locked.lines, locked.counted_at,
    )  # fmt: skip
    if offer.lock is None or offer.locked is None:
        return (entry,)
    return (released(offer.lock, _one(offer.locked), order_id), entry)


def released(lock: LockState, locked: LockedUse, order_id: str | None = None) -> LedgerEntry:
    """The entry that gives back what `lock` holds of one coupon."""
    return LedgerEntry(
        "released", locked.coupon_id, locked.campaign_id, lock.customer_key,
        lock.order_id if lock.order_id is not None else order_id, lock.lock_reference, None,
        -locked.uses, 0, -locked.discount_minor, 0, locked.currency, locked.lines, locked.counted_at,
    )  # fmt: skip


def counted_at(taken: AppliedOffer, at: datetime) -> datetime:
    """When a use counts that is held from `at` on: a use that was held before moves over as it was."""
    locked = taken.offer.locked
    return at if locked is None or locked.counted_at is None else locked.counted_at


def drained(
    taken: Iterable[AppliedOffer], order_id: str | None, emptied: Literal["burned", "released"] = "burned"
) -> list[LockChange]:
    """What becomes of the locks that the taken offers were held by: open with what is left, `emptied` without."""
    gone: dict[str, tuple[LockState, set[str]]] = {}
    for one in taken:
        lock = one.offer.lock
        if lock is not None:
            gone.setdefault(lock.lock_reference, (lock, set()))[1].add(one.offer.coupon.coupon_id)
    return [_without(lock, coupon_ids, order_id, emptied) for lock, coupon_ids in gone.values()]


def _one(locked: LockedUse) -> LockedUse:
    if locked.uses == 1:
        return locked
    return LockedUse(
        locked.coupon_id, locked.campaign_id, 1, locked.one_use_minor, locked.currency, (), locked.counted_at
    )


def _without(
    lock: LockState, coupon_ids: set[str], order_id: str | None, emptied: Literal["burned", "released"]
) -> LockChange:
    rest: list[LockedUse] = []
    for locked in lock.uses:
        if locked.coupon_id not in coupon_ids:
            rest.append(locked)
        elif locked.uses > 1:
            left_minor = locked.discount_minor - locked.one_use_minor
            rest.append(
                LockedUse(
                    locked.coupon_id,
                    locked.campaign_id,
                    locked.uses - 1,
                    left_minor,
                    locked.currency,
                    (),
                    locked.counted_at,
                )
            )
    if rest:
        return LockChange(lock.lock_reference, "open", lock.customer_key, lock.order_id, lock.expires_at, tuple(rest))
    return LockChange(lock.lock_reference, emptied, lock.customer_key, order_id, lock.expires_at, ())
