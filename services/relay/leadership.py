"""Which of several relays publishes. Kafka's fencing is what makes two at once harmless; this makes it rare.

The leader holds an advisory lock on a connection of its own, so a relay that was killed is replaced at once. A relay
that froze still holds it: after `takeover_seconds` without a sign of life, while events lie unpublished, one that
stands by leads without the lock, and tells so; the frozen one is fenced by Kafka when it wakes, and lets go.

A leader that is busy with one long step gives signs of life meanwhile, so it isn't taken for a frozen one: starting on
a broker that comes back slowly takes half a minute. A frozen process gives none.
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
SIGN_OF_LIFE_SECONDS: Final = 1.0
LONGEST_STEP_SECONDS: Final = 90.0
"""Above what starting takes (30 s to connect, 30 s to read the position, 30 s to write it). A step that takes longer
hangs: the signs of life end, and a relay standing by takes over."""


class LostLeadershipError(Exception):
    """Another relay leads by now."""


class Leadership:
    """The claim of the process `me`, over a connection that nobody else uses.

    `relay` is the transactional id that all relays share.
    """

    def __init__(self, connection: Connection, relay: str, me: UUID, *, takeover_seconds: float) -> None:
        self._connection = connection
        self._relay = relay
        self._takeover_seconds = takeover_seconds
        self._me = me
        self._holds_lock = False
        self._noted = -1
        self._told_at = 0.0

    async def try_take(self) -> int | None:
        """Lead if we may: returns the position published for certain. None when another one leads."""
        seen = await self._connection.fetchrow(sql("leadership_look", PACKAGE), self._relay, self._takeover_seconds)
        another_lives = seen is not None and seen["alive"] and seen["leader"] not in (None, self._me)
        if seen is not None and another_lives and not seen["holds_lock"]:
            return None  # it took over from a frozen one, and will find the lock free when that one lets go
        locked = await self._lock()
        events_lie = seen is not None and seen["pending"]
        if not locked and (another_lives or not events_lie):
            return None
        if not locked:
            log.warning("taking over from a relay that gives no sign of life", seconds=self._takeover_seconds)
        published_up_to: int = await self._connection.fetchval(
            sql("leadership_take", PACKAGE), self._relay, self._me, locked
        )
        self._noted, self._told_at = published_up_to, time.monotonic()
        return published_up_to

    async def note(self, position: int) -> None:
        """Note that events up to `position` are published, and that we are alive.

        A position known already is only told again after SIGN_OF_LIFE_SECONDS.

        Raises:
            LostLeadershipError: another relay leads by now; what was noted is true all the same.
        """
        if position == self._noted and time.monotonic() - self._told_at < SIGN_OF_LIFE_SECONDS:
            return
        if not self._holds_lock:
            await self._lock()
        leader = await self._connection.fetchval(
            sql("position_note", PACKAGE), self._relay, position, self._me, self._holds_lock
        )
        self._noted, self._told_at = position, time.monotonic()
        if leader != self._me:
            raise LostLeadershipError(f"relay {leader} leads by now")

    @asynccontextmanager
    async def busy(self) -> AsyncIterator[None]:
        """While inside, give a sign of life every SIGN_OF_LIFE_SECONDS, for LONGEST_STEP_SECONDS at most.

        Nothing else may use the connection meanwhile.
        """
        done = asyncio.Event()
        signs = asyncio.create_task(self._give_signs_of_life(done))
        try:
            yield
        finally:
            done.set()
            await signs

    async def _give_signs_of_life(self, done: asyncio.Event) -> None:
        until = time.monotonic() + LONGEST_STEP_SECONDS
        while time.monotonic() < until:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(done.wait(), SIGN_OF_LIFE_SECONDS)
            if done.is_set():
                return
            with contextlib.suppress(*UNAVAILABLE):  # the step itself will notice
                await self._connection.execute(sql("leadership_alive", PACKAGE), self._relay, self._me)

    async def reset(self, position: int) -> None:
        """Take `position` for what is published, because an operator says so."""
        await self._connection.execute(sql("position_reset", PACKAGE), self._relay, position)
        self._noted = position

    async def give_up(self) -> None:
        """Let another relay lead."""
        if self._holds_lock:
            self._holds_lock = False
            await self._connection.execute(sql("leadership_unlock", PACKAGE), self._relay)

    async def _lock(self) -> bool:
        # Advisory locks count how often they were taken, and must be freed as often.
        if not self._holds_lock:
            self._holds_lock = await self._connection.fetchval(sql("leadership_lock", PACKAGE), self._relay)
        return self._holds_lock
