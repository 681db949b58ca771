"""The life of an order on a real ledger: each state and event has the outcome documented in the redeemer's README."""

from collections.abc import AsyncIterator, Sequence
from typing import Any

import orjson
import pytest

from services.redeemer.handler import OrderHandler
from services.redeemer.settings import RedeemerSettings
from shared.ledger.database import Pool
from shared.ledger.engine import Engine
from shared.messaging.records import ReceivedEvent
from tests.ledger import definition, issue, ledger
from tests.received_events import cancelled, changed, paid, placed, returned

pytestmark = pytest.mark.postgres

# Minutes after noon; the events' own times count.
EARLY, PLACED, LATER, LATE, LAST = (f"2026-03-01T12:{minute:02}:00Z" for minute in (0, 10, 20, 30, 40))


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[Pool]:
    definitions = (definition("save10"), definition("keep", restore_on=[]))
    async with ledger(database_url, *definitions) as opened:
        yield opened


def handler(pool: Pool, burn_on: str = "placed", **fields: Any) -> OrderHandler:
    settings = RedeemerSettings(
        kafka_bootstrap_servers="localhost:1", database_url="postgresql://localhost/x", burn_on=burn_on, **fields
    )
    return OrderHandler(pool, Engine(pool), settings)


class Shop:
    """Send events of one order, each with its own event id, one batch each unless sent together."""

    def __init__(self, pool: Pool, burn_on: str, code: str, *, sent: int = 0) -> None:
        self._pool = pool
        self._handler = handler(pool, burn_on)
        self._sent = sent
        self.code = code

    def event(self, kind: str, at: str, **fields: Any) -> ReceivedEvent:
        self._sent += 1
        make = {
            "placed": placed, "changed": changed, "paid": paid, "cancelled": cancelled, "returned": returned,
        }[kind]  # fmt: skip
        if kind == "placed":
            fields = {"coupon_codes": [self.code], "amount": "100.00", **fields}
        return make(f"e{self._sent}", **{f"{kind}_at": at}, **fields)

    async def send(self, *events: ReceivedEvent) -> None:
        assert list(await self._handler.handle(events)) == []

    async def send_one(self, kind: str, at: str, **fields: Any) -> list[str]:
        """Send one event; return what it caused: types of events, refusals with their reasons."""
        before = await self.position()
        await self.send(self.event(kind, at, **fields))
        return await self.published_since(before)

    async def position(self) -> int:
        return int(await self._pool.fetchval("SELECT coalesce(max(position), 0) FROM outbox"))

    async def published_since(self, position: int) -> list[str]:
        rows = await self._pool.fetch("SELECT type, data FROM outbox WHERE position > $1 ORDER BY position", position)
        return [_outcome_of(row["type"], orjson.loads(row["data"])) for row in rows]

    async def uses(self) -> tuple[int, int]:
        """Return (held, used) of the coupon."""
        row = await self._pool.fetchrow("SELECT held_uses, used_uses FROM coupons WHERE code = $1", self.code)
        assert row is not None
        return row["held_uses"], row["used_uses"]


def _outcome_of(event_type: str, data: dict[str, Any]) -> str:
    reasons = ",".join(coupon["reason"] for coupon in data.get("coupons", ()) if "reason" in coupon)
    return f"{event_type.removeprefix('coupon.')} {reasons}".strip()


HELD, USED, FREE = (1, 0), (0, 1), (0, 0)
Story = Sequence[tuple[str, str, list[str], tuple[int, int]]]
"""(event, its time, what it causes, then (held, used) uses of the coupon)"""

