"""Choose the coupons of a request: reasons in the documented order, limits, own locks, best offer wins."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from itertools import combinations

from shared.domain.model.order_commands import RedeemCoupons
from tests.stateful.facts import Coupon, Facts, Lock, Offer

ORDERED_REASONS = (
    "not_found", "voided", "campaign_inactive", "not_started", "expired", "wrong_customer", "customer_required",
    "order_mismatch", "exhausted", "customer_limit", "campaign_exhausted", "budget_exceeded", "locked_elsewhere",
    "lock_not_found", "lock_expired", "already_redeemed", "not_combinable", "better_offer_won", "no_effect",
)  # fmt: skip


@dataclass
class Candidate:
    """A coupon that a request may use. `lock`: the own lock that holds it; `promised`: the request named that lock."""

    coupon: Coupon
    offer: Offer
    untouched: int = 0
    lock: Lock | None = None
    promised: bool = False


@dataclass
class Request:
    """A request for coupons, from an order or a lock."""

    customer_key: str | None
    order: str | None
    amount: int | None
    """amount of the order; None without an order"""
    room: int = 0
    """the amount minus the discounts of earlier requests"""
    replaced: Lock | None = None
    closed: bool = False
    day: date | None = None
    """the day the uses count on; None: today"""
    existing: Sequence[Offer] = ()
    """campaigns of the coupons that the order has already"""


class Choosing(Facts):
    """Decides requests for coupons, based on the facts."""

    def take_out(self, one: Candidate, order_id: str | None, emptied: str) -> None:
        """Remove the use from the own lock that holds it; close a lock without uses."""
        if one.lock is not None:
            one.lock.uses = {code: minor for code, minor in one.lock.uses.items() if code != one.coupon.code}
            if not one.lock.uses:
                one.lock.status, one.lock.order = emptied, order_id if order_id is not None else one.lock.order

    def named(
        self, codes: Sequence[str], request: Request, at: datetime | None, redeemed: set[str]
    ) -> tuple[dict[str, Candidate], dict[str, str]]:
        """Return the coupons named by their codes, and those refused for reasons other than limits."""
        candidates: dict[str, Candidate] = {}
        refused: dict[str, str] = {}
        for code in dict.fromkeys(code.strip().upper() for code in codes):
            if code in redeemed:
                continue
            coupon = self.coupons.get(code)
            if coupon is None:
                refused[code] = "not_found"
                continue
            offer = self.offers[coupon.campaign]
            guest = request.customer_key is None
            reasons = [
                ("voided", coupon.voided),
                ("campaign_inactive", not offer.active),
                ("not_started", is_early(offer.starts_at, at) or is_early(coupon.starts_at, at)),
                (
                    "wrong_customer",
                    offer.holder_only and not guest and not self.same(coupon.holder, request.customer_key),
                ),
                ("customer_required", guest and (offer.holder_only or offer.per_customer is not None)),
                ("order_mismatch", request.closed),
            ]
            if reason := first_of(reasons):
                refused[code] = reason
            else:
                candidates[code] = Candidate(coupon, offer)
        return candidates, refused

    def add_promised(
        self,
        command: RedeemCoupons,
        request: Request,
        redeemed: set[str],
        candidates: dict[str, Candidate],
        refused: dict[str, str],
    ) -> None:
        """Add the coupons of the lock that the order names: limits and windows were checked when it was locked."""
        reference = command.lock_reference
        if reference is None or reference == f"order:{command.order.order_id}":
            return
        lock = self.locks.get(reference)
        if lock is None or lock.status == "released":
            refused[""] = "lock_not_found"
            return
        if lock.status == "burned":
            order = self.orders.get(command.order.order_id)
            placed_again = order is not None and order.is_closed and not request.closed
            if lock.order != command.order.order_id or placed_again:
                refused[""] = "already_redeemed"
            return
        for code in lock.uses:
            if code in redeemed:
                continue
            coupon = self.coupons[code]
            candidates.pop(code, None)
            refused.pop(code, None)
            reasons = [
                ("voided", coupon.voided),
                (
                    "wrong_customer",
                    None not in (lock.customer_key, request.customer_key)
                    and not self.same(lock.customer_key, request.customer_key),
                ),
                ("order_mismatch", request.closed or lock.order not in (None, command.order.order_id)),
                ("lock_expired", not lock.holds),
            ]
            if reason := first_of(reasons):
                refused[code] = reason
            else:
                candidates[code] = Candidate(coupon, self.offers[coupon.campaign], lock=lock, promised=True)

    def choose(
        self, request: Request, candidates: dict[str, Candidate], refused: dict[str, str]
    ) -> list[tuple[Candidate, int | None]]:
        """Return the best combination in the order of application; add refusals to `refused`."""
        viable = []
        for code, one in candidates.items():
            one.untouched = 0 if request.amount is None else min(one.offer.discount(request.amount), request.room)
            reasons = [
                ("not_combinable", clash(one.offer, request.existing, len(request.existing) + 1)),
                ("no_effect", request.amount is not None and not one.untouched),
            ]
            off = None if request.amount is None else one.untouched
            if reason := self.no_room(request, one, [], off) or first_of(reasons):
                refused[code] = reason
            else:
                viable.append(one)
        viable.sort(key=lambda one: (-one.offer.priority, -one.untouched, one.offer.name, one.coupon.code))
        if request.amount is None:
            return self._without_order(request, viable, refused)
        choices = [self._apply(request, some) for some in _subsets(viable) if self._allowed(request, some)]
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
                beaten = clash(one.offer, [other.offer for other in winners], len(winners) + len(request.existing) + 1)
                off = min(one.offer.discount(left), room)
                nothing = not beaten and not off
                refused[one.coupon.code] = self.no_room(request, one, taken, off) or (
                    "no_effect" if nothing else "better_offer_won"
                )
        return list(taken)

    def _without_order(
        self, request: Request, viable: Sequence[Candidate], refused: dict[str, str]
    ) -> list[tuple[Candidate, int | None]]:
        """Without amounts no coupon is better than another: coupons that can't be combined refuse each other."""
        taken: list[tuple[Candidate, int | None]] = []
        for one in viable:
            others = [other.offer for other in viable if other is not one]
            clashes = clash(one.offer, others, len(viable) + len(request.existing))
            reason = "not_combinable" if clashes else self.no_room(request, one, taken, None)
            if reason:
                refused[one.coupon.code] = reason
            else:
                taken.append((one, None))
        return taken

    @staticmethod
    def _allowed(request: Request, some: Sequence[Candidate]) -> bool:
        number = len(some) + len(request.existing)
        return not any(
            clash(one.offer, [*[other.offer for other in some if other is not one], *request.existing], number)
            for one in some
        )

    def _apply(
        self, request: Request, some: Sequence[Candidate]
    ) -> tuple[list[tuple[Candidate, int]], int, int] | None:
        """Apply coupons one after another. Return each with its discount, the rest of the order, and the room left.

        Return None if one of them has no room or takes nothing off.
        """
        taken: list[tuple[Candidate, int]] = []
        left, room = request.amount or 0, request.room
        for one in some:
            discount = min(one.offer.discount(left), room)
            if not discount or self.no_room(request, one, taken, discount):
                return None
            left, room = left - discount, room - discount
            taken.append((one, discount))
        return taken, left, room

    def no_room(
        self, request: Request, one: Candidate, taken: Sequence[tuple[Candidate, int | None]], off: int | None
    ) -> str | None:
        """Return the reason of a limit that refuses this coupon, with discount `off`, after those `taken` before it."""
        offer, code, name = one.offer, one.coupon.code, one.offer.name
        before = [other for other, _ in taken if other.offer.name == name]
        if not one.promised:
            one.lock = self._own_lock(request, code)
        without = (request.replaced,)
        of_customer = 0
        if request.customer_key is not None:
            of_customer = self.used(name, request.customer_key) + self.held(
                name, request.customer_key, (*without, one.lock)
            )
            of_customer += self._still_held(request, one, customer_key=request.customer_key)
            of_customer += sum(
                not (other.lock and self.same(other.lock.customer_key, request.customer_key)) for other in before
            )
        mine = one.lock is not None and self.same(one.lock.customer_key, request.customer_key)
        over_customer = request.customer_key is not None and is_reached(of_customer, offer.per_customer)
        money = self._no_money(request, one, taken, off)
        if one.promised:
            return first_of([("customer_limit", over_customer and not mine), (money or "no_effect", money is not None)])
        others = sum(
            code in lock.uses
            for reference, lock in self.locks.items()
            if lock.holds and lock is not request.replaced and not self._owns(request, reference, lock)
        )
        used = self.used(name) + len(before)
        held = self.held(name, None, (*without, one.lock)) + self._still_held(request, one)
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

    def _no_money(
        self, request: Request, one: Candidate, taken: Sequence[tuple[Candidate, int | None]], off: int | None
    ) -> str | None:
        """Return the reason if the budget has no room for the discount beyond what the coupon's own lock holds."""
        budget, name = one.offer.budget, one.offer.name
        needed, own = 1 if off is None else off, _own_money(one)
        if budget is None or needed <= own:
            return None
        spent = self.spent(name) + sum(discount or 0 for other, discount in taken if other.offer.name == name)
        if spent + needed > budget:
            return "budget_exceeded"
        aside = self.set_aside(name, request.replaced) - own
        aside -= sum(_own_money(other) for other, _ in taken if other.offer.name == name)
        return "locked_elsewhere" if spent + aside + needed > budget else None

    def _still_held(self, request: Request, one: Candidate, customer_key: str | None = None) -> int:
        """Return the other uses of the campaign in the own lock that holds this use."""
        lock = one.lock
        if lock is None or (customer_key is not None and not self.same(lock.customer_key, customer_key)):
            return 0
        return sum(self.coupons[code].campaign == one.offer.name for code in lock.uses if code != one.coupon.code)

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
    return 0 if one.lock is None else one.lock.uses.get(one.coupon.code) or 0


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
