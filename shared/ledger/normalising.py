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

MAX_ROUNDS: Final = 20
"""Rounds of merges for one page. A merge may show that two more customers are the same; a few rounds are usual."""


@dataclass(slots=True)
class Normalised:
    """Counts: identifiers read, current forms added, customers merged into another, pairs that a split keeps separate,
    and identifiers that name no one. Those of a dry run are estimates if several forms join the same customers.
    """

    read: int = 0
    added: int = 0
    merged: int = 0
    separate: int = 0
    placeholders: int = 0
    invalid: int = 0


Forms = dict[Identifier, list[Identifier]]
"""Current forms, each with the stored identifiers that have it."""


async def normalise(pool: Pool, rules: IdentityRules, *, dry_run: bool = False) -> Normalised:
    """Add the current form of every stored identifier, and merge customers that turn out to be the same.

    In pages, on a live ledger; nothing is deleted, and a second run changes nothing. Raises LedgerUnavailableError.
    """
    found, after = Normalised(), ("", "")
    while True:
        rows = await pool.fetch(sql("identifiers_page"), *after, ROWS_PER_PAGE)
        forms: Forms = {}
        for kind, value, _ in rows:
            form = _current(kind, value, rules, found)
            if form is not None and form != (kind, value):
                forms.setdefault(form, []).append((kind, value))
        found.read += len(rows)
        for number in range(MAX_ROUNDS if forms else 0):
            merged = await _add(pool, forms, found, dry_run=dry_run, is_first=number == 0)
            if not merged or dry_run:
                break
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


async def _add(pool: Pool, forms: Forms, found: Normalised, *, dry_run: bool, is_first: bool) -> int:
    """Add the forms that are new, and merge the customers that share one. Return how many were merged into another."""

    async def attempt(_: int) -> tuple[int, set[Keys], set[Keys]]:
        async with pool.acquire() as connection, connection.transaction():
            known = await _known(connection, [*forms, *chain.from_iterable(forms.values())])
            keys = {form: [known[one] for one in (form, *stored) if one in known] for form, stored in forms.items()}
            new = [form for form, together in keys.items() if form not in known and together]
            if new and not dry_run:
                owners = [keys[form][0] for form in new]
                await connection.execute(sql("customers_add"), [kind for kind, _ in new], [v for _, v in new], owners)
            return len(new), *await _groups(connection, list(keys.values()))

    added, groups, separate = await persisting("Adding identifiers", attempt)
    found.added += added
    found.separate += len(separate) if is_first else 0
    merged = sum(len(group) - 1 for group in groups)
    if groups and not dry_run:
        merged = await persisting("A merge", lambda _: merge(pool, groups))
    found.merged += merged
    return merged


async def _groups(connection: Connection, together: Sequence[Sequence[CustomerKey]]) -> tuple[set[Keys], set[Keys]]:
    """Return the groups of customers to merge, and the pairs that stay separate.

    Customers of which some stay separate are merged in pairs, and the others in another round: then it is known who is
    who.
    """
    several = [list(dict.fromkeys(keys)) for keys in together if len(set(keys)) > 1]
    every = sorted(set(chain.from_iterable(several)))
    kept = await separate_customers(connection, every) if every else set()
    groups: set[Keys] = set()
    separate: set[Keys] = set()
    for first, *others in several:
        pairs = {frozenset((first, other)) for other in others}
        if any(pair <= {first, *others} for pair in kept):
            groups |= pairs - kept
            separate |= pairs & kept
        else:
            groups.add(frozenset((first, *others)))
    return groups, separate


async def _known(connection: Connection, names: Sequence[Identifier]) -> dict[Identifier, CustomerKey]:
    records: Sequence[asyncpg.Record] = await connection.fetch(
        sql("customers_find"), [kind for kind, _ in names], [value for _, value in names]
    )
    return {(kind, value): key for kind, value, key in records}
