"""Load the running totals that a batch may read or change: insert missing ones, then lock them in sorted order.

Totals of a cap's periods are in `shared.ledger.period_metering`.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Final

from shared.domain.model.campaign import Campaign
from shared.domain.model.commands import Command, CreateCoupons, IssueCoupons, LockCoupons
from shared.domain.model.coupon import Coupon, code_key
from shared.domain.model.customer import CustomerKey
from shared.domain.model.order_commands import RedeemCoupons
from shared.domain.model.state import Meter, MeterKey, State, order_hold
from shared.ledger.database import Connection
from shared.ledger.sql import sql

WHOLE_CAMPAIGN: Final = "00000000-0000-0000-0000-000000000000"
"""The customer key of a campaign's own meter."""

CustomerKeys = dict[str, set[CustomerKey | None]]


Named = tuple[str, str | None]
"""(campaign id, coupon id); None if the coupon is issued"""

Touch = tuple[str, str | None, CustomerKey | None, datetime]
"""(campaign id, coupon id or None, customer key, time it counts at): a total that a batch may change."""


def _customers(state: State, commands: Sequence[Command]) -> tuple[CustomerKeys, CustomerKeys]:
    """Return the customers for whom a use may count, by order and by lock: those of its commands and of its locks.

    An order that holds coupons counts for the customer of the hold, even if a later event names another one.
    """
    of_order: CustomerKeys = defaultdict(set)
    of_lock: CustomerKeys = defaultdict(set)
    for lock in state.locks.values():
        of_lock[lock.lock_reference].add(lock.customer_key)
        if lock.order_id is not None:
            of_order[lock.order_id].add(lock.customer_key)
    uses = [command for command in commands if isinstance(command, RedeemCoupons | LockCoupons)]
    for command in (*uses, *uses):  # twice: a later command may name the customer of an earlier one's lock or order
        order_id = command.named_order
        customer_keys: set[CustomerKey | None] = {state.customers[command.command_id]}
        if command.lock_reference is not None:
            customer_keys |= of_lock[command.lock_reference]
        if order_id is not None:
            customer_keys |= of_order[order_id]
            of_order[order_id] |= customer_keys
            of_lock[order_hold(order_id)] |= customer_keys
        if command.lock_reference is not None:
            of_lock[command.lock_reference] |= customer_keys
    return of_order, of_lock


def _named_by(
    command: Command, state: State, of_order: CustomerKeys, of_lock: CustomerKeys
) -> tuple[Iterable[Named], set[CustomerKey | None]]:
    """Return the coupons that a command names or issues, and the customers they may count for."""
    match command:
        case RedeemCoupons() | LockCoupons():
            order_id = command.named_order
            customer_keys = of_order[order_id] if order_id is not None else of_lock[command.lock_reference or ""]
            return _coupons_of_codes(command.codes, state), customer_keys
        case IssueCoupons():
            return [(one, None) for one in command.campaign_ids], {state.customers[command.command_id]}
        case CreateCoupons():
            return [(command.campaign_id, None)], {None}
        case _:
            found = (state.coupon_ids.get(code_key(code)) for code in command.named_codes)
            coupons = [state.coupons[coupon_id] for coupon_id in found if coupon_id is not None]
            return _named(coupons), {coupon.holder_key for coupon in coupons}


def _named(coupons: Iterable[Coupon]) -> set[Named]:
    return {(coupon.campaign_id, coupon.coupon_id) for coupon in coupons}


def _coupons_of_codes(codes: Iterable[str], state: State) -> set[Named]:
    """Return the coupons of existing codes, and of codes that this batch issues first."""
    keys = set(map(code_key, codes))
    found = (state.coupon_ids.get(key) for key in keys)
    named = _named(state.coupons[coupon_id] for coupon_id in found if coupon_id is not None)
    named.update(
        (campaign_id, supply.coupon_id)
        for (_, campaign_id, _), supply in state.supplies.items()
        if code_key(supply.code or "") in keys
    )
    return named


