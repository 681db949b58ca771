"""Run a service as a separate process: wait until it is ready over HTTP, stop it with a signal."""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import TypeVar

import httpx
import pytest

from shared.runtime.settings import PREFIX, KafkaSettings
from tests.backends import Broker
from tests.backends.embedded import EmbeddedKafka

Seen = TypeVar("Seen")

PATIENCE_SECONDS = 60.0
"""Far more time than any step here takes."""


def kafka_settings(environment: Mapping[str, str]) -> KafkaSettings:
    """Return the settings that a process with this environment would read, for a test's own clients."""
    return KafkaSettings(**{name.removeprefix(PREFIX).lower(): value for name, value in environment.items()})


async def eventually(look: Callable[[], Awaitable[Seen]], good: Callable[[Seen], bool]) -> Seen:
    """Return the result of `look` once it is `good`; fail with the last result."""
    seen = await look()
    for _ in range(int(PATIENCE_SECONDS / 0.05)):
        if good(seen):
            return seen
        await asyncio.sleep(0.05)
        seen = await look()
    raise AssertionError(f"still {seen!r} after {PATIENCE_SECONDS:g} seconds")


def skip_on_the_development_broker(broker: Broker, what_it_does: str) -> None:
    """Skip on the embedded broker for a reason documented in docs/decisions; Apache Kafka runs the test."""
    if isinstance(broker, EmbeddedKafka):
        pytest.skip(f"the embedded development broker {what_it_does}")


def skip_where_the_dead_stay_members(broker: Broker) -> None:
    """The development broker never expires a killed consumer, so its partitions are never reassigned."""
    skip_on_the_development_broker(broker, "keeps a killed consumer in its group")


def skip_where_a_kill_loses_records(broker: Broker) -> None:
    """The development broker writes to its disk only now and then: if killed, it loses what it acknowledged since."""
    skip_on_the_development_broker(broker, "loses what it acknowledged when it is killed itself")


class ServiceProcess:
    """One process. `stop` asks it to exit and returns its exit code, `kill` ends it at once."""

    def __init__(self, process: asyncio.subprocess.Process, health_url: str) -> None:
        self._process = process
        self.health_url = health_url

    async def ready(self) -> None:
        """Wait until it has partitions and its database."""
        async with httpx.AsyncClient(trust_env=False) as client:

            async def look() -> object:
                assert self._process.returncode is None, f"left with code {self._process.returncode}"
                try:
                    return (await client.get(f"{self.health_url}/readyz")).status_code
                except httpx.TransportError as error:
                    return repr(error)

            await eventually(look, lambda seen: seen == 200)

    async def metrics(self) -> str:
        async with httpx.AsyncClient(trust_env=False) as client:
            return (await client.get(f"{self.health_url}/metrics")).text

    async def stop(self) -> int:
        self._process.send_signal(signal.SIGTERM)
        return await asyncio.wait_for(self._process.wait(), PATIENCE_SECONDS)

    async def kill(self) -> None:
        self._process.kill()
        await self._process.wait()

    async def left(self) -> int:
        """Return the exit code, once it exits by itself."""
        return await asyncio.wait_for(self._process.wait(), PATIENCE_SECONDS)

    @property
    def running(self) -> bool:
        return self._process.returncode is None


@asynccontextmanager
async def running(service: str, environment: Mapping[str, str], **settings: object) -> AsyncIterator[ServiceProcess]:
    """Run `python -m services.<service>` with `environment` and `settings` (`burn_on="paid"`); killed at the end."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    variables = {f"{PREFIX}{name.upper()}": str(value) for name, value in {"health_port": port, **settings}.items()}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", f"services.{service}", env={**os.environ, **environment, **variables}
    )
    handle = ServiceProcess(process, f"http://127.0.0.1:{port}")
    try:
        yield handle
    finally:
        if handle.running:
            await handle.kill()
