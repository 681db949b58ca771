"""Events of one order from clocks that differ, and other orders under an id that is known."""

from dataclasses import replace
from itertools import permutations

import pytest

from shared.domain.model.customer import Customer
from shared.domain.model.order import Order
from shared.domain.model.order_commands import ReturnOrder
from shared.domain.model.reasons import Reason
from shared.domain.model.verdicts import Verdict
from tests.builders import DAY, JOHN, MARY, MINUTE, NOW, only_reason
from tests.changing_orders import Shop, goods, one

SECOND = 1 / 60


def shop(hold: bool = False) -> Shop:
    return Shop((one("A"), one("B")), hold)


def returned(shop: Shop, minute: float, **fields: object) -> Verdict:
    at = NOW + minute * MINUTE
    return shop.run(ReturnOrder(shop.world.command_id(), "ORD1", not fields, at, **fields))  # type: ignore[arg-type]


# An event that is dated before the placing of an order that was never closed


@pytest.mark.parametrize("hold", [False, True])
@pytest.mark.parametrize("minute", [10, 9.5, 10 - SECOND / 2, 5, -1_440])
@pytest.mark.parametrize("how", ["cancel", "return"])
def test_an_order_can_be_closed_by_a_slower_clock(hold: bool, minute: float, how: str) -> None:
    here = shop(hold)
    here.place("A", minute=10)
    closed = here.cancel(minute) if how == "cancel" else returned(here, minute)
    assert closed.outcome == ("released" if hold else "restored")
    assert here.discounts() == {}


@pytest.mark.parametrize("minute", [10, 9.5, 5, -1_440])
def test_an_order_can_be_paid_by_a_slower_clock(minute: float) -> None:
    here = shop(hold=True)
    here.place("A", minute=10)
    assert here.pay(minute).outcome == "redeemed"
    assert here.discounts() == {"A": 1_000}


@pytest.mark.parametrize("minute", [10, 9.5, 5, -1_440])
def test_a_payment_can_fail_by_a_slower_clock(minute: float) -> None:
    here = shop(hold=True)
    here.place("A", minute=10)
    assert here.fail(minute).outcome == "released"


@pytest.mark.parametrize("minute", [10, 9.5, 5, -1_440])
def test_a_part_can_be_returned_by_a_slower_clock(minute: float) -> None:
    here = shop()
    here.place("A", minute=10)
    assert returned(here, minute, amount="25.00").outcome == "restored"
    assert here.discounts() == {"A": 750}


@pytest.mark.parametrize("hold", [False, True])
def test_the_same_placing_again_does_not_reopen_an_order_that_a_slower_clock_closed(hold: bool) -> None:
    here = shop(hold)
    here.place("A", minute=10)
    here.cancel(5)
    again = here.place("A", minute=10)
    assert (only_reason(again), here.discounts()) == (Reason.ORDER_MISMATCH, {})
    assert here.place("A", minute=11).accepted  # a later placing does
    assert here.discounts() == {"A": 1_000}


@pytest.mark.parametrize("hold", [False, True])
@pytest.mark.parametrize(("minute", "why"), [(5, "earlier_order"), (15, "earlier_order"), (25, None)])
def test_of_an_order_that_was_placed_twice_times_decide_which_one_is_cancelled(
    hold: bool, minute: float, why: str | None
) -> None:
    here = shop(hold)
    here.place("A", minute=0)
    here.cancel(10)
    here.place("A", minute=20)
    assert (here.cancel(minute).why, bool(here.discounts())) == (why, why is not None)


@pytest.mark.parametrize("hold", [False, True])
@pytest.mark.parametrize("placed_late", [0.9, 0.5, 0.0])
def test_a_clock_of_whole_seconds_cancels_in_any_order_of_arrival(hold: bool, placed_late: float) -> None:
    steps = {
        "place": lambda here: here.place("A", minute=10 + placed_late * SECOND),
        "cancel": lambda here: here.cancel(10),
        "other": lambda here: here.place("A", order_id="ORD2", minute=15),
    }
    for arrival in permutations(steps):
        here = shop(hold)
        for step in arrival:
            steps[step](here)
        assert (here.discounts(), here.discounts("ORD2")) == ({}, {"A": 1_000}), arrival


@pytest.mark.parametrize("hold", [False, True])
def test_an_order_placed_again_in_the_second_of_its_cancellation_is_an_order_of_its_own(hold: bool) -> None:
    here = shop(hold)
    here.place("A", minute=10)
    here.cancel(11)
    assert only_reason(here.place("A", minute=11)) == Reason.ORDER_MISMATCH  # with the same content it is that order
    other = here.send("A", goods=goods(6_000), minute=11, changed=False)
    assert (bool(other.accepted), here.discounts()) == (True, {"A": 600})


# Times after the database's


