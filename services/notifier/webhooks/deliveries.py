"""Deliveries: one event on its way to one endpoint, as Postgres remembers it."""

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
    """An event for whoever asked for its type. `payload` is the exact text that is signed and sent."""

    event_id: UUID
    type: str
    payload: str


@dataclass(frozen=True, slots=True)
class Delivery:
    """A delivery that this process has taken. `attempt` counts from 1 and includes attempts whose outcome was lost.

    The secrets are as they are stored, encrypted or not.
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
    """the secret before a rotation, while receivers may still check by it"""


@dataclass(frozen=True, slots=True)
class Room:
    """What may be taken for one lane: `calls` at most, `further_calls` of them to endpoints that have one already.

    `busy` counts the calls under way by endpoint. `slow`: take for the endpoints of `slow_endpoints`, else for all
    others.
    """

    calls: int
    further_calls: int
    busy: Mapping[UUID, int]
    slow: bool = False
    slow_endpoints: tuple[UUID, ...] = ()


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one attempt: the answer's status, or why there was none. Only 2xx has no `error`."""

    status_code: int | None = None
    error: str | None = None
    latency_ms: int | None = None

    @property
    def delivered(self) -> bool:
        """Whether the other side has taken the event."""
        return self.error is None

    @property
    def gone(self) -> bool:
        """Whether the other side wants to hear nothing more, ever."""
        return self.status_code == GONE


@dataclass(frozen=True, slots=True)
class Recorded:
    """What an outcome meant: for the delivery, and for the endpoint when that changed."""

    status: DeliveryStatus
    endpoint_disabled_reason: str | None = None


def payload(event_type: str, happened_at: datetime, data_json: bytes) -> str:
    """A Standard Webhooks payload: type, RFC 3339 timestamp in UTC, and the event's data as it is."""
    body = {"type": event_type, "timestamp": happened_at, "data": orjson.Fragment(data_json)}
    return orjson.dumps(body, option=orjson.OPT_UTC_Z).decode()


async def wanted_types(connection: Connection) -> frozenset[str]:
    """The event types that any active endpoint asked for; `*` stands for all."""
    return frozenset(record[0] for record in await connection.fetch(sql("endpoints_wanted_types", SQL_PACKAGE)))


async def enqueue(connection: Connection, messages: Sequence[Message]) -> None:
    """Write a delivery of each message for each active endpoint that asked for its type; what stands stays as it is."""
    if not messages:
        return
    await connection.execute(
        sql("deliveries_enqueue", SQL_PACKAGE),
        [message.event_id for message in messages],
        [message.type for message in messages],
        [message.payload for message in messages],
    )


async def claim(pool: Pool, policy: WebhookPolicy, room: Room) -> list[Delivery]:
    """Take due deliveries as far as there is `room`, none that another process has, and count an attempt on each.

    Endpoints without a call come first. What is taken isn't due again before `policy.lease_seconds` have passed.
    """
    records = await pool.fetch(
        sql("deliveries_claim", SQL_PACKAGE),
        list(room.busy.keys()),
        list(room.busy.values()),
        policy.endpoint_concurrency,
        room.slow,
        list(room.slow_endpoints),
        room.calls,
        room.further_calls,
        policy.lease_seconds,
    )
    return [Delivery(*record) for record in records]


async def record(pool: Pool, policy: WebhookPolicy, delivery: Delivery, outcome: Outcome) -> Recorded:
    """Write an attempt's outcome down: delivered, to be tried again after a wait, or failed for good.

    An endpoint is disabled at its `policy.disable_after`th failed delivery in a row, and at once when it is gone.
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
