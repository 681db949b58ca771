"""Poll the broker once: return the records and the offsets to commit after they are handled."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from shared.messaging.dead_letters import Letter
from shared.messaging.records import Record, new_record

CAREFUL_TIMEOUT_MS: Final = 200
UNREADABLE_BY_CLIENT: Final = "bad_header_name"


@dataclass(slots=True)
class Polled:
    """The records of one poll. `ends` are the offsets to commit; `unreadable` are records the client can't decode."""

    records: list[Record] = field(default_factory=list)
    ends: dict[TopicPartition, int] = field(default_factory=dict)
    unreadable: list[Letter] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.records) + len(self.unreadable)


async def poll(consumer: AIOKafkaConsumer, *, timeout_ms: int, max_records: int) -> Polled:
    """Return at most `max_records` records, or none after `timeout_ms`.

    No other task runs between the arrival of records and the return, so the caller knows to which assignment of
    partitions they belong.

    Raises:
        KafkaError: the broker refuses, or an outage that the client reports.
        UnicodeDecodeError: a record that the client can't decode; see `poll_carefully`.
    """
    found = await consumer.getmany(timeout_ms=timeout_ms, max_records=max_records)
    polled = Polled()
    for partition, raw_records in found.items():
        polled.records += records_of(raw_records)
        # This position is also after transaction markers, so that a topic read to its end has no lag.
        polled.ends[partition] = await consumer.position(partition)
    return polled


async def poll_carefully(
    consumer: AIOKafkaConsumer, *, max_records: int, epoch: Callable[[], int]
) -> tuple[int, Polled]:
    """Poll record by record up to one that the client can't decode, and skip that one.

    The client requires header names in UTF-8, the broker doesn't. Without this, one such record would block its
    partition for ever. Its bytes can't be read through the client; they remain at its offset.

    Returns the epoch and its records. No record is lost: if the epoch changes, the earlier records belong to another
    assignment and are polled again; after an error, the records polled so far are returned.
    """
    polled, its_epoch = Polled(), epoch()
    for partition in sorted(consumer.assignment()):
        while len(polled) < max_records:
            unreadable: UnicodeDecodeError | None = None
            found: dict[TopicPartition, list[Any]] = {}
            try:
                found = await consumer.getmany(partition, timeout_ms=CAREFUL_TIMEOUT_MS, max_records=1)
            except UnicodeDecodeError as error:
                unreadable = error
            except KafkaError:
                return its_epoch, polled
            if epoch() != its_epoch:
                polled, its_epoch = Polled(), epoch()
            if unreadable is not None:
                await _skip(consumer, partition, polled, unreadable)
                return its_epoch, polled
            records = records_of(found.get(partition, ()))
            if not records:
                break
            polled.records += records
            polled.ends[partition] = records[-1].offset + 1
    return its_epoch, polled


async def _skip(
    consumer: AIOKafkaConsumer, partition: TopicPartition, polled: Polled, error: UnicodeDecodeError
) -> None:
    offset = await consumer.position(partition)
    consumer.seek(partition, offset + 1)
    polled.ends[partition] = offset + 1
    record = Record(partition.topic, partition.partition, offset, timestamp_ms=0, key=None, value=None)
    text = f"The name of a header is not valid UTF-8 ({error.object[:80]!r}); only the origin still has the record."
    polled.unreadable.append(Letter(record, UNREADABLE_BY_CLIENT, text))


def records_of(raw_records: Sequence[Any]) -> list[Record]:
    """Convert the client's records (aiokafka's ConsumerRecord) to ours."""
    return [
        new_record(
            raw.topic,
            raw.partition,
            raw.offset,
            timestamp_ms=raw.timestamp,
            key=raw.key,
            value=raw.value,
            headers=raw.headers,
        )
        for raw in raw_records
    ]
