"""Which coupons go together: groups, the most an order may have, what stands already, gifts, and many at once."""

from itertools import permutations
from typing import Any

import pytest

from shared.domain.model.campaign import DiscountOffer
from shared.domain.model.reasons import Reason
from shared.domain.offers.combine import EXHAUSTIVE_UP_TO
from tests.builders import (
    FREE_SHIPPING,
    JOHN,
    MARY,
    Limits,
    Scope,
    World,
    campaign,
    fixed,
    gift,
    line,
    only_reason,
    order,
    percent,
    reasons,
)

Offers = dict[str, dict[str, Any]]


def world_of(offers: Offers) -> World:
    """A campaign and a coupon of its name for each offer; combinable unless it says otherwise."""
    world = World(tuple(campaign(name, **{"policy": "combinable"} | fields) for name, fields in offers.items()))
    for name in offers:
        world.coupon(name.upper(), name)
    return world


def off(minor: int, **fields: Any) -> dict[str, Any]:
    return {"discount": fixed(minor), **fields}


@pytest.mark.parametrize(
    ("offers", "taken", "lost"),
    [
        # one of a group: the better one, and others beside it
        ({"a": off(500, group="g"), "b": off(700, group="g"), "c": off(100)}, "BC", {"A": "B"}),
        ({"a": off(500, group="g"), "b": off(700, group="h"), "c": off(100)}, "BAC", {}),
        ({"a": off(500, group="g"), "b": off(500, group="g")}, "A", {"B": "A"}),
        ({"a": off(500, group="g", priority=-1), "b": off(500, group="g")}, "B", {"A": "B"}),
        # two groups of two: the best of each
        (
            {"a": off(5, group="g"), "b": off(6, group="g"), "c": off(9, group="h"), "d": off(8, group="h")},
            "CB",
            {"A": "B", "D": "C"},
        ),
        # no more than the smallest number that one of them allows
        ({"a": off(500, max_coupons=2), "b": off(400), "c": off(300)}, "AB", {"C": "A"}),
        ({"a": off(500), "b": off(400), "c": off(300, max_coupons=2)}, "AB", {"C": "A"}),
        ({"a": off(500, max_coupons=1), "b": off(300), "c": off(300)}, "BC", {"A": "B"}),
        ({"a": off(700, max_coupons=1), "b": off(300), "c": off(300)}, "A", {"B": "A", "C": "A"}),
        ({"a": off(500, max_coupons=3), "b": off(400), "c": off(300)}, "ABC", {}),
        # a group that an exclusive one names makes no difference to it
        ({"a": off(500, group="g", policy="exclusive"), "b": off(300), "c": off(100)}, "A", {"B": "A", "C": "A"}),
        # of equal totals the fewer coupons
        ({"a": off(400), "b": off(300), "c": off(700, policy="exclusive")}, "C", {"A": "C", "B": "C"}),
    ],
)
def test_what_goes_together_is_combined_and_what_lost_says_to_what(
    offers: Offers, taken: str, lost: dict[str, str]
) -> None:
    for codes in permutations([name.upper() for name in offers]):
        verdict = world_of(offers).redeem(*codes)
        assert [one.code for one in verdict.accepted] == list(taken)
        assert {one.code: one.details["winner"] for one in verdict.refused} == lost
        assert set(reasons(verdict).values()) <= {Reason.BETTER_OFFER_WON}


def test_what_lost_says_so_in_a_sentence() -> None:
    refused = world_of({"a": off(500, group="g"), "b": off(700, group="g")}).redeem("A", "B").refused[0]
    assert refused.message == "Coupon 'B' takes more off, and the two don't go together."


def test_the_fewer_coupons_are_used_where_more_take_nothing_more_off() -> None:
    offers: Offers = {
        "a": {"discount": percent("100"), "priority": -1},
        "b": off(500),
        "c": {"discount": percent("50")},
    }
    verdict = world_of(offers).redeem("A", "B", "C")
    assert [one.code for one in verdict.accepted] == ["A"]
    assert reasons(verdict) == {"B": Reason.NO_EFFECT, "C": Reason.NO_EFFECT}


