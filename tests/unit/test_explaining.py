"""Explanations: every rule for a code, with the numbers it saw. One row per case."""

import copy
from dataclasses import replace
from typing import Any

import pytest

from shared.domain.decide import decide
from shared.domain.explain import Explanation, Finding, explain
from shared.domain.model.campaign import Cap, Condition, Hours, Window
from shared.domain.model.commands import LockCoupons
from shared.domain.model.customer import Customer
from shared.domain.model.order import Order
from shared.domain.model.order_commands import RedeemCoupons
from shared.domain.model.reasons import Reason
from shared.domain.model.state import Meter, OrderState
from tests.builders import (
    DAY,
    JOHN,
    MARY,
    MINUTE,
    NOW,
    Limits,
    Scope,
    World,
    campaign,
    fixed,
    key_of,
    order,
    window,
)

SHOES = Scope(product_ids=frozenset({"shoes"}))


def world_of(coupon: dict[str, Any] | None = None, **fields: Any) -> World:
    """Build a world of one campaign with one coupon SAVE10."""
    world = World((campaign(**fields),))
    world.coupon(**(coupon or {}))
    return world


def explained(
    world: World, code: str = "SAVE10", *, to: Order | None = None, by: Customer | None = JOHN, **fields: Any
) -> Explanation:
    """Explain the code for an order. Fail if the state changed or the verdict differs from that of `decide`."""
    command = RedeemCoupons("c", to or order(), (code,), by, at=NOW, **fields)
    return _explained(world, command)


def explained_alone(world: World, *, by: Customer | None = JOHN, **fields: Any) -> Explanation:
    """Explain SAVE10 without an order."""
    return _explained(world, LockCoupons("c", "reference", ("SAVE10",), 1, by, **fields))


def _explained(world: World, command: RedeemCoupons | LockCoupons) -> Explanation:
    world.state.customers["c"] = key_of(command.customer)
    before = copy.deepcopy(world.state)
    explanation = explain(command, world.state, world.now)
    assert world.state == before, "explaining changed the state"
    assert explanation.verdict == decide(command, world.state, world.now)
    return explanation


def found(explanation: Explanation, field: str) -> Finding:
    [finding] = [one for one in explanation.findings if one.field == field]
    return finding


def refusals(explanation: Explanation) -> list[tuple[str, Reason | None]]:
    return [(one.field, one.reason) for one in explanation.findings if one.outcome == "refused"]


def test_a_good_code_has_a_finding_for_every_rule_in_the_order_of_reasons() -> None:
    explanation = explained(world_of(currency="USD", min_order_minor=5_000))

    assert [(one.field, one.outcome) for one in explanation.findings] == [
        ("code", "holds"),
        ("coupon", "holds"),
        ("status", "holds"),
        ("window.starts_at", "holds"),
        ("window.ends_at", "holds"),
        ("window.hours", "not asked"),
        ("eligibility.channels", "not asked"),
        ("eligibility.holder_only", "not asked"),
        ("customer", "not asked"),
        ("eligibility.segments_any", "not asked"),
        ("eligibility.segments_all", "not asked"),
        ("eligibility.segments_none", "not asked"),
        ("eligibility.first_order_only", "not asked"),
        ("order", "holds"),
        ("validation_code", "not asked"),
        ("eligibility.currency", "holds"),
        ("eligibility.min_order_amount", "holds"),
        ("eligibility.min_quantity", "not asked"),
        ("applies_to", "not asked"),
        ("eligibility.conditions", "not asked"),
        ("recurring_cycles", "not asked"),
        ("limits.uses_per_coupon", "holds"),
        ("stacking", "holds"),
        ("discount", "holds"),
    ]
    assert all(one.message or one.saw for one in explanation.findings if one.outcome == "holds")
    assert found(explanation, "discount").saw == (("discount", "10.00"), ("currency", "USD"))
    assert explanation.verdict.outcome == "redeemed"


