"""The model's facts: uses, locks, orders and issued coupons; and totals, which are counted when needed."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import Any

from shared.domain.model.customer import Customer
from tests.stateful.basket import Content, Part, Parts
from tests.stateful.customers import Customers

Movement = tuple[int, int, int, int]
"""Changes of one coupon's totals: uses held, uses used, discount held, discount used."""


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
    segments: frozenset[str] = frozenset()
    """a customer must be in one of them; empty: in any or none"""
    minimum: int = 0
    recurring: bool = False
    rejudged: bool = False
    """after a return in part it is judged again on what is left"""
    priority: int = 0
    restored_on: frozenset[str] = frozenset({"cancelled", "returned"})
    starts_at: datetime | None = None
    active: bool = True

    def discount(self, left_minor: int) -> int:
        """Return the discount, rounded half up and at most `left_minor`."""
        return (left_minor * self.percent + 50) // 100 if self.percent else min(self.off_minor, left_minor)

    @property
    def needs_customer(self) -> bool:
        return self.holder_only or bool(self.segments) or self.per_customer is not None


@dataclass
class Coupon:
    code: str
    campaign: str
    holder: str | None = None
    starts_at: datetime | None = None
    voided: bool = False


@dataclass
class Held:
    """A coupon in a lock. `discount` is None without an order."""

    discount: int | None
    since: datetime | None = None
    """when the use counts; None: when the lock was made, today"""
    parts: Parts = field(default_factory=dict)
    takes: int = 1
    """0: it continues with a subscription and takes no use"""
    subscription: str | None = None

    @property
    def day(self) -> date | None:
        return None if self.since is None else self.since.date()


@dataclass
class Lock:
    status: str
    customer_key: str | None
    order: str | None
    uses: dict[str, Held]
    """code → what is held of it"""
    is_expired: bool = False
    lost: dict[str, Held] = field(default_factory=dict)
    """what an order's own lock gave up: it is judged again if the order is paid after all"""

    @property
    def holds(self) -> bool:
        return self.status == "open" and not self.is_expired


@dataclass
class Order:
    status: str
    content: Content | None = None
    """None: no event has said what it costs"""
    codes: set[str] = field(default_factory=set)
    customer_key: str | None = None
    customer: Customer | None = None
    """as the order named it when it last held coupons"""
    first: datetime | None = None
    """when it was placed, by the earliest event that said so; `placed` by the latest"""
    placed: datetime | None = None
    changed: datetime | None = None
    paid: datetime | None = None
    closed: dict[str, datetime] = field(default_factory=dict)
    parts: list[Part] = field(default_factory=list)

    @property
    def is_closed(self) -> bool:
        return self.status in {"cancelled", "returned"}

    @property
    def last_closing(self) -> datetime | None:
        return max(self.closed.values(), default=None)

    @property
    def last_version(self) -> datetime | None:
        return max((time for time in (self.placed, self.changed) if time is not None), default=None)

    @property
    def is_paid(self) -> bool:
        last = self.last_closing
        return self.status == "paid" or (self.paid is not None and (last is None or self.paid > last))

    def place(self, at: datetime | None) -> None:
        """Record a time at which an event placed the order."""
        if at is not None:
            self.first, self.placed = min(at, self.first or at), max(at, self.placed or at)


@dataclass
class Use:
    """A coupon that an order has redeemed. `discount` is what is left of `whole` after returns in part."""

    customer_key: str | None
    discount: int
    whole: int
    since: datetime | None = None
    """when it counts; None: today"""
    parts: Parts = field(default_factory=dict)
    takes: int = 1
    """0: it continues with a subscription and takes no use"""
    subscription: str | None = None

    @property
    def day(self) -> date | None:
        return None if self.since is None else self.since.date()


