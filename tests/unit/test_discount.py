"""Discounts are exact, rounded once, spread without a remainder, and never above their base."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.model.campaign import DiscountOffer
from shared.domain.offers.kinds import amount_off
from shared.domain.offers.spread import spread
from tests.builders import fixed, percent

AMOUNTS = st.integers(0, 10**12)
OFFERS = st.one_of(
    st.builds(fixed, st.integers(1, 10**7), st.none() | st.integers(1, 10**6)),
    st.builds(
        lambda numerator, places, cap: DiscountOffer("percentage", "?", numerator, 10**places, max_discount_minor=cap),
        st.integers(1, 100),
        st.integers(0, 3),
        st.none() | st.integers(1, 10**6),
    ),
)


def off(offer: DiscountOffer, base: int) -> int:
    return amount_off(offer, base, offer.amount_minor or 0)


@pytest.mark.parametrize(
    ("offer", "base", "discount"),
    [
        (percent("10"), 12_500, 1_250),
        (percent("10"), 5, 1),  # 0.5 is rounded up
        (percent("10"), 4, 0),
        (percent("12.5"), 10_004, 1_251),  # 1250.5 is rounded up
        (percent("33.33"), 10_000, 3_333),
        (percent("100"), 999, 999),
        (percent("0.01"), 4_999, 0),
        (percent("0.01"), 5_000, 1),
        (percent("50", cap=1_000), 12_500, 1_000),
        (percent("50", cap=10_000), 12_500, 6_250),
        (fixed(1_000), 12_500, 1_000),
        (fixed(1_000), 999, 999),
        (fixed(1_000, cap=400), 999, 400),
        (percent("10"), 0, 0),
        (fixed(100), 0, 0),
        (fixed(100), -5, 0),
    ],
)
def test_a_discount_is_rounded_half_up_once_and_capped(offer: DiscountOffer, base: int, discount: int) -> None:
    assert off(offer, base) == discount


@given(OFFERS, AMOUNTS)
def test_a_discount_is_never_negative_and_never_more_than_it_applies_to(offer: DiscountOffer, base: int) -> None:
    discount = off(offer, base)
    assert 0 <= discount <= base
    assert offer.max_discount_minor is None or discount <= offer.max_discount_minor


@given(st.integers(1, 100_000), st.integers(0, 3), AMOUNTS)
def test_a_percentage_is_within_half_a_minor_unit_of_the_exact_one(numerator: int, places: int, base: int) -> None:
    exact = min(Fraction(base * numerator, 100 * 10**places), Fraction(base))
    difference = off(DiscountOffer("percentage", "?", numerator, 10**places), base) - exact
    assert Fraction(-1, 2) < difference <= Fraction(1, 2)


@pytest.mark.parametrize(
    ("discount", "weights", "parts"),
    [
        (1_250, [10_000, 2_500], [1_000, 250]),
        (100, [50, 50, 50], [34, 33, 33]),
        (2, [1, 1, 1], [1, 1, 0]),
        (1, [0, 5], [0, 1]),
        (5, [5], [5]),
        (0, [7, 8], [0, 0]),
        (0, [0], [0]),
        (0, [], []),
        (1, [1, 2], [0, 1]),
    ],
)
def test_a_discount_is_spread_by_largest_remainder_and_ties_go_to_the_earlier_line(
    discount: int, weights: list[int], parts: list[int]
) -> None:
    assert spread(discount, weights) == parts


@given(st.data(), st.lists(st.integers(0, 10**9), min_size=1, max_size=30))
def test_the_parts_sum_to_the_whole_and_none_exceeds_its_line(data: st.DataObject, weights: list[int]) -> None:
    whole = data.draw(st.integers(0, sum(weights)))
    parts = spread(whole, weights)
    assert sum(parts) == whole
    assert all(0 <= part <= weight for part, weight in zip(parts, weights, strict=True))
    total = sum(weights)
    if total:
        assert all(abs(part - Fraction(whole * weight, total)) < 1 for part, weight in zip(parts, weights, strict=True))
