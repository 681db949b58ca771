"""Outbox events into Kafka, in order, each transaction with the position it reaches."""

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from schemas.registry import SchemaRegistryUnavailableError
from services.relay.position import (
    SERVICE,
    LedgerWentBackError,
    mark_of,
    position_partition,
    read_position,
    require_published,
    starting_position,
)
from services.relay.settings import RelaySettings
from shared.ledger.database import Pool
from shared.ledger.outbox import OutboxRow, read_after
from shared.ledger.sql import sql
from shared.messaging.codec import Codec
from shared.messaging.producer import Prepared, TransactionalProducer
from shared.messaging.records import OutgoingEvent
from shared.runtime import telemetry
from shared.runtime.errors import TransientError
from shared.runtime.logging import get_logger

log = get_logger("relay")

REFRESH_SECONDS: Final = 3_600.0
"""Brokers forget offsets and transactional ids unused for a week; an idle relay commits its position every hour."""


@dataclass(frozen=True, slots=True)
class _Batch:
    """Events ready to be sent. `last` and `mark` are the last one's position and mark, `oldest` is the first's time."""

    prepared: Prepared
    last: int
    mark: str
    oldest: datetime
    topics: Counter[str]


class Publisher:
    """Publishes from where its predecessor's last committed transaction ended. After any error: discard it."""

    def __init__(self, settings: RelaySettings, pool: Pool, codec: Codec) -> None:
        self._settings = settings
        self._pool = pool
        self._codec = codec
        self._group = settings.group(SERVICE)
        self._partition = position_partition(settings)
        self._producer = TransactionalProducer(settings, "couponry-relay", transactional_id=self._group)
        self._ahead: asyncio.Task[_Batch | None] | None = None
        self._committed_at = time.monotonic()
        self._mark = ""  # of the row at `position`; empty for unknown
        self.position = 0
        self.oldest: datetime | None = None

    async def start(self, noted: int) -> int | None:
        """Fence the predecessor and find its position; `noted` is what the ledger knows as published.

        Returns the position that an operator ordered in place of the broker's, if so.

        Raises:
            OperatorError: broker and ledger contradict each other, or the ledger went back.
            KafkaError, TimeoutError: the broker is away.
        """
        await self._producer.start()
        committed = await read_position(self._settings, at_least=noted)
        kafka, self._mark = committed or (None, "")
        last_drawn = await self._pool.fetchval(sql("outbox_last_drawn", "services.relay"))
        self.position, ordered = starting_position(
            kafka=kafka, noted=noted, last_drawn=last_drawn, start_at=self._settings.relay_start_at
        )
        if not ordered:
            ordered = await self._went_back_and_told_where_to_start()
        if ordered:
            self._mark = ""
        log.info("publishing", behind_position=self.position, ordered_by_operator=ordered)
        if kafka is None or ordered:
            await self._commit_position()  # so that the next one finds it, should we die before the first event
        return self.position if ordered else None

    async def publish_next(self) -> int:
        """Publish one transaction's worth of events; returns how many, 0 when all are published."""
        batch = await self._take()
        if batch is None:
            if time.monotonic() - self._committed_at > REFRESH_SECONDS:
                await self._commit_position()
            return 0
        self._ahead = asyncio.create_task(self._read(batch.last, batch.mark))
        await self._producer.publish(batch.prepared, {self._partition: (batch.last + 1, batch.mark)}, self._group)
        self.position, self._mark = batch.last, batch.mark
        self._committed_at = time.monotonic()
        for topic, count in batch.topics.items():
            telemetry.EVENTS_PUBLISHED.labels(topic).inc(count)
        return batch.prepared.count

    async def discard(self) -> None:
        """Let go of the producer, whatever state it is in."""
        ahead, self._ahead = self._ahead, None
        if ahead is not None:
            ahead.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await ahead
        await self._producer.discard()

    async def _take(self) -> _Batch | None:
        """What was read while the last transaction ran; if that was nothing, what there is now."""
        ahead, self._ahead = self._ahead, None
        batch = None if ahead is None else await ahead
        if batch is None:
            batch = await self._read(self.position, self._mark)
        self.oldest = None if batch is None else batch.oldest
        return batch

    async def _went_back_and_told_where_to_start(self) -> bool:
        """Whether the ledger lacks what was published last and an operator said where to start; that is taken then.

        Raises LedgerWentBackError where nobody said.
        """
        start_at = self._settings.relay_start_at
        try:
            async with self._pool.acquire() as connection:
                await require_published(connection, self.position, self._mark)
        except LedgerWentBackError:
            if start_at is None:
                raise
            self.position = start_at - 1
            return True
        return False

    async def _read(self, position: int, mark: str) -> _Batch | None:
        """The next events, from a ledger that holds the last published one, once a standby has them where one must."""
        async with self._pool.acquire() as connection:
            rows = await read_after(connection, position, self._settings.relay_max_events)
            if rows:
                await require_published(connection, position, mark)
        if not rows:
            return None
        topics = Counter([row.topic for _, row in rows])
        names = {topic: self._settings.topic(topic) for topic in topics}
        await self._producer.learn_topics(names.values())
        try:
            prepared = self._prepare([row for _, row in rows], names)
        except SchemaRegistryUnavailableError as error:
            raise TransientError(str(error)) from error
        return _Batch(prepared, rows[-1][0], mark_of(rows[-1][1]), rows[0][1].time, topics)

    def _prepare(self, rows: Sequence[OutboxRow], names: dict[str, str]) -> Prepared:
        producer, encode = self._producer, self._codec.encode
        prepared = producer.prepare()
        for row in rows:
            topic = names[row.topic]
            key, value, headers = encode(
                OutgoingEvent(
                    str(row.event_id),
                    row.source,
                    row.type,
                    row.subject,
                    row.time,
                    topic,
                    row.key,
                    row.traceparent,
                    row.data.encode(),
                )
            )
            prepared.append(producer.partition_for(topic, key), key, value, headers)
        return prepared

    async def _commit_position(self) -> None:
        await self._producer.publish(
            self._producer.prepare(), {self._partition: (self.position + 1, self._mark)}, self._group
        )
        self._committed_at = time.monotonic()
