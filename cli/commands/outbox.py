"""`couponry outbox`: list, publish."""

from typing import Annotated

import typer

from cli.apps import AsJson, Limit, new_app
from cli.connect import ledger, reading, run
from cli.errors import CommandFailedError, UsageProblemError
from cli.output import count, moment, say, show_json, show_table
from shared.ledger.withheld import WithheldEvent, list_withheld, publish_again

app = new_app("List events that could not be published, and publish them again.")


@app.command("list")
def list_events(
    *,
    everything: Annotated[
        bool, typer.Option("--all", help="Also list events that were published again since; they are kept for a while.")
    ] = False,
    limit: Limit = 100,
    as_json: AsJson = False,
) -> None:
    """List the newest events that the relay withheld because they could not be published, with the error.

    Example: `couponry outbox list`
    """
    events = run(_listed(republished=everything, limit=limit))
    if as_json:
        show_json(events)
        return
    if not events:
        say("No event is withheld.")
        return
    show_table(
        ("position", "withheld (UTC)", "event", "topic", "what was wrong", "published again"),
        [
            (
                one.position,
                moment(one.withheld_at),
                f"{one.type} {one.key}",
                one.topic,
                f"{one.error_class}: {one.error_text}",
                moment(one.republished_at),
            )
            for one in events
        ],
        right=("position",),
    )
    say(count(len(events), "event"))


@app.command()
def publish(
    positions: Annotated[list[int] | None, typer.Argument(metavar="POSITION", min=1, max=2**63 - 1)] = None,
    *,
    everything: Annotated[bool, typer.Option("--all", help="All withheld events.")] = False,
    as_json: AsJson = False,
) -> None:
    """Put withheld events into the outbox again, after the cause has been fixed. The relay publishes them.

    Each event keeps its id and is put there once, even if the command is repeated. An event that still can't be
    published is withheld again, at its new position.

    Examples: `couponry outbox publish 4711`, `couponry outbox publish --all`
    """
    if bool(positions) == everything:
        raise UsageProblemError("Name positions as `couponry outbox list` shows them, or give --all, not both.")
    published = run(_publish(positions or None))
    if as_json:
        show_json({"published": published})
        return
    say(f"{count(len(published), 'event')} put into the outbox again.")


async def _listed(*, republished: bool, limit: int) -> list[WithheldEvent]:
    async with reading() as connection:
        return await list_withheld(connection, republished=republished, limit=limit)


async def _publish(positions: list[int] | None) -> list[int]:
    async with ledger() as pool:
        published = await publish_again(pool, positions)
    missing = sorted(set(positions or ()) - set(published))
    if missing:
        done = f" ({count(len(published), 'other')} put into the outbox again)" if published else ""
        raise CommandFailedError(
            f"No event is withheld at position {missing[0]}{done}; `couponry outbox list` shows all of them."
        )
    return published
