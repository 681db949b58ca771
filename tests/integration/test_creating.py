"""Coupons created in bulk on PostgreSQL: exact numbers, one event each, also with concurrent engines."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest

from schemas.catalogue import BY_TYPE
from schemas.parsing import parse
from shared.domain.model.commands import MAX_CREATED, Cause, Command, CreateCoupons, IssueCoupons, VoidCoupon
from shared.domain.model.customer import Customer
from shared.domain.model.reasons import Reason
from shared.domain.model.verdicts import Verdict
from shared.ledger.campaigns import save
from shared.ledger.database import Pool
from shared.ledger.engine import Engine, Rejected
from tests.ledger import PLACED_AT, count, definition, ledger, redeem

pytestmark = pytest.mark.postgres


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[Pool]:
    async with ledger(database_url, definition("print"), definition("other"), connections=8) as opened:
        yield opened


def create(name: str, number: int = 0, codes: tuple[str, ...] = (), campaign_id: str = "print") -> CreateCoupons:
    return CreateCoupons(f"/couponry/cli {name}", campaign_id, number, codes, PLACED_AT)


async def decide(pool: Pool, *commands: Command) -> list[Verdict]:
    answers = await Engine(pool).execute(commands)
    assert all(isinstance(answer, Verdict) for answer in answers), answers
    return [answer for answer in answers if isinstance(answer, Verdict)]


async def test_a_thousand_coupons_are_created_published_and_used(pool: Pool) -> None:
    (verdict,) = await decide(pool, create("a", MAX_CREATED))
    assert len({one.code for one in verdict.accepted}) == MAX_CREATED
    rows = await pool.fetch("SELECT type, key, subject, source, data::text FROM outbox ORDER BY position")
    assert [row["key"] for row in rows] == [one.coupon_id for one in verdict.accepted]
    event = orjson.loads(rows[0]["data"])
    parse(BY_TYPE[rows[0]["type"]].model, rows[0]["data"].encode())
    assert (rows[0]["type"], rows[0]["source"]) == ("coupon.issued", "/couponry/cli")
    assert event["customer"] == {"customer_id": None, "email": None, "mobile": None}
    assert event["caused_by"] == {"type": "coupons.create", "source": "/couponry/cli", "id": "a"}
    (used,) = await decide(pool, redeem("O1", [verdict.accepted[7].code.lower()]))
    assert used.outcome == "redeemed"


async def test_a_repeated_command_returns_the_same_codes_and_another_one_with_its_id_is_rejected(pool: Pool) -> None:
    (first,) = await decide(pool, create("a", 20))
    (again,) = await decide(pool, create("a", 20))
    (other,) = await Engine(pool).execute([create("a", 21)])
    assert [one.code for one in again.accepted] == [one.code for one in first.accepted]
    assert isinstance(other, Rejected)
    assert await count(pool, "SELECT count(*) FROM coupons") == 20


async def test_the_number_of_statements_is_the_same_for_one_coupon_and_for_a_thousand(pool: Pool) -> None:
    await save(pool, [definition("print", limits={"coupons_total": 10_000})])
    engine, counts = Engine(pool), Counter[str]()

    async def statements(name: str, command: CreateCoupons) -> None:
        def count_query(query: Any) -> None:
            counts[name] += 1

        async with pool.acquire() as connection:
            connection.add_query_logger(count_query)
            try:
                only = _OnePool(connection)
                await Engine(only).execute([command])  # type: ignore[arg-type]
            finally:
                connection.remove_query_logger(count_query)

    await engine.execute([create("warm", 1)])
    await statements("one", create("a", 1))
    await statements("many", create("b", 1_000))
    await statements("one given", create("c", codes=("X-1",)))
    await statements("many given", create("d", codes=tuple(f"Y-{n}" for n in range(1_000))))
    assert counts["one"] == counts["many"] > 5
    assert counts["one given"] == counts["many given"]


class _OnePool:
    """A pool of a single connection, whose statements are counted."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def acquire(self) -> "_OnePool":
        return self

    async def __aenter__(self) -> Any:
        return self._connection

    async def __aexit__(self, *_: object) -> None:
        return None


async def test_given_codes_are_usable_and_existing_ones_are_reported(pool: Pool) -> None:
    await decide(pool, create("a", codes=("OLD-1", "OLD-2"), campaign_id="other"))
    verdict, again = await decide(
        pool, create("b", codes=("old-1", "New-1", "NEW-2")), create("c", codes=("new-2", "NEW-3"))
    )
    assert [one.code for one in verdict.accepted] == ["New-1", "NEW-2"]
    assert [(one.code, one.details["campaign_id"]) for one in (*verdict.refused, *again.refused)] == [
        ("old-1", "other"),
        ("new-2", "print"),
    ]
    assert await count(pool, "SELECT count(*) FROM outbox WHERE type <> 'coupon.issued'") == 0
    assert await count(pool, "SELECT reasons[1] FROM journal WHERE command_id = '/couponry/cli b'") == "code_taken"
    used, lost, known = await decide(
        pool, redeem("O1", ["new-1"]), VoidCoupon("v", "NEW-2"), create("d", codes=("NEW-2", "new-1"))
    )
    assert (used.outcome, lost.outcome, known.outcome) == ("redeemed", "voided", "refused")


async def test_a_file_imported_by_four_engines_at_once_is_imported_once(pool: Pool) -> None:
    codes = [f"CODE-{number}" for number in range(400)]
    orders = [codes, codes[::-1], codes[200:] + codes[:200], codes]
    answers = await asyncio.gather(*(decide(pool, create(str(n), codes=tuple(one))) for n, one in enumerate(orders)))
    assert sum(len(verdict.accepted) for (verdict,) in answers) == 400
    assert sum(len(verdict.refused) for (verdict,) in answers) == 1_200
    assert await count(pool, "SELECT count(*) FROM ledger_entries WHERE kind = 'issued'") == 400


async def test_a_total_stays_exact_while_several_engines_create_and_issue_coupons(pool: Pool) -> None:
    caps = [{"per": "month", "coupons": 95}]
    await save(pool, [definition("print", limits={"coupons_total": 100, "caps": caps})])
    batches: list[list[Command]] = [
        [
            create(f"c{n}", 20),
            IssueCoupons(f"i{n}", Cause("reward.earned", "/t", str(n)), Customer(f"c{n}"), ("print",), PLACED_AT),
        ]
        for n in range(8)
    ]
    answers = [one for some in await asyncio.gather(*(decide(pool, *batch) for batch in batches)) for one in some]
    made = Counter(len(one.accepted) for one in answers)
    assert made[20] == 4
    assert await count(pool, "SELECT issued_coupons FROM meters") == 80 + made[1]
    assert {one.reason for answer in answers for one in answer.refused} == {Reason.CAMPAIGN_EXHAUSTED}
    refusals = await pool.fetch("SELECT data::text FROM outbox WHERE type = 'coupon.issue_refused'")
    assert {orjson.loads(row[0])["details"]["asked"] for row in refusals} == {"20"}


async def test_a_refusal_of_all_coupons_is_published_under_the_campaigns_key(pool: Pool) -> None:
    await save(pool, [definition("print", status="archived")])
    (verdict,) = await decide(pool, create("a", 5))
    row = await pool.fetchrow("SELECT type, key, data::text FROM outbox")
    assert (verdict.refused[0].reason, row["type"], row["key"]) == (
        "campaign_inactive",
        "coupon.issue_refused",
        "print",
    )
    parse(BY_TYPE["coupon.issue_refused"].model, row["data"].encode())
