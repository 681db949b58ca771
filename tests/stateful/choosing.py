"""Choose the coupons of a request: reasons in the documented order, limits, own locks, best offer wins."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from itertools import combinations

from tests.stateful.basket import Basket, Content, Parts
from tests.stateful.facts import Coupon, Facts, Held, Lock, Offer, Use

ORDERED_REASONS = (
    "not_found", "voided", "campaign_inactive", "not_started", "expired", "wrong_customer", "customer_required",
    "segment_mismatch", "order_mismatch", "below_minimum", "exhausted", "customer_limit", "campaign_exhausted",
    "budget_exceeded", "locked_elsewhere", "lock_not_found", "lock_expired", "already_redeemed", "not_combinable",
    "better_offer_won", "no_effect",
)  # fmt: skip


@dataclass
class Candidate:
    """A coupon that a request may use. `lock`: the lock that pays for its use.

    `promised`: the request named that lock, or the order holds the coupon. `kept`: the order has redeemed it. `free`:
    it continues with a subscription. Neither of the latter takes a use.
    """

    coupon: Coupon
    offer: Offer
    untouched: int = 0
    lock: Lock | None = None
    promised: bool = False
    kept: Use | None = None
    free: bool = False

    @property
    def held(self) -> Held | None:
        return None if self.lock is None else self.lock.uses.get(self.coupon.code)


@dataclass
class Taken:
    """A coupon that is used, with its discount and the parts of it by line; None and nothing without an order."""

    one: Candidate
    discount: int | None = None
    parts: Parts | None = None

    @property
    def code(self) -> str:
        return self.one.coupon.code


@dataclass
class Request:
    """A request for coupons, from an order or a lock. `basket` is what earlier requests left; None without an order."""

    customer_key: str | None
    order: str | None
    content: Content | None
    basket: Basket | None
    segments: frozenset[str] = frozenset()
    at: datetime | None = None
    """when the uses count, and windows are judged; None: now"""
    replaced: Lock | None = None
    closed: bool = False
    takes_over: bool = False
    existing: Sequence[Offer] = ()
    """campaigns of the coupons that the order has already"""

    @property
    def day(self) -> date | None:
        return None if self.at is None else self.at.date()


class Choosing(Facts):
    """Decides requests for coupons, based on the facts."""

    # Rules

    def judged(self, code: str, request: Request) -> Candidate | str:
        """Return a coupon named by its code as a candidate, or the reason that refuses it. Limits are judged later."""
        coupon = self.coupons.get(code)
        if coupon is None:
            return "not_found"
        offer = self.offers[coupon.campaign]
        guest = request.customer_key is None
        reason = first_of(
            [
                ("voided", coupon.voided),
                ("campaign_inactive", not offer.active),
                ("not_started", is_early(offer.starts_at, request.at) or is_early(coupon.starts_at, request.at)),
                (
                    "wrong_customer",
                    offer.holder_only and not guest and not self.same(coupon.holder, request.customer_key),
                ),
                ("customer_required", guest and offer.needs_customer),
                ("segment_mismatch", bool(offer.segments) and not offer.segments & request.segments),
                *of_order(offer, request),
            ]
        )
        if reason:
            return reason
        one = Candidate(coupon, offer, lock=self._own_lock(request, code))
        if one.lock is None and request.takes_over:
            self._take_over(request, one)
        return one

    def continuing(self, code: str, request: Request) -> Candidate | str | None:
        """Return the candidate or refusal of a coupon that continues with the request's subscription, else None."""
        coupon, content = self.coupons.get(code), request.content
        if coupon is None or content is None or content.cycle < 2:
            return None
        if not self.offers[coupon.campaign].recurring or not self.continued(code, content.subscription):
            return None
        return self.of_subscription(coupon, request)

    def of_subscription(self, coupon: Coupon, request: Request) -> Candidate | str:
        """Judge a coupon that continues with a subscription by what depends on the order."""
        offer = self.offers[coupon.campaign]
        reason = first_of([("voided", coupon.voided), *of_order(offer, request)])
        return reason or Candidate(coupon, offer, free=True)

    def _take_over(self, request: Request, one: Candidate) -> None:
        """Let the oldest unpaid order of the customer pay for the use with its hold, if there is no room otherwise."""
        older = [
            (held.since, reference, lock)
            for reference, lock in self.locks.items()
            if lock.holds
            and reference == f"order:{lock.order}"
            and lock.order != request.order
            and self.same(lock.customer_key, request.customer_key)
            and (held := lock.uses.get(one.coupon.code)) is not None
            and held.takes
            and held.since is not None
            and request.at is not None
            and held.since <= request.at
        ]
        if older and self.no_room(request, one, [], self._untouched(request, one)):
            one.lock = min(older, key=lambda found: found[:2])[2]

    # The best combination

    def _untouched(self, request: Request, one: Candidate) -> int | None:
        basket = request.basket
        return None if basket is None else basket.price(one.offer.discount(basket.left))

    def choose(self, request: Request, candidates: Sequence[Candidate], refused: dict[str, str]) -> list[Taken]:
        """Return the best combination in the order of application; add refusals to `refused`."""
        viable = []
        for one in candidates:
            off = self._untouched(request, one)
            one.untouched = off or 0
            reasons = [
                ("not_combinable", clash(one.offer, request.existing, len(request.existing) + 1)),
                ("no_effect", off == 0),
            ]
            if reason := self.no_room(request, one, [], off) or first_of(reasons):
                refused[one.coupon.code] = reason
            else:
                viable.append(one)
        viable.sort(key=lambda one: (-one.offer.priority, -one.untouched, one.offer.name, one.coupon.code))
        if request.basket is None:
            return self._without_order(request, viable, refused)
        found = [self._apply(request, some) for some in _subsets(viable) if self._allowed(request, some)]
        taken = min(
            (choice for choice in found if choice is not None),
            key=lambda choice: (
                -sum(one.discount or 0 for one in choice),
                len(choice),
                [viable.index(one.one) for one in choice],
            ),
        )
        left = request.basket.copy()
        for used in taken:
            left.take(used.discount or 0)
        winners = [used.one for used in taken]
        for one in viable:
            if one not in winners:
                beaten = clash(one.offer, [other.offer for other in winners], len(winners) + len(request.existing) + 1)
                off = left.price(one.offer.discount(left.left))
                nothing = not beaten and not off
                refused[one.coupon.code] = self.no_room(request, one, taken, off) or (
                    "no_effect" if nothing else "better_offer_won"
                )
        return taken

    def _without_order(
        self, request: Request, viable: Sequence[Candidate], refused: dict[str, str]
    ) -> list[Taken]:  # fmt: skip
        """Without amounts no coupon is better than another: coupons that can't be combined refuse each other."""
        taken: list[Taken] = []
        for one in viable:
            others = [other.offer for other in viable if other is not one]
            clashes = clash(one.offer, others, len(viable) + len(request.existing))
            reason = "not_combinable" if clashes else self.no_room(request, one, taken, None)
            if reason:
                refused[one.coupon.code] = reason
            else:
                taken.append(Taken(one))
        return taken

    @staticmethod
    def _allowed(request: Request, some: Sequence[Candidate]) -> bool:
        number = len(some) + len(request.existing)
        return not any(
            clash(one.offer, [*[other.offer for other in some if other is not one], *request.existing], number)
            for one in some
        )

    def _apply(self, request: Request, some: Sequence[Candidate]) -> list[Taken] | None:
        """Apply coupons one after another. Return None if one of them has no room or takes nothing off."""
        assert request.basket is not None
        taken: list[Taken] = []
        left = request.basket.copy()
        for one in some:
            discount = left.price(one.offer.discount(left.left))
            if not discount or self.no_room(request, one, taken, discount):
                return None
            taken.append(Taken(one, discount, left.take(discount)))
        return taken

    # Limits

    def no_room(self, request: Request, one: Candidate, taken: Sequence[Taken], off: int | None) -> str | None:
        """Return the reason of a limit that refuses this coupon, with discount `off`, after those `taken` before it."""
        offer, code, name = one.offer, one.coupon.code, one.offer.name
        money = self._no_money(request, one, taken, off)
        if one.kept is not None or one.free:
            return money
        before = [
            used.one for used in taken if used.one.offer.name == name and used.one.kept is None and not used.one.free
        ]
        mine = one.lock is not None and self.same(one.lock.customer_key, request.customer_key)
        over_customer = self._is_over_customer(request, one, before)
        if one.promised:
            return first_of([("customer_limit", over_customer and not mine), (money or "no_effect", money is not None)])
        others = sum(
            held.takes
            for reference, lock in self.locks.items()
            if lock.holds and lock is not request.replaced and lock is not one.lock
            and not self._owns(request, reference, lock)
            for held_code, held in lock.uses.items()
            if held_code == code
        )  # fmt: skip
        used = self.used(name) + len(before)
        held = self.held(name, None, (request.replaced, one.lock)) + self._still_held(one)
        held += self.used(name) + sum(other.lock is None for other in before)
        that_day = self.used_on(name, request.day) + sum(other.lock is None for other in before)
        held_day = that_day + self.held_on(name, request.day, request.replaced)
        return first_of(
            [
                ("exhausted", is_reached(self.coupon_uses(code), offer.per_coupon)),
                ("customer_limit", over_customer),
                ("campaign_exhausted", is_reached(used, offer.in_total)),
                ("campaign_exhausted", one.lock is None and is_reached(that_day, offer.per_day)),
                (money or "no_effect", money is not None),
                ("locked_elsewhere", is_reached(held, offer.in_total)),
                ("locked_elsewhere", one.lock is None and is_reached(held_day, offer.per_day)),
                ("locked_elsewhere", is_reached(self.coupon_uses(code) + others, offer.per_coupon)),
            ]
        )

    def _is_over_customer(self, request: Request, one: Candidate, before: Sequence[Candidate]) -> bool:
        key, name = request.customer_key, one.offer.name
        if key is None:
            return False
        uses = self.used(name, key) + self.held(name, key, (request.replaced, one.lock))
        if one.lock is not None and self.same(one.lock.customer_key, key):
            uses += self._still_held(one)
        uses += sum(not (other.lock and self.same(other.lock.customer_key, key)) for other in before)
        return is_reached(uses, one.offer.per_customer)

    def _no_money(self, request: Request, one: Candidate, taken: Sequence[Taken], off: int | None) -> str | None:
        """Return the reason if the budget has no room for the discount beyond what the coupon has or holds already."""
        budget, name = one.offer.budget, one.offer.name
        needed, own, spent_on_it = 1 if off is None else off, _own_money(one), _spent_on(one)
        if budget is None or needed <= own + spent_on_it:
            return None
        before = [used for used in taken if used.one.offer.name == name]
        spent = self.spent(name) - spent_on_it + sum((used.discount or 0) - _spent_on(used.one) for used in before)
        if spent + needed > budget:
            return "budget_exceeded"
        aside = self.set_aside(name, request.replaced) - own - sum(_own_money(used.one) for used in before)
        return "locked_elsewhere" if spent + aside + needed > budget else None

    def _still_held(self, one: Candidate) -> int:
        """Return the other uses of the campaign in the lock that pays for this use."""
        return sum(
            held.takes
            for code, held in (one.lock.uses if one.lock else {}).items()
            if self.coupons[code].campaign == one.offer.name and code != one.coupon.code
        )

    def _own_lock(self, request: Request, code: str) -> Lock | None:
        own = [
            (lock.order is None, reference)
            for reference, lock in self.locks.items()
            if lock.holds
            and lock is not request.replaced
            and code in lock.uses
            and self._owns(request, reference, lock)
        ]
        return self.locks[min(own)[1]] if own else None

    def _owns(self, request: Request, reference: str, lock: Lock) -> bool:
        """Return whether a lock belongs to the request: to its order, or without an order to its customer."""
        if lock.order is not None:
            return lock.order == request.order and reference != f"order:{lock.order}"
        return self.same(lock.customer_key, request.customer_key)


