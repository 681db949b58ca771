"""CloudEvents 1.0 on Kafka: read an event's attributes from a record and check them.

Binary mode: attributes in `ce_` headers, the value is the data. Structured mode: the value is one JSON object with the
attributes and `data`. Source: CloudEvents 1.0.2, Kafka protocol binding.
"""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, Literal, NamedTuple

import orjson

from schemas.limits import CONTROL_CHARACTERS, EARLIEST, LATEST, MAX_ATTRIBUTE_BYTES, MAX_ATTRIBUTE_LENGTH
from schemas.parsing import InvalidDocumentError
from shared.constructor import constructor

SPECVERSION: Final = "1.0"
SPECVERSION_BYTES: Final = SPECVERSION.encode()

ContentKind = Literal["json", "avro", "structured", "none", "other"]
Headers = Mapping[str, bytes | None]

# W3C trace context: version, trace id, parent id, flags. Anything else is ignored, as the standard requires.
_TRACEPARENT: Final = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")

_KINDS: Final[dict[bytes | None, ContentKind]] = {
    None: "none",
    b"": "none",
    b"application/json": "json",
    b"application/avro": "avro",
    b"application/cloudevents+json": "structured",
}


class Attributes(NamedTuple):
    """An event's checked attributes. A tuple for speed, because one is created for every record."""

    id: str
    source: str
    type: str
    subject: str | None
    time: datetime | None
    traceparent: str | None
    dataschema: str | None = None


_new_attributes: Final = constructor(Attributes)


def content_kind(content_type: bytes | None) -> ContentKind:
    """Return the kind of value that a content-type header declares. Parameters ("; charset=utf-8") are ignored."""
    kind = _KINDS.get(content_type)
    if kind is not None:
        return kind
    essence = (content_type or b"").split(b";", 1)[0].strip().lower()
    kind = _KINDS.get(essence)
    if kind is not None:
        return kind
    if essence.startswith(b"application/cloudevents"):
        return "other"
    if essence.endswith((b"+json", b"/json")):
        return "json"
    return "avro" if essence == b"avro/binary" else "other"


def from_headers(headers: Headers, kind: ContentKind) -> Attributes:
    """Return the attributes of a record in binary mode. Raises InvalidDocumentError."""
    if headers.get("ce_specversion") != SPECVERSION_BYTES:
        _check_specversion("ce_specversion", _header(headers, "ce_specversion"))
    if kind == "other":
        raise InvalidDocumentError(
            "content-type: must be application/json, application/avro or application/cloudevents+json."
        )
    # Without loops, because this runs for every record.
    traceparent = headers.get("traceparent")
    return _new_attributes(
        id=_name("ce_id", _header(headers, "ce_id")),
        source=_source("ce_source", _header(headers, "ce_source")),
        type=_name("ce_type", _header(headers, "ce_type")),
        subject=_header(headers, "ce_subject"),
        time=_time("ce_time", _header(headers, "ce_time")),
        traceparent=_traceparent(traceparent.decode("ascii", "replace")) if traceparent else None,
        dataschema=_header(headers, "ce_dataschema"),
    )


def has_attributes(headers: Headers) -> bool:
    """Return whether the headers belong to a CloudEvent in binary mode, complete or not."""
    return "ce_specversion" in headers or "ce_type" in headers or "ce_id" in headers or "ce_source" in headers


def from_document(value: bytes) -> Attributes:
    """Return the attributes of a record in structured mode. Raises InvalidDocumentError."""
    try:
        document = orjson.loads(value)
    except orjson.JSONDecodeError:
        document = None
    if not isinstance(document, dict):
        raise InvalidDocumentError(
            "No CloudEvent was found: send the attributes as ce_ headers with the data as the value, "
            "or send one JSON object with specversion, id, source, type and data."
        )
    _check_specversion("specversion", document.get("specversion"))
    if "data_base64" in document:
        raise InvalidDocumentError("data_base64: is not supported; send data as a JSON object, or use binary mode.")
    content_type = document.get("datacontenttype")
    if content_type is not None and (
        not isinstance(content_type, str) or content_kind(content_type.encode()) != "json"
    ):
        raise InvalidDocumentError('datacontenttype: must be "application/json" in structured mode.')
    return Attributes(
        id=_name("id", _member(document, "id")),
        source=_source("source", _member(document, "source")),
        type=_name("type", _member(document, "type")),
        subject=_member(document, "subject"),
        time=_time("time", _member(document, "time")),
        traceparent=_traceparent(document.get("traceparent")),
    )


def _check_specversion(name: str, value: Any) -> None:
    if not value:
        raise InvalidDocumentError(f'{name}: is missing; send "{SPECVERSION}".')
    if value != SPECVERSION:
        raise InvalidDocumentError(f'{name}: this version of CloudEvents is not supported; send "{SPECVERSION}".')


def _header(headers: Headers, name: str) -> str | None:
    value = headers.get(name)
    if not value:
        return None
    try:
        text = value.decode()
    except UnicodeDecodeError:
        raise InvalidDocumentError(f"{name}: is not valid UTF-8.") from None
    return _checked(name, text)


def _name(name: str, text: str | None) -> str:
    if not text or text.isspace():
        raise InvalidDocumentError(f"{name}: is missing or empty.")
    if len(text) * 4 > MAX_ATTRIBUTE_BYTES and len(text.encode()) > MAX_ATTRIBUTE_BYTES:
        raise InvalidDocumentError(f"{name}: must have at most {MAX_ATTRIBUTE_BYTES} bytes in UTF-8.")
    return text


def _source(name: str, text: str | None) -> str:
    source = _name(name, text)
    if " " in source:
        raise InvalidDocumentError(f'{name}: must have no blanks; write it like "/shop".')
    return source


def _member(document: dict[str, Any], name: str) -> str | None:
    value = document.get(name)
    if value is None:
        return None
    if not isinstance(value, str):
        raise InvalidDocumentError(f"{name}: must be a string.")
    return _checked(name, value)


def _checked(name: str, text: str) -> str:
    if len(text) > MAX_ATTRIBUTE_LENGTH:
        raise InvalidDocumentError(f"{name}: must have at most {MAX_ATTRIBUTE_LENGTH} characters.")
    # isprintable() is False for control characters and for every blank but the space. Subjects are ids that Couponry
    # accepted and may hold such blanks and joiners; CloudEvents only forbids control characters.
    if not text.isprintable() and (not name.endswith("subject") or CONTROL_CHARACTERS.search(text)):
        raise InvalidDocumentError(f"{name}: must have no control characters and no blanks but the plain space.")
    return text


def _time(name: str, text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        time = datetime.fromisoformat(text)
        # Comparing a time without a zone raises TypeError.
        if EARLIEST <= time <= LATEST:
            return time
    except (TypeError, ValueError, OverflowError):
        pass
    raise InvalidDocumentError(
        f'{name}: must be a date and time with its time zone, for example "2026-11-22T09:30:00Z".'
    )


def _traceparent(value: Any) -> str | None:
    return value if isinstance(value, str) and _TRACEPARENT.fullmatch(value) else None
