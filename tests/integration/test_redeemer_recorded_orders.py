"""Orders without coupons: recorded only if a campaign is for first orders, and then always."""

from collections.abc import AsyncIterator

import orjson
import pytest

from shared.ledger.campaigns import save
from shared.ledger.database import Pool
from shared.ledger.engine import Engine
from shared.messaging.records import ReceivedEvent
from tests.integration.test_redeemer_orders import LATE, LATER, PLACED, Shop, _outcome_of, handler
from tests.ledger import definition, issue, ledger
from tests.received_events import cancelled, paid, placed, returned

pytestmark = pytest.mark.postgres

C1 = {"customer_id": "c1"}
FIRST = {"first_order_only": True}


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[Pool]:
    async with ledger(database_url) as opened:
        yield opened


async def noted(pool: Pool) -> tuple[list[str], int, int]:
    """Return (ids of orders, rows of the journal, events)."""
    orders = await pool.fetch("SELECT order_id FROM orders ORDER BY order_id")
    journal = await pool.fetchval("SELECT count(*) FROM journal WHERE command_id LIKE '/shop %'")
    return [row["order_id"] for row in orders], journal, await pool.fetchval("SELECT count(*) FROM outbox")


PLAIN = [
    placed("e1", order_id="A", customer=C1),
    placed("e2", order_id="B"),  # an order of a guest
    placed("e3", order_id="C", customer=C1, amount="1.234"),
    placed("e4", order_id="D", customer=C1, currency="XXX"),
]


@pytest.mark.parametrize(
    ("status", "note_orders", "orders"),
    [
        ("active", "when_needed", ["A", "C", "D"]),
        ("paused", "when_needed", ["A", "C", "D"]),
        ("archived", "when_needed", []),
        (None, "when_needed", []),
        (None, "always", ["A", "C", "D"]),
    ],
)
@pytest.mark.parametrize("burn_on", ["placed", "paid"])
async def test_orders_without_coupons_are_recorded_while_a_campaign_is_for_first_orders(
    pool: Pool, status: str | None, note_orders: str, orders: list[str], burn_on: str
) -> None:
    if status is not None:
        await save(pool, [definition("first", eligibility=FIRST, status=status)])
    redeemer = handler(pool, burn_on, note_orders=note_orders)

    assert list(await redeemer.handle(PLAIN)) == []
    assert await noted(pool) == (orders, len(orders), 0)
    assert list(await redeemer.handle(PLAIN)) == []
    assert await noted(pool) == (orders, len(orders), 0)


async def test_an_order_recorded_without_its_amount_can_be_partly_returned(pool: Pool) -> None:
    await save(pool, [definition("first", eligibility=FIRST)])
    redeemer = handler(pool)
    await redeemer.handle(PLAIN)

    for event in (
        returned("r1", order_id="D", amount="1.00"),
        paid("p1", order_id="D"),
        cancelled("c1", order_id="D"),
        placed("e5", order_id="D", customer=C1, currency="XXX", placed_at=LATER),
    ):
        assert list(await redeemer.handle([event])) == []


async def test_a_running_redeemer_notices_that_a_campaign_for_first_orders_was_loaded(pool: Pool) -> None:
    redeemer = handler(pool)
    await redeemer.handle(PLAIN[:1])
    await save(pool, [definition("first", eligibility=FIRST)])
    await redeemer.handle(PLAIN[2:3])

    assert (await noted(pool))[0] == ["C"]


@pytest.mark.parametrize("before", PLAIN)
@pytest.mark.parametrize("together", [False, True])
async def test_a_first_order_coupon_is_refused_after_an_order_without_coupons(
    pool: Pool, before: ReceivedEvent, together: bool
) -> None:
    await save(pool, [definition("first", eligibility=FIRST)])
    (code,) = await issue(Engine(pool), "first")
    redeemer = handler(pool)
    start = await pool.fetchval("SELECT coalesce(max(position), 0) FROM outbox")
    second = placed("e9", order_id="Z", customer=C1, placed_at=PLACED, coupon_codes=[code])
    for batch in [[before, second]] if together else [[before], [second]]:
        assert list(await redeemer.handle(batch)) == []

    rows = await pool.fetch("SELECT type, data FROM outbox WHERE position > $1", start)
    outcomes = [_outcome_of(row["type"], orjson.loads(row["data"])) for row in rows]
    assert outcomes == (["redeemed"] if before is PLAIN[1] else ["redemption_refused not_first_order"])


async def test_an_order_without_coupons_that_was_cancelled_leaves_the_next_one_the_first(pool: Pool) -> None:
    await save(pool, [definition("first", eligibility=FIRST)])
    (code,) = await issue(Engine(pool), "first")
    shop = Shop(pool, "placed", code)
    await shop.send_one("placed", PLACED, order_id="A", customer=C1, coupon_codes=[])
    await shop.send_one("cancelled", LATER, order_id="A")

    assert await shop.send_one("placed", LATE, order_id="Z", customer=C1) == ["redeemed"]


class Unreachable:
    """A pool that must not be used."""

    def acquire(self) -> None:
        raise AssertionError("there was nothing to ask")


@pytest.mark.parametrize(
    "events",
    [
        [],
        [placed(order_id="B")],
        [placed(customer=C1, coupon_codes=["A"]), placed(customer=C1, lock_reference="l")],
        [paid(), cancelled(), returned()],
    ],
)
async def test_a_batch_without_an_order_to_record_reads_no_campaigns(events: list[ReceivedEvent]) -> None:
    redeemer = handler(Unreachable())  # type: ignore[arg-type]

    assert await redeemer._must_record_orders(events) is False
