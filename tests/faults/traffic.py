"""The events of many stories, and the comparison of a ledger and its streams with computations without faults.

Three computations must agree for every order: the one without Couponry's code (`tests/faults/computation.py`), the
ledger after the faults, and the published events added up. Ledger entries and published events must also equal, entry
by entry, those of a second ledger in which one handler executes the same events one by one, without broker and faults.
"""

import json
import random
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import orjson

from schemas.campaigns import CampaignDefinition
from schemas.topics import COUPONS_LIFECYCLE, COUPONS_REDEMPTIONS
from services.redeemer.handler import OrderHandler
from services.redeemer.settings import RedeemerSettings
from shared.domain.model.commands import CreateCoupons
from shared.domain.model.ids import order_key
from shared.domain.model.verdicts import Verdict
from shared.ledger.audit import audit
from shared.ledger.campaigns import save
from shared.ledger.database import Pool, open_pool
from shared.ledger.engine import Engine
from shared.runtime.settings import KafkaSettings
from tests.faults.computation import Coupon, OrderName, coupons_of
from tests.faults.shop import Sent
from tests.faults.stories import MINIMUM_MINOR, PERCENT, Story, money, story
from tests.integration.kafka_tools import read_all
from tests.ledger import definition
from tests.received_events import received

TOPICS: Final = (COUPONS_REDEMPTIONS.name, COUPONS_LIFECYCLE.name)
ISSUED_AT: Final = datetime(2026, 2, 1, tzinfo=UTC)


class Traffic:
    """The events of `orders` stories, each with a coupon of its own that it may name. `events` are in sending order."""

    def __init__(self, orders: int, seed: int, burn_on: str = "placed") -> None:
        chance = random.Random(seed)
        self.burn_on = burn_on
        self.stories = [story(number, chance) for number in range(orders)]
        self.events = _interleaved([one.arrivals for one in self.stories], chance)

    async def prepare(self, pool: Pool) -> None:
        """Load the campaigns and coupons that the orders name."""
        await save(pool, campaigns())
        codes = tuple(f"OWN-{number}" for number in range(len(self.stories)))
        [verdict] = await Engine(pool).execute([CreateCoupons("/test own codes", "own", codes=codes, at=ISSUED_AT)])
        assert isinstance(verdict, Verdict), verdict
        assert len(verdict.accepted) == len(codes), verdict.refused[:1]

    async def check(self, settings: KafkaSettings, pool: Pool, faultless_url: str) -> None:
        """Compare the ledger and the streams with all computations. `faultless_url`: an empty, migrated database."""
        computed = coupons_of(self.stories, self.burn_on)
        assert await ledger_coupons(pool, self.stories) == computed
        assert await coupons_and_meters(pool) == _sums(computed)
        records = [record for topic in TOPICS for record in await read_all(settings, settings.topic(topic))]
        published = [one for one in map(published_event, records) if one[2].get("order_id") is not None]
        assert streamed_coupons(published) == {place: coupon for place, coupon in computed.items() if coupon.used}
        async with await open_pool(faultless_url, max_size=2) as faultless:
            await self.prepare(faultless)
            await self._execute(faultless)
            assert await entries(pool) == await entries(faultless)
            assert sorted(map(repr, published)) == sorted(map(repr, await outbox(faultless)))
            assert redemptions_by_order(published) == redemptions_by_order(await outbox(faultless))
        assert (await audit(pool)).findings == ()

    async def _execute(self, pool: Pool) -> None:
        """Execute the events one by one with the redeemer's handler."""
        settings = RedeemerSettings(
            kafka_bootstrap_servers="localhost:1", database_url="postgresql://localhost/x", burn_on=self.burn_on
        )
        handler = OrderHandler(pool, Engine(pool), settings)
        for _, value in self.events:
            raw = json.loads(value)
            one = received(raw["type"], raw["data"], event_id=raw["id"], source=raw["source"])
            assert list(await handler.handle([one])) == []


def campaigns() -> list[CampaignDefinition]:
    """Return the campaigns of the codes that orders name. Their limits have meters and are never reached."""
    limits = {"uses_per_customer": 100_000, "uses_total": 1_000_000, "spend_total": "1000000000.00"}
    found = []
    for code, percent in PERCENT.items():
        minimum = MINIMUM_MINOR.get(code)
        shared = {"shared_code": code} if code != "OWN" else {}
        found.append(
            definition(
                code.lower(),
                discount={"kind": "percentage", "value": str(percent), "currency": "USD"},
                code=shared,
                limits=limits | ({"uses_per_coupon": 1} if code == "OWN" else {}),
                eligibility={} if minimum is None else {"min_order_amount": money(minimum), "currency": "USD"},
            )
        )
    return found


def _interleaved(arrivals: Sequence[Sequence[Sent]], chance: random.Random) -> list[Sent]:
    """Return all events, in a random order that keeps the order of each story."""
    turns = [number for number, events in enumerate(arrivals) for _ in events]
    chance.shuffle(turns)
    following = [iter(events) for events in arrivals]
    return [next(following[number]) for number in turns]


