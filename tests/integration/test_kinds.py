"""Each kind of coupon on PostgreSQL: redeemed, held, burned and restored, with valid events."""

from typing import Any

import pytest

from schemas.campaigns import CampaignDefinition
from schemas.catalogue import BY_TYPE
from schemas.issued import CouponIssued
from schemas.parsing import parse
from schemas.redemptions import CouponRedeemed, CouponRedemptionRestored, FreeProduct
from shared.domain.model.customer import Customer
from shared.domain.model.order import Line, Order
from shared.domain.model.order_commands import CancelOrder, PayOrder, RedeemCoupons, ReturnOrder
from shared.domain.model.verdicts import Verdict
from shared.ledger.database import Pool
from shared.ledger.engine import Engine
from tests.ledger import PLACED_AT, count, definition, issue, ledger, redeem

ANN = Customer("ann")
GOODS = (("1", "510509", 2, 5_000), ("2", "mug", 1, 2_500))
PAYLOAD = {"points": 5, "levels": ["gold", None], "deep": {"er": 1.5}}


def kind(name: str, **fields: Any) -> CampaignDefinition:
    """Return a campaign of kind `name` with one use per coupon."""
    applies_to, currency = fields.pop("applies_to", {}), fields.get("currency", "USD")
    limits = {"uses_per_coupon": 1, "uses_total": 3, "spend_total": "9000"}
    eligibility = {"currency": currency}
    return definition(
        "kind", discount={"kind": name, **fields}, applies_to=applies_to, limits=limits, eligibility=eligibility
    )


def order(order_id: str, currency: str = "USD", lines: bool = True, shipping_minor: int = 799) -> Order:
    of = tuple(Line(*one) for one in GOODS) if lines else ()
    return Order(order_id, currency, 12_500, of, shipping_minor, PLACED_AT)


Expected = tuple[str, dict[str, str], dict[str, Any]]
"""The content of an event: the discount, the lines' shares of it, and fields of some kinds."""

CASES: list[tuple[CampaignDefinition, Expected]] = [
    (kind("percentage", value="10", max_discount="6.00"), ("6.00", {"1": "4.80", "2": "1.20"}, {})),
    (kind("percentage", value="12.5", currency="JPY"), ("1563", {"1": "1250", "2": "313"}, {})),
    (kind("fixed", value="5.5"), ("5.50", {"1": "4.40", "2": "1.10"}, {})),
    (kind("fixed_rate", value="1.250", currency="KWD"), ("1.250", {"1": "1.000", "2": "0.250"}, {})),
    (kind("fixed", value="3", per_unit=True), ("9.00", {"1": "6.00", "2": "3.00"}, {})),
    (
        kind("percentage", value="50", applies_to={"max_units": 1, "units_from": "dearest"}),
        ("25.00", {"1": "25.00"}, {}),
    ),
    (kind("free_shipping"), ("7.99", {}, {"shipping_discount_amount": "7.99"})),
    (kind("free_shipping", max_discount="5.00"), ("5.00", {}, {"shipping_discount_amount": "5.00"})),
    (
        kind("free_product", product_id="mug"),
        ("25.00", {"2": "25.00"}, {"free_product": FreeProduct(product_id="mug", quantity=1)}),
    ),
    (
        kind("free_product", product_id="cup", value="2"),
        ("0.00", {}, {"free_product": FreeProduct(product_id="cup", quantity=2)}),
    ),
    (kind("custom", payload=PAYLOAD), ("0.00", {}, {"payload": PAYLOAD})),
]


async def events(pool: Pool, model: type[Any], kind: str) -> list[Any]:
    rows = await pool.fetch("SELECT data::text FROM outbox WHERE type = $1 ORDER BY position", kind)
    return [parse(model, row["data"].encode()) for row in rows]


async def all_read_as_their_schemas_say(pool: Pool) -> None:
    for row in await pool.fetch("SELECT type, data::text FROM outbox"):
        parse(BY_TYPE[row["type"]].model, row["data"].encode())


def assert_published(event: CouponRedeemed, expected: Expected) -> None:
    minor, lines, more = expected
    assert event.discount_amount == minor
    [coupon] = event.coupons
    assert coupon.discount_amount == minor
    assert {one.line_id: one.discount_amount for one in coupon.lines or ()} == lines
    assert coupon.shipping_discount_amount == more.get("shipping_discount_amount")
    assert coupon.free_product == more.get("free_product")
    assert coupon.discount.payload == more.get("payload")
    assert coupon.discount.product_id == (coupon.free_product.product_id if coupon.free_product else None)


