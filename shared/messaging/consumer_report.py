"""Report a consumer's work: progress for the watchdog, metrics, log lines."""

import time
from collections import Counter
from collections.abc import Sequence
from typing import Final

from aiokafka import AIOKafkaConsumer, TopicPartition

from shared.messaging.dead_letters import Letter
from shared.messaging.polling import Polled
from shared.messaging.records import ReceivedEvent, Record
from shared.runtime import telemetry
from shared.runtime.health import Health
from shared.runtime.logging import bound, get_logger

log = get_logger("consumer")

LETTERS_LOGGED: Final = 5
"""The most log lines about dead letters per batch. There can be thousands, and each has its text in its headers."""


class ConsumerReport:
    """Reports for one consumer. `health` may be shared with other parts of the process."""

    def __init__(self, service_name: str, health: Health) -> None:
        self._service = service_name
        self._health = health
        self._assigned = False
        self._fetched_at: dict[TopicPartition, int] = {}
        self._lag_partitions: set[TopicPartition] = set()
        self._batch_since: float | None = None
        health.add_check("partitions", self._missing)
        health.add_check("batch", self._slow)

    async def _missing(self) -> str | None:
        return None if self._assigned else "no partitions are assigned yet"

    async def _slow(self) -> str | None:
        """Report a slow batch as not ready. Failed attempts don't reset the time, because nothing gets done."""
        seconds = 0.0 if self._batch_since is None else time.monotonic() - self._batch_since
        return f"one batch has been running for {seconds:.0f} s" if seconds > self._health.ready_seconds else None

    def batch_started(self) -> None:
        self._batch_since = time.monotonic()

    def batch_ended(self) -> None:
        """End the time of a batch, done or dropped."""
        self._batch_since = None

    def assigned(self, partitions: set[TopicPartition]) -> None:
        self._assigned = True
        self._health.note_progress()
        telemetry.REBALANCES.labels(self._service).inc()
        log.info(
            "partitions assigned",
            partitions=[f"{partition.topic}/{partition.partition}" for partition in sorted(partitions)],
        )

    def revoked(self) -> None:
        """Remove the lag of revoked partitions: their next consumer reports it."""
        self._assigned = False
        self._fetched_at.clear()
        for partition in self._lag_partitions:
            telemetry.CONSUMER_LAG.remove(self._service, partition.topic, partition.partition)
        self._lag_partitions.clear()

    def failed_attempt(self, what: str, problem: str, attempt: int, wait_seconds: float) -> None:
        self._health.note_progress()  # waiting isn't hanging, and the number of attempts is limited
        telemetry.TRANSIENT_ERRORS.labels(self._service, what).inc()
        log.warning(
            "waiting before a retry", what=what, problem=problem, attempt=attempt, seconds=round(wait_seconds, 3)
        )

    async def poll_was_empty(self, consumer: AIOKafkaConsumer) -> None:
        """Report an empty poll. It is progress only if the broker answered: the client can hang without an error."""
        partitions = consumer.assignment()
        fetched_at = {partition: consumer.last_poll_timestamp(partition) for partition in partitions}
        if not partitions or fetched_at != self._fetched_at:
            self._health.note_progress()
        self._fetched_at = fetched_at
        for partition in partitions:
            if consumer.highwater(partition) is not None:
                self._set_lag(consumer, partition, await consumer.position(partition))

    def batch_done(
        self, consumer: AIOKafkaConsumer, polled: Polled, events: Sequence[ReceivedEvent], seconds: float
    ) -> None:
        service = self._service
        self._health.note_progress()
        telemetry.BATCH_SECONDS.labels(service).observe(seconds)
        telemetry.BATCH_RECORDS.labels(service).observe(len(polled))
        for type_name, count in Counter([event.type for event in events]).items():
            telemetry.EVENTS_PROCESSED.labels(service, type_name).inc(count)
        for partition, position in polled.ends.items():
            self._set_lag(consumer, partition, position)

    def decoding_failed(self, record: Record, error: Exception, *, logged: int) -> None:
        """Count a bug about one record; log the first LETTERS_LOGGED of a batch with their tracebacks."""
        telemetry.BUGS.labels("decoding").inc()
        if logged <= LETTERS_LOGGED:
            log.error(
                "a bug while decoding a record: it becomes a dead letter",
                topic=record.topic,
                partition=record.partition,
                offset=record.offset,
                exc_info=error,
            )

    def dead_letters(self, letters: Sequence[Letter]) -> None:
        for letter in letters:
            telemetry.DEAD_LETTERS.labels(self._service, letter.record.topic, letter.error_class).inc()
        for letter in letters[:LETTERS_LOGGED]:
            with bound(event_id=letter.event_id, subject=letter.subject):
                log.warning(
                    "dead letter",
                    topic=letter.record.topic,
                    partition=letter.record.partition,
                    offset=letter.record.offset,
                    error_class=letter.error_class,
                    error_text=letter.error_text,
                )
        if len(letters) > LETTERS_LOGGED:
            log.warning("more dead letters in this batch", count=len(letters) - LETTERS_LOGGED)

    def _set_lag(self, consumer: AIOKafkaConsumer, partition: TopicPartition, position: int) -> None:
        if partition not in consumer.assignment():
            return
        lag = max(0, (consumer.highwater(partition) or 0) - position)
        telemetry.CONSUMER_LAG.labels(self._service, partition.topic, partition.partition).set(lag)
        self._lag_partitions.add(partition)
