"""Reasons for refusing a coupon, one row per case. Of several reasons, the first in the documented order counts."""

from collections.abc import Callable
from dataclasses import fields as fields_of
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from shared.domain.model.campaign import Condition, Eligibility, Hours
from shared.domain.model.customer import Customer
from shared.domain.model.order import Order
from shared.domain.model.reasons import PRECEDENCE, Reason
from shared.domain.model.state import ActiveRedemption, LockedUse, LockState, OrderState
from shared.domain.offers.work import MAX_WORK
from tests.builders import (
    DAY,
    JOHN,
    MARY,
    MINUTE,
    NOW,
    Limits,
    Scope,
    World,
    campaign,
    fixed,
    key_of,
    line,
    only_reason,
    order,
    percent,
    window,
)

Setup = Callable[[], World]
SUMMER = Scope(collection_ids=frozenset({"summer"}))
SHOES = Scope(product_ids=frozenset({"shoes"}))


def shop(coupon: dict[str, Any] | None = None, **fields: Any) -> World:
    """Build a world of one campaign with one coupon SAVE10."""
    world = World((campaign(**fields),))
    world.coupon(**(coupon or {}))
    return world


def costing(work: int) -> Condition:
    """Build a true condition with the given estimate of work."""
    return Condition("heavy", "true", lambda _: True, of_request=True, work=lambda _: work)


def with_meter(world: World, *, customer: Customer | None = None, **numbers: int) -> World:
    meter = world.meter(customer=customer)
    for name, number in numbers.items():
        setattr(meter, name, number)
    return world


def held_by(world: World, by: Customer | None, order_id: str | None = None) -> World:
    world.lock("SAVE10", by=by, reference="theirs", order_id=order_id)
    return world


def with_order(world: World, **fields: Any) -> World:
    world.state.orders["ORD1"] = OrderState("ORD1", **fields)
    return world


