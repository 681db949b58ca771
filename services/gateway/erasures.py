"""Continue erasures that a request began and didn't finish, or that a killed process left."""

import asyncio
from typing import Final

import asyncpg

from shared.domain.model.customer import DEFAULT_RULES, IdentityRules
from shared.ledger import erasing
from shared.ledger.database import UNAVAILABLE, Pool
from shared.ledger.engine import LedgerUnavailableError
from shared.runtime.logging import get_logger
from shared.runtime.shutdown import sleep_unless

log = get_logger("gateway")

IDLE_SECONDS: Final = 5.0
BETWEEN_SECONDS: Final = 0.02
"""Pause between two parts, because an erasure is not urgent and orders are."""

_UNAVAILABLE: Final[tuple[type[BaseException], ...]] = (*UNAVAILABLE, LedgerUnavailableError, asyncpg.PostgresError)


class ErasureRunner:
    """Works on the oldest open erasure, one part at a time. Several runners may run at once.

    An erasure that fails because of a bug stops neither the other erasures nor the gateway. The bug is logged, and the
    erasure is retried after all others.
    """

    def __init__(self, pool: Pool, rules: IdentityRules = DEFAULT_RULES) -> None:
        self._pool = pool
        self._rules = rules
        self._stuck: set[str] = set()

    async def run(self, stopping: asyncio.Event) -> None:
        """Work until `stopping` is set; a part that has begun is finished. If the ledger is unavailable, retry."""
        while not stopping.is_set():
            try:
                busy = await self.run_once()
            except _UNAVAILABLE as error:
                log.warning("erasures wait for the ledger", error=repr(error))
                busy = False
            await sleep_unless(stopping, BETWEEN_SECONDS if busy else IDLE_SECONDS)

    async def run_once(self) -> bool:
        """Do one part of the oldest open erasure. Return False if there is none."""
        erasure_id = await erasing.next_open(self._pool, self._stuck)
        if erasure_id is None:
            self._stuck.clear()
            return False
        try:
            if not await erasing.work(self._pool, erasure_id, self._rules):
                log.info("customer erased", erasure_id=erasure_id)
        except LedgerUnavailableError:
            raise
        except Exception:
            log.exception("bug: an erasure can't continue", erasure_id=erasure_id)
            self._stuck.add(erasure_id)
        return True
