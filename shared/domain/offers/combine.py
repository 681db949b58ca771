"""Find which coupons may go together, and which allowed combination takes most off.

An `exclusive` coupon goes alone. `combinable` ones go together, but at most one of a `group`, and no more than the
smallest `max_coupons` among them. Coupons that the order has already count as well.

Up to EXHAUSTIVE_UP_TO combinable coupons every allowed combination is tried, except those that can't win: coupons are
added in the order of application, and what each can take off at most (`price.most_off`) bounds what can still be
added. Beyond that number coupons are added one by one, the greatest first; each is kept where it goes
with those before it and the whole takes more off. The result is never less than the best single coupon.

Both searches need totals only and keep what is left after each step (`remainder.Remainder`), so each step is priced
once; shares of lines are computed for the winner. How many steps there may be: `work`.
"""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from shared.domain.model.coupon import code_key
from shared.domain.offers.basket import Basket
from shared.domain.offers.kinds import KINDS
from shared.domain.offers.limits import RunningTotals, count, limit_refusal
from shared.domain.offers.offer import ResolvedOffer
from shared.domain.offers.price import AppliedOffer, apply_price, most_off, price
from shared.domain.offers.remainder import LineSet, LineSets, Remainder
from shared.domain.offers.request import ExistingCoupon, Request

EXHAUSTIVE_UP_TO: Final = 10
"""Combinable coupons of one request: 1,024 combinations at worst. Baskets have two or three."""

Order = tuple[int, int, str, str]
Rank = tuple[int, int, int, list[Order]]
"""The least is the best: most off, then more benefits that aren't taken off, then fewer coupons, then the order of
application."""


@dataclass(slots=True)
class Choice:
    """The best choice: coupons that go together, in the order of application.

    `basket` and `totals` are what is left after them; no basket where no order is known.
    """

    applied: list[AppliedOffer] = field(default_factory=list)
    basket: Basket | None = None
    totals: RunningTotals = field(default_factory=RunningTotals)


def order_of_application(offer: ResolvedOffer) -> tuple[int, int, str, str]:
    """Campaign priority (the higher number first), the greater discount on the untouched order, campaign id, code."""
    return (
        -offer.campaign.stacking.priority,
        -offer.discount_minor,
        offer.campaign.campaign_id,
        code_key(offer.coupon.code),
    )


def adds_something(offer: ResolvedOffer, discount_minor: int) -> bool:
    """Whether it changes anything: it takes something off, or gives what isn't applied off."""
    return discount_minor > 0 or KINDS[offer.campaign.discount.kind].gives


def clash(
    offer: ResolvedOffer, others: Iterable[ResolvedOffer | ExistingCoupon], number: int
) -> ResolvedOffer | ExistingCoupon | None:
    """The first of `others` that `offer` can't go with, `number` being how many coupons the order would have."""
    stacking = offer.campaign.stacking
    for other in others:
        theirs = other.campaign.stacking
        if "exclusive" in (stacking.policy, theirs.policy):
            return other
        if stacking.group is not None and stacking.group == theirs.group:
            return other
        if min(stacking.max_coupons or number, theirs.max_coupons or number) < number:
            return other
    return None


def best_combination(request: Request, offers: list[ResolvedOffer]) -> Choice:
    """The best of the allowed choices among `offers`, which stand in the order of application."""
    together = [offer for offer in offers if offer.campaign.stacking.policy == "combinable"]
    found = [_rank_alone(offer) for offer in offers if offer.campaign.stacking.policy == "exclusive"]
    winners = [[offer] for offer in offers if offer.campaign.stacking.policy == "exclusive"]
    if together:
        search = _Search(request, together)
        best = search.exhaustively() if len(together) <= EXHAUSTIVE_UP_TO else search.greatest_first()
        found.append(best.rank())
        winners.append([one.offer for one in best.chosen])
    winner = min(range(len(found)), key=found.__getitem__)
    return _applied(request, winners[winner])


def alone(request: Request, offer: ResolvedOffer) -> Choice:
    """One offer that is known to have room and an effect."""
    return _applied(request, [offer])


def _rank_alone(offer: ResolvedOffer) -> Rank:
    given = KINDS[offer.campaign.discount.kind].gives
    return (-offer.discount_minor, -int(given), 1, [order_of_application(offer)])


def _applied(request: Request, offers: Sequence[ResolvedOffer]) -> Choice:
    """The offers applied one after another, with their shares."""
    basket = None if request.basket is None else request.basket.copy()
    choice = Choice([], basket)
    for offer in offers:
        applied = AppliedOffer(offer, None) if basket is None else apply_price(basket, offer, *price(basket, offer))
        choice.applied.append(applied)
        count(request, offer, choice.totals, applied.discount_minor)
    return choice


