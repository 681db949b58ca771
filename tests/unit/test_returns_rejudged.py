"""Campaigns with `on_return: rejudge`: what is left of the order is judged again after a return in part."""

from itertools import permutations
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.domain.model.campaign import Condition, Scope
from shared.domain.model.order import Line, Order
from shared.domain.model.state import ActiveRedemption
from shared.domain.model.verdicts import Verdict
from shared.domain.orders.rejudge import LeftOver, deserved
from tests.builders import FREE_SHIPPING, MINUTE, World, campaign, each, fixed, gift, line, percent
from tests.returned_goods import PLACED, goods, left, numbers, restored_shares, shop


class Case(NamedTuple):
    """A campaign, an order, what is returned, and the discount that each part restores."""

    name: str
    fields: dict[str, Any]
    lines: tuple[Line, ...]
    parts: tuple[dict[str, Any], ...]
    restored: tuple[int, ...]
    currency: str = "USD"


def units(*parts: tuple[str, int]) -> dict[str, Any]:
    return {"units": parts}


SIX = (line("1", 5_000, 6),)
SHOES = (line("1", 6_000, product_id="shoe"), line("2", 4_000, product_id="shoe"), line("3", 500, product_id="sock"))
HALF_OF_SHOES = {"discount": percent("50"), "scope": Scope(frozenset({"shoe"}))}
PAIR = {"discount": percent("100"), "scope": Scope(frozenset({"shoe"}), max_units=1), "min_quantity": 2}
CASES = (
    Case("an amount, at the minimum", {"discount": fixed(10_000), "min_order_minor": 25_000}, SIX,
         (units(("1", 1)),), (0,)),
    Case("an amount, below the minimum", {"discount": fixed(10_000), "min_order_minor": 30_000}, SIX,
         (units(("1", 5)),), (10_000,)),
    Case("an amount, more than what is left", {"discount": fixed(10_000)}, SIX, (units(("1", 5)),), (5_000,)),
    Case("a percentage", {"discount": percent("10")}, SIX, (units(("1", 5)),), (2_500,)),
    Case("a percentage, below the minimum", {"discount": percent("10"), "min_order_minor": 20_000}, SIX,
         (units(("1", 1)), units(("1", 1)), units(("1", 1))), (500, 500, 2_000)),
    Case("a percentage with a maximum", {"discount": percent("10", cap=1_000)}, SIX,
         (units(("1", 4)), units(("1", 1))), (0, 500)),
    Case("an amount of each unit", {"discount": each(300)}, SIX, (units(("1", 2)),), (600,)),
    Case("a minimum quantity", {"discount": fixed(1_000), "min_quantity": 3}, SIX,
         (units(("1", 3)), units(("1", 1))), (0, 1_000)),
    Case("other products come back", HALF_OF_SHOES, SHOES, (units(("3", 1)),), (0,)),
    Case("one of the products comes back", HALF_OF_SHOES, SHOES, (units(("2", 1)),), (2_000,)),
    Case("the products come back", HALF_OF_SHOES, SHOES, (units(("1", 1)), units(("2", 1))), (3_000, 2_000)),
    Case("the paid half of a pair", PAIR, SHOES, (units(("1", 1)),), (4_000,)),
    Case("the free half of a pair", PAIR, SHOES, (units(("2", 1)),), (4_000,)),
    Case("neither half of a pair", PAIR, SHOES, (units(("3", 1)),), (0,)),
    Case("the goods that earn a gift", {"discount": gift(product_id="sock"), "min_order_minor": 8_000}, SHOES,
         (units(("1", 1)),), (500,)),
    Case("by amount, to the minimum and below", {"discount": fixed(10_000), "min_order_minor": 20_000}, SIX,
         ({"amount": "100.00"}, {"amount": "0.01"}), (0, 10_000)),
    Case("by amount, a percentage of some products", HALF_OF_SHOES, SHOES, ({"amount": "52.50"},), (2_500,)),
    Case("by refund", {"discount": percent("10")}, SIX, ({"refunded_amount": "135.00"},), (1_500,)),
    Case("by refund, below the minimum", {"discount": percent("10"), "min_order_minor": 20_000}, SIX,
         ({"refunded_amount": "135.00"},), (3_000,)),
    Case("yen", {"discount": percent("10"), "min_order_minor": 200}, (line("1", 105, 3),),
         (units(("1", 1)), units(("1", 1))), (11, 21), "JPY"),
    Case("dinars", {"discount": percent("10")}, (line("1", 1_005, 3),), (units(("1", 1)), units(("1", 1))),
         (101, 100), "KWD"),
    Case("unknown lines", {"discount": percent("10")}, SIX,
         (units(("nope", 3)), units(("1", 5), ("nope", 1))), (0, 2_500)),
    Case("free shipping stays if it is still deserved", {"discount": FREE_SHIPPING, "min_order_minor": 20_000}, SIX,
         (units(("1", 2)),), (0,)),
    Case("free shipping below the minimum", {"discount": FREE_SHIPPING, "min_order_minor": 20_000}, SIX,
         (units(("1", 3)),), (700,)),
)  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_part_restores_what_the_rest_no_longer_deserves(case: Case) -> None:
    world = shop(on_return="rejudge", currency=case.currency, **case.fields)
    extra = line("kept", 0, product_id="sample")  # keeps the last part from being a whole return
    redeemed = world.redeem("A", to=goods(*case.lines, extra, currency=case.currency, shipping_minor=700))
    assert redeemed.outcome == "redeemed"
    restored = []
    for number, part in enumerate(case.parts, 1):
        named = dict(part)
        verdict = world.part(*named.pop("units", ()), at=PLACED + number * MINUTE, **named)
        restored.append(restored_shares(verdict)[0])
    assert tuple(restored) == case.restored
    assert left(world) == redeemed.discount_minor - sum(case.restored)
    assert world.state.coupons["id-A"].used == 1


