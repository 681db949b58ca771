"""Add the current form of identifiers that earlier versions, or other rules, stored in another form.

Look-ups find the stored forms of what an event says. But `+44 161 496 0000` doesn't say that it was stored as
`+4401614960000` once; this finds such customers, and merges those that are one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Final

import asyncpg

from shared.domain.model.customer import (
    NO_RULES,
    Customer,
    CustomerKey,
    Identifier,
    IdentifierKind,
    IdentityRules,
    identifiers,
)
from shared.ledger.customers import Keys, merge, separate_customers
from shared.ledger.database import Connection, Pool
from shared.ledger.retrying import persisting
from shared.ledger.sql import sql

ROWS_PER_PAGE: Final = 500
"""Phone numbers that are parsed without a pause: about 10 ms."""


@dataclass(slots=True)
class Normalised:
    """Counts: identifiers read, current forms added, pairs of customers merged, pairs that a split keeps separate, and
    identifiers that name no one.
    """

    read: int = 0
    added: int = 0
    merged: int = 0
    separate: int = 0
    placeholders: int = 0
    invalid: int = 0


async def normalise(pool: Pool, rules: IdentityRules, *, dry_run: bool = False) -> Normalised:
    """Add the current form of every stored identifier, and merge customers that turn out to be the same.

    In pages, on a live ledger; nothing is deleted, and a second run changes nothing. Raises LedgerUnavailableError.
    """
    found, after = Normalised(), ("", "")
    while True:
        rows = await pool.fetch(sql("identifiers_page"), *after, ROWS_PER_PAGE)
        current: dict[Identifier, CustomerKey] = {}
        for kind, value, key in rows:
            form = _current(kind, value, rules, found)
            if form is not None and form != (kind, value):
                current.setdefault(form, key)
        found.read += len(rows)
        if current:
            await _add(pool, current, found, dry_run=dry_run)
        if len(rows) < ROWS_PER_PAGE:
            return found
        after = (rows[-1]["kind"], rows[-1]["value"])


def _current(kind: IdentifierKind, value: str, rules: IdentityRules, found: Normalised) -> Identifier | None:
    """Return the current form of a stored identifier; None, and count it, if it names no one."""
    customer = Customer(
        value if kind == "id" else None, value if kind == "email" else None, value if kind == "mobile" else None
    )
    names = identifiers(customer, rules)
    if names:
        return names[0]
    if identifiers(customer, NO_RULES):
        found.placeholders += 1
    else:
        found.invalid += 1
    return None


async def _add(pool: Pool, current: dict[Identifier, CustomerKey], found: Normalised, *, dry_run: bool) -> None:
    async def attempt(_: int) -> tuple[dict[Identifier, CustomerKey], set[Keys], set[Keys]]:
        async with pool.acquire() as connection, connection.transaction():
            known = await _known(connection, list(current))
            groups = {frozenset((key, current[name])) for name, key in known.items() if key != current[name]}
            together = sorted(set(chain.from_iterable(groups)))
            separate = groups & await separate_customers(connection, together) if together else set()
            new = [name for name in current if name not in known]
            if new and not dry_run:
                keys = [current[name] for name in new]
                await connection.execute(sql("customers_add"), [kind for kind, _ in new], [v for _, v in new], keys)
            return known, groups - separate, separate

    known, groups, separate = await persisting("Adding identifiers", attempt)
    found.added += len(current.keys() - known.keys())
    found.merged += len(groups)
    found.separate += len(separate)
    if groups and not dry_run:
        await persisting("A merge", lambda _: merge(pool, groups))


async def _known(connection: Connection, names: Sequence[Identifier]) -> dict[Identifier, CustomerKey]:
    records: Sequence[asyncpg.Record] = await connection.fetch(
        sql("customers_find"), [kind for kind, _ in names], [value for _, value in names]
    )
    return {(kind, value): key for kind, value, key in records}
