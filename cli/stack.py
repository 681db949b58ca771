"""A laptop's whole installation: embedded servers, tables, topics and one process a service."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from cli.embedded import EmbeddedStack
from cli.supervisor import Supervisor
from shared.ledger.migrate import migrate
from shared.messaging.topics_admin import TopicsReport, create_topics
from shared.runtime.settings import KafkaSettings

SERVICES: Final[Mapping[str, int]] = {"issuer": 1, "redeemer": 1, "notifier": 1, "relay": 1}
"""One of each: two cores are busy with these, and more is a matter of configuration."""

READY_SECONDS: Final = 60.0
DRAIN_SECONDS: Final = 10
"""Below what the supervisor waits before it kills."""


@dataclass(frozen=True, slots=True)
class RunningStack:
    """Servers that answer, tables and topics that exist, services that are ready."""

    servers: EmbeddedStack
    services: Supervisor
    applied: list[str]
    topics: TopicsReport

    @property
    def kafka(self) -> KafkaSettings:
        """How to reach the broker."""
        return kafka_of(self.servers)


def kafka_of(servers: EmbeddedStack) -> KafkaSettings:
    """How to reach the embedded broker, whatever the environment says of others."""
    return KafkaSettings(kafka_bootstrap_servers=servers.bootstrap_servers, kafka_security_protocol="PLAINTEXT")


@asynccontextmanager
async def running(
    servers: EmbeddedStack,
    *,
    environment: Mapping[str, str] | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> AsyncIterator[RunningStack]:
    """Start everything in order, and end it in reverse. `environment` is added for the services."""
    async with servers:
        say("Bringing tables and topics up to date")
        applied = await asyncio.to_thread(migrate, servers.database_url)
        topics = await create_topics(kafka_of(servers))
        drain = os.environ.get("COUPONRY_DRAIN_SECONDS", str(DRAIN_SECONDS))
        variables = {
            "COUPONRY_DRAIN_SECONDS": drain,
            "COUPONRY_LOG_FORMAT": "json",
            **servers.environment,
            "COUPONRY_KAFKA_SECURITY_PROTOCOL": "PLAINTEXT",
            **(environment or {}),
        }
        supervisor = Supervisor(variables, SERVICES, servers.data_dir / "logs", say=say, named_members=True)
        async with supervisor:
            say("Starting the services")
            await supervisor.ready(READY_SECONDS)
            yield RunningStack(servers, supervisor, applied, topics)
