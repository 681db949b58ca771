"""Convert coupons to and from their rows."""

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

import asyncpg

from shared.domain.model.campaign import Campaign
from shared.domain.model.coupon import Coupon, CouponStatus


class CouponRow(NamedTuple):
    """The values of a coupon's row that commands may change, in the order of the columns of `coupons_update`."""

    held: int
    used: int
    status: CouponStatus
    ends_at: datetime | None
    revoked: bool


def coupon_row(coupon: Coupon) -> CouponRow:
    """Return the values of a coupon's row that commands may change. Only rows that differ are written."""
    return CouponRow(coupon.held, coupon.used, coupon.status, coupon.ends_at, coupon.revoked)


def coupon_of(record: asyncpg.Record, campaigns: Mapping[str, Campaign]) -> Coupon:
    """Return a coupon from its row. Its limit is the campaign's current one; the row's copy is for the constraint."""
    campaign = campaigns.get(record["campaign_id"])
    return Coupon(
        coupon_id=record["coupon_id"],
        code=record["code"] or "",
        campaign_id=record["campaign_id"],
        status=record["status"],
        holder_key=record["holder_key"],
        uses_limit=None if campaign is None else campaign.limits.uses_per_coupon,
        used=record["used_uses"],
        held=record["held_uses"],
        starts_at=record["starts_at"],
        ends_at=record["ends_at"],
        revoked=record["revoked"],
    )
