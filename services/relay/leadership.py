"""Leader election among relays. Kafka's fencing makes two leaders at once harmless; this makes them rare.

The leader holds an advisory lock on its own connection, so a killed relay is replaced at once. A frozen relay still
holds the lock: after `takeover_seconds` without a heartbeat, while events are unpublished, a relay that stands by leads
without the lock and records that. Kafka fences the frozen one when it wakes, and it releases the lock.

A leader that is busy with one long step sends heartbeats, so it isn't taken for frozen: starting on a broker that
recovers slowly takes half a minute. A frozen process sends none.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final
from uuid import UUID

from shared.ledger.database import UNAVAILABLE, Connection
from shared.ledger.sql import sql
from shared.runtime.logging import get_logger

log = get_logger("relay")

PACKAGE: Final = "services.relay"
HEARTBEAT_SECONDS: Final = 1.0
MAX_STEP_SECONDS: Final = 90.0
"""A start takes less (30 s to connect, 30 s to read the position, 30 s to write it). A longer step counts as hanging:
the heartbeats stop, and a relay that stands by takes over."""


class LostLeadershipError(Exception):
    """Another relay leads now."""


class Leadership:
    """The leadership of the process `me`, kept over a connection used for nothing else.

    `relay` is the transactional id that all relays share.
    """

    def __init__(self, connection: Connection, relay: str, me: UUID, *, takeover_seconds: float) -> None:
        self._connection = connection
        self._relay = relay
        self._takeover_seconds = takeover_seconds
        self._me = me
        self._holds_lock = False
        self._recorded = -1
        self._recorded_at = 0.0

    async def try_take(self) -> int | None:
        """Try to lead. Return the recorded published position, or None if another relay leads."""
        seen = await self._connection.fetchrow(sql("leadership_look", PACKAGE), self._relay, self._takeover_seconds)
        another_lives = seen is not None and seen["alive"] and seen["leader"] not in (None, self._me)
        if seen is not None and another_lives and not seen["holds_lock"]:
            return None  # it took over from a frozen relay, and gets the lock when that one releases it
        locked = await self._lock()
        has_unpublished = seen is not None and seen["pending"]
        if not locked and (another_lives or not has_unpublished):
            return None
        if not locked:
            log.warning("taking over from a relay without heartbeats", seconds=self._takeover_seconds)
        published_up_to: int = await self._connection.fetchval(
            sql("leadership_take", PACKAGE), self._relay, self._me, locked
        )
        self._recorded, self._recorded_at = published_up_to, time.monotonic()
        return published_up_to

    async def record(self, position: int) -> None:
        """Record that events up to `position` are published and that this relay is alive.

        A position that was recorded already is written again only after HEARTBEAT_SECONDS.

        Raises:
            LostLeadershipError: another relay leads now; the recorded position is still right.
        """
        if position == self._recorded and time.monotonic() - self._recorded_at < HEARTBEAT_SECONDS:
            return
        if not self._holds_lock:
            await self._lock()
        leader = await self._connection.fetchval(
            sql("position_record", PACKAGE), self._relay, position, self._me, self._holds_lock
        )
        self._recorded, self._recorded_at = position, time.monotonic()
        if leader != self._me:
            raise LostLeadershipError(f"relay {leader} leads now")

    @asynccontextmanager
    async def busy(self) -> AsyncIterator[None]:
        """Send a heartbeat every HEARTBEAT_SECONDS while inside, for MAX_STEP_SECONDS at most.

        Nothing else may use the connection meanwhile.
        """
        done = asyncio.Event()
        heartbeats = asyncio.create_task(self._send_heartbeats(done))
        try:
            yield
        finally:
            done.set()
            await heartbeats

    async def _send_heartbeats(self, done: asyncio.Event) -> None:
        until = time.monotonic() + MAX_STEP_SECONDS
        while time.monotonic() < until:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(done.wait(), HEARTBEAT_SECONDS)
            if done.is_set():
                return
            with contextlib.suppress(*UNAVAILABLE):  # the step itself will notice
                await self._connection.execute(sql("leadership_alive", PACKAGE), self._relay, self._me)

    async def reset(self, position: int) -> None:
        """Set the published position to `position`, as ordered by an operator."""
        await self._connection.execute(sql("position_reset", PACKAGE), self._relay, position)
        self._recorded = position

    async def give_up(self) -> None:
        """Release the lock, so that another relay can lead."""
        if self._holds_lock:
            self._holds_lock = False
            await self._connection.execute(sql("leadership_unlock", PACKAGE), self._relay)

    async def _lock(self) -> bool:
        # Advisory locks are counted: taken twice, they must be released twice.
        if not self._holds_lock:
            self._holds_lock = await self._connection.fetchval(sql("leadership_lock", PACKAGE), self._relay)
        return self._holds_lock
