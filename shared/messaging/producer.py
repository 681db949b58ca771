"""Write to the broker: without transactions for dead letters and tools, with transactions for the relay."""

import asyncio
import contextlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import InvalidTimestampError, KafkaError, MessageSizeTooLargeError, RecordListTooLargeError

from shared.messaging.connection import client_options
from shared.messaging.partitions import partition_of
from shared.runtime.logging import get_logger
from shared.runtime.settings import KafkaSettings

log = get_logger("producer")

SEND_SECONDS: Final = 30.0
"""The timeout of an acknowledgement. Then the producer is discarded, because an idempotent one retries for ever."""

STOP_SECONDS: Final = 5.0

BATCH_BYTES: Final = 512 * 1024
"""Half of a broker's default limit for a batch (message.max.bytes), so that no batch is refused for its size."""

LARGE_REQUEST_BYTES: Final = 8 * 1024 * 1024
"""Larger than any record that our brokers accept, so that the broker decides about the size, not the client."""

TOO_LARGE: Final = (MessageSizeTooLargeError, RecordListTooLargeError)
"""A broker's errors for a batch, or a single record in its batch, that is too large."""

REFUSES_CONTENT: Final = (*TOO_LARGE, InvalidTimestampError)
"""A broker's errors about a batch's content: a retry of the same batch is refused again."""

TRANSACTION_TIMEOUT_MS: Final = 30_000
"""The longest time that a frozen relay can hold up read-committed readers, until the broker aborts its transaction."""


