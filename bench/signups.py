"""Measure sign-ups per second of one issuer, with and without an address, beside orders per second of one redeemer.

All three take turns in one run, on the same broker and database. The clock stops when the service has committed the
offset of the last record: a sign-up that issues nothing publishes no event.
"""

import asyncio
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import httpx
import orjson
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from bench.workload import READY_ORDERS, order_body, seed
from cli.processes import LOOPBACK
from cli.supervisor import Supervisor
from schemas.topics import ORDERS, SIGNUPS
from shared.ledger.audit import audit
from shared.ledger.database import open_pool
from shared.ledger.migrate import migrate
from shared.messaging.topics_admin import create_topics, partitions_of
from shared.runtime.settings import KafkaSettings
from tests.backends import Broker, Postgres, start_kafka, start_postgres

EVENTS: Final = 20_000
MAX_SECONDS: Final = 120.0
CPU_METRIC: Final = "process_cpu_seconds_total"


def signup_body(number: int) -> bytes:
    """Return the sign-up of a new customer with an address and a phone number."""
    contacts = {"email": f"new.{number}@example.com", "mobile": f"+4940{number:07d}"}
    return _signup(number, {"customer_id": f"new_{number}"} | contacts)


def bare_signup_body(number: int) -> bytes:
    """Return the sign-up of a new customer without an address or a phone number."""
    return _signup(number, {"customer_id": f"new_{number}"})


def _signup(number: int, customer: dict[str, str]) -> bytes:
    at = datetime.now(UTC).isoformat()
    return orjson.dumps({"customer": customer, "signed_up_at": at, "channel": "web", "metadata": {"number": number}})


@dataclass(frozen=True, slots=True)
class Kind:
    """What is sent to which service, and the rows that one event leaves: a query that counts them."""

    service: str
    topic: str
    event_type: str
    body: Callable[[int], bytes]
    rows: str


BURNED: Final = "SELECT count(*) FROM ledger_entries WHERE kind = 'burned'"
RECORDED: Final = "SELECT count(*) FROM journal"
KINDS: Final = {
    "orders": Kind("redeemer", ORDERS.name, "order.placed", order_body, BURNED),
    "signups": Kind("issuer", SIGNUPS.name, "customer.signed_up", signup_body, RECORDED),
    "signups_without_address": Kind("issuer", SIGNUPS.name, "customer.signed_up", bare_signup_body, ""),
}


@dataclass(frozen=True, slots=True)
class Turn:
    """Wall time of a turn, and processor time of the measured process, in seconds."""

    events: int
    seconds: float
    processor_seconds: float

    @property
    def figures(self) -> dict[str, float]:
        return {
            "per_second": round(self.events / self.seconds, 1),
            "processor_us": round(self.processor_seconds / self.events * 1e6, 1),
        }


class Place:
    """The topics of one turn: sends events to a topic, and waits until a group has committed them."""

    def __init__(self, settings: KafkaSettings, kind: Kind) -> None:
        self._settings = settings
        self._kind = kind

    async def send(self, numbers: range) -> None:
        """Send the events in one transaction, so that all become visible at once."""
        producer = AIOKafkaProducer(
            bootstrap_servers=self._settings.kafka_bootstrap_servers,
            transactional_id=f"{self._settings.topic_prefix}load",
            max_batch_size=256 * 1024,
            linger_ms=5,
        )
        await producer.start()
        try:
            async with producer.transaction():
                topic = self._settings.topic(self._kind.topic)
                sent = [
                    await producer.send(topic, self._kind.body(number), b"%d" % number, headers=self._headers(number))
                    for number in numbers
                ]
                for one in sent:
                    await one
        finally:
            await producer.stop()

    def _headers(self, number: int) -> list[tuple[str, bytes]]:
        return [
            ("ce_id", b"bench-%d" % number),
            ("ce_source", b"/shop"),
            ("ce_type", self._kind.event_type.encode()),
            ("ce_specversion", b"1.0"),
            ("content-type", b"application/json"),
        ]

    async def until_committed(self) -> None:
        """Wait until the service has committed the offsets of all records of the topic."""
        topic = self._settings.topic(self._kind.topic)
        partitions = [TopicPartition(topic, number) for number in await partitions_of(self._settings, topic)]
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self._settings.kafka_bootstrap_servers,
            group_id=self._settings.group(self._kind.service),
            enable_auto_commit=False,
            isolation_level="read_committed",
        )
        consumer.assign(partitions)
        await consumer.start()
        try:
            ends: dict[TopicPartition, int] = await consumer.end_offsets(partitions)
            behind = set(partitions)
            async with asyncio.timeout(MAX_SECONDS):
                while behind:
                    # A transaction's marker has an offset too. It is the last one, and services may not commit it.
                    behind = {one for one in behind if (await consumer.committed(one) or 0) < ends[one] - 1}
                    await asyncio.sleep(0.01)
        finally:
            await consumer.stop()


