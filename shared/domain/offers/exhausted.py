"""Find the coupons and campaigns that a verdict took to a limit. Each is reported once each time that happens.

Compares the state right after the verdict with the state before it (less what the verdict added). So exactly one
verdict takes a running total to its limit, in any batch and with any number of processes.
"""

from collections.abc import Iterator
from datetime import datetime

from shared.domain.model.campaign import Campaign
from shared.domain.model.clock import next_period_start
from shared.domain.model.money import shown
from shared.domain.model.state import Meter, State
from shared.domain.model.value import value
from shared.domain.model.verdicts import LedgerEntry, Verdict
from shared.domain.offers.caps import period_key


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
    if not any(one.used_uses > 0 or one.used_minor > 0 or one.kind == "issued" for one in verdict.entries):
        return
    yield from _coupons(verdict, state)
    for campaign_id in dict.fromkeys([one.campaign_id for one in verdict.entries]):
        campaign = state.campaigns.get(campaign_id)
        if campaign is not None and (campaign.meters_campaign or campaign.limits.caps):
            entries = [one for one in verdict.entries if one.campaign_id == campaign_id]
            yield from _totals(campaign, entries, state)
            yield from _caps(campaign, entries, verdict.decided_at, state)


def _coupons(verdict: Verdict, state: State) -> Iterator[ExhaustedCoupon]:
    added: dict[str, int] = {}
    for one in verdict.entries:
        added[one.coupon_id] = added.get(one.coupon_id, 0) + one.used_uses
    for coupon_id, uses in added.items():
        coupon = state.coupons.get(coupon_id)
        if coupon is None or coupon.uses_limit is None or coupon.uses_limit == 1:
            continue
        if coupon.used - uses < coupon.uses_limit <= coupon.used:
            yield ExhaustedCoupon(coupon_id, coupon.code, coupon.campaign_id, coupon.uses_limit)


def _totals(campaign: Campaign, entries: list[LedgerEntry], state: State) -> Iterator[ExhaustedCampaign]:
    limits, currency = campaign.limits, campaign.currency
    meter = state.meters.get((campaign.campaign_id, None), Meter())
    reached = (
        ("uses_total", limits.uses_total, meter.used, sum(one.used_uses for one in entries)),
        ("spend_total", limits.spend_total_minor, meter.used_minor, sum(one.used_minor for one in entries)),
        ("coupons_total", limits.coupons_total, meter.issued, sum(one.kind == "issued" for one in entries)),
    )
    for name, limit, total, added in reached:
        if limit is not None and total - added < limit <= total:
            money = name == "spend_total"
            text = shown(limit, currency) if money else str(limit)
            yield ExhaustedCampaign(campaign.campaign_id, name, text, currency if money else None)


def _caps(
    campaign: Campaign, entries: list[LedgerEntry], decided_at: datetime, state: State
) -> Iterator[ExhaustedCampaign]:
    for cap in campaign.limits.caps:
        if cap.each == "customer":
            continue
        periods: dict[str, tuple[datetime, int, int]] = {}
        for one in entries:
            at = one.counted_at or decided_at
            period = period_key(campaign, cap, None, at)[2]
            _, uses, coupons = periods.get(period, (at, 0, 0))
            periods[period] = (at, uses + one.used_uses, coupons + (one.kind == "issued"))
        for period, (at, uses, coupons) in periods.items():
            meter = state.period_meters.get((campaign.campaign_id, None, period), Meter())
            reached = (("uses", cap.uses, meter.used, uses), ("coupons", cap.coupons, meter.issued, coupons))
            for name, limit, total, added in reached:
                if limit is not None and total - added < limit <= total:
                    until = next_period_start(cap.per, at, campaign.window.zone)
                    yield ExhaustedCampaign(campaign.campaign_id, f"caps.{cap.per}.{name}", str(limit), until=until)
