"""Receivers, numbers and times of issued coupons, through the issuer's handler on a real ledger."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import httpx
import orjson
import pytest

from schemas.campaigns import CampaignDefinition
from schemas.catalogue import BY_TYPE
from schemas.parsing import parse
from services.issuer.handler import IssueHandler
from services.issuer.sources.coupon_api import ApiLimits, open_client
from services.issuer.sources.external import ExternalCodes
from shared.domain.model.verdicts import Verdict
from shared.ledger import queries, wallets
from shared.ledger.campaigns import save
from shared.ledger.database import Pool
from shared.ledger.engine import Engine
from shared.ledger.pools import import_codes
from shared.messaging.records import ReceivedEvent
from tests.ledger import count, definition, ledger, redeem
from tests.received_events import reward, signup

pytestmark = pytest.mark.postgres


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[Pool]:
    async with ledger(database_url, connections=8) as opened:
        yield opened


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with open_client(ApiLimits(), 1) as opened:
        yield opened


def issuer(pool: Pool, client: httpx.AsyncClient) -> IssueHandler:
    external = ExternalCodes(pool, client, ApiLimits(1, 1, 1), concurrency=1, batch_seconds=1)
    return IssueHandler(pool, Engine(pool), external)


def on_signup(campaign_id: str, *, changes: dict[str, Any] | None = None, **rule: Any) -> CampaignDefinition:
    return definition(campaign_id, issues_on=[{"event": "customer.signed_up", **rule}], **changes or {})


async def execute(handler: IssueHandler, *events: ReceivedEvent) -> None:
    assert list(await handler.handle(events)) == []


async def published(pool: Pool) -> list[tuple[str, str, str, str]]:
    """Return (key, campaign, "issued" or the reason, causing event id) in order; validates each by its schema."""
    rows = await pool.fetch("SELECT type, key, data::text FROM outbox WHERE topic = 'coupons.issued' ORDER BY position")
    found = []
    for row in rows:
        parse(BY_TYPE[row["type"]].model, row["data"].encode())
        data = orjson.loads(row["data"])
        assert row["key"] == data["customer"]["customer_id"]
        found.append((row["key"], data["campaign_id"], data.get("reason", "issued"), data["caused_by"]["id"]))
    return found


async def test_a_sign_up_rewards_the_customer_and_the_referrer_once_each(pool: Pool, client: httpx.AsyncClient) -> None:
    await save(pool, [on_signup("friend", to="referrer"), on_signup("welcome", to="both")])
    handler = issuer(pool, client)
    first = signup("1", referred_by="c9")

    await execute(handler, first, first, signup("2", customer={"customer_id": "c2"}))
    await execute(handler, first)

    assert await published(pool) == [
        ("c1", "welcome", "issued", "1"),
        ("c9", "friend", "issued", "1"),
        ("c9", "welcome", "issued", "1"),
        ("c2", "welcome", "issued", "2"),
    ]


async def test_one_referral_pays_once_under_several_event_ids(pool: Pool, client: httpx.AsyncClient) -> None:
    await save(pool, [on_signup("friend", to="referrer", coupons=2)])

    await execute(issuer(pool, client), signup("1", referred_by="c9"))
    await execute(issuer(pool, client), signup("2", referred_by="c9"), signup("3", referred_by="c8"))

    assert [key for key, _, _, _ in await published(pool)] == ["c9", "c9"]
    assert await count(pool, "SELECT count(*) FROM journal WHERE outcome = 'unchanged'") == 2


async def test_two_engines_with_one_referral_at_once_pay_it_once(pool: Pool, client: httpx.AsyncClient) -> None:
    await save(pool, [on_signup("friend", to="referrer", coupons=3)])
    handlers = [issuer(pool, client) for _ in range(4)]

    await asyncio.gather(*(execute(handler, signup(f"e{n}", referred_by="c9")) for n, handler in enumerate(handlers)))

    assert len(await published(pool)) == await count(pool, "SELECT count(*) FROM coupons") == 3


async def test_a_customer_cannot_refer_themselves_under_one_id_or_two(pool: Pool, client: httpx.AsyncClient) -> None:
    await save(pool, [on_signup("friend", to="referrer"), on_signup("welcome")])
    anna = {"customer_id": "c1", "email": "anna@example.com"}

    await execute(issuer(pool, client), signup("1", customer=anna, referred_by="c1"))
    await execute(issuer(pool, client), signup("2", customer=anna | {"customer_id": "c2"}, referred_by="c1"))

    assert await published(pool) == [
        ("c1", "welcome", "issued", "1"),
        ("c1", "friend", "wrong_customer", "1"),
        ("c2", "welcome", "issued", "2"),
        ("c1", "friend", "wrong_customer", "2"),
    ]


async def test_an_event_becomes_one_dead_letter_even_if_both_of_its_commands_are_rejected(
    pool: Pool, client: httpx.AsyncClient
) -> None:
    await save(pool, [on_signup("welcome", to="both")])
    handler = issuer(pool, client)
    await execute(handler, signup("1", referred_by="c9"))
    other = signup("1", customer={"customer_id": "c2"}, referred_by="c8")

    poison = await handler.handle([signup("2", customer={"customer_id": "c3"}), other])

    assert [(one.event.data, one.error_class) for one in poison] == [(other.data, "CommandIdReused")]
    assert [key for key, _, _, _ in await published(pool)] == ["c1", "c9", "c3"]


async def test_a_condition_is_evaluated_with_the_event(pool: Pool, client: httpx.AsyncClient) -> None:
    rule = {"event": "reward.earned", "match": {"rule_id": "42"}, "condition": "event.points >= 500", "coupons": 2}
    await save(pool, [definition("gold", issues_on=[rule])])

    await execute(
        issuer(pool, client),
        reward("1", rule_id="42", points=500),
        reward("2", rule_id="42", points=499),
        reward("3", rule_id="43", points=999),
    )

    events = await pool.fetch("SELECT type, data::text FROM outbox ORDER BY position")
    assert [row["type"] for row in events] == ["coupon.issued"] * 2 + ["coupon.issue_refused"] * 2
    assert [orjson.loads(row["data"])["reason"] for row in events[2:]] == ["not_found", "not_found"]


@pytest.mark.parametrize(
    ("limits", "reason", "fits"),
    [
        ({"coupons_total": 50}, "campaign_exhausted", 50),
        ({"caps": [{"per": "month", "coupons": 50}]}, "campaign_exhausted", 50),
        ({"coupons_per_customer": 4}, "customer_limit", 40),
    ],
)
async def test_coupons_issued_by_several_engines_at_once_stay_within_every_limit(
    pool: Pool, client: httpx.AsyncClient, limits: dict[str, Any], reason: str, fits: int
) -> None:
    rule = {"event": "reward.earned", "coupons": 3}
    campaign = definition("booklet", issues_on=[rule], limits={"uses_per_coupon": 1, **limits})
    await save(pool, [campaign])
    rewards = [reward(str(n), customer={"customer_id": f"c{n % 10}"}) for n in range(40)]
    handlers = [issuer(pool, client) for _ in range(4)]

    await asyncio.gather(*(execute(handlers[n % 4], *rewards[n * 5 : n * 5 + 5]) for n in range(8)))

    answers = [outcome for _, _, outcome, _ in await published(pool)]
    assert (answers.count("issued"), set(answers)) == (fits, {"issued", reason})
    assert await count(pool, "SELECT count(*) FROM ledger_entries WHERE kind = 'issued'") == fits
    assert await count(pool, "SELECT count(*) FROM coupons WHERE occasion IS NOT NULL") == await count(
        pool, "SELECT count(DISTINCT occasion) FROM coupons"
    )


async def test_a_pool_issues_several_codes_and_reports_when_it_is_empty(pool: Pool, client: httpx.AsyncClient) -> None:
    rule = {"event": "reward.earned", "coupons": 3}
    await save(pool, [definition("pooled", issues_on=[rule], source={"kind": "pool"}, code={})])
    await import_codes(pool, "pooled", [f"POOL-{n}" for n in range(4)])

    await execute(issuer(pool, client), reward("1"), reward("2"))

    assert [outcome for _, _, outcome, _ in await published(pool)] == ["issued"] * 4 + ["exhausted"]
    refusal = orjson.loads(await pool.fetchval("SELECT data::text FROM outbox WHERE type = 'coupon.issue_refused'"))
    assert refusal["details"] == {"asked": "3", "given": "1"}


async def test_extending_a_campaign_extends_issued_coupons_and_shortening_it_ends_them(
    pool: Pool, client: httpx.AsyncClient
) -> None:
    def until(ends_at: str, valid_for: str | None = None) -> CampaignDefinition:
        dates = {"starts_at": "2026-01-01T00:00:00Z", "ends_at": ends_at, "valid_for": valid_for}
        return on_signup("welcome", changes={"window": dates})

    async def used(order: str, code: str) -> str:
        (verdict,) = await Engine(pool).execute([redeem(order, [code])])  # an order of 2026-03-01
        assert isinstance(verdict, Verdict)
        return verdict.refused[0].reason if verdict.refused else "redeemed"

    await save(pool, [until("2026-02-01")])
    await execute(issuer(pool, client), *(signup(str(n), customer={"customer_id": f"c{n}"}) for n in range(3)))
    first, second, third = [row[0] for row in await pool.fetch("SELECT code FROM coupons ORDER BY holder_key")]
    event = orjson.loads(await pool.fetchval("SELECT data::text FROM outbox ORDER BY position LIMIT 1"))
    assert event["ends_at"] == "2026-02-01T00:00:00Z"

    assert await used("O1", first) == "expired"
    await save(pool, [until("2026-04-01")])
    assert await used("O2", first) == "redeemed"
    await save(pool, [until("2026-02-15")])
    assert await used("O3", second) == "expired"
    await save(pool, [until("2026-04-01", "P30D")])
    assert await used("O4", third) == "redeemed", "an end of its own is only given when a coupon is issued"


@pytest.mark.parametrize(
    ("before", "valid_for", "after", "shown"),
    [
        ("2026-02-01", None, "2037-02-01", (datetime(2037, 1, 31, 23, tzinfo=UTC), "usable")),
        ("2037-02-01", None, "2026-02-01", (datetime(2026, 1, 31, 23, tzinfo=UTC), "expired")),
        ("2037-02-01", None, None, (None, "usable")),
        ("2037-02-01", "P36500D", "2036-02-01", (datetime(2036, 1, 31, 23, tzinfo=UTC), "usable")),
        ("2037-02-01", "P1D", "2036-02-01", (datetime(2026, 1, 3, 3, 4, 5, tzinfo=UTC), "expired")),
        ("2037-02-01", "P1D", None, (datetime(2026, 1, 3, 3, 4, 5, tzinfo=UTC), "expired")),
    ],
)
async def test_the_shown_end_is_the_earlier_of_the_coupons_and_its_campaigns(
    pool: Pool, before: str, valid_for: str | None, after: str | None, shown: tuple[datetime | None, str]
) -> None:
    def campaign(ends_at: str | None) -> CampaignDefinition:
        window = {"starts_at": "2026-01-01", "ends_at": ends_at, "time_zone": "Europe/Berlin", "valid_for": valid_for}
        return on_signup("welcome", changes={"window": window})

    await save(pool, [campaign(before)])
    async with open_client(ApiLimits(), 1) as client:
        await execute(issuer(pool, client), signup("1"))
    await save(pool, [campaign(after)])

    async with pool.acquire() as connection:
        wallet = await wallets.wallet(connection, [("id", "c1")])
        code = await connection.fetchval("SELECT code FROM coupons")
        history = await queries.coupon_history(connection, code)
    assert wallet is not None
    assert [(one.ends_at, one.state) for one in wallet.coupons] == [shown]
    assert history is not None
    assert history.coupon is not None
    assert history.coupon.ends_at == shown[0]
