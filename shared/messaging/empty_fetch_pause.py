"""Pause after empty fetches, for brokers that answer them at once.

Kafka answers an empty fetch only after `fetch.max.wait.ms`. If a broker answers at once, the client fetches again
hundreds of times a second, which keeps a laptop busy (seen with the embedded broker: 500 fetches a second and a fifth
of a core for each idle consumer).
"""

import asyncio
import contextlib
from typing import Any, Final

from aiokafka import AIOKafkaConsumer

PAUSE_SECONDS: Final = 0.05
"""Limits an idle consumer to twenty fetches a second; the first record after a silence may arrive this much later."""


def pause_after_empty_fetches(consumer: AIOKafkaConsumer) -> None:
    """Make a started consumer pause after each empty fetch that took less than PAUSE_SECONDS.

    Nothing changes with Kafka itself: its empty fetches take longer. aiokafka has no setting for this, so a method of
    its fetcher is wrapped.
    """
    fetcher: Any = consumer._fetcher
    fetch = fetcher._proc_fetch_request

    async def fetch_and_pause(*arguments: Any) -> bool:
        loop = asyncio.get_running_loop()
        started = loop.time()
        found: bool = await fetch(*arguments)
        if not found:
            with contextlib.suppress(asyncio.CancelledError):  # as the fetcher's own method does: it returns False
                await asyncio.sleep(max(0.0, started + PAUSE_SECONDS - loop.time()))
        return found

    fetcher._proc_fetch_request = fetch_and_pause
