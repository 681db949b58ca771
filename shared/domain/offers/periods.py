"""What a cap counts in: days, weeks and months of the campaign's time zone, or each coupon on its own."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, tzinfo
from functools import partial
from typing import Final

from shared.domain.model.campaign import CapPeriod, Period
from shared.domain.model.clock import next_period_start, period_of


@dataclass(frozen=True, slots=True)
class PeriodKind:
    """One kind of period. `name`: the period of a use of a coupon at a time. `again_at`: when the next one begins, None
    if there is none. `text` follows the number: "1 use a day". `of_calendar`: it follows the clock of the campaign's
    time zone, and issued coupons count in it too.
    """

    name: Callable[[str, datetime, tzinfo], str]
    again_at: Callable[[datetime, tzinfo], datetime | None]
    text: str
    of_calendar: bool = True


def _of_calendar(per: Period) -> PeriodKind:
    return PeriodKind(lambda _, at, zone: period_of(per, at, zone), partial(next_period_start, per), f"a {per}")


PERIODS: Final[Mapping[CapPeriod, PeriodKind]] = {
    "day": _of_calendar("day"),
    "week": _of_calendar("week"),
    "month": _of_calendar("month"),
    "coupon": PeriodKind(
        lambda coupon_id, *_: f"coupon {coupon_id}", lambda *_: None, "of each coupon", of_calendar=False
    ),
}
"""`period_meters_rebuild.sql` and `audit_period_meters.sql` name periods the same way."""
