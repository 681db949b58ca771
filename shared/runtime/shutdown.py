"""Turn SIGTERM and SIGINT into an event: the current work is finished, then the process exits, within a time limit."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Iterator

from shared.runtime.errors import EXIT_RESTART
from shared.runtime.logging import get_logger

log = get_logger("service")


@contextlib.contextmanager
def stop_on_signals(stopping: asyncio.Event) -> Iterator[None]:
    """While inside, SIGTERM and SIGINT set `stopping`; a second signal exits the process at once."""
    loop = asyncio.get_running_loop()

    def stop(name: str) -> None:
        if stopping.is_set():
            sys.stderr.write("second signal to stop: exiting at once\n")
            sys.stderr.flush()
            os._exit(EXIT_RESTART)
        log.info("stopping", signal=name)
        stopping.set()

    signals = (signal.SIGTERM, signal.SIGINT)
    for number in signals:
        loop.add_signal_handler(number, stop, number.name)
    try:
        yield
    finally:
        for number in signals:
            loop.remove_signal_handler(number)


async def sleep_unless(stopping: asyncio.Event, seconds: float) -> bool:
    """Wait `seconds`, or until `stopping` is set; return whether it is set."""
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(stopping.wait(), seconds)
    return stopping.is_set()