def _sums(coupons: dict[tuple[OrderName, str], Coupon]) -> dict[str, tuple[int, int, int]]:
    """Return (held, used, discount) by campaign."""
    found = {code.lower(): [0, 0, 0] for code in PERCENT}
    for (_, code), coupon in coupons.items():
        sums = found[code.partition("-")[0].lower()]
        sums[0] += coupon.held
        sums[1] += coupon.used
        sums[2] += coupon.discount_minor
    return {campaign_id: (held, used, minor) for campaign_id, (held, used, minor) in found.items()}


# Ledger


async def ledger_coupons(pool: Pool, stories: Iterable[Story]) -> dict[tuple[OrderName, str], Coupon]:
    """Return what each order has, by the sums of ledger entries."""
    names = {order_key(one.shop_id, one.order_id): (one.shop_id, one.order_id) for one in stories}
    rows = await pool.fetch(
        "SELECT order_id, code, sum(entry.held_uses)::int, sum(entry.used_uses)::int,"
        " sum(entry.held_minor + entry.used_minor)::int FROM ledger_entries AS entry JOIN coupons USING (coupon_id)"
        " WHERE order_id IS NOT NULL GROUP BY order_id, code"
    )
    found = {(names[row[0]], row[1]): Coupon(row[2], row[3], row[4]) for row in rows}
    return {place: coupon for place, coupon in found.items() if coupon != Coupon()}


async def coupons_and_meters(pool: Pool) -> dict[str, tuple[int, int, int]]:
    """Return (held, used, discount) by campaign, from its meter; the rows of its coupons must have the same uses."""
    campaign_ids = [code.lower() for code in PERCENT]
    meters = await pool.fetch(
        "SELECT campaign_id, held_uses, used_uses, held_minor + used_minor FROM meters"
        " WHERE customer_key = '00000000-0000-0000-0000-000000000000' AND campaign_id = ANY($1)",
        campaign_ids,
    )
    coupons = await pool.fetch(
        "SELECT campaign_id, sum(held_uses)::int, sum(used_uses)::int FROM coupons WHERE campaign_id = ANY($1)"
        " GROUP BY campaign_id",
        campaign_ids,
    )
    found = {row[0]: (row[1], row[2], row[3]) for row in meters}
    assert {row[0]: (row[1], row[2]) for row in coupons} == {name: sums[:2] for name, sums in found.items()}
    return found


async def entries(pool: Pool) -> list[tuple[Any, ...]]:
    """Return the ledger entries of orders, without times and keys that differ between ledgers, sorted."""
    rows = await pool.fetch(
        "SELECT entry.kind, code, order_id, lock_reference, redemption_id, command_id, entry.held_uses,"
        " entry.used_uses, held_minor, used_minor, entry.currency, lines, round"
        " FROM ledger_entries AS entry JOIN coupons USING (coupon_id) WHERE order_id IS NOT NULL"
    )
    return sorted((tuple(row) for row in rows), key=repr)


# Streams

Published = tuple[str, str, dict[str, Any]]
"""(event id, type, data)"""


def published_event(record: Any) -> Published:
    headers = dict(record.headers)
    return headers["ce_id"].decode(), headers["ce_type"].decode(), _comparable(orjson.loads(record.value))


async def outbox(pool: Pool) -> list[Published]:
    """Return the events that a ledger publishes."""
    rows = await pool.fetch("SELECT event_id, type, data FROM outbox WHERE topic = ANY($1) ORDER BY position", TOPICS)
    return [(str(row[0]), row[1], _comparable(orjson.loads(row[2]))) for row in rows]


def _comparable(data: Any) -> Any:
    """Return the data of an event without the times of its decision and without ids that differ between ledgers."""
    if isinstance(data, list):
        return [_comparable(one) for one in data]
    if not isinstance(data, dict):
        return data
    return {
        name: _comparable(value)
        for name, value in sorted(data.items())
        if not name.endswith("_at") and name != "coupon_id"
    }


def redemptions_by_order(published: Iterable[Published]) -> dict[OrderName, list[str]]:
    """Return the ids of redemption events by order, in the order published; fail on an event published twice."""
    events = [one for one in published if one[2].get("order_id") is not None and "redemption_id" in one[2]]
    assert [event_id for event_id, times in Counter(one[0] for one in events).items() if times > 1] == []
    found: dict[OrderName, list[str]] = {}
    for event_id, _, data in events:
        found.setdefault((data.get("shop_id"), data["order_id"]), []).append(event_id)
    return found


def streamed_coupons(published: Iterable[Published]) -> dict[tuple[OrderName, str], Coupon]:
    """Return the redeemed coupons of each order as a reader of the events adds them up."""
    found: dict[tuple[OrderName, str], Coupon] = {}
    for _, kind, data in published:
        for one in data.get("coupons", ()):
            coupon = found.setdefault(((data.get("shop_id"), data.get("order_id")), one["code"]), Coupon())
            if kind == "coupon.redeemed":
                coupon.used += 1
                coupon.discount_minor += _minor(one["discount_amount"])
            elif kind == "coupon.redemption_adjusted":
                coupon.discount_minor += _minor(one["discount_amount"]) - _minor(one["discount_before"])
            elif kind == "coupon.redemption_restored":
                coupon.used -= one["uses"]
                coupon.discount_minor -= _minor(one["discount_amount"])
    return {place: coupon for place, coupon in found.items() if coupon != Coupon()}


def _minor(amount: str) -> int:
    whole, _, cents = amount.partition(".")
    return int(whole) * 100 + int(cents)