class Facts(Customers):
    """The whole ledger as dicts."""

    def __init__(self, offers: Iterable[Offer]) -> None:
        super().__init__()
        self.offers = {offer.name: offer for offer in offers}
        self.coupons: dict[str, Coupon] = {}
        self.locks: dict[str, Lock] = {}
        self.orders: dict[str, Order] = {}
        self.uses: dict[tuple[str, str], Use] = {}
        """(order, code) → its active use"""
        self.issues: list[tuple[str, str | None]] = []
        """(campaign, customer)"""
        self.occasions: set[tuple[str, str]] = set()
        for offer in self.offers.values():
            if offer.shared_code is not None:
                self.coupons[offer.shared_code] = Coupon(offer.shared_code, offer.name)

    def offer_of(self, code: str) -> Offer:
        return self.offers[self.coupons[code].campaign]

    def uses_of(self, order_id: str) -> dict[str, Use]:
        """Return what an order has redeemed, by code."""
        return {code: use for (other, code), use in self.uses.items() if other == order_id}

    def hold_of(self, order_id: str) -> Lock | None:
        """Return the lock that holds an order's coupons until it is paid, while it holds something."""
        lock = self.locks.get(f"order:{order_id}")
        return lock if lock is not None and lock.holds else None

    # Totals

    def used(self, campaign: str, customer_key: str | None = None) -> int:
        return sum(
            use.takes
            for (_, code), use in self.uses.items()
            if self.coupons[code].campaign == campaign
            and (customer_key is None or self.same(use.customer_key, customer_key))
        )

    def held(self, campaign: str, customer_key: str | None = None, without: Sequence[Lock | None] = ()) -> int:
        """Return the number of uses held by locks; an expired lock holds nothing."""
        return sum(
            held.takes
            for lock in self.locks.values()
            if lock.holds
            and all(lock is not one for one in without)
            and (customer_key is None or self.same(lock.customer_key, customer_key))
            for code, held in lock.uses.items()
            if self.coupons[code].campaign == campaign
        )

    def used_on(self, campaign: str, day: date | None) -> int:
        return sum(
            use.takes
            for (_, code), use in self.uses.items()
            if self.coupons[code].campaign == campaign and use.day == day
        )

    def held_on(self, campaign: str, day: date | None, without: Lock | None) -> int:
        return sum(
            held.takes
            for lock in self.locks.values()
            if lock.holds and lock is not without
            for code, held in lock.uses.items()
            if self.coupons[code].campaign == campaign and held.day == day
        )

    def spent(self, campaign: str, customer_key: str | None = None) -> int:
        return sum(
            use.discount
            for (_, code), use in self.uses.items()
            if self.coupons[code].campaign == campaign
            and (customer_key is None or self.same(use.customer_key, customer_key))
        )

    def set_aside(self, campaign: str, without: Lock | None, customer_key: str | None = None) -> int:
        """Return the part of a budget that locks hold."""
        return sum(
            held.discount or 0
            for lock in self.locks.values()
            if lock.holds and lock is not without
            and (customer_key is None or self.same(lock.customer_key, customer_key))
            for code, held in lock.uses.items()
            if self.coupons[code].campaign == campaign
        )  # fmt: skip

    def coupon_uses(self, code: str) -> int:
        return sum(use.takes for (_, used), use in self.uses.items() if used == code)

    def continued(self, code: str, subscription: str | None) -> int:
        """Return how many uses of a coupon cover the later orders of a subscription."""
        return sum(
            use.takes
            for (_, used), use in self.uses.items()
            if used == code and subscription is not None and use.subscription == subscription
        )

    def issued(self, campaign: str, customer_key: str | None = None) -> int:
        return sum(
            name == campaign and (customer_key is None or self.same(had, customer_key)) for name, had in self.issues
        )

    def totals(self) -> Mapping[tuple[str, str | None], Movement]:
        """Return the totals of each coupon and customer, which all entries of the ledger sum to."""
        totals: dict[tuple[str, str | None], list[int]] = {}
        for lock in self.locks.values():
            for code, held in lock.uses.items() if lock.status == "open" else ():
                sums = totals.setdefault((code, self.customer_key(lock.customer_key)), [0, 0, 0, 0])
                sums[0] += held.takes
                sums[2] += held.discount or 0
        for (_, code), use in self.uses.items():
            sums = totals.setdefault((code, self.customer_key(use.customer_key)), [0, 0, 0, 0])
            sums[1] += use.takes
            sums[3] += use.discount
        return {key: (one[0], one[1], one[2], one[3]) for key, one in totals.items()}

    def change(self, name: str, **changes: Any) -> Offer:
        """Change a campaign's rules from now on."""
        self.offers[name] = replace(self.offers[name], **changes)
        return self.offers[name]