@dataclass(slots=True)
class _Candidate:
    """An offer in a search: its place in the order of application, and the number of its set of lines."""

    offer: ResolvedOffer
    order: Order
    line_set: LineSet


@dataclass(slots=True)
class _Step:
    """Candidates that go together, in the order of application, what they take off, and what is left after them.

    `groups` are the groups that they, and what the order has, are of; `most`: how many coupons these let an order have.
    """

    chosen: tuple[_Candidate, ...]
    total_minor: int
    given: int
    rest: Remainder | None
    totals: RunningTotals
    groups: frozenset[str]
    most: int | None

    def worth(self) -> tuple[int, int, int]:
        """The rank but for the order of application."""
        return (-self.total_minor, -self.given, len(self.chosen))

    def rank(self) -> Rank:
        return (*self.worth(), [one.order for one in self.chosen])

    def beats(self, other: "_Step") -> bool:
        """Whether it is the better one."""
        worth, others = self.worth(), other.worth()
        return worth < others or (worth == others and self.rank() < other.rank())


class _Search:
    """Looks for the best combination of offers of which none is exclusive."""

    def __init__(self, request: Request, offers: Sequence[ResolvedOffer]) -> None:
        self._request = request
        line_sets = LineSets()
        self._candidates = [_Candidate(offer, order_of_application(offer), line_sets.number(offer)) for offer in offers]
        # What the coupons from each place on could add at most.
        most = [most_off(request.basket, offer) for offer in offers]
        self._to_come = [sum(most[place:]) for place in range(len(offers) + 1)]
        self._best: _Step | None = None

    def exhaustively(self) -> _Step:
        """The best of all combinations."""
        self._descend(0, self._start())
        if self._best is None:
            raise AssertionError("none of them at all is a combination too")
        return self._best

    def greatest_first(self) -> _Step:
        """A good one. A coupon is applied again where one comes before it that takes less off: by priority."""
        steps, orders = [self._start()], list[Order]()
        for candidate in sorted(self._candidates, key=lambda one: (-one.offer.discount_minor, one.order)):
            place = bisect_left(orders, candidate.order)
            tried = self._tried(steps[place], candidate, steps[-1].chosen[place:])
            if tried is not None and tried[-1].beats(steps[-1]):
                orders.insert(place, candidate.order)
                steps[place + 1 :] = tried
        return steps[-1]

    def _tried(self, step: _Step, candidate: _Candidate, behind: Sequence[_Candidate]) -> list[_Step] | None:
        """The steps from `step` on with the candidate and those that apply behind it; None where it isn't allowed."""
        steps = list[_Step]()
        for one in (candidate, *behind):
            following = self._with(step, one)
            if following is None:
                return None
            step = following
            steps.append(step)
        return steps

    def _start(self) -> _Step:
        basket, existing = self._request.basket, self._request.existing
        stacking = [one.campaign.stacking for one in existing]
        groups = frozenset([one.group for one in stacking if one.group is not None])
        most = min([one.max_coupons for one in stacking if one.max_coupons], default=None)
        return _Step((), 0, 0, None if basket is None else Remainder.of(basket), RunningTotals(), groups, most)

    def _descend(self, place: int, step: _Step) -> None:
        if self._best is not None:
            to_come = self._to_come[place]
            if step.rest is not None:
                to_come = min(to_come, step.rest.most_minor)
            if step.total_minor + to_come < self._best.total_minor:
                return
        if place == len(self._candidates):
            if self._best is None or step.beats(self._best):
                self._best = step
            return
        added = self._with(step, self._candidates[place])
        if added is not None:
            self._descend(place + 1, added)
        self._descend(place + 1, step)

    def _with(self, step: _Step, candidate: _Candidate) -> _Step | None:
        """`step` and this candidate; None where they don't go together, it has no room, or changes nothing."""
        request, offer, rest = self._request, candidate.offer, step.rest
        stacking, number = offer.campaign.stacking, len(step.chosen) + len(request.existing) + 1
        most = min(stacking.max_coupons or step.most or number, step.most or number)
        if number > 1 and (stacking.group in step.groups or most < number):
            return None  # as `clash` says, without asking each of them
        discount = None if rest is None else rest.price(offer, candidate.line_set)
        if limit_refusal(request, offer, step.totals, discount) is not None:
            return None
        if discount is not None and not adds_something(offer, discount):
            return None
        totals = step.totals.copy()
        count(request, offer, totals, discount)
        return _Step(
            (*step.chosen, candidate), step.total_minor + (discount or 0),
            step.given + (KINDS[offer.campaign.discount.kind].gives),
            None if rest is None or discount is None else rest.after(offer, candidate.line_set, discount),
            totals, step.groups if stacking.group is None else step.groups | {stacking.group},
            min([one for one in (stacking.max_coupons, step.most) if one], default=None),
        )  # fmt: skip
