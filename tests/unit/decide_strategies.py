"""Random campaigns and commands in a small world, so that they interact: four codes, two orders, two locks."""

from dataclasses import replace
from datetime import UTC, timedelta, timezone
from typing import Any

from hypothesis import strategies as st

from shared.domain.model.campaign import Campaign, Cap, DiscountOffer, Window
from shared.domain.model.commands import (
    Cause,
    ChangeCoupon,
    Command,
    ExpireLock,
    IssueCoupons,
    LockCoupons,
    RecordCustomer,
    ReleaseLock,
    RevokeReward,
    VoidCoupon,
)
from shared.domain.model.coupon import code_key
from shared.domain.model.customer import Customer
from shared.domain.model.order import Line, Order
from shared.domain.model.order_commands import CancelOrder, FailPayment, PayOrder, RedeemCoupons, ReturnOrder
from shared.domain.model.verdicts import KeptCoupon, Verdict
from tests.builders import (
    FREE_SHIPPING,
    JOHN,
    MARY,
    NOW,
    CodeRule,
    Limits,
    Scope,
    any_currency,
    campaign,
    each,
    fixed,
    gift,
    percent,
)

MINUTES = st.integers(-30, 60).map(lambda minutes: timedelta(minutes=minutes))
CODES = ("A", "B", "C", "D")
ORDERS = ("O1", "O2")
CUSTOMERS: tuple[Customer | None, ...] = (
    JOHN,
    JOHN,
    JOHN,
    MARY,
    None,
    replace(JOHN, segments=("vip",)),
    replace(MARY, segments=()),
)
Step = tuple[timedelta, Command]


def mostly(usual: Any, strategy: st.SearchStrategy[Any], times: int = 4) -> st.SearchStrategy[Any]:
    """Draw `usual` mostly, and sometimes from `strategy`, so that most commands pass the first rules."""
    return st.integers(0, times).flatmap(lambda dice: strategy if dice == times else st.just(usual))


