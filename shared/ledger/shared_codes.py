"""Shared codes: which of them other coupons have, and freed codes of campaigns that become active again."""

from collections.abc import Sequence
from typing import Final, NamedTuple

import asyncpg

from shared.domain.model.coupon import code_key
from shared.domain.model.ids import derived_id
from shared.ledger.database import Connection
from shared.ledger.sql import sql

MOST_TAKEN_BACK: Final = 50_000
"""Freed codes that can be taken back: all at once, while every batch waits, which takes about a second."""


class CodeTakenError(asyncpg.UniqueViolationError):
    """Another coupon has a code. A unique violation like that of the index, which refuses the same a moment later."""

    constraint_name = "coupons_code_key"


class WantedCode(NamedTuple):
    """The shared code of a campaign, and the limit of its uses."""

    campaign_id: str
    code: str
    archived: bool
    uses_limit: int | None = None

    @property
    def key(self) -> str:
        return code_key(self.code)

    @property
    def coupon_id(self) -> str:
        """The id of the campaign's coupon; one that an earlier version made may have another."""
        return derived_id("shared coupon", self.campaign_id, self.key)


async def taken_codes(connection: Connection, wanted: Sequence[WantedCode], active: Sequence[str]) -> dict[str, str]:
    """Return, by campaign id, a sentence about a code that another coupon has. Archived campaigns never need theirs.

    `active`: the campaigns that are or become active, whose freed codes are needed again.
    """
    taken: dict[str, str] = {}
    first: dict[str, WantedCode] = {}
    for one in wanted:
        if not one.archived and (other := first.setdefault(one.key, one)) is not one:
            taken[one.campaign_id] = _sentence(one.code, other.campaign_id, other.code, None)
    needed = [one for one in wanted if not one.archived]
    if needed:
        records = await connection.fetch(
            sql("plan_codes_taken"),
            [one.campaign_id for one in needed],
            [one.key for one in needed],
            [one.coupon_id for one in needed],
            [one.code for one in needed],
        )
        for campaign_id, code, owner, status, owner_code in records:
            taken[campaign_id] = _sentence(code, owner, owner_code, status)
    if active:
        record = await connection.fetchrow(sql("codes_freed_taken"), active, MOST_TAKEN_BACK + 1)
        if record is not None and record["owner"] is not None:
            taken[record["campaign_id"]] = (
                f"Its codes were freed, and campaign {record['owner']!r} uses {record['code']!r} now, so it can't be "
                f"active again; create a new campaign, or free the codes of {record['owner']!r} first."
            )
        elif record is not None and record["codes"] > MOST_TAKEN_BACK:
            taken[record["campaign_id"]] = (
                f"Its codes were freed, and more than {MOST_TAKEN_BACK:,} can't be taken back; create a new campaign."
            )
    return taken


def _sentence(code: str, owner: str, owner_code: str, owner_status: str | None) -> str:
    written = "" if code.strip() == owner_code.strip() else f", written {owner_code!r}"
    free = f", or free it with `couponry campaigns archive {owner} --free-codes`" if owner_status == "archived" else ""
    return f"code.shared_code: a coupon of campaign {owner!r} has that code already{written}; choose another{free}."


async def add_shared_coupons(connection: Connection, wanted: Sequence[WantedCode], active: Sequence[str]) -> None:
    """Add the coupons that campaigns with a shared code need. Campaigns that are active again get freed codes back.

    Raises CodeTakenError if another coupon has one of the codes.
    """
    for campaign_id, problem in (await taken_codes(connection, wanted, active)).items():
        raise CodeTakenError(f"Campaign {campaign_id!r}: {problem}")
    if active:
        await connection.execute(sql("codes_take_back"), active)
        await connection.execute(sql("codes_taken_back"), active)
    for name, archived in (("coupons_add_shared", False), ("coupons_add_archived", True)):
        if added := [one for one in wanted if one.archived is archived]:
            await connection.execute(
                sql(name),
                [one.coupon_id for one in added],
                [one.code.strip() for one in added],
                [one.key for one in added],
                [one.campaign_id for one in added],
                [one.uses_limit for one in added],
            )