@dataclass(frozen=True, slots=True)
class Message:
    """A record to write. `topic` is the broker's name. Without `partition` the key decides, as in Kafka's clients."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes | None]] = ()
    partition: int | None = None
    timestamp_ms: int | None = None


async def discard(producer: AIOKafkaProducer) -> None:
    """Stop a producer within STOP_SECONDS, by force if necessary. Never raises for a broken one."""
    try:
        async with asyncio.timeout(STOP_SECONDS):
            await producer.stop()
    except Exception as error:
        log.warning("a producer did not stop and is torn down", error=f"{type(error).__name__}: {error}")
        # Its sender task would keep sending; there is no public way to end it.
        task = producer._sender.sender_task
        if task is not None:
            task.cancel()
            await asyncio.wait({task}, timeout=STOP_SECONDS)
        with contextlib.suppress(Exception):
            async with asyncio.timeout(STOP_SECONDS):
                await producer.client.close()


class Producer:
    """A producer with acknowledgements from all in-sync replicas and without duplicates from its own retries."""

    def __init__(self, settings: KafkaSettings, client_id: str) -> None:
        self._options = client_options(settings, client_id)
        self._producer: AIOKafkaProducer | None = None

    async def __aenter__(self) -> "Producer":
        await self.start()
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self.stop()

    async def start(self) -> AIOKafkaProducer:
        """Connect, unless connected. Raises KafkaError if the broker is unavailable, TimeoutError if it hangs."""
        if self._producer is not None:
            return self._producer
        producer = AIOKafkaProducer(
            **self._options,
            enable_idempotence=True,
            acks="all",
            max_batch_size=BATCH_BYTES,
            max_request_size=LARGE_REQUEST_BYTES,
            linger_ms=2,
        )
        try:
            async with asyncio.timeout(SEND_SECONDS):
                await producer.start()
        except BaseException:
            await discard(producer)
            raise
        self._producer = producer
        return producer

    async def send(self, messages: Sequence[Message]) -> list[BaseException | None]:
        """Write `messages` and wait for their acknowledgements. Return None or the refusal for each, in order.

        The order within a key is kept. Connects first if needed.

        Raises:
            KafkaError, TimeoutError: the broker is unavailable; some of the messages may have been written.
        """
        if not messages:
            return []
        producer = await self.start()
        try:
            async with asyncio.timeout(SEND_SECONDS):
                futures = [await self._enqueue(producer, message) for message in messages]
                results = await asyncio.gather(*futures, return_exceptions=True)
        except BaseException:
            await self.stop()
            raise
        refusals = [result if isinstance(result, BaseException) else None for result in results]
        if any(refusals):
            # A refused batch leaves a gap in its partition's sequence numbers, so the broker would refuse the next one.
            await self.stop()
        return refusals

    async def _enqueue(self, producer: AIOKafkaProducer, message: Message) -> "asyncio.Future[Any]":
        future: asyncio.Future[Any] = await producer.send(
            message.topic,
            message.value,
            message.key,
            message.partition,
            message.timestamp_ms,
            list(message.headers),
        )
        return future

    async def stop(self) -> None:
        """Disconnect, with a timeout. Acknowledged messages stay written."""
        producer, self._producer = self._producer, None
        if producer is not None:
            await discard(producer)


@dataclass(slots=True)
class PreparedBatch:
    """A batch for one partition, and the outbox positions of its messages."""

    partition: TopicPartition
    builder: Any
    positions: list[int] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class RefusedBatch:
    """A batch refused for its content: its topic, the positions of its messages, its size, the error."""

    topic: str
    positions: tuple[int, ...]
    size_bytes: int
    error: BaseException

    @property
    def too_large(self) -> bool:
        return isinstance(self.error, TOO_LARGE)


class BatchesRefusedError(Exception):
    """The broker refuses batches of a transaction for their content. Nothing of the transaction was committed."""

    def __init__(self, batches: Sequence[RefusedBatch]) -> None:
        first = batches[0]
        super().__init__(f"{type(first.error).__name__}: {first.size_bytes} bytes for {first.topic}")
        self.batches = tuple(batches)


class Prepared:
    """Messages in batches by partition, for one transaction. Created by `TransactionalProducer.prepare`."""

    __slots__ = ("_limits", "_open", "_producer", "batches", "count")

    def __init__(self, producer: AIOKafkaProducer, limits: Mapping[str, int]) -> None:
        self._producer = producer
        self._limits = limits
        self._open: dict[TopicPartition, PreparedBatch] = {}
        self.batches: list[PreparedBatch] = []
        self.count = 0

    def append(
        self, partition: TopicPartition, key: bytes, value: bytes, headers: list[tuple[str, bytes]], position: int
    ) -> None:
        """Add a message after those for the same partition. A message above every limit gets its own batch."""
        batch = self._open.get(partition)
        if batch is None or not self._fits(batch, key, value, headers):
            batch = PreparedBatch(partition, self._producer.create_batch())
            batch.builder.append(key=key, value=value, timestamp=None, headers=headers)  # the first always fits
            self._open[partition] = batch
            self.batches.append(batch)
        batch.positions.append(position)
        self.count += 1

    def _fits(self, batch: PreparedBatch, key: bytes, value: bytes, headers: list[tuple[str, bytes]]) -> bool:
        limit = self._limits.get(batch.partition.topic)
        if limit is not None and batch.builder.size() + _about_bytes(key, value, headers) > limit:
            return False
        return batch.builder.append(key=key, value=value, timestamp=None, headers=headers) is not None


def _about_bytes(key: bytes, value: bytes, headers: Sequence[tuple[str, bytes]]) -> int:
    """Return an upper estimate of a message's size within a batch."""
    return len(key) + len(value) + 30 + sum(len(name) + len(content) + 4 for name, content in headers)


