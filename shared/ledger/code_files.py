"""Read codes from text: one per line, or the column `code` of CSV. Used for files and for requests."""

import csv
from typing import Final

from schemas.limits import MAX_ID_LENGTH
from shared.ledger.csv_escaping import unescape_cell

COLUMN: Final = "code"
DELIMITERS: Final = ",;\t"

Column = tuple[str, int]
"""(delimiter, index) of the column that holds the codes"""


def column_of(header: str) -> Column | None:
    """Return the column of the codes if the line is a header with a column `code`."""
    for delimiter in DELIMITERS:
        names = [name.strip().lower() for name in next(csv.reader([header], delimiter=delimiter), [])]
        if COLUMN in names:
            return delimiter, names.index(COLUMN)
    return None


def code_in(line: str, column: Column | None) -> str:
    """Return the code of a line. Raises ValueError; its message lacks the subject, which the caller adds.

    In CSV, remove the apostrophe that keeps spreadsheets from reading the code as a formula.
    """
    code = line.strip() if column is None else unescape_cell(_cell(line, column)).strip()
    if not code or len(code) > MAX_ID_LENGTH or not code.isprintable():
        raise ValueError(f"a code must have 1 to {MAX_ID_LENGTH} characters and no control characters.")
    if column is None and "," in code:
        raise ValueError(
            f"contains a comma; write one code per line, or name the column of the codes {COLUMN!r} in the first line."
        )
    return code


def _cell(line: str, column: Column) -> str:
    try:
        return next(csv.reader([line], delimiter=column[0], strict=True))[column[1]].strip()
    except (csv.Error, IndexError, StopIteration):
        raise ValueError(f"has no {COLUMN!r}; each line needs the columns of the first one.") from None
