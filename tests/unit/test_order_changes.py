"""An order that changes: its coupons are judged on what it is now, as `order.changed` and as `order.placed`."""

from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from shared.domain.model.campaign import Campaign
from shared.domain.model.customer import Customer
from shared.domain.model.order import Order
from shared.domain.model.reasons import Reason
from shared.domain.model.state import order_hold
from tests.builders import (
    DAY,
    JOHN,
    MARY,
    MINUTE,
    NOW,
    Limits,
    Scope,
    any_currency,
    fixed,
    key_of,
    line,
    only_reason,
    order,
    percent,
    reasons,
    window,
)
from tests.changing_orders import PLENTY, Shop, goods, one

ONE = Limits(1, uses_per_customer=1, uses_total=1)
ALL_WAYS = [(hold, event) for hold in (False, True) for event in ("order.changed", "order.placed")]


@dataclass(frozen=True)
class Case:
    """Campaigns by code; the codes and goods before and after; the discounts and refusals after."""

    campaigns: tuple[Campaign, ...]
    before: tuple[tuple[str, ...], Order]
    after: tuple[tuple[str, ...], Order]
    discounts: dict[str, int]
    refused: dict[str, Reason] = field(default_factory=dict)


A10, B20 = one("A"), one("B", discount=percent("20"))
FIXED = one("A", discount=fixed(1_000))
FROM50 = one("A", discount=fixed(1_000), currency="USD", min_order_minor=5_000)
OF_P2 = one("A", scope=Scope(product_ids=frozenset({"p2"})))
TWO_ITEMS = one("A", min_quantity=2)
ALONE = one("A", stacking="exclusive")
ALONE_20 = one("B", stacking="exclusive", discount=percent("20"))

