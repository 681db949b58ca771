"""Go on with erasures that a request began and didn't finish, or that a killed process left."""

import asyncio
from typing import Final

import asyncpg

from shared.ledger import erasing
from shared.ledger.database import UNAVAILABLE, Pool
from shared.ledger.engine import LedgerUnavailableError
from shared.runtime.logging import get_logger
from shared.runtime.shutdown import sleep_unless

log = get_logger("gateway")

IDLE_SECONDS: Final = 5.0
BETWEEN_SECONDS: Final = 0.02
"""Between two pieces: an erasure is in no hurry, and orders come first."""

_AWAY: Final[tuple[type[BaseException], ...]] = (*UNAVAILABLE, LedgerUnavailableError, asyncpg.PostgresError)


class ErasureRunner:
    """Works on the oldest erasure under way, a piece at a time. Any number may run at once.

    A bug that one erasure meets stops neither the others nor the gateway; it is logged, and tried again when there is
    nothing else to do.
    """

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._stuck: set[str] = set()

    async def run(self, stopping: asyncio.Event) -> None:
        """Work until `stopping` is set; a piece that has begun is ended. A ledger that is away is waited for."""
        while not stopping.is_set():
            try:
                busy = await self.run_once()
            except _AWAY as error:
                log.warning("erasures wait for the ledger", error=repr(error))
                busy = False
            await sleep_unless(stopping, BETWEEN_SECONDS if busy else IDLE_SECONDS)

    async def run_once(self) -> bool:
        """Do one piece of the oldest erasure under way; False where there is none."""
        erasure_id = await erasing.next_open(self._pool, self._stuck)
        if erasure_id is None:
            self._stuck.clear()
            return False
        try:
            if not await erasing.work(self._pool, erasure_id):
                log.info("customer erased", erasure_id=erasure_id)
        except LedgerUnavailableError:
            raise
        except Exception:
            log.exception("a bug: an erasure doesn't go on", erasure_id=erasure_id)
            self._stuck.add(erasure_id)
        return True
