"""Raw records, received events and outgoing events."""

from dataclasses import dataclass
from datetime import datetime

from schemas.common import Event

Headers = tuple[tuple[str, bytes | None], ...]
"""Kafka headers in order. A name may occur more than once, and a value may be null."""


@dataclass(frozen=True, slots=True)
class Record:
    """One Kafka record. `topic` is the broker's name, including a prefix; `timestamp_ms` counts from 1970, UTC."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: Headers = ()


@dataclass(frozen=True, slots=True)
class ReceivedEvent:
    """A decoded record: its CloudEvents attributes, and `data` as the frozen model of its type.

    `record` is the original record, for the offset and for a dead letter.
    """

    id: str
    source: str
    type: str
    subject: str | None
    time: datetime | None
    traceparent: str | None
    data: Event
    record: Record

    @property
    def command_id(self) -> str:
        """The id of the event's command: `<source> <id>`. It is unique, because a source has no blanks."""
        return f"{self.source} {self.id}"


@dataclass(frozen=True, slots=True)
class OutgoingEvent:
    """An event to write. `topic` is the broker's name, including a prefix; `data_json` is the body as UTF-8 JSON."""

    id: str
    source: str
    type: str
    subject: str
    time: datetime
    topic: str
    key: str
    traceparent: str | None
    data_json: bytes
