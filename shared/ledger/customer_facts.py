"""Load the facts about customers that rules need: segments, earlier orders, and identifiers for conditions."""

from collections.abc import Iterable, Sequence
from datetime import datetime

import orjson

from shared.domain.model.campaign import Campaign
from shared.domain.model.commands import ChangeCoupon, Command, IssueCoupons, LockCoupons, RevokeReward, VoidCoupon
from shared.domain.model.customer import Customer, CustomerKey, IdentifierKind
from shared.domain.model.order_commands import CancelOrder, RedeemCoupons, ReturnOrder
from shared.domain.model.state import State
from shared.domain.model.verdicts import Verdict
from shared.ledger.database import Connection
from shared.ledger.personal_data import pseudonym_text
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
    """Fill `state.segments`, `state.orders_of` and `state.known_customers` for the customers that need them.

    The rows of customers whose segments or orders are needed are locked. `fresh_orders` are the orders that the batch
    inserted. No statement runs if no campaign needs these facts and no command has segments.
    """
    if any(campaign.eligibility.requires_identifiers for campaign in touched):
        await _load_identifiers(connection, state, _buyers(state, commands))
    asks_first = any(campaign.eligibility.first_order_only for campaign in touched)
    needed: set[CustomerKey] = set()
    if asks_first or any(campaign.eligibility.requires_segments for campaign in touched):
        needed = _buyers(state, commands)
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


def _buyers(state: State, commands: Sequence[Command]) -> set[CustomerKey]:
    """Return the customers that the coupons of `commands` may be judged for."""
    buyers = {
        key
        for command in commands
        if isinstance(command, RedeemCoupons | LockCoupons)
        and (key := state.customers.get(command.command_id)) is not None
    }
    return buyers | {lock.customer_key for lock in state.locks.values() if lock.customer_key is not None}


async def _load_identifiers(connection: Connection, state: State, customer_keys: set[CustomerKey]) -> None:
    if customer_keys:
        known: dict[CustomerKey, dict[IdentifierKind, str]] = {}
        for key, kind, value in await connection.fetch(sql("customers_known"), sorted(customer_keys)):
            known.setdefault(key, {})[kind] = value
        state.known_customers.update(known)


def _with_segments(state: State, commands: Sequence[Command]) -> Iterable[CustomerKey]:
    """Yield the keys of customers whose segments a command reports."""
    for command in commands:
        customer = command.customer
        key = state.customers.get(command.command_id)
        if key is not None and customer is not None and customer.segments is not None:
            yield key


async def load_holders(connection: Connection, state: State, commands: Sequence[Command]) -> None:
    """Fill `state.holders` for coupons that `commands` may void or extend, and for redemptions that they may restore.
    No statement runs for plain orders.

    A holder without identifiers was erased; events name them by their pseudonym. Of several identifiers of a kind, the
    first in their order is taken.
    """
    keys = _redeemers(state, commands)
    if not all(isinstance(command, RedeemCoupons | IssueCoupons | LockCoupons) for command in commands):
        keys |= _holders(state, commands)
    if not keys:
        return
    found: dict[CustomerKey, dict[str, str]] = {key: {} for key in keys}
    for key, kind, value in await connection.fetch(sql("customers_identifiers"), sorted(keys)):
        found[key][kind] = value
    for key, names in found.items():
        customer_id = names.get("id") if names else pseudonym_text(key)
        state.holders[key] = Customer(customer_id, names.get("email"), names.get("mobile"))


def _redeemers(state: State, commands: Sequence[Command]) -> set[CustomerKey]:
    """Return the customers whose redemptions may be restored: those of known orders, and of orders that the batch both
    places or pays and ends.
    """
    keys = {
        redemption.customer_key
        for order in state.orders.values()
        for redemption in order.redemptions.values()
    }  # fmt: skip
    if any(isinstance(command, CancelOrder | ReturnOrder) for command in commands):
        keys |= {state.customers.get(command.command_id) for command in commands if isinstance(command, RedeemCoupons)}
        keys |= {lock.customer_key for lock in state.locks.values()}
    return {key for key in keys if key is not None}


def _holders(state: State, commands: Sequence[Command]) -> set[CustomerKey]:
    """Return the holders of coupons that the batch may void or extend."""
    of_coupons = any(isinstance(command, VoidCoupon | ChangeCoupon | RevokeReward) for command in commands)
    keys = {
        coupon.holder_key
        for coupon in state.coupons.values()
        if coupon.holder_key is not None
        and (of_coupons or coupon.revoked or _is_extended_by_restores(state, coupon.campaign_id))
    }
    if of_coupons:  # they may name coupons that the batch issues first
        issued_to = [state.customers[command.command_id] for command in commands if isinstance(command, IssueCoupons)]
        keys |= {key for key in issued_to if key is not None}
    return keys


def _is_extended_by_restores(state: State, campaign_id: str) -> bool:
    campaign = state.campaigns.get(campaign_id)
    return campaign is not None and campaign.restore_days > 0


async def write_segments(connection: Connection, verdicts: Iterable[Verdict]) -> None:
    """Store the segments reported last for each customer."""
    reported: dict[CustomerKey, str] = {}
    for verdict in verdicts:
        if verdict.segments is not None:
            reported[verdict.segments[0]] = orjson.dumps(verdict.segments[1]).decode()
    if reported:
        await connection.execute(sql("customers_segments"), list(reported), list(reported.values()))
