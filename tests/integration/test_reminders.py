"""Reminders on PostgreSQL: each event once for an end, however it is moved, with any number of sweeps and failures."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import orjson
import pytest

from schemas.campaigns import CampaignDefinition
from schemas.catalogue import BY_TYPE
from schemas.parsing import parse
from services.redeemer.janitor import Janitor
from shared.domain.model.commands import Cause, ChangeCoupon, Command, CreateCoupons, IssueCoupons, VoidCoupon
from shared.domain.model.customer import Customer
from shared.domain.model.order_commands import CancelOrder
from shared.domain.model.verdicts import Verdict
from shared.ledger import outbox, reminder_sweep
from shared.ledger.campaigns import save
from shared.ledger.database import Pool
from shared.ledger.engine import Engine, LedgerUnavailableError
from shared.ledger.pools import import_codes
from shared.ledger.reminder_sweep import Reminders
from shared.runtime import telemetry
from tests.ledger import count, definition, ledger, redeem
from tests.privacy import erase

ANN = Customer("ann", "ann@example.com")
DAY = timedelta(days=1)


def gift(campaign_id: str = "gift", window: dict[str, Any] | None = None, **changes: Any) -> CampaignDefinition:
    """Return a campaign whose coupons end in two days and are announced three days before."""
    return definition(campaign_id, **{"window": {"valid_for": "P2D", "remind_days": 3} | (window or {})} | changes)


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[Pool]:
    async with ledger(database_url, gift(), gift("later", {"valid_for": "P30D"}), gift("none", {"remind_days": None}),
                      connections=8) as opened:  # fmt: skip
        yield opened


async def now(pool: Pool) -> datetime:
    found = await pool.fetchval("SELECT clock_timestamp()")
    assert isinstance(found, datetime)
    return found


async def run(pool: Pool, *commands: Command) -> list[Verdict]:
    answers = await Engine(pool).execute(commands)
    assert all(isinstance(answer, Verdict) for answer in answers), answers
    return [answer for answer in answers if isinstance(answer, Verdict)]


async def given(pool: Pool, campaign_id: str = "gift", number: int = 0, customer: Customer = ANN, **fields: Any) -> str:
    """Issue a coupon now and return its code."""
    fields = {"at": await now(pool)} | fields
    command = IssueCoupons(
        f"/give {campaign_id} {number}",
        Cause("reward.earned", "/test", str(number)),
        customer,
        (campaign_id,),
        **fields,
    )
    [verdict] = await run(pool, command)
    return verdict.accepted[0].code


async def published(pool: Pool, *reminders: Reminders) -> list[tuple[str, str]]:
    """Sweep, and return type and code of all reminders until now. Each is valid, and is an event of its own."""
    for one in reminders or (Reminders(pool),):
        await one.sweep(1_000)
    rows = await pool.fetch(
        "SELECT event_id, type, key, subject, topic, source, data::text FROM outbox "
        "WHERE type IN ('coupon.expiring', 'coupon.expired') ORDER BY position"
    )
    for row in rows:
        parse(BY_TYPE[row["type"]].model, row["data"].encode())
        data = orjson.loads(row["data"])
        assert (row["topic"], row["source"]) == ("coupons.lifecycle", "/couponry/ledger")
        assert row["key"] == row["subject"] == data["coupon_id"]
    assert len({row["event_id"] for row in rows}) == len(rows)
    return [(row["type"].removeprefix("coupon."), orjson.loads(row["data"])["code"]) for row in rows]


async def ends(pool: Pool, code: str, ends_at: datetime | None) -> None:
    """Move a coupon's own end, and nothing else, as if time had passed."""
    await pool.execute("UPDATE coupons SET ends_at = $2 WHERE code = $1", code, ends_at)
    await pool.execute("UPDATE coupon_reminders SET due_at = clock_timestamp()")


async def extend(pool: Pool, code: str, ends_at: datetime, command_id: str = "/extend") -> None:
    [verdict] = await run(pool, ChangeCoupon(command_id, code, moves_end=True, ends_at=ends_at))
    assert verdict.outcome == "extended"


