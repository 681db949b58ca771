"""Hours of a week in which coupons can be used, by the clock of the campaign's time zone.

What runs past midnight belongs to the day it opened on. Clocks that are set forward or back are the zone's own: an hour
that comes twice counts both times, one that doesn't come is nobody's.
"""

from datetime import datetime
from typing import Final

from shared.domain.model.campaign import Hours, Window

DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_DAY: Final = 1440


def is_open(window: Window, moment: datetime) -> bool:
    """Whether `moment` lies in one of the window's hours; always where it names none."""
    if not window.hours:
        return True
    local = moment.astimezone(window.zone)
    minute, day = local.hour * 60 + local.minute, local.weekday()
    return any(
        _is_within(hours, minute, day) or _is_within(hours, minute + _DAY, (day - 1) % 7) for hours in window.hours
    )


def _is_within(hours: Hours, minute: int, day: int) -> bool:
    return hours.opens <= minute < hours.closes and (not hours.days or day in hours.days)


def shown_hours(window: Window) -> str:
    """In words: `mon, tue 09:00-17:00 and sat 10:00-14:00 (Europe/Berlin)`."""
    parts = []
    for hours in window.hours:
        days = ", ".join(DAYS[day] for day in sorted(hours.days))
        parts.append(f"{days} {_clock(hours.opens)}-{_clock(hours.closes)}".strip())
    return f"{' and '.join(parts)} ({window.zone})"


def _clock(minutes: int) -> str:
    if minutes > _DAY:
        minutes -= _DAY
    return f"{minutes // 60:02}:{minutes % 60:02}"
