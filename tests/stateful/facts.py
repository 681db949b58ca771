"""The model's facts: uses, locks and issued coupons; and totals, which are counted when needed."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import Any

from shared.domain.model.customer import Customer


@dataclass(frozen=True)
class Offer:
    """A campaign's rules. A percentage takes `percent` off, otherwise `off_minor`; None means no limit."""

    name: str
    percent: int = 0
    off_minor: int = 0
    shared_code: str | None = None
    per_coupon: int | None = None
    per_customer: int | None = None
    in_total: int | None = None
    coupons_per_customer: int | None = None
    coupons_total: int | None = None
    alone: bool = False
    group: str | None = None
    at_most: int | None = None
    budget: int | None = None
    per_day: int | None = None
    holder_only: bool = False
    priority: int = 0
    restored_on: frozenset[str] = frozenset({"cancelled", "returned"})
    starts_at: datetime | None = None
    active: bool = True

    def discount(self, left_minor: int) -> int:
        """Return the discount, rounded half up and at most `left_minor`."""
        return (left_minor * self.percent + 50) // 100 if self.percent else min(self.off_minor, left_minor)


@dataclass
class Coupon:
    code: str
    campaign: str
    holder: str | None = None
    starts_at: datetime | None = None
    voided: bool = False


@dataclass
class Lock:
    status: str
    customer_key: str | None
    order: str | None
    uses: dict[str, int | None]
    """code → discount"""
    is_expired: bool = False
    days: dict[str, date | None] = field(default_factory=dict)
    """code → the day its use counts on; None: today"""

    @property
    def holds(self) -> bool:
        return self.status == "open" and not self.is_expired


@dataclass
class Order:
    status: str
    placed: datetime | None = None
    paid: datetime | None = None
    closed: dict[str, datetime] = field(default_factory=dict)

    @property
    def is_closed(self) -> bool:
        return self.status in {"cancelled", "returned"}

    @property
    def last_closing(self) -> datetime | None:
        return max(self.closed.values(), default=None)

    @property
    def is_paid(self) -> bool:
        last = self.last_closing
        return self.status == "paid" or (self.paid is not None and (last is None or self.paid > last))


@dataclass
class Use:
    customer_key: str | None
    discount: int
    day: date | None = None
    """the day it counts on; None: today"""


class Facts:
    """The whole ledger as dicts."""

    def __init__(self, offers: Iterable[Offer]) -> None:
        self.offers = {offer.name: offer for offer in offers}
        self.coupons: dict[str, Coupon] = {}
        self.locks: dict[str, Lock] = {}
        self.orders: dict[str, Order] = {}
        self.uses: dict[tuple[str, str], Use] = {}
        """(order, code) → its active use"""
        self.issues: list[tuple[str, str | None]] = []
        """(campaign, customer)"""
        self.occasions: set[tuple[str, str]] = set()
        self._same: dict[str, str] = {}
        for offer in self.offers.values():
            if offer.shared_code is not None:
                self.coupons[offer.shared_code] = Coupon(offer.shared_code, offer.name)

    # Customers

    def merge_names(self, customer: Customer | None) -> None:
        """Make all identifiers of a customer belong to one customer from now on."""
        names = _names(customer)
        for name in names:
            self._same.setdefault(name, name)
        for name in names[1:]:
            self._same[self._root(name)] = self._root(names[0])

    def customer_key(self, name: str | None) -> str | None:
        return None if name is None else self._root(name)

    def _root(self, name: str) -> str:
        while self._same[name] != name:
            name = self._same[name]
        return name

    def key_of(self, customer: Customer | None) -> str | None:
        names = _names(customer)
        return self.customer_key(names[0]) if names else None

    def same(self, one: str | None, other: str | None) -> bool:
        return one is not None and other is not None and self.customer_key(one) == self.customer_key(other)

    # Totals

    def used(self, campaign: str, customer_key: str | None = None) -> int:
        return sum(
            self.coupons[code].campaign == campaign
            and (customer_key is None or self.same(use.customer_key, customer_key))
            for (_, code), use in self.uses.items()
        )

    def held(self, campaign: str, customer_key: str | None = None, without: Sequence[Lock | None] = ()) -> int:
        """Return the number of uses held by locks; an expired lock holds nothing."""
        return sum(
            self.coupons[code].campaign == campaign
            for lock in self.locks.values()
            if lock.holds
            and all(lock is not one for one in without)
            and (customer_key is None or self.same(lock.customer_key, customer_key))
            for code in lock.uses
        )

    def used_on(self, campaign: str, day: date | None) -> int:
        return sum(self.coupons[code].campaign == campaign and use.day == day for (_, code), use in self.uses.items())

    def held_on(self, campaign: str, day: date | None, without: Lock | None) -> int:
        return sum(
            self.coupons[code].campaign == campaign and lock.days.get(code) == day
            for lock in self.locks.values()
            if lock.holds and lock is not without
            for code in lock.uses
        )

    def spent(self, campaign: str) -> int:
        return sum(use.discount for (_, code), use in self.uses.items() if self.coupons[code].campaign == campaign)

    def set_aside(self, campaign: str, without: Lock | None) -> int:
        """Return the part of a budget that locks hold."""
        return sum(
            discount or 0
            for lock in self.locks.values()
            if lock.holds and lock is not without
            for code, discount in lock.uses.items()
            if self.coupons[code].campaign == campaign
        )

    def coupon_uses(self, code: str) -> int:
        return sum(used == code for _, used in self.uses)

    def coupon_held(self, code: str) -> int:
        return sum(code in lock.uses for lock in self.locks.values() if lock.holds)

    def issued(self, campaign: str, customer_key: str | None = None) -> int:
        return sum(
            name == campaign and (customer_key is None or self.same(had, customer_key)) for name, had in self.issues
        )

    def change(self, name: str, **changes: Any) -> Offer:
        """Change a campaign's rules from now on."""
        self.offers[name] = replace(self.offers[name], **changes)
        return self.offers[name]


def _names(customer: Customer | None) -> list[str]:
    if customer is None:
        return []
    named = (("id", customer.customer_id), ("email", customer.email and customer.email.strip().lower()))
    return [f"{kind} {name}" for kind, name in named if name]