def with_order(world: World, **fields: Any) -> World:
    world.state.orders["ORD1"] = OrderState("ORD1", **fields)
    return world


def with_meter(world: World, customer: Customer | None = None, **numbers: int) -> World:
    world.state.meters["save10", key_of(customer)] = Meter(**numbers)
    return world


def with_period(world: World, customer: Customer | None = None, **numbers: int) -> World:
    world.state.period_meters["save10", key_of(customer), "day 2026-11-22"] = Meter(**numbers)
    return world


def held_by(world: World, by: Customer | None) -> World:
    world.lock("SAVE10", by=by, reference="theirs")
    return world


def ordered_before(world: World) -> World:
    world.state.orders_of["customer-john"] = {"ORD0"}
    return world


HOURS = Window(hours=(Hours(540, 1_020, frozenset({0, 1})),))  # NOW is a Sunday, 09:30
NEVER = Condition("gold", 'order.metadata.tier == "gold"', lambda _: False)


@pytest.mark.parametrize(
    ("world", "fields", "refused", "saw"),
    [
        (world_of(), {"code": " nope "}, [("code", Reason.NOT_FOUND)], {}),
        (world_of({"status": "pooled"}), {}, [("code", Reason.NOT_FOUND)], {}),
        (world_of({"campaign_id": "gone"}), {}, [("code", Reason.NOT_FOUND)], {}),
        (world_of({"status": "voided"}), {}, [("coupon", Reason.VOIDED)], {}),
        (world_of(status="paused"), {}, [("status", Reason.CAMPAIGN_INACTIVE)], {"status": "paused"}),
        (
            world_of(window=window(MINUTE)),
            {},
            [("window.starts_at", Reason.NOT_STARTED)],
            {"starts_at": "2026-11-22T09:31:00+00:00", "at": "2026-11-22T09:30:00+00:00"},
        ),
        (
            world_of({"ends_at": NOW}, window=window(None, DAY)),
            {},
            [("window.ends_at", Reason.EXPIRED)],
            {"ends_at": "2026-11-22T09:30:00+00:00", "at": "2026-11-22T09:30:00+00:00"},
        ),
        (
            world_of(window=HOURS),
            {},
            [("window.hours", Reason.OUTSIDE_HOURS)],
            {"hours": "mon, tue 09:00-17:00 (UTC)", "local_time": "2026-11-22T09:30:00+00:00"},
        ),
        (
            world_of(channels=frozenset({"web", "app"})),
            {"to": order(channel="store")},
            [("eligibility.channels", Reason.CHANNEL_MISMATCH)],
            {"channel": "store", "expected": "app, web"},
        ),
        (
            world_of({"holder_key": key_of(MARY)}, holder_only=True),
            {},
            [("eligibility.holder_only", Reason.WRONG_CUSTOMER)],
            {},
        ),
        (world_of(holder_only=True), {"by": None}, [("customer", Reason.CUSTOMER_REQUIRED)], {}),
        (
            world_of(segments_any=frozenset({"vip"})),
            {"by": Customer("john", segments=("new", "web"))},
            [("eligibility.segments_any", Reason.SEGMENT_MISMATCH)],
            {"segments_any": "vip", "segments": "new, web"},
        ),
        (
            ordered_before(world_of(first_order_only=True)),
            {},
            [("eligibility.first_order_only", Reason.NOT_FIRST_ORDER)],
            {"order_id": "ORD0"},
        ),
        (
            with_order(world_of(), status="cancelled", cancelled_at=NOW),
            {},
            [("order", Reason.ORDER_MISMATCH)],
            {"cancelled_at": "2026-11-22T09:30:00+00:00"},
        ),
        (world_of(validation_code="1234"), {}, [("validation_code", Reason.VALIDATION_CODE_MISMATCH)], {}),
        (
            world_of(currency="EUR", min_order_minor=1_000_000),
            {},
            [("eligibility.currency", Reason.CURRENCY_MISMATCH)],
            {"currency": "USD", "expected": "EUR"},
        ),
        (
            world_of(currency="USD", min_order_minor=12_000, scope=SHOES),
            {},
            [("eligibility.min_order_amount", Reason.BELOW_MINIMUM), ("applies_to", Reason.NO_ELIGIBLE_PRODUCT)],
            {"minimum": "120.00", "amount": "100.00"},
        ),
        (
            world_of(min_quantity=3),
            {},
            [("eligibility.min_quantity", Reason.BELOW_MINIMUM)],
            {"minimum_quantity": "3", "quantity": "1"},
        ),
        (
            world_of(scope=SHOES),
            {},
            [("applies_to", Reason.NO_ELIGIBLE_PRODUCT)],
            {"lines": "1", "eligible_lines": "0"},
        ),
        (
            world_of(conditions=(NEVER,)),
            {},
            [("eligibility.conditions", Reason.CONDITION_FAILED)],
            {"condition": "gold", "expression": NEVER.expression},
        ),
        (
            world_of({"used": 3, "uses_limit": 3}),
            {},
            [("limits.uses_per_coupon", Reason.EXHAUSTED)],
            {"limit": "3", "used": "3", "held": "0"},
        ),
        (
            with_meter(world_of(limits=Limits(None, uses_per_customer=2)), JOHN, used=1, held=1),
            {},
            [("limits.uses_per_customer", Reason.CUSTOMER_LIMIT)],
            {"limit": "2", "used": "1", "held": "1"},
        ),
        (
            with_meter(world_of(limits=Limits(None, uses_total=5)), used=5),
            {},
            [("limits.uses_total", Reason.CAMPAIGN_EXHAUSTED)],
            {"limit": "5", "used": "5", "held": "0"},
        ),
        (
            with_meter(world_of(limits=Limits(None, uses_total=5)), used=4, held=1),
            {},
            [("limits", Reason.LOCKED_ELSEWHERE)],
            {},
        ),
        (
            with_meter(world_of(limits=Limits(None, spend_total_minor=5_000), currency="USD"), used_minor=4_500),
            {},
            [("limits.spend_total", Reason.BUDGET_EXCEEDED)],
            {"budget": "50.00", "spent": "45.00", "held": "0.00", "discount": "10.00"},
        ),
        (
            with_meter(world_of(limits=Limits(None, spend_total_minor=5_000), currency="USD"), held_minor=4_500),
            {},
            [("limits", Reason.LOCKED_ELSEWHERE)],
            {},
        ),
        (held_by(world_of(), MARY), {}, [("limits", Reason.LOCKED_ELSEWHERE)], {"held": "1"}),
        (world_of(), {"to": order(amount_minor=0)}, [("discount", Reason.NO_EFFECT)], {}),
    ],
)
def test_a_rule_that_refuses_has_a_reason_and_the_numbers_it_saw(
    world: World, fields: dict[str, Any], refused: list[tuple[str, Reason]], saw: dict[str, str]
) -> None:
    explanation = explained(world, **fields)

    assert refusals(explanation) == refused
    first = next(one for one in explanation.findings if one.outcome == "refused")
    assert dict(first.saw) == saw
    refused = explanation.verdict.refused[0]
    assert (first.reason, first.message) == (refused.reason, refused.message)


