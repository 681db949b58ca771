"""Read the values of campaigns as people write them: what is clear is understood, all else gets a suggestion.

Every ValueError is a sentence without its subject that says exactly what to write.
"""

import re
from datetime import date, datetime, timedelta, timezone
from functools import cache
from typing import Any, Final
from zoneinfo import ZoneInfo, available_timezones

_DAY: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_LOCAL: Final = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})[Tt ]([0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,6})?)?)")
_YEAR_LAST: Final = re.compile(r"([0-9]{1,2})([./-])([0-9]{1,2})\2([0-9]{4})\b.*")
_YEAR_FIRST: Final = re.compile(r"([0-9]{4})[./]([0-9]{1,2})[./]([0-9]{1,2})\b.*")
_PERCENT: Final = re.compile(r"([0-9]{1,18}(?:\.[0-9]{1,6})?)\s*%")
_NEGATIVE: Final = re.compile(r"[-\u2212]\s*([0-9]{1,18}(?:\.[0-9]{1,6})?)\s*%?")
_THOUSANDS: Final = re.compile(r"[0-9]{1,3}(?:,[0-9]{3})+(?:\.[0-9]{1,6})?")
_COMMA: Final = re.compile(r"[0-9]{1,18},[0-9]{1,6}")
_WITH_UNIT: Final = re.compile(
    r"[^0-9,.]{1,4}([0-9]{1,18}(?:\.[0-9]{1,6})?)|([0-9]{1,18}(?:\.[0-9]{1,6})?)[^0-9,.]{1,4}"
)

SPAN_PATTERN: Final = r"^[1-9][0-9]{0,4} (day|week|month|year)s?$"
"""The form in which spans of the calendar are kept."""

_SPAN: Final = re.compile(r"([0-9]{1,9})[ \t]*(day|week|month|year)s?", re.IGNORECASE)
_LONGEST: Final = {"day": 36_525, "week": 5_217, "month": 1_200, "year": 100}

DURATION_EXPECTED: Final = (
    'must be a span of the calendar ("30 days", "2 weeks", "1 month", "1 year") or a time that passes in ISO 8601 '
    '("P30D", "PT12H")'
)

MOMENT_EXPECTED: Final = (
    'must be a date ("2026-12-31"), or a date and time ("2026-12-31T23:59:59" in the campaign\'s time_zone, or with a '
    'zone as in "2026-12-31T23:59:59Z")'
)
_NO_DAY: Final = "is not a day of the calendar"
_NO_TIME: Final = "is not a time of day; write hours from 00 to 23, and minutes and seconds from 00 to 59"

ZONES: Final = {
    "PST": "America/Los_Angeles", "PDT": "America/Los_Angeles", "MST": "America/Denver", "MDT": "America/Denver",
    "CST": "America/Chicago", "CDT": "America/Chicago", "EST": "America/New_York", "EDT": "America/New_York",
    "BST": "Europe/London", "IST": "Asia/Kolkata", "CEST": "Europe/Berlin", "MSK": "Europe/Moscow", "JST": "Asia/Tokyo",
    "KST": "Asia/Seoul", "AEST": "Australia/Sydney", "AEDT": "Australia/Sydney", "NZST": "Pacific/Auckland",
    "BRT": "America/Sao_Paulo", "SGT": "Asia/Singapore", "HKT": "Asia/Hong_Kong",
}  # fmt: skip
"""A time zone for abbreviations that are no names: several zones share some of them, and none has daylight saving."""


def read_day(value: str) -> date | None:
    """Return a date; None if `value` has another form. Raises ValueError."""
    if not _DAY.fullmatch(value):
        return None
    try:
        return date.fromisoformat(value)
    except ValueError:
        raise ValueError(_NO_DAY) from None