def test_each_line_has_its_own_part_of_what_is_restored() -> None:
    world = shop(on_return="rejudge")
    world.redeem("A", to=goods())
    assert restored_shares(world.part(("1", 1), at=PLACED + MINUTE)) == (600, (("1", 600),))
    assert restored_shares(world.part(("2", 1), at=PLACED + 2 * MINUTE)) == (200, (("2", 200),))


def test_below_the_minimum_the_lines_that_are_left_lose_their_part_too() -> None:
    world = shop(on_return="rejudge", min_order_minor=10_000)
    world.redeem("A", to=goods())
    assert restored_shares(world.part(("2", 1), at=PLACED + MINUTE)) == (1_000, (("1", 600), ("2", 400)))


@pytest.mark.parametrize("ending", ["cancel", "return_order"])
def test_the_use_is_restored_when_the_order_ends(ending: str) -> None:
    world = shop(on_return="rejudge", min_order_minor=10_000)
    before = numbers(world)
    world.redeem("A", to=goods())
    world.part(("2", 1), at=PLACED + MINUTE)
    verdict = getattr(world, ending)(at=PLACED + 2 * MINUTE)
    assert [(one.uses, one.discount_minor) for one in verdict.accepted] == [(1, 0)]
    assert numbers(world) == before


def test_a_campaign_that_does_not_restore_on_returns_judges_nothing_again() -> None:
    world = shop(on_return="rejudge", min_order_minor=10_000, restore_on=frozenset({"order.cancelled"}))
    world.redeem("A", to=goods())
    assert world.part(("2", 1), at=PLACED + MINUTE).outcome == "recorded"
    assert left(world) == 1_000


def test_conditions_on_the_order_are_judged_again_and_those_on_the_customer_are_not() -> None:
    large = Condition("large", "order.amount_minor > 5000", lambda values: values["order"]["amount_minor"] > 5_000)
    known = Condition(
        "known", "customer.email != null", lambda values: bool(values["customer"]["email"]),
        customer_fields=frozenset({"email"}),
    )  # fmt: skip
    world = shop(on_return="rejudge", conditions=(known, large))
    world.redeem("A", to=goods())
    assert restored_shares(world.part(("2", 1), at=PLACED + MINUTE))[0] == 200
    assert restored_shares(world.part(("1", 1), at=PLACED + 2 * MINUTE))[0] == 800


def test_a_coupon_that_is_paused_expired_or_void_meanwhile_keeps_what_it_deserves() -> None:
    world = shop(on_return="rejudge")
    world.redeem("A", to=goods())
    world.void("A")
    world.state.campaigns["save10"] = campaign(on_return="rejudge", status="paused")
    assert restored_shares(world.part(("2", 1), at=PLACED + MINUTE))[0] == 200