@pytest.mark.parametrize(
    ("world", "requested", "by", "reason"),
    [
        # request_too_large, before all others
        (shop(conditions=(costing(MAX_WORK),)), order(), JOHN, Reason.REQUEST_TOO_LARGE),
        (shop({"used": 1}, conditions=(costing(MAX_WORK),), status="paused"), order(), JOHN, Reason.REQUEST_TOO_LARGE),
        (shop(conditions=(costing(MAX_WORK - 1_000),)), order(), JOHN, None),
        # not_found
        (World(), order(), JOHN, Reason.NOT_FOUND),
        (shop({"code": "OTHER"}), order(), JOHN, Reason.NOT_FOUND),
        (shop({"status": "pooled"}), order(), JOHN, Reason.NOT_FOUND),
        (shop({"campaign_id": "gone"}), order(), JOHN, Reason.NOT_FOUND),
        # voided
        (shop({"status": "voided"}), order(), JOHN, Reason.VOIDED),
        # campaign_inactive
        (shop(status="paused"), order(), JOHN, Reason.CAMPAIGN_INACTIVE),
        (shop(status="archived"), order(), JOHN, Reason.CAMPAIGN_INACTIVE),
        # windows of campaign and coupon are half-open
        (shop(window=window(MINUTE)), order(), JOHN, Reason.NOT_STARTED),
        (shop(window=window(0 * MINUTE)), order(), JOHN, None),
        (shop({"starts_at": NOW + MINUTE}), order(), JOHN, Reason.NOT_STARTED),
        (shop({"starts_at": NOW}), order(), JOHN, None),
        (shop(window=window(None, 0 * MINUTE)), order(), JOHN, Reason.EXPIRED),
        (shop(window=window(None, MINUTE)), order(), JOHN, None),
        (shop({"ends_at": NOW}), order(), JOHN, Reason.EXPIRED),
        (shop({"ends_at": NOW + MINUTE}), order(), JOHN, None),
        # holder
        (shop({"holder_key": key_of(MARY)}, holder_only=True), order(), JOHN, Reason.WRONG_CUSTOMER),
        (shop({"holder_key": key_of(JOHN)}, holder_only=True), order(), JOHN, None),
        (shop({"holder_key": key_of(MARY)}), order(), JOHN, None),
        (shop({"holder_key": key_of(MARY)}, holder_only=True), order(), None, Reason.CUSTOMER_REQUIRED),
        (shop(holder_only=True), order(), None, Reason.CUSTOMER_REQUIRED),
        (shop(), order(), None, None),
        (shop(limits=Limits(1, uses_per_customer=1)), order(), None, Reason.CUSTOMER_REQUIRED),
        # an order that was cancelled or returned, and not placed again
        (with_order(shop(), status="cancelled", cancelled_at=NOW), order(), JOHN, Reason.ORDER_MISMATCH),
        (with_order(shop(), status="returned", returned_at=NOW + DAY), order(), JOHN, Reason.ORDER_MISMATCH),
        (with_order(shop(), status="cancelled", cancelled_at=NOW - MINUTE), order(), JOHN, None),
        (with_order(shop(), status="cancelled"), order(), JOHN, Reason.ORDER_MISMATCH),
        # currency
        (shop(currency="EUR"), order(), JOHN, Reason.CURRENCY_MISMATCH),
        (shop(currency="USD"), order(), JOHN, None),
        (shop(currency=None), order(currency="KWD"), JOHN, None),
        # minimum, inclusive and exclusive
        (shop(min_order_minor=10_001), order(), JOHN, Reason.BELOW_MINIMUM),
        (shop(min_order_minor=10_000), order(), JOHN, None),
        (shop(min_order_minor=10_000, min_order_exclusive=True), order(), JOHN, Reason.BELOW_MINIMUM),
        (shop(min_order_minor=9_999, min_order_exclusive=True), order(), JOHN, None),
        (shop(min_order_exclusive=True), order(amount_minor=0), JOHN, Reason.BELOW_MINIMUM),
        # products
        (shop(scope=SHOES), order(), JOHN, Reason.NO_ELIGIBLE_PRODUCT),
        (shop(scope=SHOES), order("ORD1", line(product_id="shoes")), JOHN, None),
        (shop(scope=SUMMER), order("ORD1", line(collection_ids=("winter", "summer"))), JOHN, None),
        (shop(scope=Scope(variant_ids=frozenset({"red"}))), order("ORD1", line(variant_id="red")), JOHN, None),
        (shop(scope=Scope(variant_ids=frozenset({"red"}))), order(), JOHN, Reason.NO_ELIGIBLE_PRODUCT),
        (
            shop(scope=replace(SHOES, excluded_product_ids=frozenset({"shoes"}))),
            order("ORD1", line(product_id="shoes")),
            JOHN,
            Reason.NO_ELIGIBLE_PRODUCT,
        ),
        (
            shop(scope=Scope(excluded_product_ids=frozenset({"product-1"}))),
            order(),
            JOHN,
            Reason.NO_ELIGIBLE_PRODUCT,
        ),
        # limits
        (shop({"used": 1}), order(), JOHN, Reason.EXHAUSTED),
        (shop({"used": 1, "uses_limit": 2}), order(), JOHN, None),
        (shop({"used": 1_000, "uses_limit": None}), order(), JOHN, None),
        (
            with_meter(shop(limits=Limits(None, uses_per_customer=2)), customer=JOHN, used=2),
            order(),
            JOHN,
            Reason.CUSTOMER_LIMIT,
        ),
        (
            with_meter(shop(limits=Limits(None, uses_per_customer=2)), customer=JOHN, used=1, held=1),
            order(),
            JOHN,
            Reason.CUSTOMER_LIMIT,
        ),
        (with_meter(shop(limits=Limits(None, uses_per_customer=2)), customer=JOHN, used=1), order(), JOHN, None),
        (with_meter(shop(limits=Limits(None, uses_per_customer=1)), customer=MARY, used=1), order(), JOHN, None),
        (with_meter(shop(limits=Limits(None, uses_total=5)), used=5), order(), JOHN, Reason.CAMPAIGN_EXHAUSTED),
        (with_meter(shop(limits=Limits(None, uses_total=5)), used=4, held=1), order(), JOHN, Reason.LOCKED_ELSEWHERE),
        (with_meter(shop(limits=Limits(None, uses_total=5)), used=3, held=1), order(), JOHN, None),
        # locks of other customers
        (held_by(shop(), MARY), order(), JOHN, Reason.LOCKED_ELSEWHERE),
        (held_by(shop(), None), order(), JOHN, Reason.LOCKED_ELSEWHERE),
        (held_by(shop(), None), order(), None, Reason.LOCKED_ELSEWHERE),
        (held_by(shop(), JOHN), order(), JOHN, None),
        (held_by(shop(), JOHN, "ORD1"), order(), JOHN, None),
        (held_by(shop(), JOHN, "ORD1"), order(), None, None),
        (held_by(shop(), JOHN, "ORD2"), order(), JOHN, Reason.LOCKED_ELSEWHERE),
        (held_by(shop({"uses_limit": 2}), MARY), order(), JOHN, None),
        # no_effect
        (shop(), order(amount_minor=0), JOHN, Reason.NO_EFFECT),
        (shop(), order("ORD1", line(unit_minor=0)), JOHN, Reason.NO_EFFECT),
        (shop(discount=percent("10")), order("ORD1", line(unit_minor=4)), JOHN, Reason.NO_EFFECT),
        (shop(discount=percent("10")), order("ORD1", line(unit_minor=5)), JOHN, None),
    ],
)
def test_a_coupon_is_refused_for_the_documented_reason(
    world: World, requested: Order, by: Customer | None, reason: Reason | None
) -> None:
    verdict = world.redeem("SAVE10", to=requested, by=by)
    assert only_reason(verdict) == reason
    assert verdict.requested_count == 1
    if reason is not None:
        assert verdict.entries == ()
        assert verdict.accepted == ()
        assert verdict.refused[0].code == "SAVE10"
        assert verdict.refused[0].message.endswith(".")
    else:
        assert verdict.outcome == "redeemed"


