"""Malicious events: each ends as a verdict or a dead letter, and ends no process."""

import json
from pathlib import Path
from typing import Any

import pytest

from schemas.topics import REWARDS
from shared.ledger.engine import Engine
from shared.messaging.topics_admin import create_topics
from tests.faults.fleet import Fleet
from tests.faults.shop import (
    Sent,
    cancelled,
    event,
    noon,
    paid,
    placed,
    send,
    until_group_read,
    until_published,
)
from tests.integration.kafka_tools import write_all
from tests.integration.service_process import kafka_settings
from tests.ledger import definition, issue, ledger

pytestmark = [pytest.mark.faults, pytest.mark.broker, pytest.mark.postgres]

LONG = "x" * 5_000
"""Longer than PostgreSQL's limit of an index row."""

NUL = "nul\x00byte"
SURROGATE = "half \ud800 of a pair"


def hostile_orders(code: str) -> list[Sent]:
    def line(**fields: Any) -> list[dict[str, Any]]:
        return [{"line_id": "1", "product_id": "p", "quantity": 1, "unit_price": "1.00"} | fields]

    return [
        placed("huge amount", code, amount="9" * 40 + ".00"),
        placed("huge amount as a number", code, amount=10**30),
        placed("amount beyond 64 bits", code, amount="92233720368547758.08"),
        placed("huge price", code, lines=line(unit_price="9" * 30)),
        placed("huge quantity", code, lines=line(quantity=10**30)),
        placed("quantity times price", code, lines=line(quantity=10**15, unit_price="99999999999.00")),
        placed("negative", code, amount="-5.00"),
        placed("exponent", code, amount="1e400"),
        placed("not a number", code, amount="NaN"),
        placed("long code", LONG),
        placed("nul in code", NUL),
        placed("surrogate in code", SURROGATE),
        placed("thousands of codes", *[f"C{number}" for number in range(5_000)]),
        placed("no time", code, placed_at="0001-01-01T00:00:00Z"),
        placed("before time", code, placed_at="0001-01-01T00:00:00+14:00"),
        placed("end of time", code, placed_at="9999-12-31T23:59:59Z"),
        placed("after time", code, placed_at="9999-12-31T23:59:59-14:00"),
        placed("wide zone", code, placed_at="2026-03-01T12:00:00+23:59"),
        placed("customer", code, customer={"customer_id": LONG, "email": LONG, "mobile": "+" + "9" * 400}),
        placed("nul customer", code, customer={"customer_id": NUL}),
        placed("surrogate customer", code, customer={"customer_id": SURROGATE}),
        placed("blank customer", code, customer={"customer_id": "  ", "email": " ", "mobile": ""}),
        placed("lock", lock_reference=LONG),
        placed("nul lock", lock_reference=NUL),
        placed("own lock", lock_reference="order:own lock"),
        placed("another's hold", lock_reference="order:good 0"),
        placed("line", code, lines=line(line_id=LONG, product_id=LONG)),
        placed("nul line", code, lines=line(line_id=NUL)),
        placed("same line twice", code, lines=line() * 2),
        placed("many lines", code, lines=line() * 10_000),
        placed("currency", code, currency="XXX"),
        placed("no decimals", code, currency="JPY", amount="100"),
        placed(LONG, code),
        placed("long id", code, event_id=LONG),
        placed("nul id", code, event_id=NUL),
        placed("surrogate id", code, event_id=SURROGATE),
        (NUL, placed(NUL, code)[1]),
        ("surrogate", placed(SURROGATE, code)[1]),
        cancelled(LONG),
        ("nul", cancelled(NUL)[1]),
        paid(LONG),
        *hostile_changes(code),
        event("order.cancelled", "no time at all"),
        event("order.cancelled", "cancelled at the end", cancelled_at="9999-12-31T23:59:59Z"),
        event("order.exploded", "unknown type"),
        ("deep", b"[" * 100_000),
        ("deep data", event("order.placed", "deep")[1].replace(b'"data": {', b'"data": ' + b'{"a":' * 5_000)),
        ("empty", b""),
        ("bytes", bytes(range(256))),
    ]


def hostile_changes(code: str) -> list[Sent]:
    """Return events about orders that are changed, declined or returned in part, of one shop or several."""

    def changed(order_id: str, **fields: Any) -> Sent:
        content = {"changed_at": noon(2), "currency": "USD", "amount": "50.00", "coupon_codes": [code]}
        return event("order.changed", order_id, **(content | fields))

    def returned(order_id: str, **fields: Any) -> Sent:
        return event("order.returned", order_id, **({"returned_at": noon(3)} | fields))

    return [
        changed("changed to nothing", amount=None, lines=None),
        changed("changed to nul", coupon_codes=[NUL]),
        changed("changed before time", changed_at="0001-01-01T00:00:00+14:00"),
        changed("changed to many", coupon_codes=[f"C{number}" for number in range(5_000)]),
        changed("shop with a separator", shop_id="a\x1fb"),
        changed("long shop", shop_id=LONG),
        changed("surrogate shop", shop_id=SURROGATE),
        changed(LONG, shop_id=LONG),
        event("order.payment_failed", "declined after time", failed_at="9999-12-31T23:59:59-14:00"),
        event("order.payment_failed", "declined", failed_at=noon(2), shop_id=NUL, reason=LONG),
        returned("nul return", return_id=NUL, amount="1.00"),
        returned("long return", return_id=LONG, amount="1.00"),
        returned("huge refund", refunded_amount="9" * 40),
        returned("refund in words", refunded_amount="NaN"),
        returned("negative refund", refunded_amount="-1.00"),
        returned("huge part", lines=[{"line_id": "1", "quantity": 10**30}]),
        returned("many parts", lines=[{"line_id": str(number), "quantity": 1} for number in range(10_001)]),
    ]


