"""Published examples of the five reference systems have the same results on PostgreSQL, by the services' handlers."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest

from services.issuer.handler import IssueHandler
from services.issuer.sources.coupon_api import ApiLimits, open_client
from services.issuer.sources.external import ExternalCodes
from services.redeemer.handler import OrderHandler
from services.redeemer.settings import RedeemerSettings
from shared.domain.model.commands import Cause, Command, CreateCoupons, IssueCoupons
from shared.domain.model.customer import Customer
from shared.domain.model.verdicts import Verdict
from shared.ledger.campaigns import save
from shared.ledger.database import Pool
from shared.ledger.engine import Engine
from shared.ledger.pools import import_codes
from tests.integration.issuer_coupon_api import CouponApi, answer
from tests.ledger import ledger
from tests.received_events import received
from tests.worked_examples import Example, PublishedEvent, of_issue, of_order, read_examples

pytestmark = pytest.mark.postgres

BEFORE = datetime(2020, 1, 1, tzinfo=UTC)
"""Creation time of the coupons that exist before the first step."""

LIMITS = ApiLimits(attempts=1, try_seconds=5, total_seconds=5, allow_private=True)


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[Pool]:
    async with ledger(database_url, connections=4) as opened:  # checks the audit at the end
        yield opened


@pytest.mark.parametrize("example", read_examples(), ids=lambda example: example.name)
async def test_a_published_example_has_its_published_result(pool: Pool, example: Example) -> None:
    settings = RedeemerSettings(kafka_bootstrap_servers="localhost:1", database_url="postgresql://localhost/x")
    orders = OrderHandler(pool, Engine(pool), settings)
    codes: list[str] = []
    async with CouponApi(answer(500)) as api, open_client(LIMITS, 1) as client:
        external = ExternalCodes(pool, client, LIMITS, concurrency=1, batch_seconds=5)
        issuer = IssueHandler(pool, Engine(pool), external)
        await _make(pool, example)
        await save(pool, [example.with_url(api.url)])
        for number, step in enumerate(example.steps, start=1):
            before = await pool.fetchval("SELECT coalesce(max(position), 0) FROM outbox")
            expected: dict[str, Any] = step["expect"]
            if "order" in step:
                event = received("order.placed", step["order"], event_id=str(number), source="/shop")
                assert await orders.handle([event]) == []
                actual = of_order(await _published(pool, before), lines="lines" in expected)
            else:
                api.replies(answer(200, orjson.dumps(step.get("api_answers", {}))))
                event = received("reward.earned", step["issue"], event_id=str(number), source="/loyalty")
                assert await issuer.handle([event]) == []
                events = await _published(pool, before)
                codes += [data["code"] for kind, data in events if kind == "coupon.issued" and data["code"]]
                actual = of_issue(events, expected.get("code_like"))
            assert actual == expected, f"step {number}"
    assert len(set(codes)) == len(codes)


async def _make(pool: Pool, example: Example) -> None:
    """Create the coupons that exist before the first step: in bulk without a holder, from a pool with one."""
    await save(pool, [example.campaign])
    for coupon in example.coupons:
        campaign_id, code, holder = example.campaign.campaign_id, coupon["code"], coupon.get("holder")
        command: Command = CreateCoupons(f"/test {code}", campaign_id, codes=(code,), at=BEFORE)
        if holder is not None:
            await save(pool, [example.with_pool()])
            await import_codes(pool, campaign_id, [code])
            cause = Cause("reward.earned", "/test", code)
            command = IssueCoupons(f"/test {code}", cause, Customer(**holder), (campaign_id,), at=BEFORE)
        [verdict] = await Engine(pool).execute([command])
        assert isinstance(verdict, Verdict)
        assert [one.code for one in verdict.accepted] == [code], verdict


async def _published(pool: Pool, before: int) -> list[PublishedEvent]:
    rows = await pool.fetch("SELECT type, data::text FROM outbox WHERE position > $1 ORDER BY position", before)
    return [(row["type"], orjson.loads(row["data"])) for row in rows]
