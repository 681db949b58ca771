"""Sweep what is due: expire locks, and publish the reminders of coupons that end."""

import asyncio
from collections.abc import Awaitable, Callable

from shared.ledger.engine import LedgerUnavailableError
from shared.runtime import telemetry
from shared.runtime.backoff import Backoff
from shared.runtime.logging import get_logger
from shared.runtime.shutdown import sleep_unless

log = get_logger("janitor")


class Janitor:
    """Calls `sweep` every `pause_seconds`, for about `limit` rows at a time. Several processes can run one at once.

    `sweep` returns the number of rows. `what` names them in the log, `where` in the metric of bugs.
    """

    def __init__(
        self, sweep: Callable[[int], Awaitable[int]], what: str, where: str, *, pause_seconds: float, limit: int
    ) -> None:
        self._sweep = sweep
        self._what = what
        self._where = where
        self._pause_seconds = pause_seconds
        self._limit = limit
        self._backoff = Backoff(first_seconds=pause_seconds, longest_seconds=max(60.0, pause_seconds))

    async def run_once(self) -> int:
        """Sweep about `limit` rows at most; return the number."""
        return await self._sweep(self._limit)

    async def run(self, stopping: asyncio.Event) -> None:
        """Sweep until `stopping` is set. A database outage and a bug are retried with a backoff.

        Neither stops the redeemer: decisions ignore expired locks, swept or not, and a reminder can be late.
        """
        failures = 0
        while not stopping.is_set():
            pause_seconds = self._pause_seconds
            try:
                swept = await self.run_once()
            except LedgerUnavailableError as error:
                failures += 1
                pause_seconds = self._backoff.seconds(failures)
                log.warning(f"could not sweep {self._what}", problem=str(error), again_in_seconds=pause_seconds)
            except Exception:
                failures += 1
                pause_seconds = self._backoff.seconds(failures)
                telemetry.BUGS.labels(self._where).inc()
                log.exception(f"bug: could not sweep {self._what}", again_in_seconds=pause_seconds)
            else:
                failures = 0
                if swept:
                    log.info(f"{self._what} swept", count=swept)
                if swept >= self._limit:
                    continue  # there may be more
            await sleep_unless(stopping, pause_seconds)
