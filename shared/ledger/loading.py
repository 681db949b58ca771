"""Load and lock everything a batch needs, in one fixed order, which prevents deadlocks between batches.

The lock on rewards first, if a command needs it, then customers' identifiers, orders, locks, coupons, pools, meters,
meters of periods, and the customers' rows; each set in the order of its key.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

import asyncpg
import orjson

from shared.domain.coupons.issue import referred_key
from shared.domain.model.campaign import Campaign
from shared.domain.model.commands import Command, CreateCoupons, ExpireLock, IssueCoupons, LockCoupons
from shared.domain.model.coupon import Hold, code_key
from shared.domain.model.customer import DEFAULT_RULES, Customer, IdentityRules
from shared.domain.model.order_commands import CancelOrder, RedeemCoupons, ReturnOrder
from shared.domain.model.state import ActiveRedemption, LockedUse, LockState, MeterKey, PeriodKey, State, order_hold
from shared.domain.model.verdicts import LineShare
from shared.ledger import customers
from shared.ledger.codes_to_issue import load_supplies
from shared.ledger.coupon_rows import CouponRow, coupon_of, coupon_row
from shared.ledger.customer_facts import load_customers, load_holders
from shared.ledger.cycles import campaigns_with_cycles, load_cycles
from shared.ledger.database import Connection
from shared.ledger.lock_rows import lost_of
from shared.ledger.metering import load_meters, touched
from shared.ledger.order_rows import (
    NewOrderRow,
    OrderRow,
    insert_columns,
    new_order_row,
    order_of,
    order_row,
    row_inserted,
)
from shared.ledger.period_metering import load_period_meters
from shared.ledger.rewards import load_rewards
from shared.ledger.sql import sql

EXPIRED_LOCKS_PER_BATCH: Final = 200
"""Locks that a batch expires in addition to its commands. More than these are swept first, in batches of their own."""


class RunAgainError(Exception):
    """Another batch is changing a row that this batch needs. Run the batch again."""


class SweepFirstError(Exception):
    """More locks have expired than a batch with commands can expire."""


@dataclass(slots=True)
class Loaded:
    """A batch's state, and the rows as they were loaded: only differences are written back."""

    state: State
    now: datetime
    expired: list[str] = field(default_factory=list)
    """references of the locks that this batch expires before its own commands, oldest first"""
    coupons_before: dict[str, CouponRow] = field(default_factory=dict)
    locks_before: dict[str, tuple[object, ...]] = field(default_factory=dict)
    orders_before: dict[str, OrderRow] = field(default_factory=dict)
    meters_before: dict[MeterKey, tuple[int, ...]] = field(default_factory=dict)
    period_meters_before: dict[PeriodKey, tuple[int, ...]] = field(default_factory=dict)
    fresh_orders: set[str] = field(default_factory=set)
    """ids of orders that this batch inserted"""
    rounds: dict[tuple[str, str], int] = field(default_factory=dict)
    """(order id, coupon id) → number of restores of the coupon to the order"""
    pooled: set[str] = field(default_factory=set)
    """ids of coupons that came from a pool"""


async def load(
    connection: Connection,
    commands: Sequence[Command],
    campaigns: dict[str, Campaign],
    now: datetime,
    *,
    expire: int = EXPIRED_LOCKS_PER_BATCH,
    except_locks: Collection[str] = (),
    rules: IdentityRules = DEFAULT_RULES,
    may_merge: bool = True,
) -> Loaded:
    """Load and lock everything that `commands` need. Run inside the batch's transaction, after the definitions lock.

    Also load up to `expire` locks whose time is over, except `except_locks`. `rules` and `may_merge` are those of
    `customers.resolve`.

    Raises RunAgainError, SweepFirstError, `customers.CustomersToMergeError`, or asyncpg's errors.
    """
    state = State(campaigns=campaigns, identity=rules)
    loaded = Loaded(state, now)
    await load_rewards(connection, state, commands)
    state.customers = await customers.resolve(connection, _named(commands), rules, may_merge=may_merge)
    held_before = await _load_orders(connection, loaded, commands)
    await _load_locks(connection, loaded, commands, held_before, expire=expire, except_locks=except_locks)
    await _load_coupons(connection, loaded, commands)
    await load_holders(connection, state, commands)
    await _load_subscriptions(connection, state, commands, now)
    makers = [command for command in commands if isinstance(command, IssueCoupons | CreateCoupons)]
    if makers:
        await load_supplies(connection, state, loaded.pooled, makers)
    loaded.meters_before = await load_meters(connection, state, commands, now)
    loaded.period_meters_before = await load_period_meters(connection, state, commands, now)
    await load_customers(
        connection, state, commands, list(touched(state, commands)), fresh_orders=loaded.fresh_orders, now=now
    )
    return loaded


