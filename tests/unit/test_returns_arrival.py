"""Partial returns in any split and order of arrival, before or after their order, have the same exact result."""

from itertools import pairwise, permutations
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.builders import DAY, MINUTE, fixed, line, order
from tests.returned_goods import PLACED, goods, left, numbers, shop


@pytest.mark.parametrize("hold", [False, True])
@pytest.mark.parametrize(
    ("second", "ended", "end"),
    [
        ((("1", 1),), None, ("paid", 1, 200)),
        ((("1", 1), ("2", 1)), None, ("returned", 0, None)),
        ((("1", 1),), "cancel", ("cancelled", 0, None)),
        ((("1", 1),), "return_order", ("returned", 0, None)),
    ],
)
def test_orders_payments_and_partial_returns_have_the_same_result_in_any_order_of_arrival(
    hold: bool, second: tuple[tuple[str, int], ...], ended: str | None, end: tuple[Any, ...]
) -> None:
    for arrival in permutations(range(5 if ended else 4)):
        world = shop()
        steps: list[Any] = [
            lambda world=world: world.redeem("A", to=goods(), hold=hold, hold_seconds=3_600),
            lambda world=world: world.pay(at=PLACED + MINUTE),
            lambda world=world: world.part(("2", 1), at=PLACED + 2 * MINUTE),
            lambda world=world: world.part(*second, at=PLACED + 3 * MINUTE),
            lambda world=world: getattr(world, ended or "")(at=PLACED + 4 * MINUTE),
        ]
        for number in arrival:
            steps[number]()
        known = world.state.orders["ORD1"]
        assert (known.status, world.state.coupons["id-A"].used, left(world)) == end, arrival
        assert world.state.coupons["id-A"].held == 0


def test_a_coupon_that_joins_an_order_later_restores_its_share_of_earlier_returns() -> None:
    for steps in permutations(range(3)):
        world = shop(stacking="combinable")
        world.coupon("B")
        todo: list[Any] = [
            lambda: world.redeem("A", to=goods()),  # noqa: B023 - called in the same iteration
            lambda: world.redeem("B", to=goods()),  # noqa: B023
            lambda: world.part(("2", 1), at=PLACED + MINUTE),  # noqa: B023
        ]
        for step in steps:
            todo[step]()
        redemptions = world.state.orders["ORD1"].redemptions
        assert [one.discount_minor for _, one in sorted(redemptions.items())] == [800, 800]


def test_parts_of_a_closed_order_do_not_belong_to_the_order_placed_again() -> None:
    for steps in permutations(range(4)):
        if steps.index(2) < steps.index(1) < steps.index(0):
            continue  # only the later placing is known, so the cancellation is about that one
        world = shop()
        todo: list[Any] = [
            lambda: world.redeem("A", to=goods()),  # noqa: B023 - called in the same iteration
            lambda: world.cancel(at=PLACED + 5 * MINUTE),  # noqa: B023
            lambda: world.redeem("A", to=order("ORD1", *goods().lines, placed_at=PLACED + 9 * MINUTE)),  # noqa: B023
            lambda: world.part(("2", 1), at=PLACED + 11 * MINUTE),  # noqa: B023
        ]
        for step in steps:
            todo[step]()
        assert left(world) == 800, steps
        if world.state.orders["ORD1"].cancelled_at is not None:  # the order is known to be placed again after this
            assert world.part(("2", 1), at=PLACED + 9 * MINUTE).outcome == "unchanged"
        assert world.part(("2", 1), at=PLACED + 4 * MINUTE).outcome == "unchanged"


unit_splits = st.lists(st.tuples(st.sampled_from(["1", "2", "3"]), st.integers(1, 4)), max_size=8)
quantities = st.lists(st.tuples(st.integers(1, 5), st.integers(1, 3_000)), min_size=3, max_size=3)


@settings(max_examples=150, deadline=None)
@given(quantities, st.integers(1, 9_000), unit_splits, st.randoms(use_true_random=False), st.booleans())
def test_any_split_in_any_order_restores_the_same_as_one_return(
    made: list[tuple[int, int]], off: int, parts: list[tuple[str, int]], random: Any, early: bool
) -> None:
    to = goods(*(line(str(number), unit, quantity) for number, (quantity, unit) in enumerate(made, 1)))
    units: dict[str, int] = {}
    for line_id, count in parts:
        units[line_id] = units.get(line_id, 0) + count
    ends = set()
    arrivals = [list(units.items())], [[part] for part in parts], [[part] for part in random.sample(parts, len(parts))]
    for arrival in arrivals:
        world = shop(discount=fixed(off))
        steps: list[list[Any]] = [one if isinstance(one, list) else [one] for one in arrival]
        split = random.randint(0, len(steps)) if early else 0
        for number, step in enumerate(steps[:split]):
            world.part(*step, at=PLACED + number * MINUTE)
        world.redeem("A", to=to)
        for number, step in enumerate(steps[split:], split):
            world.part(*step, at=PLACED + number * MINUTE)
        ends.add((left(world), world.state.coupons["id-A"].used, world.meter().used_minor))
    assert len(ends) == 1


@settings(max_examples=150, deadline=None)
@given(
    quantities,
    st.integers(1, 9_000),
    st.lists(st.tuples(unit_splits.filter(bool), st.integers(0, 3_000), st.booleans()), max_size=5),
    st.booleans(),
)
def test_after_any_partial_returns_the_end_of_the_order_leaves_every_meter_as_before(
    made: list[tuple[int, int]], off: int, parts: list[tuple[list[tuple[str, int]], int, bool]], cancel: bool
) -> None:
    world = shop(discount=fixed(off))
    before = numbers(world)
    redeemed = world.redeem(
        "A", to=goods(*(line(str(number), unit, quantity) for number, (quantity, unit) in enumerate(made, 1)))
    )
    lefts = [left(world) or 0]
    for number, (units, minor, by_amount) in enumerate(parts, 1):
        amount = f"{minor // 100}.{minor % 100:02}"
        world.part(*([] if by_amount else units), amount=amount if by_amount else None, at=PLACED + number * MINUTE)
        lefts.append(left(world) or 0)
    assert all(0 <= later <= sooner for sooner, later in pairwise(lefts))
    (world.cancel if cancel else world.return_order)(at=PLACED + DAY)
    assert numbers(world) == before
    given = sum(one.used_minor for verdict in world.verdicts for one in verdict.entries)
    assert (given, redeemed.outcome) == (0, "redeemed")
