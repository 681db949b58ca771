"""API keys. A key is shown once, when it is created, and stored as a hash.

A key is `cpn_<id>_<secret>`. The id finds its row. The secret has 256 random bits, so it can't be guessed, and a fast
hash is enough.
"""

import asyncio
import hmac
import re
import secrets
import time
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Final

from schemas.limits import MAX_ID_LENGTH
from services.gateway.access.callers import SCOPES, Caller
from services.gateway.access.failures import Failures
from shared.ledger.database import Connection, Pool
from shared.ledger.sql import sql

PACKAGE: Final = "services.gateway"
PATTERN: Final = re.compile(r"cpn_([0-9a-f]{12})_([A-Za-z0-9_-]{43})")

REMEMBERED_SECONDS: Final = 5.0
"""Time for which a gateway caches a key. A revoked key works for at most so long."""

MAX_REMEMBERED: Final = 10_000
MAX_GROUPS: Final = 100
Remembered = tuple[float, bytes, Caller]
"""(expiry by the monotonic clock, hash of the secret, caller)"""

UNKNOWN_PER_MINUTE: Final = 60


class ApiKeyError(ValueError):
    """A key that can't be created or revoked. The message is the reason."""


@dataclass(frozen=True, slots=True)
class NewKey:
    """A new key. `key` can't be read again later."""

    key_id: str
    key: str


@dataclass(frozen=True, slots=True)
class Key:
    """A key without its secret."""

    key_id: str
    name: str
    scopes: tuple[str, ...]
    created_at: datetime
    revoked_at: datetime | None
    groups: tuple[str, ...] | None = None


async def create(
    connection: Connection | Pool, name: str, scopes: Iterable[str], groups: Iterable[str] | None = None
) -> NewKey:
    """Create a key, bound to `groups` of campaigns; None: for all campaigns.

    Raises ApiKeyError for an unknown scope, no scope at all, or an invalid name or group.
    """
    wanted = tuple(dict.fromkeys(scopes))
    unknown = [scope for scope in wanted if scope not in SCOPES]
    if unknown or not wanted:
        problem = f"Scope {unknown[0]!r} doesn't exist" if unknown else "A key needs at least one scope"
        raise ApiKeyError(f"{problem}; the scopes are {', '.join(SCOPES)}.")
    if not name.strip() or len(name) > 100 or not name.isprintable():
        raise ApiKeyError("A key's name must have 1 to 100 printable characters.")
    bound = None if groups is None else sorted(set(groups))
    if bound is not None and not (0 < len(bound) <= MAX_GROUPS and all(map(_is_group, bound))):
        raise ApiKeyError(f"A key can be bound to 1 to {MAX_GROUPS} groups; a group's name must not be blank.")
    key_id, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
    await connection.execute(sql("key_create", PACKAGE), key_id, name.strip(), _hash(secret), list(wanted), bound)
    return NewKey(key_id, f"cpn_{key_id}_{secret}")


async def revoke(connection: Connection | Pool, key_id: str) -> None:
    """Revoke a key permanently. Raises ApiKeyError for an unknown or revoked key."""
    if await connection.fetchval(sql("key_revoke", PACKAGE), key_id) is None:
        raise ApiKeyError(f"Key {key_id!r} doesn't exist or was revoked; `couponry keys list` lists the keys.")


async def list_all(connection: Connection | Pool) -> list[Key]:
    """Return all keys, oldest first."""
    records = await connection.fetch(sql("keys_list", PACKAGE))
    return [
        Key(
            record["key_id"],
            record["name"],
            tuple(record["scopes"]),
            record["created_at"],
            record["revoked_at"],
            None if record["campaign_groups"] is None else tuple(record["campaign_groups"]),
        )
        for record in records
    ]


class Keys:
    """Finds the callers of keys, and caches them for REMEMBERED_SECONDS, unknown keys as well."""

    def __init__(self, pool: Pool, failures: Failures | None = None) -> None:
        self._pool = pool
        self._failures = failures or Failures(UNKNOWN_PER_MINUTE)
        self._remembered: OrderedDict[str, Remembered] = OrderedDict()
        self._unknown: OrderedDict[str, float] = OrderedDict()
        self._lookups: dict[str, asyncio.Task[Remembered | None]] = {}

    async def caller(self, key: str, address: str = "") -> Caller | None:
        """Return the key's caller; None if the key is unknown, revoked or malformed.

        Raises a Problem (429) for an unknown key if its address sent too many of them. The ledger is not queried then.
        """
        match = PATTERN.fullmatch(key.strip())
        if match is None:
            return None
        key_id, secret = match.groups()
        known = self._remembered.get(key_id)
        if known is not None and hmac.compare_digest(known[1], _hash(secret)):
            # Limits of the address don't apply to a key that was valid recently, so other clients can't block it.
            if known[0] < time.monotonic():
                known = await self._look_up(key_id)
            return known[2] if known is not None and hmac.compare_digest(known[1], _hash(secret)) else None
        async with self._failures.attempt(address) as attempt:
            if self._unknown.get(key_id, 0.0) < time.monotonic():
                known = await self._look_up(key_id)
                if known is not None and hmac.compare_digest(known[1], _hash(secret)):
                    return known[2]
            attempt.failed()
        return None

    async def _look_up(self, key_id: str) -> Remembered | None:
        """Read the key from the ledger, with one query for all concurrent requests."""
        lookup = self._lookups.get(key_id)
        if lookup is None:
            lookup = self._lookups[key_id] = asyncio.create_task(self._read(key_id))
            lookup.add_done_callback(lambda task: self._forget_lookup(key_id, task))
        return await asyncio.shield(lookup)

    def _forget_lookup(self, key_id: str, lookup: asyncio.Task[Remembered | None]) -> None:
        self._lookups.pop(key_id, None)
        if not lookup.cancelled():
            lookup.exception()  # mark it as retrieved; requests that still wait raise it

    async def _read(self, key_id: str) -> Remembered | None:
        record = await self._pool.fetchrow(sql("key_find", PACKAGE), key_id)
        until = time.monotonic() + REMEMBERED_SECONDS
        if record is None:
            self._remembered.pop(key_id, None)
            self._unknown[key_id] = until
            if len(self._unknown) > MAX_REMEMBERED:
                self._unknown.popitem(last=False)
            return None
        groups = record["campaign_groups"]
        known = (
            until,
            bytes(record["secret_hash"]),
            Caller(key_id, frozenset(record["scopes"]), None if groups is None else frozenset(groups)),
        )
        self._remembered[key_id] = known
        self._remembered.move_to_end(key_id)
        if len(self._remembered) > MAX_REMEMBERED:
            self._remembered.popitem(last=False)
        return known


def _is_group(name: str) -> bool:
    return bool(name.strip()) and len(name) <= MAX_ID_LENGTH and name.isprintable()


def _hash(secret: str) -> bytes:
    return sha256(secret.encode()).digest()
