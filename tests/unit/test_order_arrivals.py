"""Any events of one order, in any order of arrival and repeated: consistent at every step, and the same at the end."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.catalogue import BY_TYPE
from schemas.parsing import parse
from shared.domain.model.commands import Command
from shared.domain.model.order import Order
from shared.domain.model.order_commands import CancelOrder, FailPayment, PayOrder, RedeemCoupons, ReturnOrder
from shared.domain.model.state import Meter, is_holding, order_hold
from shared.domain.model.verdicts import LedgerEntry, Verdict
from shared.domain.orders.closed import is_closed
from shared.domain.orders.life_cycle import Phase, phase_of
from shared.ledger.events import events_of
from tests.builders import DAY, JOHN, MINUTE, NOW, Limits, World, campaign, fixed, line

GOODS = (
    (line("1", 6_000), line("2", 2_000, 2)),
    (line("1", 6_000), line("2", 2_000)),
    (line("2", 1_000, 3),),  # below the minimum of coupon A
    (line("1", 6_000, 2), line("2", 2_000, 2), line("3", 333)),
)
"""What an order may consist of. Line 2 is in each, so that a part of it can be returned from each."""
CODES = ((), ("A",), ("B",), ("A", "B"))
LIMIT = Limits(1, uses_per_customer=2, uses_total=2, spend_total_minor=100_000)
PLACING_SECONDS = 3_600

Made = tuple[str, int, Any]
"""(kind, minute of its own time, content): (goods, codes) for placed and changed, the part for returns in part."""


def shop() -> World:
    """Return a world with coupons A and B, of two campaigns that can be combined."""
    world = World(
        (
            campaign("ten", limits=LIMIT, stacking="combinable", currency="USD", min_order_minor=5_000),
            campaign("off", limits=LIMIT, stacking="combinable", currency="USD", discount=fixed(1_501)),
        ),
        now=NOW + DAY,
    )
    world.coupon("A", "ten")
    world.coupon("B", "off")
    return world


def command_of(event: Made, command_id: str, *, hold: bool) -> Command:
    kind, minute, content = event
    at = NOW + minute * MINUTE
    if kind in {"placed", "changed"}:
        goods, codes = content
        amount = sum(one.amount_minor for one in GOODS[goods])
        order = Order("ORD1", "USD", amount, GOODS[goods], placed_at=at if kind == "placed" else None)
        return RedeemCoupons(
            command_id, order, CODES[codes], JOHN, hold=hold, hold_seconds=PLACING_SECONDS if hold else 0, at=at,
            complete=True, changed=kind == "changed",
        )  # fmt: skip
    if kind == "part":
        return ReturnOrder(command_id, "ORD1", False, at, **content)
    whole: dict[str, type[PayOrder | FailPayment | CancelOrder | ReturnOrder]] = {
        "paid": PayOrder, "failed": FailPayment, "cancelled": CancelOrder, "returned": ReturnOrder,
    }  # fmt: skip
    return whole[kind](command_id, "ORD1", at=at)


def check(world: World) -> None:
    """Check that every total is the sum of its entries, no limit is passed and no order gets more than it costs."""
    entries = [entry for verdict in world.verdicts for entry in verdict.entries]
    state = world.state
    for coupon in state.coupons.values():
        mine = [entry for entry in entries if entry.coupon_id == coupon.coupon_id]
        assert (coupon.held, coupon.used) == (_sum(mine, "held_uses"), _sum(mine, "used_uses"))
        assert min(coupon.held, coupon.used) >= 0
        assert coupon.held + coupon.used <= 1
    for (campaign_id, customer_key), meter in state.meters.items():
        mine = [
            entry
            for entry in entries
            if entry.campaign_id == campaign_id and customer_key in (None, entry.customer_key)
        ]
        sums = {name: _sum(mine, f"{name}_{unit}") for name, unit in (("held", "uses"), ("used", "uses"))}
        assert meter == Meter(0, **sums, used_minor=_sum(mine, "used_minor"), held_minor=_sum(mine, "held_minor"))
        assert min(meter.held, meter.used, meter.held_minor, meter.used_minor) >= 0
        assert meter.held + meter.used <= 2
    known, hold = state.orders.get("ORD1"), state.locks.get(order_hold("ORD1"))
    if known is not None and known.order is not None:
        held = hold.uses if hold is not None and is_holding(hold, world.now) else ()
        redeemed = known.redemptions.values()
        assert all(0 <= one.discount_minor <= one.burned_minor for one in redeemed)
        off = sum(one.burned_minor for one in redeemed) + sum(one.discount_minor for one in held)
        assert off <= known.order.amount_minor + known.order.shipping_minor
        assert sum(one.discount_minor for one in redeemed) == _sum(entries, "used_minor")


def _sum(entries: Sequence[LedgerEntry], name: str) -> int:
    return sum(getattr(entry, name) for entry in entries)


@dataclass(frozen=True)
class End:
    """What events leave: the phase, the content of an open order, and the discounts of its coupons, held and left.

    A closed order isn't changed, so its content depends on what arrived before it was closed.
    """

    phase: Phase
    content: object
    held: dict[str, int]
    left: dict[str, int]


def send(world: World, event: Made, *, hold: bool) -> Verdict:
    """Decide an event. Check the totals, what is published, and that nothing ends without a reason."""
    command = command_of(event, world.command_id(), hold=hold)
    verdict = world.run(command)
    for published in events_of(command, verdict, world.state):
        parse(BY_TYPE[published.type].model, published.data.encode())
    names_nothing = isinstance(command, RedeemCoupons) and not command.codes
    assert names_nothing or (verdict.outcome == "unchanged") == (verdict.why is not None)
    check(world)
    return verdict


def end_of(events: Sequence[Made], *, hold: bool) -> End:
    world = shop()
    for event in events:
        world.run(command_of(event, world.command_id(), hold=hold))
        check(world)
    state = world.state
    known, lock = state.orders.get("ORD1"), state.locks.get(order_hold("ORD1"))
    held = {one.coupon_id: one.discount_minor for one in lock.uses} if lock and lock.status == "open" else {}
    redeemed = {} if known is None else {key: one.discount_minor for key, one in known.redemptions.items()}
    content = None if known is None or is_closed(known) else (known.order and known.order.lines, known.codes)
    return End(phase_of(known, lock, world.now), content, held, redeemed)


contents = st.tuples(st.integers(0, 3), st.integers(0, 3))
parts = st.sampled_from(
    [{"lines": (("2", 1),)}, {"amount": "5.01"}, {"refunded_amount": "4.99"}, {"lines": (("1", 1), ("2", 9))}]
)
minutes = st.integers(0, 9)
any_event: st.SearchStrategy[Made] = st.one_of(
    st.tuples(st.sampled_from(["placed", "changed"]), minutes, contents),
    st.tuples(st.sampled_from(["paid", "failed", "cancelled", "returned"]), minutes, st.none()),
    st.tuples(st.just("part"), minutes, parts),
)


@settings(max_examples=400, deadline=None)
@given(st.lists(any_event, max_size=9), st.booleans())
def test_any_events_keep_every_total_right_and_a_repeated_one_changes_nothing(events: list[Made], hold: bool) -> None:
    world = shop()
    for event in events:
        send(world, event, hold=hold)
        again = send(world, event, hold=hold)
        assert (again.entries, again.accepted) == ((), ()), event
        assert all(kept.coupon.discount_minor == kept.before_minor for kept in again.kept), event


@pytest.mark.parametrize(
    "story",
    [
        pytest.param(
            [("placed", 0, (0, 0)), ("changed", 1, (0, 1)), ("part", 2, {"lines": (("2", 1),)})],
            id="a change adds a coupon after a part was returned",
        ),
        pytest.param(
            [("placed", 0, (0, 3)), ("changed", 1, (1, 3)), ("part", 2, {"refunded_amount": "4.99"})],
            id="a change after a refund of what was paid with two coupons",
        ),
        pytest.param(
            [("placed", 0, (0, 1)), ("changed", 2, (1, 1)), ("cancelled", 1, None)],
            id="a cancellation dated before a change, which doesn't place the order",
        ),
        pytest.param(
            [("placed", 0, (0, 1)), ("part", 1, {"lines": (("2", 1),)}), ("changed", 2, (0, 1))],
            id="a part dated before a change, which doesn't place the order",
        ),
        pytest.param(
            [("placed", 0, (0, 1)), ("changed", 1, (1, 1)), ("changed", 2, (0, 1))],
            id="an older change arrives after one that changes nothing",
        ),
        pytest.param(
            [("placed", 0, (0, 1)), ("changed", 1, (1, 1)), ("placed", 2, (0, 1))],
            id="an older change arrives after another placing that changes nothing",
        ),
        pytest.param(
            [("placed", 0, (0, 1)), ("changed", 5, (1, 3)), ("cancelled", 12, None)],
            id="a cancellation after a change",
        ),
        pytest.param(
            [("placed", 0, (0, 1)), ("placed", 0, (0, 1)), ("changed", 5, (1, 3)), ("cancelled", 12, None)],
            id="a placing that arrives twice",
        ),
        pytest.param(
            [("placed", 0, (0, 1)), ("changed", 5, (1, 3)), ("changed", 8, (2, 1)), ("paid", 10, None)],
            id="a payment after two changes",
        ),
        pytest.param(
            [("placed", 0, (0, 1)), ("changed", 5, (1, 3)), ("paid", 10, None), ("returned", 13, None)],
            id="a return after a payment",
        ),
    ],
)
@pytest.mark.parametrize("hold", [False, True])
def test_every_order_of_arrival_has_the_same_end(story: list[Made], hold: bool) -> None:
    ends = [end_of(arrival, hold=hold) for arrival in itertools.permutations(story)]
    assert all(end == ends[0] for end in ends)


@pytest.mark.parametrize("how", ["cancelled", "returned"])
@pytest.mark.parametrize("codes", [0, 2])
def test_an_order_placed_again_is_not_paid_with_what_the_closed_one_gave_up(how: str, codes: int) -> None:
    story: list[Made] = [
        ("placed", 0, (0, 1)), ("failed", 1, None), (how, 2, None), ("placed", 3, (0, codes)), ("paid", 4, None)
    ]  # fmt: skip
    assert end_of(story, hold=True).left.keys() == {f"id-{code}" for code in CODES[codes]}


small_parts = st.sampled_from([{"lines": (("2", 1),)}, {"amount": "5.01"}, {"refunded_amount": "4.99"}])


@st.composite
def stories(draw: st.DrawFn) -> list[Made]:
    """Draw the events of one order, each at another minute, in the order of their times."""
    middle: list[tuple[str, Any]] = [("changed", draw(contents)) for _ in range(draw(st.integers(0, 2)))]
    middle += [("part", draw(small_parts)) for _ in range(draw(st.integers(0, 2)))]
    middle += [(kind, None) for kind in ("paid", "failed") if draw(st.booleans())]
    last = draw(st.lists(st.sampled_from(["cancelled", "returned"]), unique=True, max_size=2))
    events = [("placed", draw(contents)), *draw(st.permutations(middle)), *((kind, None) for kind in last)]
    return [(kind, minute, content) for minute, (kind, content) in enumerate(events)]


def fails_early(arrival: Sequence[Made]) -> bool:
    """Return whether a failed payment arrives before its order, which has no effect by the table."""
    return any(
        kind == "failed" and any(is_version(one) and one[1] < minute for one in arrival[number:])
        for number, (kind, minute, _) in enumerate(arrival)
    )


def fails_before_the_same(story: Sequence[Made]) -> bool:
    """Return whether a payment fails before a change that changes nothing, which doesn't hold the coupons again."""
    versions = [event for event in story if is_version(event)]
    failed = [minute for kind, minute, _ in story if kind == "failed"]
    return any(
        one[2] == other[2] and any(minute < other[1] for minute in failed)
        for one, other in itertools.pairwise(versions)
    )


