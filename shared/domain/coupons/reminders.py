"""Reminders: `coupon.expiring` days before a customer's unused coupon ends, `coupon.expired` when it has ended.

Each is published once for an end. If the end moves, so do they, and they are published for the new end as well.
"""

from datetime import datetime, timedelta
from typing import Literal

from shared.domain.model.campaign import CalendarSpan, Campaign, Window
from shared.domain.model.coupon import Coupon
from shared.domain.model.validity import after_span
from shared.domain.model.value import value

DAY = timedelta(days=1)


@value
class Published:
    """The ends for which a coupon's reminders were published; None: not yet."""

    expiring_for: datetime | None = None
    expired_for: datetime | None = None


@value
class Reminder:
    """What is due for a coupon: an event or none, the coupon's end, and when to look again (None: never).

    `days_left` counts days that have begun, and is never above the campaign's `remind_days`.
    """

    event: Literal["coupon.expiring", "coupon.expired"] | None = None
    ends_at: datetime | None = None
    days_left: int = 0
    again_at: datetime | None = None


NOTHING = Reminder()


def reminder_of(campaign: Campaign | None, coupon: Coupon, published: Published, now: datetime) -> Reminder:
    """Return what is due at `now` for a coupon.

    Nothing is due while its campaign is paused or archived, or while it is voided or used up; after that, look again.
    A coupon that is issued later than its reminder is due gets it at once. One that has ended gets only
    `coupon.expired`.
    """
    if campaign is None or campaign.window.remind_days is None or not _is_reminded(campaign, coupon):
        return NOTHING
    ends_at, days = end_of(campaign.window, coupon), campaign.window.remind_days
    if ends_at is None or published.expired_for == ends_at:
        return NOTHING
    if now >= ends_at:
        return Reminder("coupon.expired", ends_at)
    if days == 0 or published.expiring_for == ends_at:
        return Reminder(None, ends_at, again_at=ends_at)
    announced_at = after_span(ends_at, CalendarSpan(days=-days), campaign.window.zone)
    if now < announced_at:
        return Reminder(None, ends_at, again_at=announced_at)
    return Reminder("coupon.expiring", ends_at, min(days, -((now - ends_at) // DAY)), again_at=ends_at)


def end_of(window: Window, coupon: Coupon) -> datetime | None:
    """Return the end of the coupon or of its campaign, whichever is earlier; None if neither has one."""
    ends = [end for end in (window.ends_at, coupon.ends_at) if end is not None]
    return min(ends) if ends else None


def _is_reminded(campaign: Campaign, coupon: Coupon) -> bool:
    has_uses = coupon.uses_limit is None or coupon.used < coupon.uses_limit
    return campaign.status == "active" and coupon.status == "active" and coupon.holder_key is not None and has_uses
