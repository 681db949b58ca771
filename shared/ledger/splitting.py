"""Split a customer that was merged by mistake.

The named identifiers become a customer of their own again. What the ledger wrote for a merged customer before the merge
has that customer's key, so it goes back if all of their identifiers leave together: coupons, locks, orders, entries.
What was written since the merge has the remaining customer's key and stays; there is no way to see whose it was.

No batch runs meanwhile, as in a merge. docs/decisions/0065-identifiers-and-splits.md says what is exact and what isn't.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import uuid4

import asyncpg

from shared.domain.model.campaign import Campaign
from shared.domain.model.customer import CustomerKey, Identifier
from shared.domain.model.verdicts import Verdict
from shared.ledger.campaigns import CampaignCache, UnreadableCampaignError
from shared.ledger.customers import DEFINITIONS_LOCK
from shared.ledger.database import Connection, Pool
from shared.ledger.erasing import open_of
from shared.ledger.journal import encode_verdict, look_up
from shared.ledger.period_metering import rebuild_customers_periods
from shared.ledger.persist import ENTRY_COLUMNS, JOURNAL_COLUMNS
from shared.ledger.retrying import persisting
from shared.ledger.split_entries import (
    Correction,
    EntryOfSplit,
    corrections,
    locks_that_return,
    orders_that_return,
)
from shared.ledger.sql import sql

MAX_IDENTIFIERS: Final = 100
"""Identifiers that leave at a time, and pairs to keep separate. A customer has a few."""

MAX_ENTRIES: Final = 10_000
"""Ledger entries of the customers that come back, which one transaction reads while batches wait: 0.2 seconds."""

COUNTED: Final = 10_000
"""Rows that are counted of what stays, which is only reported."""

COMMAND_ID: Final = "/couponry/split"


class SplitRefusedError(Exception):
    """The split can't be done. The message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Split:
    """A split as it was done, or would be. `left`: counts of what stays, each up to COUNTED.

    `incomplete`: merged customers of whom only some identifiers leave, so that what was theirs stays.
    """

    command_id: str
    stays: Identifier
    leaves: tuple[Identifier, ...]
    moved: Mapping[str, int]
    left: Mapping[str, int]
    incomplete: int
    kept_separate: bool


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to split: `who` stays, each of `separate` leaves. Both are what their texts may be, likeliest first."""

    who: Sequence[Identifier]
    separate: Sequence[Sequence[Identifier]]
    by: str
    keep_separate: bool = True
    dry_run: bool = False


async def split(pool: Pool, wanted: Wanted) -> Split:
    """Split a customer and return what was done. `dry_run`: undo it, and return what would be done.

    Raises SplitRefusedError, LedgerUnavailableError.
    """
    command_id = f"{COMMAND_ID} {uuid4()}"
    made: list[Split] = []

    async def attempt(_: int) -> Split:
        async with pool.acquire() as connection:
            transaction = connection.transaction()
            await transaction.start()
            try:
                await connection.execute(sql("definitions_lock_exclusive"), DEFINITIONS_LOCK)
                if not (made and await look_up(connection, [command_id])):  # unless the answer to a COMMIT was lost
                    made.append(await _split(connection, wanted, command_id))
            except BaseException:
                await transaction.rollback()
                raise
            await (transaction.rollback() if wanted.dry_run else transaction.commit())
        return made[-1]

    try:
        return await persisting("A split", attempt)
    except asyncpg.CheckViolationError as error:
        raise SplitRefusedError(
            f"The ledger entries of these customers can't be distinguished, so a total would be below zero: {error}"
        ) from error


async def rejoin(pool: Pool, one: Sequence[Identifier], other: Sequence[Identifier]) -> bool:
    """Let two customers that were split be merged again by the next event that names both. Return whether they were.

    Raises SplitRefusedError if one of them is unknown, or both are one customer already.
    """

    async def attempt(_: int) -> bool:
        async with pool.acquire() as connection, connection.transaction():
            await connection.execute(sql("definitions_lock_exclusive"), DEFINITIONS_LOCK)
            keys = [(await _known(connection, names))[1] for names in (one, other)]
            if keys[0] == keys[1]:
                raise SplitRefusedError("Both are one customer already; nothing keeps them separate.")
            return str(await connection.execute(sql("separate_remove"), *keys)) != "DELETE 0"

    return await persisting("A change of customers", attempt)


async def _split(connection: Connection, wanted: Wanted, command_id: str) -> Split:
    stays, key = await _known(connection, wanted.who)
    leaves = await _leaving(connection, wanted, stays, key)
    leaving, back, incomplete = await _sides(connection, key, leaves)
    returning = [record[0] for record in await connection.fetch(sql("split_back"), key, back)]
    new_key = returning[0] if returning else str(uuid4())
    if returning:
        await connection.execute(sql("split_unmerge"), new_key, returning)
    else:
        await connection.execute(sql("split_customer"), new_key)
    await connection.execute(sql("split_identifiers"), new_key, *_columns(leaving))
    keys = [record[0] for record in await connection.fetch(sql("erasure_keys"), key)]
    moved = {"identifiers": len(leaving)}
    now: datetime = await connection.fetchval(sql("batch_clock"))
    if returning:
        entries = await _entries(connection, returning, keys)
        moved |= await _give_back(connection, entries, key, new_key)
        moved["corrections"] = await _correct(connection, entries, (key, new_key), command_id, now)
        await _rebuild_totals(connection, entries, (key, new_key), [*keys, *returning])
    if wanted.keep_separate:
        await connection.execute(sql("separate_add"), *stays, *_columns(leaves))
    left = await connection.fetchrow(sql("split_left"), key, keys, COUNTED)
    made = Split(command_id, stays, tuple(leaves), moved, dict(left or {}), incomplete, wanted.keep_separate)
    await _record(connection, made, key, wanted.by, now)
    return made


async def _known(connection: Connection, names: Sequence[Identifier]) -> tuple[Identifier, CustomerKey]:
    """Return the first known identifier of `names`, and its customer. Raises SplitRefusedError."""
    for kind, value in names:
        for record in await connection.fetch(sql("customers_find"), [kind], [value]):
            return (kind, value), record["customer_key"]
    written = names[0][1] if names else ""
    if await open_of(connection, names) is not None:
        raise SplitRefusedError(f"{written!r} is being erased; nothing is left to split.")
    raise SplitRefusedError(f"No customer is known as {written!r}; check it with `couponry customers show`.")


async def _leaving(connection: Connection, wanted: Wanted, stays: Identifier, key: CustomerKey) -> list[Identifier]:
    if not 0 < len(wanted.separate) <= MAX_IDENTIFIERS:
        raise SplitRefusedError(f"Name 1 to {MAX_IDENTIFIERS} identifiers to split from {stays[1]!r}.")
    leaves: dict[Identifier, None] = {}
    for names in wanted.separate:
        identifier, owner = await _known(connection, names)
        if identifier == stays:
            raise SplitRefusedError(f"{stays[1]!r} can't be split from itself; name another identifier.")
        if owner != key:
            raise SplitRefusedError(
                f"{identifier[1]!r} and {stays[1]!r} are different customers already; nothing to split."
            )
        leaves[identifier] = None
    return list(leaves)


async def _sides(
    connection: Connection, key: CustomerKey, leaves: Sequence[Identifier]
) -> tuple[list[Identifier], list[CustomerKey], int]:
    """Return the identifiers that change their key, the merged customers that come back, and how many can't.

    The oldest customer of a merge keeps its key. If all of that customer's own identifiers leave, the others get
    another key instead: the two sides are the same, and what was theirs can go back.
    """
    groups = {record[0]: record for record in await connection.fetch(sql("split_groups"), key, *_columns(leaves))}
    leaving = list(leaves)
    own = groups.pop(None, None)
    swapped = own is not None and own["leaving"] == own["identifiers"]
    if swapped:
        others = await connection.fetch(sql("split_others"), key, *_columns(leaves), MAX_IDENTIFIERS + 1)
        if len(others) > MAX_IDENTIFIERS:
            raise SplitRefusedError(
                f"This customer has more than {MAX_IDENTIFIERS} other identifiers; name those that leave instead."
            )
        leaving = [(record["kind"], record["value"]) for record in others]
    gone = {
        first_key: record["identifiers"] - record["leaving"] if swapped else record["leaving"]
        for first_key, record in groups.items()
    }
    back = [first_key for first_key, number in gone.items() if number == groups[first_key]["identifiers"]]
    return leaving, back, sum(0 < number < groups[first_key]["identifiers"] for first_key, number in gone.items())


async def _entries(
    connection: Connection, returning: Sequence[CustomerKey], keys: Sequence[CustomerKey]
) -> list[EntryOfSplit]:
    """Return the entries of the customers that come back, and the remaining customer's on the same coupons and locks.

    Raises SplitRefusedError if there are too many.
    """
    theirs = await connection.fetch(sql("split_entries"), returning, MAX_ENTRIES + 1)
    coupons = list({record["coupon_id"] for record in theirs})
    locks = list({record["lock_reference"] for record in theirs if record["lock_reference"] is not None})
    beside = await connection.fetch(sql("split_entries_beside"), keys, coupons, locks, MAX_ENTRIES + 1)
    if max(len(theirs), len(beside)) > MAX_ENTRIES:
        raise SplitRefusedError(
            f"These customers have more than {MAX_ENTRIES:,} ledger entries, too many for one transaction: they are "
            "probably a placeholder that many people share. Set COUPONRY_PLACEHOLDERS; nothing was changed."
        )
    return [EntryOfSplit(**record) for record in (*theirs, *beside)]


async def _give_back(
    connection: Connection, entries: Sequence[EntryOfSplit], key: CustomerKey, new_key: CustomerKey
) -> dict[str, int]:
    theirs = [entry for entry in entries if entry.returns]
    rows = {
        "coupons": [entry.coupon_id for entry in theirs if entry.kind == "issued"],
        "locks": sorted(reference for reference, returns in locks_that_return(entries).items() if returns),
        "orders": orders_that_return(entries),
    }
    moved = {"ledger_entries": len(theirs)}
    for name, ids in rows.items():
        status = await connection.execute(sql(f"split_{name}"), new_key, key, ids)
        moved[name] = int(status.rpartition(" ")[2])
    return moved


async def _correct(
    connection: Connection,
    entries: Sequence[EntryOfSplit],
    sides: tuple[CustomerKey, CustomerKey],
    command_id: str,
    now: datetime,
) -> int:
    """Write pairs of entries for changes that were undone under the other customer's key. Return their number."""
    found = corrections(entries)
    key, new_key = sides
    rows = [
        row for one in found for row in (_row(one, new_key, 1, command_id, now), _row(one, key, -1, command_id, now))
    ]
    if rows:
        await connection.copy_records_to_table("ledger_entries", records=rows, columns=ENTRY_COLUMNS)
    return len(found)


