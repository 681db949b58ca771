"""Count the uses and discounts of the coupons chosen so far in one request."""

from dataclasses import dataclass, field
from datetime import datetime

from shared.domain.model.state import PeriodKey
from shared.domain.offers.exhausted import period_key
from shared.domain.offers.request import Request, ResolvedOffer


@dataclass(slots=True)
class RunningTotals:
    """The uses and discounts of the coupons chosen so far in this request, by campaign.

    `uses` counts all of them; `campaign` and `customer` count those without an own hold, and `periods` those in each
    period of a cap. `spent_minor` is their discount, `held_minor` the part that was held for it.
    """

    uses: dict[str, int] = field(default_factory=dict)
    campaign: dict[str, int] = field(default_factory=dict)
    customer: dict[str, int] = field(default_factory=dict)
    periods: dict[PeriodKey, int] = field(default_factory=dict)
    spent_minor: dict[str, int] = field(default_factory=dict)
    held_minor: dict[str, int] = field(default_factory=dict)

    def copy(self) -> "RunningTotals":
        """Return an independent copy."""
        return RunningTotals(
            dict(self.uses), dict(self.campaign), dict(self.customer), dict(self.periods), dict(self.spent_minor),
            dict(self.held_minor),
        )  # fmt: skip


NO_TOTALS = RunningTotals()
"""Nothing was chosen before; never changed."""


def add_to_totals(
    request: Request, offer: ResolvedOffer, totals: RunningTotals, discount_minor: int | None = None
) -> None:
    """Count this offer in `totals`."""
    campaign_id, limits = offer.campaign.campaign_id, offer.campaign.limits
    if limits.spend_total_minor is not None:
        spent_minor = (discount_minor or 0) - used_minor(offer)
        totals.spent_minor[campaign_id] = totals.spent_minor.get(campaign_id, 0) + spent_minor
        totals.held_minor[campaign_id] = totals.held_minor.get(campaign_id, 0) + held_minor(offer)
    if offer.recurring or offer.used is not None:
        return
    totals.uses[campaign_id] = totals.uses.get(campaign_id, 0) + 1
    if offer.lock is None:
        totals.campaign[campaign_id] = totals.campaign.get(campaign_id, 0) + 1
    if offer.lock is None or offer.lock.customer_key != request.customer_key:
        totals.customer[campaign_id] = totals.customer.get(campaign_id, 0) + 1
    for cap in limits.caps:
        held = offer.lock is not None and (cap.each == "campaign" or offer.lock.customer_key == request.customer_key)
        if not held and (cap.each == "campaign" or request.customer_key is not None):
            at = counts_at(request, offer)
            key = period_key(offer.campaign, cap, request.customer_key, offer.coupon.coupon_id, at)
            totals.periods[key] = totals.periods.get(key, 0) + 1


def counts_at(request: Request, offer: ResolvedOffer) -> datetime:
    """Return when the use counts: when it was held, or at the request's time."""
    return request.at if offer.locked is None else offer.locked.counted_at or request.at


def held_minor(offer: ResolvedOffer) -> int:
    """Return the discount that the offer's own hold covers."""
    return 0 if offer.locked is None else offer.locked.one_use_minor


def used_minor(offer: ResolvedOffer) -> int:
    """Return the discount that a coupon has already which the order has redeemed."""
    return 0 if offer.used is None else offer.used.discount_minor
