"""The window of a campaign definition: when its coupons are valid, and for how long."""

from datetime import date, datetime, timedelta
from typing import Annotated, Any, Final, Literal, Self, cast
from zoneinfo import ZoneInfo

from pydantic import (
    Field,
    PlainSerializer,
    ValidationError,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    WithJsonSchema,
    WrapValidator,
    field_validator,
    model_validator,
)

from schemas.campaign_parts import Section, is_stored
from schemas.common import WrittenIdentifier, WrittenMoment
from schemas.limits import LATEST
from schemas.written_values import (
    SPAN_PATTERN,
    duration_problem,
    moment_problem,
    read_day,
    read_local_time,
    read_span,
    time_zone_problem,
)

MAX_REMIND_DAYS: Final = 366
"""A year: the earliest that a reminder is of use."""

MAX_VALID_FOR: Final = timedelta(days=36_525)
"""A hundred years: longer than any coupon, short enough to be added to any sensible date."""


def _moment_or_day(value: Any, moment: ValidatorFunctionWrapHandler, info: ValidationInfo) -> date:
    read: date | None = None
    if isinstance(value, str):
        read = read_day(value)
        value = read_local_time(value, info.data.get("time_zone", "UTC")) or value
    elif type(value) is date:
        read = value
    if read is None:
        try:
            read = cast("date", moment(value))
        except ValidationError as error:
            if isinstance(value, str) and error.errors()[0]["type"] in _NO_MOMENT:
                raise ValueError(moment_problem(value)) from None
            raise
    latest = LATEST if isinstance(read, datetime) else LATEST.date()
    if read > latest and not is_stored(info):
        raise ValueError(f"must be before the year {LATEST.year + 1}; leave it out if there is no such time")
    return read


_NO_MOMENT: Final = (
    "string_pattern_mismatch",
    "datetime_parsing",
    "datetime_from_date_parsing",
    "datetime_object_invalid",
)

MomentOrDay = Annotated[
    WrittenMoment,
    WrapValidator(_moment_or_day),
    PlainSerializer(lambda value: value, return_type=Any),  # a date stays a date when it is written
    WithJsonSchema({"anyOf": [{"type": "string", "format": "date-time"}, {"type": "string", "format": "date"}]}),
]
"""A time, or a date ("2027-01-01"), which is later converted to a time in the campaign's time zone.

A time without a zone ("2027-01-01T08:00:00") is read in the campaign's time zone, and kept with that zone's offset.
"""


def _duration(value: Any, elapsed: ValidatorFunctionWrapHandler) -> timedelta | str:
    if isinstance(value, str) and (span := read_span(value)) is not None:
        return span
    if not isinstance(value, str | timedelta):
        raise ValueError(duration_problem(value))  # noqa: TRY004 - pydantic reports a ValueError
    try:
        read = cast("timedelta", elapsed(value))
    except ValidationError:
        raise ValueError(duration_problem(value)) from None
    if not timedelta() < read <= MAX_VALID_FOR:
        raise ValueError('must be more than 0 and at most 100 years, for example "P30D" for 30 days')
    return read


Duration = Annotated[
    timedelta,
    Field(strict=False),  # strict, only JSON may hold a string, and a wrapped value isn't JSON any more
    WrapValidator(_duration),
    PlainSerializer(lambda value: value, return_type=Any),  # a span of the calendar stays as it is written
    WithJsonSchema({"anyOf": [{"type": "string", "format": "duration"}, {"type": "string", "pattern": SPAN_PATTERN}]}),
]
"""A time that passes ("P30D", "PT12H"), or a span of the calendar ("30 days", "1 month"), which stays a string."""

_CLOCK_PATTERN: Final = r"^([01][0-9]|2[0-3]):[0-5][0-9]$|^24:00$"

Clock = Annotated[str, Field(pattern=_CLOCK_PATTERN)]
"""A time of day in the campaign's time zone: "00:00" to "24:00"."""

Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]


class HoursDefinition(Section):
    """Hours of a day, `[opens, closes)`. Without `days`: every day. If `closes` is before `opens`: the next day."""

    days: Annotated[tuple[Weekday, ...], Field(max_length=7)] = ()
    opens: Clock = "00:00"
    closes: Clock = "24:00"

    @model_validator(mode="after")
    def _is_open(self) -> Self:
        if self.opens in (self.closes, "24:00"):
            raise ValueError(
                f"opens at {self.opens} and closes at {self.closes}, which is never; give two different times"
            )
        return self


class WindowDefinition(Section):
    """The time in which coupons are valid: `[starts_at, ends_at)`. A date means the start of that day in `time_zone`.

    So a campaign whose `ends_at` is 2026-12-31 runs through December 30; to include the 31st, write 2027-01-01. A time
    without a zone is read in `time_zone`.

    `valid_for` limits each coupon's own validity from its issue. A time that passes is written in ISO 8601 ("P30D"; a
    month is 30 days, a year 365). A span of the calendar ("30 days", "2 weeks", "1 month", "1 year") ends at the same
    local time in `time_zone`; a month after January 31 is the last day of February. `until` moves a coupon's own end to
    the end of that day, week (a Sunday) or month in `time_zone`; without `valid_for`, those in which it is issued.
    `remind_days`: `coupon.expiring` is published that many days before a customer's unused coupon ends, and
    `coupon.expired` when it has ended; 0: only the latter.
    `hours`: the hours in which coupons can be used, in `time_zone`; none means always.
    """

    time_zone: WrittenIdentifier = "UTC"
    starts_at: MomentOrDay | None = None
    ends_at: MomentOrDay | None = None
    valid_for: Duration | None = None
    until: Literal["end_of_day", "end_of_week", "end_of_month"] | None = None
    remind_days: Annotated[int, Field(ge=0, le=MAX_REMIND_DAYS)] | None = None
    hours: Annotated[tuple[HoursDefinition, ...], Field(max_length=50)] = ()

    @model_validator(mode="after")
    def _reminders_need_an_end(self) -> Self:
        if self.remind_days is not None and self.valid_for is None and self.until is None and self.ends_at is None:
            raise ValueError("remind_days needs coupons that end; give valid_for, until or ends_at as well")
        return self

    @field_validator("time_zone")
    @classmethod
    def _time_zone_exists(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (OSError, ValueError, LookupError) as error:
            raise ValueError(time_zone_problem(value)) from error
        return value
