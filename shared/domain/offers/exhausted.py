"""Limits that are used up: the coupons and campaigns that a verdict took to a limit, and caps without room.

`exhausted` compares the state right after the verdict with the state before it (less what the verdict added). So
exactly one verdict takes a running total to its limit, in any batch and with any number of processes.
"""

from collections.abc import Iterator
from datetime import datetime

from shared.domain.model.campaign import Campaign, Cap, Counted
from shared.domain.model.clock import next_period_start, period_of
from shared.domain.model.customer import CustomerKey
from shared.domain.model.money import format_for_message
from shared.domain.model.state import NO_METER, PeriodKey, State
from shared.domain.model.value import value
from shared.domain.model.verdicts import LedgerEntry, Verdict


@value
class ExhaustedCoupon:
    """A coupon whose last use was taken."""

    coupon_id: str
    code: str
    campaign_id: str
    limit: int


@value
class ExhaustedCampaign:
    """A campaign at a limit: the limit's name and value, and until when it lasts (None: permanently)."""

    campaign_id: str
    limit: str
    value: str
    currency: str | None = None
    until: datetime | None = None


def exhausted(verdict: Verdict, state: State) -> Iterator[ExhaustedCoupon | ExhaustedCampaign]:
    """Yield what `verdict` exhausted: coupons, then the limits of each campaign. `state` is the state right after it.

    Coupons with a limit of one use are left out, because their redemption implies it. Only used amounts count; held
    ones may be released.
    """
    if not any(entry.used_uses > 0 or entry.used_minor > 0 or entry.kind == "issued" for entry in verdict.entries):
        return
    yield from _coupons(verdict, state)
    for campaign_id in dict.fromkeys([entry.campaign_id for entry in verdict.entries]):
        campaign = state.campaigns.get(campaign_id)
        if campaign is not None and (campaign.meters_campaign or campaign.limits.caps):
            entries = [entry for entry in verdict.entries if entry.campaign_id == campaign_id]
            yield from _totals(campaign, entries, state)
            yield from _caps(campaign, entries, verdict.decided_at, state)


def _coupons(verdict: Verdict, state: State) -> Iterator[ExhaustedCoupon]:
    added: dict[str, int] = {}
    for entry in verdict.entries:
        added[entry.coupon_id] = added.get(entry.coupon_id, 0) + entry.used_uses
    for coupon_id, uses in added.items():
        coupon = state.coupons.get(coupon_id)
        if coupon is None or coupon.uses_limit is None or coupon.uses_limit == 1:
            continue
        if coupon.used - uses < coupon.uses_limit <= coupon.used:
            yield ExhaustedCoupon(coupon_id, coupon.code, coupon.campaign_id, coupon.uses_limit)


def _totals(campaign: Campaign, entries: list[LedgerEntry], state: State) -> Iterator[ExhaustedCampaign]:
    limits, currency = campaign.limits, campaign.currency
    meter = state.meters.get((campaign.campaign_id, None), NO_METER)
    reached = (
        ("uses_total", limits.uses_total, meter.used, sum(entry.used_uses for entry in entries)),
        ("spend_total", limits.spend_total_minor, meter.used_minor, sum(entry.used_minor for entry in entries)),
        ("coupons_total", limits.coupons_total, meter.issued, sum(entry.kind == "issued" for entry in entries)),
    )
    for name, limit, total, added in reached:
        if limit is not None and total - added < limit <= total:
            money = name == "spend_total"
            text = format_for_message(limit, currency) if money else str(limit)
            yield ExhaustedCampaign(campaign.campaign_id, name, text, currency if money else None)


def _caps(
    campaign: Campaign, entries: list[LedgerEntry], decided_at: datetime, state: State
) -> Iterator[ExhaustedCampaign]:
    for cap in campaign.limits.caps:
        if cap.each == "customer":
            continue
        periods: dict[str, tuple[datetime, int, int]] = {}
        for entry in entries:
            at = entry.counted_at or decided_at
            period = period_key(campaign, cap, None, at)[2]
            _, uses, coupons = periods.get(period, (at, 0, 0))
            periods[period] = (at, uses + entry.used_uses, coupons + (entry.kind == "issued"))
        for period, (at, uses, coupons) in periods.items():
            meter = state.period_meters.get((campaign.campaign_id, None, period), NO_METER)
            reached = (("uses", cap.uses, meter.used, uses), ("coupons", cap.coupons, meter.issued, coupons))
            for name, limit, total, added in reached:
                if limit is not None and total - added < limit <= total:
                    until = next_period_start(cap.per, at, campaign.window.zone)
                    yield ExhaustedCampaign(campaign.campaign_id, f"caps.{cap.per}.{name}", str(limit), until=until)


# Caps: limits per day, week or month in the campaign's time zone. The `counted_at` of an entry decides its period: a
# use counts at the time of its request, a held use when it was held, and a restored use makes room in the period where
# it was counted.


@value
class FullCap:
    """A cap without room: `counted` of `limit` are used up until `again_at`."""

    cap: Cap
    limit: int
    counted: int
    period: str
    again_at: datetime

    def describe(self, what: str) -> str:
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


def period_keys(campaign: Campaign, customer_key: CustomerKey | None, at: datetime) -> Iterator[PeriodKey]:
    """Yield the keys of the running totals that a use of this customer at `at` counts in."""
    for cap in campaign.limits.caps:
        if cap.each == "campaign" or customer_key is not None:
            yield period_key(campaign, cap, customer_key, at)


def period_key(campaign: Campaign, cap: Cap, customer_key: CustomerKey | None, at: datetime) -> PeriodKey:
    """Return the key of the running total that `cap` limits."""
    customer_key = None if cap.each == "campaign" else customer_key
    return (campaign.campaign_id, customer_key, period_of(cap.per, at, campaign.window.zone))


def full_cap(campaign: Campaign, cap: Cap, limit: int, counted: int, at: datetime) -> FullCap:
    """Return `cap` as a cap without room at `at`."""
    zone = campaign.window.zone
    period = period_of(cap.per, at, zone)
    return FullCap(cap, limit, counted, period, next_period_start(cap.per, at, zone))


def coupons_cap_reached(  # noqa: PLR0917 - private to the domain
    state: State, campaign: Campaign, customer_key: CustomerKey | None, at: datetime, each: Counted, totals: int = 0
) -> FullCap | None:
    """Return the first cap of issued coupons without room for one more after `totals` of this request, or None."""
    for cap in campaign.limits.caps:
        if cap.each != each or cap.coupons is None or (each == "customer" and customer_key is None):
            continue
        issued = state.period_meters.get(period_key(campaign, cap, customer_key, at), NO_METER).issued + totals
        if issued >= cap.coupons:
            return full_cap(campaign, cap, cap.coupons, issued, at)
    return None
