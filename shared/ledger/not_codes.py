"""Recognise texts in a file of codes that can't be meant as a code: a total, a shortened number, an error, JSON.

One row per kind of text, with what to do about it. Each row names texts that some program writes, so that a customer
could never type the code that was meant.
"""

import re
from collections.abc import Sequence
from typing import Final, NamedTuple

SEPARATORS: Final = ",;\t|\uff0c\uff1b\u3001\uff5c"
"""Characters between columns, with the wide forms of Chinese and Japanese keyboards."""


class _Kind(NamedTuple):
    """A kind of text. `in_column`: it isn't a code in a column named `code` either."""

    pattern: re.Pattern[str]
    sentence: str
    in_column: bool = True


def _kind(pattern: str, sentence: str, *, in_column: bool = True) -> _Kind:
    return _Kind(re.compile(pattern, re.IGNORECASE), sentence, in_column)


_TOTALS: Final = "(grand |sub)?total|sum|count|summe|gesamt|anzahl|suma|somme|totale|totaal|итого|合計|合计"
_ROWS: Final = "rows?|lines?|codes?|coupons?|records?|entries|zeilen|filas|lignes"

_USUAL: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
"""Most codes: no row applies."""

_MISSING: Final = frozenset(
    {"NULL", "null", "NaN", "nan", "None", "undefined", "N/A", "n/a", r"\N", "(null)", "<null>", "(blank)", "<NA>"}
)
"""What databases, spreadsheets and programs write for a missing value, in their spelling."""

KINDS: Final = (
    _kind(
        r"[+-]?\d+([.,]\d+)?e\+\d{2,}|[+-]?\d[.,]\d+e-\d{2,}",
        "is a number that a spreadsheet shortened; format the column as text, enter the code again and save the file.",
    ),
    _kind(
        r"\d{3,}\.0+",
        "is a number with decimals, so a program took the code for an amount; write the column as text.",
    ),
    _kind(
        r"#(name\?|ref!|n/a|value!|div/0!|null!|num!|spill!|calc!|error!|#+)|err:\d+",
        "is an error of a spreadsheet; correct the formula and save the file again.",
    ),
    _kind(r"=\s*[a-z][a-z0-9.]*\(.*", "is a formula; save its result instead, for example as CSV."),
    _kind(
        rf"({_TOTALS})\s*[:=]\s*[\d.,]*|\(?\d+ ({_ROWS})\b.{{0,40}}",
        "is the total of a list, not a code; remove the line.",
    ),
    _kind(r"sep=.*", "names a separator that isn't supported; save the file with commas, semicolons, tabs or |."),
    _kind(r"[-=+_*#.~ ]+", "has no letter or digit; remove the line.", in_column=False),
    _kind(r"[{\[].*[\"\\].*", "is JSON, not a code; write one code per line.", in_column=False),
    _kind(r"</?[a-z!?][^<]*>.*", "is HTML or XML, not a code; write one code per line.", in_column=False),
    _kind(r"(#|//|--)\s.*", "is a comment, not a code; remove the line.", in_column=False),
    _kind(
        r"(\d{1,5}[.)]|[-*\u2022\u2013>])\s+\S.*",
        "begins like an entry of a list; write only the code.",
        in_column=False,
    ),
    _kind(
        r"(?=\S*\d)(?=\S*[a-z])\S+( \S+)* (?=\S*\d)(?=\S*[a-z])\S+( \S+)*",
        "has several codes, or columns, separated by blanks; write one code per line.",
        in_column=False,
    ),
    _kind(
        r"\S+( \S+)* (\d+([.,]\d+)?%|\d{4}-\d\d-\d\d\S*|\d+[.,]\d\d)( \S+)*",
        "has several columns, separated by blanks; separate them with commas, or keep only the codes.",
        in_column=False,
    ),
)
"""In the order of their check; the first that matches the whole text counts."""

FILES: Final[tuple[tuple[bytes, str], ...]] = (
    (b"PK\x03\x04", "an Excel or zip file"),
    (b"\xd0\xcf\x11\xe0", "an Excel file (.xls)"),
    (b"\x1f\x8b", "a compressed file (gzip)"),
    (b"%PDF-", "a PDF file"),
    (b"{\\rtf", "an RTF file"),
    (b"SQLite format 3", "a database"),
)
"""Files that aren't text, by how they begin."""


def file_problem(beginning: bytes) -> str | None:
    """Return why a file isn't text, as a sentence without its subject; None if it doesn't begin like one of `FILES`."""
    kind = next((kind for magic, kind in FILES if beginning.startswith(magic)), None)
    return None if kind is None else f"is the beginning of {kind}, not text; save it as CSV in UTF-8."


def may_be_file(beginning: bytes) -> bool:
    """Return whether more bytes are needed to see whether it begins like one of `FILES`."""
    return any(len(beginning) < len(magic) and magic.startswith(beginning) for magic, _ in FILES)


def problem_of(text: str, *, in_column: bool) -> str | None:
    """Return why the text isn't a code, as a sentence without its subject; None if it may be one.

    `in_column`: it comes from the column of the codes. Otherwise it is a whole line. The text has the length of a code
    at most, which bounds the work.
    """
    if text in _MISSING:
        return f"says that there is no code ({text}); remove the line, or write its code."
    if _USUAL.fullmatch(text):
        return None
    for kind in KINDS:
        if (kind.in_column or not in_column) and kind.pattern.fullmatch(text):
            return kind.sentence
    return None


_TOTAL: Final = re.compile(rf"({_TOTALS})\s*:?", re.IGNORECASE)
_NUMBER: Final = re.compile(r"[-+]?\W?\d[\d.,' ]*\W?", re.ASCII)
_MAX_NUMBER_LENGTH: Final = 30


def is_total(cells: Sequence[str], place: int) -> bool:
    """Return whether a row is a total: its code is a word for that, and another cell is a number."""
    if _TOTAL.fullmatch(cells[place].strip()) is None:
        return False
    others = [cell.strip() for index, cell in enumerate(cells) if index != place]
    return any(len(cell) <= _MAX_NUMBER_LENGTH and _NUMBER.fullmatch(cell) for cell in others)
