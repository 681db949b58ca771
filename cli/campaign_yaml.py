"""Read a subset of YAML in which every value has one meaning.

Only JSON's special values are special: `true`, `false`, `null`, whole and decimal numbers. So `no`, `2026-01-01`,
`12:30`, `1e3` and `0x10` are strings. YAML's own rules differ between versions and give some of them other types.
"""

import json
import re
from typing import Final, Protocol

import yaml

from cli.campaign_tree import NOTHING, FileSyntaxError, Node, TreeBuilder

_NUMBER: Final = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?")
_OTHER_NULLS: Final = frozenset({"~", "Null", "NULL"})
_LINE_END: Final = re.compile("\r\n|[\n\r\x85\u2028\u2029]")  # the parser's line ends
_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml is ten times faster; wheels have it

_ANCHORS: Final = "anchors and aliases (&, *) are not supported; write the values out"
_TAGS: Final = "tags (!) are not supported; remove the tag, and put a number that is meant as a string in quotes"
_KEYS: Final = "a field's name must be a string, not a list or a mapping"
_ONLY_A_COMMENT: Final = "the value is only a comment; write null, or put a string that begins with # in quotes"


def read_yaml(text: str) -> TreeBuilder:
    """Read every document of `text`. Raises FileSyntaxError with line and column."""
    builder = TreeBuilder()
    reader = _Reader(builder, _LINE_END.split(text))
    try:
        for event in yaml.parse(text, Loader=_LOADER):
            reader.take(event)
    except yaml.reader.ReaderError as error:
        before = _LINE_END.split(text[: error.position])
        raise FileSyntaxError(
            len(before), len(before[-1]) + 1, f"not valid YAML ({error.reason}); remove that character"
        ) from None
    except yaml.MarkedYAMLError as error:
        problem = f"{error.context or ''} {error.problem or ''}".strip()
        line, column = reader.place(error.problem_mark or error.context_mark)
        raise FileSyntaxError(line, column, f"not valid YAML ({problem})") from None
    return builder


class _Mark(Protocol):
    """A position, from 0. The two parsers have different classes for it."""

    @property
    def line(self) -> int: ...
    @property
    def column(self) -> int: ...


class _Reader:
    """A reader that turns the parser's events into a tree. `lines` are those of the file."""

    def __init__(self, builder: TreeBuilder, lines: list[str]) -> None:
        self._builder = builder
        self._lines = lines

    def take(self, event: yaml.Event) -> None:
        """Add one event; events come in the order of the file."""
        builder = self._builder
        if isinstance(event, yaml.ScalarEvent):
            self._scalar(event)
        elif isinstance(event, yaml.CollectionStartEvent):
            line, column = self._value_at(event)
            self._refuse_extras(event, line)
            is_list = isinstance(event, yaml.SequenceStartEvent)
            builder.begin(line, column, Node(line, items=[]) if is_list else Node(line, fields={}))
        elif isinstance(event, yaml.CollectionEndEvent):
            builder.end()
        elif isinstance(event, yaml.AliasEvent):
            line, _ = self._value_at(event)
            builder.problem(line, _ANCHORS)
            builder.scalar(line, NOTHING)

    def place(self, mark: _Mark | None) -> tuple[int, int]:
        """Return line and column from 1. A position after the last line becomes the end of the last line."""
        if mark is None:
            return 1, 1
        last = len(self._lines)
        return (mark.line + 1, mark.column + 1) if mark.line < last else (last, len(self._lines[-1]) + 1)

    def _value_at(self, event: yaml.Event) -> tuple[int, int]:
        """Return line and column of a value. Raises FileSyntaxError if a field's name is expected there."""
        line, column = self.place(event.start_mark)
        if self._builder.wants_key:
            raise FileSyntaxError(line, column, _KEYS)
        return line, column

    def _scalar(self, event: yaml.ScalarEvent) -> None:
        builder, (line, column) = self._builder, self.place(event.start_mark)
        self._refuse_extras(event, line)
        plain = event.implicit[0]
        if builder.wants_key:
            builder.key(line, event.value)
        else:
            builder.scalar(line, self._plain(event.value, line, column) if plain else json.dumps(event.value))

    def _plain(self, value: str, line: int, column: int) -> str:
        """Return an unquoted scalar as JSON."""
        if not value:
            if self._lines[line - 1][column - 1 :].lstrip(" \t").startswith("#"):
                self._builder.problem(line, _ONLY_A_COMMENT)
            return NOTHING
        if value in ("true", "false", NOTHING) or _NUMBER.fullmatch(value):
            return value
        if value in _OTHER_NULLS:
            self._builder.problem(line, f'{value} is ambiguous in YAML; write null or "{value}"')
        return json.dumps(value)

    def _refuse_extras(self, event: yaml.NodeEvent, line: int) -> None:
        if event.anchor is not None:
            self._builder.problem(line, _ANCHORS)
        if getattr(event, "tag", None) is not None:
            self._builder.problem(line, _TAGS)
