"""Kafka tools for tests: write plain records, read topics to their end."""

import asyncio
import struct
from collections.abc import Iterable
from typing import Any

import orjson
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.record.util import calc_crc32c

from shared.messaging.connection import client_options
from shared.messaging.topics_admin import partitions_of
from shared.runtime.settings import KafkaSettings

READ_SECONDS = 60.0


async def read_all(settings: KafkaSettings, topic: str, *, isolation_level: str = "read_committed") -> list[Any]:
    """Return every record of `topic` (the broker's name) up to its current end, partition by partition.

    The end is after transactions that are being ended now: a commit is acknowledged before its markers are in all
    partitions, and the end for read-committed readers is before them.
    """
    partitions = [TopicPartition(topic, number) for number in await partitions_of(settings, topic)]
    consumer = AIOKafkaConsumer(
        **client_options(settings, "tests-reader"), enable_auto_commit=False, isolation_level=isolation_level
    )
    consumer.assign(partitions)
    await consumer.start()
    try:
        ends = await _ends(settings, partitions)
        for partition in partitions:
            consumer.seek(partition, 0)
        records: list[Any] = []
        async with asyncio.timeout(READ_SECONDS):
            while [one for one in partitions if await consumer.position(one) < ends[one]]:
                for found in (await consumer.getmany(timeout_ms=200)).values():
                    records += found
        return sorted(records, key=lambda record: (record.partition, record.offset))
    finally:
        await consumer.stop()


async def _ends(settings: KafkaSettings, partitions: list[TopicPartition]) -> dict[TopicPartition, int]:
    consumer = AIOKafkaConsumer(**client_options(settings, "tests-reader"), enable_auto_commit=False)
    consumer.assign(partitions)
    await consumer.start()
    try:
        ends: dict[TopicPartition, int] = await consumer.end_offsets(partitions)
        return ends
    finally:
        await consumer.stop()


async def committed(settings: KafkaSettings, group: str, topic: str) -> dict[int, int]:
    """Return the committed offset of each partition of `topic` that has one."""
    partitions = [TopicPartition(topic, number) for number in await partitions_of(settings, topic)]
    consumer = AIOKafkaConsumer(**client_options(settings, "tests-reader"), group_id=group, enable_auto_commit=False)
    consumer.assign(partitions)
    await consumer.start()
    try:
        offsets = {one.partition: await consumer.committed(one) for one in partitions}
        return {number: offset for number, offset in offsets.items() if offset is not None}
    finally:
        await consumer.stop()


async def write_all(settings: KafkaSettings, records: list[tuple[str, bytes | None, bytes | None, int | None]]) -> None:
    """Write the (topic, key, value, partition) records in order."""
    producer = AIOKafkaProducer(**client_options(settings, "tests-writer"), acks="all", linger_ms=5)
    await producer.start()
    try:
        for topic, key, value, partition in records:
            await producer.send(topic, value, key, partition)
        await producer.flush()
    finally:
        await producer.stop()


def order_event(number: int, *, event_id: str | None = None) -> bytes:
    """Return an order without coupons, as a CloudEvent in structured mode."""
    return orjson.dumps(
        {
            "specversion": "1.0",
            "id": event_id or f"order-{number}",
            "source": "/shop",
            "type": "order.placed",
            "time": "2026-11-22T09:30:00Z",
            "data": {
                "order_id": f"ORD{number}",
                "placed_at": "2026-11-22T09:30:00Z",
                "currency": "USD",
                "amount": "10.00",
                "lines": [],
                "coupon_codes": [],
            },
        }
    )


async def write_orders(settings: KafkaSettings, numbers: Iterable[int]) -> None:
    """Write orders without coupons, keyed by order id; the same number always goes to the same partition."""
    topic = settings.topic("orders")
    await write_all(settings, [(topic, f"ORD{number}".encode(), order_event(number), None) for number in numbers])


async def write_bad_header(settings: KafkaSettings, topic: str, partition: int) -> None:
    """Write a record with a header name that isn't UTF-8: brokers accept it, and some clients can write it."""
    producer = AIOKafkaProducer(**client_options(settings, "tests-writer"))
    await producer.start()
    try:
        batch = producer.create_batch()
        batch.append(key=b"key", value=b"value", timestamp=None, headers=[("name", b"1")])
        raw = bytearray(batch._build())
        start = raw.index(b"name")
        raw[start : start + 4] = b"\xff\xfe\xfd\xfc"
        struct.pack_into(">I", raw, 17, calc_crc32c(bytes(raw[21:])))  # its position in a record batch of version 2
        batch._buffer = bytes(raw)
        await (await producer.send_batch(batch, topic, partition=partition))
    finally:
        await producer.stop()