def two(*ways: str, **fields: Any) -> World:
    """Return a world with the coupons A and B of two campaigns, which return in these ways."""
    offers = [
        campaign(name, stacking="combinable", on_return=way, **fields)
        for name, way in zip(("first", "second"), ways, strict=True)
    ]
    world = World(tuple(offers), now=PLACED + 9 * MINUTE)
    world.coupon("A", "first")
    world.coupon("B", "second")
    return world


def lefts(world: World) -> list[int]:
    return [one.discount_minor for _, one in sorted(world.state.orders["ORD1"].redemptions.items())]


@pytest.mark.parametrize(
    ("ways", "expected"),
    [
        (("rejudge", "rejudge"), ([3_000, 1_000], [2_000, 0])),  # the first takes all that is left
        (("rejudge", "share"), ([2_000, 2_000], [1_000, 1_000])),
        (("share", "rejudge"), ([2_000, 2_000], [1_000, 1_000])),
    ],
)
def test_several_coupons_together_never_keep_more_than_the_goods_cost(
    ways: tuple[str, str], expected: tuple[list[int], list[int]]
) -> None:
    world = two(*ways, discount=fixed(3_000))
    world.redeem("A", "B", to=goods(line("1", 2_000, 2), line("2", 2_000)))
    for number, kept in enumerate(expected, 1):
        world.part(("1", 1), at=PLACED + number * MINUTE)
        assert lefts(world) == kept


def test_coupons_of_later_requests_apply_to_the_same_prices_as_when_they_were_redeemed() -> None:
    world = two("rejudge", "rejudge", discount=percent("10"))
    world.redeem("A", to=goods())
    world.redeem("B", to=goods())
    assert lefts(world) == [1_000, 1_000]
    world.part(("2", 1), at=PLACED + MINUTE)
    assert lefts(world) == [800, 800]


def test_a_coupon_that_joins_later_is_judged_on_what_is_left_in_any_order() -> None:
    ends = set()
    for steps in permutations(range(4)):
        world = two("rejudge", "rejudge", discount=percent("10"), min_order_minor=7_000)
        todo: list[Any] = [
            lambda: world.redeem("A", to=goods()),  # noqa: B023 - called in the same iteration
            lambda: world.redeem("B", to=goods()),  # noqa: B023
            lambda: world.part(("2", 1), at=PLACED + MINUTE),  # noqa: B023
            lambda: world.part(("2", 1), at=PLACED + 2 * MINUTE),  # noqa: B023
        ]
        for step in steps:
            todo[step]()
        ends.add(tuple(lefts(world)))
    assert ends == {(0, 0)}


@pytest.mark.parametrize("first", ["place", "return"])
def test_a_part_of_a_held_order_is_judged_when_the_payment_burns(first: str) -> None:
    world = shop(on_return="rejudge", min_order_minor=10_000)
    steps = [
        lambda: world.redeem("A", to=goods(), hold=True, hold_seconds=3_600),
        lambda: world.part(("2", 1), at=PLACED + MINUTE),
    ]
    for step in steps if first == "place" else reversed(steps):
        step()
    assert left(world) is None
    assert restored_shares(world.pay(at=PLACED + 2 * MINUTE))[0] == 1_000
    assert left(world) == 0


def test_a_changed_order_is_judged_without_what_was_returned_before() -> None:
    world = shop(on_return="rejudge", min_order_minor=8_000)
    world.redeem("A", to=goods())
    world.part(("2", 1), at=PLACED + MINUTE)
    assert left(world) == 800
    less = goods(line("1", 6_000), line("2", 1_500, 2))
    changed = world.redeem("A", to=less, complete=True, changed=True, at=PLACED + 3 * MINUTE)
    assert left(world) == 0  # 60.00 and one of 15.00 are below the minimum
    assert [one.coupon.discount_minor for one in changed.kept] == [0]


