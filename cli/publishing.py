"""Send a file of events to their topics: check all lines first, then send them in order."""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import orjson
from aiokafka.errors import MessageSizeTooLargeError, RecordListTooLargeError

from cli.errors import CommandFailedError
from cli.files import InputFile
from cli.output import count
from schemas.catalogue import BY_TYPE
from schemas.topics import ORDERS, REWARDS, SIGNUPS
from shared.messaging.codec import UnreadableRecord
from shared.messaging.configured import codec_of
from shared.messaging.producer import Message, Producer
from shared.messaging.records import Record
from shared.runtime.settings import KafkaSettings

INPUT_TOPICS: Final = (REWARDS.name, SIGNUPS.name, ORDERS.name)
"""Topics that don't need --topic. The other topics are written only by Couponry."""

STRUCTURED: Final = (("content-type", b"application/cloudevents+json; charset=utf-8"),)
EVENTS_A_SEND: Final = 1_000
PROBLEMS_SHOWN: Final = 10


@dataclass(slots=True)
class Published:
    """The number of events sent by topic (without prefix), and the seconds it took."""

    events: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0


class EventFile:
    """A file of events, one structured CloudEvent a line. `topic` replaces the topic of each event's type."""

    def __init__(self, file: InputFile, settings: KafkaSettings, topic: str | None) -> None:
        self._file = file
        self._prefix = settings.topic_prefix
        self._topic = topic
        self._codec = codec_of(settings)

    def check(self, seen: Callable[[int], None], *, as_is: bool = False) -> int:
        """Check all lines and return the number of events. Raises CommandFailedError with the invalid lines.

        `seen` is called with the number of each line. `as_is`: only check that each line has a topic.
        """
        problems: list[str] = []
        bad = lines = 0
        for number, line in self._file.lines():
            lines += 1
            seen(number)
            problem = self._no_topic(line) if as_is else self._problem(line)
            if problem is not None:
                bad += 1
                if len(problems) < PROBLEMS_SHOWN:
                    problems.append(f"{self._file.name}, line {number}: {problem}")
        if not lines:
            raise CommandFailedError(f"{self._file.name} has no events; write one per line.")
        if bad > len(problems):
            problems.append(f"And {bad - len(problems):,} more.")
        if bad:
            way_out = "" if as_is else "; --as-is sends all lines unchecked"
            problems.append(f"Nothing was sent: {count(bad, 'line')} of {lines:,} can't be read{way_out}.")
            raise CommandFailedError("\n".join(problems))
        return lines

    def messages(self) -> Iterator[tuple[int, str, Message]]:
        """Yield (line number, topic without prefix, record) of each line. Call `check` first."""
        for number, line in self._file.lines():
            event = _document(line)
            topic = self._topic or _topic_of(event)
            assert topic is not None, "an unchecked file"  # noqa: S101
            yield number, topic, Message(self._prefix + topic, _key(event), line, STRUCTURED)

    def _no_topic(self, line: bytes) -> str | None:
        known = self._topic or _topic_of(_document(line))
        return None if known else "the event has no known type; name its topic with --topic."

    def _problem(self, line: bytes) -> str | None:
        event = _document(line)
        topic = self._topic or _topic_of(event)
        if topic is None:
            # The codec has the best error message for an event without a known type.
            topic = ORDERS.name
        elif self._topic is None and topic not in INPUT_TOPICS:
            return f"{event['type']} is published by Couponry itself; to send it anyway, name its topic with --topic."
        try:
            self._codec.decode(Record.unsent(self._prefix + topic, line, STRUCTURED))
        except UnreadableRecord as error:
            return error.text
        return None


async def send(events: EventFile, settings: KafkaSettings, sent: Callable[[int], None]) -> Published:
    """Send all of `events` in order. `sent` is called with the number of events after each batch.

    Raises KafkaError and TimeoutError if the broker is unavailable. Some events were sent then; sending the file again
    is harmless, because duplicates are recognized by their ids.
    """
    published = Published()
    began = time.monotonic()
    batch: list[tuple[int, str, Message]] = []
    async with Producer(settings, "couponry-publish") as producer:
        for event in events.messages():
            batch.append(event)
            if len(batch) == EVENTS_A_SEND:
                await _send_batch(producer, batch, published)
                sent(len(batch))
                batch = []
        await _send_batch(producer, batch, published)
        sent(len(batch))
    published.seconds = time.monotonic() - began
    return published


async def _send_batch(producer: Producer, batch: list[tuple[int, str, Message]], published: Published) -> None:
    results = await producer.send([message for _, _, message in batch])
    for (number, topic, _), result in zip(batch, results, strict=True):
        if isinstance(result, MessageSizeTooLargeError | RecordListTooLargeError):
            raise CommandFailedError(
                f"Line {number}: the event is larger than the broker accepts. The lines before it were sent."
            )
        if result is not None:
            raise result
        published.events[topic] += 1


def _document(line: bytes) -> dict[str, Any]:
    try:
        found = orjson.loads(line)
    except orjson.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) else {}


def _topic_of(event: dict[str, Any]) -> str | None:
    kind = event.get("type")
    entry = BY_TYPE.get(kind) if isinstance(kind, str) else None
    return None if entry is None else entry.topic.name


def _key(event: dict[str, Any]) -> bytes | None:
    """Return the record's key: the order's id, else the customer's, else the event's subject."""
    data = event.get("data")
    if isinstance(data, dict):
        customer = data.get("customer")
        found = data.get("order_id") or (customer.get("customer_id") if isinstance(customer, dict) else None)
        if isinstance(found, str):
            return found.encode()
    subject = event.get("subject")
    return subject.encode() if isinstance(subject, str) else None
