"""The answer to a COMMIT is lost on a connection that stays open; and the database's disk is full."""

import asyncio
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import psycopg
import pytest
from psycopg import sql

from shared.domain.model.verdicts import Verdict
from shared.ledger.database import open_pool
from shared.ledger.engine import Engine
from shared.ledger.migrate import migrate
from shared.messaging.topics_admin import create_topics
from tests.backends import Broker
from tests.backends.embedded import EmbeddedPostgresServer
from tests.backends.standby import through
from tests.faults.fleet import Fleet
from tests.faults.proxy import proxy
from tests.faults.shop import dead_letters, placed, redemptions, send, until_published, until_read
from tests.integration.service_process import eventually, kafka_settings, running
from tests.ledger import definition, issue, ledger, redeem

pytestmark = [pytest.mark.faults, pytest.mark.broker, pytest.mark.postgres]

ORDERS = 40
ROOM_BYTES = 48 * 1024 * 1024
"""A new database needs about ten megabytes."""


async def test_a_batch_with_a_lost_commit_answer_is_retried_and_duplicates_nothing(database_url: str) -> None:
    async with ledger(database_url, definition()) as owner, proxy(urlsplit(database_url).port or 5432) as between:
        [code] = await issue(Engine(owner), "save10")
        async with await open_pool(through(database_url, between.port), commit_seconds=1.0) as pool:
            engine = Engine(pool)
            between.lose_next_commits_answer()
            async with asyncio.timeout(30):  # the driver's own timeouts took 120 s
                [verdict] = await engine.execute([redeem("O1", [code])])
            assert between.swallowed.is_set()
            assert isinstance(verdict, Verdict)
            assert verdict.accepted
            assert await owner.fetchval("SELECT count(*) FROM ledger_entries WHERE order_id = 'O1'") == 1


async def test_a_redeemer_with_a_lost_commit_answer_is_not_ready_until_it_recovers(
    environment: dict[str, str], database_url: str
) -> None:
    settings = kafka_settings(environment)
    await create_topics(settings)
    hot = definition("hot", code={"shared_code": "HOT"}, limits={"uses_per_coupon": None})
    async with ledger(database_url, hot) as pool, proxy(urlsplit(database_url).port or 5432) as between:
        given = environment | {"COUPONRY_DATABASE_URL": through(database_url, between.port)}
        intervals = {"ready_seconds": 1.0, "commit_seconds": 8.0, "sweep_seconds": 3_600}  # no COMMIT but a batch's
        async with running("redeemer", given, **intervals) as redeemer, running("relay", environment):
            await redeemer.ready()
            await send(settings, [placed("O0", "HOT")])
            await until_read(settings, 1)  # the first sweep for expired locks has ended as well
            between.lose_next_commits_answer()
            await send(settings, [placed(f"O{number}", "HOT") for number in range(1, ORDERS)])
            missing = await eventually(lambda: unready(redeemer.health_url), lambda seen: "batch" in seen)
            assert "running" in missing["batch"]
            await until_read(settings, ORDERS)
            await redeemer.ready()
            await until_published(pool)
            assert await redemptions(settings) == {f"O{number}": ["coupon.redeemed"] for number in range(ORDERS)}


async def unready(url: str) -> dict[str, str]:
    """Return the failing checks of `/readyz`."""
    async with httpx.AsyncClient(trust_env=False) as client:
        return dict((await client.get(f"{url}/readyz")).json()["missing"])


async def test_services_wait_for_a_full_disk_and_do_not_treat_it_as_a_bug(
    kafka: Broker, topic_prefix: str, tmp_path: Path
) -> None:
    with EmbeddedPostgresServer() as server, small_disk(server) as disk:
        server.start()
        database_url = database_on(server, disk)
        environment = {
            **kafka.environment,
            "COUPONRY_DATABASE_URL": database_url,
            "COUPONRY_TOPIC_PREFIX": topic_prefix,
            "COUPONRY_LOG_FORMAT": "json",
        }
        settings = kafka_settings(environment)
        await create_topics(settings)
        hot = definition("hot", code={"shared_code": "HOT"}, limits={"uses_per_coupon": None})
        async with ledger(database_url, hot) as pool, Fleet(environment, tmp_path) as fleet:
            await fleet.add("redeemer")
            await fleet.add("notifier")
            await fleet.add("relay")
            await fleet.ready()
            ballast = fill_up(disk)
            await send(settings, [placed(f"O{number}", "HOT", metadata={"note": "x" * 5_000}) for number in range(400)])
            assert await eventually(lambda: attempts(fleet), lambda seen: seen > 2)
            ballast.unlink()
            await until_read(settings, 400)
            await until_published(pool)
            assert await pool.fetchval("SELECT count(*) FROM ledger_entries") == 400
            assert await dead_letters(settings) == 0
            assert fleet.deaths == []


async def attempts(fleet: Fleet) -> int:
    """Return how often the redeemer found the database unavailable."""
    return fleet.log_of("redeemer").count("DiskFullError")


@contextmanager
def small_disk(server: EmbeddedPostgresServer) -> Iterator[Path]:
    """Mount a small file system that the server can write to."""
    if os.geteuid() != 0:
        pytest.skip("mounting a small file system takes root")
    folder = server.folder / "small"
    folder.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={ROOM_BYTES},mode=0777", "tmpfs", str(folder)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        pytest.skip(f"no small file system can be mounted here: {done.stderr.strip()}")
    owner = (server.folder / "data").stat()
    os.chown(folder, owner.st_uid, owner.st_gid)
    try:
        yield folder
    finally:
        server.stop()
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def database_on(server: EmbeddedPostgresServer, disk: Path) -> str:
    """Create a migrated database on `disk`; the server's WAL is elsewhere."""
    with psycopg.connect(server.admin_url, autocommit=True) as admin:
        admin.execute(sql.SQL("CREATE TABLESPACE small LOCATION {}").format(sql.Literal(str(disk))))
        admin.execute("CREATE DATABASE shop TABLESPACE small")
    migrate(server.url("shop"))
    return server.url("shop")


def fill_up(disk: Path) -> Path:
    """Write a file until the disk is full."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            return ballast
