"""Rules on the order: when each passes, the reason and numbers of its refusal, and the effect of a lock."""

from collections.abc import Mapping
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from shared.domain.model.campaign import Condition, Hours, Window
from shared.domain.model.order import Order
from shared.domain.model.reasons import Reason
from shared.domain.model.verdicts import RefusedCoupon, Verdict
from shared.ledger.conditions import REDEMPTION_VARIABLES, compile_condition
from tests.builders import (
    JOHN,
    MINUTE,
    NOW,
    Scope,
    World,
    any_currency,
    campaign,
    line,
    only_reason,
    order,
    window,
)

BERLIN, NEW_YORK = ZoneInfo("Europe/Berlin"), ZoneInfo("America/New_York")
VIP = frozenset({"vip"})


def world_of(**fields: Any) -> World:
    """Build a world of one campaign with one coupon SAVE10."""
    world = World((campaign(**fields),))
    world.coupon()
    return world


def refusal(verdict: Verdict) -> RefusedCoupon:
    assert verdict.outcome == "refused", verdict
    [refused] = verdict.refused
    return refused


@pytest.mark.parametrize(
    ("given", "reason"),
    [("s3cret", None), (None, Reason.VALIDATION_CODE_MISMATCH), ("S3CRET", Reason.VALIDATION_CODE_MISMATCH)],
)
def test_a_validation_code_must_match_exactly(given: str | None, reason: Reason | None) -> None:
    world = world_of(validation_code="s3cret")
    assert only_reason(world.lock("SAVE10", reference="l1", validation_code=given)) == reason
    world = world_of(validation_code="s3cret")
    verdict = world.redeem("SAVE10", validation_code=given)
    assert only_reason(verdict) == reason
    if reason:  # neither code appears in the message
        assert "s3cret" not in repr(verdict.refused[0]).lower()


def test_the_validation_code_is_checked_when_a_lock_is_opened() -> None:
    world = world_of(validation_code="s3cret")
    world.lock("SAVE10", validation_code="s3cret")
    assert world.redeem(lock_reference="lock-1").outcome == "redeemed"


@pytest.mark.parametrize("currency", ["USD", "JPY", "KWD"])
@pytest.mark.parametrize(
    ("minimum", "exclusive", "amount", "good"),
    [
        (5_000, False, 5_000, True),  # inclusive, as in Gameball
        (5_000, False, 4_999, False),
        (5_000, True, 5_000, False),  # exclusive, as in Paddle
        (5_000, True, 5_001, True),
        (0, True, 1, True),
        (0, True, 0, False),
    ],
)
def test_a_minimum_is_inclusive_or_exclusive(
    currency: str, minimum: int, exclusive: bool, amount: int, good: bool
) -> None:
    world = world_of(currency=currency, min_order_minor=minimum, min_order_exclusive=exclusive)
    to = order("ORD1", line(unit_minor=9_999), currency=currency, amount_minor=amount)
    assert (only_reason(world.redeem("SAVE10", to=to)) == Reason.BELOW_MINIMUM) == (not good)


def test_the_message_of_an_exclusive_minimum_states_that_it_must_be_exceeded() -> None:
    refused = refusal(world_of(currency="USD", min_order_minor=10_000, min_order_exclusive=True).redeem("SAVE10"))
    assert refused.message == "The order's 100.00 USD must exceed 100.00 USD."


@pytest.mark.parametrize(
    ("scope", "to", "units"),
    [
        (Scope(), order("O", line("1", 100, 2), line("2", 100, 1)), 3),
        (Scope(product_ids=frozenset({"p"})), order("O", line("1", 100, 2, product_id="p"), line("2", 100, 9)), 2),
        (Scope(excluded_product_ids=frozenset({"p"})), order("O", line("1", 9, 9, product_id="p"), line("2")), 1),
        (Scope(max_units=1), order("O", line("1", 100, 2)), 2),  # all eligible units, whatever max_units is
        (Scope(), Order("O", "USD", 5_000, placed_at=NOW), 0),
        (Scope(product_ids=frozenset({"p"})), order("O"), 0),
    ],
)
def test_a_minimum_quantity_counts_units_of_eligible_lines(scope: Scope, to: Order, units: int) -> None:
    if units:
        assert world_of(scope=scope, min_quantity=units).redeem("SAVE10", to=to).outcome == "redeemed"
    refused = refusal(world_of(scope=scope, min_quantity=units + 1).redeem("SAVE10", to=to))
    assert refused.reason == Reason.BELOW_MINIMUM
    assert refused.details == {"minimum_quantity": str(units + 1), "quantity": str(units)}


def condition(name: str, expression: str) -> Condition:
    compiled = compile_condition(expression, REDEMPTION_VARIABLES)

    def holds(values: Mapping[str, Any]) -> bool:  # a function, because a world can copy it
        return compiled(values)

    return Condition(name, expression, holds)


RICH = order(
    "ORD1",
    line("1", 5_000, 2, product_id="p", collection_ids=("sale",), metadata={"color": "red"}),
    shipping_minor=500,
    channel="web",
    metadata={"tier": "gold"},
)