@pytest.mark.parametrize(("campaign", "expected"), CASES)
async def test_each_kind_is_redeemed_and_published(
    database_url: str, campaign: CampaignDefinition, expected: Expected
) -> None:
    currency = campaign.eligibility.currency or "USD"
    async with ledger(database_url, campaign) as pool:
        engine = Engine(pool)
        now, held = await issue(engine, "kind", 2)
        commands = [
            redeem("A", [now], order=order("A", currency), customer=ANN),
            redeem("B", [held], order=order("B", currency), customer=ANN, hold=True, hold_seconds=600),
            PayOrder("/pay B", "B", PLACED_AT),
        ]
        for command in commands:  # each in its own batch, so that a hold is loaded before it is burned
            [answer] = await Engine(pool).execute([command])
            assert isinstance(answer, Verdict)
            assert answer.outcome in ("redeemed", "held"), answer
        for event in await events(pool, CouponRedeemed, "coupon.redeemed"):
            assert_published(event, expected)
        [issued, _] = await events(pool, CouponIssued, "coupon.issued")
        assert (issued.discount.kind, issued.discount.payload) == (campaign.discount.kind, campaign.discount.payload)
        assert issued.discount.product_id == campaign.discount.product_id

        # A repeated request gets the same verdict, including benefits.
        recorded = await Engine(pool).execute(commands)
        first = recorded[0]
        assert isinstance(first, Verdict)
        assert (first.accepted[0].benefit is None) == (campaign.discount.kind in ("percentage", "fixed", "fixed_rate"))

        await Engine(pool).execute(
            [CancelOrder("/cancel A", "A", PLACED_AT), ReturnOrder("/return B", "B", at=PLACED_AT)]
        )
        restored = await events(pool, CouponRedemptionRestored, "coupon.redemption_restored")
        assert [one.cause for one in restored] == ["order.cancelled", "order.returned"]
        assert [(one.coupons[0].uses, one.coupons[0].discount_amount) for one in restored] == [(1, expected[0])] * 2
        assert await count(pool, "SELECT sum(held_uses + used_uses + held_minor + used_minor) FROM meters") == 0
        [again] = await Engine(pool).execute([redeem("C", [now], order=order("C", currency), customer=ANN)])
        assert isinstance(again, Verdict)
        assert again.outcome == "redeemed"
        await all_read_as_their_schemas_say(pool)


async def test_a_fixed_amount_without_a_currency_is_in_the_orders_currency(database_url: str) -> None:
    five = definition("kind", discount={"kind": "fixed", "value": "5.50"}, limits={"uses_per_coupon": None})
    async with ledger(database_url, five) as pool:
        engine = Engine(pool)
        [code] = await issue(engine, "kind")
        asked = [redeem(name, [code], order=order(name, name)) for name in ("USD", "KWD", "JPY")]
        answers = [answer for answer in await engine.execute(asked) if isinstance(answer, Verdict)]
        assert [one.discount_minor for one in answers] == [550, 5_500, 0]
        assert answers[2].refused[0].reason == "currency_mismatch"
        assert [one.discount_amount for one in await events(pool, CouponRedeemed, "coupon.redeemed")] == [
            "5.50",
            "5.500",
        ]
        await all_read_as_their_schemas_say(pool)


@pytest.mark.parametrize(
    ("name", "fields", "outcome", "amount"),
    [
        ("free_shipping", {}, "redeemed", "7.99"),
        ("free_product", {"product_id": "mug"}, "redeemed", "0.00"),
        ("custom", {"payload": PAYLOAD}, "redeemed", "0.00"),
        ("percentage", {"value": "10"}, "redeemed", "12.50"),
        ("fixed", {"value": "3", "per_unit": True}, "refused", None),
        ("percentage", {"value": "10", "applies_to": {"max_units": 1}}, "refused", None),
    ],
)
async def test_each_kind_on_an_order_without_lines(
    database_url: str, name: str, fields: dict[str, Any], outcome: str, amount: str | None
) -> None:
    async with ledger(database_url, kind(name, **fields)) as pool:
        engine = Engine(pool)
        [code] = await issue(engine, "kind")
        [answer] = await engine.execute([redeem("A", [code], order=order("A", lines=False))])
        assert isinstance(answer, Verdict)
        assert answer.outcome == outcome
        published = await events(pool, CouponRedeemed, "coupon.redeemed")
        assert [one.discount_amount for one in published] == ([] if amount is None else [amount])
        assert all(not coupon.lines for one in published for coupon in one.coupons)
        await all_read_as_their_schemas_say(pool)


async def test_shipping_discounts_of_earlier_requests_are_loaded(database_url: str) -> None:
    async with ledger(database_url, kind("free_shipping", max_discount="5.00"), definition()) as pool:
        one, two = await issue(Engine(pool), "kind", 2)
        [goods] = await issue(Engine(pool), "save10")
        asked = [
            RedeemCoupons(f"/shop {number}", order("A"), (code,), at=PLACED_AT)
            for number, code in enumerate((one, goods, two))
        ]
        minors = []
        for command in asked:
            [answer] = await Engine(pool).execute([command])
            assert isinstance(answer, Verdict)
            minors.append(answer.discount_minor)
        assert minors == [500, 1_250, 299]
