"""Partial returns restore a share of the discount, exact for any split, and no use."""

from typing import Any

import pytest

from shared.domain.model.campaign import DiscountOffer
from shared.domain.model.order import Order
from shared.domain.model.order_commands import ReturnOrder
from shared.domain.model.reasons import Reason
from shared.domain.model.state import ActiveRedemption, PartReturn, State
from shared.domain.orders import returns as returning
from shared.domain.orders.return_shares import shares
from tests.builders import MINUTE, NOW, Scope, campaign, fixed, line, only_reason, order
from tests.returned_goods import PLACED, goods, left, numbers, restored_shares, shop

UnitsBack = tuple[str, str, int, int, tuple[Any, ...], tuple[int, ...]]
UNITS: list[UnitsBack] = [
    # a discount that three units don't divide: each share is rounded half-up, and the sum is exact
    ("USD", "three units of 3.33 and 1.00 off", 333, 100, (("1", 1), ("1", 1), ("1", 1)), (33, 34, 33)),
    ("USD", "two at once, then one", 333, 100, (("1", 2), ("1", 1)), (67, 33)),
    ("JPY", "three units of 100 and 10 off", 100, 10, (("1", 1), ("1", 1), ("1", 1)), (3, 4, 3)),
    ("JPY", "1 off three units comes back with the second", 100, 1, (("1", 1), ("1", 1), ("1", 1)), (0, 1, 0)),
    ("KWD", "three units of 1.000 and 0.500 off", 1_000, 500, (("1", 1), ("1", 1), ("1", 1)), (167, 166, 167)),
    ("KWD", "more units than were ordered", 1_000, 500, (("1", 2), ("1", 9)), (333, 167)),
]


@pytest.mark.parametrize("case", UNITS, ids=lambda one: f"{one[0]}, {one[1]}")
def test_units_restore_their_share_rounded_on_all_returns_so_far(case: UnitsBack) -> None:
    currency, _, unit, off, parts, shares = case
    world = shop(discount=fixed(off), currency=currency, scope=Scope(product_ids=frozenset({"product-1"})))
    # A second line, not eligible and not returned, keeps this from being a whole return.
    lines = (line("1", unit, 3), line("2", 1, 1))
    world.redeem("A", to=goods(*lines, currency=currency))
    verdicts = [world.part(part, at=PLACED + number * MINUTE) for number, part in enumerate(parts, 1)]
    assert tuple(restored_shares(verdict)[0] for verdict in verdicts) == shares
    assert sum(shares) == off
    assert left(world) == 0
    assert world.state.coupons["id-A"].used == 1


@pytest.mark.parametrize(
    ("currency", "total", "off", "amounts", "shares"),
    [
        ("USD", 10_000, 1_000, ("25.00", "25.00", "49.99"), (250, 250, 500)),
        ("USD", 999, 100, ("3.33", "3.33"), (33, 34)),
        ("JPY", 1_000, 99, ("333", "333", "333"), (33, 33, 33)),
        ("KWD", 10_000, 1_001, ("0.005", "0.005", "9.989"), (1, 0, 1_000)),
    ],
)
def test_amounts_restore_their_share_rounded_on_all_returns_so_far(
    currency: str, total: int, off: int, amounts: tuple[str, ...], shares: tuple[int, ...]
) -> None:
    world = shop(discount=fixed(off), currency=currency)
    world.redeem("A", to=goods(line("1", total), currency=currency))
    verdicts = [world.part(amount=amount, at=PLACED + number * MINUTE) for number, amount in enumerate(amounts, 1)]
    assert tuple(restored_shares(verdict)[0] for verdict in verdicts) == shares
    assert all(restored_shares(verdict)[1] == () for verdict in verdicts)


def test_a_part_reports_the_share_of_each_line() -> None:
    world = shop()
    redeemed = world.redeem("A", to=goods())
    verdict = world.part(("2", 1), ("1", 0), ("nope", 3), at=PLACED + MINUTE)
    assert (verdict.outcome, verdict.discount_minor, verdict.currency) == ("restored", 200, "USD")
    (one,) = verdict.accepted
    assert (one.code, one.uses, one.discount_minor, one.lines) == ("A", 0, 200, (("2", 200),))
    assert one.redemption_id == redeemed.redemption_id