CASES: dict[str, Case] = {
    # the discount follows the order, and is never above it
    "percentage of more goods": Case((A10,), (("A",), goods(10_000)), (("A",), goods(10_000, 5_000)), {"A": 1_500}),
    "percentage of fewer goods": Case((A10,), (("A",), goods(10_000, 5_000)), (("A",), goods(3_333)), {"A": 333}),
    "fixed above the order": Case((FIXED,), (("A",), goods(10_000)), (("A",), goods(500)), {"A": 500}),
    "fixed, the order is larger again": Case((FIXED,), (("A",), goods(400)), (("A",), goods(9_000)), {"A": 1_000}),
    "two fixed above the order": Case(
        (FIXED, one("B", discount=fixed(1_000))), (("A", "B"), goods(9_000)), (("A", "B"), goods(1_500)),
        {"A": 1_000, "B": 500},
    ),
    "a cap is reached": Case((one("A", discount=percent("10", 800)),), (("A",), goods(5_000)),
        (("A",), goods(20_000)), {"A": 800},
    ),
    "an amount without lines": Case(
        (A10,), (("A",), replace(goods(10_000), lines=())), (("A",), replace(goods(4_000), lines=())), {"A": 400},
    ),
    "quantity": Case(
        (A10,), (("A",), order("ORD1", line("1", 1_000, 5))), (("A",), order("ORD1", line("1", 1_000, 2))), {"A": 200},
    ),
    "the same total on other lines": Case((A10,), (("A",), goods(6_000, 4_000)), (("A",), goods(4_000, 6_000)),
        {"A": 1_000},
    ),
    # no longer good
    "minimum no longer met": Case((FROM50,), (("A",), goods(6_000)), (("A",), goods(2_000)), {},
        {"A": Reason.BELOW_MINIMUM}),
    "minimum just met": Case((FROM50,), (("A",), goods(6_000)), (("A",), goods(5_000)), {"A": 1_000}),
    "minimum of one of two": Case(
        (FROM50, B20), (("A", "B"), goods(6_000)), (("A", "B"), goods(4_000)), {"B": 800}, {"A": Reason.BELOW_MINIMUM},
    ),
    "minimum quantity no longer met": Case(
        (TWO_ITEMS,), (("A",), goods(1_000, 1_000)), (("A",), goods(2_000)), {}, {"A": Reason.BELOW_MINIMUM},
    ),
    "product gone": Case((OF_P2,), (("A",), goods(1_000, 2_000)), (("A",), goods(3_000)), {},
        {"A": Reason.NO_ELIGIBLE_PRODUCT},
    ),
    "product still there": Case((OF_P2,), (("A",), goods(1_000, 2_000)), (("A",), goods(9_000, 1_000)), {"A": 100}),
    "nothing left to pay": Case((FIXED,), (("A",), goods(1_000)), (("A",), goods(0)), {}, {"A": Reason.NO_EFFECT}),
    "another currency of a fixed discount": Case(
        (one("A", discount=fixed(1_000), currency="USD"),), (("A",), goods(9_000)),
        (("A",), goods(9_000, currency="EUR")), {}, {"A": Reason.CURRENCY_MISMATCH},
    ),
    "another currency of a percentage": Case((A10,), (("A",), goods(9_000)), (("A",), goods(500, currency="JPY")),
        {"A": 50},
    ),
    "another currency of a fixed discount in any": Case(
        (one("A", discount=any_currency("5")),), (("A",), goods(9_000)), (("A",), goods(900, currency="JPY")), {"A": 5},
    ),
    # codes
    "one more code": Case((A10, B20), (("A",), goods(10_000)), (("A", "B"), goods(10_000)), {"A": 800, "B": 2_000}),
    "one more code that isn't good": Case(
        (A10,), (("A",), goods(10_000)), (("A", "X"), goods(9_000)), {"A": 900}, {"X": Reason.NOT_FOUND},
    ),
    "one code less": Case((A10, B20), (("A", "B"), goods(10_000)), (("B",), goods(10_000)), {"B": 2_000}),
    "no code": Case((A10, B20), (("A", "B"), goods(10_000)), ((), goods(10_000)), {}),
    "another code": Case((A10, B20), (("A",), goods(10_000)), (("B",), goods(10_000)), {"B": 2_000}),
    "another code, alone": Case((ALONE, ALONE_20), (("A",), goods(10_000)), (("B",), goods(10_000)), {"B": 2_000}),
    "a better one joins, alone": Case(
        (ALONE, ALONE_20), (("A",), goods(10_000)), (("A", "B"), goods(10_000)), {"B": 2_000},
        {"A": Reason.BETTER_OFFER_WON},
    ),
    "a code in another spelling": Case((A10,), (("A",), goods(10_000)), ((" a ",), goods(9_000)), {"A": 900}),
    # its own uses count as its own
    "one use in all": Case((one("A", limits=ONE),), (("A",), goods(10_000)), (("A",), goods(15_000)), {"A": 1_500}),
    "one use in all, less": Case((one("A", limits=ONE),), (("A",), goods(15_000)), (("A",), goods(100)), {"A": 10}),
}  # fmt: skip


@pytest.mark.parametrize(("hold", "as_event"), ALL_WAYS)
@pytest.mark.parametrize("name", CASES)
def test_a_changed_order_has_what_its_present_content_deserves(name: str, hold: bool, as_event: str) -> None:
    case = CASES[name]
    shop = Shop(case.campaigns, hold, as_event)
    before = shop.send(*case.before[0], goods=case.before[1], minute=0, changed=False)
    assert set(shop.discounts()) == {one.campaign_id for one in before.accepted} == {*case.before[0]}
    after = shop.send(*case.after[0], goods=case.after[1], minute=5)
    assert (shop.discounts(), reasons(after)) == (case.discounts, case.refused)
    again = shop.send(*case.after[0], goods=case.after[1], minute=6)
    assert (again.entries, shop.discounts()) == ((), case.discounts)
    fresh = Shop(case.campaigns, hold)
    fresh.send(*case.after[0], goods=case.after[1], minute=0, changed=False)
    assert fresh.discounts() == case.discounts, "a new order of this content has the same"


# What is published


