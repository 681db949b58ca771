"""A shop's events, and helpers that wait until they are processed and published."""

import asyncio
import json
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from aiokafka.errors import KafkaError

from schemas.topics import COUPONS_REDEMPTIONS, ORDERS, all_topics
from shared.ledger.database import UNAVAILABLE, Pool
from shared.runtime.settings import KafkaSettings
from tests.integration.kafka_tools import committed, read_all, write_all

Sent = tuple[str, bytes]
"""(order id, event)"""

PATIENCE_SECONDS = 120.0
"""Much longer than anything here takes; a test that waits this long has failed."""


def event(event_type: str, order_id: str, event_id: str | None = None, **data: Any) -> Sent:
    """Return a CloudEvent in structured mode."""
    attributes = {"specversion": "1.0", "id": event_id or f"{event_type} {order_id}", "source": "/shop"}
    return order_id, json.dumps({**attributes, "type": event_type, "data": {"order_id": order_id, **data}}).encode()


def placed(order_id: str, *codes: str, event_id: str | None = None, day: int = 1, **data: Any) -> Sent:
    """Return an order of 100.00 USD that names `codes`, placed at noon on that day of March 2026."""
    fields = {"placed_at": noon(day), "currency": "USD", "amount": "100.00", "coupon_codes": codes}
    return event("order.placed", order_id, event_id, **(fields | data))


def paid(order_id: str, day: int = 2) -> Sent:
    return event("order.paid", order_id, paid_at=noon(day))


def cancelled(order_id: str, day: int = 3, event_id: str | None = None) -> Sent:
    return event("order.cancelled", order_id, event_id, cancelled_at=noon(day), reason="changed their mind")


def noon(day: int) -> str:
    return f"2026-03-{day:02}T12:00:00Z"


async def send(settings: KafkaSettings, orders: Iterable[Sent]) -> None:
    topic = settings.topic(ORDERS.name)
    await write_all(settings, [(topic, order_id.encode(), value, None) for order_id, value in orders])


async def until_read(settings: KafkaSettings, count: int) -> None:
    """Wait until the redeemers have committed `count` orders; ignore errors of unavailable servers."""
    await until_group_read(settings, "redeemer", count)


async def until_group_read(settings: KafkaSettings, service: str, count: int, topic: str = ORDERS.name) -> None:
    """Wait until `service` has committed `count` records of a topic; ignore errors of unavailable servers."""

    async def look() -> int:
        return sum((await committed(settings, settings.group(service), settings.topic(topic))).values())

    await _until(look, count, f"records of {topic} handled")


async def until_published(pool: Pool) -> None:
    """Wait until the relay has published the whole outbox."""

    async def look() -> bool:
        behind = await pool.fetchval(
            "SELECT coalesce((SELECT max(position) FROM outbox), 0) - "
            "coalesce((SELECT max(published_up_to) FROM relay_positions), 0)"
        )
        return int(behind) <= 0

    await _until(look, True, "all published")


async def _until(look: Any, wanted: object, what: str) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    seen: object = None
    while time.monotonic() < deadline:
        try:
            seen = await look()
        except (*UNAVAILABLE, KafkaError) as error:
            seen = repr(error)
        if seen == wanted:
            return
        await asyncio.sleep(0.1)
    raise AssertionError(f"{what}: {seen!r} instead of {wanted!r} after {PATIENCE_SECONDS:g} seconds")


async def redemptions(settings: KafkaSettings) -> dict[str, list[str]]:
    """Return the published event types per order, in order; fail on duplicate events."""
    records = await read_all(settings, settings.topic(COUPONS_REDEMPTIONS.name))
    headers: list[Mapping[str, bytes]] = [dict(record.headers) for record in records]
    twice = [event_id for event_id, times in Counter(one["ce_id"] for one in headers).items() if times > 1]
    assert twice == []
    types: dict[str, list[str]] = {}
    for record, header in zip(records, headers, strict=True):
        types.setdefault(record.key.decode(), []).append(header["ce_type"].decode())
    return types


async def dead_letters(settings: KafkaSettings) -> int:
    """Return the number of records in all dead-letter topics."""
    names = [topic.name for topic in all_topics(settings.topic_prefix) if topic.name.endswith(".dlq")]
    return sum([len(await read_all(settings, name)) for name in names])
