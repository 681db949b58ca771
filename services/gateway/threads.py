"""Run long work of one request in a thread, so that other requests are not delayed."""

import asyncio
import sys
from collections.abc import Callable
from typing import Final, TypeVar

_Made = TypeVar("_Made")

LARGE: Final = 2_000
"""Entries from which on serializing a response takes milliseconds."""

TURN_SECONDS: Final = 0.0005
"""The thread switch interval. With Python's default of 5 ms, an ordinary request would wait that long about ten times
during long work in another thread."""


async def run_in_thread(size: int, make: Callable[[], _Made]) -> _Made:
    """Return the result of `make`; it runs in a thread if `size` is at least LARGE, else at once."""
    return make() if size < LARGE else await asyncio.to_thread(make)


def take_short_turns() -> None:
    """Set the thread switch interval of this process to TURN_SECONDS."""
    sys.setswitchinterval(TURN_SECONDS)