@pytest.mark.parametrize(
    ("expression", "good"),
    [
        ('order.metadata.tier == "gold"', True),
        ('order.metadata.level == "gold"', False),  # a missing field makes it false
        ("order.amount_minor == 10000 && order.amount == 100.0", True),
        ('order.currency == "USD" && order.shipping_minor == 500 && order.quantity == 2', True),
        ('order.channel == "web" && order.order_id == "ORD1"', True),
        ('order.lines.all(line, "sale" in line.collection_ids)', True),
        ('order.lines.exists(line, line.metadata.color == "blue")', False),
        ('order.lines.exists(line, line.product_id == "p" && line.unit_minor == 5000 && line.quantity == 2)', True),
        ('customer.customer_id == "john" && "vip" in customer.segments', True),
        ('customer.email == "john.smith@email.com"', True),
        ("has(customer.mobile)", False),
        ('coupon.code == "SAVE10" && campaign.campaign_id == "save10"', True),
        ('campaign.metadata.partner == "acme"', True),
        ('at >= timestamp("2026-11-22T09:30:00Z")', True),
        ('at > timestamp("2026-11-22T09:30:00Z")', False),
    ],
)
def test_a_condition_sees_order_customer_coupon_campaign_and_time(expression: str, good: bool) -> None:
    world = world_of(conditions=(condition("the one", expression),), metadata={"partner": "acme"})
    world.state.segments["customer-john"] = VIP
    verdict = world.redeem("SAVE10", to=RICH)
    assert only_reason(verdict) == (None if good else Reason.CONDITION_FAILED)
    if not good:
        refused = refusal(verdict)
        assert refused.details == {"condition": "the one", "expression": expression}
        assert refused.message == "Coupon 'SAVE10' has the condition 'the one', and it doesn't hold."


def test_the_first_condition_that_fails_is_named_and_later_ones_are_not_evaluated() -> None:
    evaluated: list[str] = []

    def noted(name: str, result: bool) -> Condition:
        return Condition(name, name, lambda values: evaluated.append(values["order"]["order_id"] + name) or result)

    world = world_of(conditions=(noted("yes", True), noted("no", False), noted("never", True)))
    evaluated.clear()
    assert refusal(world.redeem("SAVE10")).details["condition"] == "no"
    assert "ORD1never" not in evaluated


def test_a_condition_is_evaluated_on_an_order_without_lines_metadata_or_customer() -> None:
    bare = Order("ORD1", "JPY", 500, placed_at=NOW)
    world = world_of(
        conditions=(condition("bare", "order.quantity == 0 && !has(customer.customer_id) && order.amount == 500.0"),)
    )
    assert world.redeem("SAVE10", to=bare, by=None).outcome == "redeemed"


# Locks


LATER: dict[str, dict[str, Any]] = {
    "status": {"status": "paused"},
    "window": {"window": window(None, 0 * MINUTE)},
    "hours": {"window": Window(hours=(Hours(0, 1),))},
    "channels": {"channels": frozenset({"web"})},
    "segments": {"segments_any": VIP},
    "first order": {"first_order_only": True},
    "validation code": {"validation_code": "s3cret"},
}


@pytest.mark.parametrize("name", LATER)
def test_a_lock_stays_valid_after_changes_to_the_campaign(name: str) -> None:
    world = world_of()
    world.lock("SAVE10")
    world.state.orders_of = {"customer-john": {"ORD0"}}
    world.state.campaigns["save10"] = campaign(**LATER[name])
    assert only_reason(world.redeem("SAVE10", to=order("ORD9"), by=JOHN)) is not None
    assert world.redeem(lock_reference="lock-1").outcome == "redeemed"


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"currency": "EUR"}, Reason.CURRENCY_MISMATCH),
        ({"discount": any_currency("5.125")}, Reason.CURRENCY_MISMATCH),
        ({"currency": "USD", "min_order_minor": 10_001}, Reason.BELOW_MINIMUM),
        ({"min_quantity": 2}, Reason.BELOW_MINIMUM),
        ({"scope": Scope(product_ids=frozenset({"p"}))}, Reason.NO_ELIGIBLE_PRODUCT),
        ({"conditions": (condition("no", "order.quantity > 1"),)}, Reason.CONDITION_FAILED),
    ],
)
def test_rules_that_depend_on_the_order_are_judged_when_there_is_one(fields: dict[str, Any], reason: Reason) -> None:
    world = world_of(**fields)
    assert world.lock("SAVE10", reference="l1").outcome == "locked"  # without an order, rules on orders are skipped
    assert only_reason(world.redeem(lock_reference="l1")) == reason
    assert only_reason(world.lock("SAVE10", reference="l2", order=order())) == reason


def test_a_locked_coupon_is_refused_on_a_closed_order() -> None:
    world = world_of()
    world.cancel("ORD1", at=NOW)
    world.lock("SAVE10")
    refused = refusal(world.redeem(lock_reference="lock-1"))
    assert refused.reason == Reason.ORDER_MISMATCH
    assert refused.details == {"cancelled_at": NOW.isoformat()}