def lock_of(world: World, **fields: Any) -> World:
    """Build a lock `lock-1` on SAVE10 with `fields` changed."""
    world.lock("SAVE10")
    for name, value in fields.items():
        setattr(world.state.locks["lock-1"], name, value)
    return world


@pytest.mark.parametrize(
    ("world", "reference", "by", "reason"),
    [
        (shop(), "lock-1", JOHN, Reason.LOCK_NOT_FOUND),
        (lock_of(shop(), status="released", uses=()), "lock-1", JOHN, Reason.LOCK_NOT_FOUND),
        (lock_of(shop(), status="burned", uses=(), order_id="ORD9"), "lock-1", JOHN, Reason.ALREADY_REDEEMED),
        (lock_of(shop(), status="burned", uses=()), "lock-1", JOHN, Reason.ALREADY_REDEEMED),
        (lock_of(shop(), status="expired"), "lock-1", JOHN, Reason.LOCK_EXPIRED),
        (lock_of(shop(), status="expired", uses=()), "lock-1", JOHN, Reason.LOCK_EXPIRED),
        (lock_of(shop(), expires_at=NOW), "lock-1", JOHN, Reason.LOCK_EXPIRED),
        (lock_of(shop(), expires_at=NOW + MINUTE), "lock-1", JOHN, None),
        (lock_of(shop(), order_id="ORD9"), "lock-1", JOHN, Reason.ORDER_MISMATCH),
        (lock_of(shop(), order_id="ORD1"), "lock-1", JOHN, None),
        (lock_of(shop(), expires_at=NOW, order_id="ORD9"), "lock-1", JOHN, Reason.ORDER_MISMATCH),
        (lock_of(shop()), "lock-1", MARY, Reason.WRONG_CUSTOMER),
        (lock_of(shop()), "lock-1", None, None),
    ],
)
def test_a_lock_is_refused_for_the_documented_reason(
    world: World, reference: str, by: Customer | None, reason: Reason | None
) -> None:
    verdict = world.redeem(lock_reference=reference, by=by)
    assert only_reason(verdict) == reason
    assert verdict.requested_count == 1


