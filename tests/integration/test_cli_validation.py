"""Test validation where it differs from the engine: customers to merge, and many expired locks."""

import pytest

from shared.domain.model.commands import Cause, IssueCoupons, LockCoupons
from shared.domain.model.customer import Customer
from shared.domain.model.verdicts import Verdict
from shared.ledger.engine import Engine
from shared.ledger.loading import EXPIRED_LOCKS_PER_BATCH
from shared.ledger.validation import validate
from tests.ledger import count, definition, issue, ledger, redeem

pytestmark = pytest.mark.postgres


async def test_validation_gives_the_verdict_that_the_engine_gives_later(database_url: str) -> None:
    async with ledger(database_url, definition()) as pool:
        codes = await issue(Engine(pool), "save10", 2)
        command = redeem("A", [*codes, "NOPE"])
        judged = await validate(pool, command)
        [done] = await Engine(pool).execute([command])
        assert isinstance(done, Verdict)
        assert (judged.outcome, judged.accepted, judged.refused) == (done.outcome, done.accepted, done.refused)


async def test_a_customer_known_as_two_is_validated_as_the_first_and_not_merged(database_url: str) -> None:
    async with ledger(database_url, definition(eligibility={"holder_only": True})) as pool:
        engine = Engine(pool)
        [code] = await issue(engine, "save10", 1, Customer("one"))
        await issue(engine, "save10", 1, Customer(email="two@example.com"))
        both = Customer("one", "two@example.com")
        verdict = await validate(pool, LockCoupons("/test 1", "lock_1", (code,), 60, both))
        assert verdict.outcome == "locked"
        assert await count(pool, "SELECT count(*) FROM customers WHERE merged_into IS NOT NULL") == 0


async def test_validation_works_with_more_expired_locks_than_a_batch_releases(database_url: str) -> None:
    async with ledger(database_url, definition(limits={})) as pool:
        [code] = await issue(Engine(pool), "save10", 1)
        many = [
            LockCoupons(f"/test {number}", f"lock_{number}", (code,), 60, Customer(f"c{number}"))
            for number in range(EXPIRED_LOCKS_PER_BATCH + 1)
        ]
        await Engine(pool).execute(many)
        await pool.execute("UPDATE locks SET expires_at = now() - interval '1 minute'")
        verdict = await validate(pool, redeem("A", [code]))
        assert verdict.outcome == "redeemed"
        assert await count(pool, "SELECT count(*) FROM ledger_entries WHERE kind = 'burned'") == 0


async def test_validating_an_issue_spends_no_code(database_url: str) -> None:
    async with ledger(database_url, definition()) as pool:
        command = IssueCoupons("/test 1", Cause("reward.earned", "/test", "1"), Customer("one"), ("save10", "nope"))
        verdict = await validate(pool, command)
        assert [coupon.campaign_id for coupon in verdict.accepted] == ["save10"]
        assert [coupon.reason for coupon in verdict.refused] == ["not_found"]
        assert await count(pool, "SELECT count(*) FROM coupons") == 0
        assert await count(pool, "SELECT count(*) FROM customers") == 0
