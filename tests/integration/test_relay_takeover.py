"""A relay that starts slowly isn't replaced, because its successor would be as slow. A relay that hangs is replaced."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from services.relay import leadership
from services.relay.relay import Relay
from services.relay.settings import RelaySettings
from shared.ledger.database import Pool, open_pool
from shared.messaging.producer import TransactionalProducer
from shared.messaging.topics_admin import create_topics
from tests.integration.relay_tools import fill, in_order, seen

pytestmark = [pytest.mark.broker, pytest.mark.postgres]


@pytest.fixture
async def settings(monkeypatch: pytest.MonkeyPatch, environment: dict[str, str]) -> RelaySettings:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("COUPONRY_RELAY_TAKEOVER_SECONDS", "1")
    monkeypatch.setattr(leadership, "HEARTBEAT_SECONDS", 0.1)
    settings = RelaySettings()
    await create_topics(settings)
    return settings


@pytest.fixture
async def pool(settings: RelaySettings) -> AsyncIterator[Pool]:
    pool = await open_pool(settings.database_url.get_secret_value(), max_size=8)
    yield pool
    pool.terminate()


class SlowToStart:
    """Hold up the start of producers until `may_start`, like a recovering broker."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.begun = asyncio.Event()
        self.may_start = asyncio.Event()
        start = TransactionalProducer.start

        async def wait_and_start(producer: TransactionalProducer) -> None:
            self.begun.set()
            await self.may_start.wait()
            await start(producer)

        monkeypatch.setattr(TransactionalProducer, "start", wait_and_start)


async def test_a_relay_that_is_starting_is_not_replaced(
    settings: RelaySettings, pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = SlowToStart(monkeypatch)
    await fill(pool, range(20))
    first, second = Relay(settings, pool), Relay(settings, pool)
    starting = asyncio.create_task(first.run_once())
    await slow.begun.wait()
    # Three times the wait for a relay without heartbeats.
    for _ in range(30):
        assert await second.run_once() is None
        await asyncio.sleep(0.1)
    slow.may_start.set()
    assert await starting == 20
    assert await second.run_once() is None
    await first.close()
    await second.close()
    assert await seen(settings) == in_order(range(20))


async def test_a_relay_whose_start_hangs_is_replaced(
    settings: RelaySettings, pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leadership, "MAX_STEP_SECONDS", 0.3)
    await fill(pool, range(20))
    first, second = Relay(settings, pool), Relay(settings, pool)
    with monkeypatch.context() as patch:
        slow = SlowToStart(patch)
        hanging = asyncio.create_task(first.run_once())
        await slow.begun.wait()
    async with asyncio.timeout(30):
        while (published := await second.run_once()) is None:
            await asyncio.sleep(0.1)
    assert published == 20
    hanging.cancel()
    await asyncio.wait({hanging})
    await second.close()
    assert await seen(settings) == in_order(range(20))
