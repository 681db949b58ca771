"""The fuzzed stack: every service as a process, campaigns of every kind, and the checks at the end."""

import asyncio
import base64
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from aiokafka import AIOKafkaProducer

from cli.processes import free_port
from schemas.catalogue import CATALOGUE
from schemas.topics import ORDERS, REWARDS, SIGNUPS, all_topics
from services.gateway.access import keys
from services.gateway.access.callers import SCOPES
from shared.domain.model.commands import CreateCoupons
from shared.domain.model.verdicts import Verdict
from shared.ledger.audit import audit
from shared.ledger.campaigns import save
from shared.ledger.database import Pool, open_pool
from shared.ledger.engine import Engine
from shared.messaging.connection import client_options
from shared.messaging.dead_letters import read_back
from shared.messaging.isolation import BUG
from shared.messaging.topics_admin import create_topics
from shared.runtime.settings import KafkaSettings
from tests.backends import Broker
from tests.faults.fleet import Fleet
from tests.faults.shop import until_published
from tests.fuzz.client import Client
from tests.integration.kafka_tools import committed, read_all
from tests.integration.service_process import kafka_settings
from tests.ledger import definition, issue

INPUTS: Final = {ORDERS.name: "redeemer", REWARDS.name: "issuer", SIGNUPS.name: "issuer"}
"""Topics with events from outside, and the services that read them."""

HANDLED_SECONDS: Final = 600.0

UNBOUNDED: Final = {
    "http_rate_per_minute": 10_000_000,
    "http_unknown_per_minute": 1_000_000,
    "http_unknown_per_minute_and_address": 10_000_000,
    "http_bad_keys_per_minute": 1_000_000,
    "http_jobs_per_caller": 10_000,
}
"""Fuzzing requests unknown codes all the time; the limit of guesses has separate tests."""

KEY: Final = base64.urlsafe_b64encode(bytes(range(32))).decode()
"""Encrypts the secrets of webhooks, which requests add."""


def _shared(campaign_id: str, code: str, **changes: Any) -> Any:
    return definition(campaign_id, code={"shared_code": code}, limits={"uses_per_coupon": None}, **changes)


GIFT: Final = {"name": "gift", "expression": "has(order.metadata.gift) && order.lines.exists(l, l.quantity > 1)"}
CAPS: Final = [{"per": "day", "uses": 9}, {"per": "week", "each": "customer", "uses": 2}]

CAMPAIGNS: Final = (
    definition("good", issues_on=[]),
    definition("good-reward", issues_on=[{"event": "reward.earned", "match": {"rule_id": "good"}}]),
    definition("fuzz-made"),
    _shared("fuzz", "FUZZ"),
    _shared("fuzz-lines", "FUZZ-LINES", applies_to={"product_ids": ["p1"], "max_units": 3}, recurring=True),
    _shared("fuzz-yen", "FUZZ-YEN", discount={"kind": "fixed", "value": "100", "currency": "JPY"}),
    _shared("fuzz-custom", "FUZZ-CUSTOM", discount={"kind": "custom", "payload": {"points": 5, "deep": {"a": [1]}}}),
    _shared("fuzz-ship", "FUZZ-SHIP", discount={"kind": "free_shipping"}),
    _shared("fuzz-if", "FUZZ-IF", eligibility={"conditions": [GIFT]}),
    definition(
        "fuzz-cap",
        code={"shared_code": "FUZZ-CAP"},
        limits={"uses_per_coupon": None, "uses_per_customer": 3, "spend_total": "500.00", "caps": CAPS},
        discount={"kind": "fixed", "value": "10.00", "currency": "USD"},
        stacking={"policy": "exclusive"},
    ),
    definition(
        "fuzz-reward",
        discount={"kind": "free_product", "product_id": "p1"},
        issues_on=[
            {"event": "reward.earned", "match": {"rule_id": "gold"}, "condition": "has(event.metadata.n)"},
            {"event": "customer.signed_up"},
        ],
    ),
)  # fmt: skip


@dataclass
class Findings:
    """Problems; empty if all is well."""

    problems: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)

    def expect(self, holds: bool, problem: str) -> None:
        if not holds:
            self.problems.append(problem)


@dataclass
class Stack:
    """A running stack. `http_port` is the gateway's, `key` has all scopes."""

    settings: KafkaSettings
    pool: Pool
    fleet: Fleet
    producer: AIOKafkaProducer
    http_port: int
    key: str
    good_codes: list[str]
    voidable: list[str]
    sent: Counter[str] = field(default_factory=Counter)

    def client(self) -> Client:
        return Client(self.http_port)


