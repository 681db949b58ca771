"""API keys: made once, shown once, stored as a hash.

A key is `cpn_<id>_<secret>`: the id finds its row, the secret has 256 random bits, so a plain hash keeps it: there is
nothing to guess that a slow hash would have to protect.
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
"""How long a gateway goes by what it last read of a key: a revoked one works for so long at most."""

MOST_REMEMBERED: Final = 10_000
MOST_GROUPS: Final = 100
Remembered = tuple[float, bytes, Caller]
"""(until when, the secret's hash, whose it is)"""

UNKNOWN_PER_MINUTE: Final = 60


class ApiKeyError(ValueError):
    """The key can't be made or revoked; the text says why."""


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key just made. `key` is told once, here."""

    key_id: str
    key: str


@dataclass(frozen=True, slots=True)
class Key:
    """A key as it stands, without its secret."""

    key_id: str
    name: str
    scopes: tuple[str, ...]
    created_at: datetime
    revoked_at: datetime | None
    groups: tuple[str, ...] | None = None


async def create(
    connection: Connection | Pool, name: str, scopes: Iterable[str], groups: Iterable[str] | None = None
) -> NewKey:
    """Make a key, bound to `groups` of campaigns or, where that is None, to none.

    Raises ApiKeyError for a scope that doesn't exist, none at all, or a name or group that says nothing.
    """
    wanted = tuple(dict.fromkeys(scopes))
    unknown = [scope for scope in wanted if scope not in SCOPES]
    if unknown or not wanted:
        problem = f"There is no scope {unknown[0]!r}" if unknown else "A key needs at least one scope"
        raise ApiKeyError(f"{problem}; choose among {', '.join(SCOPES)}.")
    if not name.strip() or len(name) > 100 or not name.isprintable():
        raise ApiKeyError("A key's name has 1 to 100 printable characters; say what it is for.")
    bound = None if groups is None else sorted(set(groups))
    if bound is not None and not (0 < len(bound) <= MOST_GROUPS and all(map(_is_group, bound))):
        raise ApiKeyError(f"A key is bound to 1 to {MOST_GROUPS} groups; a group's name is not blank.")
    key_id, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
    await connection.execute(sql("key_create", PACKAGE), key_id, name.strip(), _hash(secret), list(wanted), bound)
    return NewKey(key_id, f"cpn_{key_id}_{secret}")


async def revoke(connection: Connection | Pool, key_id: str) -> None:
    """Take a key out of use, for good. Raises ApiKeyError when there is none such."""
    if await connection.fetchval(sql("key_revoke", PACKAGE), key_id) is None:
        raise ApiKeyError(f"There is no key {key_id!r} in use; `couponry keys list` shows them.")


async def list_all(connection: Connection | Pool) -> list[Key]:
    """Every key, oldest first."""
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
    """Finds out whose a key is, and remembers it for a moment; also that nobody has it."""

    def __init__(self, pool: Pool, failures: Failures | None = None) -> None:
        self._pool = pool
        self._failures = failures or Failures(UNKNOWN_PER_MINUTE)
        self._remembered: OrderedDict[str, Remembered] = OrderedDict()
        self._unknown: OrderedDict[str, float] = OrderedDict()
        self._asked: dict[str, asyncio.Task[Remembered | None]] = {}

    async def caller(self, key: str, address: str = "") -> Caller | None:
        """Who the key belongs to; None for one that is unknown, revoked, or no key at all.

        Raises a Problem (429) for an unknown key from an address that sent too many, before the ledger is asked.
        """
        match = PATTERN.fullmatch(key.strip())
        if match is None:
            return None
        key_id, secret = match.groups()
        known = self._remembered.get(key_id)
        if known is not None and hmac.compare_digest(known[1], _hash(secret)):
            # A key that was good a moment ago isn't held up by what others at its address do.
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
        """Ask the ledger, once for all requests that come meanwhile."""
        asked = self._asked.get(key_id)
        if asked is None:
            asked = self._asked[key_id] = asyncio.create_task(self._read(key_id))
            asked.add_done_callback(lambda task: self._was_asked(key_id, task))
        return await asyncio.shield(asked)

    def _was_asked(self, key_id: str, asked: asyncio.Task[Remembered | None]) -> None:
        self._asked.pop(key_id, None)
        if not asked.cancelled():
            asked.exception()  # whoever still waits gets it

    async def _read(self, key_id: str) -> Remembered | None:
        record = await self._pool.fetchrow(sql("key_find", PACKAGE), key_id)
        until = time.monotonic() + REMEMBERED_SECONDS
        if record is None:
            self._remembered.pop(key_id, None)
            self._unknown[key_id] = until
            if len(self._unknown) > MOST_REMEMBERED:
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
        if len(self._remembered) > MOST_REMEMBERED:
            self._remembered.popitem(last=False)
        return known


def _is_group(name: str) -> bool:
    return bool(name.strip()) and len(name) <= MAX_ID_LENGTH and name.isprintable()


def _hash(secret: str) -> bytes:
    return sha256(secret.encode()).digest()
