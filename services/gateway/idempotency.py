"""Idempotency keys: the same request again gets the first answer, byte for byte; another one under its key is refused.

    begin → (a kept answer | ours to answer) → the route → keep → send

An answer is kept before it is sent, so a client that saw one sees the same for ever. A process that dies in between has
answered nobody: whoever repeats the request has it executed again, under the same command id, and the journal knows
what came of it. Requests begin and end in batches, as commands do.
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
"""The first half of the advisory locks by which gateways say that they are alive; the second is each one's number."""

PRUNED_AT_A_TIME: Final = 5_000
MOST_BODY_BYTES: Final = 16 * 1024 * 1024
KEY: Final = re.compile(r"[!-~]{1,255}")

SECRET: Final = b'"whsec_'
"""How a webhook's secret begins, in an answer that tells one."""

_AWAY: Final[tuple[type[BaseException], ...]] = (*UNAVAILABLE, asyncpg.PostgresError)

Place = tuple[str, str]
"""(caller, idempotency key)"""


@dataclass(frozen=True, slots=True)
class KeptAnswer:
    """What was answered, or is about to be."""

    status: int
    media_type: str
    body: bytes


@dataclass(frozen=True, slots=True)
class _Begun:
    """What the ledger says of a request that begins: ours (no answer yet), answered, another's, of other content."""

    fingerprint: bytes
    answer: KeptAnswer | None
    ours: bool


def fingerprint(method: str, target: str, content_type: str, body: bytes) -> bytes:
    """What was asked, in 16 bytes."""
    asked = blake2b(f"{method} {target}\n{content_type}\n".encode(), digest_size=16)
    asked.update(body)
    return asked.digest()


def check_key(key: str) -> str:
    """The key. Raises a Problem (422)."""
    if KEY.fullmatch(key) is None:
        raise Problem(
            422, "invalid_request", "Idempotency-Key must have 1 to 255 visible ASCII characters, none of them a blank."
        )
    return key