@pytest.mark.parametrize(
    "parts",
    [
        ({"units": (("1", 1), ("2", 2))},),
        ({"units": (("1", 1),)}, {"units": (("2", 2),)}),
        ({"units": (("2", 1),)}, {"units": (("2", 5),)}, {"units": (("1", 1),)}),
        ({"amount": "100.00"},),
        ({"amount": "60.00"}, {"amount": "39.99"}, {"amount": "0.01"}),
        ({"units": (("1", 1),)}, {"amount": "40.00"}),
        ({"amount": "1000.00"},),
    ],
)
def test_all_of_it_in_parts_is_a_whole_return(parts: tuple[dict[str, Any], ...]) -> None:
    world = shop()
    before = numbers(world)
    world.redeem("A", to=goods())
    verdicts = [
        world.part(*part.get("units", ()), amount=part.get("amount"), at=PLACED + number * MINUTE)
        for number, part in enumerate(parts, 1)
    ]
    assert [verdict.outcome for verdict in verdicts] == ["restored"] * len(parts)
    assert [one.uses for one in verdicts[-1].accepted] == [1]
    assert sum(verdict.discount_minor for verdict in verdicts) == 1_000
    known = world.state.orders["ORD1"]
    assert (known.status, known.returned_at, known.redemptions) == ("returned", PLACED + len(parts) * MINUTE, {})
    assert numbers(world) == before


def test_the_last_part_to_arrive_need_not_be_the_latest() -> None:
    world = shop()
    world.redeem("A", to=goods())
    world.part(("1", 1), at=PLACED + 9 * MINUTE)
    world.part(("2", 2), at=PLACED + MINUTE)
    assert world.state.orders["ORD1"].returned_at == PLACED + 9 * MINUTE


@pytest.mark.parametrize("ending", ["cancel", "return_order"])
def test_the_rest_is_restored_with_the_use_when_the_order_ends(ending: str) -> None:
    world = shop()
    before = numbers(world)
    world.redeem("A", to=goods())
    world.part(("2", 1), at=PLACED + MINUTE)
    verdict = getattr(world, ending)(at=PLACED + 2 * MINUTE)
    assert (verdict.outcome, verdict.discount_minor, verdict.accepted[0].uses) == ("restored", 800, 1)
    assert numbers(world) == before


@pytest.mark.parametrize("restore_on", [frozenset(), frozenset({"order.cancelled"})])
def test_a_campaign_without_restores_on_returns_restores_nothing(restore_on: frozenset[str]) -> None:
    world = shop(restore_on=restore_on)
    world.redeem("A", to=goods())
    assert world.part(("2", 1), at=PLACED + MINUTE).outcome == "recorded"
    assert world.part(("1", 1), ("2", 1), at=PLACED + 2 * MINUTE).outcome == "recorded"
    assert (world.state.orders["ORD1"].status, left(world)) == ("returned", 1_000)
    assert world.cancel(at=PLACED + 3 * MINUTE).outcome == ("restored" if restore_on else "recorded")


def test_an_order_without_lines_can_be_returned_by_amounts_only() -> None:
    world = shop()
    world.redeem("A", to=Order("ORD1", "USD", 10_000, placed_at=PLACED))
    by_line = world.part(("1", 1), at=PLACED + MINUTE)
    assert (by_line.outcome, by_line.why) == ("unchanged", "unknown_lines")
    assert restored_shares(world.part(amount="50.00", at=PLACED + 2 * MINUTE)) == (500, ())


def test_a_discount_on_shipping_is_restored_only_with_the_whole_order() -> None:
    redemption = ActiveRedemption(
        "id-A", "save10", redemption_id="r", uses=1, discount_minor=1_500, currency="USD", customer_key=None,
        lines=(("1", 600), ("2", 400), ("", 500)), burned_minor=1_500,
    )  # fmt: skip
    of = order("ORD1", line("1", 6_000), line("2", 2_000, 2))
    state = State({"save10": campaign()})
    half = PartReturn(NOW, (), "50.00")
    nearly = PartReturn(NOW, (("1", 1), ("2", 2)))
    for part, minor in ((half, 500), (nearly, 1_000)):
        (entry,) = shares([redemption], state, of, paid=9_000, before=(), after=(part,))
        assert -entry.used_minor == minor
        assert "" not in dict(entry.lines)