def is_version(event: Made) -> bool:
    return event[0] in {"placed", "changed"}


@settings(max_examples=600, deadline=None)
@given(stories().filter(lambda story: not fails_before_the_same(story)), st.data(), st.booleans())
def test_the_order_of_arrival_and_repetition_do_not_change_the_end(
    story: list[Made], data: st.DataObject, hold: bool
) -> None:
    """The share of a returned part isn't taken back if it is smaller on the order as it is after the next change.

    Then less is left than if the change had arrived before the part.
    """
    again = data.draw(st.lists(st.sampled_from(story), max_size=2))
    arrival = data.draw(st.permutations([*story, *again]).filter(lambda one: not fails_early(one)))
    ends = [end_of(events, hold=hold) for events in (story, arrival)]
    assert replace(ends[0], left={}) == replace(ends[1], left={}), arrival
    parts_last = end_of(sorted(arrival, key=lambda event: event[0] == "part"), hold=hold)
    for events, end in zip((story, arrival), ends, strict=True):
        assert end.left.keys() == parts_last.left.keys(), events
        assert all(minor <= parts_last.left[one] for one, minor in end.left.items()), events
        if not any(is_version(one) for one in itertools.dropwhile(lambda event: event[0] != "part", events)):
            assert end.left == parts_last.left, events