async def test_no_order_ends_a_redeemer_and_valid_orders_are_redeemed(
    environment: dict[str, str], database_url: str, tmp_path: Path
) -> None:
    settings = kafka_settings(environment)
    await create_topics(settings)
    async with ledger(database_url, definition()) as pool, Fleet(environment, tmp_path) as fleet:
        hostile = hostile_orders("SOME-CODE")
        codes = await issue(Engine(pool), "save10", len(hostile))
        good = [placed(f"good {number}", code) for number, code in enumerate(codes)]
        for service in ("redeemer", "relay", "notifier"):
            await fleet.add(service)
        await fleet.ready()
        orders = [one for pair in zip(good, hostile, strict=True) for one in pair]
        await send(settings, [(order_id[:100], value) for order_id, value in orders])
        await until_group_read(settings, "redeemer", len(orders))
        await until_published(pool)
        redeemed = await pool.fetch("SELECT subject FROM outbox WHERE type = 'coupon.redeemed'")
        assert {row[0] for row in redeemed} == {order_id for order_id, _ in good}
        assert fleet.deaths == []


def reward(number: int, customer: dict[str, Any], **fields: Any) -> bytes:
    return json.dumps(
        {
            "specversion": "1.0",
            "id": f"reward {number}",
            "source": "/loyalty",
            "type": "reward.earned",
            "data": {
                "reward_id": f"r{number}",
                "rule_id": "gold",
                "customer": customer,
                "earned_at": "2026-03-01T12:00:00Z",
                "campaign_id": None,
                **fields,
            },
        }
    ).encode()


def revocation(number: int, **fields: Any) -> bytes:
    attributes = {"specversion": "1.0", "id": f"revocation {number}", "source": "/loyalty", "type": "reward.revoked"}
    data = {"reward_id": f"unknown {number}", "revoked_at": "2026-03-02T12:00:00Z"} | fields
    return json.dumps({**attributes, "data": data}).encode()


HOSTILE_REVOCATIONS: list[dict[str, Any]] = [
    {"reward_id": LONG},
    {"reward_id": NUL},
    {"reward_id": SURROGATE},
    {"reason": NUL},
    {"reason": LONG * 10},
    {"revoked_at": "9999-12-31T23:59:59-14:00"},
    {"revoked_at": "0001-01-01T00:00:00+14:00"},
]


async def test_no_reward_ends_an_issuer_and_valid_rewards_are_issued(
    environment: dict[str, str], database_url: str, tmp_path: Path
) -> None:
    settings = kafka_settings(environment)
    await create_topics(settings)
    campaign = definition(issues_on=[{"event": "reward.earned", "match": {"rule_id": "gold"}}])
    hostile: list[tuple[dict[str, Any], dict[str, Any]]] = [
        ({"customer_id": LONG}, {}),
        ({"customer_id": NUL}, {}),
        ({"customer_id": SURROGATE}, {}),
        ({"customer_id": "a", "email": LONG}, {}),
        ({"customer_id": "a", "segments": [LONG] * 100}, {}),
        ({"customer_id": "a"}, {"reward_id": LONG}),
        ({"customer_id": "a"}, {"reward_id": NUL}),
        ({"customer_id": "a"}, {"rule_id": LONG}),
        ({"customer_id": "a"}, {"campaign_id": NUL}),
        ({"customer_id": "a"}, {"points": 10**40}),
        ({"customer_id": "a"}, {"metadata": {"a": {"b": [1] * 1_000}}}),
        ({"customer_id": "a"}, {"metadata": {NUL: NUL}}),
        ({"customer_id": "a"}, {"earned_at": "9999-12-31T23:59:59-14:00"}),
        ({"customer_id": "a"}, {"earned_at": "0001-01-01T00:00:00+14:00"}),
    ]
    async with ledger(database_url, campaign) as pool, Fleet(environment, tmp_path) as fleet:
        for service in ("issuer", "relay"):
            await fleet.add(service)
        await fleet.ready()
        bad = [reward(1_000 + number, who, **fields) for number, (who, fields) in enumerate(hostile)]
        bad += [revocation(number, **fields) for number, fields in enumerate(HOSTILE_REVOCATIONS)]
        good = [reward(number, {"customer_id": f"good {number}"}) for number in range(len(bad))]
        topic = settings.topic(REWARDS.name)
        await write_all(
            settings, [(topic, b"k", value, None) for pair in zip(good, bad, strict=True) for value in pair]
        )
        await until_group_read(settings, "issuer", 2 * len(bad), REWARDS.name)
        await until_published(pool)
        issued = await pool.fetch("SELECT subject FROM outbox WHERE type = 'coupon.issued' AND subject LIKE 'good%'")
        assert len(issued) == len(good)
        assert fleet.deaths == []
