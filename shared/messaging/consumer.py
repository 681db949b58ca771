"""THE poll loop: poll a batch, decode it, hand it to the service, bury what is poison, commit explicit offsets.

What can happen to a record:

- *executed* or *refused*: the handler's business; its offset is committed.
- *transient*: database, broker or another system is away. Nothing is polled, nothing is committed, the same batch is
  tried again with growing waits; after `transient_attempts` the process leaves to be started again.
- *poison*: it can't be decoded, or the handler says that nobody can execute it. It goes to the dead-letter topic,
  acknowledged before its offset is committed; its neighbours are executed.
- *bug*: any other exception. The record that meets it is found and becomes a dead letter, its neighbours are executed.
  Where every record meets one, or the service can't even decode an example of its own, nothing is committed and the
  process leaves: see `isolation`.

While a batch is with the handler, the next one is polled and decoded.
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
from shared.messaging.empty_fetch_pause import be_patient
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
"""The client itself would retry a commit for ever; then it is tried again from here, counted."""
STOP_SECONDS: Final = 5.0
HEARTBEAT_MS: Final = 1_000
"""How soon a member hears that another one joined; until then both wait."""


@dataclass(slots=True)
class Batch:
    """One polled batch on its way. `epoch` says to which assignment of partitions it belongs."""

    epoch: int
    polled: Polled
    events: list[ReceivedEvent] = field(default_factory=list)
    letters: list[Letter] = field(default_factory=list)
    decoded: int = 0
    bugs: int = 0


class _GaveWayError(Exception):
    """Asked to stop, or the partitions go elsewhere: the batch is dropped, and nothing of it committed."""


class ConsumerLoop:
    """Consumes `topics` (names of the contract, without prefix) in the group of `service_name`."""

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
        self._give_way = asyncio.Event()  # asked to stop, or partitions are being revoked
        self._idle = asyncio.Event()  # no batch is in hand
        self._idle.set()
        self._settled = asyncio.Event()  # no revocation is under way
        self._settled.set()
        self._epoch = 0
        self._consumer: AIOKafkaConsumer | None = None
        self._ahead: asyncio.Task[Batch] | None = None
        self._stop_wait: asyncio.Task[None] | None = None

    async def run(self, stopping: asyncio.Event) -> None:
        """Consume until `stopping` is set; the batch in hand is finished and committed first.

        Raises:
            TransientError: something has been away for too long.
            ServiceBrokenError: event after event meets a bug; nothing of the batch in hand was committed.
            Exception: a bug in here; nothing of the batch in hand was committed.
        """
        try:
            await self.start(stopping)
            while not stopping.is_set():
                await self.run_once()
        except _GaveWayError:
            if not stopping.is_set():
                raise
        finally:
            await self.stop()

    async def start(self, stopping: asyncio.Event | None = None) -> None:
        """Connect and join the group. Raises TransientError when the broker or a topic isn't there for too long."""
        if stopping is not None:
            self._stopping = stopping
        self._stop_wait = asyncio.create_task(self._give_way_when_stopping())
        consumer = await self._patiently("broker", self._connect)
        consumer.subscribe(self._topics, listener=_Listener(self))
        self._consumer = consumer

    async def run_once(self) -> int:
        """Take one batch through to its committed offsets; returns how many records that were.

        0 when none came within `poll_timeout_ms`, or when the batch was dropped because its partitions went elsewhere.
        """
        try:
            batch = await self._patiently("broker", self._next)
            await self._settled.wait()
            if not batch.polled.ends:
                await self._report.nothing_came(self._client())
                return 0
            if batch.epoch != self._epoch:
                log.info("dropped a batch polled before a rebalance", records=len(batch.polled))
                return 0
            self._idle.clear()
            self._report.batch_taken()
            try:
                self._ahead = asyncio.create_task(self._poll_and_decode())
                return await self._execute(batch)
            finally:
                self._report.batch_left()
                self._idle.set()
        except _GaveWayError:
            if self._stopping.is_set():
                return 0
            await self._settled.wait()
            return 0

    async def stop(self) -> None:
        """Leave the group and disconnect, each within a bound."""
        for task in (self._ahead, self._stop_wait):
            if task is not None:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError, Exception):
                    await task
        self._ahead = self._stop_wait = None
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            await _stop_within_bound(consumer)
        self._report.revoked()
        await self._dead_letters.stop()

    # One batch

    async def _execute(self, batch: Batch) -> int:
        started = time.perf_counter()
        await self._patiently("decoding", lambda: self._decode_rest(batch))
        poison = await self._patiently("handler", lambda: self._handler.handle(batch.events)) if batch.events else ()
        letters = batch.letters + [
            Letter(one.event.record, one.error_class, one.error_text, one.event.id, one.event.subject) for one in poison
        ]
        if letters:
            await self._patiently("dead letters", lambda: self._dead_letters.bury(letters))
            self._report.dead_letters(letters)
        if not await self._patiently("commit", lambda: self._commit(batch)):
            return 0
        self._report.batch_done(self._client(), batch.polled, batch.events, time.perf_counter() - started)
        return len(batch.polled)

    async def _commit(self, batch: Batch) -> bool:
        """Commit the batch's offsets. False when its partitions are no longer ours: then another consumer has them."""
        if batch.epoch != self._epoch:
            log.warning("offsets not committed: the batch took longer than a rebalance waits")
            return False
        try:
            async with asyncio.timeout(COMMIT_SECONDS):
                await self._client().commit(batch.polled.ends)
        except (CommitFailedError, IllegalStateError) as error:
            log.warning("offsets not committed: the partitions went elsewhere", problem=str(error))
            return False
        return True

    async def _decode_rest(self, batch: Batch) -> None:
        """Decode what isn't yet. No await inside: it is a coroutine only to be tried again like everything else."""
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
        """Make a dead letter of a record that the codec has a bug about.

        Raises `error` when no record of the batch could be decoded yet and the codec fails for an example too: then the
        bug isn't about this record, and everything would be buried.
        """
        if not batch.events and not can_decode(self._decode, record.topic, self._settings.topic_prefix):
            raise error
        batch.bugs += 1
        self._report.decoding_failed(record, error, logged=batch.bugs)
        text = (
            f"A bug of Couponry's, not of the record ({type(error).__name__}): report it; replay the record afterwards."
        )
        batch.letters.append(Letter(record, BUG, text))

    # Polling

    async def _next(self) -> Batch:
        """The batch polled ahead, or one polled now; gives way when asked to stop."""
        if self._ahead is None:
            self._ahead = asyncio.create_task(self._poll_and_decode())
        ahead = self._ahead
        if not ahead.done():
            if self._stop_wait is None:
                raise RuntimeError("start() comes first")
            await asyncio.wait({ahead, self._stop_wait}, return_when=asyncio.FIRST_COMPLETED)
        if self._stopping.is_set():
            raise _GaveWayError
        self._ahead = None
        return ahead.result()

    async def _poll_and_decode(self) -> Batch:
        limit = self._settings.batch_max_records
        try:
            polled = await poll(self._client(), timeout_ms=self._settings.poll_timeout_ms, max_records=limit)
            epoch = self._epoch  # poll returned without giving way to a rebalance
        except UnicodeDecodeError:
            epoch, polled = await poll_carefully(self._client(), max_records=limit, epoch=lambda: self._epoch)
        batch = Batch(epoch, polled, letters=list(polled.unreadable))
        with contextlib.suppress(TransientError):  # tried again when it is this batch's turn
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
                be_patient(consumer)
                _require_topics(self._topics, await consumer.topics())
        except BaseException:
            await _stop_within_bound(consumer)
            raise
        return consumer

    def _client(self) -> AIOKafkaConsumer:
        if self._consumer is None:
            raise RuntimeError("start() comes first")
        return self._consumer

    # Rebalances: called by the client's own task

    async def revoked(self) -> None:
        """Partitions go elsewhere: finish the batch in hand, within half of what the group waits for us."""
        self._settled.clear()
        self._give_way.set()
        try:
            async with asyncio.timeout(self._settings.rebalance_timeout_ms / 2_000):
                await self._idle.wait()
        except TimeoutError:
            log.warning("the batch in hand outlasts the rebalance: its offsets will not be committed")
        finally:
            self._epoch += 1
            self._report.revoked()
            if not self._stopping.is_set():
                self._give_way.clear()
            self._settled.set()

    def assigned(self, partitions: set[TopicPartition]) -> None:
        self._report.assigned(partitions)

    # Patience

    async def _patiently(self, what: str, operation: Callable[[], Awaitable[Result]]) -> Result:
        """Run `operation`; while something is away, again with growing waits. Gives way to stops and rebalances."""
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
                await asyncio.wait_for(self._give_way.wait(), wait_seconds)
            if self._give_way.is_set():
                raise _GaveWayError

    async def _give_way_when_stopping(self) -> None:
        await self._stopping.wait()
        self._give_way.set()


class _Listener(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka has no types
    def __init__(self, loop: ConsumerLoop) -> None:
        self._loop = loop

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        await self._loop.revoked()

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        self._loop.assigned(assigned)


async def _stop_within_bound(consumer: AIOKafkaConsumer) -> None:
    try:
        async with asyncio.timeout(STOP_SECONDS):
            await consumer.stop()
    except Exception as error:
        log.warning("the consumer did not stop in time", problem=f"{type(error).__name__}: {error}")


def _require_topics(wanted: Sequence[str], existing: set[str]) -> None:
    missing = sorted(set(wanted) - existing)
    if missing:
        raise TransientError(f"no topic {', '.join(missing)}; create it with `couponry topics create`")
