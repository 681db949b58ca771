"""Returns with a `return_id`, and refunds: what the customer got back after discounts."""

from itertools import permutations
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.domain.model.reasons import Reason
from tests.builders import FREE_SHIPPING, MINUTE, fixed, line, only_reason, percent
from tests.returned_goods import PLACED, goods, left, numbers, restored_shares, shop

Refund = tuple[str, str, Any, int, tuple[str, ...], tuple[int, ...]]
REFUNDS: list[Refund] = [
    # currency, name, discount, price, refunds, restored by each (None of them is the last)
    ("USD", "half of what was paid", fixed(1_000), 10_000, ("45.00",), (500,)),
    ("USD", "thirds", fixed(1_000), 10_000, ("30.00", "30.00"), (333, 334)),
    ("USD", "all but a cent", percent("10"), 10_000, ("89.99",), (1_000,)),
    ("USD", "nothing", fixed(1_000), 10_000, ("0.00",), (0,)),
    ("JPY", "yen", fixed(100), 1_000, ("301", "301"), (33, 34)),
    ("KWD", "dinars", fixed(1_000), 10_000, ("4.500", "0.001"), (500, 0)),
]


@pytest.mark.parametrize("case", REFUNDS, ids=lambda one: f"{one[0]}, {one[1]}")
def test_a_refund_returns_the_same_part_of_the_goods(case: Refund) -> None:
    currency, _, discount, price, refunds, restored = case
    world = shop(discount=discount, currency=currency)
    world.redeem("A", to=goods(line("1", price), currency=currency))
    verdicts = [world.part(refunded_amount=one, at=PLACED + n * MINUTE) for n, one in enumerate(refunds, 1)]
    assert tuple(restored_shares(verdict)[0] for verdict in verdicts) == restored
    assert world.state.orders["ORD1"].status == "placed"


@pytest.mark.parametrize(
    "parts",
    [
        ({"refunded_amount": "90.00"},),
        ({"refunded_amount": "95.00"},),  # with the shipping
        ({"refunded_amount": "30.00"}, {"refunded_amount": "30.00"}, {"refunded_amount": "30.00"}),
        ({"amount": "40.00"}, {"refunded_amount": "54.00"}),
        ({"units": (("1", 1),)}, {"refunded_amount": "36.00"}),
        ({"refunded_amount": "54.00"}, {"units": (("2", 2),)}),
    ],
)
def test_all_refunded_is_all_returned(parts: tuple[dict[str, Any], ...]) -> None:
    for early in (False, True):
        for order in permutations(parts):
            world = shop(discount=fixed(1_000))
            before = numbers(world)
            if not early:
                world.redeem("A", to=goods())
            for number, part in enumerate(order, 1):
                named = dict(part)
                world.part(*named.pop("units", ()), at=PLACED + number * MINUTE, **named)
            if early:
                assert only_reason(world.redeem("A", to=goods())) == Reason.ORDER_MISMATCH
            assert world.state.orders["ORD1"].status == "returned", order
            assert numbers(world) == before


@pytest.mark.parametrize("hold", [False, True])
def test_a_refund_before_the_order_is_restored_once_it_redeems(hold: bool) -> None:
    world = shop(discount=fixed(1_000))
    assert world.part(refunded_amount="45.00", at=PLACED + MINUTE).outcome == "recorded"
    verdict = world.redeem("A", to=goods(), hold=hold, hold_seconds=3_600)
    if hold:
        verdict = world.pay(at=PLACED + 2 * MINUTE)
    assert restored_shares(verdict)[0] == 500
    assert left(world) == 500


def test_all_refunded_while_the_coupon_is_held_releases_it() -> None:
    world = shop(discount=fixed(1_000))
    before = numbers(world)
    world.redeem("A", to=goods(), hold=True, hold_seconds=3_600)
    assert world.part(refunded_amount="90.00", at=PLACED + MINUTE).outcome == "released"
    assert numbers(world) == before


def test_a_discount_on_shipping_does_not_lower_what_was_paid_for_the_goods() -> None:
    world = shop(discount=FREE_SHIPPING)
    world.redeem("A", to=goods(shipping_minor=700))
    assert world.part(refunded_amount="99.99", at=PLACED + MINUTE).outcome == "recorded"
    assert world.part(refunded_amount="0.01", at=PLACED + 2 * MINUTE).outcome == "restored"


