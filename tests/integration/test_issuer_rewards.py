"""Rewards and sign-ups through the issuer's handler on a real ledger, with external sources and crashes."""

from collections.abc import AsyncIterator, Sequence
from typing import Any

import httpx
import orjson
import pytest

from schemas.campaigns import CampaignDefinition
from services.issuer.handler import IssueHandler
from services.issuer.sources.coupon_api import ApiLimits, open_client
from services.issuer.sources.external import ExternalCodes
from shared.domain.model.commands import Command
from shared.ledger.campaigns import save
from shared.ledger.database import Pool
from shared.ledger.engine import Answer, Engine
from shared.messaging.records import ReceivedEvent
from shared.runtime.errors import TransientError
from tests.integration.issuer_coupon_api import CouponApi, answer, code
from tests.ledger import definition, ledger
from tests.received_events import reward, signup

pytestmark = pytest.mark.postgres

LIMITS = ApiLimits(attempts=1, try_seconds=5, total_seconds=10, allow_private=True)
PERSON = {"customer_id": "c1", "email": "john.smith@email.com"}


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[Pool]:
    async with ledger(database_url) as opened:
        yield opened


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with open_client(LIMITS, 8) as opened:
        yield opened


@pytest.fixture
async def api() -> AsyncIterator[CouponApi]:
    async with CouponApi(code("EXT-1"), code("EXT-2"), code("EXT-3")) as opened:
        yield opened


def issuer(
    pool: Pool, client: httpx.AsyncClient, engine: Engine | None = None, *, max_coupons: int = 2_000, **bounds: Any
) -> IssueHandler:
    external = ExternalCodes(pool, client, LIMITS, **({"concurrency": 4, "batch_seconds": 10} | bounds))
    return IssueHandler(pool, engine or Engine(pool), external, max_coupons=max_coupons)


def on_reward(campaign_id: str, match: dict[str, str] | None = None, **changes: Any) -> CampaignDefinition:
    return definition(campaign_id, issues_on=[{"event": "reward.earned", "match": match or {}}], **changes)


def external(api: CouponApi, *, without_code: bool = False) -> CampaignDefinition:
    source = {"kind": "external", "url": api.url, "headers": {"X-Key": "k"}, "without_code": without_code}
    return on_reward("ext", code={}, source=source)


async def execute(handler: IssueHandler, *events: ReceivedEvent) -> None:
    assert list(await handler.handle(events)) == []


async def published(pool: Pool) -> list[tuple[str, str | None, str | None]]:
    """Return (type, campaign, code or reason) of each event about issuing, in order."""
    rows = await pool.fetch("SELECT type, data FROM outbox WHERE topic = 'coupons.issued' ORDER BY position")
    found = [(row["type"].removeprefix("coupon."), orjson.loads(row["data"])) for row in rows]
    return [(kind, data["campaign_id"], data.get("code") or data.get("reason")) for kind, data in found]


async def test_a_reward_issues_a_coupon_of_each_matching_campaign_once(pool: Pool, client: httpx.AsyncClient) -> None:
    await save(pool, [on_reward("b", {"rule_id": "42"}), on_reward("a"), on_reward("c", {"rule_id": "43"})])
    handler = issuer(pool, client)
    first = reward("1", reward_id="rw", rule_id="42")

    await execute(handler, first)
    await execute(handler, first)
    await execute(handler, reward("2", reward_id="rw", rule_id="42"), first)

    assert [(kind, campaign) for kind, campaign, _ in await published(pool)] == [("issued", "a"), ("issued", "b")]
    assert await pool.fetchval("SELECT count(*) FROM coupons") == 2


async def test_a_reward_without_a_match_is_refused_and_a_sign_up_is_not(pool: Pool, client: httpx.AsyncClient) -> None:
    await execute(issuer(pool, client), reward("1"), signup("2"), reward("3", campaign_id="gone"))

    assert await published(pool) == [("issue_refused", None, "not_found"), ("issue_refused", "gone", "not_found")]
    assert await pool.fetchval("SELECT count(*) FROM journal") == 2


