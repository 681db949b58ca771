"""Lists that a condition makes of the lines, made in parts.

The library copies the list that `filter` and `map` have made so far in every round: for 10,000 lines, 50 million copies
and more than two seconds in one call that nothing can interrupt. So for large orders a condition is compiled once more
with `order.lines.filter(line, …)` written as `(part_0.filter(line, …) + part_1.filter(line, …) + …)`, each part a 64th
of the lines: the same list, with a 32nd of the copies.
"""

import re
from collections.abc import Sequence
from typing import Any, Final

PARTS: Final = 64
"""How many parts the lines are in. A power of two, so that joining them is a tree of even depth."""

FROM_LINES: Final = 300
"""Lines from which on parts are worth their while."""

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
    """`expression` with its lists of lines made in parts, and how many macros that were; as it is where there are none.

    `expression` is one that compiles. Macros within other macros stay as they are: these have few rounds each.
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
            at = _behind(tokens, at)
            chain_ends, macros = tokens[at - 1].end(), macros + 1
            while at < len(tokens) and tokens[at].group().isspace():
                at += 1
        chain = expression[chain_begins:chain_ends]
        written += [expression[place : token.start()], _joined([name + chain for name in NAMES])]
        place, count = chain_ends, count + macros
    return "".join([*written, expression[place:]]), count


def parts_of(lines: Sequence[Any]) -> dict[str, Sequence[Any]]:
    """The lines in PARTS parts, by variable."""
    size = -(-len(lines) // PARTS)
    return {name: lines[number * size : (number + 1) * size] for number, name in enumerate(NAMES)}


def _behind(tokens: Sequence["re.Match[str]"], at: int) -> int:
    """The token behind the parenthesis that closes the macro at `at`."""
    depth = 1
    while depth and at + 1 < len(tokens):
        at += 1
        depth += {"open": 1, "list": 1, "close": -1}.get(tokens[at].lastgroup or "", 0)
    return at + 1


def _joined(texts: Sequence[str]) -> str:
    """The texts joined with `+`, nested as flatly as can be."""
    if len(texts) == 1:
        return texts[0]
    middle = len(texts) // 2
    return f"({_joined(texts[:middle])} + {_joined(texts[middle:])})"
