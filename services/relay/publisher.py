"""Publish outbox events to Kafka in order. Each transaction also commits the position it reaches.

An event that can't be published is withheld, so that later events continue: see `shared.ledger.withheld`.
"""

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final
from uuid import UUID

from pydantic import ValidationError

from schemas.registry import SchemaRegistryUnavailableError
from schemas.topics import COUPONS_LIFECYCLE
from services.relay.leadership import LostLeadershipError
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
from shared.ledger.withheld import (
    SOURCE,
    WITHHELD_TYPE,
    NotLeadingError,
    Reason,
    Unpublishable,
    WithheldEvent,
    notice_data,
    withhold,
)
from shared.messaging.codec import Codec, Encoded
from shared.messaging.producer import (
    LARGE_REQUEST_BYTES,
    BatchesRefusedError,
    Prepared,
    RefusedBatch,
    TransactionalProducer,
)
from shared.messaging.records import OutgoingEvent
from shared.runtime import telemetry
from shared.runtime.errors import TransientError
from shared.runtime.logging import get_logger

log = get_logger("relay")

REFRESH_SECONDS: Final = 3_600.0
"""Brokers drop offsets and transactional ids unused for a week, so an idle relay commits its position every hour."""

READ_BYTES: Final = 16 * 1024 * 1024
"""The most event data in one transaction: little enough for a slow network to send within a transaction's timeout."""

MISSING_SECONDS: Final = 30.0
"""A topic that the broker doesn't list for this time is missing. Until then its metadata may still arrive."""

MISSING_PAUSE_SECONDS: Final = 1.0
WITHHELD_LOGGED: Final = 20
"""The most log lines about withheld events in one step. The table has all of them."""


@dataclass(slots=True)
class Restrictions:
    """Limits learned from the broker's refusals. They outlive the publisher, which ends at each refusal.

    `batch_bytes`: the most bytes of a batch, by the broker's topic name, for topics with a lower limit than usual.
    `missing`: topics that the broker doesn't have.
    """

    batch_bytes: dict[str, int] = field(default_factory=dict)
    missing: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class _Batch:
    """Events ready to send. `last`, `mark`: position and mark of the last event; `oldest`: time of the first event."""

    prepared: Prepared
    last: int
    mark: str
    oldest: datetime
    topics: Counter[str]


