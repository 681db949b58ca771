"""Codes from external sources on a real ledger: recorded before the request, requested once, reused after a crash."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import asyncpg
import httpx
import pytest

from services.issuer.sources.coupon_api import ApiLimits, open_client
from services.issuer.sources.external import ExternalCodes, SourcesTooSlowError, idempotency_key
from shared.domain.model.campaign import Campaign, DiscountOffer, Source, Window
from shared.domain.model.commands import Cause, IssueCoupons
from shared.domain.model.customer import Customer
from shared.ledger.database import Pool, open_pool
from tests.integration.issuer_coupon_api import CouponApi, Reply, Request, answer, code, hang

pytestmark = pytest.mark.postgres

NOW = datetime.now(UTC)
ONCE = ApiLimits(attempts=1, try_seconds=5, total_seconds=10, allow_private=True)


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[Pool]:
    opened = await open_pool(database_url, application_name="test")
    yield opened
    await opened.close()


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with open_client(ONCE, 8) as opened:
        yield opened


@pytest.fixture
async def api() -> AsyncIterator[CouponApi]:
    async with CouponApi(a_code_of_its_own) as opened:
        yield opened


async def a_code_of_its_own(request: Request, writer: asyncio.StreamWriter) -> None:
    """Return another code each time, like a provider that ignores Idempotency-Key."""
    await code(f"EXT-{uuid4()}")(request, writer)


def sources(pool: Pool, client: httpx.AsyncClient, **bounds: Any) -> ExternalCodes:
    return ExternalCodes(pool, client, ONCE, **({"concurrency": 8, "batch_seconds": 5} | bounds))


def campaign(api: CouponApi, **fields: Any) -> Campaign:
    return Campaign("ext", DiscountOffer("percentage", "10"), **({"source": Source("external", api.url)} | fields))


def by_id(*campaigns: Campaign) -> Mapping[str, Campaign]:
    return {entry.campaign_id: entry for entry in campaigns}


def issue(number: int = 1, *, email: str | None = "a@b.c", occasion: str | None = None, **fields: Any) -> IssueCoupons:
    cause = Cause("reward.earned", "/t", str(number))
    customer = Customer("c1", email)
    asked: dict[str, Any] = {"campaign_ids": ("ext",), "at": NOW, "natural_key": occasion}
    return IssueCoupons(f"/t {number}", cause, customer, **(asked | fields))


async def rows(pool: Pool) -> Sequence[asyncpg.Record]:
    return await pool.fetch("SELECT * FROM external_requests ORDER BY command_id")


async def test_a_command_gets_its_code_and_the_response_is_recorded(
    pool: Pool, client: httpx.AsyncClient, api: CouponApi
) -> None:
    api.replies(code("COUPON-1001"))
    command = issue()

    (supplied,) = await sources(pool, client).supply([command], by_id(campaign(api)))

    assert supplied == replace(command, external_codes=(("ext", "COUPON-1001"),))
    (row,) = await rows(pool)
    assert (row["command_id"], row["campaign_id"], row["status"]) == ("/t 1", "ext", "answered")
    assert (row["code"], row["error"]) == ("COUPON-1001", None)
    assert row["answered_at"] >= row["asked_at"]
    assert api.requests[0].headers["idempotency-key"] == str(row["idempotency_key"]) == idempotency_key(command, "ext")


async def test_a_source_without_a_code_leaves_the_campaign_out_and_says_why(
    pool: Pool, client: httpx.AsyncClient, api: CouponApi
) -> None:
    api.replies(answer(404))

    (supplied,) = await sources(pool, client).supply([issue()], by_id(campaign(api)))

    assert supplied.external_codes == ()
    (row,) = await rows(pool)
    assert (row["status"], row["code"], row["error"]) == ("refused", None, "Responded with status 404.")


async def test_a_campaign_without_codes_is_supplied_with_an_empty_one(
    pool: Pool, client: httpx.AsyncClient, api: CouponApi
) -> None:
    api.replies(code(""))
    without = campaign(api, source=Source("external", api.url, without_code=True))

    (supplied,) = await sources(pool, client).supply([issue()], by_id(without))

    assert supplied.external_codes == (("ext", ""),)


async def test_the_request_is_committed_before_the_call(pool: Pool, client: httpx.AsyncClient, api: CouponApi) -> None:
    noted: list[Sequence[asyncpg.Record]] = []

    async def look(request: Request, writer: asyncio.StreamWriter) -> None:
        noted.append(await rows(pool))
        await code("A")(request, writer)

    api.replies(look)
    await sources(pool, client).supply([issue()], by_id(campaign(api)))

    assert [(row["command_id"], row["status"]) for row in noted[0]] == [("/t 1", "asked")]


@pytest.mark.parametrize("reply", [code("A-1"), answer(404)])
async def test_a_response_is_reused_when_the_batch_is_retried(
    pool: Pool, client: httpx.AsyncClient, api: CouponApi, reply: Reply
) -> None:
    api.replies(reply, code("ANOTHER"))
    first = await sources(pool, client).supply([issue()], by_id(campaign(api)))

    again = await sources(pool, client).supply([issue()], by_id(campaign(api)))

    assert again == first
    assert len(api.requests) == 1


async def test_a_request_without_a_response_is_repeated_with_the_same_key(
    pool: Pool, client: httpx.AsyncClient, api: CouponApi
) -> None:
    asked = asyncio.Event()

    async def never(request: Request, writer: asyncio.StreamWriter) -> None:
        asked.set()
        await hang(request, writer)

    api.replies(never, code("A-2"))
    crashing = asyncio.create_task(sources(pool, client).supply([issue()], by_id(campaign(api))))
    await asyncio.wait_for(asked.wait(), 5)
    crashing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await crashing
    assert [row["status"] for row in await rows(pool)] == ["asked"]

    (supplied,) = await sources(pool, client).supply([issue()], by_id(campaign(api)))

    assert supplied.external_codes == (("ext", "A-2"),)
    first, second = (request.headers["idempotency-key"] for request in api.requests)
    assert first == second


async def test_two_processes_that_call_at_once_both_use_the_first_recorded_response(
    pool: Pool, client: httpx.AsyncClient, api: CouponApi
) -> None:
    both = asyncio.Event()

    async def together(request: Request, writer: asyncio.StreamWriter) -> None:
        if len(api.requests) == 2:
            both.set()
        await both.wait()
        await a_code_of_its_own(request, writer)

    api.replies(together)
    one, other = await asyncio.gather(
        *(sources(pool, client).supply([issue()], by_id(campaign(api))) for _ in range(2))
    )

    assert len(api.requests) == 2
    assert one == other
    assert one[0].external_codes == (("ext", (await rows(pool))[0]["code"]),)


@pytest.mark.parametrize(
    ("command", "fields"),
    [
        (issue(email=None), {}),
        (issue(email="  "), {}),
        (issue(), {"status": "paused"}),
        (issue(), {"status": "archived"}),
        (issue(), {"source": Source("generated")}),
        (issue(), {"source": Source("pool")}),
        (issue(), {"window": Window(starts_at=NOW + timedelta(days=1))}),
        (issue(), {"window": Window(ends_at=NOW)}),
        (issue(at=NOW - timedelta(days=2)), {"window": Window(starts_at=NOW - timedelta(days=1))}),
        (issue(at=NOW + timedelta(days=9)), {"window": Window(starts_at=NOW + timedelta(days=8))}),
        (issue(campaign_ids=("gone",)), {}),
        (issue(campaign_ids=()), {}),
    ],
)
async def test_nothing_is_requested_if_no_response_could_matter(
    pool: Pool, client: httpx.AsyncClient, api: CouponApi, command: IssueCoupons, fields: dict[str, Any]
) -> None:
    supplied = await sources(pool, client).supply([command], by_id(campaign(api, **fields)))

    assert list(supplied) == [command]
    assert api.requests == []
    assert await rows(pool) == []


async def test_a_late_event_is_judged_by_its_own_time(pool: Pool, client: httpx.AsyncClient, api: CouponApi) -> None:
    over = campaign(api, window=Window(ends_at=NOW - timedelta(days=1)))

    (supplied,) = await sources(pool, client).supply([issue(at=NOW - timedelta(days=2))], by_id(over))

    assert len(supplied.external_codes) == 1


async def test_no_code_is_requested_for_a_command_in_the_journal(
    pool: Pool, client: httpx.AsyncClient, api: CouponApi
) -> None:
    await pool.execute(
        "INSERT INTO journal (command_id, fingerprint, kind, outcome, verdict, decided_at) "
        "VALUES ('/t 1', '', 'IssueCoupons', 'issued', '{}', now())"
    )

    known, fresh = await sources(pool, client).supply([issue(1), issue(2)], by_id(campaign(api)))

    assert known.external_codes == ()
    assert len(fresh.external_codes) == 1
    assert len(api.requests) == 1


async def test_no_code_is_requested_for_a_reward_that_has_its_coupon(
    pool: Pool, client: httpx.AsyncClient, api: CouponApi
) -> None:
    await pool.execute(
        "INSERT INTO coupons (coupon_id, campaign_id, status, occasion) "
        "VALUES (gen_random_uuid(), 'ext', 'active', 'reward 7'), (gen_random_uuid(), 'other', 'active', 'reward 8')"
    )

    has, has_not = await sources(pool, client).supply(
        [issue(1, occasion="reward 7"), issue(2, occasion="reward 8")], by_id(campaign(api))
    )

    assert has.external_codes == ()
    assert len(has_not.external_codes) == 1


async def test_one_code_is_requested_for_a_reward_that_is_twice_in_a_batch(
    pool: Pool, client: httpx.AsyncClient, api: CouponApi
) -> None:
    supplied = await sources(pool, client).supply(
        [issue(2, occasion="reward 7"), issue(1, occasion="reward 7")], by_id(campaign(api))
    )

    assert [len(command.external_codes) for command in supplied] == [1, 0]
    assert len(api.requests) == 1


async def test_each_of_many_customers_gets_the_code_requested_for_them(
    pool: Pool, client: httpx.AsyncClient, api: CouponApi
) -> None:
    async def named_after_the_customer(request: Request, writer: asyncio.StreamWriter) -> None:
        await code(f"FOR-{request.email}")(request, writer)

    api.replies(named_after_the_customer)
    commands = [issue(number, email=f"{number}@b.c") for number in range(20)]

    supplied = await sources(pool, client).supply(commands, by_id(campaign(api)))

    assert [command.external_codes[0][1] for command in supplied] == [f"FOR-{number}@b.c" for number in range(20)]


async def test_concurrent_calls_stay_within_their_limit(pool: Pool, client: httpx.AsyncClient, api: CouponApi) -> None:
    running: list[int] = []

    async def counted(request: Request, writer: asyncio.StreamWriter) -> None:
        running.append(1)
        most.append(len(running))
        await asyncio.sleep(0.02)
        running.pop()
        await a_code_of_its_own(request, writer)

    most: list[int] = []
    api.replies(counted)
    await sources(pool, client, concurrency=3).supply([issue(n) for n in range(10)], by_id(campaign(api)))

    assert max(most) == 3


async def test_a_batch_that_takes_too_long_continues_where_it_stopped(
    pool: Pool, client: httpx.AsyncClient, api: CouponApi
) -> None:
    commands = [issue(number) for number in range(5)]
    hasty = sources(pool, client, concurrency=2, batch_seconds=-1)
    with pytest.raises(SourcesTooSlowError, match="0 of 5"):
        await hasty.supply(commands, by_id(campaign(api)))

    async def slow(request: Request, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.1)
        await a_code_of_its_own(request, writer)

    api.replies(slow)
    impatient = sources(pool, client, concurrency=2, batch_seconds=0.05)
    with pytest.raises(SourcesTooSlowError, match="2 of 5"):
        await impatient.supply(commands, by_id(campaign(api)))
    with pytest.raises(SourcesTooSlowError, match="2 of 3"):
        await impatient.supply(commands, by_id(campaign(api)))
    supplied = await impatient.supply(commands, by_id(campaign(api)))

    assert all(command.external_codes for command in supplied)
    assert len(api.requests) == 5
