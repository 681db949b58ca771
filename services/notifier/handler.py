"""The redemption stream becomes notifications and webhook deliveries: each once, in a transaction with its journal."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Final

import orjson

from schemas.notifications import CouponRedemptionNotified
from schemas.redemptions import CouponRedeemed, CouponRedemptionRefused, CouponRedemptionRestored
from schemas.topics import COUPONS_REDEMPTION_NOTIFICATIONS
from services.notifier.errors import TRY_AGAIN
from services.notifier.rule import event_uuid, notification_id, notification_of
from services.notifier.webhooks.deliveries import SQL_PACKAGE, Message, enqueue, payload, wanted_types
from shared.ledger import outbox
from shared.ledger.database import Connection, Pool
from shared.ledger.engine import UNTAKEABLE
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
"""Changes with what goes into a fingerprint; different versions are not compared, so an upgrade breaks no replay."""


@dataclass(frozen=True, slots=True)
class _Entry:
    """One event of the redemption stream, and what it causes."""

    event: ReceivedEvent
    data: CouponRedeemed | CouponRedemptionRefused | CouponRedemptionRestored
    command_id: str
    fingerprint: bytes
    notification: CouponRedemptionNotified | None


class NotificationHandler:
    """Executes batches of the redemption stream: one transaction and a fixed number of statements each."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def handle(self, events: Sequence[ReceivedEvent]) -> list[Poison]:
        """Notify, write deliveries, and remember; what was read before causes nothing again.

        Returns the events whose id was used before for something else, and those that Postgres can't store. Raises
        TransientError when the database is away or busy: the batch has not happened then, or a second run finds it has.
        """
        try:
            return await self._handle([_entry(event) for event in events])
        except TRY_AGAIN as error:
            raise TransientError(f"PostgreSQL is away or busy: {type(error).__name__}: {error}") from error

    async def _handle(self, entries: Sequence[_Entry]) -> list[Poison]:
        """One transaction; when an event can't be stored, its half of the batch again, until it stands alone."""
        first: dict[str, _Entry] = {}
        for entry in entries:
            first.setdefault(entry.command_id, entry)
        if not first:
            return []
        try:
            async with self._pool.acquire() as connection, connection.transaction():
                recorded = await self._execute(connection, first)
        except UNTAKEABLE as error:
            if len(entries) == 1:
                return [_poison(entries[0], type(error).__name__, str(error))]
            half = len(entries) // 2
            return await self._handle(entries[:half]) + await self._handle(entries[half:])
        fingerprints = {command_id: entry.fingerprint for command_id, entry in first.items()} | recorded
        return [
            _poison(entry, "EventIdReused", f"the event id {entry.event.id} was used before for something else")
            for entry in entries
            if not same_request(fingerprints[entry.command_id], entry.fingerprint)
        ]

    async def _execute(self, connection: Connection, entries: dict[str, _Entry]) -> dict[str, bytes]:
        """Do what is new and return the recorded fingerprints of what isn't, by command id."""
        entered = await connection.fetch(
            sql("journal_enter", SQL_PACKAGE),
            list(entries),
            [entry.fingerprint for entry in entries.values()],
            ["notified" if entry.notification else "passed" for entry in entries.values()],
            [entry.data.order_id for entry in entries.values()],
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
    if not isinstance(data, CouponRedeemed | CouponRedemptionRefused | CouponRedemptionRestored):
        raise AssertionError(f"the notifier reads no {event.type}")  # noqa: TRY004 - a bug, not a wrong argument
    return _Entry(
        event=event,
        data=data,
        command_id=f"notifier {event.id}",
        fingerprint=_fingerprint(event.type, data),
        notification=notification_of(data),
    )


def _fingerprint(event_type: str, data: CouponRedeemed | CouponRedemptionRefused | CouponRedemptionRestored) -> bytes:
    """What happened to which coupons of which order, in 17 bytes; not how an event words it, which may grow."""
    coupons = [(coupon.coupon_id, coupon.code) for coupon in data.coupons]
    content = orjson.dumps((event_type, data.order_id, coupons))
    return _FINGERPRINT_VERSION + blake2b(content, digest_size=16).digest()


def _poison(entry: _Entry, error_class: str, text: str) -> Poison:
    log.warning(
        "event can't be notified", event_id=entry.event.id, order_id=entry.data.order_id, error_class=error_class
    )
    return Poison(entry.event, error_class, text)


def _messages(entries: Sequence[_Entry], wanted: Collection[str], now: datetime) -> list[Message]:
    """What webhook endpoints are told, in the order in which it happened: of each event, then of its notification."""
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
