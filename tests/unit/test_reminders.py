"""Reminders of coupons that end: which event is due, and when to look at a coupon again."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.coupons.reminders import NOTHING, Published, Reminder, reminder_of
from shared.domain.model.campaign import Campaign, Window
from shared.domain.model.coupon import Coupon
from tests.builders import DAY, MINUTE, NOW, campaign

END = NOW + 10 * DAY
HELD = Coupon("id-A", "A", "save10", holder_key="john", ends_at=END)
NEVER = Published()


def reminding(days: int | None = 3, ends_at: datetime | None = None, zone: str = "UTC", **fields: Any) -> Campaign:
    return campaign(window=Window(ends_at=ends_at, remind_days=days, zone=ZoneInfo(zone)), **fields)


@pytest.mark.parametrize(
    ("after", "published", "expected"),
    [
        (0 * DAY, NEVER, Reminder(None, END, again_at=END - 3 * DAY)),
        (7 * DAY - MINUTE, NEVER, Reminder(None, END, again_at=END - 3 * DAY)),
        (7 * DAY, NEVER, Reminder("coupon.expiring", END, 3, END)),
        (7 * DAY + MINUTE, NEVER, Reminder("coupon.expiring", END, 3, END)),
        (9 * DAY + MINUTE, NEVER, Reminder("coupon.expiring", END, 1, END)),
        (7 * DAY, Published(END), Reminder(None, END, again_at=END)),
        (10 * DAY, Published(END), Reminder("coupon.expired", END)),
        (10 * DAY, NEVER, Reminder("coupon.expired", END)),
        (11 * DAY, Published(END, END), NOTHING),
        # an end that was moved since
        (7 * DAY, Published(END - DAY, END - DAY), Reminder("coupon.expiring", END, 3, END)),
        (10 * DAY, Published(END - DAY, END - DAY), Reminder("coupon.expired", END)),
    ],
)  # fmt: skip
def test_each_event_is_due_once_for_an_end(after: timedelta, published: Published, expected: Reminder) -> None:
    assert reminder_of(reminding(), HELD, published, NOW + after) == expected


def test_without_days_only_the_end_is_announced() -> None:
    assert reminder_of(reminding(0), HELD, NEVER, END - MINUTE) == Reminder(None, END, again_at=END)
    assert reminder_of(reminding(0), HELD, NEVER, END).event == "coupon.expired"


def test_the_earlier_of_the_ends_of_coupon_and_campaign_counts() -> None:
    assert reminder_of(reminding(ends_at=END - DAY), HELD, NEVER, NOW).ends_at == END - DAY
    assert reminder_of(reminding(ends_at=END + DAY), HELD, NEVER, NOW).ends_at == END
    endless = replace_coupon(ends_at=None)
    assert reminder_of(reminding(ends_at=END), endless, NEVER, NOW).ends_at == END
    assert reminder_of(reminding(), endless, NEVER, NOW) == NOTHING


def replace_coupon(**fields: Any) -> Coupon:
    return replace(HELD, **fields)


@pytest.mark.parametrize(
    ("coupon", "fields"),
    [
        ({"holder_key": None}, {}),
        ({"status": "voided"}, {}),
        ({"used": 1}, {}),
        ({}, {"days": None}),
        ({}, {"status": "paused"}),
        ({}, {"status": "archived"}),
    ],
)
@pytest.mark.parametrize("after", [0 * DAY, 8 * DAY, 11 * DAY])
def test_nothing_is_due_without_a_holder_or_a_use(
    after: timedelta, coupon: dict[str, Any], fields: dict[str, Any]
) -> None:
    assert reminder_of(reminding(**fields), replace_coupon(**coupon), NEVER, NOW + after) == NOTHING


def test_a_coupon_with_a_use_left_is_announced() -> None:
    for uses in ({"used": 1, "uses_limit": 2}, {"used": 9, "uses_limit": None}):
        assert reminder_of(reminding(), replace_coupon(**uses), NEVER, NOW + 8 * DAY).event == "coupon.expiring"


@pytest.mark.parametrize(
    ("end", "due", "days"),
    [
        ("2026-03-30T10:00", "2026-03-27T11:00", 3),  # a day of 23 hours in between
        ("2026-10-26T11:00", "2026-10-23T10:00", 3),  # one of 25 hours
    ],
)
def test_days_are_those_of_the_campaigns_time_zone(end: str, due: str, days: int) -> None:
    ends_at, due_at = (datetime.fromisoformat(text).replace(tzinfo=UTC) for text in (end, due))
    coupon, berlin = replace_coupon(ends_at=ends_at), reminding(zone="Europe/Berlin")
    assert reminder_of(berlin, coupon, NEVER, due_at - MINUTE).again_at == due_at
    assert reminder_of(berlin, coupon, NEVER, due_at).days_left == days


@given(
    st.lists(st.integers(0, 60 * 24 * 20), min_size=1, max_size=20).map(sorted),
    st.integers(0, 30),
    st.lists(st.tuples(st.integers(0, 60 * 24 * 20), st.integers(1, 60 * 24 * 20)), max_size=3),
)
def test_whenever_the_sweep_looks_each_event_is_published_once_for_an_end(
    looks: list[int], days: int, moves: list[tuple[int, int]]
) -> None:
    """A sweep that looks at any times, between moves of the end, publishes at most one of each kind for an end."""
    rules, coupon, published = reminding(days), replace_coupon(), NEVER
    events: list[tuple[str, datetime]] = []
    steps = sorted(
        [(minute, None) for minute in looks] + [(minute, to) for minute, to in moves], key=lambda one: one[0]
    )
    last_end = coupon.ends_at
    for minute, to in steps:
        now = NOW + minute * MINUTE
        if to is not None:
            coupon = replace(coupon, ends_at=now + to * MINUTE)
            continue
        found = reminder_of(rules, coupon, published, now)
        if found.event is not None and found.ends_at is not None:
            if found.ends_at == last_end:
                assert (found.event, found.ends_at) not in events
            else:
                events.clear()
                last_end = found.ends_at
            events.append((found.event, found.ends_at))
            assert (found.event == "coupon.expired") == (now >= found.ends_at)
            kept = (found.ends_at, published.expired_for)
            published = (
                Published(*kept) if found.event == "coupon.expiring" else replace(published, expired_for=found.ends_at)
            )
        assert found.again_at is None or found.again_at > now
