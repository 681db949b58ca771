"""Import codes for campaigns whose source is a pool."""

from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Final

from shared.domain.model.coupon import code_key
from shared.domain.model.ids import derived_id
from shared.ledger.database import Pool
from shared.ledger.sql import sql

CODES_PER_STATEMENT: Final = 10_000


async def import_codes(pool: Pool, campaign_id: str, codes: Iterable[str]) -> tuple[int, list[str]]:
    """Add `codes` to a campaign's pool. Return how many were added, and the refused codes, which exist already.

    Importing the same codes twice adds them once. Codes are written in chunks; each chunk is atomic.
    """
    added = 0
    refused: list[str] = []
    # A code that is listed twice is added once, and left out once.
    remaining = iter(codes)
    while chunk := list(islice(remaining, CODES_PER_STATEMENT)):
        new = await _import_chunk(pool, campaign_id, chunk)
        added += len(new)
        for code in chunk:
            if (key := code_key(code)) in new:
                new.remove(key)
            else:
                refused.append(code)
    return added, refused


async def _import_chunk(pool: Pool, campaign_id: str, codes: Sequence[str]) -> set[str]:
    by_key: dict[str, str] = {}
    for code in codes:
        by_key.setdefault(code_key(code), code.strip())
    async with pool.acquire() as connection, connection.transaction():  # durable even if all exist
        records = await connection.fetch(
            sql("pool_import"),
            campaign_id,
            [derived_id("pooled", campaign_id, key) for key in by_key],
            list(by_key.values()),
            list(by_key),
        )
    return {record[0] for record in records}