@pytest.mark.parametrize("as_event", ["order.changed", "order.placed"])
@pytest.mark.parametrize(
    ("name", "redeemed", "held"),
    [
        ("percentage of more goods", ["redemption_adjusted"], []),
        ("fixed above the order", ["redemption_adjusted"], []),
        ("the same total on other lines", [], []),
        ("minimum no longer met", ["redemption_refused", "redemption_restored"], ["redemption_refused", "released"]),
        ("product gone", ["redemption_refused", "redemption_restored"], ["redemption_refused", "released"]),
        ("one more code", ["redeemed", "redemption_adjusted"], ["locked"]),
        ("one code less", ["redemption_restored"], ["released"]),
        ("no code", ["redemption_restored"], ["released", "released"]),
        ("another code", ["redeemed", "redemption_restored"], ["locked", "released"]),
        ("one more code that isn't good", ["redemption_refused", "redemption_adjusted"], ["redemption_refused"]),
        ("another currency of a percentage", ["redeemed", "redemption_restored"], []),
    ],
)
def test_what_a_change_publishes(name: str, as_event: str, redeemed: list[str], held: list[str]) -> None:
    case = CASES[name]
    for hold, expected in ((False, redeemed), (True, held)):
        shop = Shop(case.campaigns, hold, as_event)
        shop.send(*case.before[0], goods=case.before[1], minute=0, changed=False)
        shop.send(*case.after[0], goods=case.after[1], minute=5)
        assert shop.types == expected, hold


def data_of(shop: Shop, kind: str) -> dict[str, Any]:
    """Return the data of the only event of this kind that the last change published."""
    return next(data for one, data in shop.published if one == kind)


@pytest.mark.parametrize("hold", [False, True])
def test_a_coupon_that_is_no_longer_good_is_given_back_with_the_reason(hold: bool) -> None:
    shop = Shop((FROM50,), hold)
    shop.send("A", goods=goods(6_000), minute=0, changed=False)
    shop.send("A", goods=goods(2_000), minute=5)
    kind = "released" if hold else "redemption_restored"
    data = data_of(shop, kind)
    reason = data["reason"] if hold else data["coupons"][0]["reason"]
    assert (reason, data["cause"], data["order_id"]) == ("below_minimum", "order.changed", "ORD1")
    assert data_of(shop, "redemption_refused")["order_amount"] == "20.00"


@pytest.mark.parametrize("hold", [False, True])
def test_a_coupon_that_is_no_longer_named_is_given_back_without_a_reason(hold: bool) -> None:
    shop = Shop((A10, B20), hold, "order.placed")
    shop.send("A", goods=goods(6_000), minute=0, changed=False)
    shop.send("B", goods=goods(6_000), minute=5)
    data = data_of(shop, "released" if hold else "redemption_restored")
    assert (data["cause"], data.get("reason"), data["coupons"][0].get("reason")) == ("order.placed", None, None)


def test_an_adjusted_redemption_has_both_amounts() -> None:
    shop = Shop((A10,))
    shop.send("A", goods=goods(10_000), minute=0, changed=False)
    shop.send("A", goods=goods(10_000, 5_000), minute=5)
    data = data_of(shop, "redemption_adjusted")
    assert (data["discount_before"], data["discount_amount"], data["order_amount"]) == ("10.00", "15.00", "150.00")
    assert data["cause"] == "order.changed"
    [coupon] = data["coupons"]
    assert [share["discount_amount"] for share in coupon["lines"]] == ["10.00", "5.00"]


# Limits


@pytest.mark.parametrize("hold", [False, True])
@pytest.mark.parametrize(
    ("minor", "discounts", "refused"),
    [
        (15_000, {"A": 1_500}, {}),  # the whole budget is its own
        (15_010, {}, {"A": Reason.BUDGET_EXCEEDED}),
        (100, {"A": 10}, {}),
    ],
)
def test_a_budget_is_never_passed_and_its_own_spending_is_its_own(
    hold: bool, minor: int, discounts: dict[str, int], refused: dict[str, Reason]
) -> None:
    shop = Shop((one("A", limits=Limits(9, uses_per_customer=9, spend_total_minor=1_500), currency="USD"),), hold)
    shop.send("A", goods=goods(10_000), minute=0, changed=False)
    assert reasons(shop.send("A", goods=goods(minor), minute=5)) == refused
    assert shop.discounts() == discounts


