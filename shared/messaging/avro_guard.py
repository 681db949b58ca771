"""Limits for Avro bodies whose schema comes from a registry: a hostile schema must not crash a process.

The decoder is compiled code. It follows a schema's recursion without a limit and trusts the declared length of an
array. Therefore a schema is measured before it is parsed, and a body is walked before it is decoded (depth, counts,
sizes), unless its schema proves that it can't grow. The schemas in this repository need neither.
"""

from dataclasses import dataclass, field
from typing import Any, Final

import fastavro
import orjson

from schemas.registry import AvroSchema

MAX_SCHEMA_BYTES: Final = 256 * 1024
"""The largest schema, in bytes: ten times the largest one in this repository."""

MAX_SCHEMA_DEPTH: Final = 64
"""The deepest nesting of a schema's own JSON. A line of an order needs about ten levels."""

MAX_NAMED_TYPES: Final = 500
MAX_SCHEMA_NODES: Final = 20_000
"""The most objects, lists and values in a schema's JSON."""

MAX_DECIMAL_DIGITS: Final = 100
"""The most digits of a decimal, before and after the point. Amounts have 24."""

MAX_DECIMAL_BYTES: Final = 64
MAX_DEPTH: Final = 100
"""The deepest nesting of a body's values. JSON documents rarely have more than a few levels."""

MAX_COST: Final = 16 * 1024 * 1024
"""About the largest JSON, in bytes, that a body may become (a million values). Kafka's default record is 1 MB."""

VALUE_COST: Final = 16
"""The cost of one value in addition to its text: its processing, its punctuation, and its digits beyond its bytes."""

_NAMED: Final = frozenset({"record", "error", "enum", "fixed"})
_VARINTS: Final = frozenset({"int", "long"})
_WIDTHS: Final = {"null": 0, "boolean": 1, "float": 4, "double": 8}
_LEAST: Final = {**_WIDTHS, "int": 1, "long": 1, "bytes": 1, "string": 1}
_MAX_VARINT_BYTES: Final = 10


class AvroLimitError(ValueError):
    """A schema or a body exceeds a limit of this module. The text names the limit."""


@dataclass(slots=True)
class Node:
    """One type of a parsed schema. `least`: its fewest bytes; `cost`: its most bytes as JSON, without list items."""

    kind: str
    items: "list[Node]" = field(default_factory=list)
    size: int = 0
    names: int = 0
    decimal: bool = False
    least: int = 0
    cost: int = VALUE_COST


@dataclass(frozen=True, slots=True)
class GuardedSchema:
    """A parsed schema and the limits of the bodies it can have written.

    `grows`: the number of bytes doesn't limit the cost of decoding, because the schema is recursive, has lists of items
    without bytes, or has decimals. Otherwise a body costs at most `fixed` plus `per_byte` times its bytes.
    """

    parsed: Any
    root: Node
    grows: bool
    fixed: int
    per_byte: int

    def check(self, body: bytes) -> None:
        """Raise AvroLimitError if `body` can't be decoded safely. A truncated body may pass."""
        if not self.grows and self.fixed + self.per_byte * len(body) <= MAX_COST:
            return
        _Walk(body).value(self.root, 0)


