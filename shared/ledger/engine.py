"""The engine: commands in, verdicts out, one Postgres transaction a batch.

    begin → seen these before? → load and lock → decide one after another → write → commit

Errors are classified here and nowhere else. A batch that met another batch runs again (bounded, with jitter). A lost
reply to COMMIT is resolved by running again, since the journal knows. A command that the database can't take, or that
meets a bug, is found by halving the batch and rejected alone: one bad command never harms its neighbours. A database
that is away is the caller's to wait for.
"""

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import asyncpg
import structlog

from shared.domain.decide import decide, evolve
from shared.domain.model.commands import Command, ExpireLock
from shared.domain.model.verdicts import Verdict
from shared.ledger import customers, journal
from shared.ledger.campaigns import CampaignCache
from shared.ledger.database import NOT_MIGRATED, UNAVAILABLE, Connection, Pool
from shared.ledger.loading import EXPIRED_LOCKS_A_BATCH, Loaded, RunAgainError, SweepFirstError, load
from shared.ledger.pacing import Pace, SplitBatchError, works_of
from shared.ledger.persist import Decided, write
from shared.ledger.sql import sql
from shared.runtime import telemetry

log = structlog.get_logger(__name__)

RUNS: Final = 8
"""How often a batch is run before its conflict counts as lasting. Conflicts are with batches that commit within
tens of milliseconds; eight runs with the pauses below span about two seconds."""

PAUSE_SECONDS: Final = 0.01
LONGEST_PAUSE_SECONDS: Final = 1.0

CONFLICTS: Final[tuple[type[BaseException], ...]] = (
    asyncpg.DeadlockDetectedError,
    asyncpg.SerializationError,
    asyncpg.LockNotAvailableError,
    asyncpg.UniqueViolationError,
    asyncpg.QueryCanceledError,
    RunAgainError,
)
"""Signs of another batch at the same rows. A unique violation is one: the other batch inserted first."""

UNTAKEABLE: Final[tuple[type[BaseException], ...]] = (
    asyncpg.IntegrityConstraintViolationError,
    asyncpg.DataError,
    asyncpg.RaiseError,
    asyncpg.ProgramLimitExceededError,  # a text too long for an index, among others
)
"""What the database, or its driver, says of a value or a change that it can't take."""

MOST_STUCK_LOCKS: Final = 1_000
"""Expired locks that one engine leaves alone because they can't be expired. More than these means a bug in expiring."""


_OF_THE_BATCH: Final[tuple[type[BaseException], ...]] = (
    *CONFLICTS,
    *UNAVAILABLE,
    *NOT_MIGRATED,
    SplitBatchError,
)
"""Errors that say nothing of a single command or lock."""


class LedgerUnavailableError(Exception):
    """The ledger can't be reached, or can't get a batch through. Nothing is lost: execute the same commands later."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """A command that got no verdict: its id was used for something else, the database can't take it, or it met a bug.

    Nothing of it was done. With `is_bug` the same command may succeed with a later version of Couponry; the log has the
    traceback. `text` is one or more sentences that may be shown to whoever sent the command.
    """

    command_id: str
    error_class: str
    text: str
    is_bug: bool = False


_OF_ALL: Final[tuple[type[BaseException], ...]] = (LedgerUnavailableError, *NOT_MIGRATED)
"""Errors that the caller gets: nobody's command is why."""

Answer = Verdict | Rejected
Asked = tuple[str, bytes]
"""(command id, fingerprint)"""


class _ExpiryError(Exception):
    """A batch failed that was to expire locks as well, so that one of them may be why. The cause is the error."""

    def __init__(self, references: Sequence[str]) -> None:
        super().__init__(f"A batch failed that was to expire {len(references)} locks")
        self.references = list(references)


