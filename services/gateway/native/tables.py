"""Tables as CSV that a spreadsheet opens without harm."""

import csv
import io
from collections.abc import Iterable, Sequence

from fastapi import Request, Response

from shared.ledger.cells import guarded


def wants_csv(request: Request, told: str | None) -> bool:
    """Whether the answer is to be CSV: by `format`, else by what the client accepts."""
    if told is not None:
        return told == "csv"
    return "text/csv" in request.headers.get("accept", "")


def csv_response(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> Response:
    """The rows as CSV (RFC 4180)."""
    return Response(csv_text([columns, *rows]), media_type="text/csv; charset=utf-8")


def csv_text(rows: Iterable[Sequence[object]]) -> str:
    """Lines of CSV. All CSV is written here: texts that would be formulas are guarded, numbers stay numbers."""
    written = io.StringIO()
    csv.writer(written).writerows([cell(one) for one in row] for row in rows)
    return written.getvalue()


def cell(value: object) -> object:
    """A value as csv.writer takes it: a text that would be a formula is guarded, None is empty."""
    if isinstance(value, str):
        return guarded(value)
    return "" if value is None else value
