"""`couponry publish`."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from cli.apps import AsJson, new_app
from cli.connect import broker, run
from cli.errors import UsageProblemError
from cli.files import open_input
from cli.output import console, count, say, show_json
from cli.publishing import EventFile, Published, send
from schemas.topics import EVENT_TOPICS

STEP = 500

app = new_app()


@app.command()
def publish(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="One structured CloudEvent per line; .gz too; - reads from a pipe.")
    ],
    *,
    topic: Annotated[
        str | None,
        typer.Option(metavar="TOPIC", help="Send everything to this topic instead of the topic of each event's type."),
    ] = None,
    as_is: Annotated[
        bool, typer.Option("--as-is", help="Don't check the events: what can't be read becomes a dead letter.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Send the events of a file to their topics, in the order of the file.

    All lines are checked before the first one is sent. Sending a file twice does no harm: duplicates are recognized by
    their ids.

    Examples: `couponry publish orders.ndjson.gz`, `couponry example signup | couponry publish -`
    """
    known = [one.name for one in EVENT_TOPICS]
    if topic is not None and topic not in known:
        raise UsageProblemError(f"There is no topic {topic!r}; choose one of {', '.join(known)}.")
    published = run(_publish(file, topic, as_is=as_is))
    total = published.events.total()
    if as_json:
        show_json({"events": total, "by_topic": published.events, "seconds": round(published.seconds, 3)})
        return
    by_topic = ", ".join(f"{number:,} to {name}" for name, number in published.events.most_common())
    rate = total / published.seconds if published.seconds else 0
    say(f"Sent {count(total, 'event')} ({by_topic}) in {published.seconds:.1f} s: {rate:,.0f}/s")


async def _publish(file: Path, topic: str | None, *, as_is: bool) -> Published:
    with open_input(file) as opened:
        async with broker() as settings:
            events = EventFile(opened, settings, topic)
            with _bar("checking", None) as (checked, _):
                total = events.check(checked, as_is=as_is)
            with _bar("sending", total) as (_, sent):
                return await send(events, settings, sent)


@contextlib.contextmanager
def _bar(what: str, total: int | None) -> Iterator[tuple[Callable[[int], None], Callable[[int], None]]]:
    """Show a progress bar if standard error is a terminal. Yields two functions: set the position, advance it."""
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        console=console(stderr=True),
        transient=True,
        disable=not console(stderr=True).is_terminal,
    ) as progress:
        task: TaskID = progress.add_task(what, total=total, rate="")

        def place(number: int) -> None:
            if number % STEP == 0:
                progress.update(task, completed=number, rate=_rate(progress, task))

        def move(number: int) -> None:
            progress.update(task, advance=number, rate=_rate(progress, task))

        yield place, move


def _rate(progress: Progress, task: TaskID) -> str:
    speed = progress.tasks[task].speed
    return "" if speed is None else f"{speed:,.0f}/s"
