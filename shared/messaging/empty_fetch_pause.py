"""A pause where a broker has none: Kafka holds an empty fetch back until there is something, other brokers may not.

Kafka answers a fetch that finds nothing only after `fetch.max.wait.ms`. A broker that answers at once is asked again at
once by the client, hundreds of times a second, which keeps a laptop busy with nothing (seen with the embedded broker:
500 fetches a second and a fifth of a core for each idle consumer).
"""

import asyncio
import contextlib
from typing import Any, Final

from aiokafka import AIOKafkaConsumer

PAUSE_SECONDS: Final = 0.05
"""At most twenty questions a second, and at most so much later for the first record after a silence."""


def be_patient(consumer: AIOKafkaConsumer) -> None:
    """Make a started consumer pause after each empty fetch that took less than PAUSE_SECONDS.

    With Kafka itself nothing changes: its empty fetches take longer. aiokafka has no setting for it, so its fetcher's
    one method is wrapped.
    """
    fetcher: Any = consumer._fetcher
    fetch = fetcher._proc_fetch_request

    async def fetch_patiently(*arguments: Any) -> bool:
        loop = asyncio.get_running_loop()
        began = loop.time()
        found: bool = await fetch(*arguments)
        if not found:
            with contextlib.suppress(asyncio.CancelledError):  # as the fetcher's own method does: it ends, and says no
                await asyncio.sleep(max(0.0, began + PAUSE_SECONDS - loop.time()))
        return found

    fetcher._proc_fetch_request = fetch_patiently
