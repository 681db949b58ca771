"""Caps per coupon: how often each customer can use each code of a campaign."""

from datetime import timedelta
from typing import Any

import pytest

from schemas.parsing import InvalidDocumentError
from shared.domain.model.campaign import Cap, Limits
from shared.domain.model.reasons import Reason
from tests.builders import DAY, JOHN, MARY, NOW, World, campaign, only_reason, order
from tests.unit.test_definitions import changed

ONCE = Cap("coupon", "customer", uses=1)


def shop(*caps: Cap, codes: str = "AB", **fields: Any) -> World:
    limits = Limits(None, caps=caps or (ONCE,))
    world = World((campaign(limits=limits, **fields),), now=NOW + 90 * DAY)
    for code in codes:
        world.coupon(code)
        world.state.coupons[f"id-{code}"].uses_limit = None
    return world


def buy(world: World, order_id: str, *codes: str, by: Any = JOHN, days: int = 0, **fields: Any) -> Any:
    return world.redeem(*codes, to=order(order_id, placed_at=NOW + days * DAY), by=by, **fields)


def test_each_customer_uses_each_code_once() -> None:
    world = shop()
    for number, (code, by) in enumerate([("A", JOHN), ("B", JOHN), ("A", MARY), ("B", MARY)]):
        assert buy(world, f"O{number}", code, by=by).outcome == "redeemed"
    refused = buy(world, "O9", "A", days=60).refused[0]
    assert refused.reason == Reason.CUSTOMER_LIMIT
    assert refused.message == "This customer already has the 1 use of each coupon that campaign 'save10' allows."
    assert refused.details == {"limit": "1", "used": "1", "per": "coupon", "held": "0"}


def test_a_restored_use_gives_the_code_back() -> None:
    world = shop()
    buy(world, "O1", "A")
    world.cancel("O1", at=NOW + DAY)
    assert buy(world, "O2", "A", days=2).outcome == "redeemed"
    assert only_reason(buy(world, "O3", "A", days=3)) == Reason.CUSTOMER_LIMIT


def test_what_a_lock_holds_counts_for_others_and_not_for_its_order() -> None:
    world = shop()
    world.lock("A", by=JOHN, order_id="O1")
    assert only_reason(world.lock("A", by=JOHN, reference="lock-2", order_id="O2")) == Reason.CUSTOMER_LIMIT
    assert buy(world, "O1", lock_reference="lock-1").outcome == "redeemed"
    assert only_reason(buy(world, "O3", "A")) == Reason.CUSTOMER_LIMIT


def test_a_cap_of_days_counts_next_to_it() -> None:
    world = shop(ONCE, Cap("day", "customer", uses=2), codes="ABC")
    assert buy(world, "O1", "A").outcome == "redeemed"
    assert buy(world, "O2", "B").outcome == "redeemed"
    assert only_reason(buy(world, "O3", "C")) == Reason.CUSTOMER_LIMIT
    assert buy(world, "O4", "C", days=1).outcome == "redeemed"
    assert only_reason(buy(world, "O5", "B", days=1)) == Reason.CUSTOMER_LIMIT


def test_the_limit_holds_over_all_time() -> None:
    world = shop(Cap("coupon", "customer", uses=2))
    world.now = NOW + timedelta(days=4000)
    assert buy(world, "O1", "A").outcome == "redeemed"
    assert buy(world, "O2", "A", days=3000).outcome == "redeemed"
    assert only_reason(buy(world, "O3", "A", days=3900)) == Reason.CUSTOMER_LIMIT


@pytest.mark.parametrize(
    ("cap", "problem"),
    [
        ({"per": "coupon", "uses": 1}, "limits all uses of each coupon; write limits.uses_per_coupon, or each: custom"),
        ({"per": "coupon", "each": "customer", "coupons": 1}, "limits coupons per coupon, which is always one; give"),
        ({"per": "coupon", "each": "customer"}, "limits nothing; give uses, coupons, or both"),
    ],
)
def test_a_cap_per_coupon_limits_uses_of_each_customer(cap: dict[str, Any], problem: str) -> None:
    with pytest.raises(InvalidDocumentError, match=problem):
        changed(limits={"caps": [cap]})
