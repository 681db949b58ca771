"""Caps: limits that begin anew each day, week or month, by the campaign's clock.

Which period an entry counts in is decided by its `counted_at`: a use counts when it was asked for, one that was held
when it was held, and one that is given back makes room where it was counted.
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
    """A cap that leaves no room: at most `limit`, of which `counted` are gone for good, until `again_at`."""

    cap: Cap
    limit: int
    counted: int
    period: str
    again_at: datetime

    def most(self, what: str) -> str:
        """The cap in words: "1 use a day"."""
        return f"{self.limit} {what}{'' if self.limit == 1 else 's'} a {self.cap.per}"

    def details(self, counted: str) -> dict[str, str]:
        """The numbers behind a refusal; `counted` is what the count is called."""
        return {
            "limit": str(self.limit),
            counted: str(self.counted),
            "per": self.cap.per,
            "period": self.period,
            "again_at": self.again_at.isoformat(),
        }


def period_keys(campaign: Campaign, customer_key: CustomerKey | None, moment: datetime) -> Iterator[PeriodKey]:
    """The running totals that something at `moment` counts in, by this customer."""
    for cap in campaign.limits.caps:
        if cap.each == "campaign" or customer_key is not None:
            yield period_key(campaign, cap, customer_key, moment)


def period_key(campaign: Campaign, cap: Cap, customer_key: CustomerKey | None, moment: datetime) -> PeriodKey:
    """The running total that `cap` looks at."""
    customer_key = None if cap.each == "campaign" else customer_key
    return (campaign.campaign_id, customer_key, period_of(cap.per, moment, campaign.window.zone))


def full(campaign: Campaign, cap: Cap, limit: int, counted: int, moment: datetime) -> FullCap:
    """`cap` as one that leaves no room at `moment`."""
    zone = campaign.window.zone
    period = period_of(cap.per, moment, zone)
    return FullCap(cap, limit, counted, period, next_period_start(cap.per, moment, zone))


def coupons_cap_reached(  # noqa: PLR0917 - private to the domain
    state: State, campaign: Campaign, customer_key: CustomerKey | None, moment: datetime, each: Counted, totals: int = 0
) -> FullCap | None:
    """The first cap of issued coupons that leaves no room for one more, after `along` others of the same request."""
    for cap in campaign.limits.caps:
        if cap.each != each or cap.coupons is None or (each == "customer" and customer_key is None):
            continue
        issued = state.period_meters.get(period_key(campaign, cap, customer_key, moment), NO_METER).issued + totals
        if issued >= cap.coupons:
            return full(campaign, cap, cap.coupons, issued, moment)
    return None
