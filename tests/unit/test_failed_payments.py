"""Payments that fail, and holds that a newer order of the same customer takes over."""

from collections.abc import Callable
from typing import Any

import pytest

from shared.domain.model.reasons import Reason
from shared.domain.model.state import order_hold
from shared.domain.model.verdicts import Verdict
from tests.builders import DAY, JOHN, MARY, NOW, Limits, only_reason, percent, reasons
from tests.changing_orders import PLENTY, Shop, goods, one

SINGLE = one("A", limits=Limits(1, uses_per_customer=9, uses_total=9))
EACH = one("A", limits=Limits(9, uses_per_customer=1, uses_total=9))
TOTAL = one("A", limits=Limits(9, uses_per_customer=9, uses_total=1))
BUDGET = one("A", limits=Limits(9, uses_per_customer=9, uses_total=9, spend_total_minor=1_500), currency="USD")
FIRST = one("A", first_order_only=True)
LIMITED = {"per coupon": SINGLE, "per customer": EACH, "in total": TOTAL, "budget": BUDGET, "first order": FIRST}

Step = Callable[[Shop], Verdict]
STEPS: dict[str, Step] = {
    "place": lambda shop: shop.place("A", minute=0),
    "place other": lambda shop: shop.place("A", order_id="ORD2", minute=2),
    "change": lambda shop: shop.send("A", goods=goods(5_000), minute=3),
    "place again": lambda shop: shop.place("A", minute=40),
    "fail": lambda shop: shop.fail(5),
    "fail late": lambda shop: shop.fail(30),
    "fail early": lambda shop: shop.fail(2),
    "pay": lambda shop: shop.pay(10),
    "cancel": lambda shop: shop.cancel(20),
}


@pytest.mark.parametrize(
    ("steps", "outcomes", "whys", "uses"),
    [
        # it releases at once, and only once
        ("place fail", "held released", [], (0, 0)),
        ("place fail fail", "held released unchanged", ["nothing_held"], (0, 0)),
        ("place fail fail_late", "held released unchanged", ["nothing_held"], (0, 0)),
        # paid after all
        ("place fail pay", "held released redeemed", [], (0, 1)),
        ("place fail fail_late pay", "held released unchanged redeemed", ["nothing_held"], (0, 1)),
        ("place fail pay pay", "held released redeemed unchanged", ["paid_already"], (0, 1)),
        ("place change fail pay", "held adjusted released redeemed", [], (0, 1)),
        ("place fail change pay", "held released held redeemed", [], (0, 1)),
        # a failure that arrives after the payment or after its time
        ("place pay fail", "held redeemed unchanged", ["paid_already"], (0, 1)),
        ("place pay fail_late", "held redeemed unchanged", ["paid_already"], (0, 1)),
        ("place change fail_early", "held adjusted unchanged", ["older_version"], (1, 0)),
        # before the order is placed
        ("fail", "unchanged", ["nothing_held"], (0, 0)),
        ("fail place", "unchanged held", ["nothing_held"], (1, 0)),
        ("pay fail place", "recorded unchanged redeemed", ["nothing_held"], (0, 1)),
        # closed orders
        ("place cancel fail", "held released unchanged", ["closed"], (0, 0)),
        ("place fail cancel", "held released recorded", [], (0, 0)),
        ("place fail cancel pay", "held released recorded unchanged", ["earlier_order"], (0, 0)),
        ("place fail cancel place_again", "held released recorded held", [], (1, 0)),
        ("place cancel place_again fail_late", "held released held unchanged", ["older_version"], (1, 0)),
    ],
)  # fmt: skip
def test_a_failed_payment(steps: str, outcomes: str, whys: list[str], uses: tuple[int, int]) -> None:
    shop = Shop((SINGLE,), hold=True)
    verdicts = [STEPS[step.replace("_", " ")](shop) for step in steps.split()]
    assert " ".join(verdict.outcome for verdict in verdicts) == outcomes
    assert [verdict.why for verdict in verdicts if verdict.why] == whys
    coupon = shop.world.state.coupons["id-A"]
    assert (coupon.held, coupon.used) == uses


def test_the_release_names_the_failed_payment() -> None:
    shop = Shop((SINGLE, one("B")), hold=True)
    shop.place("A", "B")
    shop.fail(5)
    found = [(kind, data["cause"], data["order_id"], data["coupons"][0]["code"]) for kind, data in shop.published]
    assert sorted(found) == [("released", "order.payment_failed", "ORD1", code) for code in "AB"]


