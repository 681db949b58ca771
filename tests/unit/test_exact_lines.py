"""Lines with decimal quantities, prices below a minor unit, rebates and free samples, and how they are priced."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.model.campaign import DiscountOffer
from shared.domain.model.money import MoneyError
from shared.domain.model.order import Line, Order, check_amounts, exact_line
from shared.domain.model.quantity import Quantity, UnitPrice, amount_of, parse_quantity, parse_unit_price
from tests.builders import Scope, World, campaign, each, fixed, line, order, percent

LARGEST = 1_000_000


@pytest.mark.parametrize(
    ("text", "quantity"),
    [
        ("2", 2), ("2.0", 2), ("2.000000", 2), ("0.395", Decimal("0.395")), ("0.3950", Decimal("0.395")),
        ("0.001", Decimal("0.001")), ("1000000", 1_000_000), ("007", 7),
    ],
)  # fmt: skip
def test_a_quantity_is_exact_and_whole_numbers_are_integers(text: str, quantity: Quantity) -> None:
    found = parse_quantity(text, LARGEST)
    assert (found, type(found)) == (quantity, type(quantity))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("0", "is not valid: give more than 0"), ("0.000", "is not valid: give more than 0"),
        ("1000000.001", "at most 1,000,000"), ("0.0001", "has more than 3 decimals"), ("1,5", "is malformed"),
        ("-1", "is malformed"), ("1e3", "is malformed"), ("NaN", "is malformed"), ("\u0661", "is malformed"),
    ],
)  # fmt: skip
def test_another_quantity_is_refused_with_what_to_do(text: str, problem: str) -> None:
    with pytest.raises(MoneyError, match=problem):
        parse_quantity(text, LARGEST)


@pytest.mark.parametrize(
    ("text", "currency", "price"),
    [
        ("5.00", "USD", 500), ("-5.00", "USD", -500), ("0.0045", "USD", Decimal("0.45")), ("12.5000", "USD", 1250),
        ("333.33", "JPY", Decimal("333.33")), ("1.0005", "KWD", Decimal("1000.5")), ("-0.005", "USD", Decimal("-0.5")),
        ("0", "USD", 0), ("-0.00", "USD", 0),
    ],
)  # fmt: skip
def test_a_price_of_one_unit_is_exact(text: str, currency: str, price: UnitPrice) -> None:
    found = parse_unit_price(text, currency)
    assert (found, type(found)) == (price, type(price))


@pytest.mark.parametrize(
    ("quantity", "unit_minor", "amount"),
    [
        (Decimal("0.395"), 2000, 790), (2000, Decimal("0.45"), 900), (Decimal("2.5"), 799, 1998),
        (3, Decimal("33.3"), 100), (1, Decimal("0.5"), 1), (1, Decimal("-0.5"), -1), (Decimal("0.5"), -3, -2),
        (Decimal("0.333"), Decimal("0.5"), 0), (2, 500, 1000),
    ],
)  # fmt: skip
def test_the_amount_of_a_line_is_rounded_once_half_up(quantity: Quantity, unit_minor: UnitPrice, amount: int) -> None:
    units, _, exact = exact_line(quantity, unit_minor)
    assert amount_of(quantity, unit_minor) == amount
    assert exact is None or exact.amount_minor == amount
    assert units == (1 if isinstance(quantity, Decimal) else quantity)


quantities = st.one_of(st.integers(1, 99), st.decimals("0.001", "99", places=3))
prices = st.one_of(st.integers(-500, 5000), st.decimals("-5", "5000", places=2))


@given(quantities, prices, st.decimals("0.001", "1", places=3))
def test_what_is_left_of_a_line_and_what_is_not_are_the_line(
    quantity: Quantity, price: UnitPrice, share: Decimal
) -> None:
    made = made_line("1", quantity, price)
    part = min(quantity, max((quantity * share).quantize(Decimal("0.001")), Decimal("0.001")))
    left = made.with_quantity(made.ordered[1] - part)
    assert left.ordered[1] + part == made.ordered[1]
    assert abs(left.amount_minor) <= abs(made.amount_minor)
    assert made.with_quantity(made.ordered[1]) == made


def made_line(line_id: str, quantity: Quantity, price: UnitPrice, **fields: Any) -> Line:
    units, unit_minor, exact = exact_line(quantity, price)
    return Line(line_id, fields.pop("product_id", "p"), units, unit_minor, exact=exact, **fields)


# Splitting and joining lines

offers = st.sampled_from(
    [
        (percent("10"), Scope()), (percent("33.3"), Scope()), (percent("100"), Scope()), (fixed(777), Scope()),
        (percent("15"), Scope(product_ids=frozenset({"p1"}))), (each(33), Scope()), (percent("50"), Scope(max_units=3)),
        (percent("100"), Scope(max_units=1)), (percent("100"), Scope(max_units=2, most_expensive_first=True)),
    ]
)  # fmt: skip
goods = st.lists(
    st.tuples(st.sampled_from(["p1", "p2"]), st.integers(1, 6), st.sampled_from([0, 1, 7, 333, 1_000, 1_001])),
    min_size=1,
    max_size=4,
)
rebates = st.lists(st.tuples(st.integers(1, 2), st.integers(-20, -1)), max_size=2)


@given(offers, goods, rebates, st.booleans(), st.booleans())
def test_splitting_or_joining_lines_never_changes_a_discount(
    offer: tuple[DiscountOffer, Scope],
    bought: list[tuple[str, int, int]],
    given_back: list[tuple[int, int]],
    has_samples: bool,
    by_weight: bool,
) -> None:
    lines = [line(f"g{n}", price, units, product_id=product) for n, (product, units, price) in enumerate(bought)]
    lines += [line(f"r{n}", price, units, product_id="rebate") for n, (units, price) in enumerate(given_back)]
    if has_samples:
        lines.append(line("sample", 0, 3, product_id="p1"))
    if by_weight:
        lines.append(made_line("weight", Decimal("0.395"), 2000, product_id="p2"))
    total = sum(one.amount_minor for one in lines)
    if total < 0:
        return
    joined = replace(order("O", *lines), amount_minor=total)
    split = replace(joined, lines=tuple([unit for one in lines for unit in units_of(one)]))
    assert discount(offer, joined) == discount(offer, split)


def units_of(one: Line) -> list[Line]:
    if one.exact is not None:
        return [one]
    return [replace(one, line_id=f"{one.line_id}-{number}", quantity=1) for number in range(one.quantity)]


def discount(offer: tuple[DiscountOffer, Scope], to: Order) -> object:
    world = World((campaign("c", discount=offer[0], scope=offer[1], currency="USD"),))
    world.coupon("C", "c")
    verdict = world.redeem("C", to=to)
    taken = sum(one.discount_minor or 0 for one in verdict.accepted)
    assert taken <= to.amount_minor
    for line_id, part in [share for entry in verdict.entries for share in entry.lines]:
        worth = next((one.amount_minor for one in to.lines if one.line_id == line_id), 0)
        assert 0 < part <= worth, f"{line_id} costs {worth}, and the coupon takes {part} off it"
    return taken, [one.reason for one in verdict.refused]


def test_an_order_can_not_cost_less_than_nothing() -> None:
    lines = (line("1", 500), line("2", -501))
    with pytest.raises(MoneyError, match=r"^lines: The lines come to -0\.01 USD") as caught:
        check_amounts(Order("O", "USD", -1, lines))  # type: ignore[arg-type]
    assert caught.value.field == "lines"


@pytest.mark.parametrize("unit_minor", [10**18 - 1, -(10**18 - 1)])
def test_rebates_do_not_hide_amounts_that_are_too_large(unit_minor: int) -> None:
    lines = (line("1", 10**18 - 1), line("2", unit_minor))
    with pytest.raises(MoneyError, match="too large"):
        check_amounts(Order("O", "USD", 0, lines))  # type: ignore[arg-type]
