"""Expire locks, and publish that. Decisions already ignore such locks."""

import asyncio

from shared.ledger.engine import Engine, LedgerUnavailableError
from shared.runtime import telemetry
from shared.runtime.backoff import Backoff
from shared.runtime.logging import get_logger
from shared.runtime.shutdown import sleep_unless

log = get_logger("janitor")


class Janitor:
    """Sweeps every `pause_seconds`, about `limit` locks at a time. Several can run at once."""

    def __init__(self, engine: Engine, *, pause_seconds: float, limit: int) -> None:
        self._engine = engine
        self._pause_seconds = pause_seconds
        self._limit = limit
        self._backoff = Backoff(first_seconds=pause_seconds, longest_seconds=max(60.0, pause_seconds))

    async def run_once(self) -> int:
        """Expire about `limit` locks at most; return the number."""
        return await self._engine.sweep_expired(self._limit)

    async def run(self, stopping: asyncio.Event) -> None:
        """Sweep until `stopping` is set. A database outage and a bug are retried with a backoff.

        Neither stops the redeemer, because decisions ignore expired locks, swept or not.
        """
        failures = 0
        while not stopping.is_set():
            pause_seconds = self._pause_seconds
            try:
                swept = await self.run_once()
            except LedgerUnavailableError as error:
                failures += 1
                pause_seconds = self._backoff.seconds(failures)
                log.warning("could not look for expired locks", problem=str(error), again_in_seconds=pause_seconds)
            except Exception:
                failures += 1
                pause_seconds = self._backoff.seconds(failures)
                telemetry.BUGS.labels("expiry").inc()
                log.exception("bug: could not expire locks", again_in_seconds=pause_seconds)
            else:
                failures = 0
                if swept:
                    log.info("locks expired", count=swept)
                if swept >= self._limit:
                    continue  # there may be more
            await sleep_unless(stopping, pause_seconds)
