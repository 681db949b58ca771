"""A ledger without the tables of this version: nothing is executed, and nothing becomes a dead letter."""

import pytest

from services.redeemer.handler import OrderHandler
from services.redeemer.settings import RedeemerSettings
from shared.ledger.database import NOT_MIGRATED, open_pool
from shared.ledger.engine import Engine
from shared.messaging.isolation import Isolating
from shared.runtime.errors import TransientError
from tests.ledger import definition, issue, ledger, redeem
from tests.received_events import placed

pytestmark = pytest.mark.postgres


async def test_orders_wait_until_the_ledger_is_migrated(database_url: str) -> None:
    async with ledger(database_url, definition()) as pool, await open_pool(database_url, role=None) as owner:
        [code] = await issue(Engine(pool), "save10")
        settings = RedeemerSettings(database_url=database_url, kafka_bootstrap_servers="localhost:1")  # type: ignore[arg-type]
        handler = Isolating(OrderHandler(pool, Engine(pool), settings), "redeemer")
        events = [placed(str(number), order_id=f"O{number}", coupon_codes=[code]) for number in range(3)]
        await owner.execute("ALTER TABLE journal RENAME TO journal_of_another_version")
        with pytest.raises(NOT_MIGRATED):
            await Engine(pool).execute([redeem("A", [code]), redeem("B", [code])])
        with pytest.raises(TransientError, match="UndefinedTable"):
            await handler.handle(events)
        await owner.execute("ALTER TABLE journal_of_another_version RENAME TO journal")
        assert await handler.handle(events) == []
