"""Build a condition's lists of lines in parts, which avoids most copying.

In every round the library copies the list that `filter` or `map` has built so far: for 10,000 lines, 50 million copies
and more than two seconds in one call that can't be interrupted. So for large orders a condition is compiled once more
with `order.lines.filter(line, …)` written as `(part_0.filter(line, …) + part_1.filter(line, …) + …)`, where each part
has a 64th of the lines: the same list, with a 32nd of the copies.
"""

import re
from collections.abc import Sequence
from typing import Any, Final

PARTS: Final = 64
"""Number of parts. A power of two, so that joining them is a balanced tree."""

FROM_LINES: Final = 300
"""Number of lines above which parts are faster."""

NAMES: Final = tuple(f"couponry_lines_{number}" for number in range(PARTS))
"""The variables of the parts."""

_TOKEN: Final = re.compile(
    r"""
    (?P<quoted>[rRbB]{0,2}(?:\"\"\".*?\"\"\"|'''.*?'''))
    | (?P<raw>[bB]?[rR][bB]?(?:"[^"\n]*"|'[^'\n]*'))
    | (?P<text>[bB]?(?:"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'))
    | (?P<comment>//[^\n]*)
    | (?P<lines>(?<![\w.])order\s*\.\s*lines(?=\s*\.\s*(?:filter|map)\s*\())
    | (?P<list>\.\s*(?:filter|map)\s*\()
    | (?P<open>[(\[{])
    | (?P<close>[)\]}])
    | (?P<word>[\w.]+)
    | (?P<other>.)
    """,
    re.VERBOSE | re.DOTALL,
)


def in_parts(expression: str) -> tuple[str, int]:
    """Return `expression` rewritten to build its lists of lines in parts, and the number of macros rewritten.

    `expression` must compile. Macros within other macros are unchanged, because they have few rounds each.
    """
    tokens = list(_TOKEN.finditer(expression))
    written, count, place, at = list[str](), 0, 0, 0
    while at < len(tokens):
        token = tokens[at]
        if token.lastgroup != "lines":
            at += 1
            continue
        chain_begins, chain_ends, macros = token.end(), token.end(), 0
        at += 1
        while at < len(tokens) and tokens[at].lastgroup == "list":
            at = _after_macro(tokens, at)
            chain_ends, macros = tokens[at - 1].end(), macros + 1
            while at < len(tokens) and tokens[at].group().isspace():
                at += 1
        chain = expression[chain_begins:chain_ends]
        written += [expression[place : token.start()], _joined([name + chain for name in NAMES])]
        place, count = chain_ends, count + macros
    return "".join([*written, expression[place:]]), count


def parts_of(lines: Sequence[Any]) -> dict[str, Sequence[Any]]:
    """Return the lines in PARTS parts, keyed by variable."""
    size = -(-len(lines) // PARTS)
    return {name: lines[number * size : (number + 1) * size] for number, name in enumerate(NAMES)}


def _after_macro(tokens: Sequence["re.Match[str]"], at: int) -> int:
    """Return the index of the token after the parenthesis that closes the macro at `at`."""
    depth = 1
    while depth and at + 1 < len(tokens):
        at += 1
        depth += {"open": 1, "list": 1, "close": -1}.get(tokens[at].lastgroup or "", 0)
    return at + 1


def _joined(parts: Sequence[str]) -> str:
    """Return the parts joined with `+`, nested as a balanced tree."""
    if len(parts) == 1:
        return parts[0]
    middle = len(parts) // 2
    return f"({_joined(parts[:middle])} + {_joined(parts[middle:])})"
