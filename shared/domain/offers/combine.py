"""Find the allowed combination of coupons with the greatest discount.

An `exclusive` coupon is used alone. `combinable` coupons can be combined, but at most one of a `group`, and at most
the smallest `max_coupons` among them. Coupons that the order has already count as well.

Up to EXHAUSTIVE_UP_TO combinable coupons every allowed combination is tried, except those that can't win: coupons are
added in the order of application, and the maximum discount of each (`price.max_discount_of`) limits what can still be
added. Beyond that number coupons are added one by one, the greatest first; each is kept if it can be combined with
those before it and increases the total. The result is never less than the best single coupon.

Both searches need totals only and keep what is left after each step (`remainder.Remainder`), so each step is priced
once; shares of lines are computed for the winner only. `work` limits the number of steps.
"""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from shared.constructor import constructor
from shared.domain.model.coupon import code_key
from shared.domain.offers.basket import Basket
from shared.domain.offers.kinds import KINDS
from shared.domain.offers.limits import limit_refusal
from shared.domain.offers.price import AppliedOffer, apply_price, max_discount_of, price
from shared.domain.offers.remainder import LineSet, LineSets, Remainder
from shared.domain.offers.request import ExistingCoupon, Request, ResolvedOffer
from shared.domain.offers.totals import RunningTotals, add_to_totals

EXHAUSTIVE_UP_TO: Final = 10
"""Maximum number of combinable coupons for the exhaustive search: 1,024 combinations. Most orders have two or three."""

Order = tuple[int, int, str, str]
Rank = tuple[int, int, int, list[Order]]
"""The smallest rank wins: greatest discount, then more benefits other than discounts, then fewer coupons, then the
order of application."""


@dataclass(slots=True)
class Choice:
    """The best combination of coupons, in the order of application.

    `basket` and `totals` are the state after them; no basket if no order is known.
    """

    applied: list[AppliedOffer] = field(default_factory=list)
    basket: Basket | None = None
    totals: RunningTotals = field(default_factory=RunningTotals)


def order_of_application(offer: ResolvedOffer) -> tuple[int, int, str, str]:
    """Return the sort key: campaign priority (higher first), greater discount on the whole order, campaign id, code."""
    return (
        -offer.campaign.stacking.priority,
        -offer.discount_minor,
        offer.campaign.campaign_id,
        code_key(offer.coupon.code),
    )


def has_effect(offer: ResolvedOffer, discount_minor: int) -> bool:
    """Return whether the offer has an effect: a discount, another benefit, or the coupon for a subscription."""
    return discount_minor > 0 or KINDS[offer.discount.kind].has_effect_without_discount or offer.trial


def conflicting_offer(
    offer: ResolvedOffer, others: Iterable[ResolvedOffer | ExistingCoupon], number: int
) -> ResolvedOffer | ExistingCoupon | None:
    """Return the first of `others` that can't be combined with `offer`. `number` counts all coupons of the order."""
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
    """Return the best allowed combination of `offers`, which are in the order of application."""
    together = [offer for offer in offers if offer.campaign.stacking.policy == "combinable"]
    found = [_rank_alone(offer) for offer in offers if offer.campaign.stacking.policy == "exclusive"]
    winners = [[offer] for offer in offers if offer.campaign.stacking.policy == "exclusive"]
    if together:
        if not found and (choice := _all_together(request, together)) is not None:
            return choice
        search = _Search(request, together)
        best = search.exhaustively() if len(together) <= EXHAUSTIVE_UP_TO else search.greatest_first()
        found.append(best.rank())
        winners.append([candidate.offer for candidate in best.chosen])
    winner = min(range(len(found)), key=found.__getitem__)
    return _applied(request, winners[winner])


def alone(request: Request, offer: ResolvedOffer) -> Choice:
    """Return the choice of a single offer that is known to have room and an effect."""
    return _applied(request, [offer])


def _all_together(request: Request, offers: Sequence[ResolvedOffer]) -> Choice | None:
    """Return all `offers` applied if every choice without one of them takes less off, else None: a search decides then.

    That is the usual case, and takes a third of the time of a search.
    """
    if request.basket is None or len(offers) > EXHAUSTIVE_UP_TO:
        return None
    basket, choice = request.basket.copy(), Choice()
    number = len(offers) + len(request.existing)
    for place, offer in enumerate(offers):
        if conflicting_offer(offer, (*offers[:place], *request.existing), number) is not None:
            return None
    # A choice without one of them takes off at most what the others take off alone.
    alone_minor = [max_discount_of(basket, offer) for offer in offers]
    least = min(alone_minor)
    if sum(alone_minor) - least >= Remainder.of(basket).max_discount_minor:
        return None
    spare, taken = least, 0  # `spare`: what all may still lose by applying after one another
    for offer, max_discount in zip(offers, alone_minor, strict=True):
        # As long as nothing is taken off, the price on the untouched order holds.
        on_untouched = (offer.discount_minor, offer.weights, offer.unit_groups)
        discount, weights, unit_groups = price(basket, offer) if taken else on_untouched
        spare -= max_discount - discount
        if spare <= 0 or not has_effect(offer, discount):
            return None
        if limit_refusal(request, offer, choice.totals, discount) is not None:
            return None
        choice.applied.append(apply_price(basket, offer, discount, weights, unit_groups))
        add_to_totals(request, offer, choice.totals, discount)
        taken += discount
    choice.basket = basket
    return choice


def _rank_alone(offer: ResolvedOffer) -> Rank:
    is_benefit = KINDS[offer.discount.kind].has_effect_without_discount
    return (-offer.discount_minor, -int(is_benefit), 1, [order_of_application(offer)])


