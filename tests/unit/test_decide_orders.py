"""The life of an order: placed, paid, cancelled and returned, with events in any order of arrival."""

import copy
from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import permutations
from typing import Any

import pytest

from shared.domain.model.order_commands import RedeemCoupons
from shared.domain.model.reasons import Reason
from shared.domain.model.state import State
from shared.domain.model.verdicts import Verdict
from tests.builders import DAY, JOHN, MARY, MINUTE, NOW, Limits, World, campaign, key_of, only_reason, order, reasons

LATER = NOW + DAY


def shop(**fields: Any) -> World:
    """Build one campaign with every meter and coupons A and B, at a time after all events."""
    made = campaign(stacking="combinable", limits=Limits(1, uses_per_customer=9, uses_total=9), **fields)
    world = World((made,), now=LATER)
    world.coupon("A")
    world.coupon("B")
    return world


def place(world: World, *codes: str, at: datetime = NOW, hold: bool = False, order_id: str = "ORD1") -> Verdict:
    return world.redeem(*(codes or ("A",)), to=order(order_id, placed_at=at), hold=hold, hold_seconds=3_600)


def held(world: World) -> tuple[int, int]:
    """Return the held and used uses of coupon A."""
    coupon = world.state.coupons["id-A"]
    return coupon.held, coupon.used


Step = Callable[[World], Verdict]
STEPS: dict[str, Step] = {
    "place": place,
    "hold": lambda world: place(world, hold=True),
    "pay": lambda world: world.pay(at=NOW + MINUTE),
    "cancel": lambda world: world.cancel(at=NOW + 2 * MINUTE),
    "return": lambda world: world.return_order(at=NOW + 3 * MINUTE),
    "part": lambda world: world.return_order(at=NOW + 3 * MINUTE, whole=False),
    "place_again": lambda world: place(world, at=NOW + 9 * MINUTE),
    "hold_again": lambda world: place(world, at=NOW + 9 * MINUTE, hold=True),
}


@pytest.mark.parametrize(
    ("steps", "outcomes", "status", "uses"),
    [
        ("place", "redeemed", "placed", (0, 1)),
        ("place place", "redeemed unchanged", "placed", (0, 1)),
        ("place pay", "redeemed recorded", "paid", (0, 1)),
        ("place pay pay", "redeemed recorded unchanged", "paid", (0, 1)),
        ("place cancel", "redeemed restored", "cancelled", (0, 0)),
        ("place cancel cancel", "redeemed restored unchanged", "cancelled", (0, 0)),
        ("place pay cancel", "redeemed recorded restored", "cancelled", (0, 0)),
        ("place cancel pay", "redeemed restored unchanged", "cancelled", (0, 0)),
        ("place cancel place", "redeemed restored refused", "cancelled", (0, 0)),
        ("place cancel place_again", "redeemed restored redeemed", "placed", (0, 1)),
        ("place cancel place_again cancel", "redeemed restored redeemed unchanged", "placed", (0, 1)),
        ("place place_again cancel", "redeemed recorded unchanged", "placed", (0, 1)),
        ("place return", "redeemed restored", "returned", (0, 0)),
        ("place return return", "redeemed restored unchanged", "returned", (0, 0)),
        ("place cancel return", "redeemed restored recorded", "returned", (0, 0)),
        ("place return cancel", "redeemed restored recorded", "cancelled", (0, 0)),
        ("place return cancel return", "redeemed restored recorded unchanged", "cancelled", (0, 0)),
        ("place part", "redeemed unchanged", "placed", (0, 1)),
        ("place part cancel", "redeemed unchanged restored", "cancelled", (0, 0)),
        ("part place", "unchanged redeemed", "placed", (0, 1)),
        # before the order arrives
        ("pay", "recorded", "paid", (0, 0)),
        ("pay pay", "recorded unchanged", "paid", (0, 0)),
        ("pay place", "recorded redeemed", "paid", (0, 1)),
        ("cancel", "recorded", "cancelled", (0, 0)),
        ("cancel cancel", "recorded unchanged", "cancelled", (0, 0)),
        ("cancel place", "recorded refused", "cancelled", (0, 0)),
        ("cancel place_again", "recorded redeemed", "placed", (0, 1)),
        ("return place", "recorded refused", "returned", (0, 0)),
        # burned when paid
        ("hold", "held", "placed", (1, 0)),
        ("hold hold", "held unchanged", "placed", (1, 0)),
        ("hold pay", "held redeemed", "paid", (0, 1)),
        ("hold pay pay", "held redeemed unchanged", "paid", (0, 1)),
        ("hold pay cancel", "held redeemed restored", "cancelled", (0, 0)),
        ("hold cancel", "held released", "cancelled", (0, 0)),
        ("hold cancel pay", "held released unchanged", "cancelled", (0, 0)),
        ("hold return", "held released", "returned", (0, 0)),
        ("hold part", "held unchanged", "placed", (1, 0)),
        ("pay hold", "recorded redeemed", "paid", (0, 1)),
        ("cancel hold", "recorded refused", "cancelled", (0, 0)),
        ("hold cancel hold_again", "held released held", "placed", (1, 0)),
        ("hold pay cancel hold_again", "held redeemed restored held", "placed", (1, 0)),
    ],
)
def test_each_order_of_events_has_one_outcome(steps: str, outcomes: str, status: str, uses: tuple[int, int]) -> None:
    world = shop()
    verdicts = [STEPS[step](world) for step in steps.split()]
    assert " ".join(verdict.outcome for verdict in verdicts) == outcomes
    assert world.state.orders["ORD1"].status == status
    assert held(world) == uses
    meter = world.meter()
    assert (meter.held, meter.used) == uses
    assert (meter.held_minor, meter.used_minor) == (1_000 * uses[0], 1_000 * uses[1])


