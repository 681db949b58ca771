"""The poll loop of all consumers: poll a batch, decode it, handle it, write dead letters, commit explicit offsets.

A record ends in one of four ways:

- *executed* or *refused*: decided by the handler; its offset is committed.
- *transient*: database, broker or another system is unavailable. Nothing is polled or committed; the same batch is
  retried with growing waits. After `transient_attempts` the process exits to be restarted.
- *poison*: it can't be decoded, or the handler reports that it can never be executed. It goes to the dead-letter topic,
  acknowledged before its offset is committed; the other records are executed.
- *bug*: any other exception. The record that causes it becomes a dead letter; the other records are executed. If every
  record causes one, or the service can't even decode its own examples, nothing is committed and the process exits: see
  `isolation`.

While the handler works on a batch, the next one is polled and decoded.
"""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeVar

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError

from schemas.registry import SchemaRegistryUnavailableError
from shared.messaging.canary import can_decode
from shared.messaging.codec import Codec, UnreadableRecord
from shared.messaging.configured import codec_of
from shared.messaging.connection import client_options, is_transient
from shared.messaging.consumer_report import ConsumerReport
from shared.messaging.dead_letters import DeadLetterQueue, Letter
from shared.messaging.empty_fetch_pause import pause_after_empty_fetches
from shared.messaging.isolation import BUG, Handler, Isolating, Poison
from shared.messaging.polling import Polled, poll, poll_carefully
from shared.messaging.records import ReceivedEvent, Record
from shared.runtime.backoff import Backoff
from shared.runtime.errors import TransientError
from shared.runtime.health import Health
from shared.runtime.logging import get_logger
from shared.runtime.settings import Settings

__all__ = ["ConsumerLoop", "Handler", "Poison", "TransientError"]

log = get_logger("consumer")
Result = TypeVar("Result")

CONNECT_SECONDS: Final = 30.0
COMMIT_SECONDS: Final = 15.0
"""The client itself retries a commit for ever. After this time the commit is retried here, and counted."""
STOP_SECONDS: Final = 5.0
HEARTBEAT_MS: Final = 1_000
"""The interval in which a member learns that another one joined. Until then both wait."""


@dataclass(slots=True)
class Batch:
    """One polled batch. `epoch` is the number of the partition assignment it belongs to."""

    epoch: int
    polled: Polled
    events: list[ReceivedEvent] = field(default_factory=list)
    letters: list[Letter] = field(default_factory=list)
    decoded: int = 0
    bugs: int = 0


class _InterruptedError(Exception):
    """A stop or a rebalance interrupts the batch: it is dropped, and nothing of it is committed."""


