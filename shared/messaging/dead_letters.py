"""Dead letters: records that could not be read or executed, kept raw with their origin and the error.

A dead letter has the key, the value and the headers of the original record, and in addition these headers:

    couponry_dlq_topic couponry_dlq_partition couponry_dlq_offset couponry_dlq_timestamp_ms   the origin
    couponry_dlq_error_class couponry_dlq_error_text                                         the error
    couponry_dlq_service couponry_dlq_failed_at                                              the service and the time
    couponry_dlq_value_omitted                          the value's size, if the broker refused to take the value again

If a record already had headers of these names, they are kept as `foreign_couponry_dlq_…`, so that they can't forge an
origin. A record whose origin doesn't match the dead-letter topic isn't accepted as a dead letter.

A crash between writing a dead letter and committing the offset writes it twice; readers identify it by its origin.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from schemas.topics import dead_letter_topic
from shared.messaging.producer import TOO_LARGE, Message, Producer
from shared.messaging.records import Record
from shared.messaging.tail import MAX_LISTED, read_tail
from shared.runtime.settings import KafkaSettings

PREFIX: Final = "couponry_dlq_"
FOREIGN: Final = "foreign_"
_OURS_OR_FOREIGN: Final = re.compile(f"(?:{FOREIGN})*{PREFIX}")
_FOREIGN: Final = re.compile(f"(?:{FOREIGN})+{PREFIX}")
FIRST: Final = PREFIX + "topic"
"""The first added header. Headers before it belong to the record."""
ERROR_TEXT_CHARACTERS: Final = 2_000
"""The longest error text stored. A validation error of a hostile record can have megabytes."""

SEND_ROUNDS: Final = 3
"""The number of attempts. Records that are too large, and those refused because of them, need a second round."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One dead letter. `record` is the original record; `position` is the offset in the dead-letter topic."""

    topic: str
    partition: int
    position: int
    record: Record
    service: str
    error_class: str
    error_text: str
    failed_at: datetime
    value_omitted: bool


class Letter(NamedTuple):
    """A record for the dead-letter topic, with the class and the text of its error, and the event's id if known."""

    record: Record
    error_class: str
    error_text: str
    event_id: str | None = None
    subject: str | None = None


class DeadLetterQueue:
    """Writes a consumer's dead letters to `<topic>.<service>.dlq`."""

    def __init__(self, settings: KafkaSettings, service_name: str) -> None:
        self._service = service_name
        self._producer = Producer(settings, f"couponry-{service_name}-dlq")

    async def bury(self, letters: Sequence[Letter]) -> None:
        """Write `letters`, and return once all are acknowledged.

        Raises:
            KafkaError, TimeoutError: the broker is unavailable or refuses; some may have been written.
        """
        left: list[tuple[Letter, bool]] = [(letter, False) for letter in letters]
        for _ in range(SEND_ROUNDS):
            refusals = await self._producer.send([self._message(letter, omit_value=omit) for letter, omit in left])
            # With our headers, a record at the broker's size limit exceeds it. Its value remains at its origin.
            left = [
                (letter, omit or isinstance(refusal, TOO_LARGE))
                for (letter, omit), refusal in zip(left, refusals, strict=True)
                if refusal is not None
            ]
            if not left:
                return
        raise next(refusal for refusal in refusals if refusal is not None)

    async def stop(self) -> None:
        await self._producer.stop()

    def _message(self, letter: Letter, *, omit_value: bool = False) -> Message:
        record = letter.record
        about = {
            "topic": record.topic,
            "partition": str(record.partition),
            "offset": str(record.offset),
            "timestamp_ms": str(record.timestamp_ms),
            "error_class": letter.error_class,
            "error_text": letter.error_text[:ERROR_TEXT_CHARACTERS],
            "service": self._service,
            "failed_at": datetime.now(UTC).isoformat(),
        }
        if omit_value:
            about["value_omitted"] = str(len(record.value or b""))
        ours = tuple((PREFIX + name, text.encode("utf-8", "replace")) for name, text in about.items())
        return Message(
            topic=dead_letter_topic(record.topic, self._service),
            key=record.key,
            # A record needs a key or a value; a raw one may have had neither.
            value=None if omit_value and record.key is not None else b"" if omit_value else _value(record),
            headers=(*(_escaped(name, content) for name, content in record.headers), *ours),
        )


