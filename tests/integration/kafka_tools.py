"""What tests of the messaging floor do to a broker: write plain records, read topics to their end."""

from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from shared.messaging.connection import client_options
from shared.messaging.topics_admin import partitions_of
from shared.runtime.settings import KafkaSettings


async def read_all(settings: KafkaSettings, topic: str, *, isolation_level: str = "read_committed") -> list[Any]:
    """Every record of `topic` (the broker's name) up to its present end, partition by partition."""
    partitions = [TopicPartition(topic, number) for number in await partitions_of(settings, topic)]
    consumer = AIOKafkaConsumer(
        **client_options(settings, "tests-reader"), enable_auto_commit=False, isolation_level=isolation_level
    )
    consumer.assign(partitions)
    await consumer.start()
    try:
        ends = await consumer.end_offsets(partitions)
        for partition in partitions:
            consumer.seek(partition, 0)
        records: list[Any] = []
        while [one for one in partitions if await consumer.position(one) < ends[one]]:
            for found in (await consumer.getmany(timeout_ms=200)).values():
                records += found
        return sorted(records, key=lambda record: (record.partition, record.offset))
    finally:
        await consumer.stop()


async def committed(settings: KafkaSettings, group: str, topic: str) -> dict[int, int]:
    """The committed offset of each partition of `topic` that has one."""
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
    """Write (topic, key, value, partition) each, in order."""
    producer = AIOKafkaProducer(**client_options(settings, "tests-writer"), acks="all", linger_ms=5)
    await producer.start()
    try:
        for topic, key, value, partition in records:
            await producer.send(topic, value, key, partition)
        await producer.flush()
    finally:
        await producer.stop()
