"""Free the codes of an archived campaign, so that a later campaign can use them; its coupons keep their history."""

from dataclasses import dataclass
from typing import Final

from shared.ledger.customers import DEFINITIONS_LOCK
from shared.ledger.database import Pool
from shared.ledger.sql import sql

CODES_PER_STATEMENT: Final = 5_000
"""Codes freed in one transaction: it locks their coupons for a fraction of a second."""


class NotArchivedError(ValueError):
    """The campaign isn't archived, so its codes are still in use."""


@dataclass(frozen=True, slots=True)
class Freed:
    """The number of freed codes. `more`: the limit of the call was reached; the same call again continues."""

    codes: int
    more: bool


async def free_codes(pool: Pool, campaign_id: str, most: int | None = None) -> Freed:
    """Free at most `most` codes of an archived campaign (None: all), in transactions of 5,000.

    Freed coupons can't be named by their code any more. Locks and orders that have them are not affected. Can be
    repeated after an interruption. Raises NotArchivedError, also if the campaign becomes active meanwhile.
    """
    freed = 0
    while most is None or freed < most:
        size = CODES_PER_STATEMENT if most is None else min(CODES_PER_STATEMENT, most - freed)
        async with pool.acquire() as connection, connection.transaction():
            await connection.execute(sql("batch_begin"), DEFINITIONS_LOCK)  # no change of the campaign meanwhile
            if not await connection.fetchval(sql("codes_freed_mark"), campaign_id):
                raise NotArchivedError(f"Campaign {campaign_id!r} isn't archived; archive it before freeing its codes.")
            written = int((await connection.execute(sql("codes_free"), campaign_id, size)).rpartition(" ")[2])
        freed += written
        if written < size:
            return Freed(freed, more=False)
    return Freed(freed, more=True)
