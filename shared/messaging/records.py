"""Raw records, received events and outgoing events."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final, NamedTuple

from schemas.common import Event
from shared.constructor import constructor

Headers = tuple[tuple[str, bytes | None], ...]
"""Kafka headers in order. A name may occur more than once, and a value may be null."""


class Record(NamedTuple):
    """One Kafka record. `topic` is the broker's name, including a prefix; `timestamp_ms` counts from 1970, UTC.

    A tuple for speed, like the event and its attributes, because one is created for every record.
    """

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: Headers = ()

    @classmethod
    def unsent(cls, topic: str, value: bytes | None, headers: Headers = ()) -> "Record":
        """Return a record that is on no broker yet, without a key."""
        return cls(topic, partition=0, offset=0, timestamp_ms=0, key=None, value=value, headers=headers)


class ReceivedEvent(NamedTuple):
    """A decoded record: its CloudEvents attributes, and `data` as the frozen model of its type.

    `record` is the original record, for the offset and for a dead letter.
    """

    id: str
    source: str
    type: str
    data: Event
    record: Record
    subject: str | None = None
    time: datetime | None = None
    traceparent: str | None = None

    @property
    def command_id(self) -> str:
        """The id of the event's command: `<source> <id>`. It is unique, because a source has no blanks."""
        return f"{self.source} {self.id}"


new_record: Final = constructor(Record)
new_received_event: Final = constructor(ReceivedEvent)


@dataclass(frozen=True, slots=True, kw_only=True)
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
