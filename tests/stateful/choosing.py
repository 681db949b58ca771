"""Which coupons a request gets: reasons of each in the documented order, limits, own locks, best offer wins."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from itertools import combinations

from shared.domain.model.commands import RedeemCoupons
from tests.stateful.facts import Coupon, Facts, Lock, Offer

ORDERED_REASONS = (
    "not_found", "voided", "campaign_inactive", "not_started", "expired", "wrong_customer", "customer_required",
    "order_mismatch", "exhausted", "customer_limit", "campaign_exhausted", "budget_exceeded", "locked_elsewhere",
    "lock_not_found", "lock_expired", "already_redeemed", "not_combinable", "better_offer_won", "no_effect",
)  # fmt: skip


@dataclass
class Candidate:
    """A coupon that a request may use; `lock` is the own hold that pays for it, `promised`: the request named it."""

    coupon: Coupon
    offer: Offer
    untouched: int = 0
    lock: Lock | None = None
    promised: bool = False


@dataclass
class Asking:
    """A request for coupons, however it came."""

    who: str | None
    order: str | None
    amount: int | None
    """the order's; None without an order"""
    room: int = 0
    """the amount less what coupons of earlier requests took off"""
    replaced: Lock | None = None
    closed: bool = False
    day: date | None = None
    """by which the uses count; None: today"""
    beside: Sequence[Offer] = ()
    """of the coupons that the order has already"""