class Publisher:
    """Publishes events after the last committed transaction of its predecessor. Discard it after any error.

    `leader` is the leading process. Only the leader may withhold events.
    """

    def __init__(
        self, settings: RelaySettings, pool: Pool, codec: Codec, *, leader: UUID, restrictions: Restrictions
    ) -> None:
        self._settings = settings
        self._pool = pool
        self._codec = codec
        self._leader = leader
        self._restrictions = restrictions
        self._limit = settings.relay_max_events
        self._group = settings.group(SERVICE)
        self._partition = position_partition(settings)
        self._producer = TransactionalProducer(settings, "couponry-relay", transactional_id=self._group)
        self._ahead: asyncio.Task[_Batch | None] | None = None
        self._committed_at = time.monotonic()
        self._mark = ""  # of the row at `position`; empty if unknown
        self.position = 0
        self.oldest: datetime | None = None

    async def start(self, recorded: int) -> int | None:
        """Fence the predecessor and find its position. `recorded` is the published position in the ledger.

        Returns the position that an operator ordered in place of the broker's, otherwise None.

        Raises:
            OperatorError: broker and ledger contradict each other, or the ledger went back.
            KafkaError, TimeoutError: the broker is unavailable.
        """
        await self._producer.start()
        committed = await read_position(self._settings, at_least=recorded)
        kafka, self._mark = committed or (None, "")
        last_drawn = await self._pool.fetchval(sql("outbox_last_drawn", "services.relay"))
        self.position, ordered = starting_position(
            kafka=kafka, recorded=recorded, last_drawn=last_drawn, start_at=self._settings.relay_start_at
        )
        if not ordered:
            ordered = await self._use_start_at_if_ledger_went_back()
        if ordered:
            self._mark = ""
        log.info("publishing", after_position=self.position, ordered_by_operator=ordered)
        if kafka is None or ordered:
            await self._commit_position()  # so that the next relay finds it if this one dies before the first event
        return self.position if ordered else None

    async def publish_next(self) -> int:
        """Publish one transaction of events; return how many, 0 if none is left.

        Raises:
            BatchesRefusedError: the broker refuses some of the events; see `isolate`.
        """
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
        """Discard the producer, whatever state it is in."""
        ahead, self._ahead = self._ahead, None
        if ahead is not None:
            ahead.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await ahead
        await self._producer.discard()

    async def _take(self) -> _Batch | None:
        """Return the batch read during the last transaction; if there was none, read again."""
        ahead, self._ahead = self._ahead, None
        batch = None if ahead is None else await ahead
        if batch is None:
            batch = await self._read(self.position, self._mark)
        self.oldest = None if batch is None else batch.oldest
        return batch

    async def isolate(self, refused: BatchesRefusedError) -> None:
        """Withhold events that were refused alone; halve the batch size of a topic whose events were refused together.

        This finds the refused events in a few steps for any limit of the topic. Discard the publisher afterwards.
        """
        limits = self._restrictions.batch_bytes
        for batch in refused.batches:
            log.warning(
                "the broker refused a batch",
                topic=batch.topic,
                events=len(batch.positions),
                bytes=batch.size_bytes,
                problem=type(batch.error).__name__,
            )
            if len(batch.positions) > 1:
                limits[batch.topic] = max(1, min(limits.get(batch.topic, batch.size_bytes), batch.size_bytes) // 2)
            elif not batch.too_large:
                limits.pop(batch.topic, None)  # the batches were small only to find this one
        await self._withhold([_refused_alone(batch) for batch in refused.batches if len(batch.positions) == 1])

    async def _use_start_at_if_ledger_went_back(self) -> bool:
        """Start at the operator's position if the ledger lacks the last published event; return whether that was so.

        Raises LedgerWentBackError if the ledger went back and no position is set.
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
        """Read the next events, after checking that the ledger holds the last published one.

        If a standby is synchronous, it has the events by then: see `require_published`.
        """
        while True:
            async with self._pool.acquire() as connection:
                rows = await read_after(connection, position, self._limit)
                if rows:
                    await require_published(connection, position, mark)
            if not rows:
                return None
            rows = self._within_bytes(rows)
            names = {topic: self._settings.topic(topic) for topic in {row.topic for _, row in rows}}
            missing = await self._missing_topics(names)
            try:
                prepared, topics, unpublishable = self._prepare(rows, names, missing)
            except SchemaRegistryUnavailableError as error:
                raise TransientError(str(error)) from error
            await self._withhold(unpublishable)
            # The position must be that of an event in the outbox; withheld events are no longer there.
            withheld = {one.position for one in unpublishable}
            kept = [(number, row) for number, row in rows if number not in withheld]
            if kept:
                return _Batch(prepared, kept[-1][0], mark_of(kept[-1][1]), kept[0][1].time, topics)

    def _within_bytes(self, rows: list[tuple[int, OutboxRow]]) -> list[tuple[int, OutboxRow]]:
        """Return the first rows within READ_BYTES, at least one, and adjust the number read next time."""
        total = 0
        for count, (_, row) in enumerate(rows):
            total += len(row.data)
            if total > READ_BYTES and count:
                self._limit = count
                return rows[:count]
        self._limit = min(self._settings.relay_max_events, self._limit * 2)
        return rows

    async def _missing_topics(self, names: dict[str, str]) -> set[str]:
        """Return the topics that the broker hasn't had for MISSING_SECONDS. `names` maps our names to the broker's.

        Raises:
            TransientError: the topic of the relay's position is missing too.
        """
        until = time.monotonic() + MISSING_SECONDS
        position_topic = self._partition.topic
        while missing := await self._producer.learn_topics([*names.values(), position_topic]):
            if position_topic in missing:
                raise TransientError(f"no topic {position_topic}; create it with `couponry topics create`")
            if missing <= self._restrictions.missing or time.monotonic() >= until:
                break
            await asyncio.sleep(MISSING_PAUSE_SECONDS)
        self._restrictions.missing = missing
        return {topic for topic, name in names.items() if name in missing}

    def _prepare(
        self, rows: Sequence[tuple[int, OutboxRow]], names: dict[str, str], missing: set[str]
    ) -> tuple[Prepared, "Counter[str]", list[Unpublishable]]:
        """Encode `rows`. Return the encoded events, their number by topic, and the rows that can't be published.

        If not even the event about a withheld event can be encoded, the rows aren't at fault: raises the encoder's
        error, and nothing is withheld.
        """
        producer = self._producer
        prepared = producer.prepare(self._restrictions.batch_bytes)
        topics: Counter[str] = Counter()
        unpublishable: list[Unpublishable] = []
        for position, row in rows:
            if row.topic in missing:
                unpublishable.append(Unpublishable(position, "no_topic", f"no topic {names[row.topic]}"))
                continue
            try:
                key, value, headers = self._encode(row, names[row.topic])
            except SchemaRegistryUnavailableError:
                raise
            except Exception as error:
                self._require_codec(position, row)
                unpublishable.append(Unpublishable(position, "unencodable", _text_of(error)))
                continue
            if len(value) > LARGE_REQUEST_BYTES:
                unpublishable.append(Unpublishable(position, "too_large", f"{len(value)} bytes"))
                continue
            prepared.append(producer.partition_for(names[row.topic], key), key, value, headers, position)
            topics[row.topic] += 1
        return prepared, topics, unpublishable

    def _encode(self, row: OutboxRow, topic: str) -> Encoded:
        return self._codec.encode(
            OutgoingEvent(
                id=str(row.event_id),
                source=row.source,
                type=row.type,
                subject=row.subject,
                time=row.time,
                topic=topic,
                key=row.key,
                traceparent=row.traceparent,
                data_json=row.data.encode(),
            )
        )

    def _require_codec(self, position: int, row: OutboxRow) -> None:
        """Check that the codec can encode the event that reports `row` as withheld. Raises the codec's error."""
        about = WithheldEvent(
            position=position,
            event_id=str(row.event_id),
            topic=row.topic,
            key=row.key,
            type=row.type,
            error_class="unencodable",
            error_text="",
            withheld_at=row.time,
        )
        notice = OutboxRow(
            event_id=about.event_id,
            topic=COUPONS_LIFECYCLE.name,
            key=about.event_id,
            type=WITHHELD_TYPE,
            source=SOURCE,
            subject=about.event_id,
            time=row.time,
            data=notice_data(about),
        )
        self._encode(notice, self._settings.topic(COUPONS_LIFECYCLE.name))

    async def _withhold(self, unpublishable: Sequence[Unpublishable]) -> None:
        if not unpublishable:
            return
        try:
            withheld = await withhold(self._pool, self._group, self._leader, unpublishable)
        except NotLeadingError as error:
            raise LostLeadershipError(str(error)) from error
        for event in withheld:
            telemetry.EVENTS_WITHHELD.labels(event.topic, event.error_class).inc()
            telemetry.EVENTS_WITHHELD_OPEN.inc()
        for event in withheld[:WITHHELD_LOGGED]:
            log.error(
                "an event can't be published and is withheld; `couponry outbox list` shows it",
                position=event.position,
                event_id=event.event_id,
                type=event.type,
                topic=event.topic,
                reason=event.error_class,
            )
        if len(withheld) > WITHHELD_LOGGED:
            log.error("more events are withheld", count=len(withheld) - WITHHELD_LOGGED)

    async def _commit_position(self) -> None:
        await self._producer.publish(
            self._producer.prepare(), {self._partition: (self.position + 1, self._mark)}, self._group
        )
        self._committed_at = time.monotonic()


def _refused_alone(batch: RefusedBatch) -> Unpublishable:
    reason: Reason = "too_large" if batch.too_large else "refused"
    return Unpublishable(
        batch.positions[0],
        reason,
        f"{type(batch.error).__name__}: a batch of {batch.size_bytes} bytes for {batch.topic}",
    )


def _text_of(error: Exception) -> str:
    """Return an error's class and text; for pydantic's errors without the quoted event data."""
    if isinstance(error, ValidationError):
        problems = error.errors(include_url=False, include_context=False, include_input=False)
        text = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in problems)
    else:
        text = str(error)
    return f"{type(error).__name__}: {text}"
