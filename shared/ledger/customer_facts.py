"""Load the facts about customers that rules need: segments and earlier orders."""

from collections.abc import Iterable, Sequence
from datetime import datetime

import orjson

from shared.domain.model.campaign import Campaign
from shared.domain.model.commands import Command, LockCoupons, RedeemCoupons
from shared.domain.model.customer import CustomerKey
from shared.domain.model.state import State
from shared.domain.model.verdicts import Verdict
from shared.ledger.database import Connection
from shared.ledger.sql import sql


async def load_customers(
    connection: Connection,
    state: State,
    commands: Sequence[Command],
    touched: Sequence[Campaign],
    *,
    fresh_orders: Iterable[str],
    now: datetime,
) -> None:
    """Fill `state.segments` and `state.orders_of` for the customers that need them, and lock their rows.

    `fresh_orders` are the orders that the batch inserted. No statement runs if no campaign needs these facts and no
    command has segments.
    """
    asks_first = any(campaign.eligibility.first_order_only for campaign in touched)
    needed: set[CustomerKey] = set()
    if asks_first or any(campaign.eligibility.requires_segments for campaign in touched):
        needed |= {
            key
            for command in commands
            if isinstance(command, RedeemCoupons | LockCoupons)
            and (key := state.customers.get(command.command_id)) is not None
        }
        needed |= {lock.customer_key for lock in state.locks.values() if lock.customer_key is not None}
    locked = needed | set(_with_segments(state, commands))
    if not locked:
        return
    for key, segments in await connection.fetch(sql("customers_lock"), sorted(locked)):
        if segments is not None:
            state.segments[key] = frozenset(segments)
    if asks_first:
        state.orders_of = {key: set() for key in needed}
        fresh = sorted(fresh_orders)
        # The batch may close its own orders, so one more than their number must be loaded.
        for key, order_id in await connection.fetch(
            sql("orders_of_customers"), sorted(needed), len(commands) + 1, fresh, now
        ):
            state.orders_of[key].add(order_id)


def _with_segments(state: State, commands: Sequence[Command]) -> Iterable[CustomerKey]:
    """Yield the keys of customers whose segments a command reports."""
    for command in commands:
        customer = command.customer
        key = state.customers.get(command.command_id)
        if key is not None and customer is not None and customer.segments is not None:
            yield key


async def write_segments(connection: Connection, verdicts: Iterable[Verdict]) -> None:
    """Store the segments reported last for each customer."""
    reported: dict[CustomerKey, str] = {}
    for verdict in verdicts:
        if verdict.segments is not None:
            reported[verdict.segments[0]] = orjson.dumps(verdict.segments[1]).decode()
    if reported:
        await connection.execute(sql("customers_segments"), list(reported), list(reported.values()))