class IdempotencyStore:
    """Keeps what was answered under idempotency keys. `owner` is this process's number among the gateways."""

    def __init__(self, pool: Pool, batch_size: int, retention_seconds: float) -> None:
        self._pool = pool
        self._retention_seconds = retention_seconds
        self.owner = secrets.randbelow(2**31)
        self._under_way: set[Place] = set()
        self._beginning: MicroBatcher[tuple[Place, bytes], _Begun] = MicroBatcher(self._begin_all, size=batch_size)
        self._keeping: MicroBatcher[tuple[Place, KeptAnswer], None] = MicroBatcher(self._keep_all, size=batch_size)

    async def begin(self, place: Place, asked: bytes) -> KeptAnswer | None:
        """The answer that this request got before; None where it is ours to answer: then `keep` or `give_up` it.

        Raises a Problem: 409 while another answers it, 422 where the key was used for something else.
        """
        if place in self._under_way:
            raise _in_flight()
        self._under_way.add(place)
        try:
            begun = await self._beginning.submit((place, asked))
        except BaseException:
            self._under_way.discard(place)
            raise
        if begun.fingerprint == asked and begun.ours:
            return None
        self._under_way.discard(place)
        if begun.fingerprint != asked:
            raise Problem(
                422, "idempotency_key_reused",
                "This Idempotency-Key was used for a request with other content; give each request its own.",
            )  # fmt: skip
        if begun.answer is None:
            raise _in_flight()
        return begun.answer

    async def keep(self, place: Place, answer: KeptAnswer) -> None:
        """Keep what is about to be sent; an answer that tells a webhook's secret is kept encrypted."""
        try:
            if SECRET in answer.body:
                answer = replace(answer, body=keyring().encrypt(answer.body.decode(), _about(place)).encode())
            await self._keeping.submit((place, answer))
        finally:
            self._under_way.discard(place)

    def give_up(self, place: Place) -> None:
        """There is no answer to keep; the same request may be tried again."""
        self._under_way.discard(place)

    async def prune(self) -> int:
        """Delete some of the answers that are older than the retention, PRUNED_AT_A_TIME at most. Return how many."""
        status = await self._pool.execute(sql("answers_prune", PACKAGE), self._retention_seconds, PRUNED_AT_A_TIME)
        return int(status.rpartition(" ")[2])

    async def _begin_all(self, asked: Sequence[tuple[Place, bytes]]) -> list[_Begun]:
        callers, keys = [place[0] for place, _ in asked], [place[1] for place, _ in asked]
        fingerprints = [content for _, content in asked]
        async with self._pool.acquire() as connection, connection.transaction():
            taken = await connection.fetch(
                sql("answers_begin", PACKAGE), callers, keys, fingerprints, self.owner, LOCK_CLASS
            )
            ours = {(record[0], record[1]) for record in taken}
            others = [place for place, _ in asked if place not in ours]
            found = (
                await connection.fetch(
                    sql("answers_find", PACKAGE), [one[0] for one in others], [one[1] for one in others]
                )
                if others
                else []
            )
        known = {(record[0], record[1]): record for record in found}
        begun = []
        for place, content in asked:
            record = known.get(place)
            if place in ours or record is None:
                begun.append(_Begun(content, None, place in ours))
            else:
                answer = None
                if record["status"] is not None:
                    answer = KeptAnswer(record["status"], record["media_type"], bytes(record["body"]))
                    if answer.body.startswith(MARK.encode()):
                        body = keyring().decrypt(answer.body.decode(), _about(place))
                        answer = replace(answer, body=body.encode())
                begun.append(_Begun(bytes(record["fingerprint"]), answer, False))
        return begun

    async def _keep_all(self, kept: Sequence[tuple[Place, KeptAnswer]]) -> list[None]:
        kept = sorted(kept, key=lambda one: one[0])
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute(
                sql("answers_keep", PACKAGE),
                [place[0] for place, _ in kept],
                [place[1] for place, _ in kept],
                [answer.status for _, answer in kept],
                [answer.media_type for _, answer in kept],
                [answer.body for _, answer in kept],
                self.owner,
            )
        return [None] * len(kept)


class Housekeeper:
    """Says that this process lives, and puts old answers away."""

    def __init__(self, repeats: IdempotencyStore, database_url: str, *, pause_seconds: float = 5.0) -> None:
        self._repeats = repeats
        self._url = database_url
        self._pause_seconds = pause_seconds
        self._connection: Connection | None = None

    async def run(self, stopping: asyncio.Event) -> None:
        """Until asked to stop. A database that is away is for the next time."""
        try:
            while not stopping.is_set():
                try:
                    await self.run_once()
                except _AWAY as error:
                    log.warning("housekeeping waits for the ledger", error=repr(error))
                await sleep_unless(stopping, self._pause_seconds)
        finally:
            self.let_go()

    def let_go(self) -> None:
        """This process answers nothing any more."""
        if self._connection is not None:
            self._connection.terminate()

    async def run_once(self) -> int:
        """Hold the lock by which others know that this process lives; returns how many old answers were put away.

        It is held by a connection of its own, so that it goes when the process does.
        """
        if self._connection is None or self._connection.is_closed():
            settings = {"application_name": "couponry-gateway-alive", "role": SERVICE_ROLE}
            self._connection = await asyncpg.connect(self._url, server_settings=settings, timeout=CONNECT_SECONDS)
        await self._connection.fetchval(sql("owner_take", PACKAGE), LOCK_CLASS, self._repeats.owner)
        return await self._repeats.prune()


def _about(place: Place) -> str:
    return f"kept answer of {place[0]!r} under {place[1]!r}"


def _in_flight() -> Problem:
    return Problem(
        409, "idempotency_key_in_flight",
        "A request under this Idempotency-Key is being answered; ask again in a moment.",
        headers={"Retry-After": "1"},
    )  # fmt: skip
