"""Delete rows older than their retention: published events, webhook deliveries, external requests, the erasure log."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Final

from services.relay.leadership import PACKAGE
from shared.ledger.database import UNAVAILABLE, Pool
from shared.ledger.sql import sql
from shared.ledger.withheld import count_withheld
from shared.runtime import telemetry
from shared.runtime.logging import get_logger
from shared.runtime.shutdown import sleep_unless

log = get_logger("relay")

ROWS_AT_ONCE: Final = 5_000
PAUSE_SECONDS: Final = 60.0
BETWEEN_SECONDS: Final = 0.1
"""The pause between two full deletes. It limits them to 50,000 rows a second and leaves capacity for publishing."""


class Pruner:
    """Deletes published events older than `retention_seconds`. `position` returns the last published position.

    `others` maps further statements of this package to their retention in seconds. Each takes that and the most rows
    to delete.
    """

    def __init__(
        self,
        pool: Pool,
        position: Callable[[], int | None],
        *,
        retention_seconds: float,
        others: Mapping[str, float] | None = None,
    ) -> None:
        self._pool = pool
        self._position = position
        self._retention_seconds = retention_seconds
        self._others = others or {}

    async def run(self, stopping: asyncio.Event) -> None:
        """Delete until `stopping` is set. A database outage is waited out: nothing depends on a prompt deletion."""
        while not stopping.is_set():
            deleted = 0
            try:
                deleted = await self.run_once()
            except UNAVAILABLE as error:
                log.warning("could not delete published events", problem=f"{type(error).__name__}: {error}")
            await sleep_unless(stopping, BETWEEN_SECONDS if deleted >= ROWS_AT_ONCE else PAUSE_SECONDS)

    async def run_once(self) -> int:
        """Delete at most ROWS_AT_ONCE rows of each kind, none while another relay leads. Return the largest count."""
        position = self._position()
        if position is None:
            telemetry.EVENTS_WITHHELD_OPEN.set(0)
            return 0
        telemetry.EVENTS_WITHHELD_OPEN.set(await count_withheld(self._pool))
        await self._pool.execute(sql("withheld_prune", PACKAGE), self._retention_seconds, ROWS_AT_ONCE)
        done = await self._pool.execute(sql("outbox_prune", PACKAGE), position, self._retention_seconds, ROWS_AT_ONCE)
        deleted = [int(done.removeprefix("DELETE "))]
        for statement, seconds in self._others.items():
            done = await self._pool.execute(sql(statement, PACKAGE), seconds, ROWS_AT_ONCE)
            deleted.append(int(done.removeprefix("DELETE ")))
        return max(deleted)
