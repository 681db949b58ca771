"""Budgets and caps on PostgreSQL: exact under concurrency, published once, and computed again after changes."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import orjson
import pytest

from schemas.campaigns import CampaignDefinition
from schemas.catalogue import BY_TYPE
from schemas.parsing import parse
from shared.domain.model.commands import Cause, Command, IssueCoupons, LockCoupons
from shared.domain.model.customer import Customer
from shared.domain.model.order_commands import CancelOrder, PayOrder
from shared.domain.model.reasons import Reason
from shared.domain.model.verdicts import Verdict
from shared.ledger import period_metering, persist
from shared.ledger.audit import audit
from shared.ledger.campaigns import save
from shared.ledger.database import Pool, open_pool
from shared.ledger.definitions import DefinitionError
from shared.ledger.engine import Answer, Engine
from shared.ledger.pools import import_codes
from shared.ledger.sql import sql
from tests.ledger import PLACED_AT, count, definition, issue, ledger, redeem
from tests.privacy import erase

ANN, BOB = Customer("ann", "ann@example.com"), Customer("bob")
DAY = timedelta(days=1)


def hot(time_zone: str = "UTC", currency: str | None = "USD", **limits: Any) -> CampaignDefinition:
    """Return a campaign with a shared code that takes 12.50 USD off the test's order."""
    return definition(
        "hot",
        code={"shared_code": "HOT"},
        limits={"uses_per_coupon": None, **limits},
        eligibility={"currency": currency},
        window={"starts_at": "2026-01-01T00:00:00Z", "time_zone": time_zone},
    )


def cap(per: str, each: str = "campaign", **most: int) -> dict[str, Any]:
    return {"per": per, "each": each, **most}


def verdicts(answers: Sequence[Answer]) -> list[Verdict]:
    assert all(isinstance(answer, Verdict) for answer in answers), answers
    return [answer for answer in answers if isinstance(answer, Verdict)]


def reasons(answers: Sequence[Answer]) -> list[Reason | None]:
    return [verdict.refused[0].reason if verdict.refused else None for verdict in verdicts(answers)]


async def exhausted(pool: Pool) -> list[dict[str, Any]]:
    """Return the exhaustion events in order; check that each is valid and has its own id."""
    rows = await pool.fetch(
        "SELECT type, key, subject, topic, event_id, data::text FROM outbox "
        "WHERE type LIKE '%.exhausted' ORDER BY position"
    )
    for row in rows:
        parse(BY_TYPE[row["type"]].model, row["data"].encode())
        assert row["topic"] == "coupons.lifecycle"
        assert row["key"] == row["subject"]
    assert len({row["event_id"] for row in rows}) == len(rows)
    return [orjson.loads(row["data"]) | {"type": row["type"]} for row in rows]


async def at_once(pool: Pool, commands: Sequence[Command], engines: int = 4, batch: int = 5) -> list[Verdict]:
    """Execute the commands in batches on several engines at once."""
    batches = [commands[start : start + batch] for start in range(0, len(commands), batch)]

    async def work(mine: Sequence[Sequence[Command]]) -> list[Answer]:
        engine = Engine(pool)
        return [answer for each in mine for answer in await engine.execute(each)]

    answers = await asyncio.gather(*(work(batches[number::engines]) for number in range(engines)))
    return verdicts([answer for some in answers for answer in some])


@pytest.mark.parametrize(
    ("limits", "fits", "reason", "limit"),
    [
        ({"spend_total": "500.00"}, 40, Reason.BUDGET_EXCEEDED, "spend_total"),
        ({"caps": [cap("day", uses=40)]}, 40, Reason.CAMPAIGN_EXHAUSTED, "caps.day.uses"),
        ({"caps": [cap("day", uses=40), cap("week", "customer", uses=1)]}, 5, Reason.CUSTOMER_LIMIT, None),
        ({"caps": [cap("coupon", "customer", uses=1)]}, 5, Reason.CUSTOMER_LIMIT, None),
    ],
)
async def test_two_hundred_orders_on_four_engines_use_exactly_the_budget(
    database_url: str, limits: dict[str, Any], fits: int, reason: Reason, limit: str | None
) -> None:
    async with ledger(database_url, hot(**limits), connections=8) as pool:
        orders = [redeem(str(number), ["HOT"], customer=Customer(f"c{number % 5}")) for number in range(200)]
        answers = await at_once(pool, orders)
        assert Counter(answer.outcome for answer in answers) == {"redeemed": fits, "refused": 200 - fits}
        assert {one.reason for answer in answers for one in answer.refused} == {reason}
        assert [one["limit"] for one in await exhausted(pool)] == ([] if limit is None else [limit])


