"""Who is who: from the identifiers that an event names to one person.

A person is whoever shares an identifier. When an event shows that two persons we knew apart are one (its id is
known as one, its e-mail as another), they are merged into the older; that needs every batch to stand still for a
moment,
so it is done in a transaction of its own, and the batch that found out runs again.
"""

from collections.abc import Iterable, Mapping
from itertools import chain
from uuid import uuid4

from shared.domain.model.customer import Customer, CustomerKey, Identifier, identifiers
from shared.ledger.database import Connection, Pool
from shared.ledger.sql import sql

DEFINITIONS_LOCK = 0x636F7501
"""Batches share it; what changes the ground they stand on (a campaign, who is who) takes it alone."""


class SamePersonError(Exception):
    """Persons that the ledger knew apart turned out to be one; merge `groups` of keys, then run the batch again."""

    def __init__(self, groups: list[frozenset[CustomerKey]]) -> None:
        super().__init__(f"{len(groups)} customers are known under several names; they are to be merged")
        self.groups = groups


async def resolve(connection: Connection, named: Mapping[str, Customer | None]) -> dict[str, CustomerKey | None]:
    """The person that each command names: command id → key, None for a guest (nobody, or nobody identifiable).

    Persons seen for the first time are added. Raises SamePersonError; a unique violation means that another process
    added one of them at the same time, and the batch is to run again.
    """
    names = {command_id: () if customer is None else identifiers(customer) for command_id, customer in named.items()}
    unique = dict.fromkeys(chain.from_iterable(names.values()))
    if not unique:
        return dict.fromkeys(named)
    records = await connection.fetch(
        sql("customers_find"), [kind for kind, _ in unique], [value for _, value in unique]
    )
    known: dict[Identifier, CustomerKey] = {(kind, value): key for kind, value, key in records}
    # Who is known by all of their names as one person tells nothing new: most customers, most of the time.
    people = {command_id: _person(together, known) for command_id, together in names.items()}
    telling = {command_id: names[command_id] for command_id, key in people.items() if key is None and names[command_id]}
    if telling:
        keys = _group(telling.values(), known)
        people.update((command_id, keys[together[0]]) for command_id, together in telling.items())
        if new := [identifier for identifier in unique if identifier not in known]:
            await connection.execute(
                sql("customers_add"),
                [kind for kind, _ in new],
                [value for _, value in new],
                [keys[identifier] for identifier in new],
            )
    return people


def _person(names: tuple[Identifier, ...], known: Mapping[Identifier, CustomerKey]) -> CustomerKey | None:
    """Whom all of `names` are known to mean; None where one is new, or means somebody else."""
    if not names:
        return None
    key = known.get(names[0])
    for name in names[1:]:
        if known.get(name) != key:
            return None
    return key


def _group(
    named: Iterable[tuple[Identifier, ...]], known: Mapping[Identifier, CustomerKey]
) -> dict[Identifier, CustomerKey]:
    """One key for all identifiers that were named together, directly or through others. Raises SamePersonError."""
    parents: dict[Identifier, Identifier] = {}

    def root(identifier: Identifier) -> Identifier:
        while (parent := parents.setdefault(identifier, identifier)) != identifier:
            parents[identifier] = parents[parent]
            identifier = parent
        return identifier

    for together in named:
        for identifier in together:
            parents[root(identifier)] = root(together[0])
    keys: dict[Identifier, set[CustomerKey]] = {}
    for identifier in list(parents):
        group = keys.setdefault(root(identifier), set())
        if identifier in known:
            group.add(known[identifier])
    if several := [frozenset(group) for group in keys.values() if len(group) > 1]:
        raise SamePersonError(several)
    chosen = {top: next(iter(group)) if group else str(uuid4()) for top, group in keys.items()}
    return {identifier: chosen[root(identifier)] for identifier in parents}


async def merge(pool: Pool, groups: Iterable[frozenset[CustomerKey]]) -> None:
    """Make one person of each group: the oldest, whose the others' identifiers, coupons, locks and meters become.

    Transfers are for good and keep the key they were written with; `customers.merged_into` says whom it means now.
    """
    async with pool.acquire() as connection:
        for group in sorted(groups, key=sorted):
            async with connection.transaction():
                await connection.execute(sql("definitions_lock_exclusive"), DEFINITIONS_LOCK)
                keys = [record[0] for record in await connection.fetch(sql("customers_oldest_first"), sorted(group))]
                if len(keys) < 2:
                    continue  # somebody else merged them while we waited for our turn
                for statement in (
                    "customers_merge",
                    "customers_merge_segments",
                    "customers_merge_identifiers",
                    "customers_merge_coupons",
                    "customers_merge_locks",
                    "customers_merge_orders",
                    "customers_merge_meters",
                    "customers_merge_meters_emptied",
                    "customers_merge_period_meters",
                    "customers_merge_period_meters_emptied",
                ):
                    await connection.execute(sql(statement), keys[0], keys[1:])
