"""`couponry dlq`: list, show, replay."""

import asyncio
import re
from collections.abc import Sequence
from typing import Annotated, Final

import orjson
import typer

from cli.apps import AsJson, Limit, new_app
from cli.connect import broker, run
from cli.errors import CommandFailedError, UsageProblemError
from cli.output import count, moment, say, show_facts, show_json, show_table
from schemas.topics import all_topics
from shared.messaging.dead_letters import DeadLetter, list_dead_letters
from shared.messaging.dead_letters import replay as send_again
from shared.messaging.tail import MAX_LISTED
from shared.runtime.settings import KafkaSettings

LONG_NUMBER: Final = re.compile(rb"[0-9.]{16}")
VALUE_SHOWN_BYTES: Final = 4_000

app = new_app("List, show and replay dead letters.")

OnTopic = Annotated[
    str | None,
    typer.Option("--topic", metavar="TOPIC", help="Only dead letters of this topic: orders, or orders.redeemer.dlq."),
]
WithError = Annotated[
    str | None, typer.Option("--error", metavar="CLASS", help="Only dead letters with this error class: bad_data, …")
]
LetterId = Annotated[
    str, typer.Argument(metavar="LETTER", help="As `couponry dlq list` shows it: orders.redeemer.dlq/0/17")
]


@app.command("list")
def list_letters(
    *, topic: OnTopic = None, error: WithError = None, limit: Limit = 100, as_json: AsJson = False
) -> None:
    """List the newest dead letters: where they came from and why they failed.

    Example: `couponry dlq list --topic orders`
    """
    letters = run(_letters(topic, error, limit))
    if as_json:
        show_json([document(letter) for letter in letters])
        return
    if not letters:
        say("No dead letters.")
        return
    show_table(
        ("letter", "failed (UTC)", "came from", "what was wrong"),
        [(name_of(one), moment(one.failed_at), origin(one), f"{one.error_class}: {one.error_text}") for one in letters],
    )
    say(count(len(letters), "dead letter"))


@app.command()
def show(letter: LetterId, as_json: AsJson = False) -> None:
    """Show one dead letter completely: headers and value as they were read."""
    found = run(_one(letter))
    if as_json:
        show_json(document(found))
        return
    key, value = found.record.key, found.record.value or b""
    show_facts(
        [
            ("letter", name_of(found)),
            ("came from", origin(found)),
            ("failed", f"{moment(found.failed_at)} UTC in {found.service}"),
            ("error", found.error_class),
            ("what was wrong", found.error_text),
            ("key", None if key is None else text_of(key)),
            *[
                (f"header {name}", "null" if content is None else text_of(content))
                for name, content in found.record.headers
            ],
            ("value", _shown(value, omitted=found.value_omitted)),
        ]
    )


@app.command()
def replay(
    letters: Annotated[list[str] | None, typer.Argument(metavar="LETTER")] = None,
    *,
    everything: Annotated[
        bool, typer.Option("--all", help="All dead letters, or all that match --topic and --error.")
    ] = False,
    topic: OnTopic = None,
    error: WithError = None,
    as_json: AsJson = False,
) -> None:
    """Send dead letters to the topics they came from, unchanged, after the cause has been fixed.

    Replaying twice does no harm: an event that was executed is recognized by its id. A replayed letter stays listed;
    a record that still can't be read becomes a new dead letter.

    Examples: `couponry dlq replay orders.redeemer.dlq/0/17`, `couponry dlq replay --all --topic orders`
    """
    if bool(letters) == everything:
        raise UsageProblemError("Name letters as `couponry dlq list` shows them, or give --all, not both.")
    sent, left_out = run(_replay(letters, topic, error))
    if as_json:
        show_json({"sent": sent, "left_out": left_out})
        return
    say(f"{count(sent, 'record')} sent to the topics they came from.")
    if left_out:
        say(f"{count(left_out, 'letter')} left out: too large to be kept, so only the topic they came from holds them.")


