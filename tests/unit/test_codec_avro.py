"""Avro bodies: with a schema registry, without one, and with one that fails."""

import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from typing import Any, ClassVar

import fastavro
import pytest

from schemas.orders import OrderPaid
from schemas.registry import AvroSchema, SchemaRegistryUnavailableError, UnknownSchemaError, newest_schema
from shared.messaging.codec import Codec, UnreadableRecord
from shared.messaging.records import Record
from shared.runtime.schema_registry import HttpSchemaRegistry
from tests.unit.test_codec import outgoing

HEADERS = (
    ("content-type", b"application/avro"),
    ("ce_specversion", b"1.0"),
    ("ce_id", b"e-1"),
    ("ce_source", b"/shop"),
    ("ce_type", b"order.paid"),
)
DATASCHEMA = ("ce_dataschema", b"urn:couponry:order.paid:v1")
PAID = {"order_id": "ORD456", "paid_at": 1_795_339_920_000_000}


def body(schema: AvroSchema, value: Any) -> bytes:
    stream = BytesIO()
    fastavro.schemaless_writer(stream, fastavro.parse_schema(schema), value)
    return stream.getvalue()


def framed(schema_id: int, bare: bytes) -> bytes:
    return b"\x00" + schema_id.to_bytes(4, "big") + bare


def paid(value: bytes, *headers: tuple[str, bytes]) -> Record:
    return Record("orders", 0, 0, 0, None, value, (*HEADERS, *headers))


def refusal(codec: Codec, wrong: Record) -> str:
    with pytest.raises(UnreadableRecord) as caught:
        codec.decode(wrong)
    assert caught.value.error_class == "bad_data"
    return caught.value.text


class RegistryInMemory:
    """A registry whose ids count up from 1; `answering` says whether it is available."""

    def __init__(self, *schemas: AvroSchema) -> None:
        self.schemas = list(schemas)
        self.subjects: list[str] = []
        self.answering = True
        self.asked = 0

    def schema(self, schema_id: int) -> AvroSchema:
        self.asked += 1
        if not self.answering:
            raise SchemaRegistryUnavailableError("no answer")
        try:
            return self.schemas[schema_id - 1]
        except IndexError:
            raise UnknownSchemaError("no such schema") from None

    def register(self, subject: str, schema: AvroSchema) -> int:
        self.subjects.append(subject)
        self.schemas.append(schema)
        return len(self.schemas)


BARE = body(newest_schema("order.paid")[1], {"order_id": "ORD456", "paid_at": PAID["paid_at"]})


def test_a_bare_body_is_read_by_the_committed_schema_that_it_names() -> None:
    data = Codec().decode(paid(BARE, DATASCHEMA)).data
    assert data == OrderPaid.model_validate_json('{"order_id": "ORD456", "paid_at": "2026-11-22T09:32:00Z"}')


def test_a_framed_body_is_read_without_a_registry_when_it_names_a_committed_schema() -> None:
    assert Codec().decode(paid(framed(7, BARE), DATASCHEMA)).data == Codec().decode(paid(BARE, DATASCHEMA)).data


def test_a_framed_body_needs_no_content_type() -> None:
    read = Codec().decode(Record("orders", 0, 0, 0, None, framed(7, BARE), (*HEADERS[1:], DATASCHEMA)))
    assert read.data == Codec().decode(paid(BARE, DATASCHEMA)).data


def test_a_framed_body_is_read_by_the_schema_of_its_id_which_is_asked_for_once() -> None:
    registry = RegistryInMemory({"type": "string"}, newest_schema("order.paid")[1])
    codec = Codec(registry=registry)
    for _ in range(3):
        assert codec.decode(paid(framed(2, BARE))).data == Codec().decode(paid(BARE, DATASCHEMA)).data
    assert registry.asked == 1


