"""A primary with a standby and proxies in front of both, to cut off, kill and promote them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import psycopg

from cli.embedded_servers import DATABASE
from shared.ledger.migrate import migrate
from tests.backends.standby import StandbyPair, through
from tests.faults.proxy import Proxy, proxy


class Failover:
    """A pair of servers with two proxies: `clients` in front of the primary, and `link` between the servers."""

    def __init__(self, pair: StandbyPair, clients: Proxy, link: Proxy) -> None:
        self.pair = pair
        self.clients = clients
        self.link = link
        self.url = through(pair.primary.url(DATABASE), clients.port)

    def admin(self) -> "psycopg.Connection[tuple[object, ...]]":
        return psycopg.connect(self.pair.primary.url(DATABASE), autocommit=True)

    def restart_primary(self) -> None:
        """Restart the primary, which makes commits visible that the standby doesn't have."""
        self.pair.primary.process.kill()
        self.pair.primary.process.start()

    async def fail_over(self) -> None:
        """Kill the primary and promote the standby at the same address for clients."""
        self.clients.cut()
        self.pair.primary.process.kill()
        survivor = await asyncio.to_thread(self.pair.promote)
        self.clients.mend(survivor.port)


@asynccontextmanager
async def failover(*, synchronous: bool = True) -> AsyncIterator[Failover]:
    with StandbyPair() as pair:
        async with proxy(pair.primary.port) as clients, proxy(pair.primary.port) as link:
            await asyncio.to_thread(pair.copy, link.port)
            pair.follow()
            if synchronous:
                await asyncio.to_thread(pair.wait_for_standby)
            await asyncio.to_thread(migrate, pair.primary.url(DATABASE))
            yield Failover(pair, clients, link)


async def until_standby_has_everything(servers: Failover) -> None:
    """Wait until the standby has flushed and replayed everything the primary wrote."""
    assert servers.pair.standby is not None
    with servers.admin() as admin:
        async with asyncio.timeout(60):
            while (
                admin.execute("SELECT FROM pg_stat_replication WHERE replay_lsn >= pg_current_wal_lsn()").fetchone()
                is None
            ):
                await asyncio.sleep(0.05)
