"""Find what the ledger entries of merged customers say about a split: whose locks, orders and changes are whose. Pure.

An entry keeps the key it was written with. After a merge, the cancellation of an order is written under another key
than its redemption, so the sums of both keys are right only together. `corrections` makes each of them right.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

_Place = tuple[str, str | None, datetime]
"""(campaign id, currency, time it counts at): what is summed together"""
_Amount = tuple[int, int]
"""(uses, discount in minor units)"""


@dataclass(frozen=True, slots=True)
class EntryOfSplit:
    """A ledger entry. `returns`: it was written under a key that comes back."""

    entry_id: int
    recorded_at: datetime
    kind: str
    coupon_id: str
    campaign_id: str
    order_id: str | None
    lock_reference: str | None
    held_uses: int
    used_uses: int
    held_minor: int
    used_minor: int
    currency: str | None
    counted_at: datetime | None
    returns: bool

    @property
    def place(self) -> _Place:
        return (self.campaign_id, self.currency, self.counted_at or self.recorded_at)


@dataclass(frozen=True, slots=True)
class Correction:
    """A change that the customer that comes back gets from the other one; negative numbers go the other way."""

    coupon_id: str
    place: _Place
    order_id: str | None = None
    lock_reference: str | None = None
    held: _Amount = (0, 0)
    used: _Amount = (0, 0)


class _Sums:
    """The changes under the keys that come back, as they are written and as they belong."""

    def __init__(self) -> None:
        self._missing: dict[_Place, list[int]] = defaultdict(lambda: [0, 0])

    def add(self, entry: EntryOfSplit, amount: _Amount, *, belongs: bool) -> None:
        if belongs != entry.returns:
            sign = 1 if belongs else -1
            missing = self._missing[entry.place]
            missing[0] += sign * amount[0]
            missing[1] += sign * amount[1]

    def missing(self) -> list[tuple[_Place, _Amount]]:
        return [(place, (uses, minor)) for place, (uses, minor) in self._missing.items() if uses or minor]


def locks_that_return(entries: Sequence[EntryOfSplit]) -> dict[str, bool]:
    """Return, by lock reference, whether the lock comes back: it belongs to the customer who locked last."""
    owners: dict[str, bool] = {}
    for entry in sorted(entries, key=lambda one: one.entry_id):
        if entry.kind == "locked" and entry.lock_reference is not None:
            owners[entry.lock_reference] = entry.returns
    return owners


def orders_that_return(entries: Sequence[EntryOfSplit]) -> list[str]:
    """Return the orders that come back: those whose last coupon was used or held by a customer that comes back."""
    owners: dict[str, bool] = {}
    for entry in sorted(entries, key=lambda one: one.entry_id):
        if entry.kind in ("burned", "locked") and entry.order_id is not None:
            owners[entry.order_id] = entry.returns
    return sorted(order_id for order_id, returns in owners.items() if returns)


def corrections(entries: Sequence[EntryOfSplit]) -> list[Correction]:
    """Return the changes to move so that what undoes a change counts for the customer of that change.

    A restore or return belongs to the customer of its redemption, everything that a lock held to the lock's customer.
    Earlier corrections are among the entries, so a second split doesn't repeat them.
    """
    ordered = sorted(entries, key=lambda one: one.entry_id)
    return [*_of_uses(ordered), *_of_holds(ordered)]


def _of_uses(ordered: Sequence[EntryOfSplit]) -> list[Correction]:
    redeemed: dict[tuple[str, str], bool] = {}
    sums: dict[tuple[str, str], _Sums] = defaultdict(_Sums)
    for entry in ordered:
        if entry.order_id is None or not (entry.used_uses or entry.used_minor or entry.kind == "burned"):
            continue
        key = (entry.coupon_id, entry.order_id)
        if entry.kind == "burned":
            redeemed[key] = entry.returns
        if key in redeemed:
            # A correction belongs nowhere: it counts against what it has corrected already.
            _add(sums[key], entry, (entry.used_uses, entry.used_minor), belongs=redeemed[key])
    return [
        Correction(coupon_id, place, order_id=order_id, used=amount)
        for (coupon_id, order_id), found in sums.items()
        for place, amount in found.missing()
    ]


def _of_holds(ordered: Sequence[EntryOfSplit]) -> list[Correction]:
    owners = locks_that_return(ordered)
    sums: dict[tuple[str, str], _Sums] = defaultdict(_Sums)
    for entry in ordered:
        reference = entry.lock_reference
        if reference is not None and reference in owners and (entry.held_uses or entry.held_minor):
            amount = (entry.held_uses, entry.held_minor)
            _add(sums[entry.coupon_id, reference], entry, amount, belongs=owners[reference])
    return [
        Correction(coupon_id, place, lock_reference=reference, held=amount)
        for (coupon_id, reference), found in sums.items()
        for place, amount in found.missing()
    ]


def _add(sums: _Sums, entry: EntryOfSplit, amount: _Amount, *, belongs: bool) -> None:
    if entry.kind != "moved":
        sums.add(entry, amount, belongs=belongs)
    elif entry.returns:
        sums.add(entry, amount, belongs=False)
