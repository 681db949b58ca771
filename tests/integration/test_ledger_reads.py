"""What people read of the ledger: one redemption is one row, whatever entries it took."""

import pytest

from shared.domain.model.commands import LockCoupons
from shared.domain.model.customer import Customer
from shared.ledger import queries
from shared.ledger.engine import Engine
from tests.ledger import definition, issue, ledger, redeem

pytestmark = pytest.mark.postgres


async def test_a_guests_lock_that_a_customer_redeems_is_one_redemption(database_url: str) -> None:
    """It takes two ledger entries: one empties the guest's lock, one is the customer's use."""
    async with ledger(database_url, definition()) as pool:
        engine = Engine(pool)
        [code] = await issue(engine, "save10")
        await engine.execute([LockCoupons("/cli 1", "lock-1", (code,), 60)])
        await engine.execute([redeem("A", [code], lock_reference="lock-1", customer=Customer("ann"))])
        assert await pool.fetchval("SELECT count(*) FROM ledger_entries WHERE kind = 'burned'") == 2
        async with pool.acquire() as connection:
            lines = await queries.redemptions(connection)
            history = await queries.coupon_history(connection, code)
            totals = await queries.totals(connection)
        assert [(line.order_id, line.outcome, line.discount_minor) for line in lines] == [("A", "redeemed", 1_250)]
        assert history is not None
        assert [entry.used_minor for entry in history.happenings if entry.kind == "burned"] == [1_250]
        assert [(one.entries, one.used_minor) for one in totals.entries if one.kind == "burned"] == [(1, 1_250)]
