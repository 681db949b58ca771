"""Load the totals of caps' periods that a batch may read or change, and rebuild them when caps change.

Like other meters they are inserted if missing, then locked in sorted order. Campaigns without caps cost nothing.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import asyncpg

from shared.domain.model.campaign import Campaign, Cap
from shared.domain.model.commands import Command
from shared.domain.model.customer import CustomerKey
from shared.domain.model.state import Meter, PeriodKey, State
from shared.domain.offers.exhausted import period_keys
from shared.domain.offers.periods import PERIODS
from shared.ledger.database import Connection
from shared.ledger.definition_values import DefinitionError
from shared.ledger.metering import WHOLE_CAMPAIGN, touched, touches
from shared.ledger.sql import sql


async def load_period_meters(
    connection: Connection, state: State, commands: Sequence[Command], now: datetime
) -> dict[PeriodKey, tuple[int, ...]]:
    """Load the totals of the batch's periods into `state`, and lock them. Return the values of their rows."""
    if not any(campaign.limits.caps for campaign in touched(state, commands)):
        return {}
    wanted: dict[PeriodKey, Cap] = {}
    for campaign_id, coupon_id, customer_key, counted_at in touches(state, commands, now):
        campaign = state.campaigns.get(campaign_id)
        if campaign is not None:
            wanted |= {key: cap for cap, key in period_keys(campaign, customer_key, coupon_id, counted_at)}
    if not wanted:
        return {}
    keys = sorted(wanted, key=lambda key: (key[0], key[1] or WHOLE_CAMPAIGN, key[2]))
    columns = ([key[0] for key in keys], [key[1] or WHOLE_CAMPAIGN for key in keys], [key[2] for key in keys])
    await connection.execute(
        sql("period_meters_ensure"), *columns, [wanted[key].coupons for key in keys], [wanted[key].uses for key in keys]
    )
    for campaign_id, customer, period, issued, held, used in await connection.fetch(
        sql("period_meters_lock"), *columns
    ):
        key = (campaign_id, None if customer == WHOLE_CAMPAIGN else customer, period)
        state.period_meters[key] = Meter(issued, held, used)
    return {key: period_meter_row(meter) for key, meter in state.period_meters.items()}


def period_meter_row(meter: Meter) -> tuple[int, ...]:
    """Return the values of a period's row."""
    return (meter.issued, meter.held, meter.used)


async def rebuild_period_meters(connection: Connection, campaigns: Sequence[Campaign]) -> None:
    """Rebuild the totals of `campaigns`' periods by their current caps and time zones.

    Raises DefinitionError for a time zone on which PostgreSQL and Python disagree.
    """
    await connection.execute(sql("period_meters_drop"), [campaign.campaign_id for campaign in campaigns])
    caps = [(campaign, cap) for campaign in campaigns for cap in campaign.limits.caps]
    if not caps:
        return
    for zone in dict.fromkeys(str(campaign.window.zone) for campaign, cap in caps if PERIODS[cap.per].of_calendar):
        await _check_time_zone(connection, zone)
    await _rebuild(connection, caps, None)


async def rebuild_customers_periods(
    connection: Connection, campaigns: Sequence[Campaign], customer_keys: Sequence[CustomerKey]
) -> None:
    """Rebuild the totals of periods of some customers, given by all of their keys. Their rows are deleted already."""
    caps = [(campaign, cap) for campaign in campaigns for cap in campaign.limits.caps if cap.each == "customer"]
    if caps:
        await _rebuild(connection, caps, customer_keys)


async def _rebuild(
    connection: Connection, caps: Sequence[tuple[Campaign, Cap]], customer_keys: Sequence[CustomerKey] | None
) -> None:
    await connection.execute(
        sql("period_meters_rebuild"),
        [campaign.campaign_id for campaign, _ in caps],
        [str(campaign.window.zone) for campaign, _ in caps],
        [cap.per for _, cap in caps],
        [cap.each == "customer" for _, cap in caps],
        [cap.coupons for _, cap in caps],
        [cap.uses for _, cap in caps],
        customer_keys,
    )


async def _check_time_zone(connection: Connection, zone: str) -> None:
    """Raise DefinitionError if PostgreSQL's local time in `zone` isn't Python's. Its "CET" has no summer time."""
    year = (await connection.fetchval(sql("batch_clock"))).year
    noons = [datetime(year, month, 15, 12, tzinfo=UTC) for month in range(1, 13)]
    clock = [noon.astimezone(ZoneInfo(zone)).replace(tzinfo=None) for noon in noons]
    try:
        other = await connection.fetchval(sql("time_zone_differs"), zone, noons, clock)
    except asyncpg.InvalidParameterValueError:
        other = noons[0]
    if other is not None:
        raise DefinitionError(
            f"`window.time_zone` is {zone!r}, which PostgreSQL doesn't know or defines differently, so caps can't use "
            'it; name a place, for example "Europe/Berlin".'
        )
