"""CSV responses that are safe to open in a spreadsheet."""

import csv
import io
from collections.abc import Iterable, Sequence

from fastapi import Request, Response

from shared.ledger.csv_escaping import escape_cell


def wants_csv(request: Request, requested: str | None) -> bool:
    """Return whether the response should be CSV: by the `format` parameter, else by the Accept header."""
    if requested is not None:
        return requested == "csv"
    return "text/csv" in request.headers.get("accept", "")


def csv_response(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> Response:
    """Render the rows as CSV (RFC 4180)."""
    return Response(csv_text([columns, *rows]), media_type="text/csv; charset=utf-8")


def csv_text(rows: Iterable[Sequence[object]]) -> str:
    """Render rows as lines of CSV. Texts that a spreadsheet would run as formulas are escaped; numbers are not."""
    written = io.StringIO()
    csv.writer(written).writerows([cell(one) for one in row] for row in rows)
    return written.getvalue()


def cell(value: object) -> object:
    """Return a value for csv.writer: a text that would be a formula is escaped, None is empty."""
    if isinstance(value, str):
        return escape_cell(value)
    return "" if value is None else value
