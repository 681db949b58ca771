"""What travels between the broker and the services: raw records, read events, events to be written."""

from dataclasses import dataclass
from datetime import datetime

from schemas.common import Event

Headers = tuple[tuple[str, bytes | None], ...]
"""Kafka headers in their order; a name may stand more than once, and a value may be null."""


@dataclass(frozen=True, slots=True)
class Record:
    """One Kafka record as read. `topic` is the broker's name, with any prefix; `timestamp_ms` since 1970, UTC."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: Headers = ()


@dataclass(frozen=True, slots=True)
class ReceivedEvent:
    """A record that could be read: its CloudEvents attributes, and `data` as the frozen model of its type.

    `record` is where it came from: for the offset, and for a dead letter should the event turn out to be poison.
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
        """The id of what this event asks for: `<source> <id>`. A source has no blanks, so no two events share one."""
        return f"{self.source} {self.id}"


@dataclass(frozen=True, slots=True)
class OutgoingEvent:
    """An event to be written. `topic` is the broker's name, with any prefix; `data_json` the body, UTF-8 JSON."""

    id: str
    source: str
    type: str
    subject: str
    time: datetime
    topic: str
    key: str
    traceparent: str | None
    data_json: bytes