@asynccontextmanager
async def stack(
    broker: Broker, database_url: str, folder: Path, *, prefix: str, event_format: str, good: int
) -> AsyncIterator[Stack]:
    """Start every service on a fresh ledger and topics. `good`: the number of coupons that valid inputs get."""
    environment = {
        **broker.environment,
        "COUPONRY_DATABASE_URL": database_url,
        "COUPONRY_TOPIC_PREFIX": prefix,
        "COUPONRY_LOG_FORMAT": "json",
        "COUPONRY_LOG_LEVEL": "warning",
        "COUPONRY_EVENT_FORMAT": event_format,
        "COUPONRY_ENCRYPTION_KEYS": KEY,
        "COUPONRY_WEBHOOKS_ALLOW_PRIVATE": "true",
        "COUPONRY_WEBHOOKS_ENABLED": "false",  # no webhook is called, whatever addresses requests give
    }
    settings = kafka_settings({name: value for name, value in environment.items() if _of_kafka(name)})
    await create_topics(settings)
    port = free_port()
    async with await open_pool(database_url, max_size=4) as pool, Fleet(environment, folder) as fleet:
        await save(pool, CAMPAIGNS)
        engine = Engine(pool)
        good_codes = [code for part in range(0, good, 500) for code in await _issue(engine, "good", part, good)]
        voidable = await issue(engine, "fuzz-made", 200)
        key = (await keys.create(pool, "fuzz", SCOPES)).key
        for service in ("issuer", "redeemer", "notifier", "relay"):
            await fleet.add(service)
        await fleet.add("gateway", http_port=port, **UNBOUNDED)
        await fleet.ready()
        producer = AIOKafkaProducer(**client_options(settings, "fuzz"), acks="all", linger_ms=5)
        await producer.start()
        try:
            yield Stack(
                settings, pool, fleet, producer, http_port=port, key=key, good_codes=good_codes, voidable=voidable
            )
        finally:
            await producer.stop()


def _of_kafka(name: str) -> bool:
    return name.removeprefix("COUPONRY_").lower() in KafkaSettings.model_fields


async def _issue(engine: Engine, campaign_id: str, start: int, count: int) -> list[str]:
    [verdict] = await engine.execute(
        [CreateCoupons(f"/fuzz {campaign_id} {start}", campaign_id, min(500, count - start))]
    )
    assert isinstance(verdict, Verdict), verdict
    return [coupon.code for coupon in verdict.accepted]


async def settle(stack: Stack, findings: Findings, good: Mapping[str, int]) -> None:
    """Wait until everything is handled, then check the results. `good`: the number of good inputs of each interface."""
    try:
        await _until_handled(stack)
        await until_published(stack.pool)
        await _until_notified(stack)
    except AssertionError as stuck:
        findings.problems.append(str(stuck))
    findings.expect(not stack.fleet.deaths, f"processes died: {stack.fleet.deaths}")
    await _look_at_good_ones(stack, findings, good)
    await _look_at_dead_letters(stack, findings)
    withheld = await stack.pool.fetch("SELECT type, error_class, error_text FROM outbox_withheld")
    findings.expect(not withheld, f"{len(withheld)} events were withheld: {[tuple(row) for row in withheld[:3]]}")
    found = (await audit(stack.pool)).findings
    findings.expect(found == (), f"the audit found {found}")


async def _until_handled(stack: Stack) -> None:
    for topic, service in INPUTS.items():
        group, name = stack.settings.group(service), stack.settings.topic(topic)
        await _until(
            lambda group=group, name=name: _committed(stack, group, name), stack.sent[topic], f"{topic} handled"
        )


async def _until_notified(stack: Stack) -> None:
    name = stack.settings.topic("coupons.redemptions")
    published = len(await read_all(stack.settings, name))
    group = stack.settings.group("notifier")

    async def behind() -> bool:
        # Offsets of a transactional topic also count the markers of transactions.
        return await _committed(stack, group, name) >= published

    await _until(behind, True, "redemptions notified")


async def _committed(stack: Stack, group: str, topic: str) -> int:
    return sum((await committed(stack.settings, group, topic)).values())


async def _until(look: Any, wanted: object, what: str) -> None:
    deadline = time.monotonic() + HANDLED_SECONDS
    while (seen := await look()) != wanted:
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: {seen!r} instead of {wanted!r} after {HANDLED_SECONDS:g} seconds")
        await asyncio.sleep(0.3)


async def _look_at_good_ones(stack: Stack, findings: Findings, good: Mapping[str, int]) -> None:
    redeemed = await stack.pool.fetchval(
        "SELECT count(DISTINCT order_id) FROM ledger_entries WHERE kind = 'burned' AND order_id LIKE 'good %'"
    )
    issued = await stack.pool.fetchval("SELECT count(*) FROM coupons WHERE campaign_id = 'good-reward'")
    findings.counts["good orders redeemed"] = redeemed
    findings.counts["good rewards issued"] = issued
    wanted = good["orders"] + good["http"]
    findings.expect(redeemed == wanted, f"{redeemed} of {wanted} good orders were redeemed")
    findings.expect(issued == good["rewards"], f"{issued} of {good['rewards']} good rewards were issued")


async def _look_at_dead_letters(stack: Stack, findings: Findings) -> None:
    ours = {entry.topic.name for entry in CATALOGUE} - INPUTS.keys()
    for topic in all_topics():
        origin, _, service = topic.name.removesuffix(".dlq").rpartition(".")
        if not topic.name.endswith(".dlq"):
            continue
        raw_records = await read_all(stack.settings, stack.settings.topic(topic.name))
        letters = [letter for raw in raw_records if (letter := read_back(raw)) is not None]
        findings.counts[f"dead letters of {origin}"] = len(letters)
        bugs = [letter for letter in letters if letter.error_class == BUG]
        findings.expect(not bugs, f"{len(bugs)} events failed with a bug in the {service}: {_texts(bugs)}")
        if origin in ours:
            findings.expect(
                not letters, f"{len(letters)} of our own events on {origin} are dead letters: {_texts(letters)}"
            )


def _texts(letters: list[Any]) -> str:
    return json.dumps(sorted({letter.error_text[:300] for letter in letters})[:5], ensure_ascii=True)
