"""Read the syntax tree of a CEL expression from the library's serialized form.

The library gives no access to its tree, but serializes it as the published message `cel.expr.ParsedExpr`
(github.com/google/cel-spec, proto/cel/expr/syntax.proto). The few fields needed are read without a protobuf runtime;
unknown fields are skipped, as protobuf specifies.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["const", "ident", "select", "call", "list", "struct", "loop"]

# Field numbers of Expr, in the order of the kinds above.
_KINDS: dict[int, Kind] = {
    3: "const",
    4: "ident",
    5: "select",
    6: "call",
    7: "list",
    8: "struct",
    9: "loop",
}
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_MAX_VARINT_BITS = 64


@dataclass(frozen=True, slots=True)
class Node:
    """One node of an expression. `name` and `parts` depend on `kind`:

    const: `value` (None, bool, int, float, str or bytes) · ident: `name` · select: `name` is the field, `parts` its
    operand, `tests` is true for `has()` · call: `name` is the function, `parts` its target and arguments · list,
    struct: `parts` the entries; `name` of a struct is its message, empty for a map · loop (a macro such as `all`):
    `name` the item's name, `parts` the range, the initial result, the step and the final result.
    `place` is the position in the expression, in characters from its start.
    """

    kind: Kind
    place: int
    name: str = ""
    parts: tuple["Node", ...] = ()
    value: object = None
    tests: bool = False


def read_tree(serialized: bytes) -> Node:
    """Return the tree in `serialized`, a parsed but unchecked expression. Raises ValueError for anything else."""
    parsed = _Message(serialized).message(2)  # google.protobuf.Any: 1 the type, 2 the message itself
    places: dict[int, int] = {}
    for entry in parsed.message(3).all(4):  # ParsedExpr: 2 the expression, 3 source positions
        position = _Message(entry)
        places[position.number(1)] = position.number(2)
    return _node(parsed.message(2), places)


@dataclass(slots=True)
class _Message:
    data: bytes
    fields: dict[int, list[int | bytes]] = field(init=False)

    def __post_init__(self) -> None:
        self.fields = {}
        for number, value in _fields(self.data):
            self.fields.setdefault(number, []).append(value)

    def number(self, number: int) -> int:
        value = self.fields.get(number, [0])[-1]
        if not isinstance(value, int):
            raise TypeError(f"field {number} is not a number")
        return value

    def content(self, number: int) -> bytes:
        value = self.fields.get(number, [b""])[-1]
        if not isinstance(value, bytes):
            raise TypeError(f"field {number} is not bytes")
        return value

    def text(self, number: int) -> str:
        return self.content(number).decode()

    def message(self, number: int) -> "_Message":
        return _Message(self.content(number))

    def all(self, number: int) -> list[bytes]:
        return [value for value in self.fields.get(number, []) if isinstance(value, bytes)]


def _node(expression: _Message, places: dict[int, int]) -> Node:
    place = places.get(expression.number(2), 0)
    number = next((number for number in _KINDS if number in expression.fields), None)
    if number is None:
        raise ValueError("the expression has a node of an unknown kind")
    kind, body = _KINDS[number], expression.message(number)

    # Field numbers of the name and the parts; of a loop the range, the initial result, the step and the final result.
    name, inside = {
        "const": (0, ()),
        "ident": (1, ()),
        "select": (2, (1,)),
        "call": (2, (1, 3)),
        "list": (0, (1,)),
        "struct": (1, ()),
        "loop": (1, (2, 4, 6, 7)),
    }[kind]
    contents = [data for number in inside for data in body.all(number)]
    if kind == "struct":
        contents = [
            data for entry in body.all(2) for key_or_value in (3, 4) for data in _Message(entry).all(key_or_value)
        ]
    return Node(
        kind,
        place,
        body.text(name) if name else "",
        tuple(_node(_Message(data), places) for data in contents),
        _constant(body) if kind == "const" else None,
        kind == "select" and bool(body.number(3)),
    )


def _constant(constant: _Message) -> object:
    number = next(iter(constant.fields), 1)
    if number == 5:
        return float(struct.unpack("<d", constant.number(5).to_bytes(8, "little"))[0])
    if number in (6, 7):
        return constant.text(6) if number == 6 else constant.content(7)
    value = constant.number(number)
    signed = value - 2**64 if value >= 2**63 else value
    return {1: None, 2: bool(value), 3: signed}.get(number, value)


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        number, wire = key >> 3, key & 7
        if wire == _VARINT:
            value, at = _varint(data, at)
            yield number, value
            continue
        if wire == _BYTES:
            length, at = _varint(data, at)
        elif wire in (_FIXED64, _FIXED32):
            length = 8 if wire == _FIXED64 else 4
        else:
            raise ValueError(f"wire type {wire} is unknown")
        if at + length > len(data):
            raise ValueError("the message ends inside a field")
        piece = data[at : at + length]
        at += length
        yield number, piece if wire == _BYTES else int.from_bytes(piece, "little")


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, _MAX_VARINT_BITS + 6, 7):
        if at >= len(data):
            raise ValueError("the message ends inside a number")
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise ValueError("a number is longer than 64 bits")
