"""Judging without doing, where it is not simply the engine's decision: one person under two names, many old locks."""

import pytest

from shared.domain.model.commands import Cause, IssueCoupons, LockCoupons
from shared.domain.model.customer import Customer
from shared.domain.model.verdicts import Verdict
from shared.ledger.engine import Engine
from shared.ledger.loading import EXPIRED_LOCKS_A_BATCH
from shared.ledger.validation import validate
from tests.ledger import count, definition, issue, ledger, redeem

pytestmark = pytest.mark.postgres


async def test_it_says_what_the_engine_then_says(database_url: str) -> None:
    async with ledger(database_url, definition()) as pool:
        codes = await issue(Engine(pool), "save10", 2)
        command = redeem("A", [*codes, "NOPE"])
        judged = await validate(pool, command)
        [done] = await Engine(pool).execute([command])
        assert isinstance(done, Verdict)
        assert (judged.outcome, judged.accepted, judged.refused) == (done.outcome, done.accepted, done.refused)


async def test_a_customer_known_as_two_persons_is_judged_as_the_first_and_stays_two(database_url: str) -> None:
    async with ledger(database_url, definition(eligibility={"holder_only": True})) as pool:
        engine = Engine(pool)
        [code] = await issue(engine, "save10", 1, Customer("one"))
        await issue(engine, "save10", 1, Customer(email="two@example.com"))
        both = Customer("one", "two@example.com")
        verdict = await validate(pool, LockCoupons("/test 1", "lock_1", (code,), 60, both))
        assert verdict.outcome == "locked"
        assert await count(pool, "SELECT count(*) FROM customers WHERE merged_into IS NOT NULL") == 0


async def test_it_answers_while_more_locks_have_expired_than_a_batch_takes_along(database_url: str) -> None:
    async with ledger(database_url, definition(limits={})) as pool:
        [code] = await issue(Engine(pool), "save10", 1)
        many = [
            LockCoupons(f"/test {number}", f"lock_{number}", (code,), 60, Customer(f"c{number}"))
            for number in range(EXPIRED_LOCKS_A_BATCH + 1)
        ]
        await Engine(pool).execute(many)
        await pool.execute("UPDATE locks SET expires_at = now() - interval '1 minute'")
        verdict = await validate(pool, redeem("A", [code]))
        assert verdict.outcome == "redeemed"
        assert await count(pool, "SELECT count(*) FROM ledger_entries WHERE kind = 'burned'") == 0


async def test_an_issue_is_judged_without_a_code_being_spent(database_url: str) -> None:
    async with ledger(database_url, definition()) as pool:
        command = IssueCoupons("/test 1", Cause("reward.earned", "/test", "1"), Customer("one"), ("save10", "nope"))
        verdict = await validate(pool, command)
        assert [coupon.campaign_id for coupon in verdict.accepted] == ["save10"]
        assert [coupon.reason for coupon in verdict.refused] == ["not_found"]
        assert await count(pool, "SELECT count(*) FROM coupons") == 0
        assert await count(pool, "SELECT count(*) FROM customers") == 0
