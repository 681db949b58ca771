"""A command group that imports subcommands when they are called, which keeps `couponry --help` fast."""

import importlib
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import typer
from typer.core import TyperCommand, TyperGroup

EXIT_FAILED: Final = 1


@dataclass(frozen=True, slots=True)
class Entry:
    """A subcommand: the place of its typer app (`module:attribute`), and its summary for `--help`.

    `alone`: the app is a single command, not a group.
    """

    target: str
    summary: str
    panel: str
    alone: bool = True

    def load(self) -> Any:
        """Import and return the real command."""
        module, _, attribute = self.target.partition(":")
        found: typer.Typer = getattr(importlib.import_module(module), attribute)
        return typer.main.get_command(found) if self.alone else typer.main.get_group(found)


def lazy_group(entries: Mapping[str, Entry]) -> type[TyperGroup]:
    """Return a group class with `entries` as its subcommands, in their order."""

    class LazyGroup(TyperGroup):
        def __init__(self, **attributes: Any) -> None:
            super().__init__(**attributes)
            for name, entry in entries.items():
                self.add_command(TyperCommand(name, help=entry.summary, rich_help_panel=entry.panel))

        def resolve_command(self, ctx: Any, args: list[str]) -> Any:
            _check_encoding(args)
            entry = entries.get(args[0])
            if entry is not None:
                command = entry.load()
                command.name = args[0]
                self.add_command(command)
            return super().resolve_command(ctx, args)

        def invoke(self, ctx: Any) -> Any:
            """Run the command. Errors end in a message on standard error and an exit code, not in a traceback."""
            try:
                return super().invoke(ctx)
            except (typer.Exit, typer.Abort):
                raise
            except BrokenPipeError:  # the reader of our output, such as `head`, closed the pipe
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
                raise typer.Exit(0) from None
            except Exception as error:
                if hasattr(error, "format_message"):  # a usage error: typer shows it with the usage and exit code 2
                    raise
                from cli.errors import explain  # noqa: PLC0415 - slow, because it imports every error class
                from shared.runtime.printable import printable  # noqa: PLC0415

                code, sentence = explain(error)
                typer.echo(printable(sentence), err=True)
                raise typer.Exit(code) from None

    return LazyGroup


def _check_encoding(arguments: list[str]) -> None:
    """Raise UsageProblemError for an argument that isn't valid UTF-8, unless it is the name of a file."""
    for argument in arguments:
        try:
            argument.encode()
        except UnicodeEncodeError:
            if not os.path.lexists(argument):
                from cli.errors import UsageProblemError  # noqa: PLC0415 - slow, because it imports every error class

                shown = os.fsencode(argument).decode("utf-8", "backslashreplace")
                raise UsageProblemError(f"The argument '{shown}' is not valid UTF-8; type it again.") from None
