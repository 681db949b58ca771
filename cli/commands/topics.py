"""`couponry topics`: create."""

from dataclasses import asdict
from typing import Annotated

import typer

from cli.apps import AsJson, new_app
from cli.connect import broker, run
from cli.output import count, say, show_json, show_table
from schemas.topics import DAY_MS, Topic, all_topics
from shared.messaging.topics_admin import BROKERS_DEFAULT, TopicsReport, create_topics

app = new_app("Create the topics.")


@app.callback()
def topics() -> None:
    """Create the topics."""


@app.command()
def create(
    replication: Annotated[
        int, typer.Option(min=-1, max=100, help="Copies of each partition; -1 uses the broker's default.")
    ] = BROKERS_DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Create every topic that doesn't exist, and show the layout of all of them.

    Existing topics are not changed; differences from the wanted layout are reported. `--json` also gives the reason for
    each layout.
    """
    wanted, report = run(_create(replication))
    if as_json:
        show_json(_document(wanted, report))
        return
    show_table(
        ("topic", "key", "partitions", "kept", "cleanup", ""),
        [
            (topic.name, topic.key, topic.partitions, kept(topic), topic.cleanup_policy, _state(topic, report))
            for topic in wanted
        ],
        right=("partitions",),
    )
    for one in report.differences:
        say(f"{one.topic}: {one.what} is {one.found} instead of {one.wanted}. Change it with your broker's own tools.")


async def _create(replication: int) -> tuple[list[Topic], TopicsReport]:
    async with broker() as settings:
        report = await create_topics(settings, replication_factor=replication)
    return list(all_topics(settings.topic_prefix)), report


def kept(topic: Topic) -> str:
    """Return the time for which records are kept: `14 days`, `for ever`."""
    return "for ever" if topic.retention_ms < 0 else count(topic.retention_ms // DAY_MS, "day")


def _state(topic: Topic, report: TopicsReport) -> str:
    if topic.name in report.created:
        return "created"
    return "differs" if any(one.topic == topic.name for one in report.differences) else "exists"


def _document(wanted: list[Topic], report: TopicsReport) -> list[dict[str, object]]:
    return [
        {
            **asdict(topic),
            "state": _state(topic, report),
            "differences": [asdict(one) for one in report.differences if one.topic == topic.name],
        }
        for topic in wanted
    ]