class Choosing(Facts):
    """Judges requests for coupons against the facts."""

    def take_out(self, one: Candidate, order_id: str | None, emptied: str) -> None:
        """The use comes out of the own lock that has it; a lock with nothing left is done."""
        if one.lock is not None:
            one.lock.uses = {code: minor for code, minor in one.lock.uses.items() if code != one.coupon.code}
            if not one.lock.uses:
                one.lock.status, one.lock.order = emptied, order_id if order_id is not None else one.lock.order

    def named(
        self, codes: Sequence[str], asking: Asking, at: datetime | None, standing: set[str]
    ) -> tuple[dict[str, Candidate], dict[str, str]]:
        """The coupons that a request names by their codes, and those of them that it can't have whatever is left."""
        candidates: dict[str, Candidate] = {}
        refused: dict[str, str] = {}
        for code in dict.fromkeys(code.strip().upper() for code in codes):
            if code in standing:
                continue
            coupon = self.coupons.get(code)
            if coupon is None:
                refused[code] = "not_found"
                continue
            offer = self.offers[coupon.campaign]
            nobody = asking.who is None
            reasons = [
                ("voided", coupon.voided),
                ("campaign_inactive", not offer.active),
                ("not_started", is_early(offer.starts_at, at) or is_early(coupon.starts_at, at)),
                ("wrong_customer", offer.holder_only and not nobody and not self.same(coupon.holder, asking.who)),
                ("customer_required", nobody and (offer.holder_only or offer.per_customer is not None)),
                ("order_mismatch", asking.closed),
            ]
            if reason := first_of(reasons):
                refused[code] = reason
            else:
                candidates[code] = Candidate(coupon, offer)
        return candidates, refused

    def add_promised(
        self,
        command: RedeemCoupons,
        asking: Asking,
        standing: set[str],
        candidates: dict[str, Candidate],
        refused: dict[str, str],
    ) -> None:
        """What the lock that the order refers to holds: limits and windows were judged when it was locked."""
        reference = command.lock_reference
        if reference is None or reference == f"order:{command.order.order_id}":
            return
        lock = self.locks.get(reference)
        if lock is None or lock.status == "released":
            refused[""] = "lock_not_found"
            return
        if lock.status == "burned":
            order = self.orders.get(command.order.order_id)
            anew = order is not None and order.is_closed and not asking.closed
            if lock.order != command.order.order_id or anew:
                refused[""] = "already_redeemed"
            return
        for code in lock.uses:
            if code in standing:
                continue
            coupon = self.coupons[code]
            candidates.pop(code, None)
            refused.pop(code, None)
            reasons = [
                ("voided", coupon.voided),
                ("wrong_customer", None not in (lock.who, asking.who) and not self.same(lock.who, asking.who)),
                ("order_mismatch", asking.closed or lock.order not in (None, command.order.order_id)),
                ("lock_expired", not lock.holds),
            ]
            if reason := first_of(reasons):
                refused[code] = reason
            else:
                candidates[code] = Candidate(coupon, self.offers[coupon.campaign], lock=lock, promised=True)

    def choose(
        self, asking: Asking, candidates: dict[str, Candidate], refused: dict[str, str]
    ) -> list[tuple[Candidate, int | None]]:
        """Best offer wins; refusals are added to `refused`. In the order of application."""
        viable = []
        for code, one in candidates.items():
            one.untouched = 0 if asking.amount is None else min(one.offer.discount(asking.amount), asking.room)
            reasons = [
                ("not_combinable", clash(one.offer, asking.beside, len(asking.beside) + 1)),
                ("no_effect", asking.amount is not None and not one.untouched),
            ]
            off = None if asking.amount is None else one.untouched
            if reason := self.no_room(asking, one, [], off) or first_of(reasons):
                refused[code] = reason
            else:
                viable.append(one)
        viable.sort(key=lambda one: (-one.offer.priority, -one.untouched, one.offer.name, one.coupon.code))
        if asking.amount is None:
            return self._without_order(asking, viable, refused)
        choices = [self._apply(asking, some) for some in _subsets(viable) if self._allowed(asking, some)]
        taken, left, room = min(
            (choice for choice in choices if choice is not None),
            key=lambda choice: (
                -sum(discount for _, discount in choice[0]),
                len(choice[0]),
                [viable.index(one) for one, _ in choice[0]],
            ),
        )
        winners = [one for one, _ in taken]
        for one in viable:
            if one not in winners:
                beaten = clash(one.offer, [other.offer for other in winners], len(winners) + len(asking.beside) + 1)
                off = min(one.offer.discount(left), room)
                nothing = not beaten and not off
                refused[one.coupon.code] = self.no_room(asking, one, taken, off) or (
                    "no_effect" if nothing else "better_offer_won"
                )
        return list(taken)

    def _without_order(
        self, asking: Asking, viable: Sequence[Candidate], refused: dict[str, str]
    ) -> list[tuple[Candidate, int | None]]:
        """None is better than another: those that don't go together keep each other out."""
        taken: list[tuple[Candidate, int | None]] = []
        for one in viable:
            others = [other.offer for other in viable if other is not one]
            apart = clash(one.offer, others, len(viable) + len(asking.beside))
            reason = "not_combinable" if apart else self.no_room(asking, one, taken, None)
            if reason:
                refused[one.coupon.code] = reason
            else:
                taken.append((one, None))
        return taken

    @staticmethod
    def _allowed(asking: Asking, some: Sequence[Candidate]) -> bool:
        number = len(some) + len(asking.beside)
        return not any(
            clash(one.offer, [*[other.offer for other in some if other is not one], *asking.beside], number)
            for one in some
        )

    def _apply(self, asking: Asking, some: Sequence[Candidate]) -> tuple[list[tuple[Candidate, int]], int, int] | None:
        """These one after another: each with its discount, and what is left of the order and of the room on it.

        None where one of them has no room or takes nothing off.
        """
        taken: list[tuple[Candidate, int]] = []
        left, room = asking.amount or 0, asking.room
        for one in some:
            discount = min(one.offer.discount(left), room)
            if not discount or self.no_room(asking, one, taken, discount):
                return None
            left, room = left - discount, room - discount
            taken.append((one, discount))
        return taken, left, room

    def no_room(
        self, asking: Asking, one: Candidate, taken: Sequence[tuple[Candidate, int | None]], off: int | None
    ) -> str | None:
        """Why a limit leaves no room for this coupon, which takes `off`, after those `taken` in the same request."""
        offer, code, name = one.offer, one.coupon.code, one.offer.name
        before = [other for other, _ in taken if other.offer.name == name]
        if not one.promised:
            one.lock = self._own_lock(asking, code)
        without = (asking.replaced,)
        of_customer = 0
        if asking.who is not None:
            of_customer = self.used(name, asking.who) + self.held(name, asking.who, (*without, one.lock))
            of_customer += self._still_held(asking, one, who=asking.who)
            of_customer += sum(not (other.lock and self.same(other.lock.who, asking.who)) for other in before)
        mine = one.lock is not None and self.same(one.lock.who, asking.who)
        over_customer = asking.who is not None and is_gone(of_customer, offer.per_customer)
        money = self._no_money(asking, one, taken, off)
        if one.promised:
            return first_of([("customer_limit", over_customer and not mine), (money or "no_effect", money is not None)])
        others = sum(
            code in lock.uses
            for reference, lock in self.locks.items()
            if lock.holds and lock is not asking.replaced and not self._owns(asking, reference, lock)
        )
        used = self.used(name) + len(before)
        held = self.held(name, None, (*without, one.lock)) + self._still_held(asking, one)
        held += self.used(name) + sum(other.lock is None for other in before)
        that_day = self.used_on(name, asking.day) + sum(other.lock is None for other in before)
        held_day = that_day + self.held_on(name, asking.day, asking.replaced)
        return first_of(
            [
                ("exhausted", is_gone(self.coupon_uses(code), offer.per_coupon)),
                ("customer_limit", over_customer),
                ("campaign_exhausted", is_gone(used, offer.in_total)),
                ("campaign_exhausted", one.lock is None and is_gone(that_day, offer.per_day)),
                (money or "no_effect", money is not None),
                ("locked_elsewhere", is_gone(held, offer.in_total)),
                ("locked_elsewhere", one.lock is None and is_gone(held_day, offer.per_day)),
                ("locked_elsewhere", is_gone(self.coupon_uses(code) + others, offer.per_coupon)),
            ]
        )

    def _no_money(
        self, asking: Asking, one: Candidate, taken: Sequence[tuple[Candidate, int | None]], off: int | None
    ) -> str | None:
        """Whether the budget has no room for what a coupon takes off beyond what its own lock has set aside."""
        budget, name = one.offer.budget, one.offer.name
        needed, own = 1 if off is None else off, _own_money(one)
        if budget is None or needed <= own:
            return None
        spent = self.spent(name) + sum(discount or 0 for other, discount in taken if other.offer.name == name)
        if spent + needed > budget:
            return "budget_exceeded"
        aside = self.set_aside(name, asking.replaced) - own
        aside -= sum(_own_money(other) for other, _ in taken if other.offer.name == name)
        return "locked_elsewhere" if spent + aside + needed > budget else None

    def _still_held(self, asking: Asking, one: Candidate, who: str | None = None) -> int:
        """What the own lock that pays for this use holds of the campaign beside it."""
        lock = one.lock
        if lock is None or (who is not None and not self.same(lock.who, who)):
            return 0
        return sum(self.coupons[code].campaign == one.offer.name for code in lock.uses if code != one.coupon.code)

    def _own_lock(self, asking: Asking, code: str) -> Lock | None:
        own = [
            (lock.order is None, reference)
            for reference, lock in self.locks.items()
            if lock.holds and lock is not asking.replaced and code in lock.uses and self._owns(asking, reference, lock)
        ]
        return self.locks[min(own)[1]] if own else None

    def _owns(self, asking: Asking, reference: str, lock: Lock) -> bool:
        """A lock never blocks its own order, nor its own customer where it is for no order."""
        if lock.order is not None:
            return lock.order == asking.order and reference != f"order:{lock.order}"
        return self.same(lock.who, asking.who)


def _own_money(one: Candidate) -> int:
    return 0 if one.lock is None else one.lock.uses.get(one.coupon.code) or 0


def clash(offer: Offer, others: Sequence[Offer], number: int) -> bool:
    """Whether it can't go with one of the others, the order having so many coupons then."""
    return any(
        offer.alone
        or other.alone
        or (offer.group is not None and offer.group == other.group)
        or number > min(offer.at_most or number, other.at_most or number)
        for other in others
    )


def _subsets(viable: Sequence[Candidate]) -> Iterator[Sequence[Candidate]]:
    """Every choice there is, in the order of application each."""
    for size in range(len(viable) + 1):
        yield from combinations(viable, size)


def first_of(reasons: Sequence[tuple[str, bool]]) -> str | None:
    """The first reason that applies, in the documented order."""
    return min((reason for reason, applies in reasons if applies), key=ORDERED_REASONS.index, default=None)


def is_gone(number: int, limit: int | None) -> bool:
    return limit is not None and number >= limit


def is_early(start: datetime | None, at: datetime | None) -> bool:
    return start is not None and at is not None and at < start