class TransactionalProducer:
    """Writes events and a position in one transaction. A start fences other users of the transactional id.

    After any error, discard it and build a new one. Whether the transaction was committed is only known from the
    committed position that is read after the new one's start.
    """

    def __init__(self, settings: KafkaSettings, client_id: str, transactional_id: str) -> None:
        self._producer = AIOKafkaProducer(
            **client_options(settings, client_id),
            transactional_id=transactional_id,
            transaction_timeout_ms=TRANSACTION_TIMEOUT_MS,
            acks="all",
            max_batch_size=BATCH_BYTES,
            max_request_size=LARGE_REQUEST_BYTES,
        )
        self._partitions: dict[str, list[TopicPartition]] = {}

    async def start(self) -> None:
        """Connect, end the predecessor's open transaction, fence the predecessor.

        When this returns, the predecessor's last transaction is finally committed or aborted.
        """
        async with asyncio.timeout(SEND_SECONDS):
            await self._producer.start()

    async def discard(self) -> None:
        await discard(self._producer)

    async def learn_topics(self, topics: Iterable[str]) -> set[str]:
        """Load the partitions of new topics; return the topics that the broker doesn't list."""
        new = {topic for topic in topics if topic not in self._partitions}
        if not new:
            return new
        async with asyncio.timeout(SEND_SECONDS):
            listed: set[str] = (await self._producer.client.fetch_all_metadata()).topics()
            for topic in new & listed:
                numbers = await self._producer.partitions_for(topic)
                self._partitions[topic] = [TopicPartition(topic, number) for number in sorted(numbers)]
        return new - listed

    def prepare(self, limits: Mapping[str, int] | None = None) -> Prepared:
        """Return an empty set of batches for one transaction of this producer.

        `limits`: the most bytes of a batch, by topic, for topics with a limit below BATCH_BYTES.
        """
        return Prepared(self._producer, limits or {})

    def partition_for(self, topic: str, key: bytes) -> TopicPartition:
        """Return the partition of `key`. Call `learn_topics` for the topic first."""
        partitions = self._partitions[topic]
        return partitions[partition_of(key, len(partitions))]

    async def publish(self, prepared: Prepared, offsets: Mapping[TopicPartition, tuple[int, str]], group: str) -> None:
        """Write `prepared` and commit `offsets` (each with its metadata text) for `group` in one transaction.

        Raises:
            BatchesRefusedError: the broker refuses some of the batches; nothing was committed.
            Exception: any other error; the transaction may or may not have been committed.

        Discard this producer after any of them.
        """
        try:
            async with asyncio.timeout(SEND_SECONDS):
                await self._producer.begin_transaction()
                # A commit waits for the batches but doesn't check whether they failed.
                await self._write(prepared.batches)
                # Only now: while a broker adds the group to the transaction, it refuses records.
                await self._producer.send_offsets_to_transaction(dict(offsets), group)
                await self._producer.commit_transaction()
        except AssertionError as error:  # raised by the client if its sender task has died
            raise KafkaError(f"the producer is broken: {error}") from error

    async def _write(self, batches: Sequence[PreparedBatch]) -> None:
        acknowledgements: list[asyncio.Future[Any]] = []
        try:
            for batch in batches:
                topic, number = batch.partition
                acknowledgements.append(await self._producer.send_batch(batch.builder, topic, partition=number))
            await asyncio.gather(*acknowledgements)
        except KafkaError as error:
            # Batches after a refused one fail too, because of the gap in the sequence numbers, and their error may be
            # the one raised here.
            refused = [
                RefusedBatch(batch.partition.topic, tuple(batch.positions), batch.builder.size(), problem)
                for batch, problem in zip(batches, map(_problem, acknowledgements), strict=False)
                if isinstance(problem, REFUSES_CONTENT)
            ]
            if not refused:
                raise
            raise BatchesRefusedError(refused) from error


def _problem(acknowledgement: "asyncio.Future[Any]") -> BaseException | None:
    """Return the error of a batch, if known. Reading it keeps asyncio from logging it."""
    if not acknowledgement.done() or acknowledgement.cancelled():
        return None
    return acknowledgement.exception()


__all__ = [
    "BatchesRefusedError",
    "KafkaError",
    "Message",
    "Prepared",
    "Producer",
    "TransactionalProducer",
    "discard",
]