@pytest.mark.parametrize("hold", [False, True])
@pytest.mark.parametrize(
    ("limit", "reason"),
    [
        ("uses_per_coupon", Reason.EXHAUSTED),
        ("uses_total", Reason.CAMPAIGN_EXHAUSTED),
        ("uses_per_customer", Reason.CUSTOMER_LIMIT),
    ],
)
def test_a_newly_named_coupon_that_another_order_used_up_is_refused(hold: bool, limit: str, reason: Reason) -> None:
    shop = Shop((A10, one("B", limits=replace(PLENTY, **{limit: 1}))), hold)
    shop.hold = False
    shop.send("B", goods=replace(goods(10_000), order_id="ORD2"), minute=0, changed=False)
    shop.hold = hold
    shop.send("A", goods=goods(10_000), minute=1, changed=False)
    changed = shop.send("A", "B", goods=goods(20_000), minute=5)
    assert reasons(changed) == {"B": reason}
    assert shop.discounts() == {"A": 2_000}


def test_a_coupon_that_a_change_gave_back_can_be_used_by_another_order() -> None:
    shop = Shop((one("A", limits=ONE), B20))
    shop.send("A", goods=goods(10_000), minute=0, changed=False)
    shop.send("B", goods=goods(10_000), minute=5)
    other = replace(goods(10_000), order_id="ORD2")
    assert shop.send("A", goods=other, minute=6, changed=False).outcome == "redeemed"
    back = shop.send("A", goods=goods(10_000), minute=7)
    assert reasons(back) == {"A": Reason.EXHAUSTED}
    assert (shop.discounts(), shop.discounts("ORD2")) == ({}, {"A": 1_000})


@pytest.mark.parametrize("hold", [False, True])
@pytest.mark.parametrize(
    "meanwhile",
    [
        {"status": "paused"},
        {"status": "archived"},
        {"window": window(ends_in=-DAY)},
        {"limits": replace(PLENTY, uses_per_customer=0)},
        "void",
    ],
)
def test_what_was_checked_when_the_order_got_a_coupon_is_not_checked_again(hold: bool, meanwhile: Any) -> None:
    shop = Shop((A10,), hold)
    shop.send("A", goods=goods(10_000), minute=0, changed=False)
    if meanwhile == "void":
        shop.world.void("A")
    else:
        shop.world.state.campaigns["A"] = one("A", **meanwhile)
    shop.send("A", goods=goods(5_000), minute=5)
    assert shop.discounts() == {"A": 500}


# Versions


@pytest.mark.parametrize(("hold", "as_event"), ALL_WAYS)
@pytest.mark.parametrize("minutes", [(0, 5, 3), (5, 0, 3), (5, 3, 0), (3, 5, 0), (0, 3, 5), (3, 0, 5)])
def test_the_latest_version_counts_in_any_order_of_arrival(minutes: tuple[int, ...], hold: bool, as_event: str) -> None:
    shop = Shop((A10, B20), hold, as_event)
    versions = {0: (("A",), goods(10_000)), 3: (("A", "B"), goods(20_000)), 5: (("A",), goods(5_000))}
    for minute in minutes:
        codes, content = versions[minute]
        verdict = shop.send(*codes, goods=content, minute=minute, changed=minute > 0)
        if minute < max(minutes[: minutes.index(minute) + 1]):
            assert verdict.why == "older_version"
    assert shop.discounts() == {"A": 500}


@pytest.mark.parametrize("hold", [False, True])
def test_a_change_that_arrives_before_its_order_places_it(hold: bool) -> None:
    shop = Shop((A10,), hold)
    assert shop.send("A", goods=goods(5_000), minute=5).accepted
    late = shop.send("A", goods=goods(10_000), minute=0, changed=False)
    assert (late.why, shop.discounts()) == ("older_version", {"A": 500})
    # Its cancellation is about this order, though it is dated before the change.
    shop.cancel(1)
    assert shop.discounts() == {}


# Held, redeemed, returned


def test_what_is_held_is_redeemed_as_it_was_changed_and_later_codes_are_redeemed_at_once() -> None:
    shop = Shop((A10, B20), hold=True)
    shop.send("A", goods=goods(10_000), minute=0, changed=False)
    shop.send("A", goods=goods(5_000), minute=5)
    paid = shop.pay(6)
    assert (paid.outcome, paid.discount_minor) == ("redeemed", 500)
    added = shop.send("A", "B", goods=goods(5_000), minute=7)
    assert (added.outcome, shop.discounts()) == ("redeemed", {"A": 400, "B": 1_000})
    assert shop.world.state.coupons["id-B"].held == 0
    shop.cancel(8)
    assert shop.discounts() == {}


