"""Convert Kafka records to events and back. Only this module knows the wire format.

Reads CloudEvents 1.0 in binary and in structured mode, JSON and Avro; writes binary mode. Decoding is the hot path of
the redeemer and encoding that of the relay, so the common case comes first and all others are in separate functions.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final, Literal

from pydantic import create_model

from schemas.catalogue import BY_TYPE, CATALOGUE, EventType, types_on
from schemas.common import Event, EventPart
from schemas.limits import MAX_DOCUMENT_BYTES
from schemas.parsing import InvalidDocumentError, parse
from schemas.registry import SchemaRegistry
from schemas.salvage import salvaged, without_conflicts
from schemas.topics import EVENT_TOPICS
from shared.messaging import cloudevents
from shared.messaging.avro_body import MAGIC, AvroBodies
from shared.messaging.cloudevents import Attributes
from shared.messaging.records import OutgoingEvent, ReceivedEvent, Record, new_received_event

ErrorClass = Literal["empty_value", "bad_envelope", "unknown_topic", "unknown_type", "wrong_topic", "bad_data"]
"""The reason for an unreadable record. `empty_value`: it has no value (a tombstone). `bad_envelope`: its CloudEvents
attributes or content type are wrong. `unknown_topic`, `unknown_type`: Couponry doesn't read these. `wrong_topic`: the
type belongs to another topic. `bad_data`: the body can't be decoded or doesn't match its schema."""

Encoded = tuple[bytes, bytes, list[tuple[str, bytes]]]
"""A record to write: key, value, headers."""

MAX_NAME_SHOWN: Final = 80
_MAX_CACHED_NAMES: Final = 256


class UnreadableRecord(Exception):  # noqa: N818 - named after the record; the consumer makes a dead letter of it
    """A record that can never be read, not even by a retry. The text says what to do about it."""

    def __init__(self, error_class: ErrorClass, text: str) -> None:
        super().__init__(text)
        self.error_class = error_class
        self.text = text


class Codec:
    """Reads and writes records. Use one per process; not safe for several threads.

    `topic_prefix` precedes every topic name on this broker. `registry` provides Avro schemas; without one the schemas
    in this repository are used. `event_format` applies to written events; both formats are read.
    """

    def __init__(
        self,
        *,
        topic_prefix: str = "",
        registry: SchemaRegistry | None = None,
        event_format: Literal["json", "avro"] = "json",
    ) -> None:
        self._avro = AvroBodies(registry)
        self._prefix = topic_prefix
        self._readable: dict[str, Mapping[str, EventType]] = {
            topic.prefixed(topic_prefix): {name: BY_TYPE[name] for name in types_on(topic.name)}
            for topic in EVENT_TOPICS
        }
        self._names: dict[str, bytes] = {}
        self._event_format = event_format

    def decode(self, record: Record) -> ReceivedEvent:
        """Return the event in a record.

        Raises UnreadableRecord for bytes of any kind that aren't a valid event, and SchemaRegistryUnavailableError
        (transient: the record may be fine) for an Avro body while a configured registry is unavailable.
        """
        value = record.value
        if not value:
            raise UnreadableRecord("empty_value", "The record has no value; send the event as its value.")
        if len(value) > MAX_DOCUMENT_BYTES:
            raise UnreadableRecord("bad_data", f"The record has {len(value):,} bytes; at most {MAX_DOCUMENT_BYTES:,}.")
        headers = dict(record.headers)
        kind = cloudevents.content_kind(headers.get("content-type"))
        if kind == "structured" or not cloudevents.has_attributes(headers):
            return self._decode_structured(record, value)
        try:
            attributes = cloudevents.from_headers(headers, kind)
        except InvalidDocumentError as error:
            raise UnreadableRecord("bad_envelope", str(error)) from None
        entry = self._entry(record.topic, attributes.type)
        try:
            if kind == "avro" or (kind == "none" and value[0] == MAGIC):
                value = self._avro.to_json(value, entry.name, attributes.dataschema)
            data: Event = parse(entry.model, value)
        except InvalidDocumentError as error:
            data = _salvaged(entry, value, error)
        return _received(attributes, data, record)

    def encode(self, event: OutgoingEvent) -> Encoded:
        """Return an event as a record: CloudEvents in binary mode.

        JSON is written unchanged from `data_json`. Avro raises SchemaRegistryUnavailableError (transient),
        UnknownSchemaError if the registry refuses the schema, or pydantic's ValidationError for invalid data.
        """
        headers = [
            ("content-type", b"application/json"),
            ("ce_specversion", b"1.0"),
            ("ce_id", event.id.encode()),
            ("ce_source", self._name(event.source)),
            ("ce_type", self._name(event.type)),
            ("ce_time", _time_text(event.time).encode()),
        ]
        if event.subject:  # empty if coupons were issued without a customer id; CloudEvents allows no empty subject
            headers.append(("ce_subject", event.subject.encode()))
        if event.traceparent is not None:
            headers.append(("traceparent", event.traceparent.encode()))
        if self._event_format == "json":
            return event.key.encode(), event.data_json, headers
        headers[0] = ("content-type", b"application/avro")
        body, dataschema = self._avro.from_json(event.data_json, event.type, event.topic)
        if dataschema is not None:
            headers.append(("ce_dataschema", dataschema.encode()))
        return event.key.encode(), body, headers

    def _decode_structured(self, record: Record, value: bytes) -> ReceivedEvent:
        try:
            attributes = cloudevents.from_document(value)
        except InvalidDocumentError as error:
            raise UnreadableRecord("bad_envelope", str(error)) from None
        entry = self._entry(record.topic, attributes.type)
        try:
            envelope: Any = parse(_ENVELOPES[entry.name], value)
        except InvalidDocumentError as error:
            return _received(attributes, _salvaged(entry, value, error, ("data",)), record)
        return _received(attributes, envelope.data, record)

    def _entry(self, topic: str, type_name: str) -> EventType:
        readable = self._readable.get(topic)
        if readable is None:
            raise UnreadableRecord(
                "unknown_topic", f"Couponry reads no events from the topic {topic[:MAX_NAME_SHOWN]}."
            )
        entry = readable.get(type_name)
        if entry is not None:
            return entry
        elsewhere = BY_TYPE.get(type_name)
        if elsewhere is not None:
            right = elsewhere.topic.prefixed(self._prefix)
            raise UnreadableRecord("wrong_topic", f"{type_name} belongs to the topic {right}; send it there.")
        raise UnreadableRecord(
            "unknown_type",
            f"The type {type_name[:MAX_NAME_SHOWN]!r} is not known; the topic {topic} carries {', '.join(readable)}.",
        )

    def _name(self, text: str) -> bytes:
        """Return `text` as bytes from a cache: there are few sources and types."""
        found = self._names.get(text)
        if found is None:
            if len(self._names) >= _MAX_CACHED_NAMES:
                self._names.clear()
            found = self._names[text] = text.encode()
        return found


_ENVELOPES: Final[Mapping[str, type[EventPart]]] = {
    entry.name: create_model(f"Structured{entry.model.__name__}", __base__=EventPart, data=(entry.model, ...))
    for entry in CATALOGUE
}
"""One model per type for a whole structured-mode document, so that amounts in its data keep their digits."""


def _salvaged(entry: EventType, value: bytes, error: InvalidDocumentError, inside: tuple[str, ...] = ()) -> Event:
    """Return the event without a field that is invalid. Raises UnreadableRecord if it can't be used without it."""
    data = salvaged(entry.model, value, error, inside)
    if data is None:
        raise UnreadableRecord("bad_data", str(error)) from None
    return data


def _received(attributes: Attributes, data: Event, record: Record) -> ReceivedEvent:
    problem = data.problem()
    if problem is not None:
        in_part = without_conflicts(data)
        if in_part is None:
            raise UnreadableRecord("bad_data", problem)
        data = in_part
    return new_received_event(
        id=attributes.id,
        source=attributes.source,
        type=attributes.type,
        subject=attributes.subject,
        time=attributes.time,
        traceparent=attributes.traceparent,
        data=data,
        record=record,
    )


def _time_text(time: datetime) -> str:
    text = time.isoformat()
    return text[:-6] + "Z" if time.tzinfo is UTC else text


_DEFAULT: Final = Codec()
decode = _DEFAULT.decode
"""`Codec.decode` without prefix and registry."""
encode = _DEFAULT.encode
"""`Codec.encode` to JSON."""
