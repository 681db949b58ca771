"""A command whose subcommands are imported when they are called, so that `couponry --help` needs none of them."""

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
    """A subcommand: where its typer app is (`module:attribute`), and what `--help` lists without importing it.

    `alone`: the app is one command, not a group of them.
    """

    target: str
    summary: str
    panel: str
    alone: bool = True

    def load(self) -> Any:
        """The real command. It says about itself what the list said."""
        module, _, attribute = self.target.partition(":")
        found: typer.Typer = getattr(importlib.import_module(module), attribute)
        return typer.main.get_command(found) if self.alone else typer.main.get_group(found)


def lazy_group(entries: Mapping[str, Entry]) -> type[TyperGroup]:
    """A group class with `entries` as its subcommands, listed in their order."""

    class LazyGroup(TyperGroup):
        def __init__(self, **attributes: Any) -> None:
            super().__init__(**attributes)
            for name, entry in entries.items():
                self.add_command(TyperCommand(name, help=entry.summary, rich_help_panel=entry.panel))

        def resolve_command(self, ctx: Any, args: list[str]) -> Any:
            entry = entries.get(args[0])
            if entry is not None:
                command = entry.load()
                command.name = args[0]
                self.add_command(command)
            return super().resolve_command(ctx, args)

        def invoke(self, ctx: Any) -> Any:
            """Run; whatever goes wrong ends in one sentence on standard error and an exit code, not in a traceback."""
            try:
                return super().invoke(ctx)
            except (typer.Exit, typer.Abort):
                raise
            except BrokenPipeError:  # whoever read what we print, `head` say, has read enough
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
                raise typer.Exit(0) from None
            except Exception as error:
                if hasattr(error, "format_message"):  # a usage error, which typer shows with the usage and exit code 2
                    raise
                from cli.errors import explain  # noqa: PLC0415 - knows every error there is, so it is slow to import
                from shared.runtime.printable import printable  # noqa: PLC0415

                code, sentence = explain(error)
                typer.echo(printable(sentence), err=True)
                raise typer.Exit(code) from None

    return LazyGroup
