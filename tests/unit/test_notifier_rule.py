"""The redemptions that are notified, and the content of the notification."""

from datetime import UTC, datetime
from typing import get_args
from uuid import UUID

import pytest

from schemas.catalogue import BY_TYPE
from schemas.common import CustomerReference, Discount, Event
from schemas.redemptions import (
    CouponRedeemed,
    CouponRedemptionRefused,
    CouponRedemptionRestored,
    RedeemedCoupon,
    RedemptionEvent,
    RefusedCoupon,
    RestoredCoupon,
)
from schemas.topics import COUPONS_REDEMPTIONS
from services.notifier.rule import event_uuid, notification_id, notification_of
from shared.webhooks.endpoints import EVENT_TYPES

AT = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)


def redeemed_coupon(code: str) -> RedeemedCoupon:
    return RedeemedCoupon(
        coupon_id=f"coupon-{code}",
        code=code,
        campaign_id="save10",
        discount=Discount(kind="percentage", value="10"),
        discount_amount="12.50",
    )


def redeemed(requested_count: int, *codes: str) -> CouponRedeemed:
    return CouponRedeemed(
        redemption_id="0199f6a2-7000-7000-8000-000000000001",
        order_id="ORD456",
        customer=CustomerReference(customer_id="customer_123", email="john.smith@email.com"),
        requested_count=requested_count,
        order_amount="125.00",
        currency="USD",
        discount_amount="12.50",
        coupons=tuple(redeemed_coupon(code) for code in codes),
        channel="orders",
        redeemed_at=AT,
    )


REFUSED = CouponRedemptionRefused(
    order_id="ORD456",
    requested_count=1,
    coupons=(RefusedCoupon(code="A", reason="expired", message="The coupon has expired."),),
    channel="orders",
    refused_at=AT,
)
RESTORED = CouponRedemptionRestored(
    redemption_id="r",
    order_id="ORD456",
    cause="order.cancelled",
    coupons=(RestoredCoupon(coupon_id="c", campaign_id="save10", uses=1, discount_amount="1.00"),),
    restored_at=AT,
)


@pytest.mark.parametrize(
    ("event", "notified"),
    [
        pytest.param(redeemed(1, "A"), True, id="one asked for, one redeemed"),
        pytest.param(redeemed(2, "A", "B"), False, id="two asked for, both redeemed"),
        pytest.param(redeemed(2, "A"), False, id="two asked for, one of them refused"),
        pytest.param(redeemed(5, "A"), False, id="five asked for, all but one refused"),
        pytest.param(redeemed(1, "A", "B"), False, id="a lock named once that held two coupons"),
        pytest.param(redeemed(0), False, id="nothing asked for"),
        pytest.param(redeemed(1), False, id="one asked for, nothing redeemed"),
        pytest.param(REFUSED, False, id="one asked for and refused"),
        pytest.param(RESTORED, False, id="one restored"),
    ],
)
def test_only_a_request_of_exactly_one_coupon_that_was_redeemed_is_notified(event: Event, notified: bool) -> None:
    assert (notification_of(event) is not None) == notified


def test_a_notification_has_the_redemptions_facts() -> None:
    redemption = redeemed(1, "SAVE10")
    notification = notification_of(redemption)
    assert notification is not None
    notified = notification.model_dump()
    coupon = notified.pop("coupon")
    said = redemption.model_dump()
    assert notified == {name: said[name] for name in notified}
    assert coupon == {name: said["coupons"][0][name] for name in coupon}
    assert set(notified) == {
        "redemption_id", "order_id", "customer", "order_amount", "currency", "redeemed_at", "shop_id",
    }  # fmt: skip
    assert set(coupon) == {"coupon_id", "code", "campaign_id", "discount", "discount_amount"}


def test_a_guest_without_a_customer_is_notified_too() -> None:
    notification = notification_of(redeemed(1, "A").model_copy(update={"customer": None}))
    assert notification is not None
    assert notification.customer is None


def test_the_id_of_a_notification_follows_from_its_redemption() -> None:
    first = "0199f6a2-5c1e-7b43-9a51-3d0c8f6b2a10"
    assert notification_id(first) == notification_id(first)
    assert notification_id(first) not in (notification_id(first[:-1] + "1"), UUID(first))


def test_an_event_id_that_is_a_uuid_stays_and_any_other_is_always_mapped_to_the_same() -> None:
    assert str(event_uuid("0199f6a2-5c1e-7b43-9a51-3d0c8f6b2a10")) == "0199f6a2-5c1e-7b43-9a51-3d0c8f6b2a10"
    assert event_uuid("evt_1") == event_uuid("evt_1") != event_uuid("evt_2")


def test_the_notifier_and_webhooks_read_every_event_of_the_redemption_stream() -> None:
    stream = {name: row.model for name, row in BY_TYPE.items() if row.topic is COUPONS_REDEMPTIONS}
    assert set(stream.values()) == set(get_args(RedemptionEvent))
    assert set(stream) <= set(EVENT_TYPES)