def _row(one: Correction, customer_key: CustomerKey, sign: int, command_id: str, now: datetime) -> tuple[object, ...]:
    campaign_id, currency, counted_at = one.place
    return (
        now, "moved", one.coupon_id, campaign_id, customer_key, one.order_id, one.lock_reference, None, command_id,
        sign * one.held[0], sign * one.used[0], sign * one.held[1], sign * one.used[1], currency, None, None,
        counted_at, None, None,
    )  # fmt: skip


async def _rebuild_totals(
    connection: Connection,
    entries: Sequence[EntryOfSplit],
    sides: tuple[CustomerKey, CustomerKey],
    keys: Sequence[CustomerKey],
) -> None:
    """Compute the totals of both customers again, in the campaigns of the entries. `keys`: all of their keys."""
    ids = sorted({entry.campaign_id for entry in entries})
    campaigns = await _campaigns(connection, ids)
    await connection.execute(sql("split_meters_emptied"), sides, ids)
    metered = [campaign for campaign in campaigns if campaign.meters_customers]
    none = [None] * len(metered)
    await connection.execute(
        sql("meters_rebuild"),
        [campaign.campaign_id for campaign in metered],
        [False] * len(metered),
        [True] * len(metered),
        none,
        none,
        [campaign.limits.coupons_per_customer for campaign in metered],
        [campaign.limits.uses_per_customer for campaign in metered],
        none,
        keys,
    )
    await connection.execute(sql("split_period_meters_removed"), sides, ids)
    await rebuild_customers_periods(connection, campaigns, keys)


async def _campaigns(connection: Connection, ids: Sequence[str]) -> list[Campaign]:
    known = await CampaignCache().refresh(connection)
    try:
        return [known[campaign_id] for campaign_id in ids if campaign_id in known]
    except UnreadableCampaignError as error:
        raise SplitRefusedError(f"{error} Then split the customer again.") from error


async def _record(connection: Connection, made: Split, key: CustomerKey, by: str, now: datetime) -> None:
    """Record the split in the journal, without the identifiers: an erasure removes what it says about the customer."""
    metadata = {"by": by, "moved": made.moved, "left": made.left, "kept_separate": made.kept_separate}
    verdict = Verdict(made.command_id, "recorded", now, customer_key=key, metadata=metadata)
    row: tuple[object, ...] = (
        made.command_id,
        b"\0",
        "SplitCustomer",
        "recorded",
        [],
        None,
        encode_verdict(verdict),
        now,
    )
    await connection.copy_records_to_table("journal", records=[row], columns=JOURNAL_COLUMNS)


def _columns(identifiers: Sequence[Identifier]) -> tuple[list[str], list[str]]:
    return [kind for kind, _ in identifiers], [value for _, value in identifiers]