def touches(state: State, commands: Sequence[Command], now: datetime) -> Iterator[Touch]:
    """Yield every total that the batch may read or change. Some may not be needed, but none may be missing.

    A command counts at its own time, at most `now`. A held use counts when it was held; a restored one is
    subtracted where it counted. The customers of a lock's order may burn what it holds.
    """
    of_order, of_lock = _customers(state, commands)
    for command in commands:
        named, customer_keys = _named_by(command, state, of_order, of_lock)
        at = command.at or now
        for campaign_id, coupon_id in named:
            for customer_key in customer_keys:
                yield campaign_id, coupon_id, customer_key, min(at, now)
    for lock in state.locks.values():
        customer_keys = of_lock[lock.lock_reference]
        if lock.order_id is not None:
            customer_keys = customer_keys | of_order[lock.order_id]
        for use in (*lock.uses, *lock.lost):
            for customer_key in customer_keys:
                yield use.campaign_id, use.coupon_id, customer_key, use.counted_at or now
    for order in state.orders.values():
        for redemption in order.redemptions.values():
            at = redemption.counted_at or now
            yield redemption.campaign_id, redemption.coupon_id, redemption.customer_key, at


async def load_meters(
    connection: Connection, state: State, commands: Sequence[Command], now: datetime
) -> dict[MeterKey, tuple[int, ...]]:
    """Load the meters that the batch needs into `state`, and lock them. Return the values of their rows."""
    if not any(campaign.meters_campaign or campaign.meters_customers for campaign in touched(state, commands)):
        return {}
    wanted: set[MeterKey] = set()
    for campaign_id, _, customer_key, _ in touches(state, commands, now):
        campaign = state.campaigns.get(campaign_id)
        if campaign is None:
            continue
        if campaign.meters_campaign:
            wanted.add((campaign_id, None))
        if campaign.meters_customers and customer_key is not None:
            wanted.add((campaign_id, customer_key))
    if not wanted:
        return {}
    keys = sorted(wanted, key=lambda key: (key[0], key[1] or WHOLE_CAMPAIGN))
    campaign_ids = [campaign_id for campaign_id, _ in keys]
    customer_keys = [customer_key or WHOLE_CAMPAIGN for _, customer_key in keys]
    limits = [(state.campaigns[campaign_id].limits, customer_key) for campaign_id, customer_key in keys]
    await connection.execute(
        sql("meters_ensure"),
        campaign_ids,
        customer_keys,
        [limit.coupons_total if key is None else limit.coupons_per_customer for limit, key in limits],
        [limit.uses_total if key is None else limit.uses_per_customer for limit, key in limits],
        [limit.spend_total_minor if key is None else None for limit, key in limits],
    )
    for record in await connection.fetch(sql("meters_lock"), campaign_ids, customer_keys):
        customer_key = record[1]
        meter = Meter(issued=record[2], held=record[3], used=record[4], held_minor=record[5], used_minor=record[6])
        meter_key = (record[0], None if customer_key == WHOLE_CAMPAIGN else customer_key)
        state.meters[meter_key] = meter
    return {key: meter_row(meter) for key, meter in state.meters.items()}


def meter_row(meter: Meter) -> tuple[int, ...]:
    """Return the values of a meter's row."""
    return (meter.issued, meter.held, meter.used, meter.held_minor, meter.used_minor)


def touched(state: State, commands: Sequence[Command]) -> Iterable[Campaign]:
    """Return the campaigns of the batch, each once."""
    ids = Counter(coupon.campaign_id for coupon in state.coupons.values())
    for command in commands:
        if isinstance(command, IssueCoupons):
            ids.update(command.campaign_ids)
        elif isinstance(command, CreateCoupons):
            ids[command.campaign_id] += 1
    for order in state.orders.values():
        ids.update(redemption.campaign_id for redemption in order.redemptions.values())
    return [state.campaigns[campaign_id] for campaign_id in ids if campaign_id in state.campaigns]
