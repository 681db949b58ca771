"""API keys: made once, shown once, stored as a hash.

A key is `cpn_<id>_<secret>`: the id finds its row, the secret has 256 random bits, so a plain hash keeps it: there is
nothing to guess that a slow hash would have to protect.
"""

import hmac
import re
import secrets
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Final

from schemas.limits import MAX_ID_LENGTH
from services.gateway.access.callers import SCOPES, Caller
from shared.ledger.database import Connection, Pool
from shared.ledger.sql import sql

PACKAGE: Final = "services.gateway"
PATTERN: Final = re.compile(r"cpn_([0-9a-f]{12})_([A-Za-z0-9_-]{43})")

REMEMBERED_SECONDS: Final = 5.0
"""How long a gateway goes by what it last read of a key: a revoked one works for so long at most."""

MOST_REMEMBERED: Final = 10_000
MOST_GROUPS: Final = 100


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
    """Finds out whose a key is, and remembers it for a moment."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._remembered: dict[str, tuple[float, bytes, Caller]] = {}

    async def caller(self, key: str) -> Caller | None:
        """Who the key belongs to; None for one that is unknown, revoked, or no key at all."""
        match = PATTERN.fullmatch(key.strip())
        if match is None:
            return None
        key_id, secret = match.groups()
        known = self._remembered.get(key_id)
        if known is None or known[0] < time.monotonic():
            known = await self._look_up(key_id)
        if known is None or not hmac.compare_digest(known[1], _hash(secret)):
            return None
        return known[2]

    async def _look_up(self, key_id: str) -> tuple[float, bytes, Caller] | None:
        record = await self._pool.fetchrow(sql("key_find", PACKAGE), key_id)
        if record is None:
            self._remembered.pop(key_id, None)
            return None
        if len(self._remembered) >= MOST_REMEMBERED:
            self._remembered.clear()
        known = (
            time.monotonic() + REMEMBERED_SECONDS,
            bytes(record["secret_hash"]),
            Caller(
                key_id,
                frozenset(record["scopes"]),
                None if record["campaign_groups"] is None else frozenset(record["campaign_groups"]),
            ),
        )
        self._remembered[key_id] = known
        return known


def _is_group(name: str) -> bool:
    return bool(name.strip()) and len(name) <= MAX_ID_LENGTH and name.isprintable()


def _hash(secret: str) -> bytes:
    return sha256(secret.encode()).digest()