def _value(record: Record) -> bytes | None:
    return b"" if record.value is None and record.key is None else record.value


def _escaped(name: str, content: bytes | None) -> tuple[str, bytes | None]:
    """Rename a record's header if its name could be taken for one of ours; `_unescaped` reverses it."""
    return (FOREIGN + name if _OURS_OR_FOREIGN.match(name) else name), content


def _unescaped(name: str, content: bytes | None) -> tuple[str, bytes | None]:
    return (name.removeprefix(FOREIGN) if _FOREIGN.match(name) else name), content


def read_back(raw: Any) -> DeadLetter | None:
    """Return a record of a dead-letter topic (aiokafka's ConsumerRecord) as a DeadLetter; None if it isn't one.

    Only the headers added last are trusted, and only an origin that belongs to this dead-letter topic.
    """
    headers: list[tuple[str, bytes | None]] = list(raw.headers)
    start = max((number for number, (name, _) in enumerate(headers) if name == FIRST), default=len(headers))
    about = {name.removeprefix(PREFIX): content or b"" for name, content in headers[start:] if name.startswith(PREFIX)}
    try:
        text = {name: value.decode("utf-8", "replace") for name, value in about.items()}
        if dead_letter_topic(text["topic"], text["service"]) != raw.topic:
            return None
        failed_at = datetime.fromisoformat(text["failed_at"])
        record = Record(
            topic=text["topic"],
            partition=int(text["partition"]),
            offset=int(text["offset"]),
            timestamp_ms=int(text["timestamp_ms"]),
            key=raw.key,
            value=raw.value,
            headers=tuple(_unescaped(name, content) for name, content in headers[:start]),
        )
        return DeadLetter(
            topic=raw.topic,
            partition=raw.partition,
            position=raw.offset,
            record=record,
            service=text["service"],
            error_class=text["error_class"],
            error_text=text["error_text"],
            failed_at=failed_at if failed_at.tzinfo is not None else failed_at.replace(tzinfo=UTC),
            value_omitted="value_omitted" in text,
        )
    except (KeyError, ValueError, OverflowError):
        return None


async def list_dead_letters(settings: KafkaSettings, topic: str, *, limit: int = 1_000) -> list[DeadLetter]:
    """Return the newest `limit` dead letters of a topic (the broker's name), oldest first, each origin once.

    Raises:
        OperatorError: the topic doesn't exist.
        KafkaError, TimeoutError: the broker is unavailable.
    """
    raw_records = await read_tail(settings, topic, limit, "couponry-dlq-reader")
    letters = [letter for raw in raw_records if (letter := read_back(raw)) is not None]
    by_origin = {(letter.record.topic, letter.record.partition, letter.record.offset): letter for letter in letters}
    return list(by_origin.values())[-limit:]


async def replay(settings: KafkaSettings, letters: Sequence[DeadLetter]) -> int:
    """Write the records of `letters` unchanged to the topics they came from, and return their number.

    Replaying twice is safe: a duplicate event has the same id, which the journal knows. Letters without their value
    are skipped. At most MAX_LISTED letters.

    Raises:
        KafkaError, TimeoutError: the broker is unavailable or refuses; some may have been written.
        ValueError: more than MAX_LISTED letters.
    """
    if len(letters) > MAX_LISTED:
        raise ValueError(f"at most {MAX_LISTED} dead letters can be replayed at once, not {len(letters)}")
    messages = [
        Message(letter.record.topic, letter.record.key, letter.record.value, letter.record.headers)
        for letter in letters
        if not letter.value_omitted
    ]
    async with Producer(settings, "couponry-dlq-replay") as producer:
        for result in await producer.send(messages):
            if result is not None:
                raise result
    return len(messages)
