"""Read codes from files and requests as spreadsheets, shops and editors write them: a list of codes, or CSV.

Text is UTF-8, or UTF-16 with a mark at its beginning; lines end as any system ends them. `CodeReader` reads a stream
in pieces: only one line, and the piece that it arrived in, are in memory.
"""

import codecs
import csv
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

from schemas.limits import MAX_ID_LENGTH
from shared.domain.model.coupon import code_key
from shared.ledger.code_headers import is_header
from shared.ledger.csv_escaping import unescape_cell
from shared.ledger.not_codes import SEPARATORS, file_problem, is_total, may_be_file, problem_of

COLUMN: Final = "code"
DELIMITERS: Final = ",;\t|"
MAX_LINE_LENGTH: Final = 64 * 1024
"""Characters of a line, or of several lines within quotes."""

MAX_SHOWN: Final = 10
"""Names of columns in a message."""

_LINE_END: Final = re.compile("\r\n|[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]")
_SEPARATOR_LINE: Final = re.compile(r'\s*"?sep=([,;\t|])"?\s*', re.IGNORECASE)
_EXCEL_TEXT: Final = re.compile(r'="(.*)"')
"""A cell that Excel keeps as text: ="00123"."""

_FIXED_WIDTH: Final = "   "
"""Blanks between columns. No code has three in a row."""

_PASTED: Final = re.compile("[\u00ad\u200b\u200e\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff]")
"""Soft hyphens, blanks without width, marks of direction: they come with pasted text and can't be seen."""

Kind = Literal["csv", "plain"]
"""`plain`: one code per line, without the quotes of several lines and the apostrophes that spreadsheets need."""


class Column(NamedTuple):
    """The column of the codes. `place` is None if each line is one code. `width`: the columns of the header."""

    delimiter: str
    place: int | None
    width: int | None = None


class CodeFileError(ValueError):
    """A line that can't be read. The text has no subject: the caller adds the line."""

    def __init__(self, line: int, text: str) -> None:
        super().__init__(text)
        self.line = line


@dataclass(frozen=True, slots=True)
class CodeLine:
    """A code with the number of its line, from 1, and of the line after it."""

    line: int
    next_line: int
    code: str


