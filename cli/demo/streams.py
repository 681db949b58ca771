"""Count the published events with a read-committed consumer, each event id once.

The reader reads everything that Couponry publishes, from the beginning, and uses no other source. Its counts are
compared with the ledger and with numbers computed independently of both.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, Final, Self

import orjson
from aiokafka import AIOKafkaConsumer, TopicPartition

from schemas.topics import EVENT_TOPICS, all_topics
from shared.messaging.connection import client_options
from shared.messaging.dead_letters import read_back
from shared.messaging.empty_fetch_pause import pause_after_empty_fetches
from shared.runtime.settings import KafkaSettings

RECORDS_A_POLL: Final = 5_000
POLL_MS: Final = 200
FETCH_BYTES: Final = 8 * 1024 * 1024
STOP_SECONDS: Final = 5.0

OUTPUT_TOPICS: Final = tuple(topic.name for topic in EVENT_TOPICS if topic.name.startswith("coupons."))

Event = Mapping[str, Any]


class StreamReader:
    """A reader that counts events. `on_issued` is called once with the data of each coupon.issued event.

    `events` is the number of distinct events read, `duplicates` the number of records that repeated one of them.
    """

    def __init__(self, settings: KafkaSettings, on_issued: Callable[[Event], None] = lambda _: None) -> None:
        self._on_issued = on_issued
        self._prefix = settings.topic_prefix
        self._outputs = {settings.topic(name) for name in OUTPUT_TOPICS}
        self._partitions = [
            TopicPartition(topic.name, number)
            for topic in all_topics(settings.topic_prefix)
            if topic.name in self._outputs or topic.name.endswith(".dlq")
            for number in range(topic.partitions)
        ]
        self._consumer = AIOKafkaConsumer(
            **client_options(settings, "couponry-demo-reader"),
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
            max_partition_fetch_bytes=FETCH_BYTES,
        )
        # A commit is acknowledged before its markers are in all partitions. Until then, the end offset of a
        # read-committed consumer excludes the committed records, so another consumer asks for the real end offsets.
        self._ends = AIOKafkaConsumer(**client_options(settings, "couponry-demo-ends"), enable_auto_commit=False)
        self._seen: set[bytes] = set()
        self._origins: set[tuple[str, int, int]] = set()
        self._orders: set[str] = set()
        self.duplicates = 0
        self.types: Counter[str] = Counter()
        self.coupons: Counter[str] = Counter()
        """Coupons in the events of each type: one event can name several."""
        self.discount = Decimal(0)
        self.refused: Counter[str] = Counter()
        self.dead_letters: Counter[str] = Counter()
        self.last_read: dict[TopicPartition, int] = {}

    @property
    def events(self) -> int:
        return len(self._seen)

    @property
    def orders(self) -> int:
        """The number of distinct orders with events."""
        return len(self._orders)

    async def __aenter__(self) -> Self:
        self._consumer.assign(self._partitions)
        await self._consumer.start()
        pause_after_empty_fetches(self._consumer)
        await self._ends.start()
        return self

    async def __aexit__(self, *_error: object) -> None:
        async with asyncio.timeout(STOP_SECONDS):
            await self._consumer.stop()
            await self._ends.stop()

    async def run(self, stopping: asyncio.Event) -> None:
        """Read until `stopping` is set."""
        while not stopping.is_set():
            await self.run_once()

    async def run_once(self) -> int:
        """Read one batch, waiting up to POLL_MS for records, and return the number of records."""
        found = await self._consumer.getmany(timeout_ms=POLL_MS, max_records=RECORDS_A_POLL)
        for partition, records in found.items():
            take = self._take if partition.topic in self._outputs else self._take_dead_letter
            for record in records:
                take(record)
            self.last_read[partition] = records[-1].offset
        return sum(map(len, found.values()))

    async def at_end(self) -> bool:
        """Return whether everything written so far has been read, or skipped as aborted."""
        ends = await self._ends.end_offsets(self._partitions)
        return all([await self._consumer.position(one) >= end for one, end in ends.items()])

    async def ends(self, topics: Mapping[str, int]) -> dict[TopicPartition, int]:
        """Return the end offsets of `topics`, which are given as full name -> number of partitions."""
        wanted = [TopicPartition(topic, number) for topic, count in topics.items() for number in range(count)]
        ends: dict[TopicPartition, int] = await self._ends.end_offsets(wanted)
        return ends

    def _take(self, record: Any) -> None:
        headers = dict(record.headers)
        event_id = headers["ce_id"]
        if event_id in self._seen:
            self.duplicates += 1
            return
        self._seen.add(event_id)
        kind = headers["ce_type"].decode()
        self.types[kind] += 1
        data = orjson.loads(record.value)
        if kind == "coupon.issued":
            self._on_issued(data)
        elif record.topic == self._prefix + "coupons.redemptions":
            self._take_redemption(kind, data)

    def _take_redemption(self, kind: str, data: Event) -> None:
        self._orders.add(data["order_id"])
        self.coupons[kind] += len(data["coupons"])
        if kind == "coupon.redeemed":
            self.discount += Decimal(data["discount_amount"])
        elif kind == "coupon.redemption_refused":
            self.refused.update(coupon["reason"] for coupon in data["coupons"])

    def _take_dead_letter(self, record: Any) -> None:
        letter = read_back(record)
        if letter is None:
            self.dead_letters["unknown"] += 1
            return
        origin = (letter.record.topic, letter.record.partition, letter.record.offset)
        if origin not in self._origins:  # a crash between writing a letter and committing offsets writes it again
            self._origins.add(origin)
            self.dead_letters[letter.record.topic.removeprefix(self._prefix)] += 1