def test_a_producers_own_schema_may_have_more_fields_and_another_name() -> None:
    schema = {
        "type": "record",
        "name": "com.shop.Paid",
        "fields": [
            {"name": "till", "type": "int"},
            {"name": "paid_at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
            {"name": "order_id", "type": ["null", "string"]},
        ],
    }
    value = body(schema, {"till": 4, "paid_at": 1_795_339_920_000, "order_id": "ORD456"})
    codec = Codec(registry=RegistryInMemory(schema))
    assert codec.decode(paid(framed(1, value))).data == Codec().decode(paid(BARE, DATASCHEMA)).data


def test_an_avro_decimal_keeps_its_digits() -> None:
    decimal = {"type": "bytes", "logicalType": "decimal", "precision": 20, "scale": 2}
    moment = {"type": "long", "logicalType": "timestamp-millis"}
    names = {"order_id": "string", "returned_at": moment, "amount": decimal}
    schema = {"type": "record", "name": "R", "fields": [{"name": n, "type": t} for n, t in names.items()]}
    value = body(schema, {"order_id": "a", "returned_at": 0, "amount": Decimal("12345678901234567.10")})
    headers = (*HEADERS[:4], ("ce_type", b"order.returned"))
    read = Codec(registry=RegistryInMemory(schema)).decode(Record("orders", 0, 0, 0, None, framed(1, value), headers))
    assert read.data.model_dump()["amount"] == "12345678901234567.10"


@pytest.mark.parametrize(
    ("quantity", "in_avro"), [(2, (2, None)), ("0.395", (1, "0.395")), ("2.5", (3, "2.5")), ("2.0", (2, "2.0"))]
)
@pytest.mark.parametrize("name", ["order.placed", "order.changed"])
def test_a_quantity_with_decimals_is_in_a_second_field(name: str, quantity: Any, in_avro: tuple[int, Any]) -> None:
    event = outgoing(name.replace(".", "_"))
    data = json.loads(event.data_json)
    data["lines"][0]["quantity"] = quantity
    _, value, headers = Codec(event_format="avro").encode(replace(event, data_json=json.dumps(data).encode()))
    _, schema = newest_schema(name)
    read: Any = fastavro.schemaless_reader(BytesIO(value or b""), fastavro.parse_schema(schema), None)
    assert (read["lines"][0]["quantity"], read["lines"][0]["quantity_decimal"]) == in_avro
    record = Record("orders", 0, 0, 0, None, value, tuple(headers))
    assert Codec().decode(record).data.model_dump()["lines"][0]["quantity"] == quantity


@pytest.mark.parametrize(
    "kind", ["double", "float", "string", {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 3}]
)
def test_a_producers_own_schema_may_have_another_type_of_quantity(kind: Any) -> None:
    line = {"line_id": "string", "quantity": kind}
    moment = {"type": "long", "logicalType": "timestamp-millis"}
    lines = {"type": "array", "items": record_of("L", line)}
    schema = record_of("R", {"order_id": "string", "returned_at": moment, "lines": lines})
    quantity: Any = {"string": "1.5", "double": 1.5, "float": 1.5}.get(str(kind), Decimal("1.500"))
    value = body(schema, {"order_id": "a", "returned_at": 0, "lines": [{"line_id": "1", "quantity": quantity}]})
    headers = (*HEADERS[:4], ("ce_type", b"order.returned"))
    read = Codec(registry=RegistryInMemory(schema)).decode(Record("orders", 0, 0, 0, None, framed(1, value), headers))
    assert Decimal(read.data.model_dump()["lines"][0]["quantity"]) == Decimal("1.5")


def record_of(name: str, fields: dict[str, Any]) -> AvroSchema:
    return {"type": "record", "name": name, "fields": [{"name": n, "type": kind} for n, kind in fields.items()]}


def test_an_avro_body_is_validated_like_json() -> None:
    empty = body(newest_schema("order.paid")[1], {"order_id": " ", "paid_at": PAID["paid_at"]})
    assert refusal(Codec(), paid(empty, DATASCHEMA)) == "order_id: must not be blank."
    nul = body(newest_schema("order.paid")[1], {"order_id": "a\0b", "paid_at": PAID["paid_at"]})
    assert "NUL" in refusal(Codec(), paid(nul, DATASCHEMA))


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        (paid(BARE), 'ce_dataschema: is missing; send "urn:couponry:order.paid:v1" or use the Confluent wire format.'),
        (paid(framed(7, BARE)), "The Avro body names its schema by an id, but no schema registry is configured; set"),
        (paid(b"\x00\x01"), "The Avro body is truncated within its schema id."),
        (paid(BARE[:-1], DATASCHEMA), "The Avro body is truncated or does not match its schema."),
        (paid(BARE + b"x", DATASCHEMA), "The Avro body has extra bytes after the fields of its schema."),
        (
            paid(BARE, ("ce_dataschema", b"urn:couponry:order.paid:v9")),
            "ce_dataschema: names an unknown type or version",
        ),
        (paid(BARE, ("ce_dataschema", b"http://x")), "ce_dataschema: is not the name of a schema; write it as"),
        (
            paid(BARE, ("ce_dataschema", b"urn:couponry:order.placed:v1")),
            "ce_dataschema: is a schema of order.placed, but ce_type is order.paid.",
        ),
    ],
)
def test_an_unreadable_avro_body_is_reported_with_the_reason(wrong: Record, text: str) -> None:
    assert refusal(Codec(), wrong).startswith(text)


def test_a_committed_schema_of_another_type_is_refused_even_after_it_was_used() -> None:
    codec = Codec()
    _, value, headers = Codec(event_format="avro").encode(outgoing("order_placed"))
    codec.decode(Record("orders", 0, 0, 0, None, value, tuple(headers)))
    text = refusal(codec, paid(BARE, ("ce_dataschema", b"urn:couponry:order.placed:v1")))
    assert text == "ce_dataschema: is a schema of order.placed, but ce_type is order.paid."


