"""Several coupons in one request: which are used, in what order, and why the others are refused."""

from itertools import permutations

import pytest

from shared.domain.model.reasons import Reason
from tests.builders import Limits, Scope, World, campaign, fixed, line, order, percent, reasons

SHOES = Scope(product_ids=frozenset({"shoes"}))


def world_of(**offers: dict[str, object]) -> World:
    """Build a campaign and a coupon with its name for each offer."""
    world = World(tuple(campaign(name, **fields) for name, fields in offers.items()))
    for name in offers:
        world.coupon(name.upper(), name)
    return world


@pytest.mark.parametrize(
    ("offers", "taken", "refused"),
    [
        # two exclusive coupons: the better one
        (
            {"a": {"discount": fixed(500)}, "b": {"discount": fixed(700)}},
            {"B": 700},
            {"A": Reason.BETTER_OFFER_WON},
        ),
        # one exclusive coupon against two combinable ones
        (
            {
                "a": {"discount": fixed(1_000)},
                "b": {"discount": fixed(600), "stacking": "combinable"},
                "c": {"discount": fixed(500), "stacking": "combinable"},
            },
            {"B": 600, "C": 500},
            {"A": Reason.BETTER_OFFER_WON},
        ),
        (
            {
                "a": {"discount": fixed(1_200)},
                "b": {"discount": fixed(600), "stacking": "combinable"},
                "c": {"discount": fixed(500), "stacking": "combinable"},
            },
            {"A": 1_200},
            {"B": Reason.BETTER_OFFER_WON, "C": Reason.BETTER_OFFER_WON},
        ),
        # equal discounts: fewer coupons
        (
            {
                "a": {"discount": fixed(600), "stacking": "combinable", "priority": 1},
                "b": {"discount": fixed(500), "stacking": "combinable", "priority": 1},
                "c": {"discount": fixed(1_100)},
            },
            {"C": 1_100},
            {"A": Reason.BETTER_OFFER_WON, "B": Reason.BETTER_OFFER_WON},
        ),
        # equal discounts and equal numbers: the order of application
        ({"b": {"discount": fixed(500)}, "a": {"discount": fixed(500)}}, {"A": 500}, {"B": Reason.BETTER_OFFER_WON}),
        (
            {"b": {"discount": fixed(500), "priority": 1}, "a": {"discount": fixed(500)}},
            {"B": 500},
            {"A": Reason.BETTER_OFFER_WON},
        ),
        # a coupon without an effect by itself is refused for that, not as a losing offer
        ({"a": {"discount": fixed(500)}, "b": {"discount": fixed(0)}}, {"A": 500}, {"B": Reason.NO_EFFECT}),
        # together, each on the rest that the previous ones left
        (
            {
                "a": {"discount": percent("50"), "stacking": "combinable"},
                "b": {"discount": fixed(2_000), "stacking": "combinable"},
            },
            {"A": 5_000, "B": 2_000},
            {},
        ),
        (
            {
                "a": {"discount": percent("50"), "stacking": "combinable"},
                "b": {"discount": fixed(2_000), "stacking": "combinable", "priority": 1},
            },
            {"B": 2_000, "A": 4_000},
            {},
        ),
        # nothing is left for the last one, so its use is kept
        (
            {
                "a": {"discount": percent("100"), "stacking": "combinable"},
                "b": {"discount": fixed(2_000), "stacking": "combinable"},
            },
            {"A": 10_000},
            {"B": Reason.NO_EFFECT},
        ),
    ],
)
def test_the_best_offer_wins(
    offers: dict[str, dict[str, object]], taken: dict[str, int], refused: dict[str, Reason]
) -> None:
    verdict = world_of(**offers).redeem(*[name.upper() for name in offers])
    assert {one.code: one.discount_minor for one in verdict.accepted} == taken
    assert [one.code for one in verdict.accepted] == list(taken)
    assert reasons(verdict) == refused
    assert verdict.discount_minor == sum(taken.values())
    assert verdict.requested_count == len(offers)


def test_the_losing_coupon_names_the_winner() -> None:
    verdict = world_of(a={"discount": fixed(500)}, b={"discount": fixed(700)}).redeem("a", "b")
    assert verdict.refused[0].details == {"winner": "B"}


def test_combinable_coupons_share_the_rest_of_their_lines() -> None:
    world = world_of(
        shoes={"discount": percent("50"), "scope": SHOES, "stacking": "combinable", "priority": 2},
        all={"discount": percent("10"), "stacking": "combinable", "priority": 1},
        more={"discount": fixed(3_000), "scope": SHOES, "stacking": "combinable"},
    )
    verdict = world.redeem(
        "ALL", "MORE", "SHOES", to=order("ORD1", line("1", 8_000, product_id="shoes"), line("2", 2_000))
    )
    assert [(one.code, one.lines) for one in verdict.accepted] == [
        ("SHOES", (("1", 4_000),)),
        ("ALL", (("1", 400), ("2", 200))),
        ("MORE", (("1", 3_000),)),
    ]


def test_coupons_apply_by_priority_then_larger_discount_then_campaign_then_code() -> None:
    same = {"discount": fixed(100), "stacking": "combinable"}
    world = world_of(d=same, c=same, b={**same, "discount": fixed(200)}, a={**same, "priority": -1})
    world.coupon("C0", "c")
    verdict = world.redeem("A", "B", "C", "C0", "D")
    assert [one.code for one in verdict.accepted] == ["B", "C", "C0", "D", "A"]


@pytest.mark.parametrize("atomic", [False, True])
def test_the_order_of_codes_changes_nothing(atomic: bool) -> None:
    offers: dict[str, dict[str, object]] = {
        "a": {"discount": fixed(900)},
        "b": {"discount": fixed(600), "stacking": "combinable", "limits": Limits(1, uses_per_customer=1)},
        "c": {"discount": fixed(500), "stacking": "combinable"},
    }
    verdicts = set()
    for codes in permutations(["A", "B", "C", "B2", "NOPE", "NIX"]):
        world = world_of(**offers)
        world.coupon("B2", "b")
        verdict = world.redeem(*codes, atomic=atomic)
        verdicts.add(repr(verdict))
    assert len(verdicts) == 1


def test_an_atomic_request_refuses_a_winner_together_with_its_loser() -> None:
    verdict = world_of(a={"discount": fixed(500)}, b={"discount": fixed(700)}).redeem("A", "B", atomic=True)
    assert reasons(verdict) == {"A": Reason.BETTER_OFFER_WON, "B": Reason.NOT_COMBINABLE}
    assert verdict.entries == ()


def test_without_an_order_exclusive_coupons_are_not_locked_together() -> None:
    world = world_of(a={}, b={"stacking": "combinable"}, c={"stacking": "combinable"})
    verdict = world.lock("A", "B")
    assert reasons(verdict) == {"A": Reason.NOT_COMBINABLE, "B": Reason.NOT_COMBINABLE}
    assert [one.details for one in verdict.refused] == [{"refused_with": "B"}, {"refused_with": "A"}]
    assert world.lock("C", "B").outcome == "locked"
