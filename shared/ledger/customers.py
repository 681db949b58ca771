"""Resolve the identifiers of events to customers, and merge customers that turn out to be the same.

Identifiers that occur together belong to one customer. If an event has the id of one customer and the email address
of another, they are merged into the older one, unless `couponry customers split` noted that they stay separate: then
the event's strongest identifier names its customer. No batch may run during a merge, so it has a transaction of its
own, and the batch that found it runs again.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import chain
from uuid import uuid4

from shared.domain.model.customer import (
    DEFAULT_RULES,
    Customer,
    CustomerKey,
    Identifier,
    IdentityRules,
    former_identifiers,
    identifiers,
)
from shared.ledger.database import Connection, Pool
from shared.ledger.sql import sql

DEFINITIONS_LOCK = 0x636F7501
"""Batches share this advisory lock; changes of campaigns and merges of customers take it exclusively."""


class CustomersToMergeError(Exception):
    """Customers turned out to be the same: merge each of `groups` (sets of keys), then run the batch again."""

    def __init__(self, groups: list[frozenset[CustomerKey]]) -> None:
        super().__init__(f"{len(groups)} customers have several keys that have to be merged")
        self.groups = groups


Keys = frozenset[CustomerKey]


async def resolve(
    connection: Connection,
    named: Mapping[str, Customer | None],
    rules: IdentityRules = DEFAULT_RULES,
    *,
    may_merge: bool = True,
) -> dict[str, CustomerKey | None]:
    """Return the customer key of each command by command id; None for a guest (no usable identifier).

    New customers are added. A unique violation means that another process added one of them at the same time; run the
    batch again. Raises CustomersToMergeError. Without `may_merge` the strongest known identifier counts instead.
    """
    names = {
        command_id: () if customer is None else identifiers(customer, rules) for command_id, customer in named.items()
    }
    former = {
        command_id: found
        for command_id, customer in named.items()
        if customer is not None and (found := former_identifiers(customer, names[command_id], rules))
    }
    unique = dict.fromkeys(chain(*names.values(), *former.values()))
    if not unique:
        return dict.fromkeys(named)
    records = await connection.fetch(
        sql("customers_find"), [kind for kind, _ in unique], [value for _, value in unique]
    )
    known: dict[Identifier, CustomerKey] = {(kind, value): key for kind, value, key in records}
    for command_id, found in former.items():
        names[command_id] += tuple([identifier for identifier in found if identifier in known])
    # Most customers are known by all of their identifiers already.
    customer_keys = {command_id: _known_key(together, known) for command_id, together in names.items()}
    unresolved = {
        command_id: names[command_id] for command_id, key in customer_keys.items() if key is None and names[command_id]
    }
    if unresolved:
        keys = await _grouped(connection, list(unresolved.values()), known, may_merge=may_merge)
        customer_keys.update((command_id, keys[together[0]]) for command_id, together in unresolved.items())
        if new := [identifier for identifier in keys if identifier not in known]:
            await connection.execute(
                sql("customers_add"),
                [kind for kind, _ in new],
                [value for _, value in new],
                [keys[identifier] for identifier in new],
            )
    return customer_keys


def _known_key(names: tuple[Identifier, ...], known: Mapping[Identifier, CustomerKey]) -> CustomerKey | None:
    """Return the key that all of `names` have; None if one is new or has another key."""
    if not names:
        return None
    key = known.get(names[0])
    for name in names[1:]:
        if known.get(name) != key:
            return None
    return key


async def _grouped(
    connection: Connection,
    named: Sequence[tuple[Identifier, ...]],
    known: Mapping[Identifier, CustomerKey],
    *,
    may_merge: bool,
) -> dict[Identifier, CustomerKey]:
    """Return the key of each identifier, as `_group` does. Raises CustomersToMergeError."""
    keys, several = _group(named, known)
    if several:
        together = set(chain.from_iterable(several))
        if may_merge:
            separate = await separate_customers(connection, together)
        else:
            separate = {frozenset((one, other)) for one in together for other in together if one != other}
        keys, several = _group(named, known, separate)
    if several:
        raise CustomersToMergeError(several)
    return keys


async def separate_customers(connection: Connection, keys: Iterable[CustomerKey]) -> set[Keys]:
    """Return the pairs of these customers that are never merged."""
    return {frozenset(record) for record in await connection.fetch(sql("separate_customers"), sorted(keys))}


def _group(
    named: Iterable[tuple[Identifier, ...]], known: Mapping[Identifier, CustomerKey], separate: Collection[Keys] = ()
) -> tuple[dict[Identifier, CustomerKey], list[Keys]]:
    """Return the key of each identifier, and the groups of keys to merge first.

    Identifiers named together, directly or through others, share a key, except those of customers that stay `separate`.
    """
    parents: dict[Identifier, Identifier] = {}
    keys: dict[Identifier, set[CustomerKey]] = {}

    def root(identifier: Identifier) -> Identifier:
        if identifier not in parents:
            parents[identifier] = identifier
            keys[identifier] = {known[identifier]} if identifier in known else set()
        while (parent := parents[identifier]) != identifier:
            parents[identifier] = parents[parent]
            identifier = parent
        return identifier

    for together in named:
        strongest = root(together[0])
        for identifier in together[1:]:
            other = root(identifier)
            pairs = (frozenset((a, b)) for a in keys[strongest] for b in keys[other])
            if other != strongest and not (separate and any(pair in separate for pair in pairs)):
                parents[other] = strongest
                keys[strongest] |= keys.pop(other)
    several = [frozenset(group) for group in keys.values() if len(group) > 1]
    chosen = {top: min(group) if group else str(uuid4()) for top, group in keys.items()}
    return {identifier: chosen[root(identifier)] for identifier in list(parents)}, several


async def merge(pool: Pool, groups: Iterable[frozenset[CustomerKey]]) -> int:
    """Merge each group into its oldest customer, who gets the identifiers, coupons, locks, orders and meters.

    Ledger entries never change and keep their key; `customers.merged_into` maps it to the customer that remains.
    Returns the number of customers that were merged into another.
    """
    merged = 0
    async with pool.acquire() as connection:
        for group in sorted(groups, key=sorted):
            async with connection.transaction():
                await connection.execute(sql("definitions_lock_exclusive"), DEFINITIONS_LOCK)
                keys = [record[0] for record in await connection.fetch(sql("customers_oldest_first"), sorted(group))]
                if len(keys) < 2 or await separate_customers(connection, keys):
                    continue  # another process merged them, or split them, while this one waited for the lock
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
            merged += len(keys) - 1
    return merged
