"""Explanations agree with decisions in any state: a few named cases and many random ones."""

import copy
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.domain.decide import decide, evolve
from shared.domain.explain import explain
from shared.domain.model.campaign import Campaign
from shared.domain.model.commands import LockCoupons
from shared.domain.model.coupon import code_key
from shared.domain.model.order_commands import RedeemCoupons
from shared.domain.model.reasons import Reason
from tests.builders import (
    MARY,
    MINUTE,
    NOW,
    Limits,
    World,
    campaign,
    line,
    order,
)
from tests.unit.decide_strategies import CODES, Step, locks, redeems, steps, worlds
from tests.unit.test_decide_properties import numbered, over, prepared, start
from tests.unit.test_explaining import explained, explained_alone, found, refusals, world_of


def test_a_lock_for_a_redeemed_coupon_or_with_a_taken_reference_is_refused() -> None:
    world = world_of({"uses_limit": None})
    world.redeem("SAVE10")
    assert refusals(explained_alone(world, order_id="ORD1"))[0] == ("order", Reason.ALREADY_REDEEMED)
    world.lock("SAVE10", reference="reference", by=MARY)
    assert refusals(explained_alone(world)) == [("lock_reference", Reason.WRONG_CUSTOMER)]


def hold(world: World) -> World:
    world.redeem("SAVE10", hold=True, hold_seconds=60)
    return world


def redeemed(world: World) -> World:
    world.redeem("SAVE10")
    return world


@pytest.mark.parametrize(
    ("world", "message"),
    [
        (
            redeemed(world_of(status="active")),
            "Order 'ORD1' has redeemed it already, so its rules aren't checked again.",
        ),
        (hold(world_of()), "Order 'ORD1' holds it until its payment already, so its rules aren't checked again."),
    ],
)
def test_a_coupon_that_the_order_already_has_is_not_judged_further(world: World, message: str) -> None:
    world.state.campaigns["save10"] = replace(world.state.campaigns["save10"], status="paused")
    explanation = explained(world)

    assert [one.outcome for one in explanation.findings] == ["holds", "holds"]
    assert found(explanation, "order").message == message
    assert explanation.verdict.outcome == "unchanged"


@pytest.mark.parametrize(
    ("policy", "outcome", "reason", "saw"),
    [
        ("combinable", "holds", None, {"beside": "FIRST"}),
        ("exclusive", "refused", Reason.NOT_COMBINABLE, {"with": "FIRST"}),
    ],
)
def test_existing_coupons_of_the_order_are_considered(
    policy: str, outcome: str, reason: Reason | None, saw: dict[str, str]
) -> None:
    world = World((campaign(stacking=policy), campaign("first", stacking="combinable")))
    world.coupon()
    world.coupon("FIRST", "first")
    world.redeem("FIRST")
    stacking = found(explained(world), "stacking")

    assert (stacking.outcome, stacking.reason, dict(stacking.saw)) == (outcome, reason, saw)


def test_an_order_returned_in_parts_before_it_arrived_is_a_returned_order() -> None:
    world = world_of()
    world.part(("1", 1), at=NOW + MINUTE)

    assert refusals(explained(world)) == [("order", Reason.ORDER_MISMATCH)]


def test_a_later_order_of_a_subscription_is_judged_only_by_rules_that_the_first_use_did_not_fix() -> None:
    world = world_of(recurring=True, limits=Limits(1, uses_per_customer=1), currency="USD", min_order_minor=5_000)
    world.redeem("SAVE10", to=order(subscription_id="sub", cycle=1))
    world.state.subscriptions["sub", "id-SAVE10"] = 1
    world.state.campaigns["save10"] = replace(world.state.campaigns["save10"], status="paused")
    later = order("ORD2", line(unit_minor=4_000), subscription_id="sub", cycle=2)
    explanation = explained(world, to=later)

    assert refusals(explanation) == [("eligibility.min_order_amount", Reason.BELOW_MINIMUM)]
    assert found(explanation, "status").outcome == "not judged"
    assert not [one for one in explanation.findings if one.field.startswith("limits.")]


@pytest.mark.parametrize("codes", [(), ("A", "B")])
def test_one_code_is_explained_at_a_time(codes: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="one code"):
        explain(RedeemCoupons("c", order(), codes), World().state, NOW)


questions = st.tuples(st.one_of(redeems, locks), st.sampled_from((*CODES, *CODES, "nope"))).map(
    lambda made: (
        replace(made[0], codes=(made[1],), lock_reference=None, command_id="question")
        if isinstance(made[0], RedeemCoupons)
        else replace(made[0], codes=(made[1],), command_id="question")
    )
)


@given(worlds, steps, questions)
@settings(max_examples=300)
def test_the_first_finding_that_refuses_has_the_reason_of_the_decision(
    made: tuple[Campaign, ...], given: list[Step], question: RedeemCoupons | LockCoupons
) -> None:
    records = start(made)
    now = NOW
    for now, command in numbered(given):
        for each in (*over(records.state(), now), command):
            state = records.state()
            prepared(state, each)
            records.record(decide(each, state, now))
    state = records.state()
    for expiry in over(state, now):
        evolve(state, decide(expiry, state, now))
    prepared(state, question)
    before = copy.deepcopy(state)

    explanation = explain(question, state, now)

    assert state == before, "explaining changed the state"
    verdict = explanation.verdict
    assert verdict == decide(question, before, now)
    refused = [one for one in explanation.findings if one.outcome == "refused"]
    asked = state.coupon_ids.get(code_key(question.codes[0]))
    # On a changed basket another coupon may be refused.
    of_code = [one for one in verdict.refused if one.coupon_id in (None, asked)]
    assert [(one.reason, one.message) for one in refused[:1]] == [(one.reason, one.message) for one in of_code]
    assert all((one.reason is None) == (one.outcome != "refused") for one in explanation.findings)
    assert all(one.message.endswith(".") for one in refused)