def test_an_order_without_a_hold_has_nothing_to_release() -> None:
    """With COUPONRY_BURN_ON=placed its coupons are redeemed. Cancel the order to restore them."""
    shop = Shop((SINGLE,))
    shop.place("A")
    assert (shop.fail(5).why, shop.discounts()) == ("nothing_held", {"A": 1_000})


@pytest.mark.parametrize("name", LIMITED)
@pytest.mark.parametrize("by", [JOHN, MARY])
def test_an_order_that_is_paid_after_all_never_passes_a_limit(name: str, by: Any) -> None:
    shop = Shop((LIMITED[name],), hold=True)
    shop.place("A")
    shop.fail(1)
    taken = shop.place("A", order_id="ORD2", minute=2, by=by)
    assert taken.outcome == "held"
    assert shop.pay(3, "ORD2").outcome == "redeemed"
    late = shop.pay(9)
    if by == MARY and name in ("per customer", "first order"):  # limits of each customer
        assert late.outcome == "redeemed"
        return
    expected = {
        "per coupon": Reason.EXHAUSTED, "per customer": Reason.CUSTOMER_LIMIT, "in total": Reason.CAMPAIGN_EXHAUSTED,
        "budget": Reason.BUDGET_EXCEEDED, "first order": Reason.NOT_FIRST_ORDER,
    }  # fmt: skip
    assert only_reason(late) == expected[name]
    assert shop.types == ["redemption_refused"]
    assert (shop.discounts(), shop.discounts("ORD2")) == ({}, {"A": 1_000})
    assert shop.world.state.orders["ORD1"].status == "paid"


@pytest.mark.parametrize("name", LIMITED)
def test_an_order_that_is_paid_after_all_waits_for_what_another_order_holds(name: str) -> None:
    shop = Shop((LIMITED[name],), hold=True)
    shop.place("A")
    shop.fail(1)
    shop.place("A", order_id="ORD2", minute=2)
    late = shop.pay(9)
    assert set(reasons(late)) == {"A"}
    assert shop.discounts("ORD2") == {"A": 1_000}
    assert shop.pay(10, "ORD2").outcome == "redeemed"


def test_the_lost_coupons_of_a_paid_order_are_judged_one_by_one() -> None:
    shop = Shop((SINGLE, one("B", discount=percent("20"))), hold=True)
    shop.place("A", "B")
    shop.fail(1)
    shop.place("A", order_id="ORD2", minute=2)
    shop.pay(3, "ORD2")
    late = shop.pay(9)
    assert (late.outcome, reasons(late)) == ("redeemed", {"A": Reason.EXHAUSTED})
    assert (shop.discounts(), shop.types) == ({"B": 2_000}, ["redeemed", "redemption_refused"])


# Takeover


@pytest.mark.parametrize("name", LIMITED)
def test_a_newer_order_of_the_customer_takes_over_the_hold(name: str) -> None:
    shop = Shop((LIMITED[name],), hold=True)
    shop.place("A")
    newer = shop.place("A", order_id="ORD2", minute=2)
    assert (newer.outcome, shop.types) == ("held", ["locked", "released"])
    assert (shop.discounts(), shop.discounts("ORD2")) == ({}, {"A": 1_000})
    _, release = shop.published[1]
    assert (release["order_id"], release["cause"], release.get("reason")) == ("ORD1", "order.placed", None)


@pytest.mark.parametrize("name", LIMITED)
def test_the_older_order_is_judged_again_if_it_is_paid_after_all(name: str) -> None:
    shop = Shop((LIMITED[name],), hold=True)
    shop.place("A")
    shop.place("A", order_id="ORD2", minute=2)
    first = shop.pay(3)
    assert (first.outcome, shop.types) == ("refused", ["redemption_refused"])
    assert shop.pay(4, "ORD2").outcome == "redeemed"
    assert (shop.discounts(), shop.discounts("ORD2")) == ({}, {"A": 1_000})


@pytest.mark.parametrize("end", ["cancel", "fail"])
@pytest.mark.parametrize("name", LIMITED)
def test_the_older_order_gets_its_coupon_back_if_the_newer_one_gave_it_up(name: str, end: str) -> None:
    shop = Shop((LIMITED[name],), hold=True)
    shop.place("A")
    shop.place("A", order_id="ORD2", minute=2)
    getattr(shop, end)(3, "ORD2")
    assert shop.pay(4).outcome == "redeemed"
    assert shop.discounts() == {"A": 1_000}


