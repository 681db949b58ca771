"""Relay processes that are killed, frozen and revived while events flow: read-committed readers see each event once."""

import asyncio
import random
import signal

import pytest

from services.relay.settings import RelaySettings
from shared.ledger.database import Pool
from tests.integration.relay_tools import fill, in_order, relay_process, seen, until_published
from tests.integration.test_relay import pool, settings  # noqa: F401 - fixtures

pytestmark = [pytest.mark.broker, pytest.mark.postgres]


async def test_a_relay_killed_at_any_moment_publishes_each_event_once(
    settings: RelaySettings,  # noqa: F811
    pool: Pool,  # noqa: F811
    environment: dict[str, str],
) -> None:
    chance = random.Random(20261122)
    total = 0
    for _ in range(4):
        await fill(pool, range(total, total + 3_000))
        total += 3_000
        published = await pool.fetchval("SELECT max(published_up_to) FROM relay_positions") or 0
        with relay_process(environment, COUPONRY_RELAY_MAX_EVENTS="50") as relay:
            await until_published(pool, published + chance.randrange(200, 1_500))
            relay.kill()
    with relay_process(environment):
        await until_published(pool, total)
    assert await seen(settings) == in_order(range(total))


async def test_a_frozen_relay_is_replaced_and_does_no_harm_when_it_wakes(
    settings: RelaySettings,  # noqa: F811
    pool: Pool,  # noqa: F811
    environment: dict[str, str],
) -> None:
    hurried = {"COUPONRY_RELAY_MAX_EVENTS": "50", "COUPONRY_RELAY_TAKEOVER_SECONDS": "1"}
    await fill(pool, range(2_000))
    with relay_process(environment, **hurried) as old:
        await until_published(pool, 500)
        old.send_signal(signal.SIGSTOP)
        with relay_process(environment, **hurried) as new:
            await until_published(pool, 2_000)
            await fill(pool, range(2_000, 4_000))
            old.send_signal(signal.SIGCONT)
            await until_published(pool, 4_000)
            # The woken relay stands by: when the new one is killed, it takes over at once.
            await asyncio.sleep(4)
            new.kill()
            await fill(pool, range(4_000, 4_500))
            await until_published(pool, 4_500)
        assert old.poll() is None
    assert await seen(settings) == in_order(range(4_500))


async def test_a_relay_asked_to_stop_exits_with_code_0(
    settings: RelaySettings,  # noqa: F811
    pool: Pool,  # noqa: F811
    environment: dict[str, str],
) -> None:
    await fill(pool, range(100))
    with relay_process(environment) as relay:
        await until_published(pool, 100)
        relay.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(relay.wait, 20) == 0
    assert await seen(settings) == in_order(range(100))