caps = st.one_of(
    st.builds(
        Cap,
        st.sampled_from(["day", "week", "month"]),
        st.sampled_from(["campaign", "customer"]),
        st.sampled_from([1, 2]),
        st.sampled_from([None, 2]),
    ),
    st.builds(Cap, st.just("coupon"), st.just("customer"), st.sampled_from([1, 2])),
)
limits = st.builds(
    Limits,
    uses_per_coupon=st.sampled_from([1, 1, 2, 3, None]),
    uses_per_customer=st.sampled_from([None, None, 1, 2, 3]),
    uses_total=st.sampled_from([None, None, 1, 2, 4]),
    coupons_total=st.sampled_from([None, 1, 3]),
    coupons_per_customer=st.sampled_from([None, 1, 2]),
    spend_total_minor=st.sampled_from([None, None, 700, 1_500]),
    caps=mostly((), st.lists(caps, max_size=2, unique_by=lambda cap: (cap.per, cap.each)).map(tuple), 1),
)
moments = MINUTES.map(lambda by: NOW + by)
times = mostly(None, moments)
zones = st.sampled_from(
    [UTC, timezone(timedelta(hours=14, minutes=30))]
)  # in the second zone a day begins during the steps
windows = st.builds(
    Window, st.none() | moments, st.none() | moments, st.sampled_from([None, timedelta(minutes=20)]), zones
)
campaigns = st.builds(
    campaign,
    discount=st.sampled_from([percent("10"), percent("33.33", cap=500), percent("100"), fixed(700), fixed(10**6)])
    | st.sampled_from(
        [
            FREE_SHIPPING,
            replace(FREE_SHIPPING, max_discount_minor=200),
            gift(2, "p1"),
            gift(1, "p9"),
            each(300),
            any_currency("5.5"),
            DiscountOffer("custom", "0", payload={"points": 1}),
        ]
    ),
    limits=limits,
    stacking=st.sampled_from(["exclusive", "combinable", "combinable"]),
    group=mostly(None, st.just("g")),
    max_coupons=mostly(None, st.sampled_from([1, 2])),
    priority=st.integers(0, 1),
    channels=mostly(frozenset(), st.just(frozenset({"orders", "web"})), 9),
    first_order_only=mostly(False, st.just(True)),
    segments_any=mostly(frozenset(), st.just(frozenset({"vip", "new"})), 9),
    segments_none=mostly(frozenset(), st.just(frozenset({"vip"})), 9),
    currency=mostly(None, st.just("USD")),
    min_order_minor=mostly(0, st.just(2_000)),
    min_order_exclusive=mostly(False, st.just(True)),
    holder_only=mostly(False, st.just(True)),
    scope=mostly(
        Scope(),
        st.sampled_from(
            [Scope(frozenset({"p1"})), Scope(max_units=1), Scope(excluded_product_ids=frozenset({"p1"}), max_units=2)]
        ),
    ),
    window=st.builds(Window, zone=zones) | mostly(Window(), windows),
    recurring=mostly(False, st.just(True)),
    restore_on=st.sampled_from([frozenset({"order.cancelled"}), frozenset({"order.cancelled", "order.returned"})])
    | st.just(frozenset[str]()),
    status=mostly("active", st.just("paused"), 9),
)
lines = st.lists(
    st.builds(
        Line, st.sampled_from(["1", "2", "3"]), st.sampled_from(["p1", "p2"]), st.integers(0, 3), st.integers(0, 3_000)
    ),
    max_size=3,
).map(tuple)
orders = st.builds(
    Order,
    st.sampled_from(ORDERS),
    mostly("USD", st.just("JPY"), 9),
    mostly(5_000, st.integers(0, 9_000)),
    lines=mostly((Line("1", "p1", 1, 3_000), Line("2", "p2", 2, 1_000)), lines),
    shipping_minor=st.sampled_from([0, 300]),
    placed_at=times,
    subscription_id=mostly(None, st.just("sub-1"), 3),
    cycle=st.sampled_from([0, 1, 2, 2, 3]),
    channel=mostly(None, st.sampled_from(["web", "till"]), 9),
)
codes = st.lists(st.sampled_from((*CODES, *CODES, " a ", "nope")), min_size=1, max_size=3).map(tuple)
customers = st.sampled_from(CUSTOMERS)
order_ids = st.sampled_from(ORDERS)
references = st.sampled_from(["l1", "l1", "l2", "order:O1"])
nameless = st.just("")
redeems = st.builds(
    RedeemCoupons,
    nameless,
    orders,
    codes,
    customers,
    lock_reference=mostly(None, references),
    atomic=mostly(False, st.just(True)),
    hold=st.booleans(),
    hold_seconds=st.integers(60, 1_800),
    at=times,
    takeover=st.booleans(),
)
changes = st.tuples(redeems, st.booleans()).map(
    lambda made: replace(made[0], order=replace(made[0].order, placed_at=None), complete=True, changed=made[1])
)
burns = st.builds(RedeemCoupons, nameless, orders, st.just(()), customers, st.just("l1"), hold=st.booleans())
locks = st.builds(
    LockCoupons,
    nameless,
    references,
    codes.map(lambda named: named[:2]),
    lock_seconds=st.sampled_from([0, 300, 1_800]),
    customer=customers,
    order=mostly(None, orders, 1),
    order_id=mostly(None, order_ids),
)
issues = st.builds(
    IssueCoupons,
    nameless,
    st.just(Cause("reward.earned", "/loyalty", "1")),
    st.sampled_from((JOHN, MARY)),
    st.lists(st.sampled_from(["x", "y", "z", "nope"]), max_size=3).map(tuple),
    times,
    st.none() | st.sampled_from(["reward 1", "reward 2"]),
)
returned_lines = st.lists(st.tuples(st.sampled_from(["1", "1", "2", "3", "nope"]), st.integers(0, 3)), max_size=2).map(
    tuple
)
returned_amounts = st.sampled_from(["0.00", "7.00", "12.34", "50.00", "1.234", "5"])
endings = st.one_of(
    st.builds(PayOrder, nameless, order_ids, times),
    st.builds(PayOrder, nameless, order_ids),
    st.builds(FailPayment, nameless, order_ids, times),
    st.builds(CancelOrder, nameless, order_ids, times),
    st.builds(ReturnOrder, nameless, order_ids, st.just(True), times),
    st.builds(ReturnOrder, nameless, order_ids, st.just(False), times, lines=returned_lines),
    st.builds(ReturnOrder, nameless, order_ids, st.just(False), times, amount=returned_amounts),
    st.builds(ReturnOrder, nameless, order_ids, st.just(False), times, refunded_amount=returned_amounts),
    st.builds(ReleaseLock, nameless, references),
)
plain = st.builds(RedeemCoupons, nameless, orders, st.just(()), customers)
notes = st.builds(
    RecordCustomer, nameless, st.sampled_from([one for one in CUSTOMERS if one and one.segments is not None])
)
rare = (
    plain
    | notes
    | st.builds(VoidCoupon, nameless, st.sampled_from(CODES))
    | st.builds(
        ChangeCoupon,
        nameless,
        st.sampled_from(CODES),
        st.sampled_from([None, "active", "voided"]),
        st.booleans(),
        times,
    )
    | st.builds(RevokeReward, nameless, st.sampled_from(["1", "2"]), times)
    | st.builds(ExpireLock, nameless, references)
)
commands: st.SearchStrategy[Any] = st.integers(0, 23).flatmap(
    lambda dice: [*[redeems] * 7, *[changes] * 4, *[locks] * 4, *[burns] * 2, *[endings] * 5, issues, rare][dice]
)
steps = st.lists(st.tuples(st.sampled_from([0, 0, 1, 6]).map(lambda m: timedelta(minutes=m)), commands), max_size=20)
worlds = st.tuples(campaigns, campaigns, campaigns).map(
    lambda made: tuple(named(one, name) for one, name in zip(made, "xyz", strict=True))
)


def named(one: Campaign, campaign_id: str) -> Campaign:
    if one.limits.spend_total_minor is not None:  # a budget needs a currency
        one = replace(one, currency="USD")
    return replace(one, campaign_id=campaign_id, code=CodeRule(shared_code="D" if campaign_id == "z" else None))


def kept_on_request(command: RedeemCoupons, verdict: Verdict) -> list[KeptCoupon]:
    """Return the kept coupons that the request asked for and that were not refused.

    An order placed again also keeps the uses of other coupons, without a discount.
    """
    refused = {one.coupon_id for one in verdict.refused}
    named = set(map(code_key, command.codes))
    return [
        one
        for one in verdict.kept
        if one.coupon.coupon_id not in refused
        and (one.coupon.discount_minor or not command.complete or code_key(one.coupon.code) in named)
    ]
