"""Caps: limits per day, week or month in the campaign's time zone.

The `counted_at` of an entry decides its period: a use counts at the time of its request, a held use when it was held,
and a restored use makes room in the period where it was counted.
"""

from collections.abc import Iterator
from datetime import datetime

from shared.domain.model.campaign import Campaign, Cap, Counted
from shared.domain.model.clock import next_period_start, period_of
from shared.domain.model.customer import CustomerKey
from shared.domain.model.state import Meter, PeriodKey, State
from shared.domain.model.value import value

NO_METER = Meter()


@value
class FullCap:
    """A cap without room: `counted` of `limit` are used up until `again_at`."""

    cap: Cap
    limit: int
    counted: int
    period: str
    again_at: datetime

    def most(self, what: str) -> str:
        """Return the cap in words: "1 use a day"."""
        return f"{self.limit} {what}{'' if self.limit == 1 else 's'} a {self.cap.per}"

    def details(self, counted: str) -> dict[str, str]:
        """Return the details of a refusal; `counted` is the key of the count."""
        return {
            "limit": str(self.limit),
            counted: str(self.counted),
            "per": self.cap.per,
            "period": self.period,
            "again_at": self.again_at.isoformat(),
        }


def period_keys(campaign: Campaign, customer_key: CustomerKey | None, moment: datetime) -> Iterator[PeriodKey]:
    """Yield the keys of the running totals that a use of this customer at `moment` counts in."""
    for cap in campaign.limits.caps:
        if cap.each == "campaign" or customer_key is not None:
            yield period_key(campaign, cap, customer_key, moment)


def period_key(campaign: Campaign, cap: Cap, customer_key: CustomerKey | None, moment: datetime) -> PeriodKey:
    """Return the key of the running total that `cap` limits."""
    customer_key = None if cap.each == "campaign" else customer_key
    return (campaign.campaign_id, customer_key, period_of(cap.per, moment, campaign.window.zone))


def full(campaign: Campaign, cap: Cap, limit: int, counted: int, moment: datetime) -> FullCap:
    """Return `cap` as a cap without room at `moment`."""
    zone = campaign.window.zone
    period = period_of(cap.per, moment, zone)
    return FullCap(cap, limit, counted, period, next_period_start(cap.per, moment, zone))


def coupons_cap_reached(  # noqa: PLR0917 - private to the domain
    state: State, campaign: Campaign, customer_key: CustomerKey | None, moment: datetime, each: Counted, totals: int = 0
) -> FullCap | None:
    """Return the first cap of issued coupons without room for one more after `totals` of this request, or None."""
    for cap in campaign.limits.caps:
        if cap.each != each or cap.coupons is None or (each == "customer" and customer_key is None):
            continue
        issued = state.period_meters.get(period_key(campaign, cap, customer_key, moment), NO_METER).issued + totals
        if issued >= cap.coupons:
            return full(campaign, cap, cap.coupons, issued, moment)
    return None
