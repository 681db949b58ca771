"""Plan when to look at coupons for their reminders.

`coupon_reminders` has a row for each coupon that a campaign with `window.remind_days` issued to a customer. A command
or a campaign that changes what is due sets the row's time to now; the sweep (`reminder_sweep`) computes the rest.
Coupons of other campaigns have no row and cost nothing.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final

from shared.domain.coupons.reminders import Published, reminder_of
from shared.domain.model.campaign import Campaign
from shared.domain.model.state import State
from shared.domain.model.verdicts import Verdict
from shared.ledger.database import Connection
from shared.ledger.sql import sql

_CHANGING: Final = frozenset({"issued", "extended", "restored", "unvoided"})
"""Kinds of ledger entries after which another reminder may be due."""


async def plan_reminders(connection: Connection, state: State, verdicts: Iterable[Verdict], now: datetime) -> None:
    """Plan the reminders of coupons that the batch issued or changed. `state` is the one after the batch."""
    due: dict[str, datetime] = {}
    for verdict in verdicts:
        for entry in verdict.entries:
            if entry.kind not in _CHANGING:
                continue
            campaign, coupon = state.campaigns.get(entry.campaign_id), state.coupons.get(entry.coupon_id)
            if campaign is None or coupon is None or campaign.window.remind_days is None or coupon.holder_key is None:
                continue
            at: datetime | None = now
            if entry.kind == "issued":
                reminder = reminder_of(campaign, coupon, Published(), now)
                at = now if reminder.event is not None else reminder.again_at
            if at is not None:
                due[entry.coupon_id] = min(at, due.get(entry.coupon_id, at))
    if due:
        await connection.execute(sql("reminders_wake"), list(due), list(due.values()))


async def reminder_facts(connection: Connection, campaign_ids: Sequence[str]) -> dict[str, str]:
    """Return by campaign what decides about its reminders, to compare it before and after saving campaigns."""
    records = await connection.fetch(sql("reminders_facts"), campaign_ids)
    return {record["campaign_id"]: record["facts"] for record in records}


async def plan_changed_campaigns(
    connection: Connection, campaigns: Sequence[Campaign], before: Mapping[str, str]
) -> None:
    """Plan the reminders of issued coupons whose campaigns have changed. What has ended already is not announced."""
    now = await connection.fetchval(sql("batch_clock"))
    reminding = [
        campaign.campaign_id
        for campaign in campaigns
        if campaign.window.remind_days is not None
        and campaign.status == "active"
        and (campaign.window.ends_at is None or campaign.window.ends_at > now)
    ]
    if not reminding:
        return
    after = await reminder_facts(connection, reminding)
    changed = sorted(one for one in reminding if one in before and after[one] != before[one])
    if changed:
        await connection.execute(sql("reminders_wake_campaigns"), changed, now)
