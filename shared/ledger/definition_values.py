"""Parse a campaign's amounts and times into the values that decisions use."""

from datetime import UTC, date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from schemas.campaign_parts import DiscountDefinition
from schemas.discount_kinds import KIND_FIELDS
from schemas.windows import WindowDefinition
from shared.domain.model.campaign import CalendarSpan, DiscountOffer, Hours, Period, Window
from shared.domain.model.money import MoneyError, parse_minor


class DefinitionError(ValueError):
    """An invalid campaign. The message names the field and says what to change."""


def discount_offer(discount: DiscountDefinition, currency: str | None) -> DiscountOffer:
    """Return the discount that a coupon gives. Raises DefinitionError."""
    cap = minor(discount.max_discount, currency, "discount.max_discount")
    if cap == 0:
        raise DefinitionError(
            "`discount.max_discount` is 0, so no coupon would take anything off; raise it or leave it null."
        )
    kind, row = discount.kind, KIND_FIELDS[discount.kind]
    value = discount.value or row.default
    if row.value == "percent":
        whole, _, fraction = value.partition(".")
        numerator, denominator = int(whole + fraction), 10 ** len(fraction)
        if not 0 < numerator <= 100 * denominator:
            raise DefinitionError(f"`discount.value` is {value} percent; give more than 0 and at most 100.")
        return DiscountOffer(kind, value, numerator, denominator, max_discount_minor=cap)
    if row.value == "amount":
        # Without a currency it is an amount in the order's currency.
        amount = None if currency is None else minor(value, currency, "discount.value")
        if amount == 0:
            raise DefinitionError(
                "`discount.value` is 0, so no coupon would take anything off; give an amount above 0."
            )
        return DiscountOffer(kind, value, amount_minor=amount, max_discount_minor=cap, per_unit=discount.per_unit)
    return DiscountOffer(
        kind, value, max_discount_minor=cap, product_id=discount.product_id,
        units=int(value) if row.value == "units" else 0, payload=discount.payload,
    )  # fmt: skip


def minor(amount: str | None, currency: str | None, name: str) -> int | None:
    """Return `amount` in minor units of `currency`; None for None. Raises DefinitionError about the field `name`."""
    if amount is None:
        return None
    if currency is None:
        raise DefinitionError(f"`{name}` is an amount of money; set its currency in `eligibility.currency`.")
    try:
        return parse_minor(amount, currency)
    except MoneyError as error:
        raise DefinitionError(f"`{name}`: {error.sentence}") from error


def window_of(window: WindowDefinition, hours: tuple[Hours, ...]) -> Window:
    """Return the window in UTC. Raises DefinitionError."""
    zone = ZoneInfo(window.time_zone)
    starts_at, ends_at = _moment(window.starts_at, zone), _moment(window.ends_at, zone)
    if starts_at is not None and ends_at is not None and ends_at <= starts_at:
        raise DefinitionError(
            f"`window.ends_at` ({ends_at.isoformat()}) isn't after `window.starts_at` ({starts_at.isoformat()}); "
            "the campaign would never run. A date alone is the start of that day."
        )
    return Window(
        starts_at,
        ends_at,
        _valid_for(window.valid_for),
        UTC if window.time_zone == "UTC" else zone,
        hours,
        None if window.until is None else _UNTIL[window.until],
        window.remind_days,
    )


_UNTIL: Final[dict[str, Period]] = {"end_of_day": "day", "end_of_week": "week", "end_of_month": "month"}
_SPANS: Final = {
    "day": CalendarSpan(days=1), "week": CalendarSpan(days=7), "month": CalendarSpan(1), "year": CalendarSpan(12),
}  # fmt: skip


def _valid_for(duration: timedelta | str | None) -> timedelta | CalendarSpan | None:
    if not isinstance(duration, str):
        return duration
    number, unit = duration.split()
    span = _SPANS[unit.removesuffix("s")]
    return CalendarSpan(span.months * int(number), span.days * int(number))


def _moment(moment: datetime | date | None, zone: ZoneInfo) -> datetime | None:
    """Return the time in UTC; a date is the start of that day in `zone`."""
    if moment is None:
        return None
    if not isinstance(moment, datetime):
        moment = datetime.combine(moment, time(), zone)
    try:
        return moment.astimezone(UTC)
    except OverflowError as error:
        raise DefinitionError(
            f"`window` holds {moment.isoformat()}, which is outside the supported years; leave it null."
        ) from error
