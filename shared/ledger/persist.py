"""Write the changes of a batch, with a fixed number of statements whatever the batch's size."""

from collections.abc import Sequence
from itertools import chain
from typing import Final

from shared.domain.coupons.issue import coupon_end
from shared.domain.model.campaign import Campaign
from shared.domain.model.commands import Command, CreateCoupons, IssueCoupons
from shared.domain.model.coupon import code_key
from shared.domain.model.state import State
from shared.domain.model.value import value
from shared.domain.model.verdicts import LedgerEntry, Verdict
from shared.ledger import outbox
from shared.ledger.coupon_rows import CouponRow, coupon_row
from shared.ledger.customer_facts import write_segments
from shared.ledger.database import Connection
from shared.ledger.events import events_of
from shared.ledger.journal import encode_verdict
from shared.ledger.loading import Loaded, lock_row
from shared.ledger.lock_rows import lost_document
from shared.ledger.metering import WHOLE_CAMPAIGN, meter_row
from shared.ledger.order_rows import json_or_none, order_row, update_row
from shared.ledger.outbox import OutboxRow
from shared.ledger.period_metering import period_meter_row
from shared.ledger.reminding import plan_reminders
from shared.ledger.sql import sql

# Append-only tables are written by COPY, at half the cost of an INSERT over arrays on both sides of the connection.
ENTRY_COLUMNS: Final = (
    "recorded_at", "kind", "coupon_id", "campaign_id", "customer_key", "order_id", "lock_reference", "redemption_id",
    "command_id", "held_uses", "used_uses", "held_minor", "used_minor", "currency", "lines", "round", "counted_at",
    "subscription_id", "ends_at",
)  # fmt: skip
JOURNAL_COLUMNS: Final = (
    "command_id", "fingerprint", "kind", "outcome", "reasons", "order_id", "verdict", "decided_at",
)  # fmt: skip


@value
class Decided:
    """One command of a batch with its verdict and events. `fingerprint` None: the engine's own, not journaled."""

    command: Command
    fingerprint: bytes | None
    verdict: Verdict
    events: list[OutboxRow]

    @classmethod
    def of(cls, command: Command, fingerprint: bytes | None, verdict: Verdict, state: State) -> "Decided":
        """Build the events now, because they depend on the state right after this verdict."""
        return cls(command, fingerprint, verdict, list(events_of(command, verdict, state)))


async def write(connection: Connection, loaded: Loaded, decided: Sequence[Decided]) -> None:
    """Write the batch: current state first, then entries and journal, the outbox last. Doesn't commit."""
    await _write_issued(connection, loaded, decided)
    await _write_coupons(connection, loaded)
    await _write_revocations(connection, loaded, decided)
    await _write_meters(connection, loaded)
    await _write_period_meters(connection, loaded)
    await _write_locks(connection, loaded)
    await _write_orders(connection, loaded)
    await write_segments(connection, [entry.verdict for entry in decided])
    await plan_reminders(connection, loaded.state, [entry.verdict for entry in decided], loaded.now)
    await _write_entries(connection, loaded, decided)
    await _write_journal(connection, loaded, [entry for entry in decided if entry.fingerprint is not None])
    await outbox.append(connection, list(chain.from_iterable(entry.events for entry in decided)))


async def _write_coupons(connection: Connection, loaded: Loaded) -> None:
    coupons = loaded.state.coupons
    changed = [
        (coupon_id, *row)
        for coupon_id, before in loaded.coupons_before.items()
        if (row := coupon_row(coupons[coupon_id])) != before
    ]
    if changed:
        await connection.execute(sql("coupons_update"), *_columns(changed))


async def _write_issued(connection: Connection, loaded: Loaded, decided: Sequence[Decided]) -> None:
    new: list[tuple[object, ...]] = []
    pooled: list[tuple[object, ...]] = []
    handed_out: list[tuple[object, ...]] = []
    for entry in decided:
        if not isinstance(entry.command, IssueCoupons | CreateCoupons):
            continue
        served: set[str] = set()
        for coupon in entry.verdict.accepted:
            campaign: Campaign = loaded.state.campaigns[coupon.campaign_id]
            # The occasion is unique, so only the first of several coupons of a campaign has it.
            occasion = None if coupon.campaign_id in served else entry.verdict.natural_key
            served.add(coupon.campaign_id)
            if campaign.code.shared_code is not None:
                if occasion is not None:
                    handed_out.append((occasion, coupon.campaign_id))
                continue
            life = (
                entry.verdict.customer_key,
                campaign.limits.uses_per_coupon,
                coupon.starts_at,
                coupon_end(campaign, coupon.starts_at),
                occasion,
            )
            # Later commands of the batch may have used or changed it, which `_write_coupons` then writes.
            loaded.coupons_before[coupon.coupon_id] = CouponRow(0, 0, "active", life[3], False)
            if coupon.coupon_id in loaded.pooled:
                pooled.append((coupon.coupon_id, *life))
            else:
                key = code_key(coupon.code) if coupon.code else None
                new.append((coupon.coupon_id, coupon.code or None, key, coupon.campaign_id, *life))
    if new:
        new.sort(key=lambda row: str(row[2]))  # so that two imports of one file don't deadlock
        await connection.execute(sql("coupons_issue"), *_columns(new), loaded.now)
    if pooled:
        await connection.execute(sql("coupons_issue_pooled"), *_columns(pooled), loaded.now)
    if handed_out:
        await connection.execute(sql("shared_occasions_record"), *_columns(handed_out))


