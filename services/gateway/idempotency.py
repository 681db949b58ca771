"""Idempotency keys: a retry gets the first response, byte for byte. Another request under the same key is refused.

    begin → (a stored response | ours to answer) → the route → store → send

A response is stored before it is sent, so every retry gets the response that the client may have seen. If a process
dies before that, no response was sent. A retry then executes the request again under the same command id, and the
journal has the verdict. Requests begin and end in batches, as commands do.
"""

import asyncio
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import Final

import asyncpg

from services.gateway.batching import MicroBatcher
from services.gateway.problems import Problem
from shared.ledger.database import CONNECT_SECONDS, SERVICE_ROLE, UNAVAILABLE, Connection, Pool
from shared.ledger.sql import sql
from shared.runtime.encryption import MARK, keyring
from shared.runtime.logging import get_logger
from shared.runtime.shutdown import sleep_unless

log = get_logger("gateway")

PACKAGE: Final = "services.gateway"
LOCK_CLASS: Final = 0x0C0F
"""The first half of the advisory locks that show which gateways are alive; the second half is the gateway's number."""

PRUNED_AT_A_TIME: Final = 5_000
MAX_BODY_BYTES: Final = 16 * 1024 * 1024
KEY: Final = re.compile(r"[!-~]{1,255}")

SECRET: Final = b'"whsec_'
"""The start of a webhook's secret in a response."""

_UNAVAILABLE: Final[tuple[type[BaseException], ...]] = (*UNAVAILABLE, asyncpg.PostgresError)

Place = tuple[str, str]
"""(caller, idempotency key)"""


@dataclass(frozen=True, slots=True)
class StoredResponse:
    """A response that is stored for retries."""

    status: int
    media_type: str
    body: bytes


@dataclass(frozen=True, slots=True)
class _Begun:
    """The ledger's record of a request: ours to answer, answered before, in progress elsewhere, or another request."""

    fingerprint: bytes
    response: StoredResponse | None
    ours: bool


def fingerprint(method: str, target: str, content_type: str, body: bytes) -> bytes:
    """Return a hash of the request, 16 bytes."""
    hashed = blake2b(f"{method} {target}\n{content_type}\n".encode(), digest_size=16)
    hashed.update(body)
    return hashed.digest()


def check_key(key: str) -> str:
    """Return a valid key. Raises a Problem (422)."""
    if KEY.fullmatch(key) is None:
        raise Problem(
            422, "invalid_request", "Idempotency-Key must have 1 to 255 visible ASCII characters without spaces."
        )
    return key