def test_a_coupon_that_a_change_adds_restores_the_share_of_earlier_parts() -> None:
    # 10 % and then 10 % of the rest, less a fifth. Judged again, a later request applies to the full prices.
    for way, kept in (("share", [800, 720]), ("rejudge", [800, 800])):
        world = two(way, way, discount=percent("10"))
        world.redeem("A", to=goods())
        world.part(("2", 1), at=PLACED + MINUTE)
        world.redeem("A", "B", to=goods(shipping_minor=1), complete=True, changed=True, at=PLACED + 3 * MINUTE)
        assert lefts(world) == kept, way


offers = st.one_of(
    st.builds(lambda minor: {"discount": fixed(minor)}, st.integers(1, 9_000)),
    st.builds(lambda minor: {"discount": each(minor)}, st.integers(1, 3_000)),
    st.builds(lambda share: {"discount": percent(str(share))}, st.integers(1, 100)),
    st.builds(
        lambda count: {"discount": percent("100"), "scope": Scope(max_units=count), "min_quantity": count + 1},
        st.integers(1, 3),
    ),
)
quantities = st.lists(st.tuples(st.integers(1, 5), st.integers(1, 3_000)), min_size=3, max_size=3)
unit_splits = st.lists(st.tuples(st.sampled_from(["1", "2", "3"]), st.integers(1, 4)), max_size=8)


def basket(made: list[tuple[int, int]]) -> Order:
    return goods(*(line(str(number), unit, quantity) for number, (quantity, unit) in enumerate(made, 1)))


@settings(max_examples=150, deadline=None)
@given(offers, st.integers(0, 9_000), quantities, unit_splits, st.randoms(use_true_random=False))
def test_any_split_in_any_order_of_arrival_leaves_the_same(
    offer: dict[str, Any], minimum: int, made: list[tuple[int, int]], parts: list[tuple[str, int]], random: Any
) -> None:
    ends = set()
    for early in (0, random.randint(0, len(parts))):
        for arrival in ([parts], [[part] for part in parts], [[part] for part in random.sample(parts, len(parts))]):
            world = shop(on_return="rejudge", min_order_minor=minimum, **offer)
            before = numbers(world)
            steps = [step for step in arrival if step]
            for number, step in enumerate(steps[:early]):
                world.part(*step, at=PLACED + number * MINUTE)
            redeemed = world.redeem("A", to=basket(made))
            for number, step in enumerate(steps[early:], early):
                world.part(*step, at=PLACED + number * MINUTE)
            assert 0 <= (left(world) or 0) <= max(redeemed.discount_minor, 0)
            ends.add((left(world), world.state.coupons["id-A"].used, world.meter().used_minor))
            world.return_order(at=PLACED + 99 * MINUTE)
            assert numbers(world) == before
    assert len(ends) == 1


@settings(max_examples=150, deadline=None)
@given(st.lists(offers, min_size=1, max_size=3), quantities, st.lists(st.booleans(), min_size=3, max_size=3))
def test_an_order_of_which_nothing_was_returned_deserves_the_discounts_it_has(
    several: list[dict[str, Any]], made: list[tuple[int, int]], together: list[bool]
) -> None:
    names = "ABC"[: len(several)]
    world = World(
        tuple(campaign(name, stacking="combinable", **offer) for name, offer in zip(names, several, strict=True))
    )
    for name in names:
        world.coupon(name, name)
    to = basket(made)
    request: list[str] = []
    for name, waits in zip(names, together, strict=False):
        request.append(name)
        if not waits:
            world.redeem(*request, to=to)
            request = []
    if request:
        world.redeem(*request, to=to)
    has = [] if "ORD1" not in world.state.orders else list(world.state.orders["ORD1"].redemptions.values())
    again = deserved(LeftOver(to, to.amount_minor), has, (), world.state)
    assert _discounts(again) == _discounts(has)


def _discounts(redemptions: list[ActiveRedemption]) -> dict[str, tuple[int, tuple[tuple[str, int], ...]]]:
    return {one.coupon_id: (one.discount_minor, one.lines) for one in redemptions}


def test_the_verdict_says_what_is_restored() -> None:
    world = shop(on_return="rejudge", min_order_minor=10_000)
    world.redeem("A", to=goods())
    verdict: Verdict = world.part(("2", 1), at=PLACED + MINUTE)
    assert (verdict.outcome, verdict.discount_minor, verdict.currency) == ("restored", 1_000, "USD")
