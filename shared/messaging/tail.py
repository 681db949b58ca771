"""Read the newest records of a topic once, without a consumer group."""

import asyncio
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, TopicPartition

from shared.messaging.connection import client_options
from shared.messaging.topics_admin import partitions_of
from shared.runtime.settings import KafkaSettings

READ_SECONDS: Final = 30.0
MAX_LISTED: Final = 10_000


async def read_tail(settings: KafkaSettings, topic: str, limit: int, client_id: str) -> list[Any]:
    """Return the newest `limit` (at most MAX_LISTED) committed records of `topic` (the broker's name), oldest first.

    Raises:
        OperatorError: the topic doesn't exist.
        KafkaError, TimeoutError: the broker is unavailable.
    """
    limit = max(1, min(limit, MAX_LISTED))
    async with asyncio.timeout(READ_SECONDS):
        partitions = [TopicPartition(topic, number) for number in await partitions_of(settings, topic)]
        consumer = AIOKafkaConsumer(
            **client_options(settings, client_id),
            enable_auto_commit=False,
            isolation_level="read_committed",
            auto_offset_reset="earliest",
        )
        consumer.assign(partitions)
        try:
            await consumer.start()
            ends = await consumer.end_offsets(partitions)
            beginnings = await consumer.beginning_offsets(partitions)
            for partition in partitions:
                # Twice as far back, because transactions use some offsets for their markers.
                consumer.seek(partition, max(beginnings[partition], ends[partition] - 2 * limit))
            records: list[Any] = []
            while [partition for partition in partitions if await consumer.position(partition) < ends[partition]]:
                try:
                    found = await consumer.getmany(timeout_ms=500)
                except UnicodeDecodeError:
                    found = await _skip_unreadable(consumer, partitions)
                records += [record for some in found.values() for record in some]
        finally:
            await consumer.stop()
    return sorted(records, key=lambda record: (record.timestamp, record.partition, record.offset))[-limit:]


async def _skip_unreadable(
    consumer: AIOKafkaConsumer, partitions: list[TopicPartition]
) -> dict[TopicPartition, list[Any]]:
    """Skip the next record with a header name that isn't UTF-8, which the client can't decode."""
    found: dict[TopicPartition, list[Any]] = {partition: [] for partition in partitions}
    for partition in partitions:
        while True:
            try:
                records = (await consumer.getmany(partition, timeout_ms=200, max_records=1)).get(partition, [])
            except UnicodeDecodeError:
                consumer.seek(partition, await consumer.position(partition) + 1)
                return found
            if not records:
                break
            found[partition] += records
    return found
