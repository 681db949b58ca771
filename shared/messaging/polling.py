"""One poll: what the broker's client hands over, as records and as the offsets to commit once they are done."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from shared.messaging.dead_letters import Letter
from shared.messaging.records import Record

CAREFUL_TIMEOUT_MS: Final = 200
UNREADABLE_BY_CLIENT: Final = "bad_header_name"


@dataclass(slots=True)
class Polled:
    """Records of one poll. `ends` are the offsets to commit; `unreadable` can't even be handed over by the client."""

    records: list[Record] = field(default_factory=list)
    ends: dict[TopicPartition, int] = field(default_factory=dict)
    unreadable: list[Letter] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.records) + len(self.unreadable)


async def poll(consumer: AIOKafkaConsumer, *, timeout_ms: int, max_records: int) -> Polled:
    """At most `max_records` records, or none after `timeout_ms`.

    Once records are there this returns without giving way to another task, so that the caller knows to which
    assignment of partitions they belong.

    Raises:
        KafkaError: the broker refuses, or is away in a way that the client tells.
        UnicodeDecodeError: a record the client can't hand over; see `poll_carefully`.
    """
    found = await consumer.getmany(timeout_ms=timeout_ms, max_records=max_records)
    polled = Polled()
    for partition, raw_records in found.items():
        polled.records += records_of(raw_records)
        # Behind the markers of transactions too, so that a topic read to its end has no lag.
        polled.ends[partition] = await consumer.position(partition)
    return polled


async def poll_carefully(
    consumer: AIOKafkaConsumer, *, max_records: int, epoch: Callable[[], int]
) -> tuple[int, Polled]:
    """Poll record by record up to one that the client can't decode, and step over that one.

    Header names must be UTF-8 to the client, but not to the broker: without this, one such record would hold up its
    partition for ever. Its bytes can't be had through the client; they stay where they are, at its offset.

    Returns what belongs to one epoch, and which. Nothing polled is lost: when the epoch changes, what was polled before
    belongs to another assignment and comes again; on an error, what was polled before it is returned.
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
                await _step_over(consumer, partition, polled, unreadable)
                return its_epoch, polled
            records = records_of(found.get(partition, ()))
            if not records:
                break
            polled.records += records
            polled.ends[partition] = records[-1].offset + 1
    return its_epoch, polled


async def _step_over(
    consumer: AIOKafkaConsumer, partition: TopicPartition, polled: Polled, error: UnicodeDecodeError
) -> None:
    offset = await consumer.position(partition)
    consumer.seek(partition, offset + 1)
    polled.ends[partition] = offset + 1
    record = Record(partition.topic, partition.partition, offset, 0, None, None)
    text = f"The name of a header is no UTF-8 ({error.object[:80]!r}); the record itself is only at its origin."
    polled.unreadable.append(Letter(record, UNREADABLE_BY_CLIENT, text))


def records_of(raw_records: Sequence[Any]) -> list[Record]:
    """The client's records (aiokafka's ConsumerRecord) as ours."""
    return [
        Record(raw.topic, raw.partition, raw.offset, raw.timestamp, raw.key, raw.value, raw.headers)
        for raw in raw_records
    ]
