"""A gateway for tests: the whole application on a real ledger, called over HTTP without a socket."""

import asyncio
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import httpx
from pydantic import SecretStr

from schemas.campaigns import CampaignDefinition
from services.gateway.access import keys
from services.gateway.access.callers import SCOPES
from services.gateway.app import create_app
from services.gateway.gateway import Gateway
from services.gateway.idempotency import Housekeeper
from services.gateway.serving import BACKLOG, limits_of
from services.gateway.settings import GatewaySettings
from shared.ledger.database import Pool
from shared.runtime.http_server import BoundedServer
from tests.ledger import ledger


@dataclass
class Served:
    """A running gateway. `client` sends a key with all scopes."""

    client: httpx.AsyncClient
    gateway: Gateway
    pool: Pool
    key: str

    async def key_for(self, *scopes: str) -> dict[str, str]:
        """Create a key and return the headers that send it."""
        made = await keys.create(self.pool, "a test's", scopes)
        return {"Authorization": f"Bearer {made.key}"}

    def anonymous_client(self) -> httpx.AsyncClient:
        """Return a client without a key."""
        return client_of(self.gateway, {})


def client_of(gateway: Gateway, headers: dict[str, str]) -> httpx.AsyncClient:
    """Return a client of the application."""
    transport = httpx.ASGITransport(create_app(gateway), raise_app_exceptions=True)
    return httpx.AsyncClient(transport=transport, base_url="http://couponry.test", headers=headers)


@asynccontextmanager
async def listening(here: Served, **limits: Any) -> AsyncIterator[str]:
    """Serve the application on a separate port, for clients that need one; run those in another thread.

    `limits` replace the limits of the settings.
    """
    settings = here.gateway.settings
    listener = socket.create_server(("127.0.0.1", 0), backlog=BACKLOG)
    bounds = replace(limits_of(settings, settings.http_connections), **limits)
    server = BoundedServer(create_app(here.gateway), bounds, trusted_proxies=settings.trusted_proxies, backlog=BACKLOG)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        await serving
        listener.close()


@asynccontextmanager
async def served(
    database_url: str, *definitions: CampaignDefinition, scopes: Sequence[str] = SCOPES, **settings: Any
) -> AsyncIterator[Served]:
    """Run a gateway on a new ledger with these campaigns. At the end, the audit must find nothing."""
    async with ledger(database_url, *definitions, connections=8) as pool:
        gateway = Gateway(pool, GatewaySettings(database_url=SecretStr(database_url), **settings))
        housekeeper = Housekeeper(gateway.idempotency, database_url)
        await housekeeper.run_once()
        made = await keys.create(pool, "a test's", scopes)
        try:
            async with client_of(gateway, {"Authorization": f"Bearer {made.key}"}) as client:
                yield Served(client, gateway, pool, made.key)
        finally:
            await gateway.drained()
            housekeeper.release_lock()