async def test_a_named_campaign_without_a_matching_rule_issues_nothing(pool: Pool, client: httpx.AsyncClient) -> None:
    await save(pool, [on_reward("a", {"rule_id": "42"}), on_reward("b")])

    await execute(issuer(pool, client), reward("1", campaign_id="a", rule_id="7"))

    assert [reason for _, _, reason in await published(pool)] == ["not_found"]


async def test_a_change_of_the_campaigns_counts_from_the_next_batch(pool: Pool, client: httpx.AsyncClient) -> None:
    handler = issuer(pool, client)
    await execute(handler, reward("1"))
    await save(pool, [on_reward("a")])
    await execute(handler, reward("2"))
    await save(pool, [on_reward("a", status="archived")])
    await execute(handler, reward("3"))
    await save(pool, [on_reward("a", status="paused")])
    await execute(handler, reward("4"))

    assert [(kind, campaign) for kind, campaign, _ in await published(pool)] == [
        ("issue_refused", None),
        ("issued", "a"),
        ("issue_refused", None),
        ("issue_refused", "a"),
    ]


class CountingEngine(Engine):
    """Record the number of coupons of each execution."""

    def __init__(self, pool: Pool) -> None:
        super().__init__(pool)
        self.coupons: list[int] = []

    async def execute(self, commands: Sequence[Command]) -> list[Answer]:
        self.coupons.append(sum(len(getattr(command, "campaign_ids", ())) for command in commands))
        return await super().execute(commands)


async def test_a_batch_of_rewards_is_executed_in_parts_of_limited_size(pool: Pool, client: httpx.AsyncClient) -> None:
    await save(pool, [on_reward(f"c{number}") for number in range(33)])
    engine = CountingEngine(pool)

    await execute(issuer(pool, client, engine, max_coupons=70), *(reward(str(number)) for number in range(5)))

    assert engine.coupons == [66, 66, 33]
    assert await pool.fetchval("SELECT count(*) FROM coupons") == 5 * 33


async def test_an_event_id_used_for_another_customer_is_poison_and_other_events_are_executed(
    pool: Pool, client: httpx.AsyncClient
) -> None:
    await save(pool, [on_reward("a")])
    handler = issuer(pool, client)
    await execute(handler, reward("1"))
    reused = reward("1", customer={"customer_id": "c2"})

    poison = await handler.handle([reused, reward("2")])

    assert [(one.event, one.error_class) for one in poison] == [(reused, "CommandIdReused")]
    assert len(await published(pool)) == 2


async def test_the_code_of_an_external_source_becomes_the_coupons_code(
    pool: Pool, client: httpx.AsyncClient, api: CouponApi
) -> None:
    await save(pool, [external(api)])

    await execute(issuer(pool, client), reward("1", customer=PERSON))

    assert await published(pool) == [("issued", "ext", "EXT-1")]
    assert api.requests[0].email == "john.smith@email.com"
    assert api.requests[0].headers["x-key"] == "k"


async def test_a_source_without_a_code_is_a_refusal_and_delays_no_other(
    pool: Pool, client: httpx.AsyncClient, api: CouponApi
) -> None:
    api.replies(answer(500))
    await save(pool, [external(api), on_reward("own")])

    await execute(issuer(pool, client), reward("1", customer=PERSON))

    assert sorted((kind, campaign) for kind, campaign, _ in await published(pool)) == [
        ("issue_refused", "ext"),
        ("issued", "own"),
    ]


async def test_a_customer_without_an_email_gets_no_code_from_outside(
    pool: Pool, client: httpx.AsyncClient, api: CouponApi
) -> None:
    await save(pool, [external(api)])

    await execute(issuer(pool, client), reward("1"))

    assert [kind for kind, _, _ in await published(pool)] == ["issue_refused"]
    assert api.requests == []


