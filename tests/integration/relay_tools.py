"""Tools for tests of the relay: fill an outbox, and read the topics."""

import asyncio
import os
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import orjson

from shared.ledger.database import Pool
from shared.ledger.outbox import OutboxRow, append
from shared.runtime.settings import KafkaSettings
from tests.integration.kafka_tools import read_all

TOPIC = "coupons.redemptions"


async def fill(pool: Pool, numbers: range, *, keys: int = 20, time: datetime | None = None) -> None:
    """Write one outbox event per number, in one transaction; its key is an order, its data the number."""
    rows = [
        OutboxRow(
            event_id=uuid.uuid5(uuid.NAMESPACE_OID, str(number)),
            topic=TOPIC,
            key=f"ORD{number % keys}",
            type="coupon.redeemed",
            source="/couponry/ledger",
            subject=f"ORD{number % keys}",
            time=time or datetime.now(UTC),
            data=orjson.dumps({"number": number}).decode(),
        )
        for number in numbers
    ]
    async with pool.acquire() as connection, connection.transaction():
        await append(connection, rows)


async def seen(settings: KafkaSettings, *, isolation_level: str = "read_committed") -> dict[str, list[int]]:
    """Return the numbers in the topic by key, in the order of reading."""
    by_key: dict[str, list[int]] = {}
    for record in await read_all(settings, settings.topic(TOPIC), isolation_level=isolation_level):
        by_key.setdefault(record.key.decode(), []).append(orjson.loads(record.value)["number"])
    return by_key


def in_order(numbers: range, *, keys: int = 20) -> dict[str, list[int]]:
    """Return what a reader must see: every number once, each key in order."""
    by_key: dict[str, list[int]] = {}
    for number in numbers:
        by_key.setdefault(f"ORD{number % keys}", []).append(number)
    return by_key


async def until_published(pool: Pool, count: int) -> None:
    """Wait until the position in the ledger shows that `count` events are published."""
    async with asyncio.timeout(60):
        while (await pool.fetchval("SELECT published_up_to FROM relay_positions") or 0) < count:
            await asyncio.sleep(0.05)


async def until(reached: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not reached():
            await asyncio.sleep(0.02)


@contextmanager
def relay_process(environment: dict[str, str], **variables: str) -> Iterator["subprocess.Popen[bytes]"]:
    """Run `python -m services.relay`; it is killed at the end."""
    process = subprocess.Popen([sys.executable, "-m", "services.relay"], env={**os.environ, **environment, **variables})
    try:
        yield process
    finally:
        process.kill()
        process.wait()