def test_a_refusal_gives_the_numbers_that_caused_it() -> None:
    world = shop(currency="USD", min_order_minor=10_000)
    refused = world.redeem("SAVE10", to=order("ORD1", line(unit_minor=8_000))).refused[0]
    assert refused.message == "The order's 80.00 USD is below the minimum of 100.00 USD."
    assert refused.details == {"minimum": "100.00", "amount": "80.00"}


def test_amounts_in_messages_have_the_currencys_own_decimals() -> None:
    yen = shop(currency="JPY", min_order_minor=5_000).redeem("SAVE10", to=order(currency="JPY", amount_minor=4_000))
    assert yen.refused[0].message == "The order's 4000 JPY is below the minimum of 5000 JPY."
    dinar = shop(currency="KWD", min_order_minor=5_000).redeem("SAVE10", to=order(currency="KWD", amount_minor=4_999))
    assert dinar.refused[0].message == "The order's 4.999 KWD is below the minimum of 5.000 KWD."


def test_an_unknown_code_is_reported_as_it_was_written() -> None:
    refused = shop().redeem(" nope ").refused[0]
    assert (refused.code, refused.message) == (" nope ", "There is no coupon 'nope'.")


def everything_wrong() -> tuple[World, Order, Customer | None]:
    """Build a request to which nearly every reason applies; fixing the first one reveals the next."""
    broken = campaign(
        status="paused",
        window=window(MINUTE, -MINUTE, hours=(Hours(0, 1),)),
        channels=frozenset({"web"}),
        holder_only=True,
        segments_any=frozenset({"vip"}),
        first_order_only=True,
        validation_code="s3cret",
        currency="EUR",
        min_order_minor=1_000_000,
        scope=SHOES,
        conditions=(Condition("no", "false", lambda _: False),),
        limits=Limits(1, 1, 1, spend_total_minor=1),
        discount=fixed(2),
    )
    world = World((broken,))
    world.coupon(status="voided", holder_key=key_of(MARY), used=1, held=1)
    world.meter(customer=JOHN).used = 1
    world.meter().used = 1
    world.state.orders_of = {"customer-john": {"ORD0"}}
    with_order(world, status="cancelled", cancelled_at=NOW)
    return world, order(), JOHN