async def turn(name: str, number: int, broker: Broker, postgres: Postgres, events: int) -> Turn:
    """Measure one kind on a separate database and topics; check that every event left its rows."""
    kind = KINDS[name]
    database = f"bench_{name}_{number}_{os.getpid()}"
    database_url = postgres.create_database(database)
    prefix = f"bench-{os.getpid()}-{name}-{number}."
    environment = {
        **broker.environment,
        "COUPONRY_DATABASE_URL": database_url,
        "COUPONRY_TOPIC_PREFIX": prefix,
        "COUPONRY_LOG_FORMAT": "json",
    }
    settings = KafkaSettings(kafka_bootstrap_servers=broker.bootstrap_servers, topic_prefix=prefix)
    try:
        migrate(database_url)
        total = events + READY_ORDERS
        await seed(database_url, total)
        await create_topics(settings)
        place = Place(settings, kind)
        with tempfile.TemporaryDirectory(prefix="couponry-bench-") as folder:
            async with Supervisor(environment, {kind.service: 1}, Path(folder)) as supervisor:
                await supervisor.ready()
                await place.send(range(READY_ORDERS))
                await place.until_committed()
                before = await _processor_seconds(supervisor)
                await place.send(range(READY_ORDERS, total))
                started = time.perf_counter()
                await place.until_committed()
                seconds = time.perf_counter() - started
                spent = await _processor_seconds(supervisor) - before
        await _check_result(database_url, kind, total)
        return Turn(events, seconds, spent)
    finally:
        postgres.drop_database(database)


async def _processor_seconds(supervisor: Supervisor) -> float:
    """Return the processor time of the measured process, as its metrics have it."""
    [process] = supervisor.processes
    async with httpx.AsyncClient(trust_env=False) as client:
        metrics = (await client.get(f"http://{LOOPBACK}:{process.health_port}/metrics")).text
    for line in metrics.splitlines():
        if line.startswith(f"{CPU_METRIC} "):
            return float(line.split()[1])
    raise SystemExit(f"The metrics of this platform have no {CPU_METRIC}; measure sign-ups on Linux.")


async def _check_result(database_url: str, kind: Kind, events: int) -> None:
    """Exit if an event left no row, or the audit finds something."""
    async with await open_pool(database_url, role=None) as pool:
        rows = await pool.fetchval(kind.rows) if kind.rows else events
        # Seeded coupons have no recorded command. Every other check must be clean.
        findings = [one for one in (await audit(pool)).findings if one.check != "audit_orphans"]
        if rows != events or findings:
            raise SystemExit(f"{events} events were sent, but the ledger has rows of {rows}: {findings[:3]}")


async def measure_signups(rounds: int, scale: float) -> dict[str, Any]:
    """Return the medians of each kind, and the ratios of both kinds of sign-ups to orders."""
    turns: dict[str, list[dict[str, float]]] = {name: [] for name in KINDS}
    events = max(500, int(EVENTS * scale))
    with start_kafka() as broker, start_postgres() as postgres:
        for number in range(rounds):
            for name in KINDS:
                one = (await turn(name, number, broker, postgres, events)).figures
                turns[name].append(one)
                sys.stdout.write(
                    f"round {number + 1}  {name:<24} {one['per_second']:>8,.0f} events/s "
                    f"{one['processor_us']:>7,.0f} µs of the service's processor time per event\n"
                )
                sys.stdout.flush()
    results: dict[str, Any] = {
        name: {figure: statistics.median(one[figure] for one in found) for figure in found[0]}
        for name, found in turns.items()
    }
    for name in [name for name in KINDS if name != "orders"]:
        for figure, key in (("per_second", "ratio_to_orders"), ("processor_us", "processor_ratio_to_orders")):
            pairs = zip(turns[name], turns["orders"], strict=True)
            results[name][key] = round(statistics.median(one[figure] / other[figure] for one, other in pairs), 2)
    return results
