"""Units are priced one by one: an order is the same whether equal units are one line or several."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.domain.model.order import Line, Order
from shared.domain.model.reasons import Reason
from tests.builders import NOW, Scope, World, campaign, each, gift, line, order, percent

CHEAPEST = Scope(max_units=1)


def on_separate_lines(made: Order) -> Order:
    """Return the same order with every unit on a line of its own."""
    single = [
        Line(f"{one.line_id}-{unit}", one.product_id, 1, one.unit_minor)
        for one in made.lines
        for unit in range(one.quantity)
    ]
    return replace(made, lines=tuple(single))


def discounts(offers: list[tuple[object, Scope]], to: Order) -> list[tuple[str, int | None]]:
    world = World(
        tuple(
            campaign(f"c{n}", discount=discount, scope=scope, policy="combinable", priority=-n, currency="USD")
            for n, (discount, scope) in enumerate(offers)
        )
    )
    for campaign_id in world.state.campaigns:
        world.coupon(campaign_id.upper(), campaign_id)
    verdict = world.redeem(*[coupon.code for coupon in world.state.coupons.values()], to=to)
    return [(one.code, one.discount_minor) for one in verdict.accepted]


@pytest.mark.parametrize("to", [order("ORD1", line("1", 1_400, 2)), order("ORD1", line("1", 1_400), line("2", 1_400))])
def test_two_coupons_for_one_free_unit_each_make_two_units_free(to: Order) -> None:
    offers = [(percent("100"), CHEAPEST), (percent("100"), CHEAPEST)]
    assert discounts(offers, to) == [("C0", 1_400), ("C1", 1_400)]


@pytest.mark.parametrize("to", [order("ORD1", line("1", 1_400, 2)), order("ORD1", line("1", 1_400), line("2", 1_400))])
def test_two_coupons_for_half_of_one_unit_take_two_units(to: Order) -> None:
    assert discounts([(percent("50"), CHEAPEST), (percent("50"), CHEAPEST)], to) == [("C0", 700), ("C1", 700)]


def test_a_coupon_whose_cheapest_unit_is_free_already_takes_the_next_one() -> None:
    to = order("ORD1", line("1", 1_000), line("2", 2_000))
    assert discounts([(percent("100"), CHEAPEST), (percent("100"), CHEAPEST)], to) == [("C0", 1_000), ("C1", 2_000)]


def test_units_that_earlier_requests_made_free_are_not_taken_again() -> None:
    one_each = [campaign(name, discount=percent("100"), scope=CHEAPEST, policy="combinable") for name in "ab"]
    for to in (order("ORD1", line("1", 1_400, 2)), order("ORD1", line("1", 1_400), line("2", 1_400))):
        world = World(tuple(one_each))
        for name in "ab":
            world.coupon(name.upper(), name)
        assert world.redeem("A", to=to).discount_minor == 1_400
        assert world.redeem("A", "B", to=to).discount_minor == 1_400


@pytest.mark.parametrize(
    ("first", "second", "taken"),
    [
        ((percent("100"), CHEAPEST), (percent("100"), CHEAPEST), [1_400, 1_400]),  # each makes another unit free
        ((percent("50"), CHEAPEST), (percent("100"), CHEAPEST), [700, 1_400]),
        ((percent("50"), Scope(max_units=2)), (percent("100"), CHEAPEST), [1_400, 700]),
        ((percent("50"), Scope()), (percent("100"), CHEAPEST), [1_400, 700]),
        ((each(300), Scope()), (each(300), Scope()), [600, 600]),
        ((percent("100"), CHEAPEST), (percent("50"), Scope(max_units=2)), [1_400, 700]),
    ],
)
def test_what_an_earlier_request_took_is_the_same_on_one_line_or_on_several(
    first: tuple[Any, Scope], second: tuple[Any, Scope], taken: list[int]
) -> None:
    for to in (order("ORD1", line("1", 1_400, 2)), order("ORD1", line("1", 1_400), line("2", 1_400))):
        offers = zip("ab", (first, second), strict=True)
        world = World(
            tuple(
                campaign(name, discount=discount, scope=scope, policy="combinable", currency="USD")
                for name, (discount, scope) in offers
            )
        )
        for name in "ab":
            world.coupon(name.upper(), name)
        assert [world.redeem(name, to=to).discount_minor for name in "AB"] == taken


def test_lines_with_the_same_id_share_what_an_earlier_request_took() -> None:
    to = order("ORD1", line("1", 1_000), line("1", 2_000))
    world = World((campaign("a", policy="combinable"), campaign("b", discount=percent("100"), policy="combinable")))
    for name in "ab":
        world.coupon(name.upper(), name)
    first = world.redeem("A", to=to).accepted[0]
    assert first.lines == (("1", 100), ("1", 200))
    assert world.redeem("B", to=to).accepted[0].lines == (("1", 700), ("1", 2_000))


@settings(max_examples=200)
@given(
    st.lists(st.lists(st.sampled_from(range(4)), min_size=1, max_size=2), min_size=2, max_size=3),
    st.lists(
        st.tuples(st.sampled_from([percent("100"), percent("50"), each(300)]), st.sampled_from([1, 2, None])),
        min_size=4,
        max_size=4,
    ),
    st.lists(st.tuples(st.integers(1, 4), st.sampled_from([100, 700, 1_400])), min_size=1, max_size=3),
)
def test_several_requests_are_the_same_on_one_line_or_on_several(
    requests: list[list[int]], several: list[tuple[Any, int | None]], made: list[tuple[int, int]]
) -> None:
    numbered = tuple(Line(str(n), f"p{n}", count, minor) for n, (count, minor) in enumerate(made))
    joined = Order("ORD1", "USD", sum(one.amount_minor for one in numbered), numbered, 0, NOW)
    results = []
    for to in (joined, on_separate_lines(joined)):
        world = World(
            tuple(
                campaign(
                    f"c{n}",
                    discount=discount,
                    scope=Scope(max_units=most),
                    policy="combinable",
                    currency="USD",
                    priority=-n,
                )
                for n, (discount, most) in enumerate(several)
            )
        )
        for campaign_id in world.state.campaigns:
            world.coupon(campaign_id.upper(), campaign_id)
        verdicts = [world.redeem(*[f"C{n}" for n in named], to=to) for named in requests]
        results.append([[(one.code, one.discount_minor) for one in verdict.accepted] for verdict in verdicts])
    assert results[0] == results[1]


def test_the_odd_minor_unit_of_a_discount_on_units_does_not_depend_on_their_lines() -> None:
    offers = [(each(300), Scope(max_units=3)), (percent("33.3"), Scope(max_units=3)), (percent("100"), CHEAPEST)]
    joined = order("ORD1", line("1", 700, 4))
    for to in (joined, on_separate_lines(joined)):
        assert discounts(offers, to) == [("C0", 900), ("C1", 500), ("C2", 466)]


def test_a_discount_on_the_order_is_rounded_by_units_after_a_discount_on_units() -> None:
    joined = order("ORD1", line("1", 100, 3), line("2", 700, 4))
    for to in (joined, on_separate_lines(joined)):
        world = World(
            (
                campaign("one", discount=percent("100"), scope=CHEAPEST, policy="combinable"),
                campaign("half", discount=percent("50"), policy="combinable", priority=9),
            )
        )
        for code, campaign_id in (("ONE", "one"), ("MORE", "one"), ("HALF", "half")):
            world.coupon(code, campaign_id)
        world.redeem("ONE", to=to)
        verdict = world.redeem("HALF", "MORE", to=to)
        assert [(one.code, one.discount_minor) for one in verdict.accepted] == [("HALF", 1_550), ("MORE", 48)]


def test_a_free_sample_is_neither_the_cheapest_unit_nor_counted_for_a_minimum() -> None:
    world = World((campaign("a", discount=percent("100"), scope=CHEAPEST, min_quantity=2),))
    world.coupon("A", "a", uses_limit=None)
    sample = line("3", 0)
    verdict = world.redeem("A", to=order("ORD1", line("1", 2_000), line("2", 1_000), sample))
    assert verdict.discount_minor == 1_000
    alone = world.redeem("A", to=order("ORD2", line("1", 2_000), sample))
    assert alone.refused[0].reason == Reason.BELOW_MINIMUM


lines = st.builds(
    Line, st.just(""), st.sampled_from(["p1", "p2"]), st.integers(1, 4), st.sampled_from([0, 1, 99, 700, 1_400])
)
offers = st.tuples(
    st.sampled_from(
        [percent("100"), percent("50"), percent("33.3"), percent("100", cap=500), each(300), gift(2, "p1")]
    ),
    st.builds(Scope, max_units=st.integers(1, 4), most_expensive_first=st.booleans()),
)


@settings(max_examples=300)
@given(st.lists(lines, min_size=1, max_size=4), st.lists(offers, min_size=1, max_size=4))
def test_equal_units_are_the_same_on_one_line_or_on_several(
    made: list[Line], several: list[tuple[object, Scope]]
) -> None:
    numbered = tuple(replace(one, line_id=str(number)) for number, one in enumerate(made))
    to = Order("ORD1", "USD", sum(one.amount_minor for one in numbered), numbered, 0, NOW)
    assert discounts(several, to) == discounts(several, on_separate_lines(to))
