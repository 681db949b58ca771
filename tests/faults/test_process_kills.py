"""A year of shopping while services are killed repeatedly: every number is the same as without kills."""

import asyncio
import random
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pytest

from cli.demo.report import compare
from cli.demo.streams import StreamReader
from cli.demo.waiting import Watcher
from examples.complete_journey import malformed, recipe, replay
from schemas.campaigns import CampaignDefinition
from schemas.parsing import parse
from schemas.topics import COUPONS_ISSUED, COUPONS_REDEMPTIONS, all_topics
from shared.ledger import queries
from shared.ledger.audit import audit
from shared.ledger.campaigns import save
from shared.ledger.database import Pool, open_pool
from shared.messaging.dead_letters import read_back
from shared.messaging.producer import Message, Producer
from shared.messaging.topics_admin import create_topics
from shared.runtime.settings import KafkaSettings
from tests.backends import Broker
from tests.faults.fleet import Fleet
from tests.faults.seeds import seed
from tests.integration.kafka_tools import read_all
from tests.integration.service_process import kafka_settings, skip_where_the_dead_stay_members

pytestmark = [pytest.mark.faults, pytest.mark.broker, pytest.mark.postgres, pytest.mark.timeout(600)]

SEED = seed(20261125)
LEAST_KILLS = 20
SERVICES = ("issuer", "redeemer", "notifier", "relay")


@dataclass(frozen=True)
class Havoc:
    """The frequency of kills during a phase, and the weight of each service; busy services weigh most."""

    kills: int
    weights: tuple[int, int, int, int]
    """in the order of SERVICES"""


HAVOC = {
    "rewards": Havoc(8, (5, 1, 1, 5)),
    "orders": Havoc(8, (0, 5, 4, 3)),
    "later orders": Havoc(1, (0, 1, 0, 0)),
    "cancellation": Havoc(1, (0, 1, 0, 0)),
    "noise": Havoc(5, (3, 3, 1, 2)),
}


class Journey:
    """Sends the study's phases in pieces, and kills a process after each piece."""

    def __init__(self, settings: KafkaSettings, fleet: Fleet, reader: StreamReader, watcher: Watcher) -> None:
        self._settings = settings
        self._fleet = fleet
        self._reader = reader
        self._watcher = watcher
        self._chance = random.Random(SEED)
        """chooses the time and the process; the number of draws varies"""
        self._choice = random.Random(SEED)
        """chooses the service; the same in every run"""
        self.killed: list[str] = []

    async def run(self, wallet: replay.Wallet) -> None:
        async with Producer(self._settings, "tests-journey") as producer:
            for phase in replay.phases(wallet):
                havoc = HAVOC[phase.name]
                records = list(phase.records())
                rebalancing = asyncio.create_task(self._rebalance()) if phase.name == "orders" else None
                for number in range(havoc.kills):
                    await self._send(producer, records[number :: havoc.kills])
                    await asyncio.sleep(self._chance.uniform(0, 0.3))
                    [service] = self._choice.choices(SERVICES, havoc.weights)
                    self.killed.append(f"{phase.name}: {await self._fleet.kill(service, self._chance)}")
                if rebalancing is not None:
                    await rebalancing
                await self._watcher.until_handled(lambda _: None)

    async def _send(self, producer: Producer, records: Sequence[replay.SentRecord]) -> None:
        messages = [Message(self._settings.topic(one.topic), one.key, one.value, one.headers) for one in records]
        assert set(await producer.send(messages)) <= {None}

    async def _rebalance(self) -> None:
        """Add a redeemer while orders are in progress; when it has partitions, stop another one permanently."""
        leaving = self._fleet.supervisors_of("redeemer")[0]
        more = await self._fleet.add("redeemer", batch_max_records=25)
        await more.ready(90)
        await self._fleet.remove(leaving)