@pytest.mark.parametrize("amount", ["1.234", "-1", "x", ""])
def test_a_refund_that_the_currency_cannot_represent_is_refused_and_changes_nothing(amount: str) -> None:
    world = shop()
    world.redeem("A", to=goods())
    verdict = world.part(refunded_amount=amount, at=PLACED + MINUTE)
    assert only_reason(verdict) == Reason.ORDER_MISMATCH
    assert verdict.refused[0].message.startswith("refunded_amount: ")
    assert left(world) == 1_000


@pytest.mark.parametrize(
    ("part", "restored"),
    [
        ({"units": (("2", 1),), "amount": "90.00", "refunded_amount": "80.00"}, 200),
        ({"amount": "20.00", "refunded_amount": "80.00"}, 200),
        ({"refunded_amount": "18.00"}, 200),
    ],
)
def test_of_several_the_first_counts(part: dict[str, Any], restored: int) -> None:
    world = shop(discount=fixed(1_000))
    world.redeem("A", to=goods())
    named = dict(part)
    assert restored_shares(world.part(*named.pop("units", ()), at=PLACED + MINUTE, **named))[0] == restored


PARTS: list[dict[str, Any]] = [{"units": (("2", 1),)}, {"amount": "20.00"}, {"refunded_amount": "18.00"}]


def part(world: Any, named: dict[str, Any], minute: int, return_id: str | None = None) -> Any:
    fields = dict(named)
    return world.part(*fields.pop("units", ()), at=PLACED + minute * MINUTE, return_id=return_id, **fields)


@pytest.mark.parametrize("named", PARTS)
def test_two_returns_in_one_second_are_two_if_they_have_their_own_ids(named: dict[str, Any]) -> None:
    world = shop(discount=fixed(1_000))
    world.redeem("A", to=goods(line("1", 4_000), line("2", 2_000, 3)))
    outcomes = [part(world, named, 1, one).outcome for one in ("R1", "R2", None, None, "R1")]
    assert outcomes == ["restored", "restored", "restored", "unchanged", "unchanged"]
    assert left(world) == 400


@pytest.mark.parametrize("named", PARTS)
def test_a_return_that_is_sent_again_at_another_time_is_the_same_return(named: dict[str, Any]) -> None:
    world = shop(discount=fixed(1_000))
    world.redeem("A", to=goods())
    assert part(world, named, 1, "R1").outcome == "restored"
    assert part(world, named, 7, "R1").outcome == "unchanged"
    assert left(world) == 800


@pytest.mark.parametrize(("first", "second"), list(permutations(PARTS, 2)))
def test_a_return_id_with_other_content_is_refused_and_changes_nothing(
    first: dict[str, Any], second: dict[str, Any]
) -> None:
    world = shop(discount=fixed(1_000))
    world.redeem("A", to=goods())
    part(world, first, 1, "R1")
    refused = part(world, second, 1, "R1")
    assert only_reason(refused) == Reason.ORDER_MISMATCH
    assert refused.refused[0].message == (
        "Return 'R1' of this order was recorded with other content; give each return its own id."
    )
    assert left(world) == 800


def test_the_same_amount_in_other_words_is_the_same_content() -> None:
    world = shop(discount=fixed(1_000))
    world.redeem("A", to=goods())
    part(world, {"refunded_amount": "18.00"}, 1, "R1")
    assert part(world, {"refunded_amount": "18"}, 2, "R1").outcome == "unchanged"


@settings(max_examples=150, deadline=None)
@given(
    st.integers(1, 9_000),
    st.lists(st.integers(0, 4_000), min_size=1, max_size=6),
    st.randoms(use_true_random=False),
    st.booleans(),
)
def test_refunds_in_any_split_and_order_leave_the_same(off: int, refunds: list[int], random: Any, early: bool) -> None:
    ends = set()
    for arrival in (refunds, [sum(refunds)], random.sample(refunds, len(refunds))):
        world = shop(discount=fixed(off))
        split = random.randint(0, len(arrival)) if early else 0
        for number, minor in enumerate(arrival):
            if number == split:
                world.redeem("A", to=goods())
            named = {"refunded_amount": f"{minor // 100}.{minor % 100:02}"}
            part(world, named, number, f"R{number}")
        if "id-A" not in world.state.orders["ORD1"].redemptions and split == len(arrival):
            world.redeem("A", to=goods())
        ends.add((left(world), world.state.coupons["id-A"].used, world.state.orders["ORD1"].status))
    assert len(ends) == 1