def test_all_of_several_refusals_are_reported() -> None:
    world = world_of(
        {"holder_key": key_of(MARY), "used": 1}, status="paused", holder_only=True, window=window(None, -DAY)
    )

    assert refusals(explained(world)) == [
        ("status", Reason.CAMPAIGN_INACTIVE),
        ("window.ends_at", Reason.EXPIRED),
        ("eligibility.holder_only", Reason.WRONG_CUSTOMER),
        ("limits.uses_per_coupon", Reason.EXHAUSTED),
    ]


def test_each_cap_has_a_separate_finding_with_its_numbers() -> None:
    caps = (
        Cap("month", "customer", 9),
        Cap("day", "customer", 2),
        Cap("day", "campaign", 5),
        Cap("week", "campaign", 7),
        Cap("week", "campaign", None, 3),  # a cap on issued coupons doesn't apply to uses
    )
    world = with_period(with_period(world_of(limits=Limits(None, caps=caps)), JOHN, used=1, held=1), used=5)
    caps = [finding for finding in explained(world).findings if finding.field == "limits.caps"]

    assert [(dict(one.saw), one.reason) for one in caps] == [
        ({"each": "customer", "period": "month 2026-11-01", "limit": "9", "used": "0", "held": "0"}, None),
        (
            {"each": "customer", "period": "day 2026-11-22", "limit": "2", "used": "1", "held": "1"},
            Reason.CUSTOMER_LIMIT,
        ),
        (
            {"each": "campaign", "period": "day 2026-11-22", "limit": "5", "used": "5", "held": "0"},
            Reason.CAMPAIGN_EXHAUSTED,
        ),
        ({"each": "campaign", "period": "week 2026-11-16", "limit": "7", "used": "0", "held": "0"}, None),
    ]


