"""Limits that are used up: the coupons and campaigns that a verdict took to a limit, and caps without room.

`exhausted` compares the state right after the verdict with the state before it (less what the verdict added). So
exactly one verdict takes a running total to its limit, in any batch and with any number of processes.
"""

from collections.abc import Iterator
from datetime import datetime

from shared.domain.model.campaign import Campaign, Cap, Counted
from shared.domain.model.customer import CustomerKey
from shared.domain.model.money import format_for_message
from shared.domain.model.state import NO_METER, PeriodKey, State
from shared.domain.model.value import value
from shared.domain.model.verdicts import LedgerEntry, Verdict
from shared.domain.offers.periods import PERIODS


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
            period = period_key(campaign, cap, None, entry.coupon_id, at)[2]
            _, uses, coupons = periods.get(period, (at, 0, 0))
            periods[period] = (at, uses + entry.used_uses, coupons + (entry.kind == "issued"))
        for period, (at, uses, coupons) in periods.items():
            meter = state.period_meters.get((campaign.campaign_id, None, period), NO_METER)
            reached = (("uses", cap.uses, meter.used, uses), ("coupons", cap.coupons, meter.issued, coupons))
            for name, limit, total, added in reached:
                if limit is not None and total - added < limit <= total:
                    until = again_at(campaign, cap, at)
                    yield ExhaustedCampaign(campaign.campaign_id, f"caps.{cap.per}.{name}", str(limit), until=until)


# Caps: limits per day, week or month in the campaign's time zone, or per coupon. The `counted_at` of an entry decides
# its period: a use counts at the time of its request, a held use when it was held, and a restored use makes room in the
# period where it was counted.


@value
class FullCap:
    """A cap without room: `counted` of `limit` are used up until `again_at`; None: permanently."""

    cap: Cap
    limit: int
    counted: int
    period: str
    again_at: datetime | None

    def describe(self, what: str) -> str:
        """Return the cap in words: "1 use a day"."""
        return f"{self.limit} {what}{'' if self.limit == 1 else 's'} {PERIODS[self.cap.per].text}"

    def details(self, counted: str) -> dict[str, str]:
        """Return the details of a refusal; `counted` is the key of the count."""
        details = {"limit": str(self.limit), counted: str(self.counted), "per": self.cap.per}
        if self.again_at is not None:
            details |= {"period": self.period, "again_at": self.again_at.isoformat()}
        return details


def period_keys(
    campaign: Campaign, customer_key: CustomerKey | None, coupon_id: str | None, at: datetime
) -> Iterator[tuple[Cap, PeriodKey]]:
    """Yield the caps that a use of this customer at `at` counts in, with the keys of their running totals.

    `coupon_id` None: a coupon is issued.
    """
    for cap in campaign.limits.caps:
        if (cap.each == "campaign" or customer_key is not None) and (
            coupon_id is not None or PERIODS[cap.per].of_calendar
        ):
            yield cap, period_key(campaign, cap, customer_key, coupon_id, at)


def period_key(
    campaign: Campaign, cap: Cap, customer_key: CustomerKey | None, coupon_id: str | None, at: datetime
) -> PeriodKey:
    """Return the key of the running total that `cap` limits. `coupon_id` None: a coupon is issued."""
    customer_key = None if cap.each == "campaign" else customer_key
    return (campaign.campaign_id, customer_key, PERIODS[cap.per].name(coupon_id or "", at, campaign.window.zone))


def again_at(campaign: Campaign, cap: Cap, at: datetime) -> datetime | None:
    """Return when the next period of `cap` begins after that of `at`; None if there is none."""
    return PERIODS[cap.per].again_at(at, campaign.window.zone)


def coupons_cap_reached(  # noqa: PLR0917 - private to the domain
    state: State, campaign: Campaign, customer_key: CustomerKey | None, at: datetime, each: Counted, totals: int = 0
) -> FullCap | None:
    """Return the first cap of issued coupons without room for one more after `totals` of this request, or None."""
    for cap in campaign.limits.caps:
        if cap.each != each or cap.coupons is None or (each == "customer" and customer_key is None):
            continue
        key = period_key(campaign, cap, customer_key, None, at)
        issued = state.period_meters.get(key, NO_METER).issued + totals
        if issued >= cap.coupons:
            return FullCap(cap, cap.coupons, issued, key[2], again_at(campaign, cap, at))
    return None