def _named(commands: Sequence[Command]) -> dict[str, Customer | None]:
    """Return the customers named by `commands`, keyed by command id."""
    named: dict[str, Customer | None] = {command.command_id: command.customer for command in commands}
    for command in commands:
        if isinstance(command, IssueCoupons) and command.referred is not None:
            named[referred_key(command.command_id)] = command.referred
    return named


def lock_row(lock: LockState) -> tuple[object, ...]:
    """Return the values of a lock's row and uses, to compare them."""
    return (lock.status, lock.customer_key, lock.order_id, lock.expires_at, lock.uses, lock.lost)


async def _load_orders(connection: Connection, loaded: Loaded, commands: Sequence[Command]) -> list[str]:
    """Insert or lock the batch's orders. Return the ids of those that existed before."""
    state = loaded.state
    rows: dict[str, NewOrderRow] = {}
    bound: set[str] = set()
    for command in commands:
        row = new_order_row(command, state.customers.get(command.command_id), loaded.now)
        if row is not None:
            rows.setdefault(row.order_id, row)
        elif command.named_order:
            bound.add(command.named_order)
    if not rows and not bound:
        return []
    columns = insert_columns(list(rows.values())) if rows else []
    fresh = {record[0] for record in await connection.fetch(sql("orders_insert"), *columns)} if rows else set()
    loaded.fresh_orders = fresh
    for order_id in fresh:
        loaded.orders_before[order_id] = row_inserted(rows[order_id])
    known = [order_id for order_id in rows if order_id not in fresh] + sorted(bound - rows.keys())
    if known:
        for record in await connection.fetch(sql("orders_lock"), known):
            order = order_of(record)
            state.orders[order.order_id] = order
            loaded.orders_before[order.order_id] = order_row(order)
        for record in await connection.fetch(sql("orders_redemptions"), known):
            loaded.rounds[record["order_id"], record["coupon_id"]] = record["rounds"]
            if record["active"] > 0:  # burned more often than restored
                state.orders[record["order_id"]].redemptions[record["coupon_id"]] = ActiveRedemption(
                    coupon_id=record["coupon_id"],
                    campaign_id=record["campaign_id"],
                    redemption_id=record["redemption_id"],
                    uses=record["uses"],
                    discount_minor=record["discount_minor"],
                    currency=record["currency"],
                    customer_key=record["customer_key"],
                    lines=_lines(record["lines"]),
                    burned_minor=record["burned_minor"],
                    counted_at=record["counted_at"],
                    subscription_id=record["subscription_id"],
                )
    return known


async def _load_locks(
    connection: Connection,
    loaded: Loaded,
    commands: Sequence[Command],
    known: Sequence[str],
    *,
    expire: int,
    except_locks: Collection[str],
) -> None:
    """Load the locks that commands name, that hold orders of the batch, or whose time is over."""
    named = {order_hold(order_id) for order_id in known}
    for command in commands:
        if command.named_lock:
            named.add(command.named_lock)
    ended = [command.order_id for command in commands if isinstance(command, CancelOrder | ReturnOrder)]
    records: list[asyncpg.Record] = []
    if named or ended:
        records = await connection.fetch(sql("locks_lock"), sorted(named), ended)
    expired = await connection.fetch(sql("locks_expired"), loaded.now, expire, list(except_locks))
    if len(expired) == expire and not all(isinstance(command, ExpireLock) for command in commands):
        raise SweepFirstError
    loaded.expired = [record["lock_reference"] for record in expired]
    await _add_locks(connection, loaded, [*records, *expired])


async def _add_locks(connection: Connection, loaded: Loaded, records: Sequence[asyncpg.Record]) -> None:
    """Add locks from their rows, which are locked already, with the uses they hold."""
    if not records:
        return
    uses: dict[str, list[LockedUse]] = {}
    references = [record["lock_reference"] for record in records]
    for record in await connection.fetch(sql("lock_uses_of"), references):
        uses.setdefault(record["lock_reference"], []).append(
            LockedUse(
                coupon_id=record["coupon_id"],
                campaign_id=record["campaign_id"],
                uses=record["uses"],
                discount_minor=record["discount_minor"],
                currency=record["currency"],
                lines=_lines(record["lines"]),
                counted_at=record["counted_at"],
                subscription_id=record["subscription_id"],
            )
        )
    for record in records:
        lock = LockState(
            lock_reference=record["lock_reference"],
            status=record["status"],
            expires_at=record["expires_at"],
            customer_key=record["customer_key"],
            order_id=record["order_id"],
            uses=tuple(uses.get(record["lock_reference"], ())),
            lost=lost_of(record["lost"]),
        )
        loaded.state.locks[lock.lock_reference] = lock
        loaded.locks_before[lock.lock_reference] = lock_row(lock)