@pytest.mark.parametrize("amount", ["1.234", "-1", "x", "", "1" * 30])
def test_an_amount_that_the_currency_cannot_represent_is_refused_and_changes_nothing(amount: str) -> None:
    world = shop()
    world.redeem("A", to=goods())
    before = numbers(world)
    verdict = world.part(amount=amount, at=PLACED + MINUTE)
    assert only_reason(verdict) == Reason.ORDER_MISMATCH
    assert repr(amount) in verdict.refused[0].message
    assert (numbers(world), world.state.orders["ORD1"].returns, verdict.orders) == (before, (), ())


def test_such_an_amount_is_ignored_if_it_arrives_before_its_order() -> None:
    world = shop()
    assert world.part(amount="1.234", at=PLACED + MINUTE).outcome == "recorded"
    assert world.redeem("A", to=goods()).outcome == "redeemed"
    assert left(world) == 1_000


@pytest.mark.parametrize("part", [{"units": (("2", 1),)}, {"amount": "20.00"}])
def test_the_same_part_again_changes_nothing(part: dict[str, Any]) -> None:
    world = shop()
    world.redeem("A", to=goods())
    for expected in ("restored", "unchanged", "unchanged"):
        verdict = world.part(*part.get("units", ()), amount=part.get("amount"), at=PLACED + MINUTE)
        assert verdict.outcome == expected
    assert left(world) == 800
    assert world.part(*part.get("units", ()), amount=part.get("amount"), at=PLACED + 2 * MINUTE).outcome == "restored"


def test_the_same_part_is_recognized_in_any_notation() -> None:
    world = shop()
    world.redeem("A", to=goods())
    world.part(("2", 1), ("1", 0), ("2", 0), at=PLACED + MINUTE)
    assert world.part(("1", 0), ("2", 1), at=PLACED + MINUTE).outcome == "unchanged"
    world.part(amount="1.00", at=PLACED + MINUTE)
    assert world.part(amount="1", at=PLACED + MINUTE).outcome == "unchanged"


def test_a_part_with_lines_and_an_amount_counts_by_its_lines() -> None:
    world = shop()
    world.redeem("A", to=goods())
    assert restored_shares(world.part(("2", 1), amount="90.00", at=PLACED + MINUTE)) == (200, (("2", 200),))


def test_a_part_that_arrives_before_its_order_is_restored_when_the_order_is_placed() -> None:
    world = shop()
    assert world.part(("2", 1), at=PLACED + MINUTE).outcome == "recorded"
    verdict = world.redeem("A", to=goods())
    assert (verdict.outcome, verdict.discount_minor, restored_shares(verdict)) == (
        "redeemed",
        1_000,
        (200, (("2", 200),)),
    )
    assert left(world) == 800


@pytest.mark.parametrize("hold", [False, True])
def test_an_order_returned_in_parts_before_it_arrived_is_refused_like_a_returned_one(hold: bool) -> None:
    world = shop()
    world.part(("1", 1), at=PLACED + MINUTE)
    world.part(("2", 2), at=PLACED + 2 * MINUTE)
    for _ in range(2):
        assert only_reason(world.redeem("A", to=goods(), hold=hold, hold_seconds=60)) == Reason.ORDER_MISMATCH
        known = world.state.orders["ORD1"]
        assert (known.status, known.returned_at) == ("returned", PLACED + 2 * MINUTE)


def test_a_part_of_an_order_with_held_coupons_is_restored_when_the_payment_burns() -> None:
    world = shop()
    before = numbers(world)
    world.redeem("A", to=goods(), hold=True, hold_seconds=3_600)
    assert world.part(("2", 1), at=PLACED + MINUTE).outcome == "recorded"
    assert world.meter().held_minor == 1_000
    paid = world.pay(at=PLACED + 2 * MINUTE)
    assert (paid.outcome, paid.discount_minor, restored_shares(paid)) == ("redeemed", 1_000, (200, (("2", 200),)))
    world.cancel(at=PLACED + 3 * MINUTE)
    assert numbers(world) == before