def test_a_partial_return_of_an_unknown_order_changes_nothing() -> None:
    world = shop()
    assert world.return_order(whole=False).orders == ()
    assert world.state.orders == {}


def test_a_late_payment_of_a_closed_order_waits_until_it_is_placed_again() -> None:
    world = shop()
    place(world, hold=True)
    world.cancel(at=NOW + 2 * MINUTE)
    assert world.pay(at=NOW + 12 * MINUTE).outcome == "recorded"
    assert STEPS["hold_again"](world).outcome == "redeemed"
    assert world.state.orders["ORD1"].status == "paid"


def test_cancelling_then_using_elsewhere_then_placing_again_spends_one_use() -> None:
    world = shop()
    place(world)
    world.cancel(at=NOW + MINUTE)
    assert place(world, order_id="ORD2").outcome == "redeemed"
    assert only_reason(STEPS["place_again"](world)) == Reason.EXHAUSTED
    assert held(world) == (0, 1)


@pytest.mark.parametrize(
    ("restore_on", "cancelled", "returned"),
    [
        (set(), "recorded", "recorded"),
        ({"order.cancelled"}, "restored", "recorded"),
        ({"order.returned"}, "recorded", "restored"),
    ],
)
def test_uses_are_restored_only_on_the_events_that_the_campaign_names(
    restore_on: set[str], cancelled: str, returned: str
) -> None:
    for step, outcome in (("cancel", cancelled), ("return", returned)):
        world = shop(restore_on=frozenset(restore_on))
        place(world)
        assert STEPS[step](world).outcome == outcome
        assert held(world) == (0, 0 if outcome == "restored" else 1)


def test_a_coupon_that_was_not_restored_stays_redeemed_when_its_order_is_placed_again() -> None:
    world = shop(restore_on=frozenset())
    place(world)
    world.cancel(at=NOW + MINUTE)
    again = place(world, "A", "B", at=NOW + 9 * MINUTE)
    assert [one.code for one in again.accepted] == ["B"]
    assert [one.coupon.code for one in again.kept] == ["A"]
    assert (again.requested_count, again.refused) == (2, ())


def test_a_restore_names_the_redemption_that_it_reverses() -> None:
    world = shop()
    first, second = place(world, "A"), place(world, "A", "B")
    verdict = world.cancel(at=NOW + MINUTE)
    assert [(one.code, one.uses, one.discount_minor, one.redemption_id) for one in verdict.accepted] == [
        ("A", 1, 1_000, first.redemption_id),
        ("B", 1, 1_000, second.redemption_id),
    ]
    assert verdict.discount_minor == 2_000
    assert world.state.orders["ORD1"].redemptions == {}


def test_a_restore_does_not_reactivate_a_voided_or_expired_coupon() -> None:
    world = shop()
    place(world)
    world.void("A")
    world.state.coupons["id-A"].ends_at = NOW
    assert world.cancel(at=NOW + MINUTE).outcome == "restored"
    coupon = world.state.coupons["id-A"]
    assert (coupon.status, coupon.ends_at, coupon.used) == ("voided", NOW, 0)


