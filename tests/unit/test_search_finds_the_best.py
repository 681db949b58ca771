"""The choice among coupons equals that of a simple implementation, and reads fewer lines."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.domain.decide import decide
from shared.domain.model.campaign import Campaign, Stacking
from shared.domain.model.order import Line, Order
from shared.domain.model.order_commands import RedeemCoupons
from shared.domain.model.verdicts import Verdict
from shared.domain.offers import basket as baskets
from shared.domain.offers import combine as combining
from shared.domain.offers import price as pricing
from shared.domain.offers import remainder as applying
from shared.domain.offers import stack as stacking
from shared.domain.offers.request import WHOLE_ORDER
from tests.builders import JOHN, NOW, Scope, World, campaign, each, fixed, gift, line, order, percent
from tests.unit import plain_choice
from tests.unit.stacking_strategies import campaigns, orders, world_of

several = st.lists(campaigns, min_size=2, max_size=9)
combinable = st.builds(
    lambda made, **stacking: replace(made, stacking=Stacking("combinable", **stacking)),
    campaigns,
    group=st.sampled_from([None, None, None, "g"]),
    priority=st.integers(0, 3),
    max_coupons=st.sampled_from([None, None, None, 8, 12]),
)
many = st.lists(combinable, min_size=11, max_size=15)
earlier = st.lists(st.lists(st.sampled_from("ABCDEFGHIJ"), max_size=3), max_size=2)


def verdicts(made: list[Campaign], to: Order, before: list[list[str]]) -> list[Verdict]:
    world = world_of(made)
    codes = [coupon.code for coupon in world.state.coupons.values()]
    return [world.redeem(*named, to=to) for named in (*before, codes)]


def with_both(made: list[Campaign], to: Order, before: list[list[str]]) -> tuple[list[Verdict], list[Verdict]]:
    found = verdicts(made, to, before)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stacking, "best_combination", plain_choice.best_combination)
        return found, verdicts(made, to, before)


@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow])
@given(several, orders(), earlier)
def test_the_exhaustive_search_equals_the_simple_one(made: list[Campaign], to: Order, before: list[list[str]]) -> None:
    found, plain = with_both(made, to, before)
    assert found == plain


@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow])
@given(many, orders(), earlier)
def test_the_greedy_search_equals_the_simple_one(made: list[Campaign], to: Order, before: list[list[str]]) -> None:
    found, plain = with_both(made, to, before)
    assert found == plain


def large(lines: int) -> Order:
    return order("ORD1", *[line(str(n), 100 + n * 37 % 211, product_id=f"p{n % 7}") for n in range(lines)])


def worlds(number: int, **fields: Any) -> World:
    made = []
    for n in range(number):
        offers = [percent("3"), fixed(50), each(2), percent("1.5", cap=90), gift(2, "p3")]
        scopes = [Scope(), Scope(frozenset({"p1", "p2"})), Scope(excluded_product_ids=frozenset({"p3"}))]
        kinds = {"discount": offers[n % 5], "scope": scopes[n % 3], "policy": "combinable", "currency": "USD"}
        made.append(campaign(f"c{n}", **(kinds | fields)))
    world = World(tuple(made))
    for one in made:
        world.coupon(one.campaign_id.upper(), one.campaign_id)
    return world


def lines_of(amounts: Any, offer: Any) -> int:
    lines = (offer.target or WHOLE_ORDER).lines
    return len(amounts if lines is None else lines)


def lines_read(monkeypatch: pytest.MonkeyPatch, world: World, to: Order) -> int:
    """Return how many lines are read, to spread over them or to sum them, when all coupons are named."""
    counted = [0]
    spread, sum_of, priced = baskets.spread, applying._sum_of, pricing.price

    def counting_spread(minor: int, weights: Any) -> list[int]:
        counted[0] += len(weights)
        return spread(minor, weights)

    def counting_sum(amounts: Any, offer: Any) -> int:
        counted[0] += lines_of(amounts, offer)
        return sum_of(amounts, offer)

    def counting_price(basket: Any, offer: Any) -> Any:
        counted[0] += lines_of(basket.amounts, offer)
        return priced(basket, offer)

    with monkeypatch.context() as patch:
        patch.setattr(baskets, "spread", counting_spread)
        patch.setattr(applying, "_sum_of", counting_sum)
        for module in (applying, combining):
            patch.setattr(module, "price", counting_price)
        verdict = redeem_all(world, to)
    assert len(verdict.accepted) >= 10
    return counted[0]


def redeem_all(world: World, to: Order) -> Verdict:
    codes = tuple(coupon.code for coupon in world.state.coupons.values())
    world.state.customers["x"] = "customer-john"
    return decide(RedeemCoupons("x", to, codes, JOHN, at=NOW), world.state, NOW)


def test_the_greedy_search_reads_lines_in_proportion_to_coupons_and_lines(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for number, lines in ((20, 100), (40, 100), (40, 400)):
        assert lines_read(monkeypatch, worlds(number), large(lines)) <= 5 * number * lines


def test_offers_on_the_whole_order_are_spread_once_each_with_any_priorities(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = worlds(40, discount=percent("1"), scope=Scope())
    for n, one in enumerate(list(world.state.campaigns.values())):  # the worst case: each applies before the previous
        world.state.campaigns[one.campaign_id] = replace(
            one, discount=percent(f"1.{99 - n}"), stacking=replace(one.stacking, priority=n)
        )
    assert lines_read(monkeypatch, world, large(200)) <= 3 * 40 * 200


def test_ten_coupons_on_the_whole_order_are_spread_once_each_in_an_exhaustive_search(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = worlds(10, discount=percent("30"), scope=Scope())
    assert lines_read(monkeypatch, world, large(200)) <= 3 * 10 * 200


@settings(max_examples=100)
@given(st.lists(st.integers(1, 900), min_size=1, max_size=6), st.integers(2, 14), st.data())
def test_splitting_a_line_does_not_change_the_total(units: list[int], number: int, data: st.DataObject) -> None:
    joined = [Line(str(n), "p", 4, unit) for n, unit in enumerate(units)]
    parts = [data.draw(st.integers(1, 3)) for _ in units]
    split = [
        replace(one, line_id=f"{one.line_id}-{half}", quantity=quantity)
        for one, part in zip(joined, parts, strict=True)
        for half, quantity in enumerate((part, 4 - part))
    ]
    totals = set()
    for lines in (joined, split):
        world = worlds(number, discount=percent("7"), scope=Scope())
        totals.add(redeem_all(world, order("ORD1", *lines)).discount_minor)
    assert len(totals) == 1
