"""Orders that change, payments that fail and takeovers, as events on PostgreSQL. The audit finds nothing afterwards."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest

from services.redeemer.handler import OrderHandler
from services.redeemer.settings import RedeemerSettings
from shared.ledger import queries
from shared.ledger.database import Pool
from shared.ledger.engine import Engine
from shared.messaging.records import ReceivedEvent
from shared.runtime import telemetry
from tests.integration.cli_calls import call
from tests.ledger import definition, ledger
from tests.received_events import cancelled, changed, paid, payment_failed, placed, returned

pytestmark = pytest.mark.postgres

PERCENT = definition("percent", code={"shared_code": "P10"}, limits={"uses_per_coupon": None, "uses_per_customer": 1})
FROM50 = definition(
    "from50", discount={"kind": "fixed", "value": "10", "currency": "USD"}, code={"shared_code": "FROM50"},
    eligibility={"min_order_amount": "50"}, limits={},
)  # fmt: skip
SINGLE = definition("single", code={"shared_code": "SINGLE"}, limits={"uses_per_coupon": 1})
ANN, BOB = {"customer_id": "ann"}, {"customer_id": "bob"}
MAKERS = {
    "placed": (placed, "placed_at"), "changed": (changed, "changed_at"), "failed": (payment_failed, "failed_at"),
    "paid": (paid, "paid_at"), "cancelled": (cancelled, "cancelled_at"), "returned": (returned, "returned_at"),
}  # fmt: skip


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[Pool]:
    async with ledger(database_url, PERCENT, FROM50, SINGLE, connections=8) as opened:
        yield opened


class Shop:
    """Send order events to a redeemer's handler, each with an event id of its own."""

    sent = 0

    def __init__(self, pool: Pool, burn_on: str = "placed", **fields: Any) -> None:
        settings = RedeemerSettings(
            kafka_bootstrap_servers="localhost:1", database_url="postgresql://localhost/x", burn_on=burn_on, **fields
        )
        self._pool = pool
        self._handler = OrderHandler(pool, Engine(pool), settings)

    def event(self, kind: str, minute: int, **fields: Any) -> ReceivedEvent:
        Shop.sent += 1
        make, time = MAKERS[kind]
        if kind in ("placed", "changed"):
            fields = {"customer": ANN, "amount": "100.00", "coupon_codes": ["P10"]} | fields
        return make(f"e{Shop.sent}", **{time: f"2026-03-01T12:{minute:02}:00Z"} | fields)

    async def send(self, *events: ReceivedEvent) -> list[str]:
        """Send events in one batch. Return the types of the events that this publishes."""
        before = await self._pool.fetchval("SELECT coalesce(max(position), 0) FROM outbox")
        assert list(await self._handler.handle(events)) == []
        rows = await self._pool.fetch("SELECT type FROM outbox WHERE position > $1 ORDER BY position", before)
        return [row["type"].removeprefix("coupon.") for row in rows]

    async def step(self, kind: str, minute: int, **fields: Any) -> list[str]:
        return await self.send(self.event(kind, minute, **fields))

    async def last(self, kind: str) -> dict[str, Any]:
        """Return the data of the newest event of this kind."""
        newest = "SELECT data FROM outbox WHERE type = $1 ORDER BY position DESC LIMIT 1"
        found: dict[str, Any] = orjson.loads(await self._pool.fetchval(newest, f"coupon.{kind}"))
        return found

    async def uses(self, code: str = "P10") -> tuple[int, int, int, int]:
        """Return (held, used) uses of the coupon, and its (held, used) discount by the entries."""
        row = await self._pool.fetchrow(
            "SELECT held_uses, used_uses, coalesce(sum(held_minor), 0)::bigint AS held_minor,"
            " coalesce(sum(used_minor), 0)::bigint AS used_minor"
            " FROM (SELECT coupon_id, coupons.held_uses, coupons.used_uses, held_minor, used_minor FROM coupons"
            " LEFT JOIN ledger_entries USING (coupon_id) WHERE code = $1) AS found GROUP BY 1, 2",
            code,
        )
        assert row is not None
        return row["held_uses"], row["used_uses"], row["held_minor"], row["used_minor"]


# Changes


async def test_a_redeemed_order_is_adjusted_and_restored(pool: Pool) -> None:
    shop = Shop(pool)
    assert await shop.step("placed", 0) == ["redeemed"]
    assert await shop.step("changed", 5, amount="150.00") == ["redemption_adjusted"]
    data = await shop.last("redemption_adjusted")
    assert (data["discount_before"], data["discount_amount"], data["cause"]) == ("10.00", "15.00", "order.changed")
    assert await shop.uses() == (0, 1, 0, 1_500)
    assert await shop.step("placed", 8, amount="30.00") == ["redemption_adjusted"]
    assert await shop.step("changed", 9, amount="30.00") == []
    assert await shop.step("cancelled", 10) == ["redemption_restored"]
    assert (await shop.last("redemption_restored"))["coupons"][0]["discount_amount"] == "3.00"
    assert await shop.uses() == (0, 0, 0, 0)


