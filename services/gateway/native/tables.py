"""Tables as CSV that a spreadsheet opens without harm."""

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Final

from fastapi import Request, Response

FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
"""What a spreadsheet takes a cell for a formula by."""


def wants_csv(request: Request, told: str | None) -> bool:
    """Whether the answer is to be CSV: by `format`, else by what the client accepts."""
    if told is not None:
        return told == "csv"
    return "text/csv" in request.headers.get("accept", "")


def csv_response(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> Response:
    """The rows as CSV (RFC 4180)."""
    written = io.StringIO()
    writer = csv.writer(written)
    writer.writerow(columns)
    writer.writerows([cell(one) for one in row] for row in rows)
    return Response(written.getvalue(), media_type="text/csv; charset=utf-8")


def cell(value: object) -> object:
    """A cell as it is; a text that would be a formula begins with an apostrophe, numbers stay numbers."""
    if isinstance(value, str) and value.startswith(FORMULA) and not _is_number(value):
        return f"'{value}"
    return "" if value is None else value


def _is_number(text: str) -> bool:
    return text[1:].replace(".", "", 1).isdecimal()