async def test_a_code_that_exists_already_is_refused(pool: Pool, client: httpx.AsyncClient, api: CouponApi) -> None:
    api.replies(code("SAME"), code(" same "), code("OTHER"))
    await save(pool, [external(api)])
    handler = issuer(pool, client)

    await execute(handler, reward("1", customer=PERSON))
    await execute(handler, reward("2", customer=PERSON))
    await execute(handler, reward("3", customer=PERSON))

    assert [kind for kind, _, _ in await published(pool)] == ["issued", "issue_refused", "issued"]


async def test_a_code_returned_twice_in_one_batch_is_issued_once(
    pool: Pool, client: httpx.AsyncClient, api: CouponApi
) -> None:
    api.replies(code("SAME"))
    await save(pool, [external(api)])

    await execute(issuer(pool, client), reward("1", customer=PERSON), reward("2", customer=PERSON))

    assert [kind for kind, _, _ in await published(pool)] == ["issued", "issue_refused"]


async def test_a_campaign_without_codes_issues_coupons_without_them(
    pool: Pool, client: httpx.AsyncClient, api: CouponApi
) -> None:
    api.replies(code(""))
    await save(pool, [external(api, without_code=True)])

    await execute(issuer(pool, client), reward("1", customer=PERSON), reward("2", customer=PERSON))

    assert [(kind, campaign) for kind, campaign, _ in await published(pool)] == [("issued", "ext"), ("issued", "ext")]


class CrashingEngine(Engine):
    """Crash before executing, as a process may between a provider's response and the ledger's commit."""

    async def execute(self, commands: Sequence[Command]) -> list[Answer]:
        raise SystemError("crashed")


async def test_a_crash_between_response_and_commit_loses_and_duplicates_nothing(
    pool: Pool, client: httpx.AsyncClient, api: CouponApi
) -> None:
    await save(pool, [external(api)])
    event = reward("1", customer=PERSON)
    with pytest.raises(SystemError):
        await issuer(pool, client, CrashingEngine(pool)).handle([event])

    await execute(issuer(pool, client), event)
    await execute(issuer(pool, client), event)

    assert await published(pool) == [("issued", "ext", "EXT-1")]
    assert len(api.requests) == 1


class ForgetfulEngine(Engine):
    """Commit, and crash before returning."""

    async def execute(self, commands: Sequence[Command]) -> list[Answer]:
        await super().execute(commands)
        raise SystemError("crashed")


async def test_a_crash_after_the_commit_repeats_no_request(
    pool: Pool, client: httpx.AsyncClient, api: CouponApi
) -> None:
    await save(pool, [external(api)])
    event = reward("1", reward_id="rw", customer=PERSON)
    with pytest.raises(SystemError):
        await issuer(pool, client, ForgetfulEngine(pool)).handle([event])

    await execute(issuer(pool, client), event, reward("2", reward_id="rw", customer=PERSON))

    assert await published(pool) == [("issued", "ext", "EXT-1")]
    assert len(api.requests) == 1


async def test_a_refusal_is_the_same_after_a_crash(pool: Pool, client: httpx.AsyncClient, api: CouponApi) -> None:
    api.replies(answer(404), code("LATER"))
    await save(pool, [external(api)])
    event = reward("1", customer=PERSON)
    with pytest.raises(SystemError):
        await issuer(pool, client, CrashingEngine(pool)).handle([event])

    await execute(issuer(pool, client), event)

    assert [kind for kind, _, _ in await published(pool)] == ["issue_refused"]
    assert len(api.requests) == 1


async def test_slow_sources_are_a_transient_error(pool: Pool, client: httpx.AsyncClient, api: CouponApi) -> None:
    await save(pool, [external(api)])
    events = [reward(str(number), customer=PERSON) for number in range(3)]
    with pytest.raises(TransientError, match="0 of 3"):
        await issuer(pool, client, concurrency=1, batch_seconds=-1).handle(events)

    await execute(issuer(pool, client), *events)

    assert {given for _, _, given in await published(pool)} == {"EXT-1", "EXT-2", "EXT-3"}
