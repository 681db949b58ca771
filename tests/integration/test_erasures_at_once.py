"""Two erasures at the same time that change the same free text."""

import asyncio
from typing import Any

import orjson
import pytest

from shared.domain.model.customer import Customer
from shared.ledger import erasing
from shared.ledger.connection import LedgerConnection
from shared.ledger.database import Pool
from shared.ledger.engine import Engine
from shared.ledger.sql import sql
from tests.ledger import PLACED_AT, definition, issue, ledger, redeem

pytestmark = pytest.mark.postgres

NAMES = ("ann_smith_77", "bob_jones_88")

TEXTS = """
SELECT verdict::text AS text FROM journal WHERE command_id = '/shop X-1'
UNION ALL SELECT data::text FROM outbox WHERE data::text LIKE '%X-1%'
UNION ALL SELECT payload FROM webhook_deliveries WHERE type <> 'customer.erased'
"""

WAITING = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"


@pytest.mark.parametrize("statement", ["erasure_journal", "erasure_outbox", "erasure_deliveries"])
async def test_neither_of_two_erasures_brings_back_what_the_other_removed(
    database_url: str, monkeypatch: pytest.MonkeyPatch, statement: str
) -> None:
    async with ledger(database_url, definition(), connections=6) as pool:
        await _order_that_names_both(pool)
        first, second = [await erasing.begin(pool, [("id", name)], "test") for name in NAMES]
        assert first is not None
        assert second is not None
        other: asyncio.Task[None] | None = None

        async def before_the_write(query: str, *args: Any) -> None:
            """Begin the second erasure after the first has read its rows, and before it writes them."""
            nonlocal other
            if query == sql(statement) and "X-1" in str(args) and other is None:
                other = asyncio.create_task(erasing.run(pool, second))
                async with asyncio.timeout(30):
                    while not other.done() and not await pool.fetchval(WAITING):
                        await asyncio.sleep(0.01)

        _before_each_statement(monkeypatch, before_the_write)
        await asyncio.wait_for(erasing.run(pool, first), 60)
        assert other is not None
        await asyncio.wait_for(other, 60)
        texts = [record["text"] for record in await pool.fetch(TEXTS)]
        assert len(texts) >= 3
        assert not [name for name in NAMES for text in texts if name in text]


async def _order_that_names_both(pool: Pool) -> None:
    """Redeem a coupon of a third customer with both names in the metadata, and in a delivery to a webhook."""
    engine = Engine(pool)
    for name in NAMES:
        await issue(engine, "save10", customer=Customer(name))
    [code] = await issue(engine, "save10", customer=Customer("carl_doe_99"))
    note = {"note": f"from {NAMES[0]} with {NAMES[1]}"}
    await engine.execute([redeem("X-1", [code], customer=Customer("carl_doe_99"), metadata=note)])
    await pool.execute(
        "WITH endpoint AS (INSERT INTO webhook_endpoints (url, secret, event_types) "
        "VALUES ('https://x', 's', '{*}') RETURNING endpoint_id) "
        "INSERT INTO webhook_deliveries (endpoint_id, event_id, type, payload) "
        "SELECT endpoint_id, gen_random_uuid(), 'coupon.redemption_notified', $1 FROM endpoint",
        orjson.dumps({"timestamp": PLACED_AT, "data": {"order_id": "X-1", "metadata": note}}).decode(),
    )


def _before_each_statement(monkeypatch: pytest.MonkeyPatch, hook: Any) -> None:
    execute, fetchval = LedgerConnection.execute, LedgerConnection.fetchval

    async def hooked_execute(self: LedgerConnection, query: str, *args: Any, **options: Any) -> str:
        await hook(query, *args)
        return await execute(self, query, *args, **options)

    async def hooked_fetchval(self: LedgerConnection, query: str, *args: Any, **options: Any) -> Any:
        await hook(query, *args)
        return await fetchval(self, query, *args, **options)

    monkeypatch.setattr(LedgerConnection, "execute", hooked_execute)
    monkeypatch.setattr(LedgerConnection, "fetchval", hooked_fetchval)