def test_a_restore_is_recorded_for_the_customer_who_redeemed() -> None:
    world = shop()
    place(world)
    world.cancel(at=NOW + MINUTE)
    assert (world.meter(customer=JOHN).used, world.meter(customer=JOHN).used_minor) == (0, 0)


def test_restoring_is_the_inverse_of_redeeming_on_every_meter() -> None:
    world = shop()
    world.redeem("B", to=order("ORD0"), by=JOHN)

    def numbers(state: State) -> object:
        return copy.deepcopy((state.meters, {key: (one.held, one.used) for key, one in state.coupons.items()}))

    before = numbers(world.state)
    place(world)
    assert numbers(world.state) != before
    world.cancel(at=NOW + MINUTE)
    assert numbers(world.state) == before


# Held until paid


def test_an_order_holds_its_coupons_under_its_own_lock() -> None:
    world = shop()
    verdict = place(world, hold=True)
    assert (verdict.lock_reference, verdict.expires_at) == ("order:ORD1", LATER + timedelta(hours=1))
    assert (verdict.discount_minor, verdict.redemption_id) == (1_000, None)
    assert only_reason(place(world, order_id="ORD2")) == Reason.LOCKED_ELSEWHERE


def test_a_payment_burns_at_the_held_discounts_even_if_a_coupon_was_voided_since() -> None:
    world = shop()
    place(world, "A", "B", hold=True)
    world.void("A")
    world.state.campaigns["save10"] = campaign(status="archived", discount=campaign().discount)
    verdict = world.pay(at=NOW + MINUTE)
    assert (verdict.outcome, verdict.discount_minor, verdict.currency) == ("redeemed", 1_900, "USD")
    assert [(one.code, one.discount_minor, one.lines) for one in verdict.accepted] == [
        ("A", 1_000, (("1", 1_000),)),
        ("B", 900, (("1", 900),)),
    ]
    assert verdict.redemption_id is not None
    assert world.state.coupons["id-A"].status == "voided"
    assert world.state.locks["order:ORD1"].status == "burned"


def test_a_payment_reports_how_many_coupons_the_order_named() -> None:
    world = shop()
    place(world, "A", "NOPE", hold=True)
    assert world.pay(at=NOW + MINUTE).requested_count == 2
    world = shop()
    place(world, "A", hold=True)
    place(world, "A", "B", hold=True)
    assert world.pay(at=NOW + MINUTE).requested_count == 2
    world = shop()
    place(world, "A", hold=True)
    assert world.pay(at=NOW + MINUTE).requested_count == 1


def test_a_payment_after_the_hold_expired_is_refused_once() -> None:
    for swept in (False, True):
        world = shop()
        place(world, "A", "B", hold=True)
        world.now = LATER + timedelta(hours=1)
        if swept:
            world.expire("order:ORD1")
        verdict = world.pay(at=world.now)
        assert reasons(verdict) == {"A": Reason.LOCK_EXPIRED, "B": Reason.LOCK_EXPIRED}
        assert (verdict.requested_count, world.state.orders["ORD1"].status) == (2, "paid")
        assert world.pay(at=world.now).outcome == "unchanged"


def test_a_payment_is_recorded_if_the_order_redeemed_after_its_hold_expired() -> None:
    world = shop()
    place(world, "A", hold=True)
    world.now = LATER + timedelta(hours=1)
    world.expire("order:ORD1")
    place(world, "A")
    assert world.pay(at=LATER).outcome == "recorded"
    assert held(world) == (0, 1)


def test_codes_named_later_join_the_hold_of_the_order() -> None:
    world = shop()
    place(world, "A", hold=True)
    verdict = place(world, "A", "B", hold=True)
    assert (verdict.outcome, [one.code for one in verdict.accepted]) == ("held", ["B"])
    assert [use.coupon_id for use in world.state.locks["order:ORD1"].uses] == ["id-A", "id-B"]
    assert world.pay(at=NOW + MINUTE).discount_minor == 2_000


def test_an_expired_hold_starts_again() -> None:
    world = shop()
    place(world, "A", hold=True)
    world.now = LATER + timedelta(hours=1)
    verdict = place(world, "A", hold=True)
    assert [one.kind for one in verdict.entries] == ["released", "locked"]
    assert held(world) == (1, 0)
    assert len(world.state.coupons["id-A"].holds) == 1
    assert world.meter().held == 1


