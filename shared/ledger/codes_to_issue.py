"""Load the codes to issue, from a generator, a pool or an external API, because decisions are deterministic."""

import secrets
from collections import Counter
from collections.abc import Iterator, Sequence

from shared.domain.coupons import code_patterns as codes
from shared.domain.model.commands import CreateCoupons, IssueCoupons
from shared.domain.model.coupon import code_key
from shared.domain.model.ids import derived_id
from shared.domain.model.state import State, Supply, SupplyKey
from shared.ledger.database import Connection
from shared.ledger.rewards import load_occasions
from shared.ledger.sql import sql

Wanted = SupplyKey
"""A coupon that a command needs: (command id, campaign id, number)."""


async def load_supplies(
    connection: Connection, state: State, pooled: set[str], makers: Sequence[IssueCoupons | CreateCoupons]
) -> None:
    """Fill `state.supplies`, `state.issued` and `state.taken` for `makers`.

    Add the ids of coupons taken from a pool to `pooled`.

    Generated codes aren't checked for duplicates: the unique index finds one, and the batch runs again with other
    codes. With the entropy that a pattern must have, this practically never happens.
    """
    commands = [command for command in makers if isinstance(command, IssueCoupons)]
    creations = [command for command in makers if isinstance(command, CreateCoupons)]
    occasions = [command.natural_key for command in commands if command.natural_key is not None]
    if occasions:
        await load_occasions(connection, state, occasions)
    wanted = _wanted(state, commands)
    wanted.setdefault("generated", []).extend(_created(state, creations))
    _generate(state, wanted.get("generated", []))
    if pooled_wanted := wanted.get("pool"):
        await _take_from_pools(connection, state, pooled, pooled_wanted)
    external = {
        (command.command_id, campaign_id, 0): code
        for command in commands
        for campaign_id, code in command.external_codes
    }
    looked_at: dict[str, list[Wanted]] = {}
    for wanted_key in wanted.get("shared", []):
        looked_at.setdefault(code_key(state.campaigns[wanted_key[1]].code.shared_code or ""), []).append(wanted_key)
    for wanted_key in wanted.get("external", []):
        if (code := external.get(wanted_key)) is not None:
            state.supplies[wanted_key] = Supply(_coupon_id(wanted_key), code or None)
            if code:
                looked_at.setdefault(code_key(code), []).append(wanted_key)
    await _supply_given(connection, state, creations)
    if looked_at:
        await _look_at_codes(connection, state, looked_at)


def _wanted(state: State, commands: Sequence[IssueCoupons]) -> dict[str, list[Wanted]]:
    """Return the needed coupons by source of their codes, without served or revoked occasions and unknown campaigns."""
    wanted: dict[str, list[Wanted]] = {}
    for command in commands:
        for campaign_id in command.campaign_ids:
            campaign = state.campaigns.get(campaign_id)
            if campaign is None or command.natural_key in state.revoked:
                continue
            if (command.natural_key, campaign_id) in state.issued:
                continue
            kind = "shared" if campaign.code.shared_code is not None else campaign.source.kind
            wanted.setdefault(kind, []).extend(
                (command.command_id, campaign_id, number) for number in range(command.coupons_of(campaign_id))
            )
    return wanted


def _created(state: State, creations: Sequence[CreateCoupons]) -> Iterator[Wanted]:
    """Yield the bulk coupons that need a code. If the campaign can't generate codes, the decision refuses them."""
    for command in creations:
        campaign = state.campaigns.get(command.campaign_id)
        if campaign is not None and not command.codes:
            yield from ((command.command_id, command.campaign_id, number) for number in range(command.count))


async def _supply_given(connection: Connection, state: State, creations: Sequence[CreateCoupons]) -> None:
    """Supply the codes that commands bring, and load which of them exist already for the decision.

    They aren't locked: if another batch inserts one at the same time, the unique index breaks and this batch runs
    again.
    """
    keys = {code_key(code) for command in creations for code in command.codes}
    if not keys:
        return
    for record in await connection.fetch(sql("coupons_read_by_code"), sorted(keys)):
        state.taken[record["code_key"]] = record["campaign_id"]
    for command in creations:
        for number, code in enumerate(command.codes):
            wanted_key = (command.command_id, command.campaign_id, number)
            state.supplies[wanted_key] = Supply(_coupon_id(wanted_key), code.strip())


def _coupon_id(wanted_key: Wanted) -> str:
    command_id, campaign_id, number = wanted_key
    return derived_id("coupon", command_id, campaign_id, *([str(number)] if number else []))


def _generate(state: State, wanted: Sequence[Wanted]) -> None:
    of_campaign: dict[str, list[Wanted]] = {}
    for wanted_key in wanted:
        of_campaign.setdefault(wanted_key[1], []).append(wanted_key)
    for campaign_id, wanted_keys in of_campaign.items():
        if state.campaigns[campaign_id].source.without_code:
            state.supplies.update((wanted_key, Supply(_coupon_id(wanted_key), None)) for wanted_key in wanted_keys)
            continue
        rule = state.campaigns[campaign_id].code
        made = codes.render_many(rule.pattern, rule.charset, len(wanted_keys), secrets.token_bytes)
        for wanted_key, code in zip(wanted_keys, made, strict=True):
            state.supplies[wanted_key] = Supply(_coupon_id(wanted_key), code)


async def _take_from_pools(connection: Connection, state: State, pooled: set[str], wanted: Sequence[Wanted]) -> None:
    counts = Counter(campaign_id for _, campaign_id, _ in wanted)
    taken: dict[str, list[Supply]] = {}
    for campaign_id, coupon_id, code in await connection.fetch(sql("pool_take"), list(counts), list(counts.values())):
        taken.setdefault(campaign_id, []).append(Supply(coupon_id, code))
        pooled.add(coupon_id)
    for wanted_key in wanted:
        if taken.get(wanted_key[1]):
            state.supplies[wanted_key] = taken[wanted_key[1]].pop(0)


async def _look_at_codes(connection: Connection, state: State, looked_at: dict[str, list[Wanted]]) -> None:
    """Supply shared codes, and remove external codes that exist already, because they must be new."""
    records = await connection.fetch(sql("coupons_read_by_code"), list(looked_at))
    existing = {record["code_key"]: record for record in records}
    for key, wanted_keys in looked_at.items():
        record = existing.get(key)
        given = record is not None
        for wanted_key in wanted_keys:
            if state.campaigns[wanted_key[1]].code.shared_code is not None:
                if record is not None:
                    state.supplies[wanted_key] = Supply(record["coupon_id"], record["code"])
            elif given:
                del state.supplies[wanted_key]
            else:
                given = True
