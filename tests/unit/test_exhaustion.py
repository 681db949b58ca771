"""Exhaustion is published with each verdict that takes the last use, and only then."""

from datetime import UTC, datetime
from typing import Any

import pytest

from shared.domain.model.campaign import Cap
from shared.domain.model.verdicts import Verdict
from shared.domain.offers.exhausted import ExhaustedCampaign, ExhaustedCoupon, exhausted
from tests.builders import DAY, JOHN, MARY, NOW, CodeRule, Limits, World, campaign, line, order

TOMORROW = datetime(2026, 11, 23, tzinfo=UTC)


def world_of(limits: Limits, **fields: Any) -> World:
    made = campaign(**{"limits": limits, "stacking": "combinable", "currency": "USD", **fields})
    world = World((made,))
    for code in "ABC":
        world.coupon(code)
    return world


def exhausted_by(world: World, verdict: Verdict) -> list[Any]:
    return list(exhausted(verdict, world.state))


def test_the_last_use_of_a_coupon_is_published_and_again_when_a_restored_use_is_taken() -> None:
    world = world_of(Limits(uses_per_coupon=2))
    expected = [ExhaustedCoupon("id-A", "A", "save10", 2)]
    assert exhausted_by(world, world.redeem("A", to=order("1"))) == []
    assert exhausted_by(world, world.redeem("A", to=order("2"))) == expected
    assert exhausted_by(world, world.redeem("A", to=order("3"))) == []
    assert exhausted_by(world, world.cancel("1", NOW)) == []
    assert exhausted_by(world, world.redeem("A", to=order("3"))) == expected


def test_a_coupon_with_a_single_use_publishes_no_exhaustion() -> None:
    world = world_of(Limits(uses_per_coupon=1))
    assert exhausted_by(world, world.redeem("A")) == []


def test_a_held_use_counts_for_exhaustion_when_it_is_paid() -> None:
    world = world_of(Limits(uses_per_coupon=2, uses_total=1))
    assert exhausted_by(world, world.redeem("A", hold=True, hold_seconds=600)) == []
    assert exhausted_by(world, world.pay()) == [ExhaustedCampaign("save10", "uses_total", "1")]


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        (Limits(1, uses_total=2), [ExhaustedCampaign("save10", "uses_total", "2")]),
        (Limits(1, spend_total_minor=1_900), [ExhaustedCampaign("save10", "spend_total", "19.00", "USD")]),
        (Limits(1, spend_total_minor=1_901), []),
        (Limits(1, caps=(Cap("day", uses=2),)), [ExhaustedCampaign("save10", "caps.day.uses", "2", until=TOMORROW)]),
        (Limits(1, caps=(Cap("day", "customer", uses=2),)), []),
        (
            Limits(1, uses_total=2, caps=(Cap("week", uses=2), Cap("day", uses=3))),
            [
                ExhaustedCampaign("save10", "uses_total", "2"),
                ExhaustedCampaign("save10", "caps.week.uses", "2", until=TOMORROW),
            ],
        ),
    ],
)
def test_a_request_that_reaches_a_campaigns_limit_publishes_it_once(limits: Limits, expected: list[Any]) -> None:
    world = world_of(limits)
    assert exhausted_by(world, world.redeem("A", "B")) == expected
    assert exhausted_by(world, world.redeem("C", to=order("2"), by=MARY)) == []


def test_the_last_issued_coupon_publishes_exhaustion() -> None:
    world = world_of(Limits(1, coupons_total=2, caps=(Cap("month", coupons=2),)))
    until = datetime(2026, 12, 1, tzinfo=UTC)
    assert exhausted_by(world, world.issue("save10")) == []
    assert exhausted_by(world, world.issue("save10", to=MARY)) == [
        ExhaustedCampaign("save10", "coupons_total", "2"),
        ExhaustedCampaign("save10", "caps.month.coupons", "2", until=until),
    ]
    assert exhausted_by(world, world.issue("save10", to=JOHN)) == []


def test_a_period_is_published_even_if_its_last_use_is_late() -> None:
    world = world_of(Limits(1, caps=(Cap("day", uses=1),)))
    world.redeem("A", hold=True, hold_seconds=2 * 86_400)
    world.now += DAY
    assert exhausted_by(world, world.pay()) == [ExhaustedCampaign("save10", "caps.day.uses", "1", until=TOMORROW)]
    assert [one.until for one in exhausted_by(world, world.redeem("B", to=order("2"), at=world.now))] == [
        TOMORROW + DAY
    ]


def test_a_limit_lowered_below_its_uses_is_published_when_its_last_use_is_taken_again() -> None:
    world = world_of(Limits(1, uses_total=3))
    world.redeem("A", to=order("1"))
    world.redeem("B", to=order("2"))
    world.state.campaigns["save10"] = campaign(limits=Limits(1, uses_total=1), currency="USD")
    assert exhausted_by(world, world.cancel("1", NOW)) == []
    assert exhausted_by(world, world.cancel("2", NOW)) == []
    assert len(exhausted_by(world, world.redeem("C", to=order("3", line("1", 500))))) == 1


def test_an_exhausted_shared_code_is_published_with_its_code() -> None:
    made = campaign(limits=Limits(uses_per_coupon=2), code=CodeRule(shared_code="ALL"), stacking="combinable")
    world = World((made,))
    world.coupon("ALL")
    world.redeem("ALL", to=order("1"))
    assert [one.code for one in exhausted_by(world, world.redeem("ALL", to=order("2"), by=MARY))] == ["ALL"]
