"""Where to go on: the offset that the relay's last Kafka transaction committed, checked against the ledger's note."""

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
"""A broker may answer with the offset before the last transaction's for a moment; five seconds is a long moment."""


def position_partition(settings: KafkaSettings) -> TopicPartition:
    """The one partition whose committed offset is the next outbox position to publish."""
    return TopicPartition(settings.topic(RELAY_POSITION.name), 0)


class LedgerWentBackError(OperatorError):
    """The ledger doesn't hold what was published last: it is an earlier state of itself."""

    def __init__(self, position: int) -> None:
        super().__init__(
            f"The ledger went back: the event at outbox position {position} was published, but the ledger doesn't hold "
            "it any more (a failover to a standby that lacked commits, or a restore to an earlier moment). Nothing is "
            "published until you set the consumer groups back to before that moment (docs/operations.md says how) and "
            f"{PREFIX}RELAY_START_AT to the first position to publish ({position + 1} if no position was given twice)."
        )


def mark_of(row: OutboxRow) -> str:
    """What tells an outbox row from any other that may come to stand at its position: its event and when it was made.

    It goes with the position into Kafka. Not the event's data: erasing personal data may change that.
    """
    return _mark(str(row.event_id), row.time)


def _mark(event_id: str, time: datetime) -> str:
    return blake2b(f"{event_id} {time.isoformat()}".encode(), digest_size=16).hexdigest()


async def require_published(connection: Connection, position: int, mark: str) -> None:
    """Make sure that the row at `position` is the one with `mark`, where one is known. Raises LedgerWentBackError.

    In a transaction, so that its COMMIT waits for a synchronous standby to have everything that is visible by now.
    """
    async with connection.transaction():
        found = await connection.fetchrow(sql("published_row", "services.relay"), position)
    if mark and (found is None or _mark(*found) != mark):
        raise LedgerWentBackError(position)


async def read_position(settings: KafkaSettings, *, at_least: int) -> tuple[int, str] | None:
    """The last published position as Kafka knows it, and its row's mark (empty for none); None when it knows none.

    A position below `at_least` is asked for again for five seconds: the transaction that was noted in the ledger is
    committed, so it must appear. Call it behind the start of the transactional producer, which ends what was open.

    Raises:
        KafkaError, TimeoutError: the broker is away.
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
    """What `consumer.committed` returns, less one, and the text committed along, which that leaves out."""
    found = (await consumer._coordinator.fetch_committed_offsets([partition])).get(partition)
    return None if found is None or found.offset < 0 else (found.offset - 1, found.metadata or "")


def starting_position(*, kafka: int | None, noted: int, last_drawn: int, start_at: int | None) -> tuple[int, bool]:
    """The position behind which to publish, and whether that is an operator's word rather than the broker's.

    `kafka` is what the broker knows as published, `noted` what the ledger's note says, `last_drawn` the last position
    the ledger ever gave to an event. An operator's `start_at` counts only where these contradict each other.

    Raises:
        OperatorError: they contradict each other, and nobody said where to start.
    """
    if kafka is None and noted == 0:
        return 0, False
    if kafka is not None and noted <= kafka <= last_drawn:
        return kafka, False
    if start_at is not None:
        return start_at - 1, True
    if kafka is None:
        lost = "Kafka has no committed position of the relay (offsets expire, brokers are replaced)"
    elif kafka > last_drawn:
        lost = f"Kafka says that {kafka} is published, but the ledger has only drawn positions up to {last_drawn}"
    else:
        lost = f"Kafka says that {kafka} is the last published position"
    raise OperatorError(
        f"{lost}, and the ledger's note says {noted}; set {PREFIX}RELAY_START_AT to the first position to publish "
        f"({noted + 1} publishes nothing twice if the note is right)."
    )
