"""The discount of each kind, in currencies with two, no and three decimals. One row per case."""

from dataclasses import replace
from typing import Any, Literal, get_args

import pytest

from schemas import common
from schemas.discount_kinds import KIND_FIELDS
from services.gateway.facades.gameball.routes import COUPON_TYPES, TYPES
from shared.domain.model.campaign import DiscountKind, DiscountOffer
from shared.domain.model.order import SHIPPING, Line, Order
from shared.domain.model.reasons import Reason
from shared.domain.model.verdicts import AcceptedCoupon, Benefit, Verdict
from shared.domain.offers.kinds import KINDS
from tests.builders import (
    FREE_SHIPPING,
    MARY,
    NOW,
    Limits,
    Scope,
    World,
    any_currency,
    campaign,
    each,
    fixed,
    gift,
    line,
    only_reason,
    order,
    percent,
)

SHOES = Scope(product_ids=frozenset({"shoes"}))


@pytest.mark.parametrize("table", [KINDS, KIND_FIELDS, TYPES, COUPON_TYPES, get_args(DiscountKind)])
def test_every_kind_is_in_each_table(table: Any) -> None:
    assert set(table) == set(get_args(common.DiscountKind))


def only(verdict: Verdict) -> AcceptedCoupon:
    assert verdict.outcome == "redeemed", verdict.refused
    [coupon] = verdict.accepted
    assert sum(part for _, part in coupon.lines) == (coupon.discount_minor if coupon.lines else 0)
    assert verdict.entries[-1].used_minor == coupon.discount_minor
    return coupon


def redeemed(offer: DiscountOffer, to: Order, **fields: Any) -> Verdict:
    world = World((campaign(discount=offer, **fields),))
    world.coupon()
    return world.redeem("SAVE10", to=to)


def rate(value: str, minor: int) -> DiscountOffer:
    return DiscountOffer("fixed_rate", value, amount_minor=minor)


def of(currency: str, *unit_minors: int) -> Order:
    """Build an order with one unit of each price."""
    return order("ORD1", *[line(str(number), price) for number, price in enumerate(unit_minors, 1)], currency=currency)


@pytest.mark.parametrize(
    ("offer", "currency", "to", "minor", "parts"),
    [
        # percentage: exact, rounded once to the minor unit of the currency, capped
        (percent("12.5"), None, of("USD", 9_999), 1_250, [1_250]),  # 1249.875 cents
        (percent("12.5"), None, of("JPY", 9_996), 1_250, [1_250]),  # 1249.5 yen
        (percent("12.5"), None, of("KWD", 12_345, 1), 1_543, [1_543]),  # 1543.25 fils
        (percent("50", cap=2_000), "USD", of("USD", 3_000, 1_000), 2_000, [1_500, 500]),
        (percent("50", cap=2_000), "JPY", of("JPY", 5_000, 5_000), 2_000, [1_000, 1_000]),
        (percent("50", cap=1_501), "KWD", of("KWD", 2_000, 2_000), 1_501, [751, 750]),
        # fixed, in the campaign's currency: at most the order's amount
        (fixed(1_000), "USD", of("USD", 3_000, 1_000), 1_000, [750, 250]),
        (fixed(1_000), "JPY", of("JPY", 600, 300), 900, [600, 300]),
        (fixed(1_000, cap=100), "KWD", of("KWD", 3_000), 100, [100]),
        # fixed without a currency: an amount in the order's currency
        (any_currency("5"), None, of("USD", 10_000), 500, [500]),
        (any_currency("5"), None, of("JPY", 10_000), 5, [5]),
        (any_currency("5"), None, of("KWD", 10_000), 5_000, [5_000]),
        (any_currency("5.25"), None, of("USD", 10_000), 525, [525]),
        (any_currency("5.25"), None, of("KWD", 10_000), 5_250, [5_250]),
        (any_currency("5.25"), None, of("JPY", 10_000), Reason.CURRENCY_MISMATCH, []),
        (any_currency("5.250"), None, of("USD", 10_000), 525, [525]),
        (any_currency("5"), None, of("XXX", 10_000), Reason.CURRENCY_MISMATCH, []),
        (any_currency("5", per_unit=True), None, of("USD", 10_000, 300), 800, [500, 300]),
        # fixed_rate: only in its currency
        (rate("3.50", 350), "USD", of("USD", 10_000), 350, [350]),
        (rate("3.50", 350), "USD", of("JPY", 10_000), Reason.CURRENCY_MISMATCH, []),
        (rate("350", 350), "JPY", of("JPY", 200), 200, [200]),
        (rate("3.500", 3_500), "KWD", of("KWD", 10_000), 3_500, [3_500]),
    ],
)
def test_a_discount_on_goods_by_kind_and_currency(
    offer: DiscountOffer, currency: str | None, to: Order, minor: int | Reason, parts: list[int]
) -> None:
    verdict = redeemed(offer, to, currency=currency)
    if isinstance(minor, Reason):
        assert only_reason(verdict) == minor
        return
    coupon = only(verdict)
    assert coupon.discount_minor == minor
    assert [part for _, part in coupon.lines] == parts
    assert coupon.benefit is None


