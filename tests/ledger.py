"""A ledger for tests: a pool on a new database, campaigns, coupons and orders, and queries on its rows."""

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from typing import Any

import orjson
import psycopg
from psycopg import sql

from schemas.campaigns import CampaignDefinition
from shared.domain.model.commands import Cause, IssueCoupons
from shared.domain.model.customer import Customer
from shared.domain.model.order import Line, Order
from shared.domain.model.order_commands import RedeemCoupons
from shared.domain.model.verdicts import Verdict
from shared.ledger.audit import audit
from shared.ledger.campaigns import save
from shared.ledger.database import Pool, open_pool
from shared.ledger.engine import Engine
from tests.backends import Postgres

PLACED_AT = datetime(2026, 3, 1, 12, tzinfo=UTC)


def definition(campaign_id: str = "save10", **changes: Any) -> CampaignDefinition:
    """Return a campaign: ten percent off, one use per coupon, combinable; `changes` replace whole sections."""
    return CampaignDefinition.model_validate_json(
        orjson.dumps(
            {
                "campaign_id": campaign_id,
                "name": campaign_id,
                "discount": {"kind": "percentage", "value": "10", "currency": None, "max_discount": None},
                "code": {"pattern": f"{campaign_id.upper()}-########"},
                "limits": {"uses_per_coupon": 1},
                "window": {"starts_at": "2026-01-01T00:00:00Z", "ends_at": "2038-01-19T03:14:08Z"},
                "stacking": {"policy": "combinable"},
                "restore_on": ["order.cancelled", "order.returned"],
            }
            | changes
        )
    )


@asynccontextmanager
async def ledger(database_url: str, *definitions: CampaignDefinition, connections: int = 4) -> AsyncIterator[Pool]:
    """Open a pool with the service's rights and load campaigns; after the test the audit must have no findings."""
    async with await open_pool(database_url, max_size=connections) as pool:
        await save(pool, definitions)
        yield pool
        assert (await audit(pool)).findings == ()


async def issue(engine: Engine, campaign_id: str, count: int = 1, customer: Customer | None = None) -> list[str]:
    """Issue `count` coupons, one command each, and return their codes; without `customer` each has its own."""
    commands = [
        IssueCoupons(
            command_id=f"/test issue {campaign_id} {number} {customer}",
            cause=Cause("reward.earned", "/test", str(number)),
            customer=customer or Customer(f"holder-{campaign_id}-{number}"),
            campaign_ids=(campaign_id,),
            at=PLACED_AT,
        )
        for number in range(count)
    ]
    answers = await engine.execute(commands)
    assert all(isinstance(answer, Verdict) and answer.accepted for answer in answers), answers
    return [answer.accepted[0].code for answer in answers if isinstance(answer, Verdict)]


def redeem(order_id: str, codes: Sequence[str], *, command_id: str | None = None, **changes: Any) -> RedeemCoupons:
    """Return an order of 125.00 USD in two lines that names `codes`."""
    order = Order(
        order_id=order_id,
        currency="USD",
        amount_minor=12_500,
        lines=(Line("1", "510509", 2, 5_000), Line("2", "511520", 1, 2_500)),
        placed_at=PLACED_AT,
    )
    fields: dict[str, Any] = {
        "command_id": command_id or f"/shop {order_id}",
        "order": order,
        "codes": tuple(codes),
        "at": PLACED_AT,
    }
    return RedeemCoupons(**(fields | changes))


@contextmanager
def refusing_connections(postgres: Postgres, database_url: str) -> Iterator[None]:
    """End every connection to the database, and refuse new ones inside the context."""
    name = database_url.rpartition("/")[2]
    allow = sql.SQL("ALTER DATABASE {} WITH ALLOW_CONNECTIONS {}")
    with psycopg.connect(postgres.admin_url, autocommit=True) as admin:
        admin.execute(allow.format(sql.Identifier(name), sql.SQL("false")))
        admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name])
        yield
        admin.execute(allow.format(sql.Identifier(name), sql.SQL("true")))


async def count(pool: Pool, query: str, *arguments: object) -> Any:
    """Return one number from the ledger."""
    return await pool.fetchval(query, *arguments)