async def _load_coupons(connection: Connection, loaded: Loaded, commands: Sequence[Command]) -> None:
    state = loaded.state
    keys: set[str] = set()
    for command in commands:
        keys.update(map(code_key, command.named_codes))
    ids = {use.coupon_id for lock in state.locks.values() for use in (*lock.uses, *lock.lost)}
    for order in state.orders.values():
        ids.update(order.redemptions)
    for issued in state.issued_for.values():
        ids.update(issued)
    if ids:
        records = await connection.fetch(sql("coupons_lock"), list(keys), sorted(ids))
    elif keys:
        records = await connection.fetch(sql("coupons_lock_by_code"), list(keys))
    else:
        return
    _add_coupons(loaded, records)
    if held := [coupon.coupon_id for coupon in state.coupons.values() if coupon.held]:
        await _load_holds(connection, loaded, commands, held)


def _add_coupons(loaded: Loaded, records: Sequence[asyncpg.Record]) -> None:
    """Add coupons from their rows, which are locked already."""
    state = loaded.state
    for record in records:
        coupon = coupon_of(record, state.campaigns)
        state.coupons[coupon.coupon_id] = coupon
        if record["code_key"] is not None:
            state.coupon_ids[record["code_key"]] = coupon.coupon_id
        loaded.coupons_before[coupon.coupon_id] = coupon_row(coupon)


async def _load_holds(
    connection: Connection, loaded: Loaded, commands: Sequence[Command], coupon_ids: Sequence[str]
) -> None:
    """Load the locks of the batch's customers and orders on these coupons, since they never block their owner. A lock
    that the batch names, and may replace, doesn't block itself either.
    """
    state = loaded.state
    orders = [
        command.named_order
        for command in commands
        if isinstance(command, RedeemCoupons | LockCoupons) and command.named_order
    ]
    customer_keys = {key for key in state.customers.values() if key is not None}
    customer_keys.update(lock.customer_key for lock in state.locks.values() if lock.customer_key is not None)
    # A sweep only ends the locks it has loaded; the next round finds further expired ones.
    wanted = (coupon_ids, sorted(customer_keys), orders, loaded.now)
    records = await connection.fetch(sql("locks_of_coupons"), *wanted) if commands else []
    unknown = sorted({record["lock_reference"] for record in records} - state.locks.keys())
    if any(record["expires_at"] <= loaded.now for record in records if record["lock_reference"] in unknown):
        # Another batch is expiring this lock and waits for the coupon that this batch holds.
        raise RunAgainError
    if unknown:
        await _add_locks(connection, loaded, await connection.fetch(sql("locks_lock"), unknown, []))
        # Load their other coupons: another batch may have created such a lock after this one looked for its locks.
        others = {use.coupon_id for lock in state.locks.values() for use in (*lock.uses, *lock.lost)}
        others -= state.coupons.keys()
        if others:
            _add_coupons(loaded, await connection.fetch(sql("coupons_lock"), [], sorted(others)))
    for lock in sorted(state.locks.values(), key=lambda lock: lock.lock_reference):
        for use in lock.uses if lock.status == "open" else ():
            if (coupon := state.coupons.get(use.coupon_id)) is not None:
                coupon.holds.append(Hold(lock.lock_reference, use.uses, lock.customer_key, lock.order_id))


async def _load_subscriptions(connection: Connection, state: State, commands: Sequence[Command], now: datetime) -> None:
    """Load the uses that later orders of subscriptions continue with. Locked coupons keep them from being restored."""
    orders = [command.order for command in commands if isinstance(command, RedeemCoupons)]
    with_cycles = campaigns_with_cycles(state)
    named = {
        order.subscription_id
        for order in orders
        if order.subscription_id is not None and (order.cycle > 1 or with_cycles)
    }
    if named:
        for record in await connection.fetch(sql("subscription_uses"), list(named)):
            state.subscriptions[record["subscription_id"], record["coupon_id"]] = record["uses"]
    if with_cycles:
        await load_cycles(connection, state, commands, with_cycles, now)


def _lines(recorded: str | None) -> tuple[LineShare, ...]:
    return () if recorded is None else tuple([(line_id, minor) for line_id, minor in orjson.loads(recorded)])
