"""A redeemer that freezes during a transaction, blocks others, and continues after others have done its work."""

import asyncio
import signal
from pathlib import Path

import pytest

from cli.supervisor import SupervisedProcess
from shared.ledger.database import Pool, open_pool
from shared.messaging.topics_admin import create_topics
from tests.backends import Broker
from tests.faults.fleet import Fleet
from tests.faults.shop import dead_letters, placed, redemptions, send, until_published, until_read
from tests.integration.service_process import kafka_settings, skip_where_the_dead_stay_members
from tests.ledger import definition, ledger

pytestmark = [pytest.mark.faults, pytest.mark.broker, pytest.mark.postgres]

USES, ORDERS = 100, 2_000
TRIES = 200


async def test_a_redeemer_frozen_during_a_transaction_neither_blocks_others_nor_does_harm_when_it_continues(
    kafka: Broker, environment: dict[str, str], database_url: str, tmp_path: Path
) -> None:
    skip_where_the_dead_stay_members(kafka)
    settings = kafka_settings(environment)
    await create_topics(settings)
    hot = definition("hot", code={"shared_code": "HOT"}, limits={"uses_per_coupon": USES})
    hurried = {"COUPONRY_SESSION_TIMEOUT_MS": "6000"}
    async with (
        ledger(database_url, hot) as pool,
        await open_pool(database_url, role=None, max_size=1) as owner,
        Fleet(environment | hurried, tmp_path) as fleet,
    ):
        await fleet.add("redeemer", 2, batch_max_records=10)
        await fleet.add("relay")
        await fleet.ready()
        await send(settings, [placed(f"O{number}", "HOT") for number in range(ORDERS)])
        frozen = fleet.processes("redeemer")[0]
        await freeze_during_a_transaction(frozen, owner)
        await until_read(
            settings, ORDERS
        )  # the other one does everything, after the group and PostgreSQL have dropped the frozen one
        frozen.send(signal.SIGCONT)
        await fleet.ready()
        await send(settings, [placed(f"P{number}", "HOT") for number in range(100)])
        await until_read(settings, ORDERS + 100)
        await until_published(pool)

        assert await pool.fetchval("SELECT used_uses FROM coupons") == USES
        published = list((await redemptions(settings)).values())
        assert sorted(published) == [["coupon.redeemed"]] * USES + [["coupon.redemption_refused"]] * (
            ORDERS + 100 - USES
        )
        assert await dead_letters(settings) == 0
        assert fleet.unforeseen == []


async def freeze_during_a_transaction(process: SupervisedProcess, owner: Pool) -> None:
    """SIGSTOP the process while it has an open transaction and runs no statement, so that it holds rows."""
    idle_in_transaction = """
        SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND state = 'idle in transaction' AND state_change < now() - interval '0.3 s'
    """
    for _ in range(TRIES):
        process.send(signal.SIGSTOP)
        await asyncio.sleep(0.4)
        if await owner.fetchval(idle_in_transaction):
            return
        process.send(signal.SIGCONT)
        await asyncio.sleep(0.02)
    raise AssertionError("the redeemer never had an open transaction")
