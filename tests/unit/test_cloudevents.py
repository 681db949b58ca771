"""CloudEvents attributes: reading them from a record, and the errors about wrong ones."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from schemas.parsing import InvalidDocumentError
from shared.messaging.cloudevents import content_kind, from_document, from_headers, has_attributes

HEADERS = {
    "ce_specversion": b"1.0",
    "ce_id": b"e-1",
    "ce_source": b"/shop",
    "ce_type": b"order.paid",
    "ce_time": b"2026-11-22T09:30:00Z",
    "ce_subject": b"ORD456",
}
DOCUMENT = {
    "specversion": "1.0",
    "id": "e-1",
    "source": "/shop",
    "type": "order.paid",
    "time": "2026-11-22T09:30:00Z",
    "subject": "ORD456",
    "data": {},
}
TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def test_both_modes_give_the_same_attributes() -> None:
    attributes = from_headers(HEADERS, "json")
    assert attributes == from_document(json.dumps(DOCUMENT).encode())
    assert attributes == ("e-1", "/shop", "order.paid", "ORD456", datetime(2026, 11, 22, 9, 30, tzinfo=UTC), None, None)


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("specversion", None, 'specversion: is missing; send "1.0".'),
        ("specversion", "0.3", 'specversion: this version of CloudEvents is not supported; send "1.0".'),
        ("id", None, "id: is missing or empty."),
        ("id", "", "id: is missing or empty."),
        ("id", "  ", "id: is missing or empty."),
        ("id", "a\nb", "id: must have no control characters and no blanks but the plain space."),
        ("id", "a\0b", "id: must have no control characters and no blanks but the plain space."),
        ("id", "x" * 256, "id: must have at most 255 characters."),
        ("id", "字" * 255, None),
        ("id", "😀" * 192, "id: must have at most 765 bytes in UTF-8."),
        ("source", "/" + "😀" * 192, "source: must have at most 765 bytes in UTF-8."),
        ("subject", "😀\u200d\u00a0" * 85, None),
        ("source", None, "source: is missing or empty."),
        ("source", "", "source: is missing or empty."),
        ("source", "/my shop", 'source: must have no blanks; write it like "/shop".'),
        ("source", "/my\tshop", "source: must have no control characters and no blanks but the plain space."),
        ("source", "/my\u00a0shop", "source: must have no control characters and no blanks but the plain space."),
        ("type", None, "type: is missing or empty."),
        ("subject", "a\rb", "subject: must have no control characters and no blanks but the plain space."),
        ("time", "yesterday", 'time: must be a date and time with its time zone, for example "2026-11-22T09:30:00Z".'),
        ("time", "2026-11-22T09:30:00", "time: must be a date and time with its time zone"),
        ("time", "9999-12-31T23:59:59-01:00", "time: must be a date and time with its time zone"),
    ],
)
def test_a_wrong_attribute_is_refused_in_both_modes(name: str, value: str | None, text: str | None) -> None:
    headers = {key: member for key, member in HEADERS.items() if value is not None or key != f"ce_{name}"}
    document: dict[str, Any] = {**DOCUMENT, name: value}
    if value is not None:
        headers[f"ce_{name}"] = value.encode()
    if text is None:
        assert from_headers(headers, "json") == from_document(json.dumps(document).encode())
        return
    with pytest.raises(InvalidDocumentError) as in_headers:
        from_headers(headers, "json")
    with pytest.raises(InvalidDocumentError) as in_document:
        from_document(json.dumps(document).encode())
    assert str(in_headers.value).startswith(f"ce_{text}")
    assert str(in_document.value).startswith(text)


@pytest.mark.parametrize("name", ["id", "source", "type", "subject", "time"])
@pytest.mark.parametrize("value", [7, True, {}, []])
def test_an_attribute_with_a_wrong_json_type_is_refused(name: str, value: Any) -> None:
    with pytest.raises(InvalidDocumentError, match=f"^{name}: must be a string"):
        from_document(json.dumps({**DOCUMENT, name: value}).encode())


def test_a_header_that_is_not_utf8_is_refused() -> None:
    with pytest.raises(InvalidDocumentError, match=r"^ce_id: is not valid UTF-8\.$"):
        from_headers({**HEADERS, "ce_id": b"\xff"}, "json")


@pytest.mark.parametrize("name", ["subject", "time"])
def test_subject_and_time_may_be_absent(name: str) -> None:
    headers = {key: value for key, value in HEADERS.items() if key != f"ce_{name}"}
    document = {key: value for key, value in DOCUMENT.items() if key != name}
    assert getattr(from_headers(headers, "json"), name) is None
    assert getattr(from_document(json.dumps(document).encode()), name) is None


def test_the_trace_is_passed_on_and_a_broken_one_is_ignored() -> None:
    def trace(value: str) -> list[str | None]:
        headers, document = {**HEADERS, "traceparent": value.encode()}, {**DOCUMENT, "traceparent": value}
        return [from_headers(headers, "json").traceparent, from_document(json.dumps(document).encode()).traceparent]

    assert trace(TRACEPARENT) == [TRACEPARENT, TRACEPARENT]
    assert trace("00-ff") == [None, None]
    assert trace(TRACEPARENT + "\n") == [None, None]
    assert from_headers({**HEADERS, "traceparent": b"\xff"}, "json").traceparent is None


@pytest.mark.parametrize(
    ("content_type", "kind"),
    [
        (None, "none"),
        (b"", "none"),
        (b"application/json", "json"),
        (b"application/json; charset=utf-8", "json"),
        (b" Application/JSON ", "json"),
        (b"application/vnd.shop+json", "json"),
        (b"text/json", "json"),
        (b"application/avro", "avro"),
        (b"avro/binary", "avro"),
        (b"application/cloudevents+json", "structured"),
        (b"application/cloudevents+json; charset=UTF-8", "structured"),
        (b"application/cloudevents-batch+json", "other"),
        (b"application/cloudevents+avro", "other"),
        (b"text/plain", "other"),
        (b"\xff\xfe", "other"),
    ],
)
def test_a_content_type_declares_the_kind_of_value(content_type: bytes | None, kind: str) -> None:
    assert content_kind(content_type) == kind


def test_a_content_type_that_can_not_be_read_is_refused() -> None:
    with pytest.raises(InvalidDocumentError, match=r"^content-type: must be application/json, application/avro or"):
        from_headers(HEADERS, "other")


@pytest.mark.parametrize("name", ["ce_specversion", "ce_id", "ce_source", "ce_type"])
def test_one_attribute_among_the_headers_means_binary_mode(name: str) -> None:
    assert has_attributes({name: b"x"})
    assert not has_attributes({"x-request-id": b"x"})


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (b"hello", "No CloudEvent was found: send the attributes as ce_ headers with the data as the value,"),
        (b"[]", "No CloudEvent was found: send the attributes as ce_ headers with the data as the value,"),
        (b"\x00\x00\x00\x00\x01abc", "No CloudEvent was found"),
        (b"{}", 'specversion: is missing; send "1.0".'),
        (json.dumps({**DOCUMENT, "data_base64": "e30="}).encode(), "data_base64: is not supported; send data as a"),
        (
            json.dumps({**DOCUMENT, "datacontenttype": "text/xml"}).encode(),
            'datacontenttype: must be "application/json"',
        ),
        (json.dumps({**DOCUMENT, "datacontenttype": 1}).encode(), 'datacontenttype: must be "application/json"'),
    ],
)
def test_a_value_that_is_not_a_cloud_event_is_refused(value: bytes, text: str) -> None:
    with pytest.raises(InvalidDocumentError) as caught:
        from_document(value)
    assert str(caught.value).startswith(text)
