"""`couponry events`."""

import sys
from typing import Annotated

import orjson
import typer

from cli.apps import Limit, new_app
from cli.connect import broker, run
from cli.errors import UsageProblemError
from cli.output import complain, count
from schemas.topics import EVENT_TOPICS
from shared.messaging.cloudevents import SPECVERSION
from shared.messaging.codec import Codec, UnreadableRecord
from shared.messaging.configured import codec_of
from shared.messaging.polling import records_of
from shared.messaging.records import ReceivedEvent, Record
from shared.messaging.tail import read_tail
from shared.runtime.printable import printable_json

app = new_app()


@app.command()
def events(
    topic: Annotated[
        str, typer.Argument(metavar="TOPIC", help="A topic such as coupons.redemptions, without the prefix.")
    ],
    *,
    limit: Limit = 100,
) -> None:
    """Print the newest committed events of a topic, oldest first, as one structured CloudEvent per line.

    `couponry publish` and `jq` read this format.

    Example: `couponry events coupons.redemption-notifications`
    """
    known = [one.name for one in EVENT_TOPICS]
    if topic not in known:
        raise UsageProblemError(f"There is no topic {topic!r}; choose one of {', '.join(known)}.")
    lines, unreadable = run(_lines(topic, limit))
    sys.stdout.writelines(lines)
    if unreadable:
        text = f"{count(unreadable, 'record')} left out: can't be read. `couponry dlq list` may show why."
        complain(text)


async def _lines(topic: str, limit: int) -> tuple[list[str], int]:
    async with broker() as settings:
        codec = codec_of(settings)
        found = await read_tail(settings, settings.topic(topic), limit, "couponry-cli-events")
    lines = [line for record in records_of(found) if (line := _line(codec, record)) is not None]
    return lines, len(found) - len(lines)


def _line(codec: Codec, record: Record) -> str | None:
    try:
        event = codec.decode(record)
    except UnreadableRecord:
        return None
    return printable_json(orjson.dumps(document(event), option=orjson.OPT_UTC_Z).decode()) + "\n"


def document(event: ReceivedEvent) -> dict[str, object]:
    """Return the event in structured mode, without the attributes that it doesn't have."""
    attributes = {
        "specversion": SPECVERSION,
        "id": event.id,
        "source": event.source,
        "type": event.type,
        "subject": event.subject,
        "time": event.time,
        "traceparent": event.traceparent,
        "datacontenttype": "application/json",
    }
    present = {name: value for name, value in attributes.items() if value is not None}
    return present | {"data": orjson.Fragment(event.data.model_dump_json())}