async def test_an_order_that_holds_its_coupons_is_adjusted_and_pays_what_it_is_now(pool: Pool) -> None:
    shop = Shop(pool, "paid")
    both = {"coupon_codes": ["P10", "FROM50"]}
    assert await shop.step("placed", 0, **both) == ["locked", "locked"]
    assert await shop.step("changed", 5, amount="40.00", **both) == ["redemption_refused", "released"]
    released = await shop.last("released")
    assert (released["cause"], released["reason"]) == ("order.changed", "below_minimum")
    assert await shop.uses() == (1, 0, 400, 0)
    assert await shop.uses("FROM50") == (0, 0, 0, 0)
    assert await shop.step("paid", 10) == ["redeemed"]
    assert (await shop.last("redeemed"))["discount_amount"] == "4.00"


async def test_without_codes_a_changed_order_gives_up_what_it_has(pool: Pool) -> None:
    shop = Shop(pool)
    await shop.step("placed", 0)
    assert await shop.step("changed", 5, coupon_codes=None) == ["redemption_restored"]
    assert await shop.step("changed", 6, coupon_codes=[]) == []
    assert await shop.step("placed", 20, order_id="O2") == ["redeemed"]  # once per customer


@pytest.mark.parametrize("burn_on", ["placed", "paid"])
@pytest.mark.parametrize("at_once", [True, False])
async def test_the_newest_version_counts_whenever_it_arrives(pool: Pool, burn_on: str, at_once: bool) -> None:
    shop = Shop(pool, burn_on)
    events = [
        shop.event("changed", 5, amount="50.00"),
        shop.event("placed", 0),
        shop.event("changed", 3, amount="500.00", coupon_codes=["P10", "FROM50"]),
        shop.event("changed", 5, amount="50.00"),
    ]
    for batch in [events] if at_once else [[one] for one in events]:
        await shop.send(*batch)
    held, used, held_minor, used_minor = await shop.uses()
    assert (held + used, held_minor + used_minor) == (1, 500)
    row = await pool.fetchrow("SELECT placed_at, changed_at, amount_minor FROM orders")
    assert row is not None
    assert (row["placed_at"].minute, row["changed_at"].minute, row["amount_minor"]) == (0, 5, 5_000)
    await shop.step("cancelled", 1)  # dated before the change, after the placing
    assert await shop.uses() == (0, 0, 0, 0)


async def test_another_order_under_a_known_id_is_refused_published_and_counted(pool: Pool) -> None:
    shop = Shop(pool, "paid")
    counter = telemetry.REFUSED.labels("redeemer", "order_mismatch")
    before = counter._value.get()
    await shop.step("placed", 0)
    for fields in ({"customer": BOB}, {"customer": BOB, "coupon_codes": []}):
        assert await shop.step("changed", 5, **fields) == ["redemption_refused"]
        assert await shop.step("placed", 6, **fields) == ["redemption_refused"]
    await shop.step("paid", 10)
    assert await shop.step("placed", 20, amount="7.00") == ["redemption_refused"]
    await shop.step("cancelled", 30)
    assert await shop.step("placed", 25, amount="7.00", coupon_codes=[]) == ["redemption_refused"]
    assert (await shop.last("redemption_refused"))["coupons"][0]["reason"] == "order_mismatch"
    assert counter._value.get() == before + 6


# Payments that fail


async def test_a_failed_payment_releases_and_a_payment_after_it_is_judged_again(pool: Pool) -> None:
    shop = Shop(pool, "paid")
    await shop.step("placed", 0, coupon_codes=["SINGLE"])
    assert await shop.step("failed", 5) == ["released"]
    assert (await shop.last("released"))["cause"] == "order.payment_failed"
    assert await shop.uses("SINGLE") == (0, 0, 0, 0)
    assert await shop.step("placed", 6, order_id="O2", customer=BOB, coupon_codes=["SINGLE"]) == ["locked"]
    assert await shop.step("paid", 7) == ["redemption_refused"]
    assert await shop.step("paid", 8, order_id="O2") == ["redeemed"]
    assert await shop.uses("SINGLE") == (0, 1, 0, 1_000)


async def test_a_payment_after_a_failed_one_redeems_if_there_is_room(pool: Pool) -> None:
    shop = Shop(pool, "paid")
    assert await shop.send(
        shop.event("placed", 0), shop.event("failed", 5), shop.event("failed", 6), shop.event("paid", 7),
    ) == ["locked", "released", "redeemed"]  # fmt: skip
    assert await shop.uses() == (0, 1, 0, 1_000)


# Takeovers


