"""Work is limited: a request above the limit is refused at once on every channel, with advice."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.domain.decide import decide
from shared.domain.explain import explain
from shared.domain.model.campaign import Campaign, Condition
from shared.domain.model.commands import LockCoupons
from shared.domain.model.order import Order
from shared.domain.model.order_commands import PayOrder, RedeemCoupons
from shared.domain.model.reasons import Reason
from shared.domain.model.verdicts import RefusedCoupon, Verdict
from shared.domain.offers import conditions, resolve, rules, work
from shared.domain.offers.work import MAX_WORK, split_place, work_of
from shared.ledger.conditions import REDEMPTION_VARIABLES, compile_condition
from tests.builders import JOHN, NOW, Scope, World, campaign, line, order, percent, reasons

MANY_LINES = order("ORD1", *[line(str(n), product_id=f"p{n % 7}") for n in range(10_000)])
SCOPES = [Scope(), Scope(frozenset({"p1"})), Scope(excluded_product_ids=frozenset({"p1"}))]


def condition(expression: str, name: str = "one") -> Condition:
    compiled = compile_condition(expression, REDEMPTION_VARIABLES)
    return Condition(
        name, expression, compiled, compiled.of_request, work=compiled.work if compiled.has_rounds else None
    )


def listing(number: int) -> list[Condition]:
    """Build conditions that list all lines in a way that isn't computed in parts."""
    return [condition(f"order.lines.map(x, x.quantity + {n}).size() > [{n}].map(x, x).size()") for n in range(number)]


def world_of(*made: Campaign) -> World:
    world = World(made)
    for one in made:
        world.coupon(one.campaign_id.upper(), one.campaign_id)
    return world


def scattered(number: int) -> World:
    """Build coupons on different lines, with the largest applied last: the most work for a choice."""
    return world_of(
        *[
            campaign(f"c{n}", discount=percent(str(n + 1)), scope=SCOPES[n % 3], policy="combinable", priority=-n)
            for n in range(number)
        ]
    )


def redemption(world: World, to: Order, *codes: str, **fields: Any) -> RedeemCoupons:
    world.state.customers["x"] = "customer-john"
    return RedeemCoupons("x", to, codes or tuple(one.code for one in world.state.coupons.values()), JOHN, **fields)


def redeem(world: World, to: Order, *codes: str, **fields: Any) -> Verdict:
    return decide(redemption(world, to, *codes, **fields), world.state, NOW)


def test_a_request_above_the_limit_is_refused_as_a_whole_with_advice() -> None:
    world = scattered(99)
    verdict = redeem(world, MANY_LINES, *[one.code for one in world.state.coupons.values()], "NOWHERE")
    assert verdict.outcome == "refused"
    assert len(verdict.refused) == 100
    assert set(reasons(verdict).values()) == {Reason.REQUEST_TOO_LARGE}
    one = verdict.refused[0]
    assert (one.details["codes"], one.details["lines"]) == ("100", "10000")
    assert one.details["limit"] == str(MAX_WORK)
    assert one.message.startswith("100 codes on 10,000 lines would take ")
    assert one.message.endswith("name fewer codes, or send the order with fewer lines.")