BURN_ON_PLACED: dict[str, Story] = {
    "placed": [("placed", PLACED, ["redeemed"], USED)],
    "placed twice": [("placed", PLACED, ["redeemed"], USED), ("placed", PLACED, [], USED)],
    "paid": [("placed", PLACED, ["redeemed"], USED), ("paid", LATER, [], USED)],
    "cancelled": [("placed", PLACED, ["redeemed"], USED), ("cancelled", LATER, ["redemption_restored"], FREE)],
    "cancelled twice": [
        ("placed", PLACED, ["redeemed"], USED),
        ("cancelled", LATER, ["redemption_restored"], FREE),
        ("cancelled", LATE, [], FREE),
    ],
    "cancelled after paid": [
        ("placed", PLACED, ["redeemed"], USED),
        ("paid", LATER, [], USED),
        ("cancelled", LATE, ["redemption_restored"], FREE),
    ],
    "cancelled before its order arrives": [
        ("cancelled", LATER, [], FREE),
        ("placed", PLACED, ["redemption_refused order_mismatch"], FREE),
    ],
    "cancelled, then placed again": [
        ("placed", PLACED, ["redeemed"], USED),
        ("cancelled", LATER, ["redemption_restored"], FREE),
        ("placed", LATE, ["redeemed"], USED),
        ("cancelled", LATER, [], USED),
        ("cancelled", LAST, ["redemption_restored"], FREE),
    ],
    "cancelled, then the same placing again": [
        ("placed", PLACED, ["redeemed"], USED),
        ("cancelled", LATER, ["redemption_restored"], FREE),
        ("placed", PLACED, ["redemption_refused order_mismatch"], FREE),
    ],
    "returned": [("placed", PLACED, ["redeemed"], USED), ("returned", LATER, ["redemption_restored"], FREE)],
    "returned before its order arrives": [
        ("returned", LATER, [], FREE),
        ("placed", PLACED, ["redemption_refused order_mismatch"], FREE),
    ],
    "returned after cancelled": [
        ("placed", PLACED, ["redeemed"], USED),
        ("cancelled", LATER, ["redemption_restored"], FREE),
        ("returned", LATE, [], FREE),
    ],
    "paid before its order arrives": [("paid", LATER, [], FREE), ("placed", PLACED, ["redeemed"], USED)],
}

BURN_ON_PAID: dict[str, Story] = {
    "placed": [("placed", PLACED, ["locked"], HELD)],
    "placed twice": [("placed", PLACED, ["locked"], HELD), ("placed", PLACED, [], HELD)],
    "paid": [("placed", PLACED, ["locked"], HELD), ("paid", LATER, ["redeemed"], USED)],
    "paid twice": [
        ("placed", PLACED, ["locked"], HELD),
        ("paid", LATER, ["redeemed"], USED),
        ("paid", LATE, [], USED),
    ],
    "paid before its order arrives": [("paid", LATER, [], FREE), ("placed", PLACED, ["redeemed"], USED)],
    "cancelled before paid": [("placed", PLACED, ["locked"], HELD), ("cancelled", LATER, ["released"], FREE)],
    "cancelled twice": [
        ("placed", PLACED, ["locked"], HELD),
        ("cancelled", LATER, ["released"], FREE),
        ("cancelled", LATE, [], FREE),
    ],
    "cancelled after paid": [
        ("placed", PLACED, ["locked"], HELD),
        ("paid", LATER, ["redeemed"], USED),
        ("cancelled", LATE, ["redemption_restored"], FREE),
    ],
    "cancelled after paid, twice": [
        ("placed", PLACED, ["locked"], HELD),
        ("paid", LATER, ["redeemed"], USED),
        ("cancelled", LATE, ["redemption_restored"], FREE),
        ("cancelled", LAST, [], FREE),
    ],
    "cancelled before its order arrives": [
        ("cancelled", LATER, [], FREE),
        ("placed", PLACED, ["redemption_refused order_mismatch"], FREE),
        ("paid", LATER, [], FREE),
    ],
    "the payment of what was cancelled comes late": [
        ("placed", PLACED, ["locked"], HELD),
        ("cancelled", LATE, ["released"], FREE),
        ("paid", LATER, [], FREE),
    ],
    "cancelled, then placed and paid again": [
        ("placed", PLACED, ["locked"], HELD),
        ("cancelled", LATER, ["released"], FREE),
        ("placed", LATE, ["locked"], HELD),
        ("paid", LAST, ["redeemed"], USED),
    ],
    "returned after paid": [
        ("placed", PLACED, ["locked"], HELD),
        ("paid", LATER, ["redeemed"], USED),
        ("returned", LATE, ["redemption_restored"], FREE),
    ],
    "returned before paid": [("placed", PLACED, ["locked"], HELD), ("returned", LATER, ["released"], FREE)],
}


@pytest.mark.parametrize("name", BURN_ON_PLACED)
async def test_with_burn_on_placed_an_order_is(pool: Pool, name: str) -> None:
    await _run_story(pool, "placed", BURN_ON_PLACED[name])


@pytest.mark.parametrize("name", BURN_ON_PAID)
async def test_with_burn_on_paid_an_order_is(pool: Pool, name: str) -> None:
    await _run_story(pool, "paid", BURN_ON_PAID[name])