def test_a_return_of_a_cancelled_order_restores_what_the_cancellation_did_not() -> None:
    for late in (False, True):
        world = shop(restore_on=frozenset({"order.returned"}))
        world.redeem("A", to=goods())
        if late:
            world.cancel(at=PLACED + 5 * MINUTE)
        world.part(("2", 1), at=PLACED + MINUTE)
        if not late:
            world.cancel(at=PLACED + 5 * MINUTE)
        assert (left(world), world.state.orders["ORD1"].status) == (800, "cancelled")


def test_a_duplicate_of_an_old_cancellation_does_not_change_a_returned_order() -> None:
    world = shop(restore_on=frozenset({"order.cancelled"}))
    world.redeem("A", to=goods())
    world.cancel(at=PLACED + MINUTE)
    world.redeem("A", to=order("ORD1", *goods().lines, placed_at=PLACED + 2 * MINUTE))
    world.return_order(at=PLACED + 3 * MINUTE)
    assert world.cancel(at=PLACED + MINUTE).outcome == "unchanged"
    assert world.state.coupons["id-A"].used == 1


def test_more_parts_than_can_be_stored_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(returning, "MAX_RETURNED_PARTS", 3)
    world = shop()
    world.redeem("A", to=goods())
    assert world.part(("2", 1), ("9", 1), at=PLACED + MINUTE).outcome == "restored"
    assert world.part(amount="1.00", at=PLACED + 2 * MINUTE).outcome == "restored"
    assert only_reason(world.part(amount="1.00", at=PLACED + 3 * MINUTE)) == Reason.ORDER_MISMATCH
    assert world.return_order(at=PLACED + 4 * MINUTE).outcome == "restored"


def test_a_partial_return_without_lines_or_amount_changes_nothing() -> None:
    world = shop()
    assert world.run(ReturnOrder("c", "ORD1", False, PLACED)).outcome == "unchanged"
    assert world.state.orders == {}


@pytest.mark.parametrize(
    ("part", "why"),
    [
        ({"lines": (("9", 1),)}, "unknown_lines"),
        ({"lines": (("9", 1), ("8", 2))}, "unknown_lines"),
        ({"amount": "0.00"}, "nothing_returned"),
        ({"amount": "0"}, "nothing_returned"),
        ({"refunded_amount": "0"}, "nothing_returned"),
    ],
)
def test_a_part_that_is_nothing_of_the_order_says_why(part: dict[str, Any], why: str) -> None:
    world = shop()
    world.redeem("A", to=goods())
    verdict = world.run(ReturnOrder(world.command_id(), "ORD1", False, PLACED + MINUTE, **part))
    assert (verdict.outcome, verdict.why, verdict.entries) == ("unchanged", why, ())


def test_free_shipping_is_restored_only_with_the_whole_order() -> None:
    world = shop(discount=DiscountOffer("free_shipping", "free"))
    before = numbers(world)
    redeemed = world.redeem("A", to=goods(shipping_minor=700))
    assert redeemed.discount_minor == 700
    assert world.part(("1", 1), at=PLACED + MINUTE).outcome == "recorded"
    assert world.part(amount="39.99", at=PLACED + 2 * MINUTE).outcome == "recorded"
    verdict = world.part(amount="0.01", at=PLACED + 3 * MINUTE)
    assert (verdict.outcome, verdict.discount_minor, verdict.accepted[0].uses) == ("restored", 700, 1)
    assert numbers(world) == before


def test_a_coupon_without_a_discount_restores_its_use_with_the_whole_order() -> None:
    world = shop(discount=DiscountOffer("custom", "", payload={"points": 5}))
    world.redeem("A", to=goods())
    assert world.part(("1", 1), at=PLACED + MINUTE).outcome == "recorded"
    assert world.part(("2", 2), at=PLACED + 2 * MINUTE).outcome == "restored"
    assert world.state.coupons["id-A"].used == 0