@pytest.mark.parametrize("code", ["P10", "SINGLE"])
async def test_a_newer_order_takes_over_and_the_older_is_refused_when_it_is_paid(pool: Pool, code: str) -> None:
    shop = Shop(pool, "paid")
    codes = {"coupon_codes": [code]}
    await shop.step("placed", 0, **codes)
    assert await shop.step("placed", 5, order_id="O2", **codes) == ["locked", "released"]
    released = await shop.last("released")
    assert (released["order_id"], released["cause"]) == ("O1", "order.placed")
    assert await shop.step("paid", 6, order_id="O2") == ["redeemed"]
    assert await shop.step("paid", 7) == ["redemption_refused"]
    assert await shop.uses(code) == (0, 1, 0, 1_000)


async def test_takeovers_can_be_turned_off(pool: Pool) -> None:
    shop = Shop(pool, "paid", hold_takeover="never")
    await shop.step("placed", 0, coupon_codes=["SINGLE"])
    assert await shop.step("placed", 5, order_id="O2", coupon_codes=["SINGLE"]) == ["redemption_refused"]
    assert await shop.uses("SINGLE") == (1, 0, 1_000, 0)


async def test_another_customer_takes_nothing_over(pool: Pool) -> None:
    shop = Shop(pool, "paid")
    await shop.step("placed", 0, coupon_codes=["SINGLE"])
    other = {"order_id": "O2", "customer": BOB, "coupon_codes": ["SINGLE"]}
    assert await shop.step("placed", 5, **other) == ["redemption_refused"]


@pytest.mark.parametrize("code", ["P10", "SINGLE"])
async def test_orders_that_take_over_at_once_hold_and_redeem_one_use(pool: Pool, code: str) -> None:
    shops = [Shop(pool, "paid") for _ in range(4)]
    orders = [f"T{number}" for number in range(8)]

    async def at_once(kind: str, minute: int, **fields: Any) -> None:
        events = [shops[0].event(kind, minute + number, order_id=one, **fields) for number, one in enumerate(orders)]
        batches = [events[number::4] for number in range(4)]
        await asyncio.gather(*(shop._handler.handle(batch) for shop, batch in zip(shops, batches, strict=True)))

    await shops[0].step("placed", 0, order_id="T9", coupon_codes=[code])
    await at_once("placed", 10, coupon_codes=[code])
    assert await shops[0].uses(code) == (1, 0, 1_000, 0)
    await asyncio.gather(at_once("paid", 30), at_once("changed", 20, amount="200.00", coupon_codes=[code]))
    held, used, _, _ = await shops[0].uses(code)
    assert (held, used) in {(0, 1), (1, 0)}
    assert await pool.fetchval("SELECT count(*) FROM locks WHERE status = 'open'") == held


# Nothing is silent


async def test_what_changed_nothing_is_counted_and_shown_with_its_reason(pool: Pool, database_url: str) -> None:
    shop = Shop(pool, "paid")
    whys = ("same_content", "older_version", "nothing_held", "paid_already", "closed", "earlier_order")
    counters = {why: telemetry.UNCHANGED.labels("redeemer", why) for why in whys}
    before = {why: counter._value.get() for why, counter in counters.items()}
    await shop.step("placed", 0)
    for minute, amount in ((5, "50.00"), (6, "50.00"), (3, "70.00")):
        await shop.step("changed", minute, amount=amount)
    for kind, minute in (
        ("failed", 4), ("failed", 7), ("failed", 8), ("paid", 10), ("paid", 11), ("failed", 12), ("cancelled", 20),
        ("failed", 21), ("cancelled", 19), ("paid", 15),
    ):  # fmt: skip
        await shop.step(kind, minute)
    counted = {why: counter._value.get() - before[why] for why, counter in counters.items()}
    assert counted == {
        "same_content": 1, "older_version": 2, "nothing_held": 1, "paid_already": 2, "closed": 2, "earlier_order": 1,
    }  # fmt: skip
    async with pool.acquire() as connection:
        history = await queries.coupon_history(connection, "P10")
        lines = await queries.redemptions(connection, order_id="O1")
    assert history is not None
    shown = [(one.reason, one.message) for one in history.happenings if one.kind == "unchanged"]
    assert shown == [(line.reason, line.message) for line in reversed(lines) if line.outcome == "unchanged"]
    assert shown[:2] == [
        ("same_content", "placing or changing the order"), ("older_version", "placing or changing the order"),
    ]  # fmt: skip
    assert {why for why, _ in shown} == set(whys)
    assert ("nothing_held", "its failed payment") in shown
    environment = {"COUPONRY_DATABASE_URL": database_url}
    printed = await asyncio.to_thread(call, environment, "coupons", "show", "P10")
    assert "unchanged, closed: its cancellation" in printed.words
    assert "adjusted, -5.00 USD" in printed.words
    listed = await asyncio.to_thread(call, environment, "redemptions", "list", "--order", "O1")
    assert "unchanged, paid_already: its payment" in listed.words
