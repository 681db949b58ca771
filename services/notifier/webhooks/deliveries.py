"""Deliveries: one event to be sent to one endpoint, as stored in Postgres."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal
from uuid import UUID

import orjson

from services.notifier.webhooks.policy import WebhookPolicy
from shared.ledger.database import Connection, Pool
from shared.ledger.sql import sql

SQL_PACKAGE: Final = "services.notifier"
GONE: Final = 410

DeliveryStatus = Literal["pending", "delivered", "failed"]


@dataclass(frozen=True, slots=True)
class Message:
    """An event for the endpoints subscribed to its type. `payload` is the exact text that is signed and sent."""

    event_id: UUID
    type: str
    payload: str


@dataclass(frozen=True, slots=True)
class Delivery:
    """A delivery claimed by this process. `attempt` counts from 1 and includes attempts whose outcome was lost.

    The secrets are as stored, encrypted or not.
    """

    delivery_id: int
    endpoint_id: UUID
    url: str
    secret: str
    event_id: str
    type: str
    payload: str
    attempt: int
    previous_secret: str | None = None
    """the secret before a rotation, while receivers may still verify with it"""


@dataclass(frozen=True, slots=True)
class Capacity:
    """The calls that one lane may start: at most `calls`, at most `further_calls` to endpoints that have one running.

    `busy` counts the running calls by endpoint. `slow`: claim for the endpoints in `slow_endpoints`, otherwise for
    all others.
    """

    calls: int
    further_calls: int
    busy: Mapping[UUID, int]
    slow: bool = False
    slow_endpoints: tuple[UUID, ...] = ()


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of one attempt: the response status, or why there was none. `error` is None only for 2xx."""

    status_code: int | None = None
    error: str | None = None
    latency_ms: int | None = None

    @property
    def delivered(self) -> bool:
        """Return whether the endpoint accepted the event."""
        return self.error is None

    @property
    def gone(self) -> bool:
        """Return whether the endpoint asked never to be called again (410 Gone)."""
        return self.status_code == GONE


@dataclass(frozen=True, slots=True)
class Recorded:
    """The delivery's status after an outcome, and why the endpoint was disabled, if it was."""

    status: DeliveryStatus
    endpoint_disabled_reason: str | None = None


def payload(event_type: str, happened_at: datetime, data_json: bytes) -> str:
    """Return a Standard Webhooks payload: type, RFC 3339 timestamp in UTC, and the event's data unchanged."""
    body = {"type": event_type, "timestamp": happened_at, "data": orjson.Fragment(data_json)}
    return orjson.dumps(body, option=orjson.OPT_UTC_Z).decode()


async def wanted_types(connection: Connection) -> frozenset[str]:
    """Return the event types that active endpoints subscribe to; `*` means all."""
    return frozenset(record[0] for record in await connection.fetch(sql("endpoints_wanted_types", SQL_PACKAGE)))


async def enqueue(connection: Connection, messages: Sequence[Message]) -> None:
    """Add a delivery of each message for each active endpoint subscribed to its type. Existing ones are unchanged."""
    if not messages:
        return
    await connection.execute(
        sql("deliveries_enqueue", SQL_PACKAGE),
        [message.event_id for message in messages],
        [message.type for message in messages],
        [message.payload for message in messages],
    )


async def claim(pool: Pool, policy: WebhookPolicy, capacity: Capacity) -> list[Delivery]:
    """Claim due deliveries up to `capacity`, skipping those of other processes, and count an attempt on each.

    Endpoints without a running call come first. A claimed delivery isn't due again for `policy.lease_seconds`.
    """
    records = await pool.fetch(
        sql("deliveries_claim", SQL_PACKAGE),
        list(capacity.busy.keys()),
        list(capacity.busy.values()),
        policy.endpoint_concurrency,
        capacity.slow,
        list(capacity.slow_endpoints),
        capacity.calls,
        capacity.further_calls,
        policy.lease_seconds,
    )
    return [Delivery(*record) for record in records]


async def record(pool: Pool, policy: WebhookPolicy, delivery: Delivery, outcome: Outcome) -> Recorded:
    """Record an attempt's outcome: delivered, pending until the retry, or failed permanently.

    An endpoint is disabled after `policy.disable_after` failed deliveries in a row, and immediately if it is gone.
    """
    status: DeliveryStatus = "delivered"
    if not outcome.delivered:
        status = "failed" if outcome.gone or delivery.attempt >= policy.attempts_max else "pending"
    changed = await pool.fetchrow(
        sql("attempt_record", SQL_PACKAGE),
        delivery.delivery_id,
        delivery.attempt,
        outcome.status_code,
        outcome.error,
        outcome.latency_ms,
        status,
        policy.wait_seconds(delivery.attempt),
        outcome.gone,
        policy.disable_after,
    )
    disabled = changed is not None and changed["status"] == "disabled"
    return Recorded(status, changed["disabled_reason"] if changed is not None and disabled else None)