async def test_a_budget_and_a_cap_stay_exact_while_orders_come_are_held_paid_and_cancelled(database_url: str) -> None:
    limits = {"spend_total": "250.00", "caps": [
        cap("day", uses=15), cap("week", "customer", uses=9), cap("coupon", "customer", uses=8)
    ]}  # fmt: skip
    async with ledger(database_url, hot(**limits), connections=8) as pool:
        commands: list[Command] = []
        for number in range(60):
            who = (ANN, BOB, Customer(None, "ANN@example.com"))[number % 3]
            commands.append(
                redeem(str(number), ["HOT"], customer=who, hold=number % 2 == 0, hold_seconds=600,
                       at=PLACED_AT + number % 3 * DAY)
            )  # fmt: skip
            if number > 5:
                commands.append(PayOrder(f"/pay {number}", str(number - 3), PLACED_AT + DAY))
            if number > 9 and number % 3 == 0:
                commands.append(CancelOrder(f"/cancel {number}", str(number - 8), PLACED_AT + 4 * DAY))
            if number % 7 == 0:
                commands.append(LockCoupons(f"/lock {number}", f"lock-{number % 2}", ("HOT",), 600, who))
        await at_once(pool, commands)
        assert (await audit(pool)).findings == ()
        assert await count(pool, "SELECT used_minor + held_minor <= 25000 FROM meters WHERE max_minor IS NOT NULL")
        await asserted_rebuild(pool, hot(**limits))


async def asserted_rebuild(pool: Pool, same: CampaignDefinition) -> None:
    """Check that changing the caps and back computes the same totals as before."""
    rows = (
        "SELECT campaign_id, customer_key, period, issued_coupons, held_uses, used_uses "
        "FROM period_meters ORDER BY 1, 2, 3"
    )
    running = [row for row in await pool.fetch(rows) if any(row[3:])]
    assert running
    await save(pool, [hot()])
    assert await pool.fetch(rows) == []
    await save(pool, [same])
    assert [row for row in await pool.fetch(rows) if any(row[3:])] == running


async def test_each_exhaustion_is_published_once(database_url: str) -> None:
    limits = {"uses_per_coupon": 2, "uses_total": 2, "spend_total": "25.00", "caps": [cap("month", uses=2)]}
    async with ledger(database_url, hot(**limits)) as pool:
        engine = Engine(pool)
        orders = [redeem(name, ["HOT"], customer=ANN) for name in "ABC"]
        await engine.execute(orders)
        await Engine(pool).execute(orders)  # recorded verdicts publish nothing again
        events = await exhausted(pool)
        assert [one.get("limit") for one in events] == [2, "uses_total", "spend_total", "caps.month.uses"]
        assert events[2]["value"] == "25.00"
        assert events[2]["currency"] == "USD"
        assert [one.get("until") for one in events] == [None, None, None, "2026-04-01T00:00:00Z"]
        await engine.execute([CancelOrder("/cancel A", "A", PLACED_AT), redeem("D", ["HOT"], customer=BOB)])
        assert [one["type"] for one in (await exhausted(pool))[4:]] == ["coupon.exhausted"] + ["campaign.exhausted"] * 3


async def test_issued_coupons_are_capped_and_their_exhaustion_is_published(database_url: str) -> None:
    capped = definition(
        "gift", limits={"uses_per_coupon": 1, "caps": [cap("day", coupons=3), cap("week", "customer", coupons=2)]}
    )
    async with ledger(database_url, capped) as pool:
        people = [ANN, ANN, ANN, BOB, BOB, BOB]
        days = [0, 0, 0, 0, 0, 1]  # the first is a Sunday
        issues = [
            IssueCoupons(
                f"/issue {n}", Cause("reward.earned", "/test", str(n)), people[n], ("gift",), PLACED_AT + days[n] * DAY
            )
            for n in range(6)
        ]  # fmt: skip
        answers = [*await Engine(pool).execute(issues[:2]), *await Engine(pool).execute(issues[2:])]
        assert reasons(answers) == [None, None, Reason.CUSTOMER_LIMIT, None, Reason.CAMPAIGN_EXHAUSTED, None]
        assert [one["limit"] for one in await exhausted(pool)] == ["caps.day.coupons"]