def test_a_mismatch_names_the_amount_that_the_currency_cannot_represent() -> None:
    refused = redeemed(any_currency("5.25"), of("JPY", 10_000)).refused[0]
    assert refused.message == "Coupon 'SAVE10' takes 5.25 off, which is not a valid amount in JPY."
    assert refused.details == {"currency": "JPY", "value": "5.25"}
    refused = redeemed(rate("3.50", 350), of("JPY", 10_000), currency="USD").refused[0]
    assert refused.details == {"currency": "JPY", "expected": "USD"}


@pytest.mark.parametrize("currency", ["USD", "JPY", "KWD"])
@pytest.mark.parametrize(
    ("cap", "shipping_minor", "taken"),
    [(None, 799, 799), (500, 799, 500), (799, 799, 799), (1_000, 799, 799), (None, 0, None), (500, -1, None)],
)
@pytest.mark.parametrize("lines", [(line(),), ()])
def test_free_shipping_takes_off_the_shipping_and_nothing_else(
    currency: str, cap: int | None, shipping_minor: int, taken: int | None, lines: tuple[Line, ...]
) -> None:
    to = Order("ORD1", currency, 10_000, lines, shipping_minor, NOW)
    verdict = redeemed(replace(FREE_SHIPPING, max_discount_minor=cap), to, currency=currency)
    if taken is None:
        assert only_reason(verdict) == Reason.NO_EFFECT
        assert verdict.refused[0].message.endswith("the order states no cost of shipping.")
        return
    coupon = only(verdict)
    assert coupon.lines == ((SHIPPING, taken),)
    assert coupon.benefit == Benefit(taken)


def shipping_world(*caps: int | None, **fields: Any) -> World:
    """Build a free-shipping campaign and a coupon with its name for each cap."""
    world = World(
        tuple(
            campaign(name, discount=replace(FREE_SHIPPING, max_discount_minor=cap), policy="combinable", **fields)
            for name, cap in zip("ab", caps, strict=True)
        )
    )
    world.coupon("A", "a")
    world.coupon("B", "b")
    return world


def test_two_free_shipping_coupons_share_the_rest_of_the_shipping() -> None:
    verdict = shipping_world(500, 400).redeem("A", "B", to=order(shipping_minor=799))
    assert [(one.code, one.discount_minor) for one in verdict.accepted] == [("A", 500), ("B", 299)]
    assert verdict.discount_minor == 799


def test_a_second_free_shipping_coupon_has_no_effect_if_the_first_took_all() -> None:
    verdict = shipping_world(None, 400).redeem("A", "B", to=order(shipping_minor=300))
    assert [one.code for one in verdict.accepted] == ["A"]
    assert verdict.refused[0].reason == Reason.NO_EFFECT
    assert (
        verdict.refused[0].message == "Coupon 'B' takes the shipping off, and nothing is left of the order's shipping."
    )


def test_free_shipping_in_a_later_request_takes_the_rest_of_the_shipping() -> None:
    world = shipping_world(500, None)
    to = order(shipping_minor=799)
    assert world.redeem("A", to=to).discount_minor == 500
    assert world.redeem("B", to=to).discount_minor == 299
    assert only_reason(world.redeem("A", "B", to=to)) is None  # both stay redeemed