def _applied(request: Request, offers: Sequence[ResolvedOffer]) -> Choice:
    """Apply the offers in sequence and compute their shares."""
    basket = None if request.basket is None else request.basket.copy()
    choice = Choice([], basket)
    for offer in offers:
        applied = AppliedOffer(offer, None) if basket is None else apply_price(basket, offer, *price(basket, offer))
        choice.applied.append(applied)
        add_to_totals(request, offer, choice.totals, applied.discount_minor)
    return choice


@dataclass(slots=True)
class _Candidate:
    """An offer in a search, with its order of application and the number of its set of lines."""

    offer: ResolvedOffer
    order: Order
    line_set: LineSet


@dataclass(slots=True)
class _Step:
    """A combination of candidates in the order of application, with their total discount and the remainder.

    `benefit_count` counts offers with an effect other than a discount. `groups` are the groups of the candidates and of
    the order's coupons; `max_coupons` is the smallest of these.
    """

    chosen: tuple[_Candidate, ...]
    total_minor: int
    benefit_count: int
    remainder: Remainder | None
    totals: RunningTotals
    groups: frozenset[str]
    max_coupons: int | None

    def worth(self) -> tuple[int, int, int]:
        """Return the rank without the order of application."""
        return (-self.total_minor, -self.benefit_count, len(self.chosen))

    def rank(self) -> Rank:
        return (*self.worth(), [candidate.order for candidate in self.chosen])

    def beats(self, other: "_Step") -> bool:
        """Return whether this step is better than `other`."""
        worth, others = self.worth(), other.worth()
        return worth < others or (worth == others and self.rank() < other.rank())


_new_step: Final = constructor(_Step)


class _Search:
    """A search for the best combination of offers that aren't exclusive."""

    def __init__(self, request: Request, offers: Sequence[ResolvedOffer]) -> None:
        self._request = request
        line_sets = LineSets()
        self._candidates = [_Candidate(offer, order_of_application(offer), line_sets.number(offer)) for offer in offers]
        # Upper bound of the discount that the coupons from each place on can add.
        max_discounts = [max_discount_of(request.basket, offer) for offer in offers]
        self._to_come = [sum(max_discounts[place:]) for place in range(len(offers) + 1)]
        self._best: _Step | None = None

    def exhaustively(self) -> _Step:
        """Return the best of all combinations."""
        self._descend(0, self._start())
        if self._best is None:
            raise AssertionError("unreachable: the empty combination is always found")
        return self._best

    def greatest_first(self) -> _Step:
        """Return a good combination. By priority, a coupon with a smaller discount may go before others."""
        steps, orders = [self._start()], list[Order]()
        for candidate in sorted(self._candidates, key=lambda one: (-one.offer.discount_minor, one.order)):
            place = bisect_left(orders, candidate.order)
            tried = self._tried(steps[place], candidate, steps[-1].chosen[place:])
            if tried is not None and tried[-1].beats(steps[-1]):
                orders.insert(place, candidate.order)
                steps[place + 1 :] = tried
        return steps[-1]

    def _tried(self, step: _Step, candidate: _Candidate, later: Sequence[_Candidate]) -> list[_Step] | None:
        """Return the steps after `step` with the candidate and the `later` ones, or None if that isn't allowed."""
        steps = list[_Step]()
        for added in (candidate, *later):
            following = self._with(step, added)
            if following is None:
                return None
            step = following
            steps.append(step)
        return steps

    def _start(self) -> _Step:
        basket, existing = self._request.basket, self._request.existing
        stacking = [one.campaign.stacking for one in existing]
        groups = frozenset([one.group for one in stacking if one.group is not None])
        max_coupons = min([one.max_coupons for one in stacking if one.max_coupons], default=None)
        return _new_step(
            chosen=(), total_minor=0, benefit_count=0, remainder=None if basket is None else Remainder.of(basket),
            totals=RunningTotals(), groups=groups, max_coupons=max_coupons,
        )  # fmt: skip

    def _descend(self, place: int, step: _Step) -> None:
        if self._best is not None:
            to_come = self._to_come[place]
            if step.remainder is not None:
                to_come = min(to_come, step.remainder.max_discount_minor)
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
        """Return `step` plus this candidate, or None if they can't be combined, or it has no room or no effect."""
        request, offer, remainder = self._request, candidate.offer, step.remainder
        stacking, number = offer.campaign.stacking, len(step.chosen) + len(request.existing) + 1
        max_coupons = min(stacking.max_coupons or step.max_coupons or number, step.max_coupons or number)
        if number > 1 and (stacking.group in step.groups or max_coupons < number):
            return None  # same result as `conflicting_offer`, without comparing each pair
        discount = None if remainder is None else remainder.price(offer, candidate.line_set)
        if limit_refusal(request, offer, step.totals, discount) is not None:
            return None
        if discount is not None and not has_effect(offer, discount):
            return None
        totals = step.totals.copy()
        add_to_totals(request, offer, totals, discount)
        if remainder is not None and discount is not None:
            remainder = remainder.after(offer, candidate.line_set, discount)
        return _new_step(
            chosen=(*step.chosen, candidate), total_minor=step.total_minor + (discount or 0),
            benefit_count=step.benefit_count + KINDS[offer.discount.kind].has_effect_without_discount,
            remainder=remainder, totals=totals,
            groups=step.groups if stacking.group is None else step.groups | {stacking.group},
            max_coupons=min([one for one in (stacking.max_coupons, step.max_coupons) if one], default=None),
        )  # fmt: skip