def test_of_several_reasons_the_first_in_order_is_reported() -> None:
    world, requested, by = everything_wrong()
    held = LockedUse("id-SAVE10", "save10", uses=1, discount_minor=0)
    coupon = world.state.coupons["id-SAVE10"]
    seen: list[Reason] = []

    def fix(**fields: Any) -> None:
        before = world.state.campaigns["save10"]
        parts = {one.name: getattr(before.eligibility, one.name) for one in fields_of(Eligibility)} | fields
        rest = {name: parts.pop(name) for name in fields if not hasattr(before.eligibility, name)}
        world.state.campaigns["save10"] = replace(before, eligibility=Eligibility(**parts), **rest)

    def judge() -> None:
        reason = only_reason(world.redeem("SAVE10", to=requested, by=by))
        assert reason is not None
        seen.append(reason)

    judge()
    coupon.status = "active"
    judge()
    fix(status="active")
    judge()
    fix(window=window(None, -MINUTE))
    judge()
    fix(window=window(hours=(Hours(0, 1),)))
    judge()
    fix(window=window())
    judge()
    fix(channels=frozenset())
    judge()
    coupon.holder_key = None
    by = None
    judge()
    by = JOHN
    judge()
    fix(segments_any=frozenset())
    judge()
    fix(first_order_only=False)
    judge()
    world.state.orders.clear()
    judge()
    fix(validation_code=None)
    judge()
    fix(currency=None)
    judge()
    fix(min_order_minor=0)
    judge()
    fix(scope=Scope())
    judge()
    fix(conditions=())
    judge()
    coupon.used = 0
    judge()
    world.meter(customer=JOHN).used = 0
    judge()
    world.meter().used = 0
    judge()
    fix(limits=Limits(1, 1, 1))
    world.state.locks["theirs"] = LockState("theirs", "open", NOW + DAY, key_of(MARY), None, (held,))
    judge()
    coupon.held = 0
    other = replace(world.state.campaigns["save10"], campaign_id="other")
    world.state.campaigns["other"] = other
    redemption = ActiveRedemption(
        "id-OTHER", "other", redemption_id="r", uses=1, discount_minor=0, currency="USD", customer_key=None
    )
    with_order(world, status="placed", placed_at=NOW, order=order()).state.orders["ORD1"].redemptions["id-OTHER"] = (
        redemption
    )
    judge()
    world.state.orders.clear()
    requested = order(amount_minor=0)
    judge()
    assert seen == [
        Reason.VOIDED,
        Reason.CAMPAIGN_INACTIVE,
        Reason.NOT_STARTED,
        Reason.EXPIRED,
        Reason.OUTSIDE_HOURS,
        Reason.CHANNEL_MISMATCH,
        Reason.WRONG_CUSTOMER,
        Reason.CUSTOMER_REQUIRED,
        Reason.SEGMENT_MISMATCH,
        Reason.NOT_FIRST_ORDER,
        Reason.ORDER_MISMATCH,
        Reason.VALIDATION_CODE_MISMATCH,
        Reason.CURRENCY_MISMATCH,
        Reason.BELOW_MINIMUM,
        Reason.NO_ELIGIBLE_PRODUCT,
        Reason.CONDITION_FAILED,
        Reason.EXHAUSTED,
        Reason.CUSTOMER_LIMIT,
        Reason.CAMPAIGN_EXHAUSTED,
        Reason.BUDGET_EXCEEDED,
        Reason.LOCKED_ELSEWHERE,
        Reason.NOT_COMBINABLE,
        Reason.NO_EFFECT,
    ]
    assert all(PRECEDENCE[first] < PRECEDENCE[second] for first, second in pairwise(seen))


def test_an_order_is_judged_by_its_own_time_but_never_by_a_future_time() -> None:
    world = shop(window=window(-DAY, 0 * MINUTE))
    world.now = NOW + DAY
    assert world.redeem("SAVE10", to=order(placed_at=NOW - MINUTE)).outcome == "redeemed"
    early = shop(window=window(MINUTE))
    assert only_reason(early.redeem("SAVE10", to=order(placed_at=NOW + DAY))) == Reason.NOT_STARTED


def test_an_expired_lock_holds_nothing() -> None:
    world = shop()
    world.lock("SAVE10", by=MARY, lock_seconds=60)
    world.now = NOW + MINUTE
    assert world.redeem("SAVE10").outcome == "redeemed"


def test_expired_locks_leave_room_on_every_meter() -> None:
    world = shop({"uses_limit": None}, limits=Limits(None, uses_per_customer=1, uses_total=1))
    world.lock("SAVE10", by=JOHN, order_id="ORD9", lock_seconds=60)
    assert only_reason(world.redeem("SAVE10")) == Reason.CUSTOMER_LIMIT
    assert only_reason(world.redeem("SAVE10", by=MARY)) == Reason.LOCKED_ELSEWHERE
    world.now = NOW + MINUTE
    assert world.redeem("SAVE10", to=order("ORD2")).outcome == "redeemed"


@pytest.mark.parametrize("typed", ["SAVE10", "save10", "  Save10\t"])
def test_codes_are_compared_trimmed_and_without_regard_to_case(typed: str) -> None:
    assert shop().redeem(typed).accepted[0].code == "SAVE10"
