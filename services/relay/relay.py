"""The relay: one process leads and publishes the outbox, others stand by.

Kafka's fencing guarantees that read-committed readers see each event once, even if several relays believe that they
lead. Leadership only keeps them from fencing each other.
"""

import asyncio
import contextlib
import random
import uuid
from datetime import UTC, datetime
from typing import Final

from aiokafka.errors import KafkaError, ProducerFenced
from asyncpg.pool import PoolConnectionProxy

from services.relay.leadership import Leadership, LostLeadershipError
from services.relay.position import SERVICE
from services.relay.publisher import Publisher, Restrictions
from services.relay.settings import RelaySettings
from shared.ledger.database import UNAVAILABLE, Pool
from shared.messaging.codec import Codec
from shared.messaging.configured import codec_of
from shared.messaging.producer import BatchesRefusedError
from shared.runtime import telemetry
from shared.runtime.backoff import Backoff
from shared.runtime.errors import TransientError
from shared.runtime.health import Health
from shared.runtime.logging import get_logger
from shared.runtime.shutdown import sleep_unless

log = get_logger("relay")

STAND_BY_SECONDS: Final = 0.5
FIRST_IDLE_SECONDS: Final = 0.005
MAX_IDLE_SECONDS: Final = 0.1
FENCED_PAUSE_SECONDS: Final = 2.5
"""Long enough for the new leader to find the lock free (it looks every second). Used with a jitter of a fifth."""

OUTAGE: Final = (KafkaError, TransientError, *UNAVAILABLE)


class Relay:
    """Publishes while it leads: `run` until stopped, or `run_once` for one step."""

    def __init__(
        self,
        settings: RelaySettings,
        pool: Pool,
        *,
        codec: Codec | None = None,
        health: Health | None = None,
        backoff: Backoff | None = None,
    ) -> None:
        self._settings = settings
        self._pool = pool
        self._codec = codec or codec_of(settings)
        self._health = health or Health(settings.progress_timeout_seconds)
        self._backoff = backoff or Backoff()
        self._me = uuid.uuid4()
        self._connection: PoolConnectionProxy | None = None
        self._leadership: Leadership | None = None
        self._publisher: Publisher | None = None
        self._restrictions = Restrictions()
        self._oldest: datetime | None = None
        self._problem: str | None = "neither publishing nor standing by yet"
        self._health.add_check("relay", self._missing)
        telemetry.OUTBOX_AGE.set_function(self._outbox_age_seconds)
        telemetry.RELAY_LEADER.set(0)

    @property
    def position(self) -> int | None:
        """The last published position; None while this relay doesn't lead."""
        return None if self._publisher is None else self._publisher.position

    async def run(self, stopping: asyncio.Event) -> None:
        """Publish, or stand by, until `stopping` is set.

        Raises:
            TransientError: broker or database have been unavailable for too long.
            OperatorError: broker and ledger contradict each other about what is published.
        """
        failures = 0
        idle_seconds = FIRST_IDLE_SECONDS
        try:
            while not stopping.is_set():
                self._health.note_progress()
                try:
                    published = await self.run_once()
                except (LostLeadershipError, ProducerFenced) as error:
                    log.warning("another relay took over: standing by", problem=str(error))
                    wait_seconds = FENCED_PAUSE_SECONDS * random.uniform(0.8, 1.2)  # noqa: S311 - not a secret
                except OUTAGE as error:
                    failures += 1
                    wait_seconds = self._after_failure(failures, error)
                else:
                    failures = 0
                    self._problem = None
                    wait_seconds = STAND_BY_SECONDS if published is None else idle_seconds if published == 0 else 0
                    idle_seconds = FIRST_IDLE_SECONDS if published else min(idle_seconds * 2, MAX_IDLE_SECONDS)
                if wait_seconds:
                    await sleep_unless(stopping, wait_seconds)
        finally:
            await self.close()

    async def run_once(self) -> int | None:
        """Publish one transaction of events; return how many, or None if another relay leads.

        Tries to lead first, if it doesn't yet. Returns 0 if all events are published, or if the broker refused some:
        the next step continues with a new producer, without those events or with smaller batches. After an error it
        stops leading; the next start finds out whether the transaction was committed.
        """
        try:
            if self._publisher is None:
                self._publisher = await self._try_lead()
            if self._publisher is None or self._leadership is None:
                return None
            try:
                async with self._leadership.busy():
                    published = await self._publisher.publish_next()
            except BatchesRefusedError as refused:
                publisher, self._publisher = self._publisher, None
                await self._isolate(publisher, refused)
                return 0
            self._oldest = self._publisher.oldest
            await self._leadership.record(self._publisher.position)
        except BaseException:
            await self.close()
            raise
        return published

    async def _isolate(self, publisher: Publisher, refused: BatchesRefusedError) -> None:
        try:
            await publisher.isolate(refused)
        finally:
            await publisher.discard()

    async def close(self) -> None:
        """Stop leading. The next leader aborts a transaction that was started and not committed."""
        publisher, self._publisher = self._publisher, None
        leadership, self._leadership = self._leadership, None
        connection, self._connection = self._connection, None
        telemetry.RELAY_LEADER.set(0)
        if publisher is not None:
            self._oldest = publisher.oldest
            await publisher.discard()
        if leadership is not None:
            with contextlib.suppress(*UNAVAILABLE):
                await leadership.give_up()
        if connection is not None:
            with contextlib.suppress(*UNAVAILABLE):
                await self._pool.release(connection)

    async def _try_lead(self) -> Publisher | None:
        if self._leadership is None:
            self._connection = await self._pool.acquire()
            # If a crash of the database loses a recorded position, the older one is before Kafka's, which is allowed.
            await self._connection.execute("SET synchronous_commit = off")
            self._leadership = Leadership(
                self._connection,
                self._settings.group(SERVICE),
                self._me,
                takeover_seconds=self._settings.relay_takeover_seconds,
            )
        recorded = await self._leadership.try_take()
        if recorded is None:
            self._oldest = None
            return None
        publisher = Publisher(self._settings, self._pool, self._codec, leader=self._me, restrictions=self._restrictions)
        try:
            async with self._leadership.busy():
                ordered = await publisher.start(recorded)
            if ordered is not None:
                await self._leadership.reset(ordered)
        except BaseException:
            await publisher.discard()
            raise
        telemetry.RELAY_LEADER.set(1)
        return publisher

    def _after_failure(self, failures: int, error: BaseException) -> float:
        self._problem = problem = f"{type(error).__name__}: {error}"
        telemetry.TRANSIENT_ERRORS.labels(SERVICE, "publish").inc()
        if failures >= self._settings.transient_attempts:
            raise TransientError(f"{failures} attempts to publish failed, the last with {problem}") from error
        wait_seconds = self._backoff.seconds(failures)
        log.warning("waiting before a retry", problem=problem, attempt=failures, seconds=round(wait_seconds, 3))
        return wait_seconds

    async def _missing(self) -> str | None:
        return self._problem

    def _outbox_age_seconds(self) -> float:
        return 0.0 if self._oldest is None else max(0.0, (datetime.now(UTC) - self._oldest).total_seconds())
