"""Every type of event: its wire name, its model, its topic.

from schemas.catalogue import BY_TYPE
BY_TYPE["order.placed"].model        # OrderPlaced
BY_TYPE["order.placed"].topic.name   # "orders"
"""

from dataclasses import dataclass
from types import MappingProxyType

from schemas.common import Event
from schemas.issued import CouponIssued, CouponIssueRefused, CustomerErased
from schemas.lifecycle import (
    CampaignExhausted,
    CouponExhausted,
    CouponExpired,
    CouponExpiring,
    CouponExtended,
    CouponLocked,
    CouponLockExpired,
    CouponReleased,
    CouponUnvoided,
    CouponVoided,
    LedgerEventWithheld,
)
from schemas.notifications import CouponRedemptionNotified
from schemas.orders import (
    OrderCancelled,
    OrderChanged,
    OrderPaid,
    OrderPaymentFailed,
    OrderPlaced,
    OrderReturned,
)
from schemas.redemptions import (
    CouponRedeemed,
    CouponRedemptionAdjusted,
    CouponRedemptionRefused,
    CouponRedemptionRestored,
)
from schemas.rewards import RewardEarned, RewardRevoked
from schemas.signups import CustomerSignedUp
from schemas.topics import (
    COUPONS_ISSUED,
    COUPONS_LIFECYCLE,
    COUPONS_REDEMPTION_NOTIFICATIONS,
    COUPONS_REDEMPTIONS,
    ORDERS,
    REWARDS,
    SIGNUPS,
    Topic,
)


@dataclass(frozen=True, slots=True)
class EventType:
    """A type of event. `name` is the value of `ce_type`."""

    name: str
    model: type[Event]
    topic: Topic


CATALOGUE: tuple[EventType, ...] = (
    EventType("reward.earned", RewardEarned, REWARDS),
    EventType("reward.revoked", RewardRevoked, REWARDS),
    EventType("customer.signed_up", CustomerSignedUp, SIGNUPS),
    EventType("order.placed", OrderPlaced, ORDERS),
    EventType("order.changed", OrderChanged, ORDERS),
    EventType("order.paid", OrderPaid, ORDERS),
    EventType("order.payment_failed", OrderPaymentFailed, ORDERS),
    EventType("order.cancelled", OrderCancelled, ORDERS),
    EventType("order.returned", OrderReturned, ORDERS),
    EventType("coupon.issued", CouponIssued, COUPONS_ISSUED),
    EventType("coupon.issue_refused", CouponIssueRefused, COUPONS_ISSUED),
    EventType("customer.erased", CustomerErased, COUPONS_ISSUED),
    EventType("coupon.redeemed", CouponRedeemed, COUPONS_REDEMPTIONS),
    EventType("coupon.redemption_refused", CouponRedemptionRefused, COUPONS_REDEMPTIONS),
    EventType("coupon.redemption_adjusted", CouponRedemptionAdjusted, COUPONS_REDEMPTIONS),
    EventType("coupon.redemption_restored", CouponRedemptionRestored, COUPONS_REDEMPTIONS),
    EventType("coupon.redemption_notified", CouponRedemptionNotified, COUPONS_REDEMPTION_NOTIFICATIONS),
    EventType("coupon.locked", CouponLocked, COUPONS_LIFECYCLE),
    EventType("coupon.released", CouponReleased, COUPONS_LIFECYCLE),
    EventType("coupon.lock_expired", CouponLockExpired, COUPONS_LIFECYCLE),
    EventType("coupon.voided", CouponVoided, COUPONS_LIFECYCLE),
    EventType("coupon.unvoided", CouponUnvoided, COUPONS_LIFECYCLE),
    EventType("coupon.extended", CouponExtended, COUPONS_LIFECYCLE),
    EventType("coupon.expiring", CouponExpiring, COUPONS_LIFECYCLE),
    EventType("coupon.expired", CouponExpired, COUPONS_LIFECYCLE),
    EventType("coupon.exhausted", CouponExhausted, COUPONS_LIFECYCLE),
    EventType("campaign.exhausted", CampaignExhausted, COUPONS_LIFECYCLE),
    EventType("ledger.event_withheld", LedgerEventWithheld, COUPONS_LIFECYCLE),
)
"""All types of events, in the order of the flow."""

BY_TYPE: MappingProxyType[str, EventType] = MappingProxyType({entry.name: entry for entry in CATALOGUE})


def types_on(topic_name: str) -> tuple[str, ...]:
    """Return the types of a topic, given without prefix; empty for an unknown topic."""
    return tuple(entry.name for entry in CATALOGUE if entry.topic.name == topic_name)