async def test_a_period_begins_in_the_campaigns_time_zone(database_url: str) -> None:
    async with ledger(database_url, hot("Asia/Tokyo", caps=[cap("day", uses=1)])) as pool:
        before, after = datetime(2026, 3, 1, 14, 59, tzinfo=UTC), datetime(2026, 3, 1, 15, tzinfo=UTC)
        commands = [redeem(name, ["HOT"], at=at) for name, at in (("A", before), ("B", before), ("C", after))]
        answers = await Engine(pool).execute(commands)
        assert reasons(answers) == [None, Reason.CAMPAIGN_EXHAUSTED, None]
        # In another time zone all uses were on one day: they stay, and no further use fits.
        await save(pool, [hot("UTC", caps=[cap("day", uses=1)])])
        assert await count(pool, "SELECT used_uses FROM period_meters WHERE period = 'day 2026-03-01'") == 2
        [refused] = verdicts(await Engine(pool).execute([redeem("D", ["HOT"])]))
        assert refused.refused[0].details["used"] == "2"
        assert (await audit(pool)).clean


async def test_lowered_limits_keep_earlier_uses_and_raised_limits_allow_new_ones(database_url: str) -> None:
    def limits(budget: str | None, uses: int | None) -> CampaignDefinition:
        return hot(spend_total=budget, caps=[] if uses is None else [cap("week", uses=uses)])

    async with ledger(database_url, limits("50.00", 9)) as pool:
        engine = Engine(pool)

        async def more(*names: str) -> list[Reason | None]:
            return reasons(await engine.execute([redeem(name, ["HOT"]) for name in names]))

        assert await more("A", "B", "C") == [None, None, None]
        await save(pool, [limits("20.00", 9)])
        assert await more("D") == [Reason.BUDGET_EXCEEDED]
        assert (await audit(pool)).clean
        await engine.execute([CancelOrder("/cancel A", "A", PLACED_AT)])
        assert await more("E") == [Reason.BUDGET_EXCEEDED]
        await save(pool, [limits(None, 1)])
        assert await more("F") == [Reason.CAMPAIGN_EXHAUSTED]
        await save(pool, [limits("37.50", 3)])
        assert await more("G", "H") == [None, Reason.CAMPAIGN_EXHAUSTED]
        await save(pool, [limits("40.00", None)])
        assert await more("I") == [Reason.BUDGET_EXCEEDED]


async def test_a_merged_customer_has_one_total_per_period(database_url: str) -> None:
    async with ledger(database_url, hot(caps=[cap("day", "customer", uses=2)])) as pool:
        engine = Engine(pool)
        await engine.execute(
            [
                redeem("A", ["HOT"], customer=Customer("ann")),
                redeem("B", ["HOT"], customer=Customer(None, "ann@example.com")),
            ]
        )
        assert reasons(await engine.execute([redeem("C", ["HOT"], customer=ANN)])) == [Reason.CUSTOMER_LIMIT]
        await engine.execute([CancelOrder("/cancel B", "B", PLACED_AT)])
        assert reasons(await engine.execute([redeem("D", ["HOT"], customer=ANN)])) == [None]


