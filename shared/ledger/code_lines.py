"""Codes in text: one a line, or the column `code` of CSV. Shared by who reads files and who reads requests."""

import csv
from typing import Final

from schemas.limits import MAX_ID_LENGTH
from shared.ledger.cells import bare

COLUMN: Final = "code"
DELIMITERS: Final = ",;\t"

Column = tuple[str, int]
"""(delimiter, index) of the column that holds the codes"""


def column_of(header: str) -> Column | None:
    """Where the codes are, when the line is a header that names the column `code`."""
    for delimiter in DELIMITERS:
        names = [name.strip().lower() for name in next(csv.reader([header], delimiter=delimiter), [])]
        if COLUMN in names:
            return delimiter, names.index(COLUMN)
    return None


def code_in(line: str, column: Column | None) -> str:
    """The code of a line. Raises ValueError with a sentence, without its subject, that says what is wrong.

    In a column of CSV the apostrophe goes that keeps a spreadsheet from taking the code for a formula.
    """
    code = line.strip() if column is None else bare(_cell(line, column)).strip()
    if not code or len(code) > MAX_ID_LENGTH or not code.isprintable():
        raise ValueError(f"a code has 1 to {MAX_ID_LENGTH} characters and no control characters.")
    if column is None and "," in code:
        raise ValueError(
            f"holds a comma; write one code a line, or name the column of the codes {COLUMN!r} in the first line."
        )
    return code


def _cell(line: str, column: Column) -> str:
    try:
        return next(csv.reader([line], delimiter=column[0], strict=True))[column[1]].strip()
    except (csv.Error, IndexError, StopIteration):
        raise ValueError(f"has no {COLUMN!r}; each line needs the columns of the first one.") from None
