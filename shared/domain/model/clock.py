"""Times in a campaign's time zone: opening hours, days, weeks, months, and additions that stay within the calendar."""

from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Final

from shared.domain.model.campaign import Hours, Period, Window

END_OF_TIME: Final = datetime.max.replace(tzinfo=UTC)
DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_DAY: Final = 1440


def later(moment: datetime, seconds: float) -> datetime:
    """Return `moment` plus `seconds`, or END_OF_TIME if the sum is beyond the calendar."""
    try:
        return moment + timedelta(seconds=seconds)
    except OverflowError:
        return END_OF_TIME


# Opening hours


def is_open(window: Window, moment: datetime) -> bool:
    """Return whether `moment` is within one of the window's hours. A window without hours is always open.

    Hours that run past midnight belong to the day they open on. A local hour that occurs twice, because clocks are set
    back, is open both times.
    """
    if not window.hours:
        return True
    local = moment.astimezone(window.zone)
    minute, day = local.hour * 60 + local.minute, local.weekday()
    return any(
        _is_within(hours, minute, day) or _is_within(hours, minute + _DAY, (day - 1) % 7) for hours in window.hours
    )


def format_hours(window: Window) -> str:
    """Return the hours in words: `mon, tue 09:00-17:00 and sat 10:00-14:00 (Europe/Berlin)`."""
    parts = []
    for hours in window.hours:
        days = ", ".join(DAYS[day] for day in sorted(hours.days))
        parts.append(f"{days} {_clock_time(hours.opens)}-{_clock_time(hours.closes)}".strip())
    return f"{' and '.join(parts)} ({window.zone})"


def _is_within(hours: Hours, minute: int, day: int) -> bool:
    return hours.opens <= minute < hours.closes and (not hours.days or day in hours.days)


def _clock_time(minutes: int) -> str:
    if minutes > _DAY:
        minutes -= _DAY
    return f"{minutes // 60:02}:{minutes % 60:02}"


# Periods of caps


def period_of(per: Period, moment: datetime, zone: tzinfo) -> str:
    """Return the period of `moment`, named by its first day: "day 2026-11-25", "week 2026-11-23" (a Monday),
    "month 2026-11-01". `period_meters_rebuild.sql` names periods the same way.
    """
    return f"{per} {_first_day(per, moment, zone).isoformat()}"


def next_period_start(per: Period, moment: datetime, zone: tzinfo) -> datetime:
    """Return the start of the next period, UTC: the first midnight of its first day in `zone`."""
    first = _first_day(per, moment, zone)
    try:
        if per == "month":
            following = (first + timedelta(days=31)).replace(day=1)
        else:
            following = first + timedelta(days=1 if per == "day" else 7)
        return datetime.combine(following, time(), zone).astimezone(UTC)
    except OverflowError:
        return END_OF_TIME


def _first_day(per: Period, moment: datetime, zone: tzinfo) -> date:
    try:
        day = moment.astimezone(zone).date()
    except OverflowError:  # the local date is outside the calendar: take its first or last day
        day = date.min if moment.year == 1 else date.max
    if per == "month":
        return day.replace(day=1)
    return day if per == "day" else day - timedelta(days=day.weekday())