def test_discounts_on_shipping_and_goods_are_independent_also_in_later_requests() -> None:
    world = World(
        (campaign("a", discount=FREE_SHIPPING, policy="combinable"), campaign("b", discount=percent("100"),
                                                                              policy="combinable"))
    )  # fmt: skip
    world.coupon("A", "a")
    world.coupon("B", "b")
    to = order(shipping_minor=799)
    assert world.redeem("A", to=to).discount_minor == 799
    assert world.redeem("B", to=to).discount_minor == 10_000
    both = World((campaign("a", discount=FREE_SHIPPING, policy="combinable"), campaign("b", policy="combinable")))
    both.coupon("A", "a")
    both.coupon("B", "b")
    assert both.redeem("A", "B", to=to).discount_minor == 1_799


def test_free_shipping_counts_against_a_budget() -> None:
    verdict = redeemed(
        FREE_SHIPPING, order(shipping_minor=800), currency="USD", limits=Limits(1, spend_total_minor=700)
    )
    assert only_reason(verdict) == Reason.BUDGET_EXCEEDED


@pytest.mark.parametrize("currency", ["USD", "JPY", "KWD"])
@pytest.mark.parametrize(
    ("offer", "lines", "parts"),
    [
        # listed: at the order's price
        (gift(), (line("1", 5_000), line("2", 900, product_id="mug")), {"2": 900}),
        # more units listed than given
        (gift(2), (line("1", 5_000), line("2", 900, 3, product_id="mug")), {"2": 1_800}),
        # fewer units listed: those are free, the rest is added
        (gift(3), (line("1", 5_000), line("2", 900, 2, product_id="mug")), {"2": 1_800}),
        # several lines: the cheapest units
        (gift(3), (line("1", 900, 2, product_id="mug"), line("2", 700, 2, product_id="mug")), {"1": 900, "2": 1_400}),
        (gift(3, cap=1_000), (line("1", 900, 3, product_id="mug"),), {"1": 1_000}),
        # not listed, quantity zero, or no lines: added without a discount
        (gift(), (line("1", 5_000),), {}),
        (gift(), (line("1", 5_000), line("2", 900, 0, product_id="mug")), {}),
        (gift(), (line("1", 5_000), line("2", 0, 1, product_id="mug")), {}),
        (gift(), (), {}),
    ],
)
def test_a_free_product_is_given_and_priced_if_the_order_lists_it(
    currency: str, offer: DiscountOffer, lines: tuple[Line, ...], parts: dict[str, int]
) -> None:
    amount_minor = sum(one.amount_minor for one in lines) or 5_000
    coupon = only(redeemed(offer, Order("ORD1", currency, amount_minor, lines, placed_at=NOW)))
    assert dict(coupon.lines) == parts
    assert coupon.discount_minor == sum(parts.values())
    assert coupon.benefit == Benefit(0, "mug", offer.units)


def test_a_free_product_with_a_scope_needs_an_eligible_line_but_uses_the_price_of_its_own_line() -> None:
    mug = line("2", 900, product_id="mug")
    assert only(redeemed(gift(), order("O", line("1", product_id="shoes"), mug), scope=SHOES)).lines == (("2", 900),)
    assert only_reason(redeemed(gift(), order("O", line("1"), mug), scope=SHOES)) == Reason.NO_ELIGIBLE_PRODUCT
    assert only_reason(redeemed(gift(), Order("O", "USD", 900), scope=SHOES)) == Reason.NO_ELIGIBLE_PRODUCT


@pytest.mark.parametrize(("first", "left"), [(percent("50"), 450), (percent("100"), 0), (fixed(190), 810)])
def test_a_free_product_costs_the_rest_of_its_line(first: DiscountOffer, left: int) -> None:
    world = World(
        (
            campaign("a", discount=first, policy="combinable", priority=1),
            campaign("b", discount=gift(), policy="combinable"),
        )
    )
    world.coupon("A", "a")
    world.coupon("B", "b")
    together = world.redeem("A", "B", to=order("ORD1", line("1", 900, product_id="mug"), line("2", 1_000)))
    assert [one.code for one in together.accepted] == ["A", "B"]
    assert together.accepted[1].discount_minor == left


