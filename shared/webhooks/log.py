"""The log of an endpoint's deliveries and attempts, and sending deliveries again."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID, uuid4

import orjson

from shared.ledger.database import Connection, Pool
from shared.ledger.sql import sql
from shared.webhooks.endpoints import SQL_PACKAGE, TEST_TYPE, EndpointError

MAX_REDELIVERED: Final = 1_000
"""The most failed deliveries sent again by one call: a few seconds of load for an endpoint."""


@dataclass(frozen=True, slots=True)
class LoggedDelivery:
    """A delivery. `tries`: attempt, at, status_code, error, latency_ms of each. `next_attempt_at`: only if pending."""

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
) -> list[LoggedDelivery]:
    """Return at most `limit` deliveries with ids below `before`, newest first; only those with `status` if given."""
    records = await connection.fetch(sql("log_page", SQL_PACKAGE), endpoint_id, status, before, limit)
    return [LoggedDelivery(**{**record, "tries": tuple(orjson.loads(record["tries"]))}) for record in records]


async def redeliver(connection: Connection | Pool, endpoint_id: UUID, delivery_id: int) -> None:
    """Send a delivery again at once. Raises EndpointError if the endpoint doesn't have it."""
    if await connection.fetchval(sql("log_redeliver", SQL_PACKAGE), endpoint_id, delivery_id) is None:
        raise EndpointError(
            f"Endpoint {endpoint_id} has no delivery {delivery_id}; list its deliveries to see the ids."
        )


async def redeliver_failed(connection: Connection | Pool, endpoint_id: UUID, since: datetime) -> int:
    """Send deliveries that failed since then again, at most MAX_REDELIVERED; return their number."""
    status = await connection.execute(sql("log_redeliver_failed", SQL_PACKAGE), endpoint_id, since, MAX_REDELIVERED)
    return int(status.rpartition(" ")[2])


async def send_test(connection: Connection | Pool, endpoint_id: UUID) -> int:
    """Send a test event to an endpoint; return the delivery's id. Raises EndpointError if it isn't active."""
    now = datetime.now(UTC)
    body = {"type": TEST_TYPE, "timestamp": now, "data": {"endpoint_id": str(endpoint_id)}}
    payload = orjson.dumps(body, option=orjson.OPT_UTC_Z).decode()
    delivery_id = await connection.fetchval(sql("log_test", SQL_PACKAGE), endpoint_id, uuid4(), TEST_TYPE, payload)
    if delivery_id is None:
        raise EndpointError(f"Endpoint {endpoint_id} isn't active; enable it before you test it.")
    return int(delivery_id)
