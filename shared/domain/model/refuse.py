"""Refusals that name their coupon."""

from shared.domain.model.coupon import Coupon
from shared.domain.model.reasons import Reason
from shared.domain.model.verdicts import RefusedCoupon


def refuse(
    reason: Reason, message: str, code: str | None, coupon: Coupon | None = None, details: dict[str, str] | None = None
) -> RefusedCoupon:
    """A refusal that names the coupon, where there is one."""
    if coupon is None:
        return RefusedCoupon(reason, message, code, details=details or {})
    return RefusedCoupon(reason, message, code, coupon.coupon_id, coupon.campaign_id, details or {})
