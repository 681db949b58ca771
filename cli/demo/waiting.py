"""Waiting until all that was sent is handled: read, decided, published, and read again at the other end."""

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
"""Nothing moved for so long: nothing will. A service that died is back within ten."""

LONGEST_SECONDS: Final = 600.0
LOOK_SECONDS: Final = 0.25

INPUTS: Final = {"issuer": ("rewards", "signups"), "redeemer": ("orders",)}
PARTITIONS: Final = {topic.name: topic.partitions for topic in EVENT_TOPICS}


@dataclass(frozen=True, slots=True)
class Standing:
    """How far everything is. `behind`: records not yet handled, by service; `unpublished`: events not read back yet."""

    handled: int
    behind: dict[str, int]
    unpublished: int
    at_end: bool

    @property
    def done(self) -> bool:
        return not any(self.behind.values()) and self.unpublished == 0 and self.at_end

    def problem(self) -> str:
        """What is missing, in words."""
        missing = [f"{name} has {number:,} records to go" for name, number in self.behind.items() if number]
        if self.unpublished:
            missing.append(f"{self.unpublished:,} events of the ledger were not read back (is the relay running?)")
        if not missing:
            missing.append("the last records of a topic could not be read")
        return "; ".join(missing)


class Watcher:
    """Looks how far the services are. Use it as `async with`."""

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

    async def until_handled(self, watch: Callable[[Standing], None]) -> None:
        """Return when everything sent so far is handled; `watch` hears how far it is.

        Raises CommandFailedError, saying what is missing, when nothing moves any more or it takes too long.
        """
        began = moved = time.monotonic()
        last: tuple[object, ...] = ()
        while True:
            standing = await self.look()
            watch(standing)
            if standing.done:
                return
            now = time.monotonic()
            reached = (standing.handled, self._reader.events, *standing.behind.values())
            if reached != last:
                last, moved = reached, now
            if now - moved > self._patience_seconds or now - began > LONGEST_SECONDS:
                raise CommandFailedError(f"Gave up after {now - began:.0f} s: {standing.problem()}.")
            await asyncio.sleep(LOOK_SECONDS)

    async def look(self) -> Standing:
        """How far everything is now. What comes later is looked at first, so that `done` is never said too early."""
        handled = 0
        behind: dict[str, int] = {}
        for service, topics in INPUTS.items():
            ends = await self._reader.ends({self._settings.topic(name): PARTITIONS[name] for name in topics})
            committed = await self._committed(service)
            behind[service] = sum(max(0, end - committed.get(one, 0)) for one, end in ends.items())
            handled += sum(min(end, committed.get(one, 0)) for one, end in ends.items())
        behind["notifier"] = await self._notifier_behind()
        at_end = not any(behind.values()) and await self._reader.at_end()
        # Asked last: whatever a service had written by the time it was found to be through is counted.
        written: int = await self._pool.fetchval("SELECT count(*) FROM outbox")
        return Standing(handled, behind, written - self._reader.events, at_end)

    async def _notifier_behind(self) -> int:
        """Records of the redemption stream that we have read and the notifier has not handled yet.

        The ends of its partitions would not do: behind the last event stands a mark that a transaction was committed,
        which no consumer commits.
        """
        committed = await self._committed("notifier")
        topic = self._settings.topic(COUPONS_REDEMPTIONS.name)
        read = {one: offset + 1 for one, offset in self._reader.last_read.items() if one.topic == topic}
        return sum(max(0, end - committed.get(one, 0)) for one, end in read.items())

    async def _committed(self, service: str) -> dict[TopicPartition, int]:
        """What the service's group has committed; nothing while the broker looks for the group's coordinator."""
        try:
            found: dict[TopicPartition, Any] = await self._admin.list_consumer_group_offsets(
                self._settings.group(service)
            )
        except KafkaError:
            return {}
        return {one: max(0, offset.offset) for one, offset in found.items()}
