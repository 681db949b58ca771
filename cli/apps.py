"""Build the typer apps of all commands, so that they look alike."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Final

import typer

from schemas.limits import EARLIEST, LATEST

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
CommandId = Annotated[
    str | None,
    typer.Option("--id", metavar="ID", help="Repeat an earlier command: the same id gets the same result."),
]
Limit = Annotated[int, typer.Option(min=1, max=10_000, help="Print at most this many.")]

_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def new_app(help_text: str | None = None) -> typer.Typer:
    """Return a typer app for one command or a group of commands."""
    return typer.Typer(
        help=help_text,
        add_completion=False,
        no_args_is_help=True,
        rich_markup_mode="markdown",
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )


def parse_since(text: str) -> datetime:
    """Return the time that "2026-11-22", "2026-11-22T09:30:00Z" or "7d" (7 days ago) means. Raises BadParameter."""
    try:
        if text[-1:] in _UNITS and text[:-1].isdigit():
            return datetime.now(UTC) - timedelta(**{_UNITS[text[-1]]: int(text[:-1])})
        moment = datetime.fromisoformat(text)
    except (ValueError, OverflowError):
        raise typer.BadParameter(
            f"{text!r} is not a valid time. Use 2026-11-22, 2026-11-22T09:30:00Z, 90m, 2h or 7d."
        ) from None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def parse_end(text: str) -> datetime | None:
    """Return the time that "2027-01-22" or "2027-01-22T09:30:00Z" means; None for "never". Raises BadParameter.

    There is no "30d": a repeated command must mean the same time.
    """
    if text.strip().lower() == "never":
        return None
    try:
        moment = datetime.fromisoformat(text)
        moment = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
        if EARLIEST <= moment <= LATEST:
            return moment
    except (ValueError, OverflowError):
        pass
    raise typer.BadParameter(
        f"{text!r} is not a valid end. Use a time until the year {LATEST.year}, like 2027-01-22 or "
        "2027-01-22T09:30:00Z, or never."
    )


Since = Annotated[
    datetime | None,
    typer.Option(
        parser=parse_since,
        metavar="WHEN",
        help="Only since this time: 2026-11-22, 2026-11-22T09:30:00Z, or 2h, 7d for 2 hours, 7 days ago.",
    ),
]
