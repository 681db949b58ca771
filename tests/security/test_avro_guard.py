"""Foreign Avro schemas and bodies: those that would crash or block a process are refused, all others are read."""

import subprocess
import sys
from io import BytesIO
from typing import Any

import fastavro
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.registry import AvroSchema, committed_schemas
from shared.messaging.avro_guard import MAX_DEPTH, AvroLimitError, GuardedSchema, guarded
from shared.messaging.codec import Codec
from tests.unit.test_codec_avro import RegistryInMemory, body, framed, paid, refusal

TREE: AvroSchema = {
    "type": "record",
    "name": "shop.Node",
    "fields": [{"name": "order_id", "type": "string"}, {"name": "next", "type": ["null", "shop.Node"]}],
}


def record(called: str = "R", /, **types: Any) -> AvroSchema:
    fields = [{"name": name, "type": kind} for name, kind in types.items()]
    return {"type": "record", "name": called, "fields": fields}


def array(items: Any) -> AvroSchema:
    return {"type": "array", "items": items}


def number(value: int) -> bytes:
    """Return an Avro long."""
    stream = BytesIO()
    fastavro.schemaless_writer(stream, "long", value)
    return stream.getvalue()


EMPTY = {"type": "record", "name": "E", "fields": []}
NOTHING = {"type": "fixed", "name": "N", "size": 0}
MANY = number(10**9)

CUT_SHORT = "The Avro body is truncated"
HOSTILE_BODIES = [
    pytest.param(TREE, (b"\x02a\x02" * 400_000) + b"\x02a\x00", id="recursion that ends the process"),
    pytest.param(record(a=array("null")), MANY + b"\x00", id="a billion nulls"),
    pytest.param(record(a=array("null")), number(-(10**9)) + b"\x00\x00", id="a billion nulls in a sized block"),
    pytest.param(record(a=array("null")), number(1_000) * 500 + b"\x00", id="blocks and blocks of nulls"),
    pytest.param(record(a=array(EMPTY)), MANY + b"\x00", id="a billion empty records"),
    pytest.param(record(a=array(NOTHING)), MANY + b"\x00", id="a billion empty fixed"),
    pytest.param(record(a=array(record("S", b="null", c=EMPTY))), MANY + b"\x00", id="a billion records of nothing"),
    pytest.param(record(a=array(array("null"))), number(50) + MANY * 50, id="lists of lists of nothing"),
    pytest.param(record(a={"type": "map", "values": "null"}), MANY + b"\x00" * 9, id="a billion entries"),
    pytest.param(record(a=array("string"), b=TREE), MANY + b"\x00", id="a billion texts"),
    pytest.param(record(a="string", b=TREE), number(-1), id="a text of negative length"),
    pytest.param(record(a=["null", TREE]), number(-1), id="a negative branch"),
    pytest.param(record(a=TREE), b"\xff" * 40, id="an endless number"),
]


@pytest.mark.parametrize(("schema", "hostile"), HOSTILE_BODIES)
def test_a_body_that_would_crash_or_hang_the_decoder_is_refused(schema: AvroSchema, hostile: bytes) -> None:
    codec = Codec(registry=RegistryInMemory(schema))
    assert refusal(codec, paid(framed(1, hostile))).startswith(("The Avro body can't be read: the body", CUT_SHORT))


def test_the_decoder_without_the_guard_crashes_on_recursion() -> None:
    """If this fails, the library has its own limits and the guard may be unnecessary."""
    program = (
        "import fastavro, io; s = fastavro.parse_schema({'type':'record','name':'N','fields':["
        "{'name':'a','type':'string'},{'name':'n','type':['null','N']}]});"
        "fastavro.schemaless_reader(io.BytesIO(b'\\x02a\\x02'*400000+b'\\x02a\\x00'), s, None)"
    )
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=120, check=False).returncode < 0


def laughing(levels: int) -> AvroSchema:
    """Each level contains the one below it ten times, and the last is empty."""
    kind: Any = {"type": "record", "name": "L0", "fields": [{"name": f"f{n}", "type": "null"} for n in range(10)]}
    for level in range(1, levels):
        fields = [{"name": "f0", "type": kind}] + [{"name": f"f{n}", "type": f"L{level - 1}"} for n in range(1, 10)]
        kind = {"type": "record", "name": f"L{level}", "fields": fields}
    return record(a=kind)


def nested(levels: int) -> AvroSchema:
    kind: Any = "string"
    for _ in range(levels):
        kind = array(kind)
    return record(a=kind)


def decimal(precision: Any, scale: Any) -> AvroSchema:
    return record(a={"type": "bytes", "logicalType": "decimal", "precision": precision, "scale": scale})


