"""Which coupons can be combined: groups, max_coupons, existing redemptions, gifts, and many coupons at once."""

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
    """Build a campaign and a coupon with its name for each offer, combinable by default."""
    world = World(tuple(campaign(name, **{"policy": "combinable"} | fields) for name, fields in offers.items()))
    for name in offers:
        world.coupon(name.upper(), name)
    return world


def off(minor: int, **fields: Any) -> dict[str, Any]:
    return {"discount": fixed(minor), **fields}


@pytest.mark.parametrize(
    ("offers", "taken", "lost"),
    [
        # one of a group: the better one, in addition to coupons outside the group
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
        # at most the smallest max_coupons among them
        ({"a": off(500, max_coupons=2), "b": off(400), "c": off(300)}, "AB", {"C": "A"}),
        ({"a": off(500), "b": off(400), "c": off(300, max_coupons=2)}, "AB", {"C": "A"}),
        ({"a": off(500, max_coupons=1), "b": off(300), "c": off(300)}, "BC", {"A": "B"}),
        ({"a": off(700, max_coupons=1), "b": off(300), "c": off(300)}, "A", {"B": "A", "C": "A"}),
        ({"a": off(500, max_coupons=3), "b": off(400), "c": off(300)}, "ABC", {}),
        # the group of an exclusive coupon has no effect
        ({"a": off(500, group="g", policy="exclusive"), "b": off(300), "c": off(100)}, "A", {"B": "A", "C": "A"}),
        # for equal totals, fewer coupons
        ({"a": off(400), "b": off(300), "c": off(700, policy="exclusive")}, "C", {"A": "C", "B": "C"}),
    ],
)
def test_compatible_coupons_are_combined_and_each_loser_names_its_winner(
    offers: Offers, taken: str, lost: dict[str, str]
) -> None:
    for codes in permutations([name.upper() for name in offers]):
        verdict = world_of(offers).redeem(*codes)
        assert [one.code for one in verdict.accepted] == list(taken)
        assert {one.code: one.details["winner"] for one in verdict.refused} == lost
        assert set(reasons(verdict).values()) <= {Reason.BETTER_OFFER_WON}


def test_a_losing_coupon_names_the_winner_in_its_message() -> None:
    refused = world_of({"a": off(500, group="g"), "b": off(700, group="g")}).redeem("A", "B").refused[0]
    assert refused.message == "Coupon 'B' takes more off, and the two can't be combined."


def test_fewer_coupons_are_used_if_more_would_not_increase_the_discount() -> None:
    offers: Offers = {
        "a": {"discount": percent("100"), "priority": -1},
        "b": off(500),
        "c": {"discount": percent("50")},
    }
    verdict = world_of(offers).redeem("A", "B", "C")
    assert [one.code for one in verdict.accepted] == ["A"]
    assert reasons(verdict) == {"B": Reason.NO_EFFECT, "C": Reason.NO_EFFECT}


def test_gifts_and_custom_offers_count_in_addition_to_discounts() -> None:
    points = DiscountOffer("custom", "0", payload={"points": 5})
    # in addition to a discount
    verdict = world_of({"a": off(500), "b": {"discount": gift()}, "c": {"discount": points}}).redeem("A", "B", "C")
    assert {one.code: one.discount_minor for one in verdict.accepted} == {"A": 500, "B": 0, "C": 0}
    # a discount takes precedence over gifts without a price
    verdict = world_of({"a": off(1), "b": {"discount": points, "policy": "exclusive"}}).redeem("A", "B")
    assert reasons(verdict) == {"B": Reason.BETTER_OFFER_WON}
    # for equal discounts, the choice with more gifts, although it has more coupons
    both: Offers = {
        "a": {"discount": points},
        "b": {"discount": gift()},
        "c": {"discount": points, "policy": "exclusive"},
    }
    assert [one.code for one in world_of(both).redeem("A", "B", "C").accepted] == ["A", "B"]
    # a gift still counts after everything was taken off
    everything: Offers = {"a": {"discount": percent("100")}, "b": {"discount": gift()}}
    assert [one.code for one in world_of(everything).redeem("A", "B").accepted] == ["A", "B"]


