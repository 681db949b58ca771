"""Load what a batch needs to revoke rewards, and keep rewards that arrive at the same time from being missed."""

from collections.abc import Sequence
from typing import Final

from shared.domain.model.commands import Command, IssueCoupons, RevokeReward
from shared.domain.model.ids import reward_occasion
from shared.domain.model.state import State
from shared.ledger.database import Connection
from shared.ledger.sql import sql

REWARDS_LOCK: Final = 0x636F7504
"""Batches that issue for rewards share this advisory lock; batches that revoke rewards take it alone."""

_OCCASION: Final = reward_occasion("")


async def load_rewards(connection: Connection, state: State, commands: Sequence[Command]) -> None:
    """Load the rewards that commands revoke: the ids of their coupons, and which are revoked already.

    Call it before anything else is read or locked, because it takes a lock.
    """
    of_rewards = [command for command in commands if isinstance(command, IssueCoupons | RevokeReward)]
    if not of_rewards:
        return
    revoked = [command.occasion for command in of_rewards if isinstance(command, RevokeReward)]
    if revoked:
        await connection.execute(sql("rewards_take"), REWARDS_LOCK)
        await load_occasions(connection, state, revoked)
        for occasion, coupon_id in await connection.fetch(sql("coupons_of_rewards"), revoked):
            state.issued_for.setdefault(occasion, []).append(coupon_id)
    elif any(isinstance(command, IssueCoupons) and _is_for_reward(command) for command in of_rewards):
        await connection.execute(sql("rewards_share"), REWARDS_LOCK)


async def load_occasions(connection: Connection, state: State, occasions: Sequence[str]) -> None:
    """Load which of `occasions` have issued coupons of which campaigns, and which are those of revoked rewards."""
    for occasion, campaign_id in await connection.fetch(sql("coupons_occasions"), occasions):
        if campaign_id is None:
            state.revoked.add(occasion)
        else:
            state.issued.add((occasion, campaign_id))


def _is_for_reward(command: IssueCoupons) -> bool:
    return command.natural_key is not None and command.natural_key.startswith(_OCCASION)