HOSTILE_SCHEMAS = [
    pytest.param(nested(100), "nested deeper", id="deep"),
    pytest.param(nested(100_000), "not valid JSON", id="very deep"),
    pytest.param(record(**{f"f{n}": "string" for n in range(30_000)}), "bytes", id="large"),
    pytest.param(
        record(**{f"f{n}": {"type": "fixed", "name": f"F{n}", "size": 1} for n in range(600)}), "named", id="many types"
    ),
    pytest.param(decimal(10**9, 10**9), "digits", id="a decimal of a billion digits"),
    pytest.param(decimal(10, -5), "digits", id="a negative scale"),
    pytest.param(decimal("9", 1), "digits", id="a precision that is a text"),
    pytest.param(record(a="nowhere.Found"), "not valid", id="unknown name"),
    pytest.param({}, "not valid", id="nothing"),
    pytest.param(record(a={"type": "fixed", "name": "F", "size": "many"}), "", id="a size that is a text"),
]


@pytest.mark.parametrize(("schema", "reason"), HOSTILE_SCHEMAS)
def test_a_schema_beyond_the_limits_is_always_refused(schema: AvroSchema, reason: str) -> None:
    registry = RegistryInMemory(schema)
    codec = Codec(registry=registry)
    for _ in range(3):
        text = refusal(codec, paid(framed(1, b"\x02a")))
        assert text.startswith("The Avro body's schema is")
        assert reason in text
    assert registry.asked == 1


def test_a_few_bytes_never_become_an_endless_document() -> None:
    refused = refusal(Codec(registry=RegistryInMemory(laughing(9))), paid(framed(1, b"")[:5] + b"\x00"))
    assert "larger than" in refused
    with pytest.raises(AvroLimitError, match="larger than"):
        guarded(record(a=array(record("S", **{"x" * 10_000: "boolean"})))).check(number(5_000) + b"\x00" * 5_001)


def test_a_decimal_of_a_million_bytes_is_refused() -> None:
    with pytest.raises(AvroLimitError, match="decimal"):
        guarded(decimal(30, 2)).check(number(1_000_000) + b"\x7f" * 1_000_000)


def decoded(schema: GuardedSchema, written: bytes) -> Any:
    schema.check(written)
    return fastavro.schemaless_reader(BytesIO(written), schema.parsed, None)


def chain(length: int) -> dict[str, Any]:
    made: dict[str, Any] = {"order_id": "o", "next": None}
    for _ in range(length - 1):
        made = {"order_id": "o", "next": made}
    return made


def test_a_recursive_schema_is_read_up_to_the_depth_limit() -> None:
    schema = guarded(TREE)
    assert decoded(schema, body(TREE, chain(MAX_DEPTH // 2)))["order_id"] == "o"
    with pytest.raises(AvroLimitError, match="nested deeper"):
        schema.check(body(TREE, chain(MAX_DEPTH)))


GOOD = body(TREE, chain(3))
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text(max_size=20) | st.binary(max_size=20),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=5), inner, max_size=5),
    max_leaves=40,
)
ANYTHING: AvroSchema = {
    "type": "record",
    "name": "V",
    "fields": [
        {
            "name": "v",
            "type": ["null", "boolean", "long", "string", "bytes", array("V"), {"type": "map", "values": "V"}],
        }
    ],
}


def wrapped(value: Any) -> dict[str, Any]:
    if isinstance(value, list):
        return {"v": [wrapped(one) for one in value]}
    if isinstance(value, dict):
        return {"v": {name: wrapped(one) for name, one in value.items()}}
    return {"v": value}


@given(VALUES)
def test_bodies_written_by_the_library_are_read(value: Any) -> None:
    assert decoded(guarded(ANYTHING), body(ANYTHING, wrapped(value))) == wrapped(value)


@given(st.binary(max_size=300))
def test_arbitrary_bytes_under_a_recursive_schema_are_read_or_refused(hostile: bytes) -> None:
    schema = guarded(ANYTHING)
    try:
        schema.check(hostile)
    except AvroLimitError:
        return
    stream = BytesIO(hostile)
    fastavro.schemaless_reader(stream, schema.parsed, None)  # a body that passed the walk can be decoded


@pytest.mark.parametrize("type_name", sorted(committed_schemas()))
def test_our_own_schemas_are_accepted_and_common_bodies_need_no_walk(type_name: str) -> None:
    for schema in committed_schemas()[type_name].values():
        found = guarded(schema)
        assert found.grows or found.fixed + found.per_byte * 8_000 < 16 * 1024 * 1024