def test_a_payment_that_is_older_than_the_change_pays_the_order_as_it_is_now() -> None:
    shop = Shop((A10,), hold=True)
    shop.send("A", goods=goods(10_000), minute=0, changed=False)
    shop.send("A", goods=goods(5_000), minute=5)
    assert shop.pay(2).discount_minor == 500


@pytest.mark.parametrize("restored", [0, 300, 500])
def test_parts_that_were_returned_stay_returned(restored: int) -> None:
    """The restored share is part of the discount on the changed order."""
    shop = Shop((one("A", restore_on=frozenset({"order.returned", "order.cancelled"})),))
    shop.send("A", goods=goods(5_000, 3_000, 2_000), minute=0, changed=False)
    if restored:
        shop.world.part(("2" if restored == 300 else "1", 1), at=NOW + 2 * MINUTE)
    assert shop.discounts() == {"A": 1_000 - restored}
    shop.send("A", goods=goods(5_000, 3_000), minute=5)
    assert shop.discounts() == {"A": 800 - restored}
    shop.world.return_order(at=NOW + 9 * MINUTE)
    assert shop.discounts() == {}
    shop.check_totals()


# Another order under the same id


@pytest.mark.parametrize(("hold", "as_event"), ALL_WAYS)
def test_a_change_for_another_customer_is_another_order(hold: bool, as_event: str) -> None:
    shop = Shop((A10, B20), hold, as_event)
    shop.send("A", goods=goods(10_000), minute=0, changed=False)
    for codes in (("A",), ("B",), ()):
        for content in (goods(10_000), goods(5_000)):
            verdict = shop.send(*codes, goods=content, minute=5, by=MARY)
            assert (only_reason(verdict), verdict.entries) == (Reason.ORDER_MISMATCH, ())
            assert (shop.types, shop.discounts()) == (["redemption_refused"], {"A": 1_000})
            assert "belongs to another customer" in verdict.refused[0].message


@pytest.mark.parametrize(("hold", "as_event"), ALL_WAYS)
@pytest.mark.parametrize(("first", "then"), [(None, JOHN), (JOHN, None), (None, None)])
def test_an_order_may_name_its_customer_later_or_not_at_all(
    hold: bool, as_event: str, first: Customer | None, then: Customer | None
) -> None:
    shop = Shop((one("A", limits=Limits(9, uses_total=9)),), hold, as_event)
    shop.send("A", goods=goods(10_000), minute=0, changed=False, by=first)
    shop.send("A", goods=goods(5_000), minute=5, by=then)
    assert shop.discounts() == {"A": 500}
    assert shop.types == ([] if hold else ["redemption_adjusted"]), "what it holds isn't released"


@pytest.mark.parametrize(("hold", "as_event"), ALL_WAYS)
def test_an_order_may_name_its_customer_with_the_content_that_it_has(hold: bool, as_event: str) -> None:
    shop = Shop((one("A", limits=Limits(9, uses_total=9)),), hold, as_event)
    shop.send("A", goods=goods(10_000), minute=0, changed=False, by=None)
    named = shop.send("A", goods=goods(10_000), minute=5, by=JOHN)
    assert (named.outcome, shop.types, shop.discounts()) == ("adjusted", [], {"A": 1_000})
    state = shop.world.state
    assert state.orders["ORD1"].customer_key == key_of(JOHN)
    assert not hold or state.locks[order_hold("ORD1")].customer_key == key_of(JOHN)
    again = shop.send("A", goods=goods(10_000), minute=6, by=JOHN)
    assert (again.outcome, again.why) == ("unchanged", "same_content")


def test_the_atomic_codes_of_a_changed_order_are_used_together_or_not_at_all() -> None:
    shop = Shop((A10,))
    shop.send("A", goods=goods(10_000), minute=0, changed=False)
    verdict = shop.send("A", "X", goods=goods(5_000), minute=5, atomic=True)
    assert reasons(verdict) == {"A": Reason.NOT_COMBINABLE, "X": Reason.NOT_FOUND}
    assert shop.discounts() == {}
