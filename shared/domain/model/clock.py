"""Days, weeks and months by a campaign's clock: in which one a moment lies, and when the next one begins."""

from datetime import UTC, date, datetime, time, timedelta, tzinfo

from shared.domain.model.campaign import Period
from shared.domain.offers.request import END_OF_TIME


def period_of(per: Period, moment: datetime, zone: tzinfo) -> str:
    """The period that `moment` lies in, named by its first day: "day 2026-11-25", "week 2026-11-23" (its Monday),
    "month 2026-11-01". The ledger names it the same way (`period_meters_rebuild.sql`).
    """
    return f"{per} {_first_day(per, moment, zone).isoformat()}"


def next_period_start(per: Period, moment: datetime, zone: tzinfo) -> datetime:
    """When the period after that of `moment` begins, UTC: the first midnight of its first day by `zone`."""
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
    except OverflowError:  # its clock shows a day beyond the calendar: the calendar's first, or its last
        day = date.min if moment.year == 1 else date.max
    if per == "month":
        return day.replace(day=1)
    return day if per == "day" else day - timedelta(days=day.weekday())
