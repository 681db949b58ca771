"""Puts away locks whose time is over. It only tidies and publishes: to a decision such a lock holds nothing already."""

import asyncio

from shared.ledger.engine import Engine, LedgerUnavailableError
from shared.runtime import telemetry
from shared.runtime.backoff import Backoff
from shared.runtime.logging import get_logger
from shared.runtime.shutdown import sleep_unless

log = get_logger("janitor")


class Janitor:
    """Sweeps every `pause_seconds`, about `limit` locks at a time. Any number may run at once."""

    def __init__(self, engine: Engine, *, pause_seconds: float, limit: int) -> None:
        self._engine = engine
        self._pause_seconds = pause_seconds
        self._limit = limit
        self._backoff = Backoff(first_seconds=pause_seconds, longest_seconds=max(60.0, pause_seconds))

    async def run_once(self) -> int:
        """Put away about `limit` locks at most; returns how many."""
        return await self._engine.sweep_expired(self._limit)

    async def run(self, stopping: asyncio.Event) -> None:
        """Sweep until `stopping` is set. Wait for a database that is away.

        A bug doesn't end the redeemer either: a lock whose time is over holds nothing, whether or not it was put away.
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
