"""Publish the reminders of coupons that are about to end, or have ended.

An event and the row that remembers it are written in one transaction, so a crash repeats nothing and loses nothing.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

import asyncpg

from schemas.topics import COUPONS_LIFECYCLE
from shared.domain.coupons.reminders import Published, Reminder, reminder_of
from shared.domain.model.campaign import Campaign
from shared.domain.model.customer import Customer, CustomerKey
from shared.domain.model.ids import derived_id
from shared.ledger import outbox
from shared.ledger.campaigns import CampaignCache
from shared.ledger.coupon_rows import coupon_of
from shared.ledger.customers import DEFINITIONS_LOCK
from shared.ledger.database import UNAVAILABLE, Connection, Pool
from shared.ledger.engine import CONFLICTS, LedgerUnavailableError
from shared.ledger.event_data import CouponExpiredData, CouponExpiringData
from shared.ledger.event_json import event_json
from shared.ledger.event_parts import customer_reference
from shared.ledger.outbox import OutboxRow
from shared.ledger.sql import sql
from shared.runtime import telemetry
from shared.runtime.logging import get_logger

log = get_logger("ledger")

REMINDERS_PER_BATCH: Final = 200
"""Coupons of one transaction: a few hundred rows, which hold up other batches for some milliseconds."""

AFTER_BUG: Final = timedelta(hours=1)
"""Pause before a coupon whose reminder caused a bug, or whose campaign can't be read, is looked at again."""

SOURCE: Final = "/couponry/ledger"


class Reminders:
    """The reminders of a ledger. Any number of processes can publish them at the same time."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._campaigns = CampaignCache()

    async def sweep(self, limit: int) -> int:
        """Look at about `limit` coupons whose time has come, and publish what is due. Return their number.

        Raises LedgerUnavailableError: batches before the failed one are published.
        """
        swept = 0
        while swept < limit:
            try:
                found = await self._sweep_batch(min(REMINDERS_PER_BATCH, limit - swept))
            except (*UNAVAILABLE, *CONFLICTS) as error:
                raise LedgerUnavailableError(f"Reminders were not published: {error!r}") from error
            swept += found
            if found < REMINDERS_PER_BATCH:
                break
        return swept

    async def _sweep_batch(self, limit: int) -> int:
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute(sql("batch_begin"), DEFINITIONS_LOCK)
            campaigns = await self._campaigns.refresh(connection)
            now = await connection.fetchval(sql("batch_clock"))
            records = await connection.fetch(sql("reminders_due"), now, limit)
            if not records:
                return 0
            reminders = [_reminder(record, campaigns, now) for record in records]
            holders = await _holders(connection, records, reminders)
            rows = [_row(record, reminder) for record, reminder in zip(records, reminders, strict=True)]
            await connection.execute(sql("reminders_update"), *[list(column) for column in zip(*rows, strict=True)])
            events = [
                _event(record, reminder, holders[record["holder_key"]], now)
                for record, reminder in zip(records, reminders, strict=True)
                if reminder.event is not None and record["holder_key"] in holders
            ]
            await outbox.append(connection, events)
        return len(records)


def _reminder(record: asyncpg.Record, campaigns: Mapping[str, Campaign], now: datetime) -> Reminder:
    try:
        published = Published(record["expiring_for"], record["expired_for"])
        return reminder_of(campaigns.get(record["campaign_id"]), coupon_of(record, campaigns), published, now)
    except Exception:
        telemetry.BUGS.labels("reminder").inc()
        log.exception("bug: a reminder can't be computed; it is tried later", coupon_id=record["coupon_id"])
        return Reminder(again_at=now + AFTER_BUG)


async def _holders(
    connection: Connection, records: Sequence[asyncpg.Record], reminders: Sequence[Reminder]
) -> dict[CustomerKey, Customer]:
    """Return the holders of coupons with an event. A holder without identifiers was erased, and is not reminded."""
    keys = {
        record["holder_key"]
        for record, reminder in zip(records, reminders, strict=True)
        if reminder.event is not None
    }  # fmt: skip
    found: dict[CustomerKey, dict[str, str]] = {}
    for key, kind, value in await connection.fetch(sql("customers_identifiers"), sorted(keys)) if keys else ():
        found.setdefault(key, {})[kind] = value
    return {key: Customer(names.get("id"), names.get("email"), names.get("mobile")) for key, names in found.items()}


def _row(record: asyncpg.Record, reminder: Reminder) -> tuple[object, ...]:
    """Return the reminder's row after the batch."""
    return (
        record["coupon_id"],
        reminder.again_at,
        reminder.ends_at if reminder.event == "coupon.expiring" else record["expiring_for"],
        reminder.ends_at if reminder.event == "coupon.expired" else record["expired_for"],
    )


def _event(record: asyncpg.Record, reminder: Reminder, holder: Customer, now: datetime) -> OutboxRow:
    kind, coupon_id, ends_at = reminder.event or "", record["coupon_id"], reminder.ends_at or now
    data: CouponExpiringData | CouponExpiredData
    if reminder.event == "coupon.expiring":
        data = {
            "coupon_id": coupon_id,
            "code": record["code"],
            "campaign_id": record["campaign_id"],
            "customer": customer_reference(holder),
            "expires_at": ends_at,
            "days_left": reminder.days_left,
        }
    else:
        data = {
            "coupon_id": coupon_id,
            "code": record["code"],
            "campaign_id": record["campaign_id"],
            "customer": customer_reference(holder),
            "expired_at": ends_at,
        }
    return OutboxRow(
        event_id=derived_id("reminder", coupon_id, kind, ends_at.isoformat(), now.isoformat()),
        topic=COUPONS_LIFECYCLE.name,
        key=coupon_id,
        type=kind,
        source=SOURCE,
        subject=coupon_id,
        time=now,
        data=event_json(data),
    )
