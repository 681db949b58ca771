"""Orders without an amount: their coupons take off the discount that a lock held."""

from dataclasses import replace

from shared.domain.model.order import Order
from shared.domain.model.reasons import Reason
from tests.builders import JOHN, MARY, World, campaign, order

UNPRICED = Order("ORD1", "EUR", 0)


def test_burning_a_lock_takes_off_the_held_discount_in_its_currency() -> None:
    world = World((campaign(),))
    world.coupon()
    held = world.lock("SAVE10", order=order(), order_id="ORD1")
    burned = world.redeem(to=UNPRICED, lock_reference="lock-1", priced=False)
    assert (burned.outcome, burned.currency) == ("redeemed", "USD")
    assert burned.discount_minor == held.discount_minor > 0
    assert burned.accepted[0].lines == held.accepted[0].lines
    assert sum(one.held_minor for verdict in world.verdicts for one in verdict.entries) == 0


def test_a_lock_without_an_order_is_burned_with_nothing_taken_off() -> None:
    world = World((campaign(),))
    world.coupon()
    world.lock("SAVE10")
    burned = world.redeem(to=UNPRICED, lock_reference="lock-1", priced=False)
    assert (burned.outcome, burned.discount_minor, burned.currency) == ("redeemed", 0, "EUR")
    assert world.state.coupons["id-SAVE10"].used == 1


def test_a_code_is_judged_by_all_rules_that_need_no_amount() -> None:
    world = World((campaign(min_order_minor=1_000_000, currency="USD"),))
    world.coupon(holder_key="customer-john")
    assert world.redeem("SAVE10", to=UNPRICED, priced=False).outcome == "redeemed"
    again = world.redeem("SAVE10", to=replace(UNPRICED, order_id="ORD2"), by=MARY, priced=False)
    assert again.refused[0].reason is Reason.EXHAUSTED


def test_the_order_is_recorded_when_its_amount_arrives() -> None:
    world = World((campaign(),))
    world.coupon()
    world.redeem("SAVE10", to=UNPRICED, priced=False)
    assert world.state.orders["ORD1"].currency is None
    verdict = world.redeem("SAVE10", to=order(), by=JOHN)
    assert verdict.outcome in {"recorded", "unchanged"}
    assert world.state.orders["ORD1"].amount_minor == order().amount_minor
    assert world.state.coupons["id-SAVE10"].used == 1
