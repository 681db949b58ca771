"""Days, weeks and months in a campaign's time zone, including clock changes and ends of years."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.model.campaign import Period
from shared.domain.model.clock import next_period_start, period_of

PERIODS: tuple[Period, ...] = ("day", "week", "month")


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("per", "at", "zone", "period", "again_at"),
    [
        # the last and the first instant of a period
        ("day", "2026-11-25T23:59:59.999999", "UTC", "day 2026-11-25", "2026-11-26T00:00"),
        ("day", "2026-11-26T00:00", "UTC", "day 2026-11-26", "2026-11-27T00:00"),
        ("week", "2026-11-22T23:59:59.999999", "UTC", "week 2026-11-16", "2026-11-23T00:00"),
        ("week", "2026-11-23T00:00", "UTC", "week 2026-11-23", "2026-11-30T00:00"),
        ("month", "2026-11-30T23:59:59.999999", "UTC", "month 2026-11-01", "2026-12-01T00:00"),
        ("month", "2026-12-01T00:00", "UTC", "month 2026-12-01", "2027-01-01T00:00"),
        # a year that ends within a week, and February between longer months
        ("week", "2027-01-01T12:00", "UTC", "week 2026-12-28", "2027-01-04T00:00"),
        ("day", "2026-12-31T12:00", "UTC", "day 2026-12-31", "2027-01-01T00:00"),
        ("month", "2028-02-29T12:00", "UTC", "month 2028-02-01", "2028-03-01T00:00"),
        ("month", "2026-01-31T12:00", "UTC", "month 2026-01-01", "2026-02-01T00:00"),
        # another day in the campaign's time zone
        ("day", "2026-11-25T15:00", "Asia/Tokyo", "day 2026-11-26", "2026-11-26T15:00"),
        ("day", "2026-11-25T07:59", "America/Los_Angeles", "day 2026-11-24", "2026-11-25T08:00"),
        ("month", "2026-12-31T18:30", "Asia/Kolkata", "month 2027-01-01", "2027-01-31T18:30"),
        ("week", "2026-11-22T15:00", "Asia/Tokyo", "week 2026-11-23", "2026-11-29T15:00"),
        # days of 23 and 25 hours, and the periods around them
        ("day", "2026-03-29T00:30", "Europe/Berlin", "day 2026-03-29", "2026-03-29T22:00"),
        ("day", "2026-10-25T00:30", "Europe/Berlin", "day 2026-10-25", "2026-10-25T23:00"),
        ("day", "2026-10-24T22:00", "Europe/Berlin", "day 2026-10-25", "2026-10-25T23:00"),
        ("week", "2026-10-25T22:59", "Europe/Berlin", "week 2026-10-19", "2026-10-25T23:00"),
        ("month", "2026-03-01T12:00", "Europe/Berlin", "month 2026-03-01", "2026-03-31T22:00"),
        # a midnight that clocks skipped: the day began at one
        ("day", "2018-11-03T12:00", "America/Sao_Paulo", "day 2018-11-03", "2018-11-04T03:00"),
        # the first and last day of the calendar
        ("week", "0001-01-01T00:00", "America/Los_Angeles", "week 0001-01-01", "0001-01-08T07:52:58"),
        ("month", "9999-12-31T12:00", "UTC", "month 9999-12-01", "9999-12-31T23:59:59.999999"),
    ],
)
def test_a_time_is_in_a_period_of_the_campaigns_time_zone(
    per: Period, at: str, zone: str, period: str, again_at: str
) -> None:
    clock = ZoneInfo(zone)
    assert period_of(per, moment(at), clock) == period
    assert next_period_start(per, moment(at), clock) == moment(again_at)


@given(
    st.sampled_from(PERIODS),
    st.datetimes(datetime(1990, 1, 1), datetime(2090, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001 - bounds have no zone
    st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Pacific/Auckland"]),
)
def test_the_next_period_begins_later_and_is_the_next_one(per: Period, at: datetime, zone: str) -> None:
    clock = ZoneInfo(zone)
    following = next_period_start(per, at, clock)
    assert following > at
    assert period_of(per, following, clock) > period_of(per, at, clock)
    just_before = following.timestamp() - 0.001
    assert period_of(per, datetime.fromtimestamp(just_before, UTC), clock) == period_of(per, at, clock)
