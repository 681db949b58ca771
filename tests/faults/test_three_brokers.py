"""Three brokers: topics have the configured replicas, and a relay survives the loss of one broker."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from aiokafka.admin import AIOKafkaAdminClient

from services.relay.settings import RelaySettings
from shared.ledger.database import Pool, open_pool
from shared.messaging.connection import client_options
from shared.messaging.topics_admin import create_topics
from tests.backends.apache import ApacheKafka, apache_cluster, unavailable
from tests.integration.cli_calls import call
from tests.integration.relay_tools import fill, in_order, relay_process, seen, until_published

pytestmark = [pytest.mark.broker, pytest.mark.postgres, pytest.mark.faults]


@pytest.fixture(scope="module")
def nodes() -> Iterator[list[ApacheKafka]]:
    reason = unavailable()
    if reason is not None:
        pytest.skip(reason)
    with apache_cluster(3) as nodes:
        yield nodes


@pytest.fixture
def three_brokers(nodes: list[ApacheKafka], database_url: str, topic_prefix: str) -> dict[str, str]:
    return {
        "COUPONRY_KAFKA_BOOTSTRAP_SERVERS": ",".join(node.bootstrap_servers for node in nodes),
        "COUPONRY_DATABASE_URL": database_url,
        "COUPONRY_TOPIC_PREFIX": topic_prefix,
        "COUPONRY_LOG_FORMAT": "json",
    }


@pytest.fixture
async def settings(monkeypatch: pytest.MonkeyPatch, three_brokers: dict[str, str]) -> RelaySettings:
    for name, value in three_brokers.items():
        monkeypatch.setenv(name, value)
    return RelaySettings()


@pytest.fixture
async def pool(settings: RelaySettings) -> AsyncIterator[Pool]:
    pool = await open_pool(settings.database_url.get_secret_value())
    yield pool
    pool.terminate()


async def replicas(settings: RelaySettings) -> set[int]:
    """Return the numbers of replicas of this test's partitions."""
    admin = AIOKafkaAdminClient(**client_options(settings, "tests-admin"))
    await admin.start()
    try:
        described: list[dict[str, Any]] = []
        for _ in range(100):  # brokers see a new topic slightly later than the controller
            described = [one for one in await admin.describe_topics() if one["topic"].startswith(settings.topic_prefix)]
            if described:
                break
            await asyncio.sleep(0.1)
        return {len(partition["replicas"]) for topic in described for partition in topic["partitions"]}
    finally:
        await admin.close()


@pytest.mark.parametrize("asked", [1, 2, 3])
def test_topics_have_the_configured_replicas(
    three_brokers: dict[str, str], settings: RelaySettings, asked: int
) -> None:
    created = call(three_brokers, "topics", "create", "--replication", str(asked), "--json").json
    assert {one["state"] for one in created} == {"created"}
    assert asyncio.run(replicas(settings)) == {asked}
    too_many = call({**three_brokers, "COUPONRY_TOPIC_PREFIX": "more."}, "topics", "create", "--replication", "4")
    assert too_many.exit_code == 1
    assert "replication factor" in too_many.err.lower()


async def test_a_relay_survives_the_loss_of_a_broker_and_withholds_nothing(
    settings: RelaySettings, pool: Pool, nodes: list[ApacheKafka], three_brokers: dict[str, str]
) -> None:
    await create_topics(settings, replication_factor=3)
    await fill(pool, range(1_000))
    with relay_process(three_brokers, COUPONRY_RELAY_MAX_EVENTS="50"):
        await until_published(pool, 200)
        nodes[0].kill()
        await fill(pool, range(1_000, 2_000))
        await until_published(pool, 2_000)
        nodes[0].start()
    assert await seen(settings) == in_order(range(2_000))
    assert await pool.fetchval("SELECT count(*) FROM outbox_withheld") == 0