def read_local_time(value: str, zone: str) -> str | None:
    """Return a time without a zone as RFC 3339 in `zone`; None if `value` has another form. Raises ValueError."""
    match = _LOCAL.fullmatch(value)
    if match is None:
        return None
    read_day(match[1])
    try:
        local = datetime.fromisoformat(f"{match[1]}T{match[2]}").replace(tzinfo=ZoneInfo(zone))
    except ValueError:
        raise ValueError(_NO_TIME) from None
    # A fixed offset: times that a change of the clocks repeats or skips are never equal to those of other zones.
    return local.replace(tzinfo=timezone(local.utcoffset() or timedelta())).isoformat()


def moment_problem(value: str) -> str:
    """Return why a text is neither a date nor a time, with what to write."""
    if _DAY.match(value[:10]) and not _is_day(value[:10]):
        return _NO_DAY
    if (match := _YEAR_LAST.fullmatch(value)) is not None:
        first, second, year = int(match[1]), int(match[3]), match[4]
        days = [f"{year}-{month:02}-{day:02}" for day, month in ((first, second), (second, first))]
        valid = [f'"{day}"' for day in dict.fromkeys(days) if _is_day(day)]
        return f"has the year last; write {' or '.join(valid)}" if valid else _NO_DAY
    if (match := _YEAR_FIRST.fullmatch(value)) is not None:
        day = f"{match[1]}-{int(match[2]):02}-{int(match[3]):02}"
        return f'has no hyphens; write "{day}"' if _is_day(day) else _NO_DAY
    return MOMENT_EXPECTED


def _is_day(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


def time_zone_problem(name: str) -> str:
    """Return what to write instead of a name that is no time zone."""
    known = ZONES.get(name.upper()) or _zones_by_name().get(name.casefold().replace(" ", "_"))
    if known is not None:
        return f'is not the name of a time zone; write "{known}", or the zone of another place'
    return 'is not a time zone; write one as "UTC" or "Europe/Berlin"'


@cache
def _zones_by_name() -> dict[str, str]:
    return {name.casefold(): name for name in available_timezones()}


def read_span(value: str) -> str | None:
    """Return a span of the calendar as it is kept; None if `value` has another form. Raises ValueError."""
    match = _SPAN.fullmatch(value.strip())
    if match is None:
        return None
    number, unit = int(match[1]), match[2].lower()
    if not 0 < number <= _LONGEST[unit]:
        raise ValueError(f'must be at least 1 and at most {_LONGEST[unit]:,} {unit}s, for example "30 days"')
    return f"{number} {unit}{'' if number == 1 else 's'}"


def duration_problem(value: Any) -> str:
    """Return why a value is no duration, with what to write."""
    if isinstance(value, int) and not isinstance(value, bool) and value > 0:
        return f'is a number without a unit; write "{value} days"'
    return DURATION_EXPECTED


def read_percent(value: Any, *, is_percentage: bool) -> Any:
    """Return a value without its percent sign. Raises ValueError if it isn't a percentage."""
    match = _PERCENT.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None:
        return value
    if not is_percentage:
        raise ValueError(f'has a percent sign; write kind: percentage, or the amount as "{match[1]}"')
    return match[1]


def check_amount(value: Any) -> Any:
    """Return `value`. Raises ValueError, with what to write, for an amount in a form that is often meant as one."""
    if not isinstance(value, str):
        return value
    text = value.strip()
    if (match := _NEGATIVE.fullmatch(text)) is not None:
        raise ValueError(f'is negative; write what it takes off or limits, for example "{match[1]}"')
    if _THOUSANDS.fullmatch(text):
        meant = [text.replace(",", ""), text.replace(",", ".")] if text.count(",") == 1 and "." not in text else []
        written = " or ".join(f'"{one}"' for one in meant or [text.replace(",", "")])
        raise ValueError(f"has a comma; write {written}, with a point before the decimals only")
    if _COMMA.fullmatch(text):
        raise ValueError(f'has a comma; write "{text.replace(",", ".")}", with a point before the decimals')
    if (match := _WITH_UNIT.fullmatch(text)) is not None and text == value:
        raise ValueError(f'must be only a number; write "{match[1] or match[2]}", and the currency in its own field')
    return value
