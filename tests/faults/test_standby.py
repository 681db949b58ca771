"""A synchronous standby is cut off and then takes over: no acknowledged input is lost or doubled.

What was committed on the primary alone must not be acknowledged, however its COMMIT came to an end: still waiting when
the primary died; ended by an operator; or visible because the primary was restarted.
"""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import orjson
import pytest

from schemas.topics import ORDERS
from services.gateway.idempotency import IdempotencyStore, StoredResponse
from services.relay.position import LedgerWentBackError
from services.relay.relay import OUTAGE, Relay
from services.relay.settings import RelaySettings
from shared.domain.model.commands import Command
from shared.domain.model.verdicts import Verdict
from shared.ledger.campaigns import save
from shared.ledger.connection import CommitUnansweredError, CommitWaitsError
from shared.ledger.database import UNAVAILABLE, Pool, open_pool
from shared.ledger.engine import Engine, LedgerUnavailableError
from shared.messaging.topics_admin import create_topics
from shared.runtime.settings import KafkaSettings
from tests.backends import Broker
from tests.faults.failover import Failover, failover, until_standby_has_everything
from tests.faults.fleet import Fleet
from tests.faults.seeds import seed
from tests.faults.shop import dead_letters, send, until_published, until_read
from tests.faults.traffic import Traffic
from tests.integration.kafka_tools import committed, read_all
from tests.integration.relay_tools import fill, seen
from tests.integration.service_process import kafka_settings
from tests.ledger import definition, issue, redeem

pytestmark = [pytest.mark.faults, pytest.mark.postgres]
Result = TypeVar("Result")

STORIES = 60
COMMIT_SECONDS = 2.0
CUT_SECONDS = 15.0
"""Longer than every timeout of a batch: COMMIT, locks, and the pauses between its runs."""


async def test_a_commit_missing_on_the_standby_is_neither_acknowledged_nor_found_as_done(tmp_path: Path) -> None:
    """One engine and one connection: a COMMIT that waits is closed after its time, not cancelled, and a rerun that
    finds its journal row waits for the standby as well.
    """
    async with failover() as servers, await open_pool(servers.url, commit_seconds=COMMIT_SECONDS) as pool:
        engine = Engine(pool)
        await save(pool, [definition()])
        codes = await issue(engine, "save10", 2)
        servers.link.cut()
        with pytest.raises(LedgerUnavailableError):
            await engine.execute([redeem("O1", codes[:1])])
        end_waiting_commits(servers)
        await until_visible(pool, "SELECT count(*) FROM journal WHERE command_id = '/shop O1'")
        with pytest.raises(LedgerUnavailableError):
            await engine.execute([redeem("O1", codes[:1])])
        servers.link.mend()
        verdict = await execute(engine, redeem("O1", codes[:1]))
        assert verdict.accepted
        await servers.fail_over()
        assert await execute(engine, redeem("O1", codes[:1])) == verdict
        assert await pool.fetchval("SELECT count(*) FROM journal WHERE command_id = '/shop O1'") == 1


async def until_visible(pool: Pool, count: str) -> None:
    """Wait until commits that only the primary has are visible there."""
    async with asyncio.timeout(30):
        while not await pool.fetchval(count):
            await asyncio.sleep(0.05)


async def execute(engine: Engine, command: Command) -> Verdict:
    """Execute like a consumer: retry while the ledger is unavailable."""
    [answer] = await again_while(LedgerUnavailableError, lambda: engine.execute([command]))
    assert isinstance(answer, Verdict)
    return answer


async def test_stored_responses_and_saved_campaigns_are_returned_only_after_the_standby_has_them() -> None:
    """Applies to all stored responses, because the connection implements it, not the engine."""
    place, asked, answer = ("shop", "key 1"), b"what was asked", StoredResponse(200, "application/json", b"{}")
    async with failover() as servers, await open_pool(servers.url, commit_seconds=COMMIT_SECONDS) as pool:
        repeats = IdempotencyStore(pool, 10, 3_600)
        assert await repeats.begin(place, asked) is None
        servers.link.cut()
        with pytest.raises(CommitUnansweredError):
            await repeats.store(place, answer)
        end_waiting_commits(servers)
        await until_visible(pool, "SELECT count(*) FROM http_answers WHERE status = 200")
        with pytest.raises(CommitUnansweredError):
            await IdempotencyStore(pool, 10, 3_600).begin(place, asked)
        end_waiting_commits(servers)

        with pytest.raises(CommitUnansweredError):
            await again_while(CommitWaitsError, lambda: save(pool, [definition()]))
        end_waiting_commits(servers)
        await until_visible(pool, "SELECT count(*) FROM campaigns")
        with pytest.raises(CommitUnansweredError):
            await save(pool, [definition()])

        servers.link.mend()
        assert await again_while(UNAVAILABLE, lambda: IdempotencyStore(pool, 10, 3_600).begin(place, asked)) == answer
        [saved] = await again_while(UNAVAILABLE, lambda: save(pool, [definition()]))
        assert saved.change == "unchanged"
        await servers.fail_over()
        assert await again_while(UNAVAILABLE, lambda: IdempotencyStore(pool, 10, 3_600).begin(place, asked)) == answer