def test_a_guests_hold_moves_to_the_customer_that_the_order_names_later() -> None:
    world = World((campaign(stacking="combinable", limits=Limits(1, coupons_per_customer=1)),), now=LATER)
    world.coupon("A")
    world.coupon("B")
    world.redeem("A", by=None, hold=True, hold_seconds=60)
    world.redeem("A", "B", by=JOHN, hold=True, hold_seconds=60)
    assert world.meter(customer=JOHN).held == 2
    world.pay(at=NOW + MINUTE)
    assert (world.meter(customer=JOHN).held, world.meter(customer=JOHN).used) == (0, 2)


def test_a_carts_lock_moves_into_the_orders_hold() -> None:
    world = shop()
    world.lock("A", order_id=None)
    verdict = world.redeem(lock_reference="lock-1", hold=True, hold_seconds=60)
    assert [(one.kind, one.lock_reference, one.held_uses) for one in verdict.entries] == [
        ("released", "lock-1", -1),
        ("locked", "order:ORD1", 1),
    ]
    assert (held(world), world.state.locks["lock-1"].status) == ((1, 0), "burned")
    assert world.redeem(lock_reference="lock-1", hold=True, hold_seconds=60).outcome == "unchanged"
    assert world.redeem(lock_reference="order:ORD1", hold=True, hold_seconds=60).outcome == "unchanged"


@pytest.mark.parametrize("hold", [False, True])
def test_a_coupon_that_an_order_holds_is_not_used_again_from_a_carts_lock(hold: bool) -> None:
    world = World((campaign(limits=Limits(2)),), now=LATER)
    world.coupon("A")
    place(world, hold=True)
    world.lock("A")
    assert world.redeem(lock_reference="lock-1", hold=hold, hold_seconds=60).outcome == "unchanged"
    assert world.pay(at=NOW + MINUTE).outcome == "redeemed"
    assert held(world) == (1, 1)


def test_cancelling_an_order_releases_every_lock_bound_to_it() -> None:
    world = shop()
    world.lock("B", reference="bound", order_id="ORD1")
    world.lock("A", reference="free")
    verdict = world.cancel(at=NOW + MINUTE)
    assert (verdict.outcome, [one.code for one in verdict.accepted]) == ("released", ["B"])
    assert world.state.locks["bound"].status == "released"
    assert world.state.locks["free"].status == "open"


def test_the_customer_of_a_held_order_is_kept_for_its_payment() -> None:
    world = shop()
    place(world)
    assert world.state.orders["ORD1"].customer is None
    world = shop()
    place(world, hold=True)
    assert world.state.orders["ORD1"].customer == JOHN
    assert world.state.orders["ORD1"].customer_key == key_of(JOHN)


@pytest.mark.parametrize("hold", [False, True])
def test_every_order_of_arrival_has_the_same_result(hold: bool) -> None:
    """Placed, cancelled, placed again: each event has its own time, and they arrive in every order but one.

    A cancellation that arrives when only a later placing is known is about that one: its clock may be slow.
    """
    ends = set()
    for arrival in permutations(range(3)):
        if arrival == (2, 1, 0):
            continue
        world = shop()
        steps: list[Step] = [
            lambda world: place(world, hold=hold),
            lambda world: world.cancel(at=NOW + 2 * MINUTE),
            lambda world: place(world, at=NOW + 9 * MINUTE, hold=hold),
        ]
        for number in arrival:
            steps[number](world)
        ends.add((world.state.orders["ORD1"].status, held(world)))
    assert ends == {("placed", (1, 0) if hold else (0, 1))}


def test_another_customers_redemption_of_the_order_is_recorded_for_that_customer() -> None:
    world = shop()
    world.redeem("A", by=JOHN)
    world.redeem("B", by=MARY)
    assert (world.meter(customer=JOHN).used, world.meter(customer=MARY).used) == (1, 1)
    world.cancel(at=NOW + MINUTE)
    assert (world.meter(customer=JOHN).used, world.meter(customer=MARY).used) == (0, 0)


def test_a_request_without_a_time_places_a_cancelled_order_again() -> None:
    world = shop()
    place(world)
    world.cancel(at=NOW + MINUTE)
    command = RedeemCoupons("http-1", order(placed_at=None), ("A",), JOHN, atomic=True)
    assert world.run(command).outcome == "redeemed"
    assert world.state.orders["ORD1"].placed_at == LATER