class Engine:
    """Executes commands against the ledger behind `pool`. Any number of engines may run against one ledger."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._campaigns = CampaignCache()
        self._stuck_locks: set[str] = set()

    async def execute(self, commands: Sequence[Command]) -> list[Answer]:
        """Return one answer a command, in their order.

        Commands are decided one after another as if each ran alone in this order, in one transaction unless a command
        has to be isolated or all of them would take too long. One that was executed before gets its recorded verdict.
        One that the database can't take or that meets a bug gets a Rejected, and its neighbours are executed.

        Raises LedgerUnavailableError: then any of the batch may or may not have happened, and executing it again finds
        out. Raises one of `NOT_MIGRATED`: then nothing happened.
        """
        answered: dict[Asked, Answer] = {}
        asked: list[tuple[Command, Asked]] = []
        for command in commands:
            try:
                asked.append((command, (command.command_id, journal.fingerprint(command))))
            except Exception as error:  # whatever it raises is this command's own
                unreadable = (command.command_id, b"")
                answered[unreadable] = _bug(command, error)
                asked.append((command, unreadable))
        while waiting := [one for one in asked if one[1] not in answered]:
            # One a round for each id: of two requests under one id, either may be the one that has a verdict already.
            first: dict[str, tuple[Command, Asked]] = {}
            for one in waiting:
                first.setdefault(one[0].command_id, one)
            fingerprints = {command_id: key[1] for command_id, (_, key) in first.items()}
            answers = await self._isolating([command for command, _ in first.values()], fingerprints)
            answered |= {key: answers[command_id] for command_id, (_, key) in first.items()}
        return [answered[key] for _, key in asked]

    async def sweep_expired(self, limit: int = 10 * EXPIRED_LOCKS_A_BATCH) -> int:
        """Expire locks whose time is over, and publish that; about `limit` of them at most. Return how many.

        A lock that can't be expired is logged, and left alone by this engine from then on.
        """
        swept = 0
        while swept < limit:
            try:
                _, expired = await self._persisting([], {})
            except _ExpiryError:
                expired = await self._sweep_one_by_one()
            swept += expired
            if expired < EXPIRED_LOCKS_A_BATCH:
                break
        return swept

    async def _sweep_one_by_one(self) -> int:
        """Expire a batch's worth of locks, each in a transaction of its own. Return how many."""
        swept = 0
        for _ in range(EXPIRED_LOCKS_A_BATCH):
            try:
                _, expired = await self._persisting([], {}, expire=1)
            except _ExpiryError as failed:
                if len(self._stuck_locks) >= MOST_STUCK_LOCKS:
                    raise
                self._stuck_locks.update(failed.references)
                telemetry.BUGS.labels("expiry").inc()
                log.exception("bug: a lock can't be expired and is left alone", locks=failed.references)
                continue
            if not expired:
                break
            swept += expired
        return swept

    async def _isolating(self, commands: Sequence[Command], fingerprints: dict[str, bytes]) -> dict[str, Answer]:
        """Return answers by command id. A command that can't be executed is found by halving and rejected alone."""
        if not commands:
            return {}
        try:
            answers, _ = await self._persisting(commands, fingerprints)
        except _OF_ALL:
            raise
        except SplitBatchError as split:
            first = await self._isolating(commands[: split.count], fingerprints)
            return first | await self._isolating(commands[split.count :], fingerprints)
        except Exception as error:
            if len(commands) == 1:
                return {commands[0].command_id: await self._alone(commands[0], fingerprints, error)}
            middle = len(commands) // 2
            first = await self._isolating(commands[:middle], fingerprints)
            return first | await self._isolating(commands[middle:], fingerprints)
        return answers

    async def _alone(self, command: Command, fingerprints: dict[str, bytes], error: Exception) -> Answer:
        """Return the answer to a command that failed on its own.

        Its batch may have failed because of a lock that it was to expire on the way: those are swept first.
        """
        if isinstance(error, _ExpiryError):
            await self.sweep_expired()
            try:
                answers, _ = await self._persisting([command], fingerprints)
            except _OF_ALL:
                raise
            except Exception as again:  # whatever it raises is this command's own
                error = again
            else:
                return answers[command.command_id]
        cause = error.__cause__ if isinstance(error, _ExpiryError) else error
        if isinstance(cause, UNTAKEABLE):
            log.warning("command_rejected", command_id=command.command_id, error=str(cause))
            return Rejected(command.command_id, type(cause).__name__, str(cause))
        return _bug(command, error)

    async def _persisting(
        self, commands: Sequence[Command], fingerprints: dict[str, bytes], *, expire: int = EXPIRED_LOCKS_A_BATCH
    ) -> tuple[dict[str, Answer], int]:
        """Run the batch until it gets through, at most `RUNS` times."""
        for run in range(1, RUNS + 1):
            try:
                return await self._run(commands, fingerprints, expire)
            except customers.SamePersonError as found:
                await self._merge(found)
            except SweepFirstError:
                await self.sweep_expired()
            except CONFLICTS as conflict:
                if run == RUNS:
                    if isinstance(conflict, UNTAKEABLE):
                        raise  # no other batch explains a key that stays taken: it is a command of this one
                    raise LedgerUnavailableError(
                        f"A batch met others {RUNS} times in a row: {conflict!r}"
                    ) from conflict
                log.info("batch_runs_again", run=run, reason=type(conflict).__name__, commands=len(commands))
            except UNAVAILABLE as error:
                if run == RUNS:
                    if (bug := _hidden_bug(error)) is not None:
                        raise bug from None
                    raise LedgerUnavailableError(f"PostgreSQL doesn't answer: {error!r}") from error
                log.warning("ledger_unavailable", run=run, error=repr(error))
            await pause_after(run)
        raise LedgerUnavailableError(f"A batch did not settle within {RUNS} runs")

    async def _merge(self, found: customers.SamePersonError) -> None:
        try:
            await customers.merge(self._pool, found.groups)
        except (*UNAVAILABLE, *CONFLICTS) as error:
            log.warning("merge_runs_again", error=repr(error))

    async def _run(
        self, commands: Sequence[Command], fingerprints: dict[str, bytes], expire: int
    ) -> tuple[dict[str, Answer], int]:
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute(sql("batch_begin"), customers.DEFINITIONS_LOCK)
            answers = await self._seen(connection, commands, fingerprints)
            fresh = [command for command in commands if command.command_id not in answers]
            if commands and not fresh:
                return answers, 0
            campaigns = await self._campaigns.refresh(connection)
            now = await connection.fetchval(sql("batch_clock"))
            loaded = await load(connection, fresh, campaigns, now, expire=expire, except_locks=self._stuck_locks)
            try:
                decided = await _decide_all(loaded, fresh, fingerprints)
                await write(connection, loaded, decided)
            except _OF_THE_BATCH:
                raise
            except Exception as error:
                if loaded.expired:
                    raise _ExpiryError(loaded.expired) from error
                raise
        answers.update((entry.verdict.command_id, entry.verdict) for entry in decided if entry.fingerprint is not None)
        return answers, len(loaded.expired)

    async def _seen(
        self, connection: Connection, commands: Sequence[Command], fingerprints: dict[str, bytes]
    ) -> dict[str, Answer]:
        recorded = await journal.look_up(connection, [command.command_id for command in commands]) if commands else {}
        return {
            command_id: journal.decode_verdict(command_id, entry.verdict)
            if journal.same_request(entry.fingerprint, fingerprints[command_id])
            else _reused(command_id)
            for command_id, entry in recorded.items()
        }