def guarded(schema: AvroSchema) -> GuardedSchema:
    """Measure and parse a schema.

    Raises:
        AvroLimitError: the schema is too large, too deep, or not JSON.
        Exception: any error of the parser about an invalid schema.
    """
    _measure(schema)
    parsed: Any = fastavro.parse_schema(schema)
    compiler = _Compiler(parsed.get("__named_schemas", {}) if isinstance(parsed, dict) else {})
    root = compiler.node(parsed)
    grows = compiler.recursive or compiler.has_decimals or any(item.least == 0 for item in compiler.list_items)
    per_byte = VALUE_COST + sum(-(-item.cost // max(1, item.least)) for item in compiler.list_items)
    return GuardedSchema(parsed, root, grows, root.cost, per_byte)


def _measure(schema: Any) -> None:
    """Check the size and depth of a schema's JSON, without recursion."""
    try:
        size = len(orjson.dumps(schema))
    except (TypeError, ValueError) as error:  # also raised for JSON that is nested too deeply
        raise AvroLimitError(f"the schema is not valid JSON: {error}") from None
    if size > MAX_SCHEMA_BYTES:
        raise AvroLimitError(f"the schema has {size} bytes; at most {MAX_SCHEMA_BYTES} are allowed")
    nodes = named = 0
    level: list[Any] = [schema]
    for _ in range(MAX_SCHEMA_DEPTH):
        below: list[Any] = []
        for part in level:
            if isinstance(part, dict):
                named += part.get("type") in _NAMED if isinstance(part.get("type"), str) else 0
                _measure_decimal(part)
                below += part.values()
            elif isinstance(part, list):
                below += part
        nodes += len(below)
        if nodes > MAX_SCHEMA_NODES or named > MAX_NAMED_TYPES:
            raise AvroLimitError(f"the schema has more than {MAX_NAMED_TYPES} named types or {MAX_SCHEMA_NODES} parts")
        if not below:
            return
        level = below
    raise AvroLimitError(f"the schema is nested deeper than {MAX_SCHEMA_DEPTH} levels")


def _measure_decimal(part: dict[str, Any]) -> None:
    if part.get("logicalType") == "decimal":
        digits = [part.get("precision", 0), part.get("scale", 0)]
        if not all(isinstance(number, int) and 0 <= number <= MAX_DECIMAL_DIGITS for number in digits):
            raise AvroLimitError(f"a decimal of the schema has more than {MAX_DECIMAL_DIGITS} digits")


class _Compiler:
    """Turns a parsed schema into nodes, one per type. All uses of a named type share one node."""

    def __init__(self, named: dict[str, Any]) -> None:
        self._schemas = named
        self._nodes: dict[str, Node] = {}
        self._open: set[str] = set()
        self.recursive = False
        self.has_decimals = False
        self.list_items: list[Node] = []

    def node(self, schema: Any) -> Node:
        if isinstance(schema, str):
            return self._primitive(schema) if schema in _LEAST else self._named(schema)
        if isinstance(schema, list):
            return self._union(schema)
        return self.node(schema["type"]) if isinstance(schema["type"], dict | list) else self._described(schema)

    def _described(self, schema: dict[str, Any]) -> Node:
        kind = schema["type"]
        if kind in _NAMED or kind == "request":
            self._schemas.setdefault(schema["name"], schema)
            return self._named(schema["name"])
        if kind in {"array", "map"}:
            return self._list(kind, schema)
        node = self._primitive(kind) if kind in _LEAST else self._named(kind)
        if schema.get("logicalType") == "decimal" and node.kind == "bytes":
            self.has_decimals = True
            return Node("bytes", decimal=True, least=node.least, cost=node.cost + 2 * MAX_DECIMAL_DIGITS)
        # Times, dates and the like are written as strings.
        return Node(node.kind, node.items, node.size, least=node.least, cost=node.cost + 40)

    def _primitive(self, kind: str) -> Node:
        cost = VALUE_COST + {"double": 20, "float": 20, "long": 16, "int": 8}.get(kind, 0)
        return Node(kind, least=_LEAST[kind], cost=cost)

    def _named(self, name: str) -> Node:
        found = self._nodes.get(name)
        if found is not None:
            self.recursive = self.recursive or name in self._open
            return found
        schema = self._schemas.get(name)
        if not isinstance(schema, dict):
            raise AvroLimitError("the schema refers to a type that it doesn't define")
        kind = schema["type"]
        node = self._nodes[name] = Node("record" if kind in {"error", "request"} else kind)
        self._open.add(name)
        if kind == "enum":
            node.least, node.cost = 1, VALUE_COST + max(map(_text_cost, schema["symbols"]), default=0)
        elif kind == "fixed":
            node.size = node.least = int(schema["size"])
            node.decimal = schema.get("logicalType") == "decimal"
            self.has_decimals = self.has_decimals or node.decimal
            node.cost = VALUE_COST + 6 * node.size + 2 * MAX_DECIMAL_DIGITS
        else:
            node.items = [self.node(field["type"]) for field in schema["fields"]]
            node.names = sum(_text_cost(field["name"]) + 4 for field in schema["fields"])
            node.least = sum(item.least for item in node.items)
            node.cost = VALUE_COST + node.names + sum(item.cost for item in node.items)
        self._open.discard(name)
        return node

    def _union(self, branches: list[Any]) -> Node:
        items = [self.node(branch) for branch in branches]
        least = 1 + min((item.least for item in items), default=0)
        return Node("union", items, least=least, cost=max((item.cost for item in items), default=0))

    def _list(self, kind: str, schema: dict[str, Any]) -> Node:
        item = self.node(schema["items" if kind == "array" else "values"])
        if kind == "map":
            item = Node("entry", [item], least=item.least + 1, cost=item.cost + VALUE_COST)
        self.list_items.append(item)
        return Node(kind, [item], least=1)


def _text_cost(text: Any) -> int:
    return len(str(text).encode("utf-8", "replace")) + 2


class _Walk:
    """Steps through a body as the decoder would, with limits, without building any values."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._at = 0
        self._cost = 0
        self._free = 0

    def value(self, node: Node, depth: int) -> None:
        """Skip one value. Raises AvroLimitError."""
        if depth > MAX_DEPTH:
            raise AvroLimitError(f"the body is nested deeper than {MAX_DEPTH} levels")
        kind = node.kind
        self._spend(VALUE_COST + node.names)
        if kind == "record":
            for item in node.items:
                self.value(item, depth + 1)
        elif kind == "union":
            branch = self._number()
            if not 0 <= branch < len(node.items):
                raise AvroLimitError("the body selects a branch that its union doesn't have")
            self.value(node.items[branch], depth + 1)
        elif kind in {"array", "map"}:
            self._list(node.items[0], depth + 1)
        elif kind == "entry":
            self._text(decimal=False)
            self.value(node.items[0], depth + 1)
        elif kind in {"bytes", "string"}:
            self._text(decimal=node.decimal)
        elif kind in _VARINTS or kind == "enum":
            self._number()
            self._spend(node.cost)
        else:
            width = node.size if kind == "fixed" else _WIDTHS[kind]
            if node.decimal and width > MAX_DECIMAL_BYTES:
                raise AvroLimitError(f"a decimal has more than {MAX_DECIMAL_BYTES} bytes")
            self._spend(node.cost)
            self._step(width)

    def _list(self, item: Node, depth: int) -> None:
        while count := self._number():
            if count < 0:
                count = -count
                self._number()  # the block's size in bytes, which the decoder ignores too
            # An item without bytes counts as one byte, over all lists together. Otherwise a few bytes could declare
            # any number of items.
            self._free += count if item.least == 0 else 0
            if count * max(1, item.least) > len(self._body) - self._at or self._free > len(self._body):
                raise AvroLimitError("the body declares a list with more items than bytes are left")
            for _ in range(count):
                self.value(item, depth)

    def _text(self, *, decimal: bool) -> None:
        size = self._number()
        if size < 0:
            raise AvroLimitError("the body has a string of negative length")
        if decimal and size > MAX_DECIMAL_BYTES:
            raise AvroLimitError(f"a decimal has more than {MAX_DECIMAL_BYTES} bytes")
        self._spend(size)
        self._step(size)

    def _number(self) -> int:
        body, at, shift, number = self._body, self._at, 0, 0
        for _ in range(_MAX_VARINT_BYTES):
            if at >= len(body):
                raise AvroLimitError("the body is truncated")
            byte = body[at]
            at += 1
            number |= (byte & 0x7F) << shift
            if byte < 0x80:
                self._at = at
                return (number >> 1) ^ -(number & 1)
            shift += 7
        raise AvroLimitError("the body has a number of more than ten bytes")

    def _step(self, width: int) -> None:
        self._at += width
        if self._at > len(self._body):
            raise AvroLimitError("the body is truncated")

    def _spend(self, cost: int) -> None:
        self._cost += cost
        if self._cost > MAX_COST:
            raise AvroLimitError(f"the decoded body would be larger than {MAX_COST} bytes")