def test_an_id_that_the_registry_does_not_know_makes_the_record_unreadable() -> None:
    text = refusal(Codec(registry=RegistryInMemory()), paid(framed(9, BARE)))
    assert text == "The schema registry has no schema with the id 9."


def test_an_invalid_schema_makes_the_record_unreadable() -> None:
    codec = Codec(registry=RegistryInMemory({"type": "nonsense"}))
    assert refusal(codec, paid(framed(1, BARE))) == "The Avro body's schema is not valid."


def test_an_unavailable_registry_is_transient() -> None:
    registry = RegistryInMemory(newest_schema("order.paid")[1])
    registry.answering = False
    codec = Codec(registry=registry)
    with pytest.raises(SchemaRegistryUnavailableError):
        codec.decode(paid(framed(1, BARE)))
    registry.answering = True
    assert codec.decode(paid(framed(1, BARE))).type == "order.paid"


def test_an_event_is_written_with_the_id_that_the_registry_gave_which_is_asked_for_once() -> None:
    registry = RegistryInMemory({"type": "string"})
    codec, event = Codec(registry=registry, event_format="avro"), outgoing("coupon_redeemed")
    for _ in range(3):
        _, value, headers = codec.encode(event)
    assert value[:5] == b"\x00\x00\x00\x00\x02"
    assert dict(headers)["content-type"] == b"application/avro"
    assert "ce_dataschema" not in dict(headers)
    assert registry.subjects == ["coupons.redemptions-couponry.CouponRedeemed"]
    assert codec.decode(Record(event.topic, 0, 0, 0, None, value, tuple(headers))).type == "coupon.redeemed"


# --- the client, against an HTTP server that answers as registries do


class RegistryOverHttp(BaseHTTPRequestHandler):
    schemas: ClassVar[dict[int, dict[str, Any]]] = {}
    status: ClassVar[int] = 200

    def do_GET(self) -> None:
        found = self.schemas.get(int(self.path.rsplit("/", 1)[1]))
        self.answer(found or {"error_code": 40403}, 200 if found else 404)

    def do_POST(self) -> None:
        sent = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.schemas[len(self.schemas) + 1] = {"schema": sent["schema"], "subject": self.path}
        self.answer({"id": len(self.schemas)}, 200)

    def answer(self, document: Any, status: int) -> None:
        content = json.dumps(document).encode() if self.status != 299 else b"<html>"
        self.send_response(self.status if self.status != 200 else status)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def served() -> Iterator[HttpSchemaRegistry]:
    RegistryOverHttp.schemas, RegistryOverHttp.status = {}, 200
    server = ThreadingHTTPServer(("127.0.0.1", 0), RegistryOverHttp)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    with HttpSchemaRegistry(f"http://127.0.0.1:{server.server_port}") as client:
        yield client
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_schema_goes_to_a_registry_and_comes_back(served: HttpSchemaRegistry) -> None:
    _, schema = newest_schema("order.paid")
    schema_id = served.register("orders-couponry.OrderPaid", schema)
    assert served.schema(schema_id) == schema
    assert RegistryOverHttp.schemas[schema_id]["subject"] == "/subjects/orders-couponry.OrderPaid/versions"
    assert Codec(registry=served).decode(paid(framed(schema_id, BARE))).type == "order.paid"


@pytest.mark.parametrize(
    "answer",
    [
        {"schema": "{}", "schemaType": "PROTOBUF"},
        {"schema": '"string"'},
        {"schema": "{"},
        {"schema": None},
        {"schema": "{}", "references": [{"name": "x"}]},
    ],
)
def test_a_response_without_an_avro_record_is_an_unknown_schema(served: HttpSchemaRegistry, answer: Any) -> None:
    RegistryOverHttp.schemas[1] = answer
    with pytest.raises(UnknownSchemaError):
        served.schema(1)


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (404, UnknownSchemaError),
        (409, UnknownSchemaError),
        (422, UnknownSchemaError),
        (299, SchemaRegistryUnavailableError),
        (401, SchemaRegistryUnavailableError),
        (500, SchemaRegistryUnavailableError),
        (503, SchemaRegistryUnavailableError),
    ],
)
def test_a_refusal_is_final_and_a_failure_is_transient(
    served: HttpSchemaRegistry, status: int, error: type[Exception]
) -> None:
    RegistryOverHttp.status = status
    with pytest.raises(error):
        served.register("orders", {"type": "string"})


def test_an_unreachable_registry_is_transient_and_names_the_setting() -> None:
    with (
        HttpSchemaRegistry("http://127.0.0.1:1") as client,
        pytest.raises(SchemaRegistryUnavailableError, match="COUPONRY_SCHEMA_REGISTRY_URL"),
    ):
        client.schema(1)
