"""Test `couponry customers export` and `erase` on a real ledger and broker."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import pytest

from shared.domain.model.commands import Cause, IssueCoupons
from shared.domain.model.customer import Customer
from shared.ledger.audit import audit
from shared.ledger.database import open_pool
from shared.ledger.engine import Engine
from shared.messaging.dead_letters import DeadLetterQueue, Letter
from shared.messaging.records import Record
from shared.messaging.topics_admin import create_topics
from shared.runtime.settings import KafkaSettings
from tests.integration.cli_calls import Called, call
from tests.ledger import PLACED_AT, definition, ledger

pytestmark = [pytest.mark.broker, pytest.mark.postgres]

ANN = Customer("ann_smith_77", "Ann.Smith@Example.com")
Couponry = Callable[..., Called]


@pytest.fixture
def couponry(environment: dict[str, str]) -> Couponry:
    return lambda *arguments: call(environment, *arguments)


@pytest.fixture
def known(database_url: str) -> None:
    """Issue three coupons to Ann."""
    asyncio.run(_issued(database_url, 3))


async def _issued(database_url: str, count: int) -> None:
    async with ledger(database_url, definition()) as pool:
        engine = Engine(pool)
        cause = Cause("reward.earned", "/rewards", "1")
        for part in range(0, count, 100):
            await engine.execute(
                [
                    IssueCoupons(f"/rewards {number}", cause, ANN, ("save10",), PLACED_AT)
                    for number in range(part, min(part + 100, count))
                ]
            )


def test_a_customer_is_exported_and_erased_and_then_unknown(couponry: Couponry, known: None) -> None:
    exported = couponry("customers", "export", "ann.smith@example.com")
    assert exported.exit_code == 0
    assert len(exported.json["coupons"]) == 3
    erased = couponry("customers", "erase", "ann_smith_77", "--by", "request 4711", "--json")
    assert erased.exit_code == 0, erased.err
    assert erased.json["requested_by"] == "request 4711"
    assert erased.json["changed"]["coupons"] == 3
    for command in ("show", "export", "erase"):
        called = couponry("customers", command, "ann.smith@example.com")
        assert called.exit_code == 1
        assert called.err.startswith("No customer is known as 'ann.smith@example.com'")
    assert couponry("audit").exit_code == 0


def test_dead_letters_that_name_the_customer_are_listed_with_their_retention(
    couponry: Couponry, known: None, environment: dict[str, str], topic_prefix: str
) -> None:
    settings = KafkaSettings(
        kafka_bootstrap_servers=environment["COUPONRY_KAFKA_BOOTSTRAP_SERVERS"], topic_prefix=topic_prefix
    )

    async def bury() -> None:
        await create_topics(settings)
        queue = DeadLetterQueue(settings, "redeemer")
        values = (
            b'{"customer": {"email": "ANN.SMITH@example.com"}',
            b'{"customer": {"email": "bob@example.com"}}',
            b"\xff",
        )
        await queue.bury(
            [
                Letter(Record(settings.topic("orders"), 0, offset, 1_000, b"k", value, ()), "bad_data", "is bad")
                for offset, value in enumerate(values)
            ]
        )
        await queue.stop()

    asyncio.run(bury())
    erased = couponry("customers", "erase", "ann_smith_77")
    assert erased.exit_code == 0, erased.err
    assert "1 dead letter name" in erased.words
    assert f"{topic_prefix}orders.redeemer.dlq/0/" in erased.words
    assert "14 days (orders)" in erased.words


def test_without_a_broker_the_ledger_is_still_erased(database_url: str, known: None) -> None:
    away = {"COUPONRY_DATABASE_URL": database_url, "COUPONRY_KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1"}
    erased = call(away, "customers", "erase", "ann_smith_77")
    assert erased.exit_code == 0, erased.err
    assert "dead letters were not searched" in erased.words


def test_an_erasure_that_is_killed_is_finished_by_the_same_command(database_url: str) -> None:
    asyncio.run(_issued(database_url, 2_000))
    environment = {**os.environ, "COUPONRY_DATABASE_URL": database_url, "COUPONRY_KAFKA_BOOTSTRAP_SERVERS": ""}
    command = [sys.executable, "-c", "from cli.main import app; app()", "customers", "erase", "ann_smith_77", "--json"]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE)
    state = asyncio.run(_once_begun(database_url))
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert state["finished_at"] is None
    again = subprocess.run(command, env=environment, stdout=subprocess.PIPE, timeout=120, check=True)
    erased = json.loads(again.stdout)
    assert erased["erasure_id"] == str(state["erasure_id"])
    assert erased["changed"]["coupons"] == 2_000
    asyncio.run(_nothing_left(database_url))


async def _once_begun(database_url: str) -> Any:
    """Wait until some coupons are changed, and return the erasure's row."""
    async with await open_pool(database_url, role=None, max_size=1) as pool:
        until = time.monotonic() + 60
        while time.monotonic() < until:
            row = await pool.fetchrow("SELECT * FROM erasures WHERE counts ? 'coupons'")
            if row is not None:
                return row
            await asyncio.sleep(0.002)
    raise AssertionError("it never began")


async def _nothing_left(database_url: str) -> None:
    async with await open_pool(database_url, role=None, max_size=1) as pool:
        assert (await audit(pool)).findings == ()
        named = "SELECT count(*) FROM journal WHERE lower(verdict::text) LIKE '%ann%smith%'"
        assert await pool.fetchval(named) == 0
        assert await pool.fetchval("SELECT count(DISTINCT customer_key) FROM ledger_entries") == 1
        assert await pool.fetchval("SELECT count(*) FROM erasures") == 1
        assert await pool.fetchval("SELECT count(*) FROM customers") == 1, "the pseudonym"