def test_an_explanation_without_a_customer_has_no_facts_of_a_customer() -> None:
    limits = Limits(None, uses_per_customer=1, caps=(Cap("day", "customer", 2),))
    world = with_meter(world_of(limits=limits, segments_any=frozenset({"vip"}), first_order_only=True), used=7)
    explanation = explained(world, by=None)

    assert refusals(explanation) == [("customer", Reason.CUSTOMER_REQUIRED)]
    assert found(explanation, "eligibility.segments_any").outcome == "not judged"
    assert found(explanation, "eligibility.first_order_only").outcome == "not judged"
    assert not [one for one in explanation.findings if one.field.startswith("limits.")]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"holder_only": True}, "Coupon 'SAVE10' has no holder, so every customer may use it."),
        ({"channels": frozenset({"web"})}, "Coupon 'SAVE10' is for orders from web, and this one is from web."),
        ({"window": window(None, DAY)}, "Coupon 'SAVE10' can be used until 2026-11-23T09:30:00+00:00."),
        ({"validation_code": "1234"}, "Coupon 'SAVE10' needs its validation code; it was given."),
        ({"first_order_only": True}, "Coupon 'SAVE10' needs a customer; the request names one."),
        ({"discount": replace(fixed(700), value="7.00", amount_minor=None)}, "takes 7.00 off, in the order's currency"),
        ({"scope": Scope(product_ids=frozenset({"product-1"}))}, "Coupon 'SAVE10' applies to something in the order."),
    ],
)
def test_the_message_of_a_passed_rule_is_true(fields: dict[str, Any], message: str) -> None:
    explanation = explained(world_of(**fields), to=order(channel="web"), validation_code="1234")

    assert not refusals(explanation)
    assert any(message in finding.message for finding in explanation.findings)


def test_a_minimum_is_not_compared_with_an_amount_in_another_currency() -> None:
    explanation = explained(world_of(currency="JPY", min_order_minor=5_000))

    assert found(explanation, "eligibility.min_order_amount").outcome == "not judged"
    assert found(explanation, "discount").outcome == "not judged"


def test_without_an_order_rules_that_need_one_are_left_open() -> None:
    world = world_of(currency="USD", min_order_minor=5_000, scope=SHOES, conditions=(NEVER,))
    explanation = explained_alone(world)

    assert [one.field for one in explanation.findings if one.outcome == "needs an order"] == [
        "order",
        "eligibility.currency",
        "eligibility.min_order_amount",
        "applies_to",
        "eligibility.conditions",
        "stacking",
        "discount",
    ]
    assert explanation.verdict.outcome == "locked"


def test_without_an_order_a_budget_must_have_something_left() -> None:
    world = with_meter(world_of(limits=Limits(None, spend_total_minor=500), currency="USD"), used_minor=499)
    assert not refusals(explained_alone(world))
    with_meter(world, used_minor=500)
    assert refusals(explained_alone(world)) == [("limits.spend_total", Reason.BUDGET_EXCEEDED)]
