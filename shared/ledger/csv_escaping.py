"""Protect CSV cells from being read as formulas, and undo it: `unescape_cell(escape_cell(text)) == text`.

The first character makes a cell a formula, and readers disagree on where a cell begins: one that separates by `;` or
tabs, or ignores quotes, begins a cell in the middle of ours. So an apostrophe, which marks text, is inserted before
every formula that begins the text or follows a separator in it. Readers of our CSV remove these apostrophes. The
characters are those of defusedcsv and of OWASP's "CSV Injection", with their wide and small forms.
"""

import re
from typing import Final

_WIDE: Final = "\uff1d\ufe66\u207c\u208c\uff0b\ufe62\u207a\u208a\ufb29\uff0d\ufe63\u2212\uff20\ufe6b\uff5c\uff05\ufe6a"
FORMULA: Final = f"=+-@|%{_WIDE}"
"""Characters that make a cell a formula; some locales read wide forms like the plain ones."""

SEPARATORS: Final = ",;|\t\r\n\v\f\x1c-\x1e\x85\u2028\u2029"
"""Characters at which some CSV reader ends a cell or a line; part of a character class."""

_FORMULA: Final = rf"['\"\s\x00-\x20\u200b-\u200f\u2060\ufeff]*[{re.escape(FORMULA)}]"
"""A formula, after characters that a reader may drop: quotes, blanks, invisible characters, our own apostrophes."""

_BREAK: Final = r"'*[\t\r\n]"
"""Text that begins with one of these counts as a formula (OWASP)."""

_TO_ESCAPE: Final = re.compile(rf"\A(?={_FORMULA}|{_BREAK})|(?<=[{SEPARATORS}])(?={_FORMULA})")
_ESCAPED: Final = re.compile(rf"\A'(?={_FORMULA}|{_BREAK})|(?<=[{SEPARATORS}])'(?={_FORMULA})")
_NUMBER: Final = re.compile(r"[+-][0-9]+(\.[0-9]+)?")


def escape_cell(text: str) -> str:
    """Return the text as a cell that no reader takes for a formula. A number ("-5.00") is unchanged."""
    return text if _NUMBER.fullmatch(text) else _TO_ESCAPE.sub("'", text)


def unescape_cell(text: str) -> str:
    """Return the original text of a cell that `escape_cell` made. Other cells only lose apostrophes before formulas."""
    return _ESCAPED.sub("", text)
