"""The end of a coupon's own validity: spans of the calendar, ends of days, weeks and months, and changes of clocks."""

from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.model.campaign import CalendarSpan, Period, Window
from shared.domain.model.clock import END_OF_TIME, next_period_start
from shared.domain.model.validity import after_span, own_end
from shared.ledger.definition_values import window_of
from shared.ledger.definitions import DefinitionError, to_domain
from tests.unit.test_definitions import changed

ZONES = st.sampled_from([
    ZoneInfo(name)
    for name in ("UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Pacific/Apia", "America/Havana",
                 "Australia/Lord_Howe")
])  # fmt: skip
MOMENTS = st.datetimes(datetime(1990, 1, 1), datetime(2090, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - bounds have no zone


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def window(zone: str, valid_for: str | None, until: str | None = None) -> Window:
    definition = changed(window={"time_zone": zone, "valid_for": valid_for, "until": until})
    return window_of(definition.window, ())


@pytest.mark.parametrize(
    ("zone", "valid_for", "until", "issued", "end"),
    [
        ("UTC", "30 days", None, "2026-01-01T10:00", "2026-01-31T10:00"),
        ("UTC", "1 day", None, "2026-12-31T23:59:59.999999", "2027-01-01T23:59:59.999999"),
        ("UTC", "2 weeks", None, "2026-01-01T10:00", "2026-01-15T10:00"),
        # months and years end on the last day that there is
        ("UTC", "1 month", None, "2027-01-31T10:00", "2027-02-28T10:00"),
        ("UTC", "1 month", None, "2028-01-31T10:00", "2028-02-29T10:00"),
        ("UTC", "2 months", None, "2027-01-31T10:00", "2027-03-31T10:00"),
        ("UTC", "13 months", None, "2026-12-31T10:00", "2028-01-31T10:00"),
        ("UTC", "1 year", None, "2028-02-29T10:00", "2029-02-28T10:00"),
        ("UTC", "4 years", None, "2028-02-29T10:00", "2032-02-29T10:00"),
        # the day is that of the campaign's time zone: January 31 in Tokyo is still the 30th in London
        ("Asia/Tokyo", "1 month", None, "2027-01-30T20:00", "2027-02-27T20:00"),
        # the same time of day although the day has 23 or 25 hours; a duration has none of this
        ("Europe/Berlin", "1 day", None, "2026-03-28T11:00", "2026-03-29T10:00"),
        ("Europe/Berlin", "1 day", None, "2026-10-24T10:00", "2026-10-25T11:00"),
        ("Europe/Berlin", "P1D", None, "2026-03-28T11:00", "2026-03-29T11:00"),
        # 02:30 is skipped: an hour later; 02:30 occurs twice: the second
        ("Europe/Berlin", "1 day", None, "2026-03-28T01:30", "2026-03-29T01:30"),
        ("Europe/Berlin", "1 day", None, "2026-10-24T00:30", "2026-10-25T01:30"),
        # a whole day that Samoa skipped
        ("Pacific/Apia", "1 day", None, "2011-12-29T22:00", "2011-12-30T22:00"),
        # durations are as long as they were
        ("Europe/Berlin", "P1M", None, "2026-01-31T10:00", "2026-03-02T10:00"),
        ("Europe/Berlin", "P1Y", None, "2027-03-01T10:00", "2028-02-29T10:00"),
        # ends of days, weeks and months
        ("UTC", "30 days", "end_of_day", "2026-01-01T00:00", "2026-02-01T00:00"),
        ("UTC", "30 days", "end_of_day", "2026-01-01T23:59:59", "2026-02-01T00:00"),
        ("UTC", "P1D", "end_of_day", "2026-01-01T10:00", "2026-01-03T00:00"),
        ("Europe/Berlin", "1 day", "end_of_day", "2026-10-24T10:00", "2026-10-25T23:00"),
        ("America/Los_Angeles", "1 day", "end_of_day", "2026-01-02T07:59", "2026-01-03T08:00"),
        ("UTC", "1 week", "end_of_week", "2026-11-22T23:00", "2026-11-30T00:00"),
        ("UTC", "1 month", "end_of_month", "2027-01-31T10:00", "2027-03-01T00:00"),
        ("UTC", None, "end_of_day", "2026-01-01T00:00", "2026-01-02T00:00"),
        ("UTC", None, "end_of_week", "2026-11-29T12:00", "2026-11-30T00:00"),
        ("Asia/Kolkata", None, "end_of_month", "2026-01-31T18:30", "2026-02-28T18:30"),
        # a midnight that clocks skipped: the next day began at one
        ("America/Sao_Paulo", None, "end_of_day", "2018-11-03T12:00", "2018-11-04T03:00"),
        # the end of the calendar
        ("UTC", "1 day", None, "9999-12-31T12:00", "9999-12-31T23:59:59.999999"),
        ("UTC", "100 years", None, "9950-01-01T12:00", "9999-12-31T23:59:59.999999"),
        ("UTC", "1 month", "end_of_month", "9999-12-01T00:00", "9999-12-31T23:59:59.999999"),
        ("Pacific/Auckland", "1 day", "end_of_day", "9999-12-31T23:00", "9999-12-31T23:59:59.999999"),
    ],
)  # fmt: skip
def test_a_coupon_ends(zone: str, valid_for: str | None, until: str | None, issued: str, end: str) -> None:
    assert own_end(window(zone, valid_for, until), moment(issued)) == moment(end)


def test_without_a_duration_a_coupon_has_no_end_of_its_own() -> None:
    assert own_end(window("UTC", None), moment("2026-01-01T00:00")) is None


@given(MOMENTS, ZONES, st.integers(0, 1200), st.integers(0, 40_000))
def test_a_span_of_the_calendar_ends_on_the_expected_day(at: datetime, zone: tzinfo, months: int, days: int) -> None:
    end = after_span(at, CalendarSpan(months, days), zone)
    if end == END_OF_TIME:
        return
    assert end >= at
    first = at.astimezone(zone).date().replace(day=1)
    in_month = after_span(at, CalendarSpan(months), zone).astimezone(zone).date()
    # A skipped day or hour moves the end by at most a day.
    assert abs((in_month.year - first.year) * 12 + in_month.month - first.month - months) <= (in_month.day == 1)
    assert after_span(at, CalendarSpan(months, days + 2), zone) > end


@given(MOMENTS, MOMENTS, ZONES, st.integers(0, 400))
def test_a_later_issue_never_ends_earlier(first: datetime, second: datetime, zone: tzinfo, days: int) -> None:
    first, second = sorted((first, second))
    span = CalendarSpan(1, days)
    # An hour that occurs twice is on the clock again, so times of day can be an hour earlier.
    assert after_span(first, span, zone) <= after_span(second, span, zone) + timedelta(hours=1)
    for until in ("day", "week", "month"):
        ended = Window(valid_for=span, zone=zone, until=until)
        earlier, later = own_end(ended, first), own_end(ended, second)
        assert earlier is not None
        assert later is not None
        assert earlier <= later


@given(MOMENTS, ZONES, st.sampled_from(("day", "week", "month")))
def test_without_a_duration_it_ends_with_the_period_of_its_issue(at: datetime, zone: tzinfo, until: Period) -> None:
    assert own_end(Window(zone=zone, until=until), at) == next_period_start(until, at, zone)


@pytest.mark.parametrize(
    ("written", "kept"),
    [("30 days", "30 days"), ("1 days", "1 day"), ("12 Month", "12 months"), (" 2weeks ", "2 weeks"), ("P1M", "P30D")],
)
def test_a_duration_is_kept_as_it_is_meant(written: str, kept: str) -> None:
    definition = changed(window={"valid_for": written})
    assert definition.model_dump(mode="json")["window"]["valid_for"] == kept
    assert definition.__class__.model_validate_json(definition.model_dump_json()) == definition


@pytest.mark.parametrize("name", ["valid_for", "until"])
def test_a_shared_code_has_no_end_of_its_own(name: str) -> None:
    given_value = {"valid_for": "1 month", "until": "end_of_day"}[name]
    with pytest.raises(DefinitionError, match=f"`window.{name}` can't be combined with `code.shared_code`"):
        to_domain(
            changed(code={"pattern": None, "shared_code": "A"}, window={"valid_for": None, name: given_value},
                    eligibility={"holder_only": False}),
            0,
        )  # fmt: skip