@pytest.mark.parametrize("limits", [SINGLE, TOTAL, BUDGET])
def test_another_customers_order_takes_nothing_over(limits: Any) -> None:
    shop = Shop((limits,), hold=True)
    shop.place("A")
    other = shop.place("A", order_id="ORD2", minute=2, by=MARY)
    assert only_reason(other) == Reason.LOCKED_ELSEWHERE
    assert shop.discounts() == {"A": 1_000}
    assert only_reason(shop.place("A", order_id="ORD3", minute=3, by=None)) in (
        Reason.LOCKED_ELSEWHERE, Reason.CUSTOMER_REQUIRED,
    )  # fmt: skip


@pytest.mark.parametrize("name", LIMITED)
def test_with_takeover_never_the_newer_order_is_refused(name: str) -> None:
    shop = Shop((LIMITED[name],), hold=True)
    shop.place("A")
    newer = shop.place("A", order_id="ORD2", minute=2, takeover=False)
    assert newer.outcome == "refused"
    assert (shop.discounts(), shop.discounts("ORD2")) == ({"A": 1_000}, {})


def test_a_hold_is_left_alone_if_the_coupon_has_room_for_both() -> None:
    shop = Shop((one("A", limits=PLENTY),), hold=True)
    shop.place("A")
    shop.place("A", order_id="ORD2", minute=2)
    assert shop.types == ["locked"]
    assert (shop.discounts(), shop.discounts("ORD2")) == ({"A": 1_000}, {"A": 1_000})


def test_an_older_order_that_arrives_late_takes_nothing_from_a_newer_one() -> None:
    shop = Shop((SINGLE,), hold=True)
    shop.place("A", order_id="ORD2", minute=2)
    assert only_reason(shop.place("A", minute=0)) == Reason.LOCKED_ELSEWHERE
    assert shop.discounts("ORD2") == {"A": 1_000}


def test_a_paid_order_keeps_its_coupon() -> None:
    shop = Shop((SINGLE,), hold=True)
    shop.place("A")
    shop.pay(1)
    assert only_reason(shop.place("A", order_id="ORD2", minute=2)) == Reason.EXHAUSTED


def test_a_lock_that_the_shop_made_is_not_taken_over() -> None:
    shop = Shop((SINGLE,), hold=True)
    shop.world.lock("A", order_id="ORD9")
    assert only_reason(shop.place("A", order_id="ORD2", minute=2)) == Reason.LOCKED_ELSEWHERE


def test_three_orders_take_over_one_after_another_and_only_the_last_is_redeemed() -> None:
    shop = Shop((SINGLE,), hold=True)
    for number in range(3):
        shop.place("A", order_id=f"ORD{number}", minute=number)
    outcomes = [shop.pay(10 + number, f"ORD{number}").outcome for number in range(3)]
    assert outcomes == ["refused", "refused", "redeemed"]


def test_only_the_coupon_that_is_named_again_is_taken_over() -> None:
    shop = Shop((SINGLE, one("B", limits=SINGLE.limits, discount=percent("20"))), hold=True)
    shop.place("A", "B")
    shop.place("A", order_id="ORD2", minute=2)
    assert (shop.discounts(), shop.discounts("ORD2")) == ({"B": 2_000}, {"A": 1_000})
    paid = shop.pay(3)
    assert (paid.outcome, reasons(paid)) == ("redeemed", {"A": Reason.LOCKED_ELSEWHERE})
    assert shop.discounts() == {"B": 2_000}


# First orders


@pytest.mark.parametrize("end", ["cancel", "fail", "lapse", "none"])
def test_an_unpaid_order_that_ended_is_no_first_order(end: str) -> None:
    shop = Shop((FIRST,), hold=True)
    shop.place("A", hold_seconds=3_600)
    if end in ("cancel", "fail"):
        getattr(shop, end)(1)
    elif end == "lapse":
        shop.world.now = NOW + 3 * DAY
    newer = shop.place("A", order_id="ORD2", minute=120, takeover=False)
    assert newer.outcome == ("refused" if end == "none" else "held")


