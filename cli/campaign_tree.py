"""The tree of a YAML or JSON file, with the line of each value. Scalars are kept as JSON.

A number keeps its digits: `10.50` never becomes a float on its way from the file to the model. Nothing here depends on
campaigns.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, NamedTuple

MAX_DEPTH: Final = 100
"""Levels of nesting: a campaign has four, its metadata perhaps a few more. Pydantic's own limit is about 200."""

NOTHING: Final = "null"


class FileSyntaxError(Exception):
    """The file can't be parsed; line and column count from 1."""

    def __init__(self, line: int, column: int, text: str) -> None:
        super().__init__(text)
        self.line, self.column = line, column


class FileProblem(NamedTuple):
    """One problem to fix, with its line (from 1)."""

    line: int
    text: str


@dataclass(slots=True)
class Node:
    """A value that begins on `line`: a scalar has `text` (JSON), a list has `items`, a mapping has `fields`."""

    line: int
    text: str | None = None
    items: list["Node"] | None = None
    fields: "dict[str, Entry] | None" = None

    @property
    def is_string(self) -> bool:
        """Return whether the value is a string, not a number, a boolean, null, a list or a mapping."""
        return self.text is not None and self.text.startswith('"')


class Entry(NamedTuple):
    """A mapping's value, and the line of its key."""

    line: int
    node: Node


@dataclass(slots=True)
class TreeBuilder:
    """A builder of trees from a parser's events. `problems` are those that don't stop the parser."""

    documents: list[Node] = field(default_factory=list)
    problems: list[FileProblem] = field(default_factory=list)
    _open: list[Node] = field(default_factory=list)
    _key: tuple[int, str] | None = None

    @property
    def wants_key(self) -> bool:
        """Return whether the next scalar is a mapping's key."""
        return bool(self._open) and self._open[-1].fields is not None and self._key is None

    def key(self, line: int, name: str) -> None:
        """Add a mapping's next key."""
        self._key = (line, name)

    def scalar(self, line: int, text: str) -> None:
        """Add a scalar, written as JSON."""
        self._add(Node(line, text=text))

    def begin(self, line: int, column: int, node: Node) -> None:
        """Open a list or a mapping; values belong to it until `end`. Raises FileSyntaxError beyond MAX_DEPTH."""
        if len(self._open) >= MAX_DEPTH:
            raise FileSyntaxError(line, column, f"nested more than {MAX_DEPTH} deep; a campaign needs only a few")
        self._add(node)
        self._open.append(node)

    def end(self) -> None:
        """Close the innermost list or mapping."""
        self._open.pop()

    def problem(self, line: int, text: str) -> None:
        """Record a problem to fix."""
        self.problems.append(FileProblem(line, text))

    def _add(self, node: Node) -> None:
        if not self._open:
            self.documents.append(node)
            return
        parent = self._open[-1]
        if parent.items is not None:
            parent.items.append(node)
            return
        fields = parent.fields
        if fields is None or self._key is None:
            raise AssertionError("a reader names a mapping's key before its value")
        line, name = self._key
        self._key = None
        if name in fields:
            self.problem(line, f"{printable(name)}: already set on line {fields[name].line}; keep one of the two")
        else:
            fields[name] = Entry(line, node)


def to_json(node: Node) -> str:
    """Return the tree as JSON; numbers keep the digits of the file."""
    return "".join(_json(node))


def _json(node: Node) -> Iterator[str]:
    if node.items is not None:
        before = "["
        for item in node.items:
            yield before
            yield from (item.text,) if item.text is not None else _json(item)
            before = ","
        yield "[]" if before == "[" else "]"
    elif node.fields is not None:
        before = "{"
        for name, (_, value) in node.fields.items():
            yield f"{before}{json.dumps(name)}:"
            yield from _json(value)
            before = ","
        yield "{}" if before == "{" else "}"
    else:
        yield node.text or NOTHING


class Place(NamedTuple):
    """The place of a value in a tree: its line, its dotted name, and the value."""

    line: int
    name: str
    node: Node
    whole: bool
    """False if the path goes on to a value that is missing in the tree."""


def locate(root: Node, path: tuple[int | str, ...]) -> Place:
    """Return the place of `path`, or of the part of it that exists in the tree.

    Parts that aren't in the tree are skipped, because pydantic's paths also name the alternatives of a union.
    """
    line, name, node, whole = root.line, "", root, True
    for part in path:
        if isinstance(part, int) and node.items is not None and 0 <= part < len(node.items):
            node = node.items[part]
            line, name, whole = node.line, f"{name}[{part}]", True
        elif isinstance(part, str) and node.fields is not None and part in node.fields:
            line, node = node.fields[part]
            name, whole = f"{name}.{printable(part)}" if name else printable(part), True
        else:
            whole = False
    return Place(line, name, node, whole)


def printable(name: str) -> str:
    """Return a key to print in a terminal: without control characters, at most 80 characters."""
    shown = name if name.isprintable() and name else repr(name)
    return shown if len(shown) <= 80 else f"{shown[:79]}…"
