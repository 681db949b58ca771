"""The database or the broker fails under running services: nothing is lost or dead-lettered, and all catch up."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from shared.ledger.database import Pool
from shared.ledger.migrate import migrate
from shared.messaging.topics_admin import create_topics
from shared.runtime.settings import KafkaSettings
from tests.backends import Backend, Broker, NotStoppableError, Postgres, start_kafka, start_postgres
from tests.faults.fleet import Fleet
from tests.faults.seeds import seed
from tests.faults.shop import dead_letters, send, until_published, until_read
from tests.faults.traffic import Traffic
from tests.integration.service_process import kafka_settings, skip_where_a_kill_loses_records
from tests.ledger import ledger, refusing_connections

pytestmark = [pytest.mark.faults, pytest.mark.broker, pytest.mark.postgres]

ORDERS = 90
"""They have about 600 events."""

AWAY_SECONDS = 4.0
"""Long enough for every service to retry several times."""


class Shop:
    """All services processing orders that change; half of their events are sent before the outage."""

    def __init__(self, settings: KafkaSettings, pool: Pool, fleet: Fleet, traffic: Traffic) -> None:
        self._settings = settings
        self._pool = pool
        self._fleet = fleet
        self._traffic = traffic
        self._half = len(traffic.events) // 2

    async def send_half(self) -> None:
        """Send half of the events; return when some are processed and most aren't."""
        await send(self._settings, self._traffic.events[: self._half])
        while not await self._pool.fetchval("SELECT count(*) FROM journal WHERE kind = 'RedeemCoupons'"):
            await asyncio.sleep(0.01)

    async def send_the_rest_and_see(self, faultless: str) -> None:
        await send(self._settings, self._traffic.events[self._half :])
        await until_read(self._settings, len(self._traffic.events))
        await until_published(self._pool)
        # The notifier's events follow later, through the outbox: every redeemed order names one coupon.
        missing = (
            "SELECT count(*) FILTER (WHERE type = 'coupon.redeemed')"
            " - count(*) FILTER (WHERE type = 'coupon.redemption_notified') FROM outbox"
        )
        async with asyncio.timeout(60):
            while await self._pool.fetchval(missing):
                await asyncio.sleep(0.1)
        await self._traffic.check(self._settings, self._pool, faultless)
        assert await dead_letters(self._settings) == 0
        assert self._fleet.unforeseen == []
        await self._fleet.ready()


@asynccontextmanager
async def at_work(
    environment: dict[str, str], database_url: str, folder: Path, burn_on: str = "placed"
) -> AsyncIterator[Shop]:
    settings = kafka_settings(environment)
    await create_topics(settings)
    traffic = Traffic(ORDERS, seed(20261129), burn_on)
    async with ledger(database_url) as pool, Fleet(environment, folder) as fleet:
        await traffic.prepare(pool)
        await fleet.add("redeemer", 2, named=True, batch_max_records=10, burn_on=burn_on)
        for service in ("issuer", "notifier", "relay"):
            await fleet.add(service, named=service != "relay", batch_max_records=10)
        await fleet.ready()
        yield Shop(settings, pool, fleet, traffic)


async def lose_during_work(server: Backend, shop: Shop, faultless: str) -> None:
    """Stop the server for a while after half of the events; all of them must be processed."""
    await shop.send_half()
    try:
        server.kill()
    except NotStoppableError as reason:
        pytest.skip(str(reason))
    await asyncio.sleep(AWAY_SECONDS)
    server.start()
    await shop.send_the_rest_and_see(faultless)


async def test_a_database_that_is_killed_and_restarted_loses_nothing(
    kafka: Broker, topic_prefix: str, faultless: str, tmp_path: Path
) -> None:
    with start_postgres() as server:
        database_url = server.create_database(f"outage_{topic_prefix[:-1]}")
        migrate(database_url)
        environment = {
            **kafka.environment,
            "COUPONRY_DATABASE_URL": database_url,
            "COUPONRY_TOPIC_PREFIX": topic_prefix,
            "COUPONRY_LOG_FORMAT": "json",
        }
        async with at_work(environment, database_url, tmp_path, "paid") as shop:
            await lose_during_work(server, shop, faultless)


async def test_a_database_that_refuses_connections_for_a_while_loses_nothing(
    postgres: Postgres, environment: dict[str, str], database_url: str, faultless: str, tmp_path: Path
) -> None:
    """As in a failover: every connection ends, and new ones are refused for seconds."""
    async with at_work(environment, database_url, tmp_path) as shop:
        await shop.send_half()
        with refusing_connections(postgres, database_url):
            await asyncio.sleep(AWAY_SECONDS)
        await shop.send_the_rest_and_see(faultless)


async def test_a_broker_that_is_killed_and_restarted_loses_nothing(
    topic_prefix: str, database_url: str, faultless: str, tmp_path: Path
) -> None:
    with start_kafka() as broker:  # its own broker, which restarts sooner without the topics of other tests
        skip_where_a_kill_loses_records(broker)
        environment = {
            **broker.environment,
            "COUPONRY_DATABASE_URL": database_url,
            "COUPONRY_TOPIC_PREFIX": topic_prefix,
            "COUPONRY_LOG_FORMAT": "json",
        }
        async with at_work(environment, database_url, tmp_path) as shop:
            await lose_during_work(broker, shop, faultless)