def test_a_refusal_reads_no_line_and_evaluates_no_condition(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail_if_called(*_: Any) -> Any:
        raise AssertionError("a rule was judged")

    world = scattered(100)
    for module, name in ((resolve, "eligible_lines"), (conditions, "offer_values"), (rules, "resolve")):
        monkeypatch.setattr(module, name, fail_if_called)
    assert redeem(world, MANY_LINES).refused[0].reason == Reason.REQUEST_TOO_LARGE


def test_a_hundred_codes_for_the_same_ten_thousand_lines_are_decided() -> None:
    world = world_of(*[campaign(f"c{n}", discount=percent("1"), policy="combinable", priority=n) for n in range(100)])
    verdict = redeem(world, MANY_LINES)
    assert (len(verdict.accepted), verdict.refused) == (100, ())
    assert sum(part for one in verdict.accepted for _, part in one.lines) == verdict.discount_minor


def test_ten_codes_on_ten_thousand_lines_are_decided_with_any_scopes() -> None:
    assert work_of(redemption(scattered(10), MANY_LINES), scattered(10).state, NOW) <= MAX_WORK


def test_thirty_codes_on_two_thousand_lines_with_five_conditions_are_decided() -> None:
    lines = replace(MANY_LINES, lines=MANY_LINES.lines[:2_000])
    looks = [condition(f"order.lines.exists(line, line.quantity < {n + 2})", f"look-{n}") for n in range(150)]
    made = list(scattered(30).state.campaigns.values())
    world = world_of(
        *[
            replace(one, eligibility=replace(one.eligibility, conditions=tuple(looks[n * 5 : n * 5 + 5])))
            for n, one in enumerate(made)
        ]
    )
    assert work_of(redemption(world, lines), world.state, NOW) < MAX_WORK / 2
    assert Reason.REQUEST_TOO_LARGE not in reasons(redeem(world, lines)).values()


@pytest.mark.parametrize(
    "expression",
    [
        "order.lines.exists(line, line.quantity > 0)",
        "order.lines.filter(line, line.quantity > 0).size() > 0",
        "order.lines.filter(line, line.quantity > 0).map(line, line.quantity).size() > 0",
    ],
)
def test_one_coupon_with_conditions_on_all_lines_is_within_the_limit(expression: str) -> None:
    world = world_of(campaign(conditions=tuple([condition(expression, f"{n}") for n in range(20)])))
    assert (
        work_of(redemption(world, replace(MANY_LINES, lines=MANY_LINES.lines[:4_900])), world.state, NOW)
        < MAX_WORK / 10
    )


def test_many_conditions_that_list_many_lines_are_above_the_limit() -> None:
    lists = [
        condition(f"order.lines.map(line, line.quantity + {n}).size() > [{n}].map(x, x).size()") for n in range(20)
    ]
    world = world_of(campaign(conditions=tuple(lists)))
    assert reasons(redeem(world, MANY_LINES)) == {"SAVE10": Reason.REQUEST_TOO_LARGE}
    few = replace(MANY_LINES, lines=MANY_LINES.lines[:500])
    assert redeem(world, few).outcome == "redeemed"


def test_the_same_condition_counts_and_is_evaluated_once_per_request() -> None:
    calls: list[Any] = []
    plain = condition("order.lines.exists(line, line.quantity > 0)")

    def counting(values: Any) -> bool:
        calls.append(values)
        return plain.is_true(values)

    counted = replace(plain, is_true=counting)
    worlds = [
        world_of(*[campaign(f"c{n}", conditions=(counted,), policy="combinable") for n in range(number)])
        for number in (1, 8)
    ]
    few = order("ORD1", *[line(str(n)) for n in range(50)])
    works = [work_of(redemption(world, few), world.state, NOW) for world in worlds]
    assert works[1] < works[0] + 8 * (work.CODE + 50 * work.LINE) + 2**8 * work.STEP
    assert redeem(worlds[1], few).outcome == "redeemed"
    assert len(calls) == 1


def test_a_condition_on_the_coupon_is_evaluated_for_each() -> None:
    own = condition('coupon.code == "C0" && order.lines.exists(line, line.quantity > 0)')
    assert not own.of_request
    world = world_of(*[campaign(f"c{n}", conditions=(own,), policy="combinable") for n in range(3)])
    verdict = redeem(world, order())
    assert [one.code for one in verdict.accepted] == ["C0"]
    assert set(reasons(verdict).values()) == {Reason.CONDITION_FAILED}


def test_a_lock_and_an_explanation_are_refused_like_a_redemption() -> None:
    world = scattered(100)
    codes = tuple(one.code for one in world.state.coupons.values())
    world.state.customers["lock"] = "customer-john"
    refused = decide(LockCoupons("lock", "ref", codes, 60, order=MANY_LINES), world.state, NOW)
    assert set(reasons(refused).values()) == {Reason.REQUEST_TOO_LARGE}

    lists = [
        condition(f"order.lines.map(line, line.quantity + {n}).size() > [{n}].map(x, x).size()") for n in range(20)
    ]
    heavy = world_of(campaign(conditions=tuple(lists)))
    explanation = explain(redemption(heavy, MANY_LINES), heavy.state, NOW)
    assert [one.reason for one in explanation.findings if one.outcome == "refused"] == [Reason.REQUEST_TOO_LARGE]
    assert explanation.verdict.refused[0].reason == Reason.REQUEST_TOO_LARGE


def test_a_duplicate_order_is_unchanged_whatever_its_size() -> None:
    world = scattered(100)
    few = replace(MANY_LINES, lines=MANY_LINES.lines[:1], amount_minor=MANY_LINES.lines[0].amount_minor)
    first = world.redeem(*[one.code for one in world.state.coupons.values()][:10], to=few)
    again = world.redeem(*[one.code for one in first.accepted], to=replace(MANY_LINES, amount_minor=10**8))
    assert not again.refused


def test_coupons_of_a_lock_count_like_named_ones() -> None:
    world = scattered(100)
    codes = [one.code for one in world.state.coupons.values()]
    for place in (0, 50):
        assert world.lock(*codes[place : place + 50], reference=f"lock-{place}").outcome == "locked"
    verdict = redeem(world, MANY_LINES, *codes[50:], lock_reference="lock-0")
    assert {one.reason for one in verdict.refused} == {Reason.REQUEST_TOO_LARGE}
    assert len(verdict.refused) == 100


def test_every_other_command_takes_little() -> None:
    world = world_of(campaign())
    assert work_of(PayOrder("x", "nowhere"), world.state, NOW) == work.CODE


def test_exactly_the_limit_is_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    world = scattered(4)
    taken = work_of(redemption(world, order()), world.state, NOW)
    monkeypatch.setattr(work, "MAX_WORK", taken)
    assert redeem(world, order()).outcome == "redeemed"
    monkeypatch.setattr(work, "MAX_WORK", taken - 1)
    refused: tuple[RefusedCoupon, ...] = redeem(world, order()).refused
    assert refused[0].details["work"] == str(taken)


@settings(max_examples=200)
@given(st.lists(st.integers(0, 100), max_size=20), st.integers(1, 150))
def test_a_batch_is_split_where_its_work_would_exceed_the_limit(works: list[int], limit: int) -> None:
    place = split_place(works, limit)
    assert place >= min(1, len(works))
    assert sum(works[:place]) <= limit or place == 1
    assert place == len(works) or sum(works[: place + 1]) > limit
