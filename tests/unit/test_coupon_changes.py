"""Undo voids, move the ends of coupons, revoke rewards, extend restored coupons: decided on a state in memory."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from shared.domain.coupons.change import end_after_restore
from shared.domain.model.campaign import CodeRule, Limits, Source
from shared.domain.model.clock import END_OF_TIME
from shared.domain.model.commands import ChangeCoupon, RevokeReward
from shared.domain.model.verdicts import Verdict
from tests.builders import DAY, JOHN, MINUTE, NOW, World, campaign, line, order, reasons

REWARD = "reward r1"
TOMORROW = NOW + DAY


def world(**fields: Any) -> World:
    return World((campaign(**fields),))


def change(made: World, code: str = "SAVE10", **fields: Any) -> Verdict:
    return made.run(ChangeCoupon(made.command_id(), code, **fields))


def extend(made: World, ends_at: datetime | None, **fields: Any) -> Verdict:
    return change(made, moves_end=True, ends_at=ends_at, **fields)


def revoke(made: World, reward_id: str = "r1", **fields: Any) -> Verdict:
    return made.run(RevokeReward(made.command_id(), reward_id, **fields))


def refused(verdict: Verdict) -> list[str]:
    """Return the reasons of a verdict that changes nothing."""
    assert (verdict.outcome, verdict.entries) == ("refused", ())
    return [one.reason.value for one in verdict.refused]


# Undo a void


def test_a_void_can_be_undone_and_the_coupon_is_used() -> None:
    made = world()
    coupon = made.coupon()
    made.void()

    undone = change(made, status="active", reason="voided by mistake")

    assert (undone.outcome, [one.kind for one in undone.entries], coupon.status) == ("unvoided", ["unvoided"], "active")
    assert undone.metadata == {"reason": "voided by mistake"}
    assert made.redeem("SAVE10").outcome == "redeemed"


@pytest.mark.parametrize(
    ("prepare", "fields", "reason", "message"),
    [
        ("nothing", {"code": "NOPE", "status": "active"}, "not_found", "There is no coupon 'NOPE'."),
        ("nothing", {"status": "active"}, "no_effect", "Coupon 'SAVE10' isn't voided."),
        ("void", {"status": "voided"}, "no_effect", "Coupon 'SAVE10' is voided already."),
        (
            "nothing",
            {"moves_end": True, "ends_at": None},
            "no_effect",
            "Coupon 'SAVE10' has no end of its own already.",
        ),
        (
            "end",
            {"moves_end": True, "ends_at": TOMORROW, "status": "active"},
            "no_effect",
            "Coupon 'SAVE10' isn't voided and ends at 2026-11-23T09:30:00+00:00 already.",
        ),
        ("nothing", {}, "no_effect", "Coupon 'SAVE10' stays as it is: the request names no change."),
        (
            "void",
            {"moves_end": True, "ends_at": TOMORROW},
            "voided",
            "Coupon 'SAVE10' was taken out of use; undo that first.",
        ),
        (
            "nothing",
            {"moves_end": True, "ends_at": NOW},
            "expired",
            "2026-11-22T09:30:00+00:00 is in the past; give a later end, or void the coupon.",
        ),
    ],
)
def test_a_change_that_makes_no_sense_is_refused_with_what_to_do(
    prepare: str, fields: dict[str, Any], reason: str, message: str
) -> None:
    made = world()
    coupon = made.coupon()
    if prepare == "void":
        made.void()
    elif prepare == "end":
        coupon.ends_at = TOMORROW
    verdict = change(made, **fields)
    assert (refused(verdict), verdict.refused[0].message) == ([reason], message)


def test_a_coupon_voided_in_its_pool_goes_back_to_it() -> None:
    made = world(source=Source("pool"))
    coupon = made.coupon(status="pooled")
    made.void()
    assert refused(extend(made, TOMORROW, status="active")) == ["not_started"]
    assert (change(made, status="active").outcome, coupon.status) == ("unvoided", "pooled")
    assert refused(extend(made, TOMORROW)) == ["not_started"]


def test_a_voided_shared_code_is_for_all_customers_again() -> None:
    made = world(code=CodeRule(shared_code="SAVE10"))
    made.coupon()
    made.void()
    change(made, status="active")
    assert made.redeem("SAVE10").outcome == "redeemed"
    assert refused(extend(made, TOMORROW)) == ["shared_code"]


# Move an end


@pytest.mark.parametrize("before", [None, NOW - DAY, NOW + 30 * DAY])
@pytest.mark.parametrize("after", [NOW + MINUTE, NOW + 3650 * DAY, None])
def test_an_end_is_moved_to_any_time_in_the_future(before: datetime | None, after: datetime | None) -> None:
    made = world()
    coupon = made.coupon(ends_at=before)
    if before == after:
        assert refused(extend(made, after)) == ["no_effect"]
        return
    verdict = extend(made, after)
    [entry] = verdict.entries
    assert (verdict.outcome, entry.kind, coupon.ends_at) == ("extended", "extended", after)
    assert entry.end is not None
    assert (entry.end.before, entry.end.after) == (before, after)
    assert made.redeem("SAVE10").outcome == "redeemed"


def test_a_void_is_undone_and_the_end_moved_at_once_or_not_at_all() -> None:
    made = world()
    coupon = made.coupon(ends_at=NOW - DAY)
    made.void()
    assert refused(extend(made, NOW - MINUTE, status="active")) == ["expired"]
    assert coupon.status == "voided"
    verdict = extend(made, TOMORROW, status="active")
    assert [entry.kind for entry in verdict.entries] == ["unvoided", "extended"]
    assert (verdict.outcome, coupon.status, coupon.ends_at) == ("unvoided", "active", TOMORROW)


def test_changes_of_a_coupon_change_no_running_total() -> None:
    made = world(limits=Limits(1, uses_total=5, uses_per_customer=2, coupons_total=9))
    made.coupon(holder_key="customer-john")
    made.void()
    extend(made, TOMORROW, status="active")
    assert made.state.meters == {}


# Revoke a reward


def test_all_unused_coupons_of_a_reward_are_voided() -> None:
    made = World((campaign("a"), campaign("b", limits=Limits(3))))
    made.issue("a", "b", natural_key=REWARD, several=(("b", 2),))
    made.issue("a", natural_key="reward other")
    verdict = revoke(made, reason="order A1 was returned")
    assert (verdict.outcome, len(verdict.accepted), verdict.refused, verdict.requested_count) == ("voided", 3, (), 3)
    assert sorted(coupon.status for coupon in made.state.coupons.values()) == ["active", "voided", "voided", "voided"]
    assert verdict.customer_key == "customer-john"


@pytest.mark.parametrize(
    ("limit", "uses", "outcome", "status", "message"),
    [
        (1, 1, "recorded", "active", "was redeemed: 1 of 1 use."),
        (3, 3, "recorded", "active", "was redeemed: 3 of 3 uses."),
        (3, 1, "voided", "voided", "was redeemed: 1 of 3 uses."),
        (None, 2, "voided", "voided", "was redeemed: 2 uses."),
    ],
)
def test_used_coupons_are_reported_and_what_is_left_is_voided(
    limit: int | None, uses: int, outcome: str, status: str, message: str
) -> None:
    made = World((campaign("a", limits=Limits(limit)),))
    code = made.issue("a", natural_key=REWARD).accepted[0].code
    for number in range(uses):
        made.redeem(code, to=order(f"ORD{number}"))
    verdict = revoke(made)
    [coupon] = made.state.coupons.values()
    assert (verdict.outcome, coupon.status, reasons(verdict)) == (outcome, status, {code: "already_redeemed"})
    assert message in verdict.refused[0].message
    assert len(made.state.orders["ORD0"].redemptions) == 1, "what was redeemed stays redeemed"

    restored = made.cancel("ORD0")

    assert coupon.status == "voided"
    assert [entry.kind for entry in restored.entries] == ["restored", "voided"][: 1 if outcome == "voided" else 2]


def test_a_return_in_part_restores_no_use_so_it_voids_no_coupon_of_a_revoked_reward() -> None:
    made = World((campaign("a"),))
    code = made.issue("a", natural_key=REWARD).accepted[0].code
    made.redeem(code, to=order("ORD1", line(quantity=2)))
    revoke(made)
    in_part, whole = made.part(("1", 1), at=NOW), made.return_order(at=NOW + MINUTE)
    assert [[entry.kind for entry in verdict.entries] for verdict in (in_part, whole)] == [
        ["returned"],
        ["restored", "voided"],
    ]


def test_an_operator_may_undo_the_void_of_a_revoked_reward_once_and_for_all() -> None:
    made = World((campaign("a"),))
    code = made.issue("a", natural_key=REWARD).accepted[0].code
    made.redeem(code)
    revoke(made)
    made.cancel()
    change(made, code, status="active")
    made.redeem(code, to=order("ORD2"))
    made.cancel("ORD2")
    assert made.redeem(code, to=order("ORD3")).outcome == "redeemed"


def test_a_locked_coupon_is_voided_and_its_lock_cannot_be_burned() -> None:
    made = World((campaign("a"),))
    code = made.issue("a", natural_key=REWARD).accepted[0].code
    made.lock(code)
    assert revoke(made).outcome == "voided"
    assert reasons(made.redeem(lock_reference="lock-1")) == {code: "voided"}


def test_a_revocation_is_done_once_and_recorded_for_an_unknown_reward() -> None:
    made = World((campaign("a"),))
    first, second = revoke(made, at=NOW - DAY), revoke(made)
    assert (first.outcome, reasons(first)) == ("recorded", {None: "not_found"})
    assert first.revocation is not None
    assert first.revocation.at == NOW - DAY
    assert (refused(second), second.revocation) == (["reward_revoked"], None)


def test_a_reward_that_arrives_after_its_revocation_issues_nothing_of_any_campaign() -> None:
    made = World((campaign("a"), campaign("b")))
    revoke(made)
    verdict = made.issue("a", "b", natural_key=REWARD)
    assert (verdict.outcome, [one.campaign_id for one in verdict.refused]) == ("refused", ["a", "b"])
    assert {one.reason for one in verdict.refused} == {"reward_revoked"}
    assert made.issue("a", natural_key="reward r2").outcome == "issued"
    assert made.issue("a").outcome == "issued"


def test_a_reward_that_arrives_again_after_its_revocation_is_refused_visibly() -> None:
    made = World((campaign("a"),))
    made.issue("a", natural_key=REWARD)
    revoke(made)
    assert refused(made.issue("a", natural_key=REWARD)) == ["reward_revoked"]


def test_a_shared_code_is_not_voided_for_one_customer() -> None:
    made = World((campaign("a", code=CodeRule(shared_code="SAVE10")), campaign("b")))
    made.coupon(campaign_id="a")
    made.state.issued.add((REWARD, "a"))
    verdict = revoke(made)
    assert (verdict.outcome, reasons(verdict)) == ("recorded", {"SAVE10": "shared_code"})


def test_a_coupon_that_was_voided_before_is_reported() -> None:
    made = World((campaign("a"),))
    code = made.issue("a", natural_key=REWARD).accepted[0].code
    made.void(code)
    verdict = revoke(made)
    assert (verdict.outcome, reasons(verdict)) == ("recorded", {code: "voided"})


# Extend restored coupons


@pytest.mark.parametrize(
    ("days", "ends_at", "fields", "after"),
    [
        (7, NOW, {}, NOW + 7 * DAY),
        (7, NOW - 100 * DAY, {}, NOW + 7 * DAY),
        (0, NOW - DAY, {}, None),
        (7, NOW + MINUTE, {}, None),
        (7, None, {}, None),
        (7, NOW - DAY, {"status": "voided"}, None),
        (7, NOW - DAY, {"revoked": True}, None),
    ],
)
def test_a_coupon_restored_after_its_end_gets_the_days_of_its_campaign(
    days: int, ends_at: datetime | None, fields: dict[str, Any], after: datetime | None
) -> None:
    made = world(restore_days=days)
    coupon = made.coupon(ends_at=ends_at, **fields)
    entry = end_after_restore(coupon, made.state.campaigns["save10"], NOW)
    assert (None if entry is None or entry.end is None else entry.end.after) == after


def test_days_beyond_the_calendar_end_with_it() -> None:
    made = world(restore_days=3_650)
    now = END_OF_TIME - timedelta(days=1)
    entry = end_after_restore(made.coupon(ends_at=NOW), made.state.campaigns["save10"], now)
    assert entry is not None
    assert entry.end is not None
    assert entry.end.after == END_OF_TIME


@pytest.mark.parametrize("how", ["cancel", "return_order"])
def test_a_cancelled_or_returned_order_extends_its_coupon(how: str) -> None:
    made = world(restore_days=7)
    coupon = made.coupon(ends_at=NOW + DAY)
    made.redeem("SAVE10")
    made.now = NOW + 3 * DAY
    verdict = getattr(made, how)()
    assert [entry.kind for entry in verdict.entries] == ["restored", "extended"]
    assert coupon.ends_at == NOW + 10 * DAY
    assert made.redeem("SAVE10", to=order("ORD2", placed_at=made.now), by=JOHN).outcome == "redeemed"