async def test_each_event_is_published_once_for_an_end_and_once_more_for_another(pool: Pool) -> None:
    code = await given(pool)
    for _ in range(3):
        assert await published(pool) == [("expiring", code)]
    data = orjson.loads(await pool.fetchval("SELECT data::text FROM outbox WHERE type = 'coupon.expiring'"))
    ends_at = await pool.fetchval("SELECT ends_at FROM coupons")
    assert data == {
        "coupon_id": str(await pool.fetchval("SELECT coupon_id FROM coupons")), "code": code, "campaign_id": "gift",
        "customer": {"customer_id": "ann", "email": "ann@example.com", "mobile": None},
        "expires_at": ends_at.isoformat().replace("+00:00", "Z"), "days_left": 2,
    }  # fmt: skip
    await extend(pool, code, await now(pool) + DAY)
    assert await published(pool) == [("expiring", code)] * 2
    await extend(pool, code, await now(pool) + 30 * DAY, "/extend 2")
    assert await published(pool) == [("expiring", code)] * 2
    await ends(pool, code, await now(pool))
    for _ in range(3):
        assert await published(pool) == [("expiring", code)] * 2 + [("expired", code)]
    await extend(pool, code, await now(pool) + DAY, "/extend 3")
    assert await published(pool) == [("expiring", code)] * 2 + [("expired", code), ("expiring", code)]
    assert await count(pool, "SELECT count(*) FROM coupon_reminders WHERE due_at > clock_timestamp()") == 1


async def test_a_coupon_is_looked_at_on_the_day_of_its_reminder(pool: Pool) -> None:
    await given(pool, "later")
    ends_at, due_at = await pool.fetchrow("SELECT ends_at, due_at FROM coupon_reminders JOIN coupons USING (coupon_id)")
    assert due_at == ends_at - 3 * DAY
    assert await published(pool) == []


async def test_coupons_without_a_holder_a_use_or_reminders_are_not_announced(pool: Pool) -> None:
    await given(pool, "none")
    await run(pool, CreateCoupons("/create", "gift", count=3, at=await now(pool)))
    assert await count(pool, "SELECT count(*) FROM coupon_reminders") == 0
    used, voided = await given(pool, number=1), await given(pool, number=2)
    at = await now(pool)
    await run(pool, redeem("A", [used], customer=ANN, at=at), VoidCoupon("/void", voided))
    assert await published(pool) == []
    assert await count(pool, "SELECT count(*) FROM coupon_reminders WHERE due_at IS NOT NULL") == 0
    await run(pool, CancelOrder("/cancel", "A", await now(pool)), ChangeCoupon("/unvoid", voided, status="active"))
    assert sorted(await published(pool)) == sorted([("expiring", used), ("expiring", voided)])


async def test_a_restored_coupon_with_more_days_is_announced_for_its_new_end(pool: Pool) -> None:
    await save(pool, [gift(restore_days=1)])
    code = await given(pool)
    assert await published(pool) == [("expiring", code)]
    await run(pool, redeem("A", [code], customer=ANN, at=await now(pool)))
    await ends(pool, code, await now(pool))
    assert await published(pool) == [("expiring", code)], "a used coupon doesn't expire"
    await run(pool, CancelOrder("/cancel", "A", await now(pool)))
    assert await published(pool) == [("expiring", code)] * 2


async def test_issued_and_extended_in_one_batch(pool: Pool) -> None:
    await save(pool, [gift("pool", source={"kind": "pool"}, code={})])
    await import_codes(pool, "pool", ["ONLY-1"])
    at = await now(pool)
    await run(
        pool,
        IssueCoupons("/give", Cause("reward.earned", "/test", "1"), ANN, ("pool",), at=at),
        ChangeCoupon("/extend", "ONLY-1", moves_end=True, ends_at=at + DAY),
    )
    assert await published(pool) == [("expiring", "ONLY-1")]


async def test_changes_of_a_campaign_apply_to_issued_coupons(pool: Pool) -> None:
    at = await now(pool)
    until = (at + 2 * DAY).isoformat()
    code = await given(pool, "none")
    ended = await given(pool, "none", 1, at=at - 5 * DAY)
    assert await published(pool) == []
    await save(pool, [gift("none")])
    assert await published(pool) == [("expiring", code)], f"{ended} had ended before"
    await save(pool, [gift("none", name="other")])
    assert await published(pool) == [("expiring", code)]
    await save(pool, [gift("none", {"valid_for": None, "ends_at": (at + DAY).isoformat()})])
    assert await published(pool) == [("expiring", code)] * 2, "the campaign ends earlier than the coupon"
    await save(pool, [gift("none", {"valid_for": None, "ends_at": until}, status="paused")])
    assert await published(pool) == [("expiring", code)] * 2
    await save(pool, [gift("none", {"valid_for": None, "ends_at": until})])
    assert len(await published(pool)) == 3
    await save(pool, [gift("none", {"valid_for": None, "ends_at": until, "remind_days": None})])
    await ends(pool, code, at)
    assert len(await published(pool)) == 3