async def _replay(names: Sequence[str] | None, topic: str | None, error: str | None) -> tuple[int, int]:
    letters = await _letters(topic, error, MAX_LISTED)
    if names:
        by_name = {name_of(letter): letter for letter in letters}
        missing = [name for name in names if name not in by_name]
        if missing:
            raise CommandFailedError(f"There is no dead letter {missing[0]}; `couponry dlq list` shows all of them.")
        letters = [by_name[name] for name in dict.fromkeys(names)]
    async with broker() as settings:
        sent = await send_again(settings, letters)
    return sent, len(letters) - sent


async def _letters(topic: str | None, error: str | None, limit: int) -> list[DeadLetter]:
    """Return the newest `limit` dead letters that match, oldest first."""
    async with broker() as settings:
        names = queues(settings, topic)
        # With a filter, the newest matches may be much older than the newest dead letters.
        depth = limit if error is None else MAX_LISTED
        found = await asyncio.gather(*(list_dead_letters(settings, name, limit=depth) for name in names))
    letters = [letter for some in found for letter in some if error is None or letter.error_class == error]
    return sorted(letters, key=lambda letter: (letter.failed_at, name_of(letter)))[-limit:]


def queues(settings: KafkaSettings, topic: str | None) -> list[str]:
    """Return the dead-letter topics that `topic` means, all of them for None. Raises UsageProblemError."""
    known = [one.name for one in all_topics(settings.topic_prefix) if one.name.endswith(".dlq")]
    if topic is None:
        return known
    chosen = [name for name in known if topic in (name, name.removeprefix(settings.topic_prefix))]
    chosen = chosen or [name for name in known if name.startswith(f"{settings.topic(topic)}.")]
    if not chosen:
        raise UsageProblemError(f"{topic!r} has no dead-letter topic; choose one of {', '.join(known)}.")
    return chosen


async def _one(name: str) -> DeadLetter:
    topic = name.partition("/")[0]
    for letter in await _letters(topic, None, MAX_LISTED):
        if name_of(letter) == name:
            return letter
    raise CommandFailedError(f"There is no dead letter {name}; `couponry dlq list` shows all of them.")


def name_of(letter: DeadLetter) -> str:
    """Return a letter's name: `<dead-letter topic>/<partition>/<offset>`."""
    return f"{letter.topic}/{letter.partition}/{letter.position}"


def origin(letter: DeadLetter) -> str:
    """Return the record's original place: `<topic>/<partition>/<offset>`."""
    return f"{letter.record.topic}/{letter.record.partition}/{letter.record.offset}"


def document(letter: DeadLetter) -> dict[str, object]:
    """Return a letter as a JSON document; bytes are text, with those that aren't UTF-8 escaped."""
    return {
        "letter": name_of(letter),
        "origin": {
            "topic": letter.record.topic,
            "partition": letter.record.partition,
            "offset": letter.record.offset,
            "timestamp_ms": letter.record.timestamp_ms,
        },
        "service": letter.service,
        "error_class": letter.error_class,
        "error_text": letter.error_text,
        "failed_at": letter.failed_at,
        "key": None if letter.record.key is None else text_of(letter.record.key),
        "headers": [[name, None if content is None else text_of(content)] for name, content in letter.record.headers],
        "value": None if letter.record.value is None else text_of(letter.record.value),
        "value_omitted": letter.value_omitted,
    }


def text_of(content: bytes) -> str:
    """Return bytes as text, with those that aren't UTF-8 as `\\xff`."""
    return content.decode("utf-8", "backslashreplace")


def _shown(value: bytes, *, omitted: bool) -> str:
    if omitted:
        return "too large to be kept; the topic it came from holds it"
    if not value:
        return "empty"
    if len(value) <= VALUE_SHOWN_BYTES:
        if LONG_NUMBER.search(value):  # parsing could round it, and it may be the cause of the error
            return text_of(value)
        try:
            return orjson.dumps(orjson.loads(value), option=orjson.OPT_INDENT_2).decode()
        except orjson.JSONDecodeError:
            return text_of(value)
    return f"{text_of(value[:VALUE_SHOWN_BYTES])}… ({len(value):,} bytes in all; --json shows all of them)"
