"""What rules ask of customers: their segments, and whether they have ordered before."""

from collections.abc import Iterable, Sequence

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
    fresh_orders: Iterable[str],
) -> None:
    """Fill `state.segments` and `state.orders_of` for whom the batch's campaigns ask, their rows locked.

    `fresh_orders` are those that the batch is the first to hear of. Where no campaign asks and no command says
    segments, it costs nothing.
    """
    asks_first = any(campaign.eligibility.first_order_only for campaign in touched)
    asked: set[CustomerKey] = set()
    if asks_first or any(campaign.eligibility.asks_segments for campaign in touched):
        asked |= {
            key
            for command in commands
            if isinstance(command, RedeemCoupons | LockCoupons)
            and (key := state.customers.get(command.command_id)) is not None
        }
        asked |= {lock.customer_key for lock in state.locks.values() if lock.customer_key is not None}
    locked = asked | set(_told(state, commands))
    if not locked:
        return
    for key, segments in await connection.fetch(sql("customers_lock"), sorted(locked)):
        if segments is not None:
            state.segments[key] = frozenset(segments)
    if asks_first:
        state.orders_of = {key: set() for key in asked}
        fresh = sorted(fresh_orders)
        # Those of the batch may be closed on the way, so one more than they are must be known.
        for key, order_id in await connection.fetch(
            sql("orders_of_customers"), sorted(asked), len(commands) + 1, fresh
        ):
            state.orders_of[key].add(order_id)


def _told(state: State, commands: Sequence[Command]) -> Iterable[CustomerKey]:
    """Of whom the commands say segments."""
    for command in commands:
        customer = getattr(command, "customer", None)
        key = state.customers.get(command.command_id)
        if key is not None and customer is not None and customer.segments is not None:
            yield key


async def write_segments(connection: Connection, verdicts: Iterable[Verdict]) -> None:
    """What was said last of each customer."""
    said: dict[CustomerKey, str] = {}
    for verdict in verdicts:
        if verdict.segments is not None:
            said[verdict.segments[0]] = orjson.dumps(verdict.segments[1]).decode()
    if said:
        await connection.execute(sql("customers_segments"), list(said), list(said.values()))