async def test_sweeps_and_commands_at_once_publish_each_event_once(pool: Pool) -> None:
    codes = [await given(pool, number=number, customer=Customer(f"c{number}")) for number in range(60)]
    at = await now(pool)

    async def use(number: int) -> None:
        await run(pool, redeem(f"O{number}", [codes[number]], customer=Customer(f"c{number}"), at=at))
        await run(pool, CancelOrder(f"/cancel {number}", f"O{number}", at + timedelta(seconds=1)))

    async def sweep() -> None:
        for _ in range(10):
            await Reminders(pool).sweep(20)

    await asyncio.gather(*(sweep() for _ in range(4)), *(use(number) for number in range(0, 60, 7)))
    assert Counter(await published(pool)) == Counter(("expiring", code) for code in codes)
    await pool.execute("UPDATE coupons SET ends_at = $1", at)
    await pool.execute("UPDATE coupon_reminders SET due_at = $1", at)
    await asyncio.gather(*(sweep() for _ in range(4)))
    assert Counter(await published(pool))["expired", codes[0]] == 1
    assert len(await published(pool)) == 120


async def test_a_sweep_that_fails_before_its_commit_loses_and_repeats_nothing(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = await given(pool)

    async def failing(*_: object) -> None:
        raise asyncpg.ConnectionDoesNotExistError("the connection is gone")

    monkeypatch.setattr(reminder_sweep.outbox, "append", failing)
    with pytest.raises(LedgerUnavailableError):
        await Reminders(pool).sweep(10)
    monkeypatch.undo()
    assert outbox.append is not failing
    assert await published(pool) == [("expiring", code)]


async def test_a_sweep_is_bounded_and_continues(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reminder_sweep, "REMINDERS_PER_BATCH", 3)
    for number in range(8):
        await given(pool, number=number)
    assert await Reminders(pool).sweep(5) == 5
    stopping = asyncio.Event()
    janitor = Janitor(Reminders(pool).sweep, "reminders", "reminder", pause_seconds=0.01, limit=2)
    running = asyncio.create_task(janitor.run(stopping))
    while await count(pool, "SELECT count(*) FROM outbox WHERE type = 'coupon.expiring'") < 8:
        await asyncio.sleep(0.01)
    stopping.set()
    await running


async def test_a_reminder_with_a_bug_delays_only_itself(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    codes = [await given(pool, number=number) for number in range(3)]
    compute = reminder_sweep.reminder_of

    def failing(campaign: Any, coupon: Any, *others: Any) -> Any:
        if coupon.code == codes[1]:
            raise ZeroDivisionError
        return compute(campaign, coupon, *others)

    monkeypatch.setattr(reminder_sweep, "reminder_of", failing)
    before = telemetry.BUGS.labels("reminder")._value.get()
    assert sorted(await published(pool)) == sorted([("expiring", codes[0]), ("expiring", codes[2])])
    assert telemetry.BUGS.labels("reminder")._value.get() == before + 1
    monkeypatch.undo()
    await pool.execute("UPDATE coupon_reminders SET due_at = clock_timestamp() WHERE expiring_for IS NULL")
    assert len(await published(pool)) == 3


async def test_a_merged_holder_is_named_and_an_erased_one_is_not_reminded(pool: Pool) -> None:
    first = await given(pool, customer=Customer("ann"))
    await run(pool, redeem("A", [], customer=ANN, at=datetime.now(UTC)))
    second = await given(pool, number=1, customer=Customer(None, "ann@example.com"))
    assert sorted(await published(pool)) == sorted([("expiring", first), ("expiring", second)])
    emails = await pool.fetch("SELECT data ->> 'customer' AS customer FROM outbox WHERE type = 'coupon.expiring'")
    assert {orjson.loads(row["customer"])["customer_id"] for row in emails} == {"ann"}
    await erase(pool, (("id", "ann"),))
    await pool.execute("UPDATE coupons SET ends_at = clock_timestamp()")
    await pool.execute("UPDATE coupon_reminders SET due_at = clock_timestamp()")
    assert [kind for kind, _ in await published(pool)] == ["expiring", "expiring"]
