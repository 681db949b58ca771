"""`couponry rehearse`: play events against campaigns in memory."""

from pathlib import Path
from typing import Annotated

import typer

from cli.apps import AsJson, new_app
from cli.connect import identity_rules
from cli.errors import CommandFailedError
from cli.files import open_input
from cli.output import count, say, show_json
from cli.rehearsal.play import Played, play, read_script
from cli.rehearsal.script import ScriptError

app = new_app()


@app.command()
def rehearse(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="Campaigns and steps, in YAML or JSON; - reads from a pipe.")
    ],
    as_json: AsJson = False,
) -> None:
    """Play orders, payments, returns and sign-ups against campaigns in memory. Needs no server and stores nothing.

    The rules are those that the services run, with this installation's settings for recognising customers. A step may
    name its expected result (`then`); the exit code is 1 when the result differs. The examples in `docs/rules.md` are
    such files.

    Example: `couponry rehearse examples/rules/discount.value.yaml`
    """
    with open_input(file) as opened:
        script = read_script(opened, identity_rules())
    try:
        played = list(play(script))
    except ScriptError as error:
        raise CommandFailedError(f"{file}: {error}") from None
    if as_json:
        show_json([{"step": one.step.number, "kind": one.step.kind, "then": one.lines} for one in played])
    else:
        _show(played)
    if any(one.as_expected is False for one in played):
        raise typer.Exit(1)


def _show(played: list[Played]) -> None:
    for one in played:
        say(f"{one.step.number:>3}  {one.step.kind:<10} {one.lines[0]}")
        for line in one.lines[1:]:
            say(f"{'':<16}{line}")
        if one.as_expected is False:
            say(f"{'':<16}expected: {' / '.join(one.step.then or ())}")
    wrong = sum(one.as_expected is False for one in played)
    if wrong:
        say(f"{count(wrong, 'step')} had a different result than expected.")
    elif any(one.as_expected for one in played):
        say("All as expected.")
