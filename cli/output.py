"""Print the output of commands: tables up to 100 columns wide, or JSON.

Codes, ids, errors and dead letters come from outside. Their terminal control characters are escaped here; in JSON
by JSON's own escapes, which don't change the values.
"""

import dataclasses
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import orjson
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from shared.domain.model.money import format_for_message
from shared.runtime.printable import printable, printable_json

MAX_WIDTH: Final = 100
"""Fits a page, and a terminal next to another one."""


def console(*, stderr: bool = False) -> Console:
    """Return a console at most MAX_WIDTH columns wide; a pipe is exactly that wide."""
    made = Console(stderr=stderr, highlight=False)
    made.width = min(made.width, MAX_WIDTH) if made.is_terminal else MAX_WIDTH
    return made


def say(text: str = "") -> None:
    """Print one or more lines to standard output, with control characters escaped."""
    console().print(printable(text), markup=False, soft_wrap=True)


def complain(text: str) -> None:
    """Print one or more lines to standard error, with control characters escaped."""
    console(stderr=True).print(printable(text), markup=False, soft_wrap=True)


def table(
    columns: Sequence[str], rows: Iterable[Sequence[object]], *, right: Iterable[str] = (), whole: Iterable[str] = ()
) -> Table:
    """Return a table of strings. Columns in `right` are right-aligned, those in `whole` are never wrapped."""
    made = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        made.add_column(
            column, justify="right" if column in right else "left", overflow="fold", no_wrap=column in whole
        )
    for row in rows:
        made.add_row(*[_cell(cell) for cell in row])
    return made


def _cell(content: object) -> Text:
    """Return a cell as Text: in a plain string rich would interpret `[red]` as markup."""
    if isinstance(content, Text):
        content.plain = printable(content.plain)
        return content
    return Text("" if content is None else printable(str(content)))


def show_table(
    columns: Sequence[str], rows: Iterable[Sequence[object]], *, right: Iterable[str] = (), whole: Iterable[str] = ()
) -> None:
    """Print a table."""
    console().print(table(columns, rows, right=right, whole=whole))


def show_facts(facts: Iterable[tuple[str, object]]) -> None:
    """Print names and values, one pair a line, leaving out values that are None."""
    made = Table(box=None, show_header=False, pad_edge=False)
    made.add_column(style="bold", no_wrap=True)
    made.add_column(overflow="fold")
    for name, value in facts:
        if value is not None:
            made.add_row(_cell(name), _cell(value))
    console().print(made)


def show_json(value: object) -> None:
    """Print a JSON document. Dataclasses become objects, times RFC 3339."""
    document = orjson.dumps(value, default=_plain, option=orjson.OPT_INDENT_2 | orjson.OPT_UTC_Z)
    sys.stdout.write(printable_json(document.decode()) + "\n")


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    return str(value)


def moment(value: datetime | None) -> str:
    """Return a time in UTC, to the second: `2026-11-22 09:30:00`; empty for None."""
    return "" if value is None else f"{value.astimezone(UTC):%Y-%m-%d %H:%M:%S}"


def day(value: datetime | None) -> str:
    """Return a time in UTC: only the day if it is midnight, otherwise to the minute; empty for None."""
    if value is None:
        return ""
    utc = value.astimezone(UTC)
    return f"{utc:%Y-%m-%d}" if (utc.hour, utc.minute, utc.second) == (0, 0, 0) else f"{utc:%Y-%m-%d %H:%M}"


def money(minor: int | None, currency: str | None) -> str:
    """Return an amount with its currency: `12.50 USD`; empty if one of them is None."""
    return "" if minor is None or currency is None else f"{format_for_message(minor, currency)} {currency}"


def count(number: int, noun: str, plural: str | None = None) -> str:
    """Return a number with its noun: `1 coupon`, `2,000 coupons`."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"