def _hidden_bug(error: BaseException) -> Exception | None:
    """Return the bug behind a lost connection: asyncpg closes one on which COPY met a value that it can't encode."""
    before = error.__context__
    known = (*UNAVAILABLE, *CONFLICTS)
    return before if isinstance(before, Exception) and not isinstance(before, known) else None


async def pause_after(run: int) -> None:
    """Wait before the next run of a batch: longer after each, within a bound, and no two for the same time."""
    await asyncio.sleep(random.uniform(0.5, 1.0) * min(LONGEST_PAUSE_SECONDS, PAUSE_SECONDS * 2**run))  # noqa: S311


async def _decide_all(loaded: Loaded, commands: Sequence[Command], fingerprints: dict[str, bytes]) -> list[Decided]:
    """Decide one command after another, each on the state that the one before left. Raises SplitBatchError."""
    state, now, pace = loaded.state, loaded.now, Pace()
    works = works_of(commands, state, now)
    decided: list[Decided] = []
    for reference in loaded.expired:
        expire = ExpireLock(f"expire {reference} {now.isoformat()}", reference)
        verdict = decide(expire, state, now)
        evolve(state, verdict)
        decided.append(Decided.of(expire, None, verdict, state))
    for command, work in zip(commands, works, strict=True):
        verdict = await pace.make(work, decide, command, state, now)
        evolve(state, verdict)
        decided.append(await pace.make(work, Decided.of, command, fingerprints[command.command_id], verdict, state))
    return decided


def _bug(command: Command, error: BaseException) -> Rejected:
    telemetry.BUGS.labels("command").inc()
    kind, name = type(command).__name__, type(error).__name__
    log.error("bug: command rejected", command_id=command.command_id, command=kind, exc_info=error)
    return Rejected(
        command.command_id,
        "bug",
        f"Couponry met a bug ({name}) and did nothing of this request. Its log has the details under the command id "
        f"'{command.command_id}'. Send the request again after an upgrade.",
        is_bug=True,
    )


def _reused(command_id: str) -> Rejected:
    return Rejected(
        command_id,
        "CommandIdReused",
        f"The id '{command_id}' was used before for a request with other content. "
        "Send each request under an id of its own, and a repeated one exactly as it was.",
    )
