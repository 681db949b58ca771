"""Revoked rewards, undone voids and moved ends on a real ledger: from the event to the rows and back."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest

from schemas.campaigns import CampaignDefinition
from services.issuer.handler import IssueHandler
from services.issuer.sources.coupon_api import ApiLimits, open_client
from services.issuer.sources.external import ExternalCodes
from shared.domain.model.commands import (
    Cause,
    ChangeCoupon,
    Command,
    CreateCoupons,
    IssueCoupons,
    RevokeReward,
    VoidCoupon,
)
from shared.domain.model.customer import Customer
from shared.domain.model.order_commands import CancelOrder
from shared.domain.model.verdicts import Verdict
from shared.ledger import queries
from shared.ledger.database import Pool
from shared.ledger.engine import Engine
from shared.ledger.pools import import_codes
from shared.messaging.records import ReceivedEvent
from shared.runtime import telemetry
from tests.ledger import definition, issue, ledger, redeem
from tests.privacy import ANN, erase
from tests.received_events import received, reward

pytestmark = pytest.mark.postgres

LIMITS = ApiLimits(attempts=1, try_seconds=5, total_seconds=10, allow_private=True)
REWARDS = [{"event": "reward.earned"}]
LATER = datetime.now(UTC).replace(microsecond=0) + timedelta(days=30)


def on_reward(campaign_id: str, **changes: Any) -> CampaignDefinition:
    return definition(campaign_id, **({"issues_on": REWARDS} | changes))


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[Pool]:
    campaigns = [
        on_reward("one"),
        on_reward("three", limits={"uses_per_coupon": 2}, issues_on=[{"event": "reward.earned", "coupons": 3}]),
        on_reward("shared", code={"shared_code": "HELLO"}, limits={}),
        definition("pool", source={"kind": "pool"}, code={}),
    ]
    async with ledger(database_url, *campaigns) as opened:
        yield opened


def revoked(event_id: str = "9", reward_id: str = "rw-1", **fields: Any) -> ReceivedEvent:
    data = {"reward_id": reward_id, "revoked_at": "2026-01-03T03:04:05Z"}
    return received("reward.revoked", data | fields, event_id=event_id, source="/loyalty")


async def handle(pool: Pool, *events: ReceivedEvent) -> None:
    async with open_client(LIMITS, 1) as client:
        external = ExternalCodes(pool, client, LIMITS, concurrency=1, batch_seconds=10)
        assert list(await IssueHandler(pool, Engine(pool), external).handle(events)) == []


async def execute(pool: Pool, *commands: Command) -> list[Verdict]:
    answers = await Engine(pool).execute(commands)
    assert all(isinstance(answer, Verdict) for answer in answers), answers
    return [answer for answer in answers if isinstance(answer, Verdict)]


async def events(pool: Pool, *types: str) -> list[dict[str, Any]]:
    rows = await pool.fetch("SELECT data FROM outbox WHERE type = ANY($1) ORDER BY position", list(types))
    return [orjson.loads(row["data"]) for row in rows]


async def statuses(pool: Pool) -> dict[str, list[str]]:
    rows = await pool.fetch("SELECT campaign_id, status FROM coupons ORDER BY 1, 2")
    found: dict[str, list[str]] = {}
    for row in rows:
        found.setdefault(row["campaign_id"], []).append(row["status"])
    return found


async def codes(pool: Pool, campaign_id: str) -> list[str]:
    rows = await pool.fetch("SELECT code FROM coupons WHERE campaign_id = $1 ORDER BY coupon_id", campaign_id)
    return [row["code"] for row in rows]


# Revoke a reward


@pytest.mark.parametrize("at_once", [True, False])
async def test_every_coupon_of_a_reward_is_voided_and_no_other(pool: Pool, at_once: bool) -> None:
    contacts = {"customer_id": "c1", "email": "c1@example.com"}
    given = [reward("1", customer=contacts), reward("2"), revoked(reason="order ORD440 was returned")]
    for batch in [given] if at_once else [[one] for one in given]:
        await handle(pool, *batch)
    active, voided = ["active"], ["voided"]
    assert await statuses(pool) == {"one": active + voided, "three": active * 3 + voided * 3, "shared": active}
    found = await events(pool, "coupon.voided")
    assert len(found) == 4
    assert {one["reason"] for one in found} == {"order ORD440 was returned"}
    customer = {"customer_id": "c1", "email": "c1@example.com", "mobile": None}
    assert [one["customer"] for one in found] == [customer] * 4
    [reasons] = await pool.fetchrow("SELECT reasons FROM journal WHERE kind = 'RevokeReward'")
    assert reasons == ["shared_code"]


@pytest.mark.parametrize("at_once", [True, False])
async def test_a_reward_that_was_revoked_first_issues_nothing(pool: Pool, at_once: bool) -> None:
    given = [revoked(), reward("1"), reward("again", reward_id="rw-1"), revoked("10")]
    for batch in [given] if at_once else [[one] for one in given]:
        await handle(pool, *batch)
    assert await statuses(pool) == {"shared": ["active"]}
    refused = await events(pool, "coupon.issue_refused")
    assert [(one["campaign_id"], one["reason"]) for one in refused] == [
        (name, "reward_revoked") for name in ("one", "shared", "three")
    ] * 2
    outcomes = await pool.fetch("SELECT outcome, reasons FROM journal WHERE kind = 'RevokeReward' ORDER BY command_id")
    assert sorted(map(tuple, outcomes)) == [("recorded", ["not_found"]), ("refused", ["reward_revoked"])]


async def test_used_coupons_are_reported_in_the_history_and_in_metrics_and_voided_when_they_come_back(
    pool: Pool,
) -> None:
    counter = telemetry.REFUSED.labels("issuer", "already_redeemed")
    before = counter._value.get()
    await handle(pool, reward("1", earned_at="2026-01-02T03:04:05Z"))
    [one] = await codes(pool, "one")
    half, *_ = await codes(pool, "three")
    await execute(pool, redeem("O1", [one]), redeem("O2", [half]))
    await handle(pool, revoked())

    assert counter._value.get() == before + 1
    assert (await statuses(pool))["one"] == ["active"]
    assert (await statuses(pool))["three"] == ["voided"] * 3
    async with pool.acquire() as connection:
        history = await queries.coupon_history(connection, one)
        of_half = await queries.coupon_history(connection, half)
    assert history is not None
    assert of_half is not None
    assert [(entry.kind, entry.reason) for entry in history.happenings][-1] == ("refused", "already_redeemed")
    assert {entry.kind for entry in of_half.happenings} == {"issued", "burned", "refused", "voided"}

    await execute(pool, CancelOrder("/shop c", "O1"))
    assert (await statuses(pool))["one"] == ["voided"]
    assert await pool.fetchval("SELECT count(*) FROM coupons WHERE revoked") == 0
    [_, _, _, last] = await events(pool, "coupon.voided")
    assert (last["code"], last["reason"], last["customer"]["customer_id"]) == (one, "The reward was revoked.", "c1")


async def test_rewards_and_their_revocations_at_once_leave_no_coupon(pool: Pool) -> None:
    async def work(event: ReceivedEvent) -> None:
        await handle(pool, event)

    async with asyncio.TaskGroup() as group:
        for number in range(12):
            group.create_task(work(reward(str(number))))
            group.create_task(work(revoked(f"r{number}", f"rw-{number}")))
            group.create_task(work(revoked(f"s{number}", f"rw-{number}")))
    found = await statuses(pool)
    assert {status for name, some in found.items() if name != "shared" for status in some} <= {"voided"}
    assert await pool.fetchval("SELECT count(*) FROM revoked_rewards") == 12
    assert await pool.fetchval("SELECT count(*) FROM journal WHERE 'reward_revoked' = ANY (reasons)") >= 12


async def test_only_rewards_are_revoked_not_other_occasions_with_the_same_id(pool: Pool) -> None:
    http = IssueCoupons("/h 1", Cause("t", "/h", "1"), Customer("c1"), ("one",), natural_key="coupons.issue rw-1")
    await execute(pool, http, RevokeReward("/loyalty 1", "rw-1"))
    assert (await statuses(pool))["one"] == ["active"]


# Later commands of a batch


async def test_a_coupon_changed_in_the_batch_that_created_it_is_stored_as_it_is(pool: Pool) -> None:
    verdicts = await execute(
        pool,
        CreateCoupons("/t 1", "three", codes=("A", "B", "C", "D")),
        VoidCoupon("/t 2", "B"),
        redeem("O1", ["C"], at=datetime.now(UTC) + timedelta(minutes=1)),
        ChangeCoupon("/t 3", "D", moves_end=True, ends_at=LATER),
    )
    assert [one.outcome for one in verdicts] == ["issued", "voided", "redeemed", "extended"]
    rows = await pool.fetch(
        "SELECT code, status, used_uses, ends_at FROM coupons WHERE campaign_id = 'three' ORDER BY code"
    )
    assert [tuple(row) for row in rows] == [
        ("A", "active", 0, None),
        ("B", "voided", 0, None),
        ("C", "active", 1, None),
        ("D", "active", 0, LATER),
    ]


# Undo voids, move ends


async def test_an_undone_void_and_a_moved_end_are_entries_events_and_lines_of_the_history(pool: Pool) -> None:
    [code] = await issue(Engine(pool), "one", customer=Customer("c1", "c1@example.com", "+4930123456"))
    await execute(
        pool,
        VoidCoupon("/t 1", code),
        ChangeCoupon("/t 2", code.lower(), status="active", reason="voided by mistake"),
        ChangeCoupon("/t 3", code, moves_end=True, ends_at=LATER),
        ChangeCoupon("/t 4", code, moves_end=True, ends_at=None, reason="without end"),
    )
    [undone] = await events(pool, "coupon.unvoided")
    assert (undone["reason"], undone["code"], undone["customer"]) == (
        "voided by mistake",
        code,
        {"customer_id": "c1", "email": "c1@example.com", "mobile": "+4930123456"},
    )
    first, second = await events(pool, "coupon.extended")
    assert (first["ends_before"], datetime.fromisoformat(first["ends_at"])) == (None, LATER)
    assert (datetime.fromisoformat(second["ends_before"]), second["ends_at"]) == (LATER, None)
    async with pool.acquire() as connection:
        history = await queries.coupon_history(connection, code)
    assert history is not None
    assert [(one.kind, one.message, one.ends_at) for one in history.happenings] == [
        ("issued", None, None),
        ("voided", None, None),
        ("unvoided", "voided by mistake", None),
        ("extended", None, LATER),
        ("extended", "without end", None),
    ]
    assert history.coupon is not None
    assert (history.coupon.status, history.coupon.own_ends_at) == ("active", None)
    assert history.coupon.ends_at is not None, "its campaign's"


async def test_a_repeated_change_gets_its_recorded_verdict(pool: Pool) -> None:
    [code] = await issue(Engine(pool), "one")
    command = ChangeCoupon("/t 1", code, moves_end=True, ends_at=LATER)
    [first], [second] = await execute(pool, command), await execute(pool, command)
    assert (first.outcome, second.outcome) == ("extended", "extended")
    assert await pool.fetchval("SELECT count(*) FROM ledger_entries WHERE kind = 'extended'") == 1


async def test_a_code_voided_in_its_pool_goes_back_and_is_issued(pool: Pool) -> None:
    await import_codes(pool, "pool", ["P-1"])
    await execute(pool, VoidCoupon("/t 1", "P-1"), ChangeCoupon("/t 2", "P-1", status="active"))
    assert (await statuses(pool))["pool"] == ["pooled"]
    assert await issue(Engine(pool), "pool") == ["P-1"]


async def test_the_coupon_of_an_erased_holder_is_changed_without_naming_anybody(pool: Pool, database_url: str) -> None:
    [code] = await issue(Engine(pool), "one", customer=ANN)
    await execute(pool, ChangeCoupon("/t 1", code, status="voided", reason="ann.smith@example.com complained"))
    await handle(pool, revoked(reward_id="of ann.smith@example.com", reason="ann.smith@example.com"))
    await erase(pool)
    await execute(pool, ChangeCoupon("/t 2", code, status="active"))
    [undone] = await events(pool, "coupon.unvoided")
    assert undone["customer"]["customer_id"].startswith("erased-")
    texts = await pool.fetch(
        "SELECT verdict::text FROM journal UNION ALL SELECT data::text FROM outbox WHERE type <> 'customer.erased' "
        "UNION ALL SELECT occasion FROM revoked_rewards"
    )
    assert [row[0] for row in texts if "ann.smith@example.com" in row[0]] == []
    async with pool.acquire() as connection:
        history = await queries.coupon_history(connection, code)
    assert history is not None
    assert [one.message for one in history.happenings] == [None, None, None]