class CodeReader:
    """Reads codes from bytes that arrive in pieces.

    `column`: the name of the column that holds the codes, in the first line, or its number, from 1. Without it, the
    first line may name a column `code`. `from_line`: codes of earlier lines are not read. `option`: how the caller
    writes `column` in messages.
    """

    def __init__(self, kind: Kind, column: str | None = None, from_line: int = 1, option: str = "?column=") -> None:
        self.line = 0
        """The last line that was read"""
        self.codes = 0
        """Lines with codes, including those before `from_line`"""
        self.has_header = False
        self._kind, self._from_line, self._option = kind, from_line, option
        self._named = (column or "").strip() or None
        self._decoder: codecs.IncrementalDecoder | None = None
        self._beginning = b""
        self._text = ""
        self._record, self._record_line, self._open = "", 0, False
        self._column: Column | None = None
        self._header: str | None = None
        self._separator: str | None = None

    def feed(self, piece: bytes) -> Iterator[CodeLine]:
        """Yield the codes of the lines that `piece` completes. Raises CodeFileError."""
        yield from self._read(piece, final=False)

    def close(self) -> Iterator[CodeLine]:
        """Yield the code of the last line, if it has no line end. Raises CodeFileError."""
        yield from self._read(b"", final=True)
        if self._record:
            raise CodeFileError(self._record_line, "has a quote that isn't closed; close it, or remove it.")

    def _read(self, piece: bytes, *, final: bool) -> Iterator[CodeLine]:
        problem = None
        try:
            self._text += self._decoded(piece, final)
        except UnicodeDecodeError as error:
            encoding = "UTF-16" if error.encoding.startswith("utf-16") else "UTF-8"
            problem = f"is not valid {encoding}; save the file as UTF-8."
            self._text += bytes(error.object[: error.start]).decode(error.encoding, "ignore")
        for line in self._lines(final and problem is None):
            self.line += 1
            yield from self._of_line(line)
        if problem is not None:
            raise CodeFileError(self.line + 1, problem)
        if len(self._text) > MAX_LINE_LENGTH:
            raise CodeFileError(self.line + 1, f"is longer than {MAX_LINE_LENGTH:,} characters.")

    def _decoded(self, piece: bytes, final: bool) -> str:
        if self._decoder is None:
            self._beginning += piece
            if not final and (len(self._beginning) < len(codecs.BOM_UTF8) or may_be_file(self._beginning)):
                return ""
            if (problem := file_problem(self._beginning)) is not None:
                raise CodeFileError(1, problem)
            name = "utf-16" if self._beginning[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else "utf-8-sig"
            self._decoder, piece = codecs.getincrementaldecoder(name)(), self._beginning
        return self._decoder.decode(piece, final)

    def _lines(self, final: bool) -> Iterator[str]:
        """Take complete lines from the text. A CR at its end may be half a line end."""
        start = 0
        for end in _LINE_END.finditer(self._text):
            if end.end() == len(self._text) and end[0] == "\r" and not final:
                break
            yield self._text[start : end.start()]
            start = end.end()
        self._text = self._text[start:]
        if final and self._text:
            line, self._text = self._text, ""
            yield line

    def _of_line(self, line: str) -> Iterator[CodeLine]:
        """Yield the code of a record, once its last line has arrived: in quotes a cell may have several lines."""
        if len(line) > MAX_LINE_LENGTH or len(self._record) + len(line) > MAX_LINE_LENGTH:
            raise CodeFileError(self._record_line or self.line, f"is longer than {MAX_LINE_LENGTH:,} characters.")
        if not self._record:
            self._record_line = self.line
        record = f"{self._record}\n{line}" if self._record else line
        if line.count('"') % 2 and (self._open or self._may_open(line)):
            self._open = not self._open
        if self._open:
            self._record = record
            return
        self._record = ""
        if record.strip():
            yield from self._of_record(record)

    def _may_open(self, line: str) -> bool:
        """Return whether a cell of the line may begin with a quote. Elsewhere a quote is part of a cell: 5" TV."""
        if self._column is None:
            return self._kind == "csv" and line.lstrip().startswith('"')
        return self._column.place is not None and (line.startswith('"') or f'{self._column.delimiter}"' in line)

    def _of_record(self, record: str) -> Iterator[CodeLine]:
        line = self._record_line
        try:
            if "\0" in record:
                raise ValueError("has a NUL character; save the file as UTF-8 text.")  # noqa: TRY301
            if self._column is None:
                if (separator := _SEPARATOR_LINE.fullmatch(record)) is not None and self._separator is None:
                    self._separator = separator[1]
                    return
                self._column = self._column_of(record)
                if self.has_header:
                    self._header = record
                    return
            elif record == self._header:
                return  # files with the same header, one after the other
            column = self._column
            if column.place is not None and not any(cell.strip() for cell in _cells(record, column.delimiter)):
                return  # a spreadsheet's row without content
            self.codes += 1
            if line >= self._from_line:
                yield CodeLine(line, self.line + 1, self._code(record, column))
        except ValueError as error:
            raise error if isinstance(error, CodeFileError) else CodeFileError(line, str(error)) from None

    def _column_of(self, record: str) -> Column:
        """Return the column of the codes by the first line, and whether that is a header. Raises ValueError."""
        rows = {delimiter: _cells(record, delimiter) for delimiter in self._separator or DELIMITERS}
        if self._named is not None and self._named.isdecimal():
            return self._numbered(int(self._named), rows)
        wanted = code_key(self._named or COLUMN)
        for delimiter, cells in rows.items():
            places = [index for index, cell in enumerate(cells) if code_key(cell) == wanted]
            if len(places) > 1:
                raise ValueError(f"has several columns {cells[places[0]].strip()!r}. {self._ask()}")
            if places:
                self.has_header = True
                return Column(delimiter, places[0], len(cells))
        delimiter, cells = max(rows.items(), key=lambda row: len(row[1]))
        if self._named is not None:
            raise ValueError(f"has no column {self._named!r}; it has {_names(cells)}.")
        if any(is_header(cell) for row in rows.values() for cell in row):
            raise ValueError(f"looks like a header: {_names(cells)}. {self._ask()}")
        return Column(delimiter, None)

    def _numbered(self, number: int, rows: dict[str, list[str]]) -> Column:
        delimiter, cells = max(rows.items(), key=lambda row: len(row[1]))
        if not 1 <= number <= len(cells):
            raise ValueError(f"has {_columns(cells)}, so there is no column {number}.")
        self.has_header = is_header(cells[number - 1])
        return Column(delimiter, number - 1, len(cells) if self.has_header else None)

    def _code(self, record: str, column: Column) -> str:
        """Return the code of a record. Raises ValueError."""
        if column.place is None:
            return self._listed_code(record.strip())
        cells = _cells(record, column.delimiter, strict=True)
        if column.place >= len(cells):
            raise ValueError(f"has {_columns(cells)}, and the codes are in column {column.place + 1}.")
        if column.width is not None and any(cell.strip() for cell in cells[column.width :]):
            raise ValueError(
                f"has {_columns(cells)}, and the header has {column.width}; write quotes around a code with "
                f"{column.delimiter!r} in it."
            )
        if is_total(cells, column.place):
            raise ValueError("is a row of totals; remove it.")
        return _code_in(cells[column.place].strip(), in_column=True, is_csv=True)

    def _listed_code(self, text: str) -> str:
        """Return the code of a line without columns. Raises ValueError."""
        cells = _quoted(text) if text.startswith('"') else _split(text)
        while len(cells) > 1 and not cells[-1].strip():
            cells.pop()  # a separator at the end of the line
        if len(cells) > 1:
            raise ValueError(f"has several columns. {self._ask()}")
        code = cells[0].strip()
        try:
            if _FIXED_WIDTH in code:
                raise ValueError("has columns of fixed width; separate them with commas, or keep only the codes.")
            return _code_in(code, in_column=False, is_csv=self._kind == "csv")
        except NotACodeError as error:
            if problem_of(code, in_column=True) is not None:
                raise
            raise ValueError(f"{error} If it is a code, write {COLUMN!r} in the first line.") from None

    def _ask(self) -> str:
        return (
            f"Which column holds the codes? Call it {COLUMN!r} in the first line, or give its name or number: "
            f"{self._option}NAME, {self._option}1. Or write one code per line."
        )


class NotACodeError(ValueError):
    """A text that can't be meant as a code. The message has no subject."""


def _code_in(cell: str, *, in_column: bool, is_csv: bool) -> str:
    """Return the code of a cell. Raises ValueError.

    What spreadsheets need isn't part of it: our apostrophe before a formula, Excel's `="…"`.
    """
    if "\n" in cell:
        raise ValueError("has a line break inside a cell, so it may be several codes; write one code per line.")
    text = _EXCEL_TEXT.fullmatch(cell)
    if text is not None:
        return checked_code(text[1])
    unescaped = unescape_cell(cell) if is_csv else cell
    code = checked_code(unescaped)
    # An apostrophe before a formula was written by us, so the cell is a code.
    if unescaped == cell and (problem := problem_of(code, in_column=in_column)) is not None:
        raise NotACodeError(problem)
    return code


def checked_code(text: str) -> str:
    """Return the code without the blanks and invisible characters that are pasted with it. Raises ValueError."""
    code = text if text.isascii() else _PASTED.sub("", text)
    code = " ".join(code.split())
    if not code_key(code) or len(code) > MAX_ID_LENGTH or not code.isprintable():
        raise ValueError(f"a code must have 1 to {MAX_ID_LENGTH} characters and no control characters.")
    return code


def _cells(record: str, delimiter: str, *, strict: bool = False) -> list[str]:
    try:
        return next(csv.reader([f"{line}\n" for line in record.split("\n")], delimiter=delimiter, strict=strict), [])
    except csv.Error:
        if not strict:
            return [record]
        raise ValueError("has a quote in the wrong place; write a quote in a cell twice.") from None


def _split(text: str) -> list[str]:
    return next((cells for separator in SEPARATORS if len(cells := text.split(separator)) > 1), [text])


def _quoted(text: str) -> list[str]:
    """Return the cells of a line that begins with a quote. Raises ValueError."""
    for delimiter in DELIMITERS[1:]:
        with suppress(ValueError):
            return _cells(text, delimiter, strict=True)
    return _cells(text, DELIMITERS[0], strict=True)


def _columns(cells: list[str]) -> str:
    return "1 column" if len(cells) == 1 else f"{len(cells)} columns"


def _names(cells: list[str]) -> str:
    shown = [repr(cell.strip()[:40]) for cell in cells[:MAX_SHOWN]]
    return ", ".join(shown) + (f" and {len(cells) - MAX_SHOWN:,} more" if len(cells) > MAX_SHOWN else "")