def test_what_is_given_counts_beside_what_is_taken_off() -> None:
    points = DiscountOffer("custom", "0", payload={"points": 5})
    # beside a discount
    verdict = world_of({"a": off(500), "b": {"discount": gift()}, "c": {"discount": points}}).redeem("A", "B", "C")
    assert {one.code: one.discount_minor for one in verdict.accepted} == {"A": 500, "B": 0, "C": 0}
    # a discount takes precedence over gifts of no price
    verdict = world_of({"a": off(1), "b": {"discount": points, "policy": "exclusive"}}).redeem("A", "B")
    assert reasons(verdict) == {"B": Reason.BETTER_OFFER_WON}
    # and of equal discounts the one with more given, though that is more coupons
    both: Offers = {
        "a": {"discount": points},
        "b": {"discount": gift()},
        "c": {"discount": points, "policy": "exclusive"},
    }
    assert [one.code for one in world_of(both).redeem("A", "B", "C").accepted] == ["A", "B"]
    # after everything was taken off there is still something to give
    everything: Offers = {"a": {"discount": percent("100")}, "b": {"discount": gift()}}
    assert [one.code for one in world_of(everything).redeem("A", "B").accepted] == ["A", "B"]


@pytest.mark.parametrize(
    ("standing", "asked", "refused"),
    [
        (off(500), off(100), None),
        (off(500, policy="exclusive"), off(100), {"with": "A"}),
        (off(500), off(100, policy="exclusive"), {"with": "A"}),
        (off(500, group="g"), off(100, group="g"), {"with": "A"}),
        (off(500, group="g"), off(100, group="h"), None),
        (off(500, max_coupons=1), off(100), {"with": "A"}),
        (off(500), off(100, max_coupons=1), {"with": "A"}),
        (off(500, max_coupons=2), off(100), None),
    ],
)
@pytest.mark.parametrize("hold", [False, True])
def test_what_the_order_has_already_counts_as_well(
    standing: dict[str, Any], asked: dict[str, Any], refused: dict[str, str] | None, hold: bool
) -> None:
    world = world_of({"a": standing, "b": asked, "c": off(50)})
    world.redeem("A", hold=hold, hold_seconds=600)
    # as its only code, and beside another
    for codes in (("B",), ("B", "C")):
        verdict = world_with(world).redeem(*codes, hold=hold, hold_seconds=600)
        told = {one.code: one for one in verdict.refused}
        if refused is None:
            assert "B" not in told or told["B"].reason == Reason.BETTER_OFFER_WON
        else:
            assert (told["B"].reason, told["B"].details) == (Reason.NOT_COMBINABLE, refused)
            assert told["B"].message == "Coupon 'B' can't be combined with 'A'."


def world_with(world: World) -> World:
    """A world of its own in which the same has happened."""
    copied = World(tuple(world.state.campaigns.values()), world.now)
    for coupon in world.state.coupons.values():
        copied.coupon(coupon.code, coupon.campaign_id)
    hold = world.verdicts[-1].outcome == "held"
    copied.redeem("A", hold=hold, hold_seconds=600)
    return copied


def test_the_most_coupons_of_an_order_count_what_stands_and_what_is_asked_for_together() -> None:
    world = world_of({"a": off(500), "b": off(400, max_coupons=2), "c": off(300), "d": off(200)})
    world.redeem("A")
    verdict = world.redeem("B", "C", "D")
    assert [one.code for one in verdict.accepted] == ["C", "D"]  # more than 400 alone
    assert reasons(verdict) == {"B": Reason.BETTER_OFFER_WON}
    small = world_of({"a": off(500), "b": off(600, max_coupons=2), "c": off(300), "d": off(200)})
    small.redeem("A")
    assert [one.code for one in small.redeem("B", "C", "D").accepted] == ["B"]


def test_what_is_used_up_says_so_before_it_says_to_what_it_lost() -> None:
    world = world_of({"a": off(500, limits=Limits(1, uses_per_customer=1))})
    world.coupon("A2", "a")
    verdict = world.redeem("A", "A2")
    assert [one.code for one in verdict.accepted] == ["A"]
    assert reasons(verdict) == {"A2": Reason.CUSTOMER_LIMIT}


def test_a_budget_is_shared_by_the_coupons_of_one_request() -> None:
    world = World((campaign("a", policy="combinable", currency="USD", limits=Limits(1, spend_total_minor=1_500)),))
    for code in ("A1", "A2", "A3"):
        world.coupon(code, "a")
    verdict = world.redeem("A1", "A2", "A3", to=order())  # 1,000 then 900 then 810
    assert [(one.code, one.discount_minor) for one in verdict.accepted] == [("A1", 1_000)]
    assert reasons(verdict) == {"A2": Reason.BUDGET_EXCEEDED, "A3": Reason.BUDGET_EXCEEDED}


MANY = EXHAUSTIVE_UP_TO + 4


def many(**fields: Any) -> World:
    return world_of({chr(ord("a") + number): off(100 + number, **fields) for number in range(MANY)})


