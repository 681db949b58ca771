"""Read JSON with line numbers: one document, or several in a row, such as one per line."""

import json
import re
from typing import Final

from cli.campaign_tree import FileSyntaxError, Node, TreeBuilder

_WORD: Final = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|[{}\[\],:]|[^\s{}\[\],:"]+')
_BLANK: Final = re.compile(r"[ \t\r\n]*")
# Numbers stay strings here: the model reads their digits from the file's text.
_DECODER: Final = json.JSONDecoder(parse_int=str, parse_float=str, parse_constant=str)


def read_json(text: str) -> TreeBuilder:
    """Read every document of `text`. Raises FileSyntaxError with line and column."""
    builder = TreeBuilder()
    at, line = _BLANK.match(text).end(), 1  # type: ignore[union-attr]  # matches the empty string too
    line += text.count("\n", 0, at)
    while at < len(text):
        try:
            _, end = _DECODER.raw_decode(text, at)
        except json.JSONDecodeError as error:
            raise FileSyntaxError(error.lineno, error.colno, f"not valid JSON ({error.msg})") from None
        except RecursionError:
            raise FileSyntaxError(line, 1, "nested too deeply; a campaign needs only a few levels") from None
        _build(builder, text, at, end, line)
        after = _BLANK.match(text, end).end()  # type: ignore[union-attr]
        line += text.count("\n", at, after)
        at = after
    return builder


def _build(builder: TreeBuilder, text: str, start: int, end: int, line: int) -> None:
    """Add the document between `start` and `end`, which is valid JSON and begins on `line`."""
    counted, line_start = start, text.rfind("\n", 0, start) + 1
    for match in _WORD.finditer(text, start, end):
        word = match[0]
        if ends := text.count("\n", counted, match.start()):
            line, line_start = line + ends, text.rfind("\n", counted, match.start()) + 1
        counted = match.start()
        if word in ",:":
            continue
        if word in "]}":
            builder.end()
        elif builder.wants_key:
            builder.key(line, json.loads(word))
        elif word in "[{":
            node = Node(line, items=[]) if word == "[" else Node(line, fields={})
            builder.begin(line, match.start() - line_start + 1, node)
        else:
            if "\\u" in word and not _is_unicode(word):
                builder.problem(
                    line, r"contains half a character (a lone surrogate such as \ud800); correct the string"
                )
                word = '""'
            builder.scalar(line, word)


def _is_unicode(word: str) -> bool:
    try:
        json.loads(word).encode()
    except UnicodeEncodeError:
        return False
    return True
