"""Load which orders of subscriptions have a coupon of a campaign with a number of cycles. Others cost nothing."""

from collections.abc import Sequence
from datetime import datetime

from shared.domain.model.commands import Command, LockCoupons
from shared.domain.model.order import Order
from shared.domain.model.order_commands import RedeemCoupons
from shared.domain.model.state import State
from shared.ledger.database import Connection
from shared.ledger.sql import sql


def campaigns_with_cycles(state: State) -> list[str]:
    """Return the ids of the batch's campaigns that give their discount for a number of cycles, sorted."""
    campaigns = {coupon.campaign_id for coupon in state.coupons.values()}
    return sorted(
        campaign_id
        for campaign_id in campaigns
        if (campaign := state.campaigns.get(campaign_id)) is not None and campaign.recurring_cycles is not None
    )


async def load_cycles(
    connection: Connection, state: State, commands: Sequence[Command], campaign_ids: Sequence[str], now: datetime
) -> None:
    """Load the cycles of the subscriptions of the batch's orders. Locked coupons keep them from changing."""
    orders: list[Order | None] = [
        command.order for command in commands if isinstance(command, RedeemCoupons | LockCoupons)
    ]
    orders += [order.order for order in state.orders.values()]
    named = {order.subscription_id for order in orders if order is not None and order.subscription_id is not None}
    if not named:
        return
    for record in await connection.fetch(sql("subscription_cycles"), sorted(named), campaign_ids, now):
        key = (record["subscription_id"], record["coupon_id"])
        state.cycles.setdefault(key, {})[record["order_id"]] = record["costs_something"]