@pytest.mark.parametrize(
    ("existing", "requested", "refused"),
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
def test_existing_coupons_of_the_order_count_as_well(
    existing: dict[str, Any], requested: dict[str, Any], refused: dict[str, str] | None, hold: bool
) -> None:
    world = world_of({"a": existing, "b": requested, "c": off(50)})
    world.redeem("A", hold=hold, hold_seconds=600)
    # as the only code, and together with another
    for codes in (("B",), ("B", "C")):
        verdict = world_with(world).redeem(*codes, hold=hold, hold_seconds=600)
        refusals = {one.code: one for one in verdict.refused}
        if refused is None:
            assert "B" not in refusals or refusals["B"].reason == Reason.BETTER_OFFER_WON
        else:
            assert (refusals["B"].reason, refusals["B"].details) == (Reason.NOT_COMBINABLE, refused)
            assert refusals["B"].message == "Coupon 'B' can't be combined with 'A'."


def world_with(world: World) -> World:
    """Build a separate world with the same history."""
    copied = World(tuple(world.state.campaigns.values()), world.now)
    for coupon in world.state.coupons.values():
        copied.coupon(coupon.code, coupon.campaign_id)
    hold = world.verdicts[-1].outcome == "held"
    copied.redeem("A", hold=hold, hold_seconds=600)
    return copied


def test_max_coupons_counts_existing_and_requested_coupons_together() -> None:
    world = world_of({"a": off(500), "b": off(400, max_coupons=2), "c": off(300), "d": off(200)})
    world.redeem("A")
    verdict = world.redeem("B", "C", "D")
    assert [one.code for one in verdict.accepted] == ["C", "D"]  # more than B's 400
    assert reasons(verdict) == {"B": Reason.BETTER_OFFER_WON}
    small = world_of({"a": off(500), "b": off(600, max_coupons=2), "c": off(300), "d": off(200)})
    small.redeem("A")
    assert [one.code for one in small.redeem("B", "C", "D").accepted] == ["B"]


def test_a_used_up_coupon_is_refused_for_that_before_better_offer_won() -> None:
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


def test_beyond_the_exhaustive_search_all_compatible_coupons_are_combined() -> None:
    world = many()
    codes = [coupon.code for coupon in world.state.coupons.values()]
    assert world.redeem(*codes).discount_minor == sum(100 + number for number in range(MANY))


@pytest.mark.parametrize(("fields", "fits"), [({"group": "g"}, 1), ({"max_coupons": 3}, 3)])
def test_beyond_the_exhaustive_search_the_largest_discounts_are_taken_first(fields: dict[str, Any], fits: int) -> None:
    world = many(**fields)
    codes = [coupon.code for coupon in world.state.coupons.values()]
    verdict = world.redeem(*codes)
    assert [one.code for one in verdict.accepted] == sorted(codes, reverse=True)[:fits]
    assert set(reasons(verdict).values()) == {Reason.BETTER_OFFER_WON}
    assert {one.details["winner"] for one in verdict.refused} == {max(codes)}


def test_beyond_the_exhaustive_search_a_better_exclusive_coupon_still_wins() -> None:
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
def test_without_an_order_incompatible_coupons_are_not_locked(offers: Offers, refused: dict[str, str]) -> None:
    for codes in permutations([name.upper() for name in offers]):
        verdict = world_of(offers).lock(*codes)
        assert {one.code: one.details["refused_with"] for one in verdict.refused} == refused
        assert set(reasons(verdict).values()) <= {Reason.NOT_COMBINABLE}
        assert len(verdict.accepted) == (0 if refused else len(offers))


def test_a_lock_for_an_order_considers_the_existing_coupons_of_that_order() -> None:
    world = world_of({"a": off(500, group="g"), "b": off(100, group="g"), "c": off(100)})
    world.redeem("A")
    refused = world.lock("B", order_id="ORD1").refused[0]
    assert (refused.reason, refused.details) == (Reason.NOT_COMBINABLE, {"with": "A"})
    assert world.lock("C", order_id="ORD1").outcome == "locked"


def test_locking_does_not_make_coupons_combinable() -> None:
    """Coupons that were locked separately are judged together on the order."""
    world = world_of({"a": off(500, group="g"), "b": off(700, group="g")})
    world.lock("A", reference="l1")
    world.lock("B", reference="l2")
    assert world.redeem(lock_reference="l1").discount_minor == 500
    assert only_reason(world.redeem(lock_reference="l2")) == Reason.NOT_COMBINABLE


def test_a_better_coupon_that_another_customer_holds_does_not_win() -> None:
    world = world_of({"a": off(500, group="g"), "b": off(700, group="g")})
    world.lock("B", by=MARY)
    verdict = world.redeem("A", "B", by=JOHN)
    assert [one.code for one in verdict.accepted] == ["A"]
    assert reasons(verdict) == {"B": Reason.LOCKED_ELSEWHERE}


def test_discounts_on_shipping_goods_and_units_add_up() -> None:
    offers: Offers = {
        "a": {"discount": FREE_SHIPPING},
        "b": {"discount": percent("50"), "scope": Scope(max_units=1, most_expensive_first=True)},
        "c": {"discount": fixed(10**6)},
    }
    to = order("ORD1", line("1", 1_000, 2), line("2", 300), shipping_minor=450)
    verdict = world_of(offers).redeem("A", "B", "C", to=to)
    # the fixed discount applies first and takes all goods, so nothing is left for half of a unit
    assert [(one.code, one.discount_minor) for one in verdict.accepted] == [("C", 2_300), ("A", 450)]
    assert reasons(verdict) == {"B": Reason.NO_EFFECT}
