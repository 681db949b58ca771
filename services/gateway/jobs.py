"""Jobs that create more coupons than one request can, in parts of 1,000, in any gateway.

A part is a command whose id consists of the job and the part's number. So a part that is executed twice has one effect,
and another gateway can continue the job of a killed one.
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
MAX_COUPONS: Final = 1_000_000
"""Coupons of one job: a thousand parts, a few minutes of work."""

LEASE_SECONDS: Final = 60.0
"""Much longer than a part takes. After a gateway was killed, its job waits for at most so long."""

IDLE_SECONDS: Final = 1.0
PRUNE_SECONDS: Final = 60.0
PRUNED_AT_A_TIME: Final = 5_000
RETENTION_SECONDS: Final = 90 * 24 * 60 * 60
LOCK_CLASS: Final = 0x0C10
"""The first half of the advisory lock under which a caller's jobs are added."""

_UNAVAILABLE: Final[tuple[type[BaseException], ...]] = (*UNAVAILABLE, LedgerUnavailableError, asyncpg.PostgresError)


@dataclass(frozen=True, slots=True)
class Job:
    """A job. `done`: coupons created so far, of `total`. `problem`: why it failed."""

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
        """Return the command of one part."""
        count = min(MAX_CREATED, self.total - number * MAX_CREATED)
        return CreateCoupons(f"/couponry/job {self.job_id}/{number}", self.campaign_id, count, channel="http")


@dataclass(frozen=True, slots=True)
class QueueLimits:
    """Limits of one caller: open jobs, and coupons that they have yet to create."""

    jobs: int
    coupons: int


class QueueFullError(Exception):
    """The caller has too many open jobs. The message contains the limits."""


async def add(pool: Pool, job_id: str, caller: str, campaign_id: str, total: int, *, limits: QueueLimits) -> Job:
    """Add a job, or return the one that was added before. Raises QueueFullError."""
    async with pool.acquire() as connection, connection.transaction():
        # Requests of one caller wait for each other, so that each one counts the jobs of those before it.
        await connection.execute(sql("job_take_turn", PACKAGE), LOCK_CLASS, caller)
        await connection.execute(
            sql("job_add", PACKAGE), job_id, caller, campaign_id, total, limits.jobs, limits.coupons
        )
        record = await connection.fetchrow(sql("job_find", PACKAGE), job_id)
    if record is None:
        raise QueueFullError(
            f"At most {limits.jobs:,} jobs of one caller may wait or run at a time, with at most {limits.coupons:,} "
            "coupons to create. Wait until some are done."
        )
    return Job(**record)


async def find(pool: Pool, job_id: str) -> Job | None:
    """Return the job, or None if it doesn't exist."""
    record = await pool.fetchrow(sql("job_find", PACKAGE), job_id)
    return None if record is None else Job(**record)


async def codes(pool: Pool, job: Job) -> AsyncIterator[list[str]]:
    """Yield the codes that the job has created so far, in order, one list per part."""
    for number in range(-(-job.done // MAX_CREATED)):
        records = await pool.fetch(sql("job_part", PACKAGE), job.part(number).command_id)
        yield [record["code"] for record in records]


class JobRunner:
    """Works on waiting jobs, one part at a time, and deletes old jobs. Several runners may run at once."""

    def __init__(self, pool: Pool, engine: Engine, *, retention_seconds: float = RETENTION_SECONDS) -> None:
        self._pool = pool
        self._engine = engine
        self._retention_seconds = retention_seconds
        self._pruned_at = -PRUNE_SECONDS

    async def run(self, stopping: asyncio.Event) -> None:
        """Work until `stopping` is set; a part that has begun is finished. If the ledger is unavailable, retry."""
        while not stopping.is_set():
            try:
                busy = await self.run_once()
                if not busy and time.monotonic() - self._pruned_at >= PRUNE_SECONDS:
                    await self.prune()
                    self._pruned_at = time.monotonic()
            except _UNAVAILABLE as error:
                log.warning("jobs wait for the ledger", error=repr(error))
                busy = False
            except Exception:  # after a bug, the job is retried when its lease has ended, after all others
                telemetry.BUGS.labels("job").inc()
                log.exception("bug: a part of a job was not done")
                busy = False
            if not busy:
                await sleep_unless(stopping, IDLE_SECONDS)

    async def prune(self) -> int:
        """Delete at most PRUNED_AT_A_TIME jobs that ended before the retention. Return how many."""
        status = await self._pool.execute(sql("jobs_prune", PACKAGE), self._retention_seconds, PRUNED_AT_A_TIME)
        return int(status.rpartition(" ")[2])

    async def run_once(self) -> bool:
        """Do one part of the oldest job that is not leased. Return False if there is none."""
        record = await self._pool.fetchrow(sql("job_claim", PACKAGE), LEASE_SECONDS)
        if record is None:
            return False
        job = Job(**record)
        number = job.done // MAX_CREATED
        [result] = await self._engine.execute([job.part(number)])
        problem: str | None = None
        if isinstance(result, Rejected):
            problem = result.text
        elif not result.accepted:
            problem = result.refused[0].message if result.refused else "No coupon was created."
        done = job.done if problem is not None else min((number + 1) * MAX_CREATED, job.total)
        await self._pool.execute(sql("job_advance", PACKAGE), job.job_id, done, problem)
        return True
