"""Every event that Couponry writes is valid by its model, JSON Schema and Avro schema, and is read back unchanged."""

import json
from collections.abc import Iterator
from datetime import UTC
from functools import cache
from pathlib import Path
from typing import Any, Literal

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from jsonschema import Draft202012Validator

import schemas
from schemas.catalogue import BY_TYPE
from schemas.common import Event
from schemas.limits import MAX_WRITTEN_BYTES
from schemas.parsing import parse
from shared.messaging.codec import Codec, Encoded
from shared.messaging.records import OutgoingEvent, Record
from tests.builders import NOW
from tests.schema_strategies import event_json

FORMATS: tuple[Literal["json", "avro"], ...] = ("json", "avro")
unhurried = settings(
    deadline=None,
    max_examples=40,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
)


@cache
def json_schema(type_name: str) -> Draft202012Validator:
    file = Path(schemas.__file__).parent / "json" / f"{type_name}.schema.json"
    return Draft202012Validator(json.loads(file.read_text("utf-8")))


@cache
def codec(event_format: Literal["json", "avro"]) -> Codec:
    return Codec(event_format=event_format)


def outgoing(type_name: str, data: bytes, subject: str = "ORD456") -> OutgoingEvent:
    topic = BY_TYPE[type_name].topic.name
    return OutgoingEvent(
        id="e-1",
        source="/couponry/ledger",
        type=type_name,
        subject=subject,
        time=NOW,
        topic=topic,
        key=subject,
        traceparent=None,
        data_json=data,
    )


def record(topic: str, encoded: Encoded) -> Record:
    key, value, headers = encoded
    return Record(topic, 0, 0, 0, key, value, tuple(headers))


def check_written(type_name: str, data: bytes, subject: str = "ORD456") -> None:
    """Fail unless `data` is valid three times and is read back unchanged from both formats."""
    model = BY_TYPE[type_name].model
    expected = parse(model, data)
    problems = list(json_schema(type_name).iter_errors(json.loads(data)))
    assert not problems, problems[0]
    event = outgoing(type_name, data, subject)
    for event_format in FORMATS:
        encoded = codec(event_format).encode(event)
        read = codec(event_format).decode(record(event.topic, encoded))
        assert read.data == expected, event_format
        assert (read.id, read.source, read.subject or "") == (event.id, event.source, subject)
        # The same for the JSON text: equal models could still differ in 1 and 1.0, or in how a number is written.
        assert shown(read.data) == shown(expected)


def shown(data: Event) -> str:
    return json.dumps(data.model_dump(), sort_keys=True, default=lambda moment: moment.astimezone(UTC).isoformat())


@pytest.mark.parametrize("type_name", sorted(BY_TYPE))
def test_any_event_allowed_by_its_schema_is_read_back_unchanged(type_name: str) -> None:
    @unhurried
    @given(event_json(type_name))
    def check(data: bytes) -> None:
        check_written(type_name, data, subject_of(data))

    check()


@pytest.mark.parametrize("type_name", sorted(BY_TYPE))
def test_structured_mode_and_binary_mode_give_the_same_event(type_name: str) -> None:
    @unhurried
    @given(event_json(type_name))
    def check(data: bytes) -> None:
        subject, topic = subject_of(data), BY_TYPE[type_name].topic.name
        attributes = {"specversion": "1.0", "id": "e-1", "source": "/couponry/ledger", "type": type_name}
        document = orjson.dumps({**attributes, "subject": subject, "data": orjson.Fragment(data)})
        structured = codec("json").decode(Record(topic, 0, 0, 0, None, document))
        binary = codec("json").decode(record(topic, codec("json").encode(outgoing(type_name, data, subject))))
        assert (structured.data, structured.subject) == (binary.data, binary.subject)

    check()


def subject_of(data: bytes) -> str:
    """Return the subject that a service would use: an id in the event that input could have."""
    document: dict[str, Any] = json.loads(data)
    subject: str = document.get("order_id") or document.get("campaign_id") or "x"
    return subject if not any(character < " " or "\x7f" <= character <= "\x9f" for character in subject) else "x"


def members(node: Any) -> Iterator[Any]:
    """Yield every value in a document."""
    yield node
    for inner in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from members(inner)


def test_metadata_of_scalars_is_a_map_in_avro_and_nested_metadata_is_json_text() -> None:
    flat = orjson.dumps(
        {
            "reward_id": "r",
            "customer": {"customer_id": "c"},
            "earned_at": "2026-11-22T09:30:00Z",
            "metadata": {"a": 1, "b": "x"},
        }
    )
    nested = flat.replace(b'"b":"x"', b'"b":{"c":[1,2.50,18446744073709551616]}')
    for data, text in ((flat, False), (nested, True)):
        _, value, headers = codec("avro").encode(outgoing("reward.earned", data))
        assert (b'{"c":[1,2.5,18446744073709551616]}' in value) is text
        assert dict(headers)["content-type"] == b"application/avro"
    check_written("reward.earned", flat)


def test_a_refusal_without_a_campaign_is_valid_everywhere() -> None:
    data = orjson.dumps(
        {
            "campaign_id": None,
            "customer": {"customer_id": "c"},
            "reason": "not_found",
            "message": "No campaign issues a coupon for this reward.earned.",
            "caused_by": {"type": "reward.earned", "source": "/loyalty", "id": "1"},
        }
    )
    check_written("coupon.issue_refused", data)
    assert len(data) < MAX_WRITTEN_BYTES
