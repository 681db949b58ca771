"""The end of a coupon's own validity, counted on the clocks of its campaign's time zone."""

from calendar import monthrange
from datetime import MAXYEAR, UTC, datetime, timedelta, tzinfo

from shared.domain.model.campaign import CalendarSpan, Window
from shared.domain.model.clock import END_OF_TIME, later, next_period_start


def own_end(window: Window, starts_at: datetime) -> datetime | None:
    """Return the end of a coupon that is valid from `starts_at`, UTC; None if coupons have no end of their own.

    With `until`, all coupons that begin on the same local day end at the same time.
    """
    if not window.ends_coupons:
        return None
    end, valid_for = starts_at, window.valid_for
    if isinstance(valid_for, timedelta):
        end = later(starts_at, valid_for.total_seconds())
    elif valid_for is not None:
        end = after_span(starts_at, valid_for, window.zone)
    return end if window.until is None else next_period_start(window.until, end, window.zone)


def after_span(moment: datetime, span: CalendarSpan, zone: tzinfo) -> datetime:
    """Return the time at which the clocks of `zone` show the same time of day as at `moment`, after `span`; UTC.

    A day that a month doesn't have is its last day. Of a time that occurs twice because clocks are set back, it is the
    second; a time that clocks skip is as much later. END_OF_TIME if it is beyond the calendar.
    """
    try:
        local = moment.astimezone(zone).replace(tzinfo=None)
        year, month = divmod(local.year * 12 + local.month - 1 + span.months, 12)
        if year > MAXYEAR:
            return END_OF_TIME
        day = min(local.day, monthrange(year, month + 1)[1])
        local = local.replace(year=year, month=month + 1, day=day) + timedelta(days=span.days)
        return max([local.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1)])
    except OverflowError:
        return END_OF_TIME
