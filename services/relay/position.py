"""The relay's position: the offset of its last Kafka transaction, checked against the position in the ledger."""

import asyncio
from datetime import datetime
from hashlib import blake2b
from typing import Final

from aiokafka import AIOKafkaConsumer, TopicPartition

from schemas.topics import RELAY_POSITION
from shared.ledger.database import Connection
from shared.ledger.outbox import OutboxRow
from shared.ledger.sql import sql
from shared.messaging.connection import client_options
from shared.runtime.errors import OperatorError
from shared.runtime.settings import PREFIX, KafkaSettings

SERVICE: Final = "relay"
READ_SECONDS: Final = 30.0
STALE_READS: Final = 25
STALE_PAUSE_SECONDS: Final = 0.2
"""A broker may briefly return the offset from before the last transaction. STALE_READS pauses make five seconds."""


def position_partition(settings: KafkaSettings) -> TopicPartition:
    """Return the partition whose committed offset is the next outbox position to publish."""
    return TopicPartition(settings.topic(RELAY_POSITION.name), 0)


class LedgerWentBackError(OperatorError):
    """The ledger lacks the last published event: it was reset to an earlier state."""

    def __init__(self, position: int) -> None:
        super().__init__(
            f"The ledger went back: the event at outbox position {position} was published, but the ledger no longer "
            "holds it (a failover to a standby that lacked commits, or a restore to an earlier time). Nothing is "
            "published until you set the consumer groups back to before that time (see docs/operations.md) and "
            f"{PREFIX}RELAY_START_AT to the first position to publish ({position + 1} if no position was used twice)."
        )


def mark_of(row: OutboxRow) -> str:
    """Return a mark that identifies an outbox row at its position: a hash of its event id and time.

    It is committed to Kafka with the position. The event's data is left out, because an erasure may change it.
    """
    return _mark(str(row.event_id), row.time)


def _mark(event_id: str, time: datetime) -> str:
    return blake2b(f"{event_id} {time.isoformat()}".encode(), digest_size=16).hexdigest()


async def require_published(connection: Connection, position: int, mark: str) -> None:
    """Check that the row at `position` has `mark`; an empty mark matches any row. Raises LedgerWentBackError.

    Runs in a transaction, because its COMMIT waits until a synchronous standby has everything that is visible now.
    """
    async with connection.transaction():
        found = await connection.fetchrow(sql("published_row", "services.relay"), position)
    if mark and (found is None or _mark(*found) != mark):
        raise LedgerWentBackError(position)


async def read_position(settings: KafkaSettings, *, at_least: int) -> tuple[int, str] | None:
    """Return the last published position in Kafka and its row's mark (empty if there is none), or None.

    A position below `at_least` is read again for five seconds: its transaction is recorded in the ledger as committed,
    so it must appear. Call it after the start of the transactional producer, which ends open transactions.

    Raises:
        KafkaError, TimeoutError: the broker is unavailable.
    """
    consumer = AIOKafkaConsumer(
        **client_options(settings, "couponry-relay-position"),
        group_id=settings.group(SERVICE),
        enable_auto_commit=False,
    )
    partition = position_partition(settings)
    try:
        async with asyncio.timeout(READ_SECONDS):
            consumer.assign([partition])
            await consumer.start()
            for _ in range(STALE_READS):
                position = await _committed(consumer, partition)
                if position is not None and position[0] >= at_least:
                    return position
                if position is None and at_least == 0:
                    return None
                await asyncio.sleep(STALE_PAUSE_SECONDS)
            return position
    finally:
        async with asyncio.timeout(READ_SECONDS):
            await consumer.stop()


async def _committed(consumer: AIOKafkaConsumer, partition: TopicPartition) -> tuple[int, str] | None:
    """Return the committed offset minus one and its metadata, which `consumer.committed` leaves out."""
    found = (await consumer._coordinator.fetch_committed_offsets([partition])).get(partition)
    return None if found is None or found.offset < 0 else (found.offset - 1, found.metadata or "")


def starting_position(*, kafka: int | None, recorded: int, last_drawn: int, start_at: int | None) -> tuple[int, bool]:
    """Return the position after which to publish, and whether an operator ordered it.

    `kafka` is the last published position in Kafka, `recorded` the one in the ledger, `last_drawn` the last position
    the ledger ever gave to an event. An operator's `start_at` counts only if these contradict each other.

    Raises:
        OperatorError: they contradict each other, and `start_at` isn't set.
    """
    if kafka is None and recorded == 0:
        return 0, False
    if kafka is not None and recorded <= kafka <= last_drawn:
        return kafka, False
    if start_at is not None:
        return start_at - 1, True
    if kafka is None:
        lost = "Kafka has no committed position of the relay (offsets expire, brokers are replaced)"
    elif kafka > last_drawn:
        lost = f"The position in Kafka is {kafka}, but the ledger has only assigned positions up to {last_drawn}"
    else:
        lost = f"The last published position in Kafka is {kafka}"
    raise OperatorError(
        f"{lost}, and the position in the ledger is {recorded}. Set {PREFIX}RELAY_START_AT to the first position to "
        f"publish ({recorded + 1} publishes nothing twice if the ledger is right)."
    )
