"""Turn the redemption stream into notifications and webhook deliveries, each once: a batch is one transaction."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Final

import orjson

from schemas.notifications import CouponRedemptionNotified
from schemas.redemptions import RedemptionEvent
from schemas.topics import COUPONS_REDEMPTION_NOTIFICATIONS
from services.notifier.errors import TRY_AGAIN
from services.notifier.rule import event_uuid, notification_id, notification_of
from services.notifier.webhooks.deliveries import SQL_PACKAGE, Message, enqueue, payload, wanted_types
from shared.domain.model.ids import order_key
from shared.ledger import outbox
from shared.ledger.database import Connection, Pool
from shared.ledger.engine import INVALID_VALUE_ERRORS
from shared.ledger.journal import look_up, same_request
from shared.ledger.sql import sql
from shared.messaging.consumer import Poison
from shared.messaging.records import ReceivedEvent
from shared.runtime.errors import TransientError
from shared.runtime.logging import get_logger
from shared.webhooks.endpoints import ALL_TYPES

log = get_logger("notifier")

SOURCE: Final = "/couponry/notifier"
NOTIFIED_TYPE: Final = "coupon.redemption_notified"

_FINGERPRINT_VERSION: Final = b"\x01"
"""Increase it when a fingerprint's content changes. Different versions are never compared, so upgrades stay safe."""


@dataclass(frozen=True, slots=True)
class _Entry:
    """One event of the redemption stream, with the notification it causes, if any."""

    event: ReceivedEvent
    data: RedemptionEvent
    command_id: str
    fingerprint: bytes
    notification: CouponRedemptionNotified | None


class NotificationHandler:
    """Executes batches of the redemption stream, each in one transaction with a fixed number of statements."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def handle(self, events: Sequence[ReceivedEvent]) -> list[Poison]:
        """Write notifications, deliveries and journal rows for `events`. Duplicates cause nothing.

        Returns the events whose id was used before for a different event, and those that Postgres can't store. Raises
        TransientError if the database is unavailable or busy; handling the same batch again is safe.
        """
        try:
            return await self._handle([_entry(event) for event in events])
        except TRY_AGAIN as error:
            raise TransientError(f"PostgreSQL is unavailable or busy: {type(error).__name__}: {error}") from error

    async def _handle(self, entries: Sequence[_Entry]) -> list[Poison]:
        """Run one transaction. If an event can't be stored, halve the batch until that event is alone."""
        first: dict[str, _Entry] = {}
        for entry in entries:
            first.setdefault(entry.command_id, entry)
        if not first:
            return []
        try:
            async with self._pool.acquire() as connection, connection.transaction():
                recorded = await self._execute(connection, first)
        except INVALID_VALUE_ERRORS as error:
            if len(entries) == 1:
                return [_poison(entries[0], type(error).__name__, str(error))]
            half = len(entries) // 2
            return await self._handle(entries[:half]) + await self._handle(entries[half:])
        fingerprints = {command_id: entry.fingerprint for command_id, entry in first.items()} | recorded
        return [
            _poison(entry, "EventIdReused", f"the event id {entry.event.id} was used before for a different event")
            for entry in entries
            if not same_request(fingerprints[entry.command_id], entry.fingerprint)
        ]

    async def _execute(self, connection: Connection, entries: dict[str, _Entry]) -> dict[str, bytes]:
        """Execute the new entries. Return the recorded fingerprints of the others, by command id."""
        entered = await connection.fetch(
            sql("journal_enter", SQL_PACKAGE),
            list(entries),
            [entry.fingerprint for entry in entries.values()],
            ["notified" if entry.notification else "passed" for entry in entries.values()],
            [order_key(entry.data.shop_id, entry.data.order_id) for entry in entries.values()],
        )
        new = {record["command_id"] for record in entered}
        if new:
            now: datetime = entered[0]["decided_at"]
            fresh = [entry for command_id, entry in entries.items() if command_id in new]
            await enqueue(connection, _messages(fresh, await wanted_types(connection), now))
            await outbox.append(connection, _notifications(fresh, now))
        seen = [command_id for command_id in entries if command_id not in new]
        recorded = await look_up(connection, seen) if seen else {}
        return {command_id: record.fingerprint for command_id, record in recorded.items()}


def _entry(event: ReceivedEvent) -> _Entry:
    data = event.data
    if not isinstance(data, RedemptionEvent):
        raise AssertionError(f"the notifier doesn't read {event.type}")  # noqa: TRY004 - a bug, not a wrong argument
    return _Entry(
        event=event,
        data=data,
        command_id=f"notifier {event.id}",
        fingerprint=_fingerprint(event.type, data),
        notification=notification_of(data),
    )


def _fingerprint(event_type: str, data: RedemptionEvent) -> bytes:
    """Return 17 bytes that identify the event type, order and coupons; other fields may be added in later versions."""
    coupons = [(coupon.coupon_id, coupon.code) for coupon in data.coupons]
    content = orjson.dumps((event_type, order_key(data.shop_id, data.order_id), coupons))
    return _FINGERPRINT_VERSION + blake2b(content, digest_size=16).digest()


def _poison(entry: _Entry, error_class: str, text: str) -> Poison:
    log.warning(
        "event can't be notified",
        event_id=entry.event.id,
        order_id=entry.data.order_id,
        shop_id=entry.data.shop_id,
        error_class=error_class,
    )
    return Poison(entry.event, error_class, text)


def _messages(entries: Sequence[_Entry], wanted: Collection[str], now: datetime) -> list[Message]:
    """Return the webhook messages in order of events: each event, then its notification."""
    messages: list[Message] = []
    for entry in entries:
        event = entry.event
        if ALL_TYPES in wanted or event.type in wanted:
            happened_at = event.time or datetime.fromtimestamp(event.record.timestamp_ms / 1_000, UTC)
            text = payload(event.type, happened_at.astimezone(UTC), entry.data.model_dump_json().encode())
            messages.append(Message(event_uuid(event.id), event.type, text))
        if entry.notification and (ALL_TYPES in wanted or NOTIFIED_TYPE in wanted):
            text = payload(NOTIFIED_TYPE, now, entry.notification.model_dump_json().encode())
            messages.append(Message(notification_id(event.id), NOTIFIED_TYPE, text))
    return messages


def _notifications(entries: Sequence[_Entry], now: datetime) -> list[outbox.OutboxRow]:
    return [
        outbox.OutboxRow(
            event_id=notification_id(entry.event.id),
            topic=COUPONS_REDEMPTION_NOTIFICATIONS.name,
            key=entry.data.order_id,
            type=NOTIFIED_TYPE,
            source=SOURCE,
            subject=entry.data.order_id,
            time=now,
            data=entry.notification.model_dump_json(),
            traceparent=entry.event.traceparent,
        )
        for entry in entries
        if entry.notification is not None
    ]
