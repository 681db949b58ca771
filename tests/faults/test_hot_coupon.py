"""One coupon in all orders, through four redeemers at once."""

import random
from pathlib import Path

import pytest

from shared.messaging.topics_admin import create_topics
from tests.backends import Broker
from tests.faults.fleet import Fleet
from tests.faults.seeds import seed
from tests.faults.shop import placed, send, until_read
from tests.integration.service_process import kafka_settings, skip_where_the_dead_stay_members
from tests.ledger import definition, ledger

pytestmark = [pytest.mark.faults, pytest.mark.broker, pytest.mark.postgres]

USES, ORDERS, REDEEMERS = 100, 400, 4


async def test_a_coupon_with_a_hundred_uses_is_redeemed_by_a_hundred_of_four_hundred_orders(
    kafka: Broker, environment: dict[str, str], database_url: str, tmp_path: Path
) -> None:
    """Runs three times; in the third run one of the four redeemers is killed."""
    skip_where_the_dead_stay_members(kafka)
    settings = kafka_settings(environment)
    await create_topics(settings)
    campaigns = [
        definition(f"hot{number}", code={"shared_code": f"HOT{number}"}, limits={"uses_per_coupon": USES})
        for number in range(3)
    ]
    hurried = {"COUPONRY_SESSION_TIMEOUT_MS": "6000"}
    async with ledger(database_url, *campaigns) as pool, Fleet(environment | hurried, tmp_path) as fleet:
        # Small batches, so that each redeemer needs several and they conflict all the time.
        await fleet.add("redeemer", REDEEMERS, batch_max_records=20)
        await fleet.ready()
        for number in range(3):
            await send(settings, [placed(f"{number}-{order}", f"hot{number}") for order in range(ORDERS)])
            if number == 2:
                await fleet.kill("redeemer", random.Random(seed(0) + number))
            await until_read(settings, (number + 1) * ORDERS)
            code = f"HOT{number}"
            used = await pool.fetchval("SELECT used_uses FROM coupons WHERE code_key = $1", code)
            published = await pool.fetch(
                "SELECT type, count(*) FROM outbox WHERE data -> 'coupons' -> 0 ->> 'code' ILIKE $1 GROUP BY type", code
            )
            assert used == USES
            assert {row[0]: row[1] for row in published} == {
                "coupon.redeemed": USES,
                "coupon.redemption_refused": ORDERS - USES,
            }
        reasons = await pool.fetch("SELECT DISTINCT reasons FROM journal WHERE reasons <> '{}'")
        assert [row["reasons"] for row in reasons] == [["exhausted"]]
        assert fleet.unforeseen == []
