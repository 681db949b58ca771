"""Work of one request that others would notice is done aside, in a thread, where they get their turn in between."""

import asyncio
import sys
from collections.abc import Callable
from typing import Final, TypeVar

_Made = TypeVar("_Made")

LARGE: Final = 2_000
"""Entries of an answer from which on writing it takes milliseconds."""

TURN_SECONDS: Final = 0.0005
"""For how long a thread keeps the interpreter while another one wants it. Python's own 5 ms would be added to each of
the ten or so moments at which an ordinary request needs it."""


async def aside(size: int, make: Callable[[], _Made]) -> _Made:
    """What `make` gives; made in a thread where it has `size` LARGE or more."""
    return make() if size < LARGE else await asyncio.to_thread(make)


def take_short_turns() -> None:
    """Let the threads of this process take turns of TURN_SECONDS."""
    sys.setswitchinterval(TURN_SECONDS)