async def test_every_number_is_right_while_services_are_killed_repeatedly(
    kafka: Broker, environment: dict[str, str], database_url: str, tmp_path: Path
) -> None:
    skip_where_the_dead_stay_members(kafka)
    settings = kafka_settings(environment)
    await create_topics(settings)
    hurried = {"COUPONRY_SESSION_TIMEOUT_MS": "6000", "COUPONRY_RELAY_TAKEOVER_SECONDS": "2"}
    study = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "examples.complete_journey.expected", stdout=asyncio.subprocess.PIPE
    )
    wallet, stopping = replay.Wallet(), asyncio.Event()
    async with (
        await open_pool(database_url, max_size=2) as pool,
        StreamReader(settings, wallet.add) as reader,
        Watcher(settings, pool, reader, patience_seconds=90) as watcher,
        Fleet(environment | hurried, tmp_path) as fleet,
    ):
        await save(pool, [parse(CampaignDefinition, line) for line in replay.lines("campaigns")])
        # Small batches, so that a kill always hits one. Some members have static names in the group, some don't.
        await fleet.add("issuer", 2, named=True)
        await fleet.add("redeemer", batch_max_records=25)
        await fleet.add("redeemer", batch_max_records=25)
        await fleet.add("notifier", 2, named=True, batch_max_records=25)
        await fleet.add("relay", 2, relay_max_events=200)
        await fleet.ready()
        journey = Journey(settings, fleet, reader, watcher)
        reading = asyncio.create_task(reader.run(stopping))
        try:
            await journey.run(wallet)
        finally:
            stopping.set()
            await reading
        await fleet.ready()
        assert sum(fleet.kills.values()) >= LEAST_KILLS, journey.killed
        assert set(fleet.kills) == set(SERVICES), journey.killed
        assert fleet.unforeseen == []

        output, _ = await study.communicate()
        async with pool.acquire() as connection:
            totals = await queries.totals(connection)
        rows = compare(reader, totals, orjson.loads(output))
        assert [row for row in rows if not row.same] == []
        assert (await audit(pool)).findings == ()
        assert reader.duplicates == 0
        await check_each_event_is_published_once(settings, pool)
        await dead_letters_are_the_broken_ones(settings)


async def check_each_event_is_published_once(settings: KafkaSettings, pool: Pool) -> None:
    """Read all topics from the beginning: every event of the ledger once, in order per key."""
    for topic in (COUPONS_REDEMPTIONS.name, COUPONS_ISSUED.name):
        records = await read_all(settings, settings.topic(topic))
        read = [dict(record.headers)["ce_id"].decode() for record in records]
        assert [event_id for event_id, times in Counter(read).items() if times > 1] == []
        rows = await pool.fetch("SELECT event_id::text, key FROM outbox WHERE topic = $1 ORDER BY position", topic)
        assert len(rows) == len({row[0] for row in rows})
        assert by_key(zip([record.key.decode() for record in records], read, strict=True)) == by_key(
            (row[1], row[0]) for row in rows
        )


def by_key(events: Any) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for key, event_id in events:
        found.setdefault(key, []).append(event_id)
    return found


async def dead_letters_are_the_broken_ones(settings: KafkaSettings) -> None:
    """Check that only invalid events are dead letters. A dead letter may be duplicated, but only from one origin."""
    broken = Counter((record.topic, record.value) for record in malformed.records())
    reused = 0
    for topic in all_topics(settings.topic_prefix):
        if not topic.name.endswith(".dlq"):
            continue
        letters = {}
        for record in await read_all(settings, topic.name):
            letter = read_back(record)
            assert letter is not None
            letters[letter.record.topic, letter.record.partition, letter.record.offset] = letter
        for (origin, _, _), letter in letters.items():
            if letter.error_class == "CommandIdReused":
                reused += 1
            else:
                broken[origin.removeprefix(settings.topic_prefix), letter.record.value or b""] -= 1
    assert [kept for kept, number in broken.items() if number] == []
    assert reused == recipe.REUSED_IDS
