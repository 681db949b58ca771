"""A simple implementation of the choice among several coupons, as a reference for tests.

It computes every step again, line by line, with `price` and `apply_price`. `shared.domain.offers.combine` must find
the same choice. This takes n²/2 pricings of all lines for n coupons, so only tests use it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from shared.domain.offers.basket import Basket
from shared.domain.offers.combine import EXHAUSTIVE_UP_TO, conflicting_offer, has_effect, order_of_application
from shared.domain.offers.kinds import KINDS
from shared.domain.offers.limits import limit_refusal
from shared.domain.offers.price import AppliedOffer, apply_price, max_discount_of, price
from shared.domain.offers.request import ExistingCoupon, Request, ResolvedOffer
from shared.domain.offers.totals import RunningTotals, add_to_totals


@dataclass(slots=True)
class Choice:
    """Compatible coupons in the order of application, and their discount in minor units.

    `basket` and `totals` are the state after them; `basket` is None without an order.
    """

    applied: list[AppliedOffer] = field(default_factory=list)
    total_minor: int = 0
    basket: Basket | None = None
    totals: RunningTotals = field(default_factory=RunningTotals)

    @property
    def rank(self) -> tuple[int, int, int, list[tuple[int, int, str, str]]]:
        """Return the sort key: largest discount, then most gifts and custom offers, then fewest coupons, then the
        order of application. The smallest key is the best choice.
        """
        given = sum([KINDS[one.offer.campaign.discount.kind].has_effect_without_discount for one in self.applied])
        order = [order_of_application(one.offer) for one in self.applied]
        return (-self.total_minor, -given, len(self.applied), order)


def best_combination(request: Request, offers: list[ResolvedOffer]) -> Choice:
    """Return the best allowed choice among `offers`, which are in the order of application."""
    together = [offer for offer in offers if offer.campaign.stacking.policy == "combinable"]
    choices = [alone(request, offer) for offer in offers if offer.campaign.stacking.policy == "exclusive"]
    if together:
        search = _Search(request, together)
        choices.append(search.exhaustively() if len(together) <= EXHAUSTIVE_UP_TO else search.greatest_first())
    return min(choices, key=lambda choice: choice.rank)


def alone(request: Request, offer: ResolvedOffer) -> Choice:
    """Return the choice of a single offer, which must have room and an effect."""
    basket = None if request.basket is None else request.basket.copy()
    taken = AppliedOffer(offer, None) if basket is None else apply_price(basket, offer, *price(basket, offer))
    choice = Choice([taken], offer.discount_minor, basket)
    add_to_totals(request, offer, choice.totals, taken.discount_minor)
    return choice


class _Search:
    """Search for the best combination of offers that aren't exclusive."""

    def __init__(self, request: Request, offers: Sequence[ResolvedOffer]) -> None:
        self._request = request
        self._offers = offers
        # The most that the coupons from each place on could add.
        self._to_come = [
            sum(max_discount_of(request.basket, offer) for offer in offers[place:]) for place in range(len(offers) + 1)
        ]
        self._best: Choice | None = None

    def exhaustively(self) -> Choice:
        """Return the best of all combinations."""
        self._descend(0, self._start())
        if self._best is None:
            raise AssertionError("the empty combination is always allowed")
        return self._best

    def greatest_first(self) -> Choice:
        """Return a good combination in a quadratic number of steps."""
        best, chosen = self._start(), list[ResolvedOffer]()
        for offer in sorted(self._offers, key=lambda offer: (-offer.discount_minor, order_of_application(offer))):
            tried = sorted([*chosen, offer], key=order_of_application)
            choice: Choice | None = self._start()
            for one in tried:
                choice = None if choice is None else self._with(choice, one)
            if choice is not None and choice.rank < best.rank:
                best, chosen = choice, tried
        return best

    def _start(self) -> Choice:
        basket = self._request.basket
        return Choice([], 0, None if basket is None else basket.copy())

    def _descend(self, place: int, choice: Choice) -> None:
        if self._best is not None and choice.total_minor + self._to_come[place] < self._best.total_minor:
            return
        if place == len(self._offers):
            if self._best is None or choice.rank < self._best.rank:
                self._best = choice
            return
        added = self._with(choice, self._offers[place])
        if added is not None:
            self._descend(place + 1, added)
        self._descend(place + 1, choice)

    def _with(self, choice: Choice, offer: ResolvedOffer) -> Choice | None:
        """Return `choice` with this offer, or None if they are incompatible, it has no room, or it has no effect."""
        request = self._request
        others: list[ResolvedOffer | ExistingCoupon] = [*[one.offer for one in choice.applied], *request.existing]
        if conflicting_offer(offer, others, len(others) + 1) is not None:
            return None
        basket = None if choice.basket is None else choice.basket.copy()
        found = None if basket is None else price(basket, offer)
        discount = None if found is None else found[0]
        if limit_refusal(request, offer, choice.totals, discount) is not None:
            return None
        if discount is not None and not has_effect(offer, discount):
            return None
        taken = AppliedOffer(offer, None) if basket is None or found is None else apply_price(basket, offer, *found)
        totals = choice.totals.copy()
        add_to_totals(request, offer, totals, discount)
        return Choice([*choice.applied, taken], choice.total_minor + (discount or 0), basket, totals)
