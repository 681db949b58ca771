"""The events of one order in any order of arrival and repetition: invariants, and one end for all of them."""

from collections.abc import Callable
from typing import Any, Final

from hypothesis import example, given
from hypothesis import strategies as st

from shared.domain.model.order_commands import ReturnOrder
from tests.builders import MINUTE, NOW, fixed
from tests.changing_orders import Shop, goods, one

EVENTS: Final[dict[str, tuple[int, Callable[[Shop], Any]]]] = {
    "placed": (0, lambda shop: shop.place("A", minute=0)),
    "changed": (5, lambda shop: shop.send("A", "B", goods=goods(4_000), minute=5)),
    "failed": (7, lambda shop: shop.fail(7)),
    "changed again": (8, lambda shop: shop.send("A", goods=goods(2_000, 700), minute=8)),
    "paid": (10, lambda shop: shop.pay(10)),
    "returned in part": (11, lambda shop: _return(shop, 11, lines=(("1", 1),))),
    "cancelled": (12, lambda shop: shop.cancel(12)),
    "returned": (13, lambda shop: _return(shop, 13)),
}
"""(minute, step)"""

SORTABLE: Final = {"placed", "changed", "changed again", "paid", "cancelled", "returned"}
"""A failed payment of an unknown order changes nothing, and a part may be all of the order that is known until then."""


def _return(shop: Shop, minute: int, **fields: Any) -> None:
    at = NOW + minute * MINUTE
    shop.run(ReturnOrder(shop.world.command_id(), "ORD1", not fields, at, **fields))


def end_of(names: list[str], *, hold: bool, as_event: str = "order.changed") -> tuple[Any, ...]:
    """Play events. Return the discounts of the order, and whether its coupons are held or used."""
    shop = Shop((one("A"), one("B", discount=fixed(3_000))), hold, as_event)
    for name in names:
        EVENTS[name][1](shop)  # checks the totals and the discount after each event
    coupons = [shop.world.state.coupons[f"id-{code}"] for code in "AB"]
    return shop.discounts(), [(coupon.held, coupon.used) for coupon in coupons]


@given(st.lists(st.sampled_from(sorted(EVENTS)), max_size=14), st.booleans(), st.booleans())
def test_after_any_events_totals_are_right_and_no_discount_exceeds_its_order(
    names: list[str], hold: bool, as_placed: bool
) -> None:
    end_of(names, hold=hold, as_event="order.placed" if as_placed else "order.changed")


@given(names=st.lists(st.sampled_from(sorted(SORTABLE)), min_size=1, max_size=12), hold=st.booleans())
@example(names=["cancelled", "changed", "placed"], hold=True)
@example(names=["changed", "placed", "cancelled", "placed"], hold=False)
@example(names=["paid", "changed again", "placed", "changed"], hold=True)
def test_events_have_the_same_end_in_any_order_of_arrival(names: list[str], hold: bool) -> None:
    names = [*names, "placed"]
    in_order = sorted(set(names), key=lambda name: EVENTS[name][0])
    assert end_of(names, hold=hold) == end_of(in_order, hold=hold)
