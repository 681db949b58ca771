"""Hours of the week in the campaign's time zone, including days on which clocks change."""

from datetime import UTC, datetime, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from shared.domain.model.campaign import Hours, Window
from shared.domain.model.reasons import Reason
from shared.domain.model.verdicts import RefusedCoupon, Verdict
from tests.builders import (
    NOW,
    World,
    campaign,
    only_reason,
    order,
)

BERLIN, NEW_YORK = ZoneInfo("Europe/Berlin"), ZoneInfo("America/New_York")
VIP = frozenset({"vip"})


def world_of(**fields: Any) -> World:
    """Build a world of one campaign with one coupon SAVE10."""
    world = World((campaign(**fields),))
    world.coupon()
    return world


def refusal(verdict: Verdict) -> RefusedCoupon:
    assert verdict.outcome == "refused", verdict
    [refused] = verdict.refused
    return refused


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


MON_TO_FRI, SAT, SUN = frozenset(range(5)), frozenset({5}), frozenset({6})
OFFICE = (Hours(9 * 60, 17 * 60, MON_TO_FRI), Hours(10 * 60, 14 * 60, SAT))
NIGHT = (Hours(22 * 60, 26 * 60, SAT),)  # until two on Sunday
EARLY = (Hours(2 * 60, 3 * 60, SUN),)
ALL_DAY = (Hours(0, 1440, SUN),)


@pytest.mark.parametrize(
    ("hours", "zone", "moment", "is_open"),
    [
        # weekdays, half-open by the minute; 2026-11-23 is a Monday
        (OFFICE, UTC, "2026-11-23T08:59:59.999999", False),
        (OFFICE, UTC, "2026-11-23T09:00:00", True),
        (OFFICE, UTC, "2026-11-23T16:59:59.999999", True),
        (OFFICE, UTC, "2026-11-23T17:00:00", False),
        (OFFICE, UTC, "2026-11-28T09:30:00", False),  # Saturday starts later
        (OFFICE, UTC, "2026-11-28T10:00:00", True),
        (OFFICE, UTC, "2026-11-29T10:00:00", False),  # Sunday
        # without hours: always; without days: every day
        ((), UTC, "2026-11-29T03:00:00", True),
        ((Hours(0, 60),), UTC, "2026-11-29T00:30:00", True),
        ((Hours(0, 60),), UTC, "2026-11-29T01:00:00", False),
        # in the time zone, which may be on another day
        (OFFICE, BERLIN, "2026-11-23T08:00:00", True),
        (OFFICE, BERLIN, "2026-11-23T16:00:00", False),
        (OFFICE, ZoneInfo("Asia/Tokyo"), "2026-11-23T00:00:00", True),
        (OFFICE, ZoneInfo("Asia/Tokyo"), "2026-11-22T23:59:59", False),
        (OFFICE, ZoneInfo("Pacific/Kiritimati"), "2026-11-22T19:00:00", True),  # Monday there
        (OFFICE, ZoneInfo("Asia/Kolkata"), "2026-11-23T03:29:00", False),
        (OFFICE, ZoneInfo("Asia/Kolkata"), "2026-11-23T03:30:00", True),
        # hours past midnight belong to the day on which they start
        (NIGHT, UTC, "2026-11-28T21:59:00", False),
        (NIGHT, UTC, "2026-11-28T23:59:59", True),
        (NIGHT, UTC, "2026-11-29T00:00:00", True),
        (NIGHT, UTC, "2026-11-29T01:59:00", True),
        (NIGHT, UTC, "2026-11-29T02:00:00", False),
        (NIGHT, UTC, "2026-11-29T22:30:00", False),
        (NIGHT, UTC, "2026-11-28T00:30:00", False),  # not the night before
        ((Hours(22 * 60, 26 * 60, SUN),), UTC, "2026-11-30T01:00:00", True),  # Sunday's hours, on Monday
        ((Hours(22 * 60, 26 * 60),), UTC, "2026-11-25T01:00:00", True),
        # the bounds of a day
        (ALL_DAY, UTC, "2026-11-28T23:59:59.999999", False),
        (ALL_DAY, UTC, "2026-11-29T00:00:00", True),
        (ALL_DAY, UTC, "2026-11-29T23:59:59.999999", True),
        (ALL_DAY, UTC, "2026-11-30T00:00:00", False),
        # clocks are set forward: the hour from two to three is skipped
        (EARLY, BERLIN, "2026-03-29T00:59:59", False),  # 01:59:59
        (EARLY, BERLIN, "2026-03-29T01:00:00", False),  # 03:00
        (EARLY, NEW_YORK, "2026-03-08T06:59:59", False),
        (EARLY, NEW_YORK, "2026-03-08T07:00:00", False),
        ((Hours(60, 240, SUN),), BERLIN, "2026-03-29T00:00:00", True),
        ((Hours(60, 240, SUN),), BERLIN, "2026-03-29T01:59:59", True),  # 03:59:59, two hours in all
        ((Hours(60, 240, SUN),), BERLIN, "2026-03-29T02:00:00", False),
        # clocks are set back: the hour is repeated
        (EARLY, BERLIN, "2026-10-24T23:59:59", False),  # 01:59:59
        (EARLY, BERLIN, "2026-10-25T00:00:00", True),
        (EARLY, BERLIN, "2026-10-25T00:59:59", True),
        (EARLY, BERLIN, "2026-10-25T01:00:00", True),  # two again
        (EARLY, BERLIN, "2026-10-25T01:59:59", True),
        (EARLY, BERLIN, "2026-10-25T02:00:00", False),
        ((Hours(60, 120, SUN),), NEW_YORK, "2026-11-01T05:30:00", True),
        ((Hours(60, 120, SUN),), NEW_YORK, "2026-11-01T06:30:00", True),
        ((Hours(60, 120, SUN),), NEW_YORK, "2026-11-01T07:00:00", False),
        # hours during which clocks change end by the local clock
        (NIGHT, BERLIN, "2026-10-24T20:00:00", True),
        (NIGHT, BERLIN, "2026-10-24T23:59:59", True),
        (NIGHT, BERLIN, "2026-10-25T00:00:00", False),
    ],
)
def test_hours_use_the_campaigns_time_zone(hours: tuple[Hours, ...], zone: tzinfo, moment: str, is_open: bool) -> None:
    world = world_of(window=Window(zone=zone, hours=hours))
    world.now = at("2027-01-01")
    reason = only_reason(world.redeem("SAVE10", to=order(placed_at=at(moment))))
    assert reason == (None if is_open else Reason.OUTSIDE_HOURS)


def test_a_refusal_names_the_hours_with_the_time_zone() -> None:
    refused = refusal(world_of(window=Window(zone=BERLIN, hours=(*OFFICE, *NIGHT))).redeem("SAVE10"))
    assert refused.message == (
        "Coupon 'SAVE10' can be used mon, tue, wed, thu, fri 09:00-17:00 and sat 10:00-14:00 and sat 22:00-02:00 "
        "(Europe/Berlin); it is Sun 10:30 there."
    )
    assert refused.details["local_time"] == "2026-11-22T10:30:00+01:00"
    always = refusal(
        world_of(window=Window(hours=(Hours(60, 1440),))).redeem("SAVE10", to=order(placed_at=NOW.replace(hour=0)))
    )
    assert always.details["hours"] == "01:00-24:00 (UTC)"