def _own_money(one: Candidate) -> int:
    return 0 if one.held is None else one.held.discount or 0


def _spent_on(one: Candidate) -> int:
    return 0 if one.kept is None else one.kept.discount


def of_order(offer: Offer, request: Request) -> list[tuple[str, bool]]:
    """Return the rules that depend on the order."""
    content = request.content
    return [
        ("order_mismatch", request.closed),
        ("below_minimum", content is not None and content.amount < offer.minimum),
    ]


def clash(offer: Offer, others: Sequence[Offer], number: int) -> bool:
    """Return whether an offer can't be combined with the others, in an order with `number` coupons."""
    return any(
        offer.alone
        or other.alone
        or (offer.group is not None and offer.group == other.group)
        or number > min(offer.at_most or number, other.at_most or number)
        for other in others
    )


def _subsets(viable: Sequence[Candidate]) -> Iterator[Sequence[Candidate]]:
    """Yield every subset, each in the order of application."""
    for size in range(len(viable) + 1):
        yield from combinations(viable, size)


def first_of(reasons: Sequence[tuple[str, bool]]) -> str | None:
    """Return the first reason that applies, in the documented order."""
    return min((reason for reason, applies in reasons if applies), key=ORDERED_REASONS.index, default=None)


def is_reached(number: int, limit: int | None) -> bool:
    return limit is not None and number >= limit


def is_early(start: datetime | None, at: datetime | None) -> bool:
    return start is not None and at is not None and at < start