async def _run_story(pool: Pool, burn_on: str, story: Story) -> None:
    (code,) = await issue(Engine(pool), "save10")
    shop = Shop(pool, burn_on, code)
    for number, (kind, at, expected, uses) in enumerate(story):
        assert await shop.send_one(kind, at) == expected, (number, kind)
        assert await shop.uses() == uses, (number, kind)


@pytest.mark.parametrize(
    ("burn_on", "story"),
    [("placed", story) for story in BURN_ON_PLACED.values()] + [("paid", story) for story in BURN_ON_PAID.values()],
)
async def test_a_whole_life_in_one_batch_ends_like_event_by_event(pool: Pool, burn_on: str, story: Story) -> None:
    (code,) = await issue(Engine(pool), "save10")
    shop = Shop(pool, burn_on, code)
    before = await shop.position()

    await shop.send(*(shop.event(kind, at) for kind, at, _, _ in story))

    assert sorted(await shop.published_since(before)) == sorted(event for _, _, causes, _ in story for event in causes)
    assert await shop.uses() == story[-1][3]


ANN, BOB = {"customer": {"customer_id": "ann"}}, {"customer": {"customer_id": "bob"}}
WITHOUT_CODES: dict[str, list[tuple[str, str, dict[str, Any]]]] = {
    "a change without codes, then its order": [
        ("changed", LATER, {**ANN, "amount": "70.00"}), ("placed", PLACED, {**ANN, "amount": "90.00"}),
    ],
    "an order, then a change without codes": [
        ("placed", PLACED, {**ANN, "amount": "90.00"}), ("changed", LATER, {**ANN, "amount": "70.00"}),
    ],
    "an order of another customer under the same id": [
        ("placed", EARLY, {**ANN, "coupon_codes": []}), ("placed", PLACED, BOB),
    ],
    "an order without codes that comes twice": [
        ("placed", EARLY, {**ANN, "amount": "40.00", "coupon_codes": []}),
        ("changed", PLACED, {**ANN, "amount": "90.00", "coupon_codes": ["save10"]}),
        ("returned", LATE, {}), ("placed", EARLY, {**ANN, "amount": "40.00", "coupon_codes": []}),
    ],
    "a code that does not exist, no codes, and a later version that came first": [
        ("changed", LATER, {**ANN, "coupon_codes": ["NO-SUCH"]}), ("changed", LATE, {**ANN, "coupon_codes": []}),
        ("changed", PLACED, {**ANN, "coupon_codes": ["save10"]}),
    ],
}  # fmt: skip


@pytest.mark.parametrize("burn_on", ["placed", "paid"])
@pytest.mark.parametrize("name", WITHOUT_CODES)
async def test_events_without_codes_have_the_same_end_in_one_batch_and_one_by_one(
    pool: Pool, burn_on: str, name: str
) -> None:
    results = []
    for together, code in zip((False, True), await issue(Engine(pool), "save10", 2), strict=True):
        shop = Shop(pool, burn_on, code, sent=100 * together)
        before = await shop.position()
        events = []
        for kind, at, fields in WITHOUT_CODES[name]:
            codes = {"coupon_codes": [code]} if fields.get("coupon_codes") == ["save10"] else {}
            events.append(shop.event(kind, at, **{**fields, **codes, "order_id": f"ORD {together}"}))
        for batch in [events] if together else [[event] for event in events]:
            await shop.send(*batch)
        results.append((sorted(await shop.published_since(before)), await shop.uses()))
    assert results[0] == results[1]


@pytest.mark.parametrize("burn_on", ["placed", "paid"])
async def test_duplicate_events_cause_nothing(pool: Pool, burn_on: str) -> None:
    (code,) = await issue(Engine(pool), "save10")
    shop = Shop(pool, burn_on, code)
    life = [shop.event("placed", PLACED), shop.event("paid", LATER), shop.event("cancelled", LATE)]
    await shop.send(*life)
    before = await shop.position()

    for event in (*life, *reversed(life)):
        await shop.send(event)
    await shop.send(*life, *life)

    assert await shop.published_since(before) == []
    assert await shop.uses() == FREE


