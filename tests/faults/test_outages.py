"""The database or the broker goes away under running services: nothing is lost, nothing is buried, all catch up."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from shared.ledger.audit import audit
from shared.ledger.database import Pool
from shared.ledger.engine import Engine
from shared.ledger.migrate import migrate
from shared.messaging.topics_admin import create_topics
from shared.runtime.settings import KafkaSettings
from tests.backends import Backend, Broker, NotOursError, Postgres, start_kafka, start_postgres
from tests.faults.fleet import Fleet
from tests.faults.shop import dead_letters, placed, redemptions, send, until_published, until_read
from tests.integration.service_process import kafka_settings, skip_where_a_kill_loses_records
from tests.ledger import definition, issue, ledger, taking_nobody_in

pytestmark = [pytest.mark.faults, pytest.mark.broker, pytest.mark.postgres]

ORDERS = 600
AWAY_SECONDS = 4.0
"""Long enough for every service to meet it several times over."""


class Shop:
    """All services at work on orders of one coupon each; half of the orders are sent before the trouble begins."""

    def __init__(self, settings: KafkaSettings, pool: Pool, fleet: Fleet, codes: Sequence[str]) -> None:
        self._settings = settings
        self._pool = pool
        self._fleet = fleet
        self._orders = [placed(f"O{number}", code) for number, code in enumerate(codes)]

    async def send_half(self) -> None:
        """Returns when some of it is done and most of it isn't."""
        await send(self._settings, self._orders[: ORDERS // 2])
        while not await self._pool.fetchval("SELECT count(*) FROM journal WHERE kind = 'RedeemCoupons'"):
            await asyncio.sleep(0.01)

    async def send_the_rest_and_see(self) -> None:
        await send(self._settings, self._orders[ORDERS // 2 :])
        await until_read(self._settings, ORDERS)
        await until_published(self._pool)
        # What the notifier says comes after that, through the outbox again.
        async with asyncio.timeout(60):
            while await self._pool.fetchval("SELECT count(*) FROM outbox WHERE type LIKE '%_notified'") < ORDERS:
                await asyncio.sleep(0.1)
        assert await redemptions(self._settings) == {order_id: ["coupon.redeemed"] for order_id, _ in self._orders}
        assert await dead_letters(self._settings) == 0
        assert (await audit(self._pool)).findings == ()
        assert self._fleet.unforeseen == []
        await self._fleet.ready()


@asynccontextmanager
async def at_work(environment: dict[str, str], database_url: str, folder: Path) -> AsyncIterator[Shop]:
    settings = kafka_settings(environment)
    await create_topics(settings)
    async with ledger(database_url, definition()) as pool, Fleet(environment, folder) as fleet:
        codes = await issue(Engine(pool), "save10", ORDERS)
        await fleet.add("redeemer", 2, named=True, batch_max_records=10)
        for service in ("issuer", "notifier", "relay"):
            await fleet.add(service, named=service != "relay", batch_max_records=10)
        await fleet.ready()
        yield Shop(settings, pool, fleet, codes)


async def lose_amid_work(server: Backend, shop: Shop) -> None:
    """Half of the work, then the server is gone for a while; all of the work must come out."""
    await shop.send_half()
    try:
        server.kill()
    except NotOursError as reason:
        pytest.skip(str(reason))
    await asyncio.sleep(AWAY_SECONDS)
    server.start()
    await shop.send_the_rest_and_see()


async def test_a_database_that_is_killed_and_restarted_loses_nothing(
    kafka: Broker, topic_prefix: str, tmp_path: Path
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
        async with at_work(environment, database_url, tmp_path) as shop:
            await lose_amid_work(server, shop)


async def test_a_database_that_refuses_connections_for_a_while_loses_nothing(
    postgres: Postgres, environment: dict[str, str], database_url: str, tmp_path: Path
) -> None:
    """As in a failover: every connection ends, and none is taken for seconds."""
    async with at_work(environment, database_url, tmp_path) as shop:
        await shop.send_half()
        with taking_nobody_in(postgres, database_url):
            await asyncio.sleep(AWAY_SECONDS)
        await shop.send_the_rest_and_see()


async def test_a_broker_that_is_killed_and_restarted_loses_nothing(
    topic_prefix: str, database_url: str, tmp_path: Path
) -> None:
    with start_kafka() as broker:  # one of its own: it comes back sooner without the topics of every other test
        skip_where_a_kill_loses_records(broker)
        environment = {
            **broker.environment,
            "COUPONRY_DATABASE_URL": database_url,
            "COUPONRY_TOPIC_PREFIX": topic_prefix,
            "COUPONRY_LOG_FORMAT": "json",
        }
        async with at_work(environment, database_url, tmp_path) as shop:
            await lose_amid_work(broker, shop)
