"""What stands in a campaign file and on which line: one tree for YAML and JSON, whose scalars are JSON texts.

A scalar keeps its digits: `10.50` is never a float on its way from the file to the model. Nothing here knows what a
campaign is.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, NamedTuple

MOST_DEPTH: Final = 100
"""Levels of nesting: a campaign has four, its metadata perhaps a few more; the model's own reader ends at about 200."""

NOTHING: Final = "null"


class FileSyntaxError(Exception):
    """The file can't be read at all; line and column count from 1."""

    def __init__(self, line: int, column: int, text: str) -> None:
        super().__init__(text)
        self.line, self.column = line, column


class FileProblem(NamedTuple):
    """One thing to put right, on one line (from 1)."""

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
    def is_text(self) -> bool:
        """Whether it is a text, not a number, a boolean, null, a list or a mapping."""
        return self.text is not None and self.text.startswith('"')


class Entry(NamedTuple):
    """A mapping's value, and the line of its key: where somebody looks for the field."""

    line: int
    node: Node


@dataclass(slots=True)
class TreeBuilder:
    """Builds trees from what a reader meets, one after another; what can be told and read on is in `problems`."""

    documents: list[Node] = field(default_factory=list)
    problems: list[FileProblem] = field(default_factory=list)
    _open: list[Node] = field(default_factory=list)
    _key: tuple[int, str] | None = None

    @property
    def wants_key(self) -> bool:
        """Whether the next scalar is a mapping's key."""
        return bool(self._open) and self._open[-1].fields is not None and self._key is None

    def key(self, line: int, name: str) -> None:
        """A mapping's next key."""
        self._key = (line, name)

    def scalar(self, line: int, text: str) -> None:
        """A value as a JSON text."""
        self._add(Node(line, text=text))

    def begin(self, line: int, column: int, node: Node) -> None:
        """A list or a mapping; what follows belongs to it until `end`. Raises FileSyntaxError beyond MOST_DEPTH."""
        if len(self._open) >= MOST_DEPTH:
            raise FileSyntaxError(line, column, f"nested more than {MOST_DEPTH} deep; a campaign needs only a few")
        self._add(node)
        self._open.append(node)

    def end(self) -> None:
        """The innermost list or mapping is complete."""
        self._open.pop()

    def problem(self, line: int, text: str) -> None:
        """Note something to put right."""
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
            self.problem(line, f"{printable(name)}: stands already on line {fields[name].line}; keep one of the two")
        else:
            fields[name] = Entry(line, node)


def to_json(node: Node) -> str:
    """The tree as JSON; numbers with the digits that the file has."""
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
    """Where a part of a tree is: its line, its name as people write it, and the part itself."""

    line: int
    name: str
    node: Node
    whole: bool
    """False: the path leads further than the tree does, to what is missing."""


def locate(root: Node, path: tuple[int | str, ...]) -> Place:
    """The place of `path` in the tree, or of as much of it as there is.

    Parts that aren't in the tree are passed over: pydantic names the alternatives of a union in its paths too.
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
    """A key as it may be shown in a terminal: without control characters, and not endless."""
    shown = name if name.isprintable() and name else repr(name)
    return shown if len(shown) <= 80 else f"{shown[:79]}…"