@pytest.mark.parametrize("end", ["fail", "lapse"])
def test_an_order_that_is_paid_late_is_an_order_again(end: str) -> None:
    shop = Shop((FIRST,), hold=True)
    shop.place("A", hold_seconds=3_600)
    if end == "fail":
        shop.fail(1)
    else:
        shop.world.now = NOW + 3 * DAY
    shop.pay(200)
    assert only_reason(shop.place("A", order_id="ORD2", minute=300)) == Reason.NOT_FIRST_ORDER


def test_a_hold_that_lapsed_is_refused_at_the_payment_and_named_in_the_refusal() -> None:
    shop = Shop((SINGLE,), hold=True)
    shop.place("A", hold_seconds=3_600)
    shop.world.now = NOW + 3 * DAY
    late = shop.pay(2 * 1_440)
    assert reasons(late) == {"A": Reason.LOCK_EXPIRED}
    assert late.refused[0].details["expired_at"]


# Payments that arrive late


@pytest.mark.parametrize("swept", [False, True])
def test_a_payment_in_time_that_arrives_after_the_hold_ended_redeems_what_it_held(swept: bool) -> None:
    shop = Shop((SINGLE,), hold=True)
    shop.place("A", hold_seconds=3_600)
    shop.world.now = NOW + 3 * DAY
    if swept:
        shop.world.expire(order_hold("ORD1"))
    paid = shop.pay(60)
    assert (paid.outcome, shop.discounts(), shop.types) == ("redeemed", {"A": 1_000}, ["redeemed"])
    assert shop.pay(60).outcome == "unchanged"


def test_a_payment_in_time_does_not_take_the_use_that_another_order_has_by_then() -> None:
    shop = Shop((SINGLE,), hold=True)
    shop.place("A", hold_seconds=3_600)
    shop.world.now = NOW + 3 * DAY
    shop.place("A", order_id="ORD2", minute=3_000, by=MARY)
    paid = shop.pay(60)
    assert reasons(paid) == {"A": Reason.LOCKED_ELSEWHERE}
    assert (shop.discounts(), shop.discounts("ORD2")) == ({}, {"A": 1_000})


def test_a_payment_after_the_end_of_the_hold_is_late_whenever_it_arrives() -> None:
    shop = Shop((SINGLE,), hold=True)
    shop.place("A", hold_seconds=3_600)
    shop.world.now = NOW + 3 * DAY
    assert reasons(shop.pay(1_440 + 60)) == {"A": Reason.LOCK_EXPIRED}


# A new attempt to pay


@pytest.mark.parametrize("as_event", ["order.placed", "order.changed"])
@pytest.mark.parametrize("end", ["fail", "lapse"])
def test_the_same_order_placed_once_more_holds_its_coupon_again(end: str, as_event: str) -> None:
    shop = Shop((SINGLE,), hold=True, as_event=as_event)
    shop.place("A", hold_seconds=3_600)
    if end == "fail":
        shop.fail(1)
    else:
        shop.world.now = NOW + 3 * DAY
    assert shop.send("A", goods=goods(10_000), minute=0, changed=False).outcome == "unchanged"
    again = shop.send("A", goods=goods(10_000), minute=3)
    assert (again.outcome, shop.discounts(), shop.types) == ("held", {"A": 1_000}, ["locked"])
    assert shop.send("A", goods=goods(10_000), minute=3).outcome == "unchanged"
    assert shop.fail(1).outcome == "unchanged"  # the earlier attempt
    assert (shop.pay(4).outcome, shop.discounts()) == ("redeemed", {"A": 1_000})


def test_a_new_attempt_to_pay_finds_the_coupon_used_by_another_order() -> None:
    shop = Shop((SINGLE,), hold=True)
    shop.place("A")
    shop.fail(1)
    shop.place("A", order_id="ORD2", minute=2, by=MARY)
    assert only_reason(shop.send("A", goods=goods(10_000), minute=3)) == Reason.LOCKED_ELSEWHERE


def test_an_order_that_still_holds_its_coupon_holds_it_no_longer_when_it_is_placed_once_more() -> None:
    shop = Shop((SINGLE,), hold=True)
    shop.place("A", hold_seconds=3_600)
    expires_at = shop.world.state.locks[order_hold("ORD1")].expires_at
    assert shop.send("A", goods=goods(10_000), minute=3, changed=False).outcome == "unchanged"
    assert shop.world.state.locks[order_hold("ORD1")].expires_at == expires_at
