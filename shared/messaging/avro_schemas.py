"""Whether an Avro schema that somebody else put into the registry can be decoded by without harm.

A decoder follows the schema that wrote a body. A recursive one lets a body of a few thousand bytes nest until the
process crashes, and an array of elements that take no bytes can claim a thousand million of them. Events need neither,
so such schemas are refused before a body is looked at; what is left decodes in time and memory in proportion to the
body, which `schemas.limits.MAX_DOCUMENT_BYTES` bounds.
"""

import json
from typing import Any, Final, NamedTuple

MAX_SCHEMA_BYTES: Final = 262_144
"""Largest schema, as JSON: that of an order has 3,000 bytes."""

MAX_HEIGHT: Final = 32
"""Deepest nesting of what a schema describes, names followed. Events have six levels."""

MAX_VALUES: Final = 10_000
"""Most values that a schema describes outside of its lists."""

MAX_VALUES_A_BYTE: Final = 8
"""Most values that one byte of a body may stand for: a record of one field that is a record of one field is three."""

MAX_DIGITS: Final = 100
"""Longest decimal: written out, a scale of a thousand million would be as many zeros."""

_PRIMITIVES: Final = {
    "null": 0, "boolean": 1, "int": 1, "long": 1, "float": 4, "double": 8, "bytes": 1, "string": 1,
}  # fmt: skip
"""The fewest bytes that each takes."""


class UnsafeSchemaError(ValueError):
    """A schema that no body is decoded by. The text is a sentence without its subject."""


class _Size(NamedTuple):
    """Of a type: the fewest bytes that one takes, the most values in it outside of lists, how deep it is nested."""

    least_bytes: int
    values: int
    height: int


def check_schema(schema: Any) -> None:
    """Raise UnsafeSchemaError for a schema that is recursive, too large, or holds what takes no bytes; ValueError for
    what is no Avro schema. Names are resolved exactly as fastavro resolves them.
    """
    try:
        size = len(json.dumps(schema))
    except (ValueError, TypeError, RecursionError):
        raise UnsafeSchemaError("is no JSON, or nested too deeply") from None
    if size > MAX_SCHEMA_BYTES:
        raise UnsafeSchemaError(f"has {size:,} bytes; at most {MAX_SCHEMA_BYTES:,} are read")
    _Measure().of(schema, "", 0)


class _Measure:
    def __init__(self) -> None:
        self._known: dict[str, _Size] = {}
        self._open: set[str] = set()

    def of(self, node: Any, namespace: str, depth: int) -> _Size:
        if depth > MAX_HEIGHT:
            raise UnsafeSchemaError(f"is nested deeper than {MAX_HEIGHT} levels")
        if isinstance(node, str):
            return self._named(node, namespace)
        if isinstance(node, list):
            return self._union(node, namespace, depth)
        if not isinstance(node, dict) or "type" not in node:
            raise ValueError("is no Avro schema")
        if any(key.startswith("__") for key in node):
            raise UnsafeSchemaError("holds fields that are fastavro's own")
        if node.get("logicalType") == "decimal":
            _check_decimal(node)
        kind = node["type"]
        if kind in ("record", "error"):
            return self._record(node, namespace, depth)
        if kind in ("array", "map"):
            return self._list(node, namespace, depth)
        if kind in ("enum", "fixed"):
            return self._keep(self._define(node, namespace)[1], _Size(_fixed_bytes(node), 1, 1))
        return self.of(kind, namespace, depth + 1)

    def _named(self, name: str, namespace: str) -> _Size:
        if name in _PRIMITIVES:
            return _Size(_PRIMITIVES[name], 1, 1)
        full = name if "." in name or not namespace else f"{namespace}.{name}"
        if full in self._open:
            raise UnsafeSchemaError("is recursive: a record in it holds itself")
        if full not in self._known:
            raise ValueError("names an unknown type")
        return self._known[full]

    def _record(self, node: dict[str, Any], namespace: str, depth: int) -> _Size:
        inside, name = self._define(node, namespace)
        fields = node.get("fields")
        if not isinstance(fields, list):
            raise ValueError("has a record without fields")  # noqa: TRY004 - a wrong document, not a wrong argument
        self._open.add(name)
        sizes = [self._field(field, inside, depth + 1) for field in fields]
        self._open.discard(name)
        return self._keep(
            name,
            _bounded(
                sum(size.least_bytes for size in sizes),
                1 + sum(size.values for size in sizes),
                1 + max((size.height for size in sizes), default=0),
            ),
        )

    def _field(self, field: Any, namespace: str, depth: int) -> _Size:
        if not isinstance(field, dict) or "type" not in field:
            raise ValueError("has a field without a type")
        return self.of(field["type"], namespace, depth)

    def _union(self, branches: list[Any], namespace: str, depth: int) -> _Size:
        if not branches:
            raise ValueError("has a union of nothing")
        sizes = [self.of(branch, namespace, depth + 1) for branch in branches]
        for size in sizes:
            _check_density(size, beside=1)  # which branch it is takes a byte
        return _bounded(
            1 + min(size.least_bytes for size in sizes),
            1 + max(size.values for size in sizes),
            1 + max(size.height for size in sizes),
        )

    def _list(self, node: dict[str, Any], namespace: str, depth: int) -> _Size:
        is_map = node["type"] == "map"
        size = self.of(node.get("values" if is_map else "items"), namespace, depth + 1)
        _check_density(size, beside=1 if is_map else 0)  # a key takes a byte at least
        return _bounded(1, 1, 1 + size.height)

    def _define(self, node: dict[str, Any], namespace: str) -> tuple[str, str]:
        """The namespace inside of a new type, and its full name."""
        name, own = node.get("name"), node.get("namespace", namespace) or ""
        if not name or not isinstance(name, str) or not isinstance(own, str):
            raise ValueError("has a type without a name")
        inside, full = (
            (own, name) if not own else (name.rpartition(".")[0], name) if "." in name else (own, f"{own}.{name}")
        )
        if full in self._open or full in self._known:
            raise ValueError("defines a name twice")
        return inside, full

    def _keep(self, name: str, size: _Size) -> _Size:
        self._known[name] = size
        return size


def _bounded(least_bytes: int, values: int, height: int) -> _Size:
    if height > MAX_HEIGHT:
        raise UnsafeSchemaError(f"is nested deeper than {MAX_HEIGHT} levels")
    if values > MAX_VALUES:
        raise UnsafeSchemaError(f"describes more than {MAX_VALUES:,} values outside of lists")
    return _Size(least_bytes, values, height)


def _check_density(size: _Size, *, beside: int) -> None:
    """Whatever may come as often as a body says must take bytes of it."""
    if size.values > MAX_VALUES_A_BYTE * (size.least_bytes + beside):
        raise UnsafeSchemaError("holds values that take no bytes, or hardly any, in a list or a union")


def _fixed_bytes(node: dict[str, Any]) -> int:
    if node["type"] == "enum":
        return 1
    size = node.get("size")
    if not isinstance(size, int) or size < 0:
        raise ValueError("has a fixed type without a size")
    return size


def _check_decimal(node: dict[str, Any]) -> None:
    precision, scale = node.get("precision", 0), node.get("scale", 0)
    if not isinstance(precision, int) or not isinstance(scale, int) or not 0 <= scale <= MAX_DIGITS >= precision:
        raise UnsafeSchemaError(f"has a decimal of more than {MAX_DIGITS} digits")