def test_beyond_the_number_that_is_tried_out_all_go_together_where_they_may() -> None:
    world = many()
    codes = [coupon.code for coupon in world.state.coupons.values()]
    assert world.redeem(*codes).discount_minor == sum(100 + number for number in range(MANY))


@pytest.mark.parametrize(("fields", "fits"), [({"group": "g"}, 1), ({"max_coupons": 3}, 3)])
def test_beyond_the_number_that_is_tried_out_the_greatest_are_taken_first(fields: dict[str, Any], fits: int) -> None:
    world = many(**fields)
    codes = [coupon.code for coupon in world.state.coupons.values()]
    verdict = world.redeem(*codes)
    assert [one.code for one in verdict.accepted] == sorted(codes, reverse=True)[:fits]
    assert set(reasons(verdict).values()) == {Reason.BETTER_OFFER_WON}
    assert {one.details["winner"] for one in verdict.refused} == {max(codes)}


def test_beyond_the_number_that_is_tried_out_one_that_goes_alone_still_wins_where_it_is_better() -> None:
    world = world_of(
        {chr(ord("a") + number): off(100) for number in range(MANY)} | {"z": off(9_000, policy="exclusive")}
    )
    codes = [coupon.code for coupon in world.state.coupons.values()]
    assert [one.code for one in world.redeem(*codes).accepted] == ["Z"]


@pytest.mark.parametrize(
    ("offers", "refused"),
    [
        ({"a": off(1), "b": off(1)}, {}),
        ({"a": off(1, group="g"), "b": off(1, group="g"), "c": off(1)}, {"A": "B", "B": "A", "C": "A"}),
        ({"a": off(1, policy="exclusive"), "b": off(1)}, {"A": "B", "B": "A"}),
        ({"a": off(1, max_coupons=2), "b": off(1), "c": off(1)}, {"A": "B", "B": "A", "C": "A"}),
        ({"a": off(1, max_coupons=2), "b": off(1)}, {}),
    ],
)
def test_without_an_order_nothing_is_better_and_what_does_not_go_together_is_not_locked(
    offers: Offers, refused: dict[str, str]
) -> None:
    for codes in permutations([name.upper() for name in offers]):
        verdict = world_of(offers).lock(*codes)
        assert {one.code: one.details["refused_with"] for one in verdict.refused} == refused
        assert set(reasons(verdict).values()) <= {Reason.NOT_COMBINABLE}
        assert len(verdict.accepted) == (0 if refused else len(offers))


def test_a_lock_for_an_order_that_has_coupons_looks_at_those() -> None:
    world = world_of({"a": off(500, group="g"), "b": off(100, group="g"), "c": off(100)})
    world.redeem("A")
    refused = world.lock("B", order_id="ORD1").refused[0]
    assert (refused.reason, refused.details) == (Reason.NOT_COMBINABLE, {"with": "A"})
    assert world.lock("C", order_id="ORD1").outcome == "locked"


def test_a_promise_does_not_make_coupons_go_together() -> None:
    """What was locked apart is judged together on the order."""
    world = world_of({"a": off(500, group="g"), "b": off(700, group="g")})
    world.lock("A", reference="l1")
    world.lock("B", reference="l2")
    assert world.redeem(lock_reference="l1").discount_minor == 500
    assert only_reason(world.redeem(lock_reference="l2")) == Reason.NOT_COMBINABLE


def test_a_better_offer_of_somebody_else_is_no_offer() -> None:
    world = world_of({"a": off(500, group="g"), "b": off(700, group="g")})
    world.lock("B", by=MARY)
    verdict = world.redeem("A", "B", by=JOHN)
    assert [one.code for one in verdict.accepted] == ["A"]
    assert reasons(verdict) == {"B": Reason.LOCKED_ELSEWHERE}


def test_shipping_goods_and_units_add_up() -> None:
    offers: Offers = {
        "a": {"discount": FREE_SHIPPING},
        "b": {"discount": percent("50"), "scope": Scope(max_units=1, dearest_first=True)},
        "c": {"discount": fixed(10**6)},
    }
    to = order("ORD1", line("1", 1_000, 2), line("2", 300), shipping_minor=450)
    verdict = world_of(offers).redeem("A", "B", "C", to=to)
    # the fixed one takes all of the goods and comes first: nothing is left for half of a unit
    assert [(one.code, one.discount_minor) for one in verdict.accepted] == [("C", 2_300), ("A", 450)]
    assert reasons(verdict) == {"B": Reason.NO_EFFECT}
