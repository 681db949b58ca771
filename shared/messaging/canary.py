"""Check that the codec works at all, to distinguish a bug about one record from a bug about all of them."""

from collections.abc import Callable
from functools import cache
from importlib.resources import files
from typing import Final

import orjson

from schemas.catalogue import BY_TYPE
from shared.messaging.records import ReceivedEvent, Record
from shared.runtime.logging import get_logger

log = get_logger("consumer")

EXAMPLES: Final = "examples"
"""The folder in `schemas` that holds an example of every event, in structured mode."""


def can_decode(decode: Callable[[Record], ReceivedEvent], topic: str, prefix: str) -> bool:
    """Return whether `decode` can read the examples of the events on `topic` (the broker's name, with `prefix`).

    True if there are no examples.
    """
    for value in _examples().get(topic.removeprefix(prefix), ()):
        try:
            decode(Record.unsent(topic, value))
        except Exception:
            log.exception("the codec can't even decode an example", topic=topic)
            return False
    return True


@cache
def _examples() -> dict[str, list[bytes]]:
    """Return the examples by topic name without prefix."""
    found: dict[str, list[bytes]] = {}
    folder = files("schemas") / EXAMPLES
    for file in folder.iterdir() if folder.is_dir() else ():
        value = file.read_bytes()
        entry = BY_TYPE.get(str(orjson.loads(value).get("type")))
        if entry is not None:
            found.setdefault(entry.topic.name, []).append(value)
    return found
