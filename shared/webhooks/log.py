"""What was sent to an endpoint, with every attempt; and sending it again."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID, uuid4

import orjson

from shared.ledger.database import Connection, Pool
from shared.ledger.sql import sql
from shared.webhooks.endpoints import SQL_PACKAGE, TEST_TYPE, EndpointError

MOST_REDELIVERED: Final = 1_000
"""How many failed deliveries are sent again at a time: a few seconds of an endpoint's patience."""


@dataclass(frozen=True, slots=True)
class Logged:
    """A delivery. `tries`: attempt, at, status_code, error, latency_ms of each. `next_attempt_at`: where one is due."""

    delivery_id: int
    event_id: str
    type: str
    status: str
    attempts: int
    created_at: datetime
    delivered_at: datetime | None
    next_attempt_at: datetime | None
    tries: tuple[Mapping[str, Any], ...]


async def page(
    connection: Connection | Pool, endpoint_id: UUID, status: str | None, before: int | None, limit: int
) -> list[Logged]:
    """At most `limit` deliveries, newest first, those before `before`; of one `status` where one is given."""
    records = await connection.fetch(sql("log_page", SQL_PACKAGE), endpoint_id, status, before, limit)
    return [Logged(**{**record, "tries": tuple(orjson.loads(record["tries"]))}) for record in records]


async def redeliver(connection: Connection | Pool, endpoint_id: UUID, delivery_id: int) -> None:
    """Send a delivery again, once, at once. Raises EndpointError when the endpoint has none such."""
    if await connection.fetchval(sql("log_redeliver", SQL_PACKAGE), endpoint_id, delivery_id) is None:
        raise EndpointError(f"Endpoint {endpoint_id} has no delivery {delivery_id}; list them to see the ids.")


async def redeliver_failed(connection: Connection | Pool, endpoint_id: UUID, since: datetime) -> int:
    """Send again what failed since then, MOST_REDELIVERED of it at most. Returns how many."""
    status = await connection.execute(sql("log_redeliver_failed", SQL_PACKAGE), endpoint_id, since, MOST_REDELIVERED)
    return int(status.rpartition(" ")[2])


async def send_test(connection: Connection | Pool, endpoint_id: UUID) -> int:
    """Send a test to an endpoint; returns the delivery's id. Raises EndpointError for one that isn't active."""
    now = datetime.now(UTC)
    body = {"type": TEST_TYPE, "timestamp": now, "data": {"endpoint_id": str(endpoint_id)}}
    payload = orjson.dumps(body, option=orjson.OPT_UTC_Z).decode()
    delivery_id = await connection.fetchval(sql("log_test", SQL_PACKAGE), endpoint_id, uuid4(), TEST_TYPE, payload)
    if delivery_id is None:
        raise EndpointError(f"Endpoint {endpoint_id} isn't active; enable it before it is tested.")
    return int(delivery_id)