class ConsumerLoop:
    """Consumes `topics` (names without prefix) in the consumer group of `service_name`."""

    def __init__(
        self,
        settings: Settings,
        service_name: str,
        topics: Sequence[str],
        handler: Handler,
        *,
        codec: Codec | None = None,
        health: Health | None = None,
        backoff: Backoff | None = None,
    ) -> None:
        self._settings = settings
        self._service = service_name
        self._topics = [settings.topic(name) for name in topics]
        self._handler = Isolating(handler, service_name)
        self._decode = (codec or codec_of(settings)).decode
        self._report = ConsumerReport(service_name, health or Health(settings.progress_timeout_seconds))
        self._backoff = backoff or Backoff()
        self._dead_letters = DeadLetterQueue(settings, service_name)
        self._stopping = asyncio.Event()
        self._interrupted = asyncio.Event()  # asked to stop, or partitions are being revoked
        self._idle = asyncio.Event()  # no batch is being handled
        self._idle.set()
        self._settled = asyncio.Event()  # no revocation is running
        self._settled.set()
        self._epoch = 0
        self._consumer: AIOKafkaConsumer | None = None
        self._ahead: asyncio.Task[Batch] | None = None
        self._stop_wait: asyncio.Task[None] | None = None

    async def run(self, stopping: asyncio.Event) -> None:
        """Consume until `stopping` is set; the current batch is finished and committed first.

        Raises:
            TransientError: a system has been unavailable for too long.
            ServiceBrokenError: every event fails with a bug; nothing of the current batch was committed.
            Exception: a bug of this loop; nothing of the current batch was committed.
        """
        try:
            await self.start(stopping)
            while not stopping.is_set():
                await self.run_once()
        except _InterruptedError:
            if not stopping.is_set():
                raise
        finally:
            await self.stop()

    async def start(self, stopping: asyncio.Event | None = None) -> None:
        """Connect and join the group. Raises TransientError if the broker or a topic is missing for too long."""
        if stopping is not None:
            self._stopping = stopping
        self._stop_wait = asyncio.create_task(self._interrupt_when_stopping())
        consumer = await self._with_retries("broker", self._connect)
        consumer.subscribe(self._topics, listener=_Listener(self))
        self._consumer = consumer

    async def run_once(self) -> int:
        """Process one batch up to its committed offsets; return its number of records.

        Returns 0 if none came within `poll_timeout_ms`, or if the batch was dropped because of a rebalance.
        """
        try:
            batch = await self._with_retries("broker", self._next)
            await self._settled.wait()
            if not batch.polled.ends:
                await self._report.poll_was_empty(self._client())
                return 0
            if batch.epoch != self._epoch:
                log.info("dropped a batch polled before a rebalance", records=len(batch.polled))
                return 0
            self._idle.clear()
            self._report.batch_started()
            try:
                self._ahead = asyncio.create_task(self._poll_and_decode())
                return await self._execute(batch)
            finally:
                self._report.batch_ended()
                self._idle.set()
        except _InterruptedError:
            if self._stopping.is_set():
                return 0
            await self._settled.wait()
            return 0

    async def stop(self) -> None:
        """Leave the group and disconnect, each with a timeout."""
        for task in (self._ahead, self._stop_wait):
            if task is not None:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError, Exception):
                    await task
        self._ahead = self._stop_wait = None
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            await _stop_with_timeout(consumer)
        self._report.revoked()
        await self._dead_letters.stop()

    # One batch

    async def _execute(self, batch: Batch) -> int:
        started = time.perf_counter()
        await self._with_retries("decoding", lambda: self._decode_rest(batch))
        poison = await self._with_retries("handler", lambda: self._handler.handle(batch.events)) if batch.events else ()
        letters = batch.letters + [
            Letter(
                poisoned.event.record,
                poisoned.error_class,
                poisoned.error_text,
                poisoned.event.id,
                poisoned.event.subject,
            )
            for poisoned in poison
        ]
        if letters:
            await self._with_retries("dead letters", lambda: self._dead_letters.bury(letters))
            self._report.dead_letters(letters)
        if not await self._with_retries("commit", lambda: self._commit(batch)):
            return 0
        self._report.batch_done(self._client(), batch.polled, batch.events, time.perf_counter() - started)
        return len(batch.polled)

    async def _commit(self, batch: Batch) -> bool:
        """Commit the batch's offsets. Return False if its partitions belong to another consumer now."""
        if batch.epoch != self._epoch:
            log.warning("offsets not committed: the batch took longer than the rebalance timeout")
            return False
        try:
            async with asyncio.timeout(COMMIT_SECONDS):
                await self._client().commit(batch.polled.ends)
        except (CommitFailedError, IllegalStateError) as error:
            log.warning("offsets not committed: another consumer has the partitions", problem=str(error))
            return False
        return True

    async def _decode_rest(self, batch: Batch) -> None:
        """Decode the remaining records. A coroutine without await, so that `_with_retries` can run it."""
        decode, records = self._decode, batch.polled.records
        while batch.decoded < len(records):
            try:
                batch.events.append(decode(records[batch.decoded]))
            except UnreadableRecord as problem:
                batch.letters.append(Letter(records[batch.decoded], problem.error_class, problem.text))
            except SchemaRegistryUnavailableError as error:
                raise TransientError(str(error)) from error
            except Exception as error:
                self._decoding_failed(batch, records[batch.decoded], error)
            batch.decoded += 1

    def _decoding_failed(self, batch: Batch, record: Record, error: Exception) -> None:
        """Make a dead letter of a record whose decoding failed with a bug.

        Raises `error` if no record of the batch was decoded yet and the codec fails for an example too: then the bug
        isn't about this record, and every record would become a dead letter.
        """
        if not batch.events and not can_decode(self._decode, record.topic, self._settings.topic_prefix):
            raise error
        batch.bugs += 1
        self._report.decoding_failed(record, error, logged=batch.bugs)
        text = (
            f"A bug in Couponry, not in the record ({type(error).__name__}): report it; replay the record after a fix."
        )
        batch.letters.append(Letter(record, BUG, text))

    # Polling

    async def _next(self) -> Batch:
        """Return the batch polled ahead, or poll one now. Raises _InterruptedError if asked to stop."""
        if self._ahead is None:
            self._ahead = asyncio.create_task(self._poll_and_decode())
        ahead = self._ahead
        if not ahead.done():
            if self._stop_wait is None:
                raise RuntimeError("start() comes first")
            await asyncio.wait({ahead, self._stop_wait}, return_when=asyncio.FIRST_COMPLETED)
        if self._stopping.is_set():
            raise _InterruptedError
        self._ahead = None
        return ahead.result()

    async def _poll_and_decode(self) -> Batch:
        limit = self._settings.batch_max_records
        try:
            polled = await poll(self._client(), timeout_ms=self._settings.poll_timeout_ms, max_records=limit)
            epoch = self._epoch  # no rebalance can have run since poll returned: there was no await
        except UnicodeDecodeError:
            epoch, polled = await poll_carefully(self._client(), max_records=limit, epoch=lambda: self._epoch)
        batch = Batch(epoch, polled, letters=list(polled.unreadable))
        with contextlib.suppress(TransientError):  # retried when it is this batch's turn
            await self._decode_rest(batch)
        return batch

    async def _connect(self) -> AIOKafkaConsumer:
        settings = self._settings
        consumer = AIOKafkaConsumer(
            **client_options(settings, f"couponry-{self._service}"),
            group_id=settings.group(self._service),
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
            session_timeout_ms=settings.session_timeout_ms,
            heartbeat_interval_ms=min(HEARTBEAT_MS, settings.session_timeout_ms // 3),
            rebalance_timeout_ms=settings.rebalance_timeout_ms,
            group_instance_id=settings.group_instance_id,
        )
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                await consumer.start()
                pause_after_empty_fetches(consumer)
                _require_topics(self._topics, await consumer.topics())
        except BaseException:
            await _stop_with_timeout(consumer)
            raise
        return consumer

    def _client(self) -> AIOKafkaConsumer:
        if self._consumer is None:
            raise RuntimeError("start() comes first")
        return self._consumer

    # Rebalances: called by the client's own task

    async def revoked(self) -> None:
        """Finish the current batch before partitions are revoked, within half of the rebalance timeout."""
        self._settled.clear()
        self._interrupted.set()
        try:
            async with asyncio.timeout(self._settings.rebalance_timeout_ms / 2_000):
                await self._idle.wait()
        except TimeoutError:
            log.warning("the current batch outlasts the rebalance: its offsets will not be committed")
        finally:
            self._epoch += 1
            self._report.revoked()
            if not self._stopping.is_set():
                self._interrupted.clear()
            self._settled.set()

    def assigned(self, partitions: set[TopicPartition]) -> None:
        self._report.assigned(partitions)

    # Retries

    async def _with_retries(self, what: str, operation: Callable[[], Awaitable[Result]]) -> Result:
        """Run `operation`, with retries and growing waits during an outage.

        Raises _InterruptedError for a stop or a rebalance, TransientError after `transient_attempts`.
        """
        attempt = 0
        while True:
            try:
                return await operation()
            except (TransientError, KafkaError, OSError, TimeoutError) as error:
                if not is_transient(error) and not isinstance(error, KafkaError):
                    raise
                attempt += 1
                problem = f"{type(error).__name__}: {error}"
            if attempt >= self._settings.transient_attempts:
                raise TransientError(f"{what}: {attempt} attempts failed, the last with {problem}")
            wait_seconds = self._backoff.seconds(attempt)
            self._report.failed_attempt(what, problem, attempt, wait_seconds)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._interrupted.wait(), wait_seconds)
            if self._interrupted.is_set():
                raise _InterruptedError

    async def _interrupt_when_stopping(self) -> None:
        await self._stopping.wait()
        self._interrupted.set()


class _Listener(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka has no types
    def __init__(self, loop: ConsumerLoop) -> None:
        self._loop = loop

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        await self._loop.revoked()

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        self._loop.assigned(assigned)


async def _stop_with_timeout(consumer: AIOKafkaConsumer) -> None:
    try:
        async with asyncio.timeout(STOP_SECONDS):
            await consumer.stop()
    except Exception as error:
        log.warning("the consumer did not stop in time", problem=f"{type(error).__name__}: {error}")


def _require_topics(wanted: Sequence[str], existing: set[str]) -> None:
    missing = sorted(set(wanted) - existing)
    if missing:
        raise TransientError(f"no topic {', '.join(missing)}; create it with `couponry topics create`")
