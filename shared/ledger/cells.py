"""Texts in CSV that no spreadsheet takes for a formula, and back: `bare(guarded(text)) == text` for every text.

A cell is a formula by its first character, and where a cell begins depends on the reader: one that separates by `;` or
tabs, or doesn't know quotes, begins a cell in the middle of ours. So an apostrophe, which makes a cell a text, goes
before every formula that begins the text or follows a separator in it. Whoever reads our CSV takes each such apostrophe
away again. The characters are those of defusedcsv and of OWASP's "CSV Injection", with their wide and small forms.
"""

import re
from typing import Final

_WIDE: Final = "\uff1d\ufe66\u207c\u208c\uff0b\ufe62\u207a\u208a\ufb29\uff0d\ufe63\u2212\uff20\ufe6b\uff5c\uff05\ufe6a"
FORMULA: Final = f"=+-@|%{_WIDE}"
"""What a spreadsheet may take a cell for a formula by; wide forms are read like the plain ones in some languages."""

SEPARATORS: Final = ",;|\t\r\n\v\f\x1c-\x1e\x85\u2028\u2029"
"""What some reader of CSV ends a cell or a line at; part of a character class."""

_FORMULA: Final = rf"['\"\s\x00-\x20\u200b-\u200f\u2060\ufeff]*[{re.escape(FORMULA)}]"
"""A formula, with what a reader may drop before it: quotes, blanks, invisible characters, our own apostrophes."""

_BREAK: Final = r"'*[\t\r\n]"
"""A text that begins with one of these counts as a formula by itself (OWASP)."""

_UNGUARDED: Final = re.compile(rf"\A(?={_FORMULA}|{_BREAK})|(?<=[{SEPARATORS}])(?={_FORMULA})")
_GUARDED: Final = re.compile(rf"\A'(?={_FORMULA}|{_BREAK})|(?<=[{SEPARATORS}])'(?={_FORMULA})")
_NUMBER: Final = re.compile(r"[+-][0-9]+(\.[0-9]+)?")


def guarded(text: str) -> str:
    """The text as a cell that is no formula for any reader. A number ("-5.00") stays as it is."""
    return text if _NUMBER.fullmatch(text) else _UNGUARDED.sub("'", text)


def bare(text: str) -> str:
    """The text of a cell that `guarded` made; a cell that it didn't make is itself, but for its apostrophes."""
    return _GUARDED.sub("", text)