class IdempotencyStore:
    """Stores responses by idempotency key. `owner` is the number of this gateway process."""

    def __init__(self, pool: Pool, batch_size: int, retention_seconds: float) -> None:
        self._pool = pool
        self._retention_seconds = retention_seconds
        self.owner = secrets.randbelow(2**31)
        self._under_way: set[Place] = set()
        self._beginning: MicroBatcher[tuple[Place, bytes], _Begun] = MicroBatcher(self._begin_all, size=batch_size)
        self._storing: MicroBatcher[tuple[Place, StoredResponse], None] = MicroBatcher(self._store_all, size=batch_size)

    async def begin(self, place: Place, fingerprint: bytes) -> StoredResponse | None:
        """Return the stored response; None if the request is ours to answer. Then call `store` or `abandon`.

        Raises a Problem: 409 while the request is in progress, 422 if the key was used for another request.
        """
        if place in self._under_way:
            raise _in_flight()
        self._under_way.add(place)
        try:
            begun = await self._beginning.submit((place, fingerprint))
        except BaseException:
            self._under_way.discard(place)
            raise
        if begun.fingerprint == fingerprint and begun.ours:
            return None
        self._under_way.discard(place)
        if begun.fingerprint != fingerprint:
            raise Problem(
                422, "idempotency_key_reused",
                "This Idempotency-Key was used for a different request. Use a new key for each request.",
            )  # fmt: skip
        if begun.response is None:
            raise _in_flight()
        return begun.response

    async def store(self, place: Place, response: StoredResponse) -> None:
        """Store a response before it is sent. A response with a webhook's secret is encrypted."""
        try:
            if SECRET in response.body:
                response = replace(response, body=keyring().encrypt(response.body.decode(), _about(place)).encode())
            await self._storing.submit((place, response))
        finally:
            self._under_way.discard(place)

    def abandon(self, place: Place) -> None:
        """End a request without a response to store, so that it can be retried."""
        self._under_way.discard(place)

    async def prune(self) -> int:
        """Delete at most PRUNED_AT_A_TIME responses that are older than the retention. Return how many."""
        status = await self._pool.execute(
            sql("stored_responses_prune", PACKAGE), self._retention_seconds, PRUNED_AT_A_TIME
        )
        return int(status.rpartition(" ")[2])

    async def _begin_all(self, requests: Sequence[tuple[Place, bytes]]) -> list[_Begun]:
        callers, keys = [place[0] for place, _ in requests], [place[1] for place, _ in requests]
        fingerprints = [fingerprint for _, fingerprint in requests]
        async with self._pool.acquire() as connection, connection.transaction():
            taken = await connection.fetch(
                sql("stored_responses_begin", PACKAGE), callers, keys, fingerprints, self.owner, LOCK_CLASS
            )
            ours = {(record[0], record[1]) for record in taken}
            others = [place for place, _ in requests if place not in ours]
            found = (
                await connection.fetch(
                    sql("stored_responses_find", PACKAGE),
                    [place[0] for place in others],
                    [place[1] for place in others],
                )
                if others
                else []
            )
        known = {(record[0], record[1]): record for record in found}
        begun = []
        for place, fingerprint in requests:
            record = known.get(place)
            if place in ours or record is None:
                begun.append(_Begun(fingerprint, None, place in ours))
            else:
                response = None
                if record["status"] is not None:
                    response = StoredResponse(record["status"], record["media_type"], bytes(record["body"]))
                    if response.body.startswith(MARK.encode()):
                        body = keyring().decrypt(response.body.decode(), _about(place))
                        response = replace(response, body=body.encode())
                begun.append(_Begun(bytes(record["fingerprint"]), response, False))
        return begun

    async def _store_all(self, responses: Sequence[tuple[Place, StoredResponse]]) -> list[None]:
        responses = sorted(responses, key=lambda pair: pair[0])
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute(
                sql("stored_responses_keep", PACKAGE),
                [place[0] for place, _ in responses],
                [place[1] for place, _ in responses],
                [response.status for _, response in responses],
                [response.media_type for _, response in responses],
                [response.body for _, response in responses],
                self.owner,
            )
        return [None] * len(responses)


class Housekeeper:
    """Holds the lock that shows that this process is alive, and deletes old responses."""

    def __init__(self, store: IdempotencyStore, database_url: str, *, pause_seconds: float = 5.0) -> None:
        self._store = store
        self._url = database_url
        self._pause_seconds = pause_seconds
        self._connection: Connection | None = None

    async def run(self, stopping: asyncio.Event) -> None:
        """Run until `stopping` is set. If the database is unavailable, retry."""
        try:
            while not stopping.is_set():
                try:
                    await self.run_once()
                except _UNAVAILABLE as error:
                    log.warning("housekeeping waits for the ledger", error=repr(error))
                await sleep_unless(stopping, self._pause_seconds)
        finally:
            self.release_lock()

    def release_lock(self) -> None:
        """Release the lock: this process answers no more requests."""
        if self._connection is not None:
            self._connection.terminate()

    async def run_once(self) -> int:
        """Take the lock that shows that this process is alive. Return how many old responses were deleted.

        The lock has its own connection, so that it is released when the process ends.
        """
        if self._connection is None or self._connection.is_closed():
            settings = {"application_name": "couponry-gateway-alive", "role": SERVICE_ROLE}
            self._connection = await asyncpg.connect(self._url, server_settings=settings, timeout=CONNECT_SECONDS)
        await self._connection.fetchval(sql("owner_take", PACKAGE), LOCK_CLASS, self._store.owner)
        return await self._store.prune()


def _about(place: Place) -> str:
    return f"kept answer of {place[0]!r} under {place[1]!r}"


def _in_flight() -> Problem:
    return Problem(
        409, "idempotency_key_in_flight",
        "A request with this Idempotency-Key is in progress. Retry in a moment.",
        headers={"Retry-After": "1"},
    )  # fmt: skip
