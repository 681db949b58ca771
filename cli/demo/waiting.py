"""Wait until everything that was sent is handled: read, decided, published, and read again from the topics."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from cli.demo.streams import StreamReader
from cli.errors import CommandFailedError
from schemas.topics import COUPONS_REDEMPTIONS, EVENT_TOPICS
from shared.ledger.database import Pool
from shared.messaging.connection import client_options
from shared.runtime.settings import KafkaSettings

PATIENCE_SECONDS: Final = 60.0
"""Seconds without progress after which waiting is given up. A service that died is back within ten."""

MAX_SECONDS: Final = 600.0
LOOK_SECONDS: Final = 0.25

INPUTS: Final = {"issuer": ("rewards", "signups"), "redeemer": ("orders",)}
PARTITIONS: Final = {topic.name: topic.partitions for topic in EVENT_TOPICS}


@dataclass(frozen=True, slots=True)
class Progress:
    """The progress of the services.

    `lag`: records not yet handled, by service; `unpublished`: events of the ledger that were not read back yet.
    """

    handled: int
    lag: dict[str, int]
    unpublished: int
    at_end: bool

    @property
    def done(self) -> bool:
        return not any(self.lag.values()) and self.unpublished == 0 and self.at_end

    def problem(self) -> str:
        """Return a message that says what is missing."""
        missing = [f"{name} has a lag of {number:,} records" for name, number in self.lag.items() if number]
        if self.unpublished:
            missing.append(f"{self.unpublished:,} events of the ledger were not read back (is the relay running?)")
        if not missing:
            missing.append("the last records of a topic could not be read")
        return "; ".join(missing)


class Watcher:
    """An observer of the services' progress. Use it as `async with Watcher(…) as watcher`."""

    def __init__(
        self, settings: KafkaSettings, pool: Pool, reader: StreamReader, patience_seconds: float = PATIENCE_SECONDS
    ) -> None:
        self._patience_seconds = patience_seconds
        self._settings = settings
        self._pool = pool
        self._reader = reader
        self._admin = AIOKafkaAdminClient(**client_options(settings, "couponry-demo-watcher"))

    async def __aenter__(self) -> "Watcher":
        await self._admin.start()
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self._admin.close()

    async def until_handled(self, watch: Callable[[Progress], None]) -> None:
        """Return when everything sent so far is handled. `watch` is called with the progress on the way.

        Raises CommandFailedError, saying what is missing, after too long without progress or in all.
        """
        began = moved = time.monotonic()
        last: tuple[object, ...] = ()
        while True:
            progress = await self.look()
            watch(progress)
            if progress.done:
                return
            now = time.monotonic()
            reached = (progress.handled, self._reader.events, *progress.lag.values())
            if reached != last:
                last, moved = reached, now
            if now - moved > self._patience_seconds or now - began > MAX_SECONDS:
                raise CommandFailedError(f"Gave up after {now - began:.0f} s: {progress.problem()}.")
            await asyncio.sleep(LOOK_SECONDS)

    async def look(self) -> Progress:
        """Return the progress now, checked in an order in which `done` can't be reported too early."""
        handled = 0
        lag: dict[str, int] = {}
        for service, topics in INPUTS.items():
            ends = await self._reader.ends({self._settings.topic(name): PARTITIONS[name] for name in topics})
            committed = await self._committed(service)
            lag[service] = sum(max(0, end - committed.get(one, 0)) for one, end in ends.items())
            handled += sum(min(end, committed.get(one, 0)) for one, end in ends.items())
        lag["notifier"] = await self._notifier_lag()
        at_end = not any(lag.values()) and await self._reader.at_end()
        # Counted last: it includes everything a service had written when its lag was found to be 0.
        written: int = await self._pool.fetchval("SELECT count(*) FROM outbox")
        return Progress(handled, lag, written - self._reader.events, at_end)

    async def _notifier_lag(self) -> int:
        """Return how many records of the redemption stream were read here, but not yet handled by the notifier.

        The end offsets of the partitions can't be used: the last record is followed by a commit marker, and no
        consumer commits the offset after it.
        """
        committed = await self._committed("notifier")
        topic = self._settings.topic(COUPONS_REDEMPTIONS.name)
        read = {one: offset + 1 for one, offset in self._reader.last_read.items() if one.topic == topic}
        return sum(max(0, end - committed.get(one, 0)) for one, end in read.items())

    async def _committed(self, service: str) -> dict[TopicPartition, int]:
        """Return the committed offsets of the service's group; empty while the group has no coordinator."""
        try:
            found: dict[TopicPartition, Any] = await self._admin.list_consumer_group_offsets(
                self._settings.group(service)
            )
        except KafkaError:
            return {}
        return {one: max(0, offset.offset) for one, offset in found.items()}