async def test_each_customer_uses_each_code_once_even_after_a_merge_and_an_erasure(database_url: str) -> None:
    once = definition("once", limits={"uses_per_coupon": None, "caps": [cap("coupon", "customer", uses=1)]})
    async with ledger(database_url, once) as pool:
        engine = Engine(pool)
        first, second = await issue(engine, "once", 2)
        by_mail = Customer(None, "ann@example.com")
        orders = [
            redeem("A", [first, second], customer=Customer("ann")),
            redeem("B", [first], customer=by_mail),
            redeem("C", [first], customer=by_mail),
        ]
        assert reasons(await engine.execute(orders)) == [None, None, Reason.CUSTOMER_LIMIT]
        assert reasons(await engine.execute([redeem("D", [second], customer=ANN)])) == [Reason.CUSTOMER_LIMIT]
        await engine.execute([CancelOrder("/cancel A", "A", PLACED_AT)])
        answers = await engine.execute([redeem("E", [first, second], customer=ANN)])
        assert [[one.code for one in verdict.accepted] for verdict in verdicts(answers)] == [[second]]
        await save(pool, [once.model_copy(update={"name": "other"})])
        assert reasons(await engine.execute([redeem("F", [second], customer=ANN)])) == [Reason.CUSTOMER_LIMIT]
        await erase(pool, (("id", "ann"),))
        await engine.execute([CancelOrder("/cancel E", "E", PLACED_AT)])
        assert await count(pool, "SELECT count(*) FROM period_meters WHERE used_uses > 0") == 1


async def test_a_coupon_issued_and_used_in_one_batch_counts_for_its_code(database_url: str) -> None:
    once = definition("once", source={"kind": "pool"}, code={}, limits={"caps": [cap("coupon", "customer", uses=1)]})
    async with ledger(database_url, once) as pool:
        await import_codes(pool, "once", ["ONLY-1"])
        gift = IssueCoupons("/issue", Cause("reward.earned", "/test", "1"), ANN, ("once",), at=PLACED_AT)
        orders = [redeem(name, ["ONLY-1"], customer=ANN) for name in "AB"]
        assert reasons((await Engine(pool).execute([gift, *orders]))[1:]) == [None, Reason.CUSTOMER_LIMIT]


async def test_a_use_moved_from_an_anonymous_lock_to_an_order_counts_for_its_customer(
    database_url: str,
) -> None:
    """The lock is older than the cap and has no customer. One batch moves its use to the order and its customer."""
    async with ledger(database_url, hot(), definition()) as pool:
        await Engine(pool).execute([LockCoupons("/lock", "lock-1", ("HOT",), 600)])
        await save(pool, [hot(caps=[cap("day", "customer", uses=1)])])
        [other] = await issue(Engine(pool), "save10")
        answers = await Engine(pool).execute(
            [
                redeem("A", [], command_id="/1", lock_reference="lock-1", hold=True, hold_seconds=600),
                redeem("A", [other], command_id="/2", customer=ANN, hold=True, hold_seconds=600),
                PayOrder("/pay", "A", PLACED_AT),
            ]
        )
        assert [verdict.outcome for verdict in verdicts(answers)] == ["held", "held", "redeemed"]
        assert await count(pool, "SELECT used_uses FROM period_meters WHERE used_uses > 0") == 1


async def test_a_use_held_on_one_day_and_paid_on_another_counts_on_the_first(database_url: str) -> None:
    async with ledger(database_url, hot(caps=[cap("day", uses=1)])) as pool:
        engine = Engine(pool)
        await engine.execute([redeem("A", ["HOT"], customer=ANN, hold=True, hold_seconds=600)])
        assert reasons(await engine.execute([redeem("B", ["HOT"])])) == [Reason.LOCKED_ELSEWHERE]
        await Engine(pool).execute([PayOrder("/pay A", "A", PLACED_AT + DAY)])
        rows = await pool.fetch("SELECT period, held_uses, used_uses FROM period_meters")
        assert [tuple(row) for row in rows] == [("day 2026-03-01", 0, 1)]
        await Engine(pool).execute([CancelOrder("/cancel A", "A", PLACED_AT + 2 * DAY)])
        assert await count(pool, "SELECT sum(used_uses) FROM period_meters") == 0