@pytest.mark.parametrize("hold", [False, True])
def test_a_time_in_the_future_counts_as_now(hold: bool) -> None:
    here = shop(hold)
    here.place("A", minute=10 * 1_440)  # ten days ahead; the test's now is one day ahead
    known = here.world.state.orders["ORD1"]
    assert known.placed_at == here.world.now
    here.world.now += MINUTE
    assert here.pay(3_000).outcome == ("redeemed" if hold else "recorded")
    assert known.paid_at == here.world.now
    here.world.now += MINUTE
    assert here.cancel(2_000).outcome == "restored"
    assert known.cancelled_at == here.world.now
    assert here.discounts() == {}


@pytest.mark.parametrize("hold", [False, True])
def test_a_change_in_the_future_counts_as_now_and_does_not_hide_later_ones(hold: bool) -> None:
    here = shop(hold)
    here.place("A")
    here.send("A", goods=goods(5_000), minute=10 * 1_440)
    assert here.world.state.orders["ORD1"].changed_at == here.world.now
    here.world.now += MINUTE
    here.send("A", goods=goods(3_000), minute=1_441)
    assert here.discounts() == {"A": 300}


def test_a_return_in_the_future_counts_as_now() -> None:
    here = shop()
    here.place("A")
    assert returned(here, 10 * 1_440, amount="25.00").outcome == "restored"
    here.world.now += DAY
    assert returned(here, 3_000).outcome == "restored"
    assert here.world.state.orders["ORD1"].returned_at == here.world.now


# Another order under a known id


OTHER = replace(goods(7_000), order_id="ORD1")
SETUPS = {"cancelled": "cancel", "returned": "return", "paid": "pay", "held": None}


def known(how: str, *codes: str, by: Customer | None = JOHN) -> Shop:
    here = shop(hold=how in ("paid", "held"))
    here.place(*codes, by=by)
    match SETUPS[how]:
        case "cancel":
            here.cancel(10)
        case "return":
            returned(here, 10)
        case "pay":
            here.pay(10)
    return here


@pytest.mark.parametrize(
    ("how", "by", "content", "minute", "message"),
    [
        ("cancelled", MARY, goods(10_000), 5, "belongs to another customer"),
        ("cancelled", MARY, OTHER, 5, "belongs to another customer"),
        ("cancelled", JOHN, OTHER, 5, "was cancelled"),
        ("cancelled", None, OTHER, 0, "was cancelled"),
        ("returned", MARY, goods(10_000), 5, "belongs to another customer"),
        ("returned", JOHN, OTHER, 5, "was returned"),
        ("returned", JOHN, OTHER, 0, "was returned"),
        ("paid", MARY, goods(10_000), 20, "belongs to another customer"),
        ("paid", JOHN, OTHER, 20, "was paid with other goods; send order.changed"),
        ("paid", None, OTHER, 0.5, "was paid with other goods"),
        ("held", MARY, goods(10_000), 5, "belongs to another customer"),
        ("held", MARY, OTHER, 5, "belongs to another customer"),
    ],
)
@pytest.mark.parametrize("codes", [("A",), ("B",), ("A", "B"), ("X",), ()])
def test_another_order_under_a_known_id_is_refused_and_published(  # noqa: PLR0917 - a table
    how: str, by: Customer | None, content: Order, minute: float, message: str, codes: tuple[str, ...]
) -> None:
    here = known(how, "A")
    before = here.discounts()
    verdict = here.send(*codes, goods=content, minute=minute, changed=False, by=by)
    if how in ("paid", "held") or (codes != ("X",) and by is not None):  # otherwise a coupon has a reason of its own
        assert only_reason(verdict) == Reason.ORDER_MISMATCH
    assert (verdict.entries, verdict.locks, here.discounts()) == ((), (), before)
    assert here.types == ["redemption_refused"]
    [(_, data)] = here.published
    assert data["order_id"] == "ORD1"
    assert len(data["coupons"]) == max(len(codes), 1)
    if not codes:
        assert message in data["coupons"][0]["message"]


@pytest.mark.parametrize("codes", [("A",), ()])
@pytest.mark.parametrize(
    ("how", "why"),
    [("cancelled", "closed"), ("returned", "closed"), ("paid", "same_content"), ("held", "same_content")],
)
def test_the_same_order_again_is_no_other_order(how: str, why: str, codes: tuple[str, ...]) -> None:
    here = known(how, *codes)
    again = here.place(*codes)
    if codes and why == "closed":  # it asks for coupons, and this order can't have any
        assert only_reason(again) == Reason.ORDER_MISMATCH
    else:
        assert (again.outcome, again.why, here.types) == ("unchanged", why, [])


@pytest.mark.parametrize("how", ["cancelled", "returned"])
@pytest.mark.parametrize("codes", [("A",), ()])
def test_a_closed_order_cannot_change(how: str, codes: tuple[str, ...]) -> None:
    here = known(how, "A")
    verdict = here.send(*codes, goods=OTHER, minute=20)
    assert (only_reason(verdict), here.types) == (Reason.ORDER_MISMATCH, ["redemption_refused"])
    assert here.discounts() == {}


def test_a_paid_order_can_change() -> None:
    here = known("paid", "A")
    here.send("A", goods=OTHER, minute=20)
    assert (here.discounts(), here.types) == ({"A": 700}, ["redemption_adjusted"])