@pytest.mark.parametrize("kind", ["cancelled", "returned"])
async def test_a_campaign_that_restores_nothing_keeps_its_coupon_used(pool: Pool, kind: str) -> None:
    (code,) = await issue(Engine(pool), "keep")
    shop = Shop(pool, "placed", code)
    await shop.send_one("placed", PLACED)

    assert await shop.send_one(kind, LATER) == []
    assert await shop.uses() == USED


@pytest.mark.parametrize("part", [{"lines": [{"line_id": "1", "quantity": 1}]}, {"amount": "50.00"}])
@pytest.mark.parametrize("early", [False, True])
async def test_a_partial_return_restores_a_share_and_no_use(pool: Pool, part: dict[str, Any], early: bool) -> None:
    (code,) = await issue(Engine(pool), "save10")
    shop = Shop(pool, "placed", code)
    lines = [{"line_id": "1", "product_id": "boots", "quantity": 2, "unit_price": "50.00"}]
    if early:
        assert await shop.send_one("returned", LATER, **part) == []
        assert await shop.send_one("placed", PLACED, lines=lines) == ["redeemed", "redemption_restored"]
    else:
        assert await shop.send_one("placed", PLACED, lines=lines) == ["redeemed"]
        assert await shop.send_one("returned", LATER, **part) == ["redemption_restored"]

    assert await shop.uses() == USED
    assert await shop.send_one("returned", LATER, **part) == []
    given = await pool.fetch("SELECT used_minor FROM ledger_entries WHERE order_id IS NOT NULL ORDER BY entry_id")
    assert [row["used_minor"] for row in given] == [1_000, -500]
    assert await shop.send_one("returned", LATE, **part) == ["redemption_restored"]
    assert await shop.uses() == FREE


async def test_a_partial_return_with_too_many_decimals_is_recorded_and_not_published(pool: Pool) -> None:
    (code,) = await issue(Engine(pool), "save10")
    shop = Shop(pool, "placed", code)
    await shop.send_one("placed", PLACED)

    assert await shop.send_one("returned", LATER, amount="5.001") == []
    assert await shop.uses() == USED
    assert await pool.fetchval("SELECT reasons FROM journal WHERE kind = 'ReturnOrder'") == ["order_mismatch"]


async def test_orders_without_coupons_leave_no_row(pool: Pool) -> None:
    batch = [placed(f"e{n}", order_id=f"O{n}", customer={"customer_id": "c1"}) for n in range(50)] + [
        paid(f"p{n}", order_id=f"O{n}") for n in range(50)
    ]

    await handler(pool, "placed").handle(batch)

    assert await pool.fetchval("SELECT count(*) FROM journal") == 0
    assert await pool.fetchval("SELECT count(*) FROM orders") == 0


async def test_a_payment_burns_what_was_held_before_the_setting_changed(pool: Pool) -> None:
    (code,) = await issue(Engine(pool), "save10")
    await Shop(pool, "paid", code).send_one("placed", PLACED)
    after = Shop(pool, "placed", code)
    after._sent = 10

    assert await after.send_one("paid", LATER) == ["redeemed"]
    assert await after.uses() == USED


async def test_an_event_id_used_for_another_order_is_poison_and_other_events_are_executed(pool: Pool) -> None:
    first, second, third = await issue(Engine(pool), "save10", 3)
    orders = handler(pool)
    await orders.handle([placed("e1", order_id="A", placed_at=PLACED, coupon_codes=[first])])
    reused = placed("e1", order_id="B", placed_at=PLACED, coupon_codes=[second])
    other = placed("e2", order_id="C", placed_at=PLACED, coupon_codes=[third])

    poison = await orders.handle([reused, other])

    assert [(one.event, one.error_class) for one in poison] == [(reused, "CommandIdReused")]
    used = await pool.fetch("SELECT code FROM coupons WHERE used_uses = 1 ORDER BY code")
    assert {row["code"] for row in used} == {first, third}


async def test_an_amount_with_too_many_decimals_is_poison_and_other_events_are_executed(pool: Pool) -> None:
    first, second = await issue(Engine(pool), "save10", 2)
    bad = placed("e1", order_id="A", placed_at=PLACED, coupon_codes=[first], amount="1.234")

    (poison,) = await handler(pool).handle([bad, placed("e2", order_id="B", placed_at=PLACED, coupon_codes=[second])])

    assert poison.event is bad
    assert poison.error_class == "MoneyError"
    assert "1.234" in poison.error_text
    assert await pool.fetchval("SELECT code FROM coupons WHERE used_uses = 1") == second
