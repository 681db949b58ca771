"""The issuer as a process: from `rewards` and `signups` to the ledger, on a real broker and a real Postgres."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from shared.ledger.campaigns import save
from shared.ledger.database import Pool
from shared.messaging.topics_admin import create_topics
from shared.runtime.settings import KafkaSettings
from tests.backends import Broker
from tests.integration.issuer_coupon_api import CouponApi, Request, code, hang
from tests.integration.kafka_tools import committed, read_all, write_all
from tests.integration.service_process import (
    eventually,
    kafka_settings,
    running,
    skip_where_the_dead_stay_members,
)
from tests.ledger import definition, ledger

PRIVATE = {"sources_allow_private": True}
"""The coupon API in these tests is on loopback."""

PATIENT = {"external_try_seconds": 30, "external_total_seconds": 60}
"""The API in these tests runs in the test's own event loop, which a busy machine may delay for seconds."""

pytestmark = [pytest.mark.postgres, pytest.mark.broker]


@pytest.fixture
async def pool(environment: dict[str, str], database_url: str) -> AsyncIterator[Pool]:
    welcome = definition("welcome", issues_on=[{"event": "customer.signed_up"}])
    gold = definition("gold", issues_on=[{"event": "reward.earned", "match": {"metadata.tier": "gold"}}])
    async with ledger(database_url, welcome, gold) as opened:
        yield opened


@pytest.fixture
async def kafka_client(environment: dict[str, str]) -> KafkaSettings:
    settings = kafka_settings(environment)
    await create_topics(settings)
    return settings


def event(event_type: str, event_id: str, customer_id: str = "c1", **data: Any) -> bytes:
    """Return a CloudEvent in structured mode."""
    customer = {"customer_id": customer_id, "email": f"{customer_id}@email.com"}
    attributes = {"specversion": "1.0", "id": event_id, "source": "/test", "type": event_type}
    return json.dumps({**attributes, "data": {"customer": customer, **data}}).encode()


def reward(event_id: str, reward_id: str, **data: Any) -> bytes:
    return event("reward.earned", event_id, reward_id=reward_id, earned_at="2026-03-01T12:00:00Z", **data)


async def send(settings: KafkaSettings, topic: str, *events: bytes) -> None:
    await write_all(settings, [(settings.topic(topic), b"c1", value, None) for value in events])


async def all_read(settings: KafkaSettings, topic: str, count: int) -> None:
    """Wait until the issuer has committed `count` records of `topic`."""

    async def look() -> int:
        return sum((await committed(settings, settings.group("issuer"), settings.topic(topic))).values())

    await eventually(look, lambda seen: seen == count)


async def published(pool: Pool) -> list[tuple[str, str]]:
    rows = await pool.fetch("SELECT type, data FROM outbox WHERE topic = 'coupons.issued'")
    return sorted((row["type"], str(json.loads(row["data"])["campaign_id"])) for row in rows)


async def test_rewards_and_sign_ups_are_issued_refused_or_become_dead_letters(
    environment: dict[str, str], pool: Pool, kafka_client: KafkaSettings
) -> None:
    gold = reward("r1", "rw-1", metadata={"tier": "gold"})
    nameless = event("customer.signed_up", "s2", signed_up_at="yesterday")

    async with running("issuer", environment) as issuer:
        await issuer.ready()
        signed_up = event("customer.signed_up", "s1", signed_up_at="2026-03-01T12:00:00Z")
        await send(kafka_client, "signups", signed_up, nameless)
        await send(kafka_client, "rewards", gold, gold, reward("r2", "rw-2", metadata={"tier": "tin"}))
        await all_read(kafka_client, "signups", 2)
        await all_read(kafka_client, "rewards", 3)
        assert await issuer.stop() == 0

    assert await published(pool) == [
        ("coupon.issue_refused", "None"),
        ("coupon.issued", "gold"),
        ("coupon.issued", "welcome"),
    ]
    (letter,) = await read_all(kafka_client, kafka_client.topic("signups.issuer.dlq"))
    assert letter.value == nameless


async def test_an_issuer_killed_during_a_request_repeats_it_with_the_same_key(
    kafka: Broker, environment: dict[str, str], pool: Pool, kafka_client: KafkaSettings
) -> None:
    skip_where_the_dead_stay_members(kafka)
    asked = asyncio.Event()

    async def think(request: Request, writer: asyncio.StreamWriter) -> None:
        asked.set()
        await hang(request, writer)

    async with CouponApi(think, code("EXT-1")) as api:
        source = {"kind": "external", "url": api.url, "headers": {"Authorization": "Bearer t"}}
        rule = {"event": "reward.earned", "match": {"rule_id": "7"}}
        await save(pool, [definition("ext", code={}, source=source, issues_on=[rule])])
        settings = {**PRIVATE, **PATIENT, "session_timeout_ms": 6000}
        async with running("issuer", environment, **settings) as first:
            await first.ready()
            await send(kafka_client, "rewards", reward("r1", "rw-1", rule_id="7"))
            await asyncio.wait_for(asked.wait(), 60)
            await first.kill()
        async with running("issuer", environment, **settings) as second:
            await all_read(kafka_client, "rewards", 1)
            assert await second.stop() == 0
        keys = [request.headers["idempotency-key"] for request in api.requests]

    # A busy machine may lead to one more: a try that takes too long is repeated, and so is a batch after a rebalance.
    assert len(keys) >= 2
    assert len(set(keys)) == 1
    assert await pool.fetchval("SELECT count(*) FROM external_requests") == 1
    assert await published(pool) == [("coupon.issued", "ext")]
    assert await pool.fetchval("SELECT code FROM coupons") == "EXT-1"
