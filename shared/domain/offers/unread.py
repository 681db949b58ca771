"""Fields of an order that could not be read: which coupons are refused for them. All others are judged.

One row per part of an order. A coupon is refused if its campaign reads that part, because its result can't be known.
To let a field fail on its own: add it to `schemas/salvage.py`, and its part here.
"""

from collections.abc import Callable, Mapping
from typing import Final

from shared.domain.model.campaign import Campaign
from shared.domain.model.order_commands import RedeemCoupons, UnreadField, UnreadPart
from shared.domain.model.reasons import Reason
from shared.domain.model.verdicts import RefusedCoupon, refuse
from shared.domain.offers.kinds import KINDS
from shared.domain.offers.request import Request, ResolvedOffer


def _has_conditions(campaign: Campaign) -> bool:
    return bool(campaign.eligibility.conditions)


def _reads_lines(campaign: Campaign) -> bool:
    scope, discount = campaign.scope, campaign.discount
    takes_from = KINDS[discount.kind].takes_from
    if campaign.eligibility.min_quantity > 0 or takes_from == "product" or scope.max_units is not None:
        return True
    return discount.per_unit or scope.excludes or bool(scope.product_ids or scope.variant_ids or scope.collection_ids)


_Reader = tuple[Callable[[Campaign], bool], Reason]

READERS: Final[Mapping[UnreadPart, tuple[_Reader, ...]]] = {
    "code": (),
    "lock": (),
    "lines": ((_reads_lines, Reason.NO_ELIGIBLE_PRODUCT), (_has_conditions, Reason.CONDITION_FAILED)),
    "metadata": ((_has_conditions, Reason.CONDITION_FAILED),),
    "channel": (
        (lambda campaign: bool(campaign.eligibility.channels), Reason.CHANNEL_MISMATCH),
        (_has_conditions, Reason.CONDITION_FAILED),
    ),
    "subscription": ((lambda campaign: campaign.recurring, Reason.ORDER_MISMATCH),),
    "shipping": (
        (lambda campaign: KINDS[campaign.discount.kind].takes_from == "shipping", Reason.NO_EFFECT),
        (_has_conditions, Reason.CONDITION_FAILED),
    ),
}
"""For each part: which campaigns read it, and the reason of their refusal. A code or a lock is refused by itself."""


def refusal_for_unread(request: Request, offer: ResolvedOffer) -> RefusedCoupon | None:
    """Return the refusal of a coupon whose campaign reads a field that could not be read; None if it reads none."""
    for unread in request.command.unread:
        for reads, reason in READERS[unread.part]:
            if reads(offer.campaign):
                message = f"Coupon {offer.coupon.code!r} depends on {unread.field}, which {unread.problem}."
                return refuse(reason, message, offer.code, offer.coupon, {"field": unread.field})
    return None


def refused_themselves(command: RedeemCoupons) -> list[RefusedCoupon]:
    """Return the refusals of codes and of a lock that can't exist."""
    return [_refused(unread) for unread in command.unread if unread.part in ("code", "lock")]


def _refused(unread: UnreadField) -> RefusedCoupon:
    what, reason = ("coupon", Reason.NOT_FOUND) if unread.part == "code" else ("lock", Reason.LOCK_NOT_FOUND)
    message = f"There is no such {what}: {unread.field} {unread.problem}."
    details = {"field": unread.field}
    return RefusedCoupon(reason, message, unread.given if unread.part == "code" else None, details=details)
