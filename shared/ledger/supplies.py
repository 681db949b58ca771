"""Codes to issue: what randomness, a pool or an external API gives before the decision, which itself knows no
chance.
"""

import secrets
from collections import Counter
from collections.abc import Sequence

from shared.domain import codes
from shared.domain.commands import IssueCoupons
from shared.domain.coupon import code_key
from shared.domain.derive import derived_id
from shared.domain.state import State, Supply
from shared.ledger.database import Connection
from shared.ledger.sql import sql


async def load_supplies(
    connection: Connection, state: State, pooled: set[str], commands: Sequence[IssueCoupons]
) -> None:
    """Fill `state.supplies` and `state.issued` for `commands`; ids of coupons taken from a pool are added to `pooled`.

    A generated code that exists already is not looked for: the unique index finds it and the batch runs again with
    others, which at the entropy that a pattern must have happens about never.
    """
    occasions = [command.natural_key for command in commands if command.natural_key is not None]
    if occasions:
        state.issued.update(
            (record[0], record[1]) for record in await connection.fetch(sql("coupons_occasions"), occasions)
        )
    pools: Counter[str] = Counter()
    looked_at: dict[str, list[tuple[str, str]]] = {}
    generated: dict[str, list[tuple[str, str]]] = {}
    for command in commands:
        external = dict(command.external_codes)
        for campaign_id in command.campaign_ids:
            campaign = state.campaigns.get(campaign_id)
            if campaign is None or (command.natural_key, campaign_id) in state.issued:
                continue
            wanted = (command.command_id, campaign_id)
            if campaign.code.shared_code is not None:
                looked_at.setdefault(code_key(campaign.code.shared_code), []).append(wanted)
            elif campaign.source.kind == "pool":
                pools[campaign_id] += 1
            elif campaign.source.kind == "external":
                if (code := external.get(campaign_id)) is not None:
                    state.supplies[wanted] = Supply(derived_id("coupon", *wanted), code or None)
                    if code:
                        looked_at.setdefault(code_key(code), []).append(wanted)
            else:
                generated.setdefault(campaign_id, []).append(wanted)
    for campaign_id, wanting in generated.items():
        rule = state.campaigns[campaign_id].code
        made = codes.render_many(rule.pattern, rule.charset, len(wanting), secrets.token_bytes)
        for wanted, code in zip(wanting, made, strict=True):
            state.supplies[wanted] = Supply(derived_id("coupon", *wanted), code)
    if pools:
        await _take_from_pools(connection, state, pooled, commands, pools)
    if looked_at:
        await _look_at_codes(connection, state, looked_at)


async def _take_from_pools(
    connection: Connection, state: State, pooled: set[str], commands: Sequence[IssueCoupons], pools: Counter[str]
) -> None:
    taken: dict[str, list[Supply]] = {}
    for campaign_id, coupon_id, code in await connection.fetch(sql("pool_take"), list(pools), list(pools.values())):
        taken.setdefault(campaign_id, []).append(Supply(coupon_id, code))
        pooled.add(coupon_id)
    for command in commands:
        for campaign_id in command.campaign_ids:
            if (
                campaign_id in pools
                and (command.natural_key, campaign_id) not in state.issued
                and taken.get(campaign_id)
            ):
                state.supplies[command.command_id, campaign_id] = taken[campaign_id].pop(0)


async def _look_at_codes(connection: Connection, state: State, looked_at: dict[str, list[tuple[str, str]]]) -> None:
    """Shared codes become the supply of whoever asks; an external code must be new, so one that exists is no supply."""
    existing = {
        record["code_key"]: record for record in await connection.fetch(sql("coupons_read_by_code"), list(looked_at))
    }
    given: set[str] = set()
    for key, wanting in looked_at.items():
        for wanted in wanting:
            record = existing.get(key)
            if state.campaigns[wanted[1]].code.shared_code is not None:
                if record is not None:
                    state.supplies[wanted] = Supply(record["coupon_id"], record["code"])
            elif record is not None or key in given:
                del state.supplies[wanted]
            given.add(key)
