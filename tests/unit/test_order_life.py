"""The life-cycle table of orders: every row is run twice, and the table equals the one in the docs."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.model.reasons import Reason
from shared.domain.model.state import order_hold
from shared.domain.model.verdicts import Verdict
from shared.domain.orders.life_cycle import PHASES, TABLE, Effect, OrderEvent, Phase, phase_of
from shared.ledger.events import events_of
from tests.builders import Limits, World, campaign, reasons
from tests.order_life_cases import CASES, STEPS, Case, command_of

PAGE = Path(__file__).parents[2] / "docs" / "order-lifecycle.md"


def as_markdown() -> str:
    """Render the table as in the docs."""
    phases = ["| order | meaning |", "|---|---|", *[f"| {phase} | {meaning} |" for phase, meaning in PHASES.items()]]
    rows = ["| order | event | effect | explanation |", "|---|---|---|---|"]
    by_phase = sorted(TABLE, key=lambda row: list(Phase).index(row.phase))
    rows += [f"| {row.phase} | {row.event} | {row.effect} | {row.sentence} |" for row in by_phase]
    return "\n".join([*phases, "", *rows])


class Shop:
    """One order with coupon A. Expired locks are cleaned up before each step, as the engine does."""

    def __init__(self) -> None:
        self.world = World((campaign(limits=Limits(1, uses_per_customer=9, uses_total=9)),))
        self.world.coupon("A")

    def step(self, name: str) -> tuple[Verdict, list[str]]:
        world = self.world
        for lock in list(world.state.locks.values()):
            if lock.status == "open" and lock.expires_at <= world.now:
                world.expire(lock.lock_reference)
        command = command_of(name, world.command_id(), "ORD1", "A")
        verdict = world.run(command)
        return verdict, [event.type.removeprefix("coupon.") for event in events_of(command, verdict, world.state)]

    def phase(self) -> Phase:
        state = self.world.state
        return phase_of(state.orders.get("ORD1"), state.locks.get(order_hold("ORD1")), self.world.now)

    def totals(self) -> tuple[tuple[int, int], int]:
        """Return ((held, used), rest of the discount) of the coupon. Fail if the campaign's meter differs."""
        coupon, meter = self.world.state.coupons["id-A"], self.world.meter()
        known = self.world.state.orders.get("ORD1")
        left = sum(one.discount_minor for one in known.redemptions.values()) if known else 0
        assert (meter.held, meter.used, meter.used_minor) == (coupon.held, coupon.used, left)
        return (coupon.held, coupon.used), left


@pytest.mark.parametrize("case", CASES, ids=str)
def test_every_row_has_its_documented_effect_once(case: Case) -> None:
    shop = Shop()
    for step in case.setup:
        shop.step(step)
    if case.row.phase != Phase.LAPSED:  # it lapses when the next step begins
        assert shop.phase() == case.row.phase
    verdict, events = shop.step(case.event)
    assert (verdict.outcome, events, shop.totals()) == (
        case.outcome,
        list(case.event_types),
        (case.uses, case.left_minor),
    )
    again, events = shop.step(case.event)
    refused = case.row.effect == Effect.REFUSE
    assert (again.outcome, events) == (("refused", ["redemption_refused"]) if refused else ("unchanged", []))
    assert (again.entries, shop.totals()) == ((), (case.uses, case.left_minor))


@pytest.mark.parametrize("case", [case for case in CASES if case.outcome == "refused"], ids=str)
def test_a_row_that_refuses_has_a_reason(case: Case) -> None:
    shop = Shop()
    for step in case.setup:
        shop.step(step)
    expected = Reason.ORDER_MISMATCH if case.row.effect == Effect.REFUSE else Reason.LOCK_EXPIRED
    assert reasons(shop.step(case.event)[0]) == {"A": expected}


def test_a_hold_is_lapsed_whether_or_not_it_was_cleaned_up() -> None:
    shop = Shop()
    shop.step("hold for no time")
    assert shop.phase() == Phase.LAPSED
    shop.world.expire("order:ORD1")
    assert shop.phase() == Phase.LAPSED


def test_every_phase_event_and_effect_has_a_row_and_no_pair_has_two() -> None:
    pairs = [(row.phase, row.event) for row in TABLE]
    assert len(set(pairs)) == len(pairs)
    assert {phase for phase, _ in pairs} == set(Phase) == set(PHASES)
    assert {event for _, event in pairs} == set(OrderEvent)
    assert {row.effect for row in TABLE} == set(Effect)


def test_a_pair_without_a_row_is_impossible() -> None:
    """An unknown order has no earlier events and no last part. Only a closed one is placed again or has later parts.

    Only an open one has versions to compare with.
    """
    missing = {(phase, event) for phase in Phase for event in OrderEvent} - {(row.phase, row.event) for row in TABLE}
    closed = {Phase.CANCELLED, Phase.RETURNED, Phase.BOTH}
    earlier = {event for event in OrderEvent if event.name.endswith("EARLIER")}
    expected = {(Phase.UNKNOWN, event) for event in earlier}
    expected |= {(phase, OrderEvent.PART_LAST) for phase in (Phase.UNKNOWN, Phase.RECORDED, Phase.RETURNED, Phase.BOTH)}
    later = (OrderEvent.PLACED_AGAIN, OrderEvent.PART_LATER)
    expected |= {(phase, event) for phase in set(Phase) - closed for event in later}
    versions = (
        OrderEvent.PLACED_SAME, OrderEvent.PLACED_LATER, OrderEvent.PLACED_OTHER, OrderEvent.PLACED_OLDER,
        OrderEvent.PLACED_FOR_ANOTHER,
    )  # fmt: skip
    expected |= {(phase, event) for phase in (Phase.UNKNOWN, Phase.RECORDED, *closed) for event in versions}
    assert missing == expected


@given(st.lists(st.sampled_from(STEPS), max_size=8))
def test_any_sequence_of_steps_has_rows_and_consistent_meters(steps: list[str]) -> None:
    shop = Shop()
    for step in steps:
        shop.step(step)
        shop.totals()


def test_the_page_shows_the_table() -> None:
    assert as_markdown() in PAGE.read_text(encoding="utf-8"), "\n" + as_markdown()
