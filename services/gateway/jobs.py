"""Jobs: more coupons than one call makes, in parts of a thousand, by whichever gateway has time.

A part is a command whose id follows from the job and the part's number, so a part that is done twice is done once, and
a job of a gateway that was killed goes on in another one, where it stopped.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import asyncpg

from shared.domain.model.commands import MAX_CREATED, CreateCoupons
from shared.ledger.database import UNAVAILABLE, Pool
from shared.ledger.engine import Engine, LedgerUnavailableError, Rejected
from shared.ledger.sql import sql
from shared.runtime import telemetry
from shared.runtime.logging import get_logger
from shared.runtime.shutdown import sleep_unless

log = get_logger("gateway")

PACKAGE: Final = "services.gateway"
MOST_COUPONS: Final = 1_000_000
"""Of one job: a thousand parts, a few minutes of work."""

LEASE_SECONDS: Final = 60.0
"""Far above what a part takes; after a kill the job waits for so long at most."""

IDLE_SECONDS: Final = 1.0
PRUNE_SECONDS: Final = 60.0
PRUNED_AT_A_TIME: Final = 5_000
RETENTION_SECONDS: Final = 90 * 24 * 60 * 60
LOCK_CLASS: Final = 0x0C10
"""The first half of the advisory lock under which a caller's jobs are added."""

_AWAY: Final[tuple[type[BaseException], ...]] = (*UNAVAILABLE, LedgerUnavailableError, asyncpg.PostgresError)


@dataclass(frozen=True, slots=True)
class Job:
    """A job as it stands. `done` of `total` coupons are made; `problem` is why it failed."""

    job_id: str
    caller: str
    campaign_id: str
    total: int
    done: int
    status: str
    problem: str | None
    created_at: datetime
    updated_at: datetime

    def part(self, number: int) -> CreateCoupons:
        """The command of one part."""
        count = min(MAX_CREATED, self.total - number * MAX_CREATED)
        return CreateCoupons(f"/couponry/job {self.job_id}/{number}", self.campaign_id, count, channel="http")


@dataclass(frozen=True, slots=True)
class QueueLimits:
    """What one caller may have waiting: jobs that aren't done, and coupons that they have still to make."""

    jobs: int
    coupons: int


class QueueFullError(Exception):
    """The caller has too much waiting; the text says what the limits are."""


async def add(pool: Pool, job_id: str, caller: str, campaign_id: str, total: int, *, limits: QueueLimits) -> Job:
    """Add a job, or find it where it was added before. Raises QueueFullError."""
    async with pool.acquire() as connection, connection.transaction():
        # One caller's requests wait for one another, so that each sees what those before it added.
        await connection.execute(sql("job_take_turn", PACKAGE), LOCK_CLASS, caller)
        await connection.execute(
            sql("job_add", PACKAGE), job_id, caller, campaign_id, total, limits.jobs, limits.coupons
        )
        record = await connection.fetchrow(sql("job_find", PACKAGE), job_id)
    if record is None:
        raise QueueFullError(
            f"At most {limits.jobs:,} jobs of one caller wait or run at a time, with at most {limits.coupons:,} "
            "coupons to make. Wait until some are done."
        )
    return Job(**record)


async def find(pool: Pool, job_id: str) -> Job | None:
    """The job of that id."""
    record = await pool.fetchrow(sql("job_find", PACKAGE), job_id)
    return None if record is None else Job(**record)


async def codes(pool: Pool, job: Job) -> AsyncIterator[list[str]]:
    """The codes that the job has made so far, a part at a time, in their order."""
    for number in range(-(-job.done // MAX_CREATED)):
        records = await pool.fetch(sql("job_part", PACKAGE), job.part(number).command_id)
        yield [record["code"] for record in records]


class JobRunner:
    """Works on what waits, a part of a job at a time, and deletes what ended long ago. Any number may run at once."""

    def __init__(self, pool: Pool, engine: Engine, *, retention_seconds: float = RETENTION_SECONDS) -> None:
        self._pool = pool
        self._engine = engine
        self._retention_seconds = retention_seconds
        self._pruned_at = -PRUNE_SECONDS

    async def run(self, stopping: asyncio.Event) -> None:
        """Until asked to stop; a part that has begun is ended. A ledger that is away is waited for."""
        while not stopping.is_set():
            try:
                busy = await self.run_once()
                if not busy and time.monotonic() - self._pruned_at >= PRUNE_SECONDS:
                    await self.prune()
                    self._pruned_at = time.monotonic()
            except _AWAY as error:
                log.warning("jobs wait for the ledger", error=repr(error))
                busy = False
            except Exception:  # a job that meets a bug is tried again after its lease, behind all others
                telemetry.BUGS.labels("job").inc()
                log.exception("bug: a part of a job was not done")
                busy = False
            if not busy:
                await sleep_unless(stopping, IDLE_SECONDS)

    async def prune(self) -> int:
        """Delete PRUNED_AT_A_TIME jobs at most that ended before the retention. Return how many."""
        status = await self._pool.execute(sql("jobs_prune", PACKAGE), self._retention_seconds, PRUNED_AT_A_TIME)
        return int(status.rpartition(" ")[2])

    async def run_once(self) -> bool:
        """One part of the oldest job that nobody is at; False where there is none."""
        record = await self._pool.fetchrow(sql("job_claim", PACKAGE), LEASE_SECONDS)
        if record is None:
            return False
        job = Job(**record)
        number = job.done // MAX_CREATED
        [answer] = await self._engine.execute([job.part(number)])
        problem: str | None = None
        if isinstance(answer, Rejected):
            problem = answer.text
        elif not answer.accepted:
            problem = answer.refused[0].message if answer.refused else "No coupon was made."
        done = job.done if problem is not None else min((number + 1) * MAX_CREATED, job.total)
        await self._pool.execute(sql("job_advance", PACKAGE), job.job_id, done, problem)
        return True
