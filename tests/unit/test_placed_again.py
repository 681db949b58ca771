"""Orders that are placed again with uses that closing them did not restore."""

from dataclasses import replace

import pytest

from shared.domain.model.order_commands import RedeemCoupons, ReturnOrder
from shared.domain.model.reasons import Reason
from tests.builders import JOHN, MINUTE, NOW, fixed, percent, reasons
from tests.changing_orders import Shop, goods, one

NOTHING: frozenset[str] = frozenset()
KEEPS = one("A", discount=fixed(1_000), restore_on=NOTHING)
KEEPS_10 = one("A", restore_on=NOTHING)
FROM50 = one("A", discount=fixed(1_000), currency="USD", min_order_minor=5_000, restore_on=NOTHING)
ALONE = one("B", discount=percent("20"), stacking="exclusive")


@pytest.mark.parametrize(("minor", "left"), [(20_000, 1_000), (1_000, 1_000), (999, 999), (300, 300), (0, 0)])
@pytest.mark.parametrize("complete", [True, False])
def test_the_discount_is_that_of_the_new_amount(minor: int, left: int, complete: bool) -> None:
    shop = Shop((KEEPS,))
    redemption = shop.place("A").redemption_id
    shop.cancel(10)
    again = shop.send("A", goods=goods(minor), minute=20, changed=False, complete=complete)
    assert shop.discounts() == {"A": left}
    assert shop.world.state.coupons["id-A"].used == 1
    assert {kept.coupon.redemption_id for kept in again.kept} == {redemption}
    expected = {1_000: [], 0: ["redemption_refused", "redemption_adjusted"]}
    assert shop.types == expected.get(left, ["redemption_adjusted"])
    assert shop.send("A", goods=goods(minor), minute=20, changed=False).outcome == "unchanged"


def test_a_larger_order_raises_a_percentage() -> None:
    shop = Shop((KEEPS_10,))
    shop.place("A")
    shop.cancel(10)
    shop.send("A", goods=goods(30_000), minute=20, changed=False)
    assert shop.discounts() == {"A": 3_000}
    assert [(data["discount_before"], data["discount_amount"]) for _, data in shop.published] == [("10.00", "30.00")]


def test_a_coupon_that_is_no_longer_named_stays_used_and_takes_nothing_off() -> None:
    shop = Shop((KEEPS, one("B")))
    shop.place("A")
    shop.cancel(10)
    again = shop.send("B", goods=goods(3_000), minute=20, changed=False)
    assert (again.outcome, shop.discounts()) == ("redeemed", {"A": 0, "B": 300})
    assert shop.world.state.coupons["id-A"].used == 1
    assert sorted(shop.types) == ["redeemed", "redemption_adjusted"]


def test_a_coupon_that_is_no_longer_good_is_refused_and_stays_used() -> None:
    shop = Shop((FROM50,))
    shop.place("A")
    shop.cancel(10)
    again = shop.send("A", goods=goods(4_999), minute=20, changed=False)
    assert reasons(again) == {"A": Reason.BELOW_MINIMUM}
    assert (shop.discounts(), shop.world.state.coupons["id-A"].used) == ({"A": 0}, 1)
    shop.send("A", goods=goods(6_000), minute=30)
    assert shop.discounts() == {"A": 1_000}


def test_a_coupon_that_cannot_be_combined_with_a_better_one_stays_used_without_a_discount() -> None:
    shop = Shop((KEEPS_10, ALONE))
    shop.place("A")
    shop.cancel(10)
    again = shop.send("A", "B", goods=goods(10_000), minute=20, changed=False)
    assert reasons(again) == {"A": Reason.BETTER_OFFER_WON}
    assert (shop.discounts(), shop.world.state.coupons["id-A"].used) == ({"A": 0, "B": 2_000}, 1)


def test_parts_of_the_closed_order_do_not_count_for_the_order_placed_again() -> None:
    campaign = one("A", restore_on=frozenset({"order.returned"}))
    shop = Shop((campaign,))
    shop.place("A")
    shop.run(ReturnOrder("p", "ORD1", False, NOW + 5 * MINUTE, amount="50.00"))
    assert shop.discounts() == {"A": 500}
    shop.cancel(10)
    shop.send("A", goods=goods(20_000), minute=20, changed=False)
    assert (shop.discounts(), shop.world.state.coupons["id-A"].used) == ({"A": 2_000}, 1)
    shop.run(ReturnOrder("q", "ORD1", False, NOW + 25 * MINUTE, amount="100.00"))
    assert shop.discounts() == {"A": 1_000}


def test_a_use_in_another_currency_stays_as_it_was() -> None:
    shop = Shop((KEEPS_10,))
    shop.place("A")
    shop.cancel(10)
    in_euro = replace(goods(300), currency="EUR", placed_at=NOW + 20 * MINUTE)
    shop.run(RedeemCoupons("again", in_euro, customer=JOHN, complete=True))
    (use,) = shop.world.state.orders["ORD1"].redemptions.values()
    assert (use.discount_minor, use.currency) == (1_000, "USD")


def test_an_order_that_is_held_again_keeps_what_it_redeemed_before() -> None:
    shop = Shop((KEEPS, one("B")), hold=True)
    shop.place("A")
    shop.pay(1)
    shop.cancel(10)
    shop.send("A", "B", goods=goods(3_000), minute=20, changed=False)
    assert shop.discounts() == {"A": 1_000, "B": 200}
    assert shop.pay(30).outcome == "redeemed"
    assert shop.discounts() == {"A": 1_000, "B": 200}
    shop.cancel(40)
    assert shop.discounts() == {"A": 1_000}


# A change that leaves only goods that were returned


@pytest.mark.parametrize("hold", [False, True])
@pytest.mark.parametrize("part_first", [True, False])
def test_a_change_that_leaves_what_was_returned_is_a_whole_return_in_both_orders(hold: bool, part_first: bool) -> None:
    shop = Shop((one("A"), one("B", restore_on=NOTHING)), hold=hold)
    shop.place("A", "B")
    if hold:
        shop.pay(1)
    part = ReturnOrder("p", "ORD1", False, NOW + 20 * MINUTE, amount="50.00")
    if part_first:
        shop.run(part)
    shop.send("A", "B", goods=goods(5_000), minute=10)
    if not part_first:
        shop.run(part)
    assert shop.world.state.orders["ORD1"].status == "returned"
    assert shop.world.state.coupons["id-A"].used == 0
    assert (shop.world.state.coupons["id-B"].used, shop.discounts()) == (1, {"B": 450})


def test_nothing_is_held_for_a_changed_order_of_which_all_was_returned() -> None:
    shop = Shop((one("A"), one("B")), hold=True)
    shop.place("A")
    shop.run(ReturnOrder("p", "ORD1", False, NOW + 20 * MINUTE, amount="50.00"))
    changed = shop.send("A", "B", goods=goods(5_000), minute=10)
    assert shop.discounts() == {}
    assert reasons(changed)["B"] == Reason.ORDER_MISMATCH
    assert shop.pay(30).outcome == "recorded"
    assert shop.discounts() == {}


def test_a_whole_return_under_the_id_of_a_part_is_refused() -> None:
    shop = Shop((one("A"),))
    shop.place("A")
    shop.run(ReturnOrder("p", "ORD1", False, NOW + MINUTE, amount="50.00", return_id="R1"))
    refused = shop.run(ReturnOrder("q", "ORD1", at=NOW + 2 * MINUTE, return_id="R1"))
    assert (refused.outcome, shop.discounts(), shop.types) == ("refused", {"A": 500}, [])
    assert "R1" in refused.refused[0].message