async def again_while(
    errors: type[BaseException] | tuple[type[BaseException], ...], operation: Callable[[], Awaitable[Result]]
) -> Result:
    """Run `operation` until it doesn't raise one of `errors`."""
    async with asyncio.timeout(60):
        while True:
            try:
                return await operation()
            except errors:
                await asyncio.sleep(0.2)


def end_waiting_commits(servers: Failover) -> None:
    """Cancel sessions that wait for the standby, as an operator may do; their commits aren't replicated."""
    with servers.admin() as admin:
        ended = admin.execute("SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'")
        assert ended.fetchall() == [(True,)], "one session waits, however often it was tried"


@pytest.mark.broker
@pytest.mark.parametrize("commits", ["wait", "were ended by an operator", "are visible after a restart"])
async def test_a_failover_to_a_synchronous_standby_loses_no_acknowledged_input(
    kafka: Broker, topic_prefix: str, faultless: str, tmp_path: Path, commits: str
) -> None:
    async with failover() as servers:
        environment = {
            **kafka.environment,
            "COUPONRY_DATABASE_URL": servers.url,
            "COUPONRY_TOPIC_PREFIX": topic_prefix,
            "COUPONRY_LOG_FORMAT": "json",
            "COUPONRY_COMMIT_SECONDS": str(COMMIT_SECONDS),
        }
        settings = kafka_settings(environment)
        await create_topics(settings)
        traffic = Traffic(STORIES, seed(20261129), "paid")
        half, total = len(traffic.events) // 2, len(traffic.events)
        async with Fleet(environment, tmp_path) as fleet:
            async with await open_pool(servers.url) as pool:
                await traffic.prepare(pool)
            await fleet.add("redeemer", 2, batch_max_records=10, burn_on="paid")
            await fleet.add("relay")
            await fleet.ready()
            await send(settings, traffic.events[:half])
            await until_read(settings, half)

            servers.link.cut()
            await send(settings, traffic.events[half:])
            await asyncio.sleep(CUT_SECONDS)
            await end_commits(servers, commits)
            acknowledged = await acknowledged_commands(settings)
            await servers.fail_over()

            async with await open_pool(servers.url) as pool:
                recorded = {row[0] for row in await pool.fetch("SELECT command_id FROM journal")}
                assert acknowledged <= recorded, "an acknowledged order isn't in the ledger that survived"
                await until_read(settings, total)
                await until_published(pool)
                await traffic.check(settings, pool, faultless)
            assert await dead_letters(settings) == 0
            assert fleet.unforeseen == []


async def end_commits(servers: Failover, how: str) -> None:
    """End the commits that wait for the standby, so that they are visible, and give the services time to read them."""
    if how == "wait":
        return
    if how == "are visible after a restart":
        servers.clients.cut()
        servers.restart_primary()
        servers.clients.mend()
    else:
        with servers.admin() as admin:
            ended = admin.execute("SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'")
            assert ended.fetchall()
    await asyncio.sleep(CUT_SECONDS)


async def acknowledged_commands(settings: KafkaSettings) -> set[str]:
    """Return the command ids of events whose offsets are committed. Orders without a code may have no command."""
    topic = settings.topic(ORDERS.name)
    ends = await committed(settings, settings.group("redeemer"), topic)
    found = set()
    for record in await read_all(settings, topic):
        event = orjson.loads(record.value)
        if record.offset < ends.get(record.partition, 0) and event["data"].get("coupon_codes") != []:
            found.add(f"{event['source']} {event['id']}")
    return found


@pytest.mark.broker
async def test_a_relay_stops_if_the_ledger_went_back(
    kafka: Broker, topic_prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An asynchronous standby that lacks published events takes over; sequences are logged ahead, so numbers alone
    don't show it.
    """
    async with failover(synchronous=False) as servers:
        given = {**kafka.environment, "COUPONRY_DATABASE_URL": servers.url, "COUPONRY_TOPIC_PREFIX": topic_prefix}
        for name, value in given.items():
            monkeypatch.setenv(name, value)
        settings = RelaySettings()
        await create_topics(settings)
        async with await open_pool(servers.url) as pool:
            await fill(pool, range(20))
            await until_standby_has_everything(servers)
            servers.link.cut()
            await fill(pool, range(20, 25))
            relay = Relay(settings, pool)
            while await relay.run_once():
                pass
            await servers.fail_over()
            await pool.expire_connections()
            await fill(pool, range(100, 105))
            with pytest.raises(LedgerWentBackError, match="position 25 was published"):
                await take_over(relay)
            with pytest.raises(LedgerWentBackError, match="COUPONRY_RELAY_START_AT"):
                await take_over(Relay(settings, pool))
            first = await pool.fetchval("SELECT min(position) FROM outbox WHERE position > 20")
            ordered = settings.model_copy(update={"relay_start_at": first})
            relay = Relay(ordered, pool)
            assert await take_over(relay) == 5
            await relay.close()
            relay = Relay(settings, pool)
            assert await take_over(relay) == 0  # and without the setting it goes on
            await relay.close()
        numbers = [number for found in (await seen(settings)).values() for number in found]
        assert sorted(numbers) == [*range(25), *range(100, 105)]


async def take_over(relay: Relay) -> int | None:
    """Run one step of `relay`; retry while a server is unavailable."""
    return await again_while(OUTAGE, relay.run_once)