async def _write_revocations(connection: Connection, loaded: Loaded, decided: Sequence[Decided]) -> None:
    revoked = [entry.verdict.revocation for entry in decided if entry.verdict.revocation is not None]
    if revoked:
        rows = [(revocation.occasion, revocation.at) for revocation in revoked]
        await connection.execute(sql("rewards_revoke"), *_columns(rows), loaded.now)


async def _write_meters(connection: Connection, loaded: Loaded) -> None:
    meters = loaded.state.meters
    if unread := meters.keys() - loaded.meters_before.keys():
        raise AssertionError(f"meters changed without being loaded: {sorted(map(str, unread))}")
    changed = [(key, row) for key, before in loaded.meters_before.items() if (row := meter_row(meters[key])) != before]
    if changed:
        rows = [(campaign_id, customer or WHOLE_CAMPAIGN, *row) for (campaign_id, customer), row in changed]
        await connection.execute(sql("meters_update"), *_columns(rows))


async def _write_period_meters(connection: Connection, loaded: Loaded) -> None:
    meters, before = loaded.state.period_meters, loaded.period_meters_before
    if unread := meters.keys() - before.keys():
        raise AssertionError(f"periods changed without being loaded: {sorted(map(str, unread))}")
    changed = [(key, row) for key, was in before.items() if (row := period_meter_row(meters[key])) != was]
    if changed:
        rows = [
            (campaign_id, customer or WHOLE_CAMPAIGN, period, *row) for (campaign_id, customer, period), row in changed
        ]
        await connection.execute(sql("period_meters_update"), *_columns(rows))


async def _write_locks(connection: Connection, loaded: Loaded) -> None:
    before = loaded.locks_before
    changed = [lock for lock in loaded.state.locks.values() if lock_row(lock) != before.get(lock.lock_reference)]
    if not changed:
        return
    rows = [
        (
            lock.lock_reference, lock.status, lock.customer_key, lock.order_id, lock.expires_at,
            lost_document(lock.lost),
        )
        for lock in changed
    ]  # fmt: skip
    if opened := [row for row in rows if row[0] not in before]:
        await connection.execute(sql("locks_insert"), *_columns(opened))
    if known := [row for row in rows if row[0] in before]:
        await connection.execute(sql("locks_update"), *_columns(known))
        await connection.execute(sql("lock_uses_clear"), [row[0] for row in known])
    uses = [
        (
            lock.lock_reference,
            use.coupon_id,
            use.campaign_id,
            use.uses,
            use.discount_minor,
            use.currency,
            json_or_none(use.lines),
            use.counted_at,
            use.subscription_id,
        )
        for lock in changed
        for use in lock.uses
    ]
    if uses:
        await connection.execute(sql("lock_uses_save"), *_columns(uses))


async def _write_orders(connection: Connection, loaded: Loaded) -> None:
    """Update the orders that the batch changed. A newly placed order was inserted in its final state."""
    state = loaded.state
    changed = [
        order
        for order_id, before in loaded.orders_before.items()
        if (order := state.orders.get(order_id)) is not None and order_row(order) != before
    ]
    if changed:
        await connection.execute(sql("orders_update"), *_columns(list(map(update_row, changed))))


async def _write_entries(connection: Connection, loaded: Loaded, decided: Sequence[Decided]) -> None:
    rounds, now = loaded.rounds, loaded.now
    rows: list[tuple[object, ...]] = []
    for decision in decided:
        command_id = decision.verdict.command_id
        for entry in decision.verdict.entries:
            number = None
            if entry.order_id is not None and entry.kind in ("burned", "restored"):
                number = _round(rounds, entry)
            rows.append(
                (
                    now,
                    entry.kind,
                    entry.coupon_id,
                    entry.campaign_id,
                    entry.customer_key,
                    entry.order_id,
                    entry.lock_reference,
                    entry.redemption_id,
                    command_id,
                    entry.held_uses,
                    entry.used_uses,
                    entry.held_minor,
                    entry.used_minor,
                    entry.currency,
                    json_or_none(entry.lines),
                    number,
                    entry.counted_at,
                    entry.subscription_id,
                    None if entry.end is None else entry.end.after,
                )
            )
    if rows:
        await connection.copy_records_to_table("ledger_entries", records=rows, columns=ENTRY_COLUMNS)


def _round(rounds: dict[tuple[str, str], int], entry: LedgerEntry) -> int:
    """Return how often the coupon was restored to the order before this entry."""
    key = (entry.order_id or "", entry.coupon_id)
    number = rounds.get(key, 0)
    if entry.kind == "restored":
        rounds[key] = number + 1
    return number


async def _write_journal(connection: Connection, loaded: Loaded, decided: Sequence[Decided]) -> None:
    """Write the verdicts. If another process recorded a command meanwhile, the key breaks and the batch runs again."""
    if not decided:
        return
    now = loaded.now
    rows = [
        (
            entry.verdict.command_id,
            entry.fingerprint,
            type(entry.command).__name__,
            entry.verdict.outcome,
            list(dict.fromkeys([refused.reason.value for refused in entry.verdict.refused])),
            entry.verdict.order_id,
            encode_verdict(entry.verdict),
            now,
        )
        for entry in decided
    ]
    await connection.copy_records_to_table("journal", records=rows, columns=JOURNAL_COLUMNS)


def _columns(rows: Sequence[tuple[object, ...]]) -> list[list[object]]:
    """Return rows as the column arrays that `unnest` takes."""
    return [list(column) for column in zip(*rows, strict=True)]