async def test_entries_without_counted_at_count_when_they_were_recorded(database_url: str) -> None:
    async with ledger(database_url, hot()) as pool, await open_pool(database_url, role=None) as owner:
        engine = Engine(pool)
        holds = [redeem(name, ["HOT"], customer=ANN, hold=True, hold_seconds=600) for name in "ABC"]
        await engine.execute([*holds, LockCoupons("/lock", "lock-1", ("HOT",), 600, BOB)])
        await engine.execute([PayOrder("/pay A", "A", PLACED_AT), PayOrder("/pay B", "B", PLACED_AT)])
        await engine.execute([CancelOrder("/cancel A", "A", PLACED_AT), redeem("D", ["HOT"])])
        async with owner.acquire() as connection, connection.transaction():
            await connection.execute("ALTER TABLE ledger_entries DISABLE TRIGGER ledger_entries_append_only")
            # each a day after the previous one
            await connection.execute(
                "UPDATE ledger_entries SET counted_at = NULL, "
                "recorded_at = '2026-03-01'::timestamptz + entry_id * interval '1 day'"
            )
            await connection.execute("UPDATE lock_uses SET counted_at = NULL")
            await connection.execute("ALTER TABLE ledger_entries ENABLE TRIGGER ledger_entries_append_only")
        await save(pool, [hot(caps=[cap("day", uses=9), cap("week", "customer", uses=9)])])
        assert (await audit(pool)).findings == ()
        await engine.execute(
            [
                PayOrder("/pay C", "C", PLACED_AT),
                CancelOrder("/cancel B", "B", PLACED_AT + DAY),
                CancelOrder("/cancel D", "D", PLACED_AT + DAY),
                redeem("E", [], lock_reference="lock-1", customer=BOB),
            ]
        )
        rows = await pool.fetch(
            "SELECT period, used_uses FROM period_meters WHERE used_uses > 0 AND period LIKE 'day%'"
        )
        assert sorted(tuple(row) for row in rows) == [("day 2026-03-04", 1), ("day 2026-03-05", 1)]


async def test_a_budget_must_have_the_currency_of_earlier_discounts(database_url: str) -> None:
    async with ledger(database_url, hot(currency=None)) as pool:
        engine = Engine(pool)
        await engine.execute([redeem("A", ["HOT"])])
        with pytest.raises(DefinitionError, match=r"has given discounts in USD, and .*keep USD, leave the budget null"):
            await save(pool, [hot(currency="EUR", spend_total="100.00")])
        await save(pool, [hot(currency="USD", spend_total="20.00")])
        assert reasons(await engine.execute([redeem("B", ["HOT"])])) == [Reason.BUDGET_EXCEEDED]
        await engine.execute([CancelOrder("/cancel A", "A", PLACED_AT)])
        await save(pool, [hot(currency="EUR", spend_total="100.00")])


async def test_a_time_zone_that_postgresql_defines_differently_is_refused_for_caps(database_url: str) -> None:
    """In PostgreSQL CET is an hour ahead of UTC all year; the IANA time zone of that name has summer time."""
    async with ledger(database_url, hot("CET")) as pool:
        with pytest.raises(DefinitionError, match=r"`window.time_zone` is 'CET'.*name a place"):
            await save(pool, [hot("CET", caps=[cap("day", uses=1)])])
        await save(pool, [hot("CET", caps=[cap("coupon", "customer", uses=1)])])


async def test_constraints_refuse_totals_beyond_a_budget_or_a_cap(database_url: str) -> None:
    async with ledger(database_url, hot(spend_total="20.00", caps=[cap("day", uses=1)])) as pool:
        await Engine(pool).execute([redeem("A", ["HOT"])])
        with pytest.raises(asyncpg.CheckViolationError):
            await pool.execute("UPDATE meters SET used_minor = 2001")
        with pytest.raises(asyncpg.CheckViolationError):
            await pool.execute("UPDATE period_meters SET used_uses = 2")
        await pool.execute("UPDATE period_meters SET used_uses = 0")
        assert [finding.check for finding in (await audit(pool)).findings] == ["audit_period_meters"]
        await pool.execute("DELETE FROM period_meters")
        assert [finding.check for finding in (await audit(pool)).findings] == ["audit_period_meters"]
        await save(pool, [hot(spend_total="20.00", caps=[cap("day", uses=2)])])


async def test_a_campaign_without_caps_needs_no_statement_for_periods(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def noted(name: str) -> str:
        asked.append(name)
        return sql(name)

    async with ledger(database_url, hot(uses_total=9)) as pool:
        for module in (period_metering, persist):
            monkeypatch.setattr(module, "sql", noted)
        commands: list[Command] = [redeem("A", ["HOT"]), CancelOrder("/cancel A", "A", PLACED_AT)]
        await Engine(pool).execute(commands)
        await Engine(pool).execute([redeem("B", ["HOT"])])
        assert "meters_update" in asked
        assert not [name for name in asked if name.startswith("period_meters")]
