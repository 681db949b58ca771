"""YAML as a campaign file needs it: texts stay texts, and nothing that means two things to two readers is read.

Only what JSON has is special: `true`, `false`, `null`, whole and decimal numbers. So `no`, `2026-01-01`, `12:30`, `1e3`
and `0x10` are texts, where YAML's own rules, which differ between its versions, would make something else of them.
"""

import json
import re
from typing import Final, Protocol

import yaml

from cli.campaign_tree import NOTHING, FileSyntaxError, Node, TreeBuilder

_NUMBER: Final = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?")
_OTHER_NULLS: Final = frozenset({"~", "Null", "NULL"})
_LINE_END: Final = re.compile("\r\n|[\n\r\x85\u2028\u2029]")  # what the parser counts as one
_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml is ten times faster; wheels have it

_ANCHORS: Final = "anchors and aliases (&, *) aren't read here; write out what they stand for"
_TAGS: Final = "tags (!) aren't read here; leave it out, and put a number that is meant as a text in quotes"
_KEYS: Final = "a field's name must be a text, not a list or a mapping"
_ONLY_A_COMMENT: Final = "only a comment stands here; write null, or put a text that begins with # in quotes"


def read_yaml(text: str) -> TreeBuilder:
    """Every document of `text`. Raises FileSyntaxError with line and column."""
    builder = TreeBuilder()
    reader = _Reader(builder, _LINE_END.split(text))
    try:
        for event in yaml.parse(text, Loader=_LOADER):
            reader.take(event)
    except yaml.reader.ReaderError as error:
        before = _LINE_END.split(text[: error.position])
        raise FileSyntaxError(
            len(before), len(before[-1]) + 1, f"this is no valid YAML ({error.reason}); remove that character"
        ) from None
    except yaml.MarkedYAMLError as error:
        problem = f"{error.context or ''} {error.problem or ''}".strip()
        line, column = reader.place(error.problem_mark or error.context_mark)
        raise FileSyntaxError(line, column, f"this is no valid YAML ({problem})") from None
    return builder


class _Mark(Protocol):
    """Where something stands, from 0; the two parsers have a class of their own each."""

    @property
    def line(self) -> int: ...
    @property
    def column(self) -> int: ...


class _Reader:
    """Turns the parser's events into a tree. `lines` are the file's."""

    def __init__(self, builder: TreeBuilder, lines: list[str]) -> None:
        self._builder = builder
        self._lines = lines

    def take(self, event: yaml.Event) -> None:
        """One event, in the order of the file."""
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
        """Line and column from 1. The parser may place what is missing at the end on a line that isn't there."""
        if mark is None:
            return 1, 1
        last = len(self._lines)
        return (mark.line + 1, mark.column + 1) if mark.line < last else (last, len(self._lines[-1]) + 1)

    def _value_at(self, event: yaml.Event) -> tuple[int, int]:
        """Line and column of what can only be a value. Raises FileSyntaxError where it stands for a field's name."""
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
        """What a scalar without quotes stands for, as a JSON text."""
        if not value:
            if self._lines[line - 1][column - 1 :].lstrip(" \t").startswith("#"):
                self._builder.problem(line, _ONLY_A_COMMENT)
            return NOTHING
        if value in ("true", "false", NOTHING) or _NUMBER.fullmatch(value):
            return value
        if value in _OTHER_NULLS:
            self._builder.problem(line, f'{value} means nothing to some and a text to others; write null or "{value}"')
        return json.dumps(value)

    def _refuse_extras(self, event: yaml.NodeEvent, line: int) -> None:
        if event.anchor is not None:
            self._builder.problem(line, _ANCHORS)
        if getattr(event, "tag", None) is not None:
            self._builder.problem(line, _TAGS)
