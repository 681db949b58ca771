"""The codec: every wire format of an event, and records that aren't events."""

import json
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.catalogue import BY_TYPE
from schemas.orders import OrderPlaced
from schemas.topics import EVENT_TOPICS
from shared.messaging.codec import Codec, UnreadableRecord, decode, encode
from shared.messaging.records import OutgoingEvent, ReceivedEvent, Record

EXAMPLES = Path(__file__).parents[2] / "schemas" / "examples"
EVENT_EXAMPLES = sorted(path.stem for path in EXAMPLES.glob("*.json") if path.stem != "campaign")
STRUCTURED = (("content-type", b"application/cloudevents+json"),)
AVRO = ("content-type", b"application/avro")

# Slowness of a busy machine must not fail the test.
unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


def example(name: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((EXAMPLES / f"{name}.json").read_text("utf-8"))
    return document


def record(topic: str, value: bytes | None, *headers: tuple[str, bytes]) -> Record:
    return Record(topic, 3, 42, 1_795_339_800_000, b"key", value, headers)


def binary(document: dict[str, Any], **changes: bytes | None) -> Record:
    """Return a structured-mode document as a record in binary mode; a header changed to None is left out."""
    headers: dict[str, bytes | None] = {"content-type": b"application/json"}
    headers |= {
        f"ce_{name}": document[name].encode() for name in ("specversion", "id", "source", "type", "subject", "time")
    }
    headers |= {name.replace("content_type", "content-type"): value for name, value in changes.items()}
    present = [(name, value) for name, value in headers.items() if value is not None]
    return record(BY_TYPE[document["type"]].topic.name, json.dumps(document["data"]).encode(), *present)


def refusal(wrong: Record, codec: Codec | None = None) -> tuple[str, str]:
    with pytest.raises(UnreadableRecord) as caught:
        (codec or Codec()).decode(wrong)
    assert caught.value.text == str(caught.value)
    return caught.value.error_class, caught.value.text


@pytest.mark.parametrize("name", EVENT_EXAMPLES)
def test_an_example_reads_the_same_in_every_mode(name: str) -> None:
    document = example(name)
    topic, model = BY_TYPE[document["type"]].topic.name, BY_TYPE[document["type"]].model
    whole = json.dumps(document).encode()
    records = [
        binary(document),
        binary(document, content_type=None),
        binary(document, content_type=b"application/json; charset=utf-8"),
        record(topic, whole, *STRUCTURED),
        record(topic, whole),
        record(topic, whole, ("content-type", b"application/json")),
    ]
    for read in map(decode, records):
        assert (read.id, read.source, read.type) == (document["id"], document["source"], document["type"])
        assert (read.subject, read.time) == (document["subject"], datetime.fromisoformat(document["time"]))
        assert read.data == model.model_validate_json(json.dumps(document["data"]))
        assert read.record in records


def test_the_command_id_is_made_of_source_and_id() -> None:
    document = example("order_paid")
    assert decode(binary(document)).command_id == "/shop 0199f6a2-5c1e-7b43-9a51-3d0c8f6b2a10"


def test_the_trace_of_a_record_is_kept() -> None:
    trace = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    assert decode(binary(example("order_paid"), traceparent=trace)).traceparent == trace.decode()


@pytest.mark.parametrize("mode", ["binary", "structured"])
def test_an_amount_that_is_a_number_keeps_its_digits(mode: str) -> None:
    document = example("order_placed")
    read = binary(document) if mode == "binary" else record("orders", json.dumps(document).encode())
    assert read.value is not None
    value = read.value.replace(b'"125.00"', b"12345678901234567.10").replace(b'"25.00"', b"25.00")
    data = decode(record("orders", value, *read.headers)).data
    assert isinstance(data, OrderPlaced)
    assert data.lines is not None
    assert (data.amount, data.lines[1].unit_price) == ("12345678901234567.10", "25.00")


ORDER = example("order_placed")


@pytest.mark.parametrize(
    ("wrong", "error_class", "text"),
    [
        (record("orders", None), "empty_value", "The record has no value; send the event as its value."),
        (record("orders", b""), "empty_value", "The record has no value; send the event as its value."),
        (record("orders", b"hello"), "bad_envelope", "No CloudEvent was found: send the attributes as ce_ headers"),
        (record("orders", b"{}"), "bad_envelope", 'specversion: is missing; send "1.0".'),
        (record("orders", b"{", *STRUCTURED), "bad_envelope", "No CloudEvent was found"),
        (binary(ORDER, ce_specversion=None), "bad_envelope", 'ce_specversion: is missing; send "1.0".'),
        (binary(ORDER, ce_specversion=b"0.3"), "bad_envelope", "ce_specversion: this version of CloudEvents"),
        (binary(ORDER, ce_id=None), "bad_envelope", "ce_id: is missing or empty."),
        (binary(ORDER, ce_id=b""), "bad_envelope", "ce_id: is missing or empty."),
        (
            binary(ORDER, ce_source=b"/my shop"),
            "bad_envelope",
            'ce_source: must have no blanks; write it like "/shop".',
        ),
        (binary(ORDER, ce_type=None), "bad_envelope", "ce_type: is missing or empty."),
        (binary(ORDER, ce_time=b"now"), "bad_envelope", "ce_time: must be a date and time with its time zone"),
        (binary(ORDER, content_type=b"text/xml"), "bad_envelope", "content-type: must be application/json"),
        (
            binary(ORDER, ce_type=b"order.shipped"),
            "unknown_type",
            "The type 'order.shipped' is not known; the topic orders carries order.placed, order.changed, order.paid, "
            "order.payment_failed, order.cancelled, order.returned.",
        ),
        (binary(ORDER, ce_type=b"reward.earned"), "wrong_topic", "reward.earned belongs to the topic rewards; send it"),
        (
            record("elsewhere", json.dumps(ORDER).encode()),
            "unknown_topic",
            "Couponry reads no events from the topic elsewhere.",
        ),
        (
            record("orders", json.dumps({**ORDER, "data": {**ORDER["data"], "amount": "-1"}}).encode()),
            "bad_data",
            'data.amount: must be an amount of at least 0 written as a decimal string, for example "125.00".',
        ),
        (
            binary({**ORDER, "data": {**ORDER["data"], "currency": "us"}}),
            "bad_data",
            "currency: must be a currency of",
        ),
        (binary({**ORDER, "data": {**ORDER["data"], "customer": {}}}), "bad_data", "customer: has no identifier; give"),
        (record("orders", json.dumps({**ORDER, "data": None}).encode()), "bad_data", "data: must be an object."),
        (
            record("orders", json.dumps({k: v for k, v in ORDER.items() if k != "data"}).encode()),
            "bad_data",
            "data: is missing.",
        ),
        (record("orders", json.dumps({**ORDER, "data": "{}"}).encode()), "bad_data", "data: must be an object."),
        (binary({**ORDER, "data": []}), "bad_data", "Must be an object."),
    ],
)
def test_a_record_that_is_not_an_event_is_unreadable_with_a_reason(wrong: Record, error_class: str, text: str) -> None:
    found_class, found_text = refusal(wrong)
    assert (found_class, found_text[: len(text)]) == (error_class, text)


def test_an_unknown_type_is_shown_shortened() -> None:
    _, text = refusal(binary(ORDER, ce_type=b"x" * 255))
    assert "x" * 80 in text
    assert "x" * 81 not in text


def test_a_prefix_belongs_to_the_topic_names() -> None:
    codec = Codec(topic_prefix="test-")
    document = json.dumps(ORDER).encode()
    assert codec.decode(record("test-orders", document)).type == "order.placed"
    assert refusal(record("orders", document), codec)[0] == "unknown_topic"
    assert (
        refusal(record("test-rewards", document), codec)[1]
        == "order.placed belongs to the topic test-orders; send it there."
    )


NAMES = st.sampled_from(
    ["content-type", *(f"ce_{n}" for n in ("specversion", "id", "source", "type", "time", "dataschema"))]
)
VALUES = st.binary(max_size=40) | st.sampled_from(
    [b"1.0", b"/shop", b"order.placed", b"order.paid", b"2026-11-22T09:30:00Z", b"urn:couponry:order.paid:v1"]
    + [f"application/{kind}".encode() for kind in ("avro", "json", "cloudevents+json")]
)


@unhurried
@given(
    topic=st.sampled_from([topic.name for topic in EVENT_TOPICS]) | st.text(max_size=5),
    value=st.none() | st.binary(max_size=200),
    headers=st.lists(st.tuples(NAMES | st.text(max_size=5), VALUES), max_size=8),
)
def test_a_record_of_any_bytes_is_read_or_unreadable(
    topic: str, value: bytes | None, headers: list[tuple[str, bytes]]
) -> None:
    assert isinstance(outcome(record(topic, value, *headers)), ReceivedEvent | UnreadableRecord)


@unhurried
@given(body=st.binary(min_size=1, max_size=200), type_name=st.sampled_from(sorted(BY_TYPE)))
def test_an_avro_body_of_any_bytes_is_read_or_unreadable(body: bytes, type_name: str) -> None:
    headers = binary({**ORDER, "type": type_name}, ce_dataschema=f"urn:couponry:{type_name}:v1".encode()).headers
    avro = [AVRO, *(header for header in headers if header[0] != "content-type")]
    found = outcome(record(BY_TYPE[type_name].topic.name, body, *avro))
    assert isinstance(found, ReceivedEvent) or found.error_class == "bad_data"


@unhurried
@given(at=st.integers(min_value=0), byte=st.binary(max_size=3))
def test_a_damaged_record_is_read_or_unreadable(at: int, byte: bytes) -> None:
    value = json.dumps(ORDER).encode()
    place = at % len(value)
    damaged = value[:place] + byte + value[place + 1 :]
    assert isinstance(outcome(record("orders", damaged)), ReceivedEvent | UnreadableRecord)


def outcome(read: Record) -> ReceivedEvent | UnreadableRecord:
    try:
        return decode(read)
    except UnreadableRecord as error:
        return error


def test_a_header_without_a_value_counts_as_absent() -> None:
    headers = (*binary(ORDER).headers, ("ce_subject", None))
    read = Record("orders", 0, 0, 0, None, json.dumps(ORDER["data"]).encode(), headers)  # type: ignore[arg-type]
    assert decode(read).subject is None


# --- writing


def outgoing(name: str, **changes: Any) -> OutgoingEvent:
    document = example(name)
    event = {
        "id": document["id"],
        "source": document["source"],
        "type": document["type"],
        "subject": document["subject"],
        "time": datetime(2026, 11, 22, 9, 30, 0, 150_000, tzinfo=UTC),
        "topic": BY_TYPE[document["type"]].topic.name,
        "key": document["subject"],
        "traceparent": None,
        "data_json": json.dumps(document["data"]).encode(),
    }
    return OutgoingEvent(**(event | changes))


def test_an_event_is_written_in_binary_mode() -> None:
    event = outgoing("coupon_redeemed", traceparent="00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
    key, value, headers = encode(event)
    assert (key, value) == (b"ORD456", event.data_json)
    assert headers == [
        ("content-type", b"application/json"),
        ("ce_specversion", b"1.0"),
        ("ce_id", b"0199f6a2-5c1e-7b43-9a51-3d0c8f6b2a10"),
        ("ce_source", b"/couponry/redeemer"),
        ("ce_type", b"coupon.redeemed"),
        ("ce_time", b"2026-11-22T09:30:00.150000Z"),
        ("ce_subject", b"ORD456"),
        ("traceparent", b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
    ]


@pytest.mark.parametrize("event_format", ["json", "avro"])
@pytest.mark.parametrize("name", EVENT_EXAMPLES)
def test_a_written_event_is_read_back(name: str, event_format: Any) -> None:
    codec, event = Codec(event_format=event_format), outgoing(name)
    _, value, headers = codec.encode(event)
    read = codec.decode(record(event.topic, value, *headers))
    assert (read.id, read.source, read.type, read.subject) == (event.id, event.source, event.type, event.subject)
    assert read.time == event.time
    assert read.data == BY_TYPE[event.type].model.model_validate_json(event.data_json)


def test_a_time_of_another_zone_is_written_with_its_zone() -> None:
    moment = datetime(2026, 11, 22, 10, 30, tzinfo=timezone(timedelta(hours=1)))
    _, value, headers = encode(outgoing("order_paid", time=moment))
    assert dict(headers)["ce_time"] == b"2026-11-22T10:30:00+01:00"
    assert decode(record("orders", value, *headers)).time == moment


def test_texts_outside_of_ascii_are_written_as_utf8() -> None:
    key, value, headers = encode(outgoing("order_paid", subject="Bestellung-ß", key="Bestellung-ß"))
    assert key == "Bestellung-ß".encode()
    assert decode(record("orders", value, *headers)).subject == "Bestellung-ß"


def test_the_number_of_cached_sources_is_limited() -> None:
    codec = Codec()
    for number in range(1_000):
        codec.encode(outgoing("order_paid", source=f"/shop/{number}"))
    assert len(codec._names) <= 256
