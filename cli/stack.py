"""Run the whole stack on a laptop: embedded servers, tables, topics, and one process per service."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cli.embedded import EmbeddedStack
from cli.locations import ENCRYPTION_KEY_FILE, KEY_FILE
from cli.private_files import write_private
from cli.processes import LOOPBACK, free_port, port_is_free
from cli.supervisor import Supervisor
from services.gateway.access.callers import SCOPES
from services.gateway.access.keys import Keys, create
from shared.ledger.database import open_pool
from shared.ledger.migrate import migrate
from shared.messaging.topics_admin import TopicsReport, create_topics
from shared.runtime.encryption import VARIABLE, make_key
from shared.runtime.settings import KafkaSettings

SERVICES: Final[Mapping[str, int]] = {"issuer": 1, "redeemer": 1, "notifier": 1, "relay": 1}
"""One process per service keeps two cores busy. A deployment can run more."""

HTTP_PORT: Final = 8080

READY_SECONDS: Final = 60.0
DRAIN_SECONDS: Final = 10
"""Shorter than the supervisor waits before it kills a service."""


@dataclass(frozen=True, slots=True)
class RunningStack:
    """A running stack: its servers answer, tables and topics exist, services are ready."""

    servers: EmbeddedStack
    services: Supervisor
    applied: list[str]
    topics: TopicsReport
    http_port: int = 0
    """The gateway's port; 0 if no gateway runs."""

    @property
    def kafka(self) -> KafkaSettings:
        """The settings to connect to the broker."""
        return kafka_of(self.servers)


def kafka_of(servers: EmbeddedStack) -> KafkaSettings:
    """Return the settings of the embedded broker, regardless of those in the environment."""
    return KafkaSettings(kafka_bootstrap_servers=servers.bootstrap_servers, kafka_security_protocol="PLAINTEXT")


@asynccontextmanager
async def running(
    servers: EmbeddedStack,
    *,
    environment: Mapping[str, str] | None = None,
    http_port: int | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> AsyncIterator[RunningStack]:
    """Start everything in order, and stop it in reverse. `environment` is added for the services.

    `http_port`: also start a gateway on this port; 0 means 8080 if it is free, else any.
    """
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
            VARIABLE: encryption_keys(servers.data_dir),
            **(environment or {}),
        }
        services = dict(SERVICES)
        if http_port is not None:
            http_port = http_port or (HTTP_PORT if port_is_free(HTTP_PORT) else free_port())
            services["gateway"] = 1
            variables |= {"COUPONRY_HTTP_HOST": LOOPBACK, "COUPONRY_HTTP_PORT": str(http_port)}
        supervisor = Supervisor(variables, services, servers.data_dir / "logs", say=say, named_members=True)
        async with supervisor:
            say("Starting the services")
            await supervisor.ready(READY_SECONDS)
            yield RunningStack(servers, supervisor, applied, topics, http_port or 0)


async def first_key(servers: EmbeddedStack) -> str:
    """Return an API key with every scope, created at the first start and kept in a private file."""
    file = servers.data_dir / KEY_FILE
    async with await open_pool(servers.database_url, max_size=1) as pool:
        if file.exists():
            key = file.read_text(encoding="ascii").strip()
            if await Keys(pool).caller(key) is not None:
                return key
        made = await create(pool, "created by couponry up", SCOPES)
    write_private(file, f"{made.key}\n")
    return made.key


def encryption_keys(data_dir: Path) -> str:
    """Return the encryption keys of the environment, else one created at the first start and kept in a file."""
    file = data_dir / ENCRYPTION_KEY_FILE
    if os.environ.get(VARIABLE):
        return os.environ[VARIABLE]
    if not file.exists():
        write_private(file, f"{make_key()}\n")
    return file.read_text(encoding="ascii").strip()
