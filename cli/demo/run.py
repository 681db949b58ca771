"""Replay the study: send each phase, wait until it is handled, and count the published events."""

import asyncio
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from types import ModuleType
from typing import Any, Final, Protocol

from cli.demo.streams import StreamReader
from cli.demo.waiting import Progress, Watcher
from shared.ledger.database import Pool
from shared.messaging.producer import Message, Producer
from shared.runtime.settings import KafkaSettings

RECORDS_A_SEND: Final = 2_000


@dataclass(frozen=True, slots=True)
class PhaseDone:
    """A finished phase: the records sent, the seconds until they were sent and until all were handled."""

    name: str
    records: int
    send_seconds: float
    seconds: float


class Watching(Protocol):
    """The receiver of progress reports."""

    def begins(self, name: str, records: int) -> None: ...
    def sent(self, records: int) -> None: ...
    def progressed(self, progress: Progress, reader: StreamReader) -> None: ...
    def ends(self, done: PhaseDone) -> None: ...


@dataclass(slots=True)
class Replayed:
    """The result: the reader with its counts, and the duration of each phase."""

    reader: StreamReader
    phases: list[PhaseDone] = field(default_factory=list)

    @property
    def records(self) -> int:
        return sum(phase.records for phase in self.phases)

    @property
    def seconds(self) -> float:
        return sum(phase.seconds for phase in self.phases)


async def replay_all(replay: ModuleType, settings: KafkaSettings, pool: Pool, watching: Watching) -> Replayed:
    """Send every phase of `replay` (examples.complete_journey.replay) and wait until it is handled.

    Raises CommandFailedError if something doesn't arrive; the message says what.
    """
    wallet = replay.Wallet()
    stopping = asyncio.Event()
    async with StreamReader(settings, wallet.add) as reader:
        reading = asyncio.create_task(reader.run(stopping))
        try:
            sending = asyncio.create_task(_phases(replay.phases(wallet), settings, pool, reader, watching))
            await asyncio.wait({reading, sending}, return_when=asyncio.FIRST_COMPLETED)
            if reading.done():  # it only returns early when it fails
                sending.cancel()
                await asyncio.gather(sending, return_exceptions=True)
                await reading
            return Replayed(reader, await sending)
        finally:
            stopping.set()
            sending.cancel()
            await asyncio.gather(reading, sending, return_exceptions=True)


async def _phases(
    phases: Iterator[Any], settings: KafkaSettings, pool: Pool, reader: StreamReader, watching: Watching
) -> list[PhaseDone]:
    done: list[PhaseDone] = []
    async with Watcher(settings, pool, reader) as watcher, Producer(settings, "couponry-demo") as producer:
        for phase in phases:
            watching.begins(phase.name, phase.count)
            began = time.monotonic()
            await _send(phase.records(), settings, producer, watching)
            sent_seconds = time.monotonic() - began
            await watcher.until_handled(lambda progress: watching.progressed(progress, reader))
            done.append(PhaseDone(phase.name, phase.count, sent_seconds, time.monotonic() - began))
            watching.ends(done[-1])
    return done


async def _send(records: Iterator[Any], settings: KafkaSettings, producer: Producer, watching: Watching) -> None:
    while batch := list(islice(records, RECORDS_A_SEND)):
        messages = [Message(settings.topic(one.topic), one.key, one.value, one.headers) for one in batch]
        for result in await producer.send(messages):
            if result is not None:
                raise result
        watching.sent(len(batch))
        await asyncio.sleep(0)  # lets the reader run


def rates(replayed: Replayed) -> Mapping[str, float]:
    """Return the events per second, in and out."""
    seconds = replayed.seconds or 1.0
    return {"in": replayed.records / seconds, "out": replayed.reader.events / seconds}