def test_a_free_product_in_a_later_request_takes_at_most_the_rest_of_its_line() -> None:
    world = World(
        (campaign("a", discount=percent("100"), policy="combinable", scope=SHOES),
         campaign("b", discount=gift(product_id="shoes"), policy="combinable"))
    )  # fmt: skip
    world.coupon("A", "a")
    world.coupon("B", "b")
    to = order("ORD1", line("1", 900, product_id="shoes"), line("2", 5_000))
    assert world.redeem("A", to=to).discount_minor == 900
    given = only(world.redeem("B", to=to))
    assert given.discount_minor == 0
    assert given.benefit == Benefit(0, "shoes", 1)


@pytest.mark.parametrize("currency", ["USD", "JPY", "KWD"])
@pytest.mark.parametrize("lines", [(line(),), ()])
def test_a_custom_coupon_passes_its_payload_on_and_takes_nothing_off(currency: str, lines: tuple[Line, ...]) -> None:
    payload = {"points": 5, "levels": ["gold", None], "deep": {"er": 1.5}}
    offer = DiscountOffer("custom", "0", payload=payload)
    coupon = only(redeemed(offer, Order("ORD1", currency, 0, lines, placed_at=NOW)))
    assert coupon.discount_minor == 0
    assert coupon.benefit is not None
    assert coupon.benefit.payload is payload
    assert only_reason(redeemed(offer, order(), scope=SHOES)) == Reason.NO_ELIGIBLE_PRODUCT


def test_a_discount_stays_within_an_order_that_costs_less_than_its_lines() -> None:
    to = order("ORD1", line("1", 500, 2), line("2", 500), amount_minor=900)
    assert only(redeemed(each(400), to)).discount_minor == 900
    assert only(redeemed(percent("50"), to)).discount_minor == 450
    assert only(redeemed(percent("100"), to, scope=Scope(max_units=2))).discount_minor == 900
    assert only(redeemed(gift(3, "product-1"), to)).discount_minor == 900


@pytest.mark.parametrize(
    ("offer", "minor", "benefit"),
    [
        (percent("10"), 590, None),
        (fixed(400), 400, None),
        (rate("4", 400), 400, None),
        (each(100), 200, None),
        (FREE_SHIPPING, 799, Benefit(799)),
        (gift(2), 900, Benefit(0, "mug", 2)),
        (DiscountOffer("custom", "7", payload={"points": 7}), 0, Benefit(payload={"points": 7})),
    ],
)
@pytest.mark.parametrize("closing", ["cancel", "return"])
def test_each_kind_is_held_burned_and_restored_alike(
    offer: DiscountOffer, minor: int, benefit: Benefit | None, closing: Literal["cancel", "return"]
) -> None:
    world = World((campaign(discount=offer, currency="USD", limits=Limits(1, 1, 1, spend_total_minor=10_000)),))
    coupon = world.coupon()
    to = order("ORD1", line("1", 5_000), line("2", 900, product_id="mug"), shipping_minor=799)
    held = world.redeem("SAVE10", to=to, hold=True, hold_seconds=600)
    assert held.outcome == "held"
    assert (coupon.held, coupon.used, world.meter().held_minor) == (1, 0, minor)
    paid = world.pay()
    assert paid.outcome == "redeemed"
    assert (coupon.held, coupon.used, world.meter().held_minor, world.meter().used_minor) == (0, 1, 0, minor)
    for accepted in (held.accepted[0], paid.accepted[0]):
        assert (accepted.discount_minor, accepted.benefit, accepted.lines) == (minor, benefit, held.accepted[0].lines)
    assert only_reason(world.redeem("SAVE10", to=order("ORD2"), by=MARY)) == Reason.EXHAUSTED
    back = world.cancel() if closing == "cancel" else world.return_order()
    assert back.outcome == "restored"
    assert (coupon.held, coupon.used, world.meter().used_minor) == (0, 0, 0)
    assert (back.accepted[0].discount_minor, back.accepted[0].benefit) == (minor, benefit)
    assert world.redeem("SAVE10", to=replace(to, order_id="ORD2")).discount_minor == minor


@pytest.mark.parametrize("kind", ["free_product", "custom"])
def test_gifts_and_custom_offers_are_locked_without_an_order_too(kind: DiscountKind) -> None:
    world = World((campaign(discount=DiscountOffer(kind, "1", product_id="mug", units=1, payload=None)),))
    world.coupon()
    assert world.lock("SAVE10").accepted[0].discount_minor is None
    assert only(world.redeem(lock_reference="lock-1")).discount_minor == 0
