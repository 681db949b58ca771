"""Avro schemas of third parties: those that could crash or stall a decoder are refused, all others are read."""

from typing import Any

import pytest

from shared.messaging.codec import Codec
from tests.unit.test_codec_avro import RegistryInMemory, framed, paid, refusal

NULLS = {"type": "array", "items": "null"}


def record(*fields: Any, name: str = "R") -> dict[str, Any]:
    return {"type": "record", "name": name, "fields": [{"name": f"f{n}", "type": one} for n, one in enumerate(fields)]}


def chain(length: int) -> Any:
    """Records that each hold the one before, every one defined beside the others."""
    return record("string", *[record(f"S{n - 1}" if n else "string", name=f"S{n}") for n in range(length)])


def doubling(length: int) -> Any:
    """2 to the power of `length` nulls, in a schema of a few hundred bytes."""
    steps = [record(*([f"S{n - 1}"] * 2 if n else ["null"]), name=f"S{n}") for n in range(length)]
    return record("string", *steps)


def wrapped(schema: Any, times: int) -> Any:
    for _ in range(times):
        schema = {"type": "array", "items": schema}
    return schema


UNSAFE = {
    "recursive in a list": record({"type": "array", "items": "R"}),
    "recursive in a union": record(["null", "R"]),
    "recursive in a map": record({"type": "map", "values": "R"}),
    "recursive through another": record(record(["null", "R"], name="Q")),
    "recursive in a namespace": record({"type": "array", "items": "R"}) | {"namespace": "a.b"},
    "nulls": record("string", NULLS),
    "empty records": record("string", {"type": "array", "items": record(name="E")}),
    "fixed of no size": record("string", {"type": "array", "items": {"type": "fixed", "name": "F", "size": 0}}),
    "records of nulls": record("string", {"type": "array", "items": record("null", "null", name="E")}),
    "a hundred nulls a key": record("string", {"type": "map", "values": record(*["null"] * 100, name="E")}),
    "doubling": doubling(30),
    "a long chain": chain(2_000),
    "deep lists": record("string", wrapped("string", 500)),
    "very deep lists": record("string", wrapped("string", 100_000)),
    "large": record(*[{"type": "string", "doc": "x" * 3_000}] * 100),
    "wide decimal": record({"type": "bytes", "logicalType": "decimal", "precision": 10**9, "scale": 10**9}),
    "fastavro's own": record("string") | {"__fastavro_parsed__": True, "__named_schemas": {}},
}


@pytest.mark.parametrize("name", UNSAFE)
def test_a_schema_that_could_do_harm_is_refused(name: str) -> None:
    body = framed(1, b"\x04ab" + b"\x02" * 100_000)
    text = refusal(Codec(registry=RegistryInMemory(UNSAFE[name])), paid(body))
    assert "Avro" in text


@pytest.mark.parametrize(
    "schema",
    [
        "no schema", 7, None, {}, {"type": "record"}, {"type": "record", "name": "R"}, record("unknown"), record([]),
        record("string") | {"fields": [{"name": "f"}]}, record({"type": "fixed", "name": "F"}),
        {"type": {"type": None}},
        record(record("string", name="R")), {"type": "array"}, {"type": "record", "name": 1, "fields": []},
    ],
)  # fmt: skip
def test_what_is_no_schema_is_an_error_and_no_crash(schema: Any) -> None:
    body = framed(1, b"\x04ab")
    assert "Avro" in refusal(Codec(registry=RegistryInMemory(schema)), paid(body))
