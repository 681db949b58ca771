"""The engine: executes batches of commands and returns verdicts, with one PostgreSQL transaction per batch.

    begin → look up the journal → load and lock → decide one after another → write → commit

All errors are classified here. A batch that conflicts with another one is retried (bounded, with jitter). A lost reply
to COMMIT is resolved by a retry, which finds the verdicts in the journal. A command that the database can't store, or
that causes a bug, is found by halving the batch and rejected alone; the others are executed. If the database is
unavailable, the caller waits.
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
from shared.domain.model.customer import DEFAULT_RULES, IdentityRules
from shared.domain.model.ids import readable
from shared.domain.model.verdicts import Verdict
from shared.ledger import customers, journal
from shared.ledger.campaigns import CampaignCache
from shared.ledger.database import NOT_MIGRATED, UNAVAILABLE, Connection, Pool
from shared.ledger.loading import EXPIRED_LOCKS_PER_BATCH, Loaded, RunAgainError, SweepFirstError, load
from shared.ledger.persist import Decided, write
from shared.ledger.sql import sql
from shared.ledger.workload import Pace, SplitBatchError, works_of
from shared.runtime import telemetry

log = structlog.get_logger(__name__)

RUNS: Final = 8
"""Limit of runs before a conflict of a batch counts as permanent. Other batches commit within tens of milliseconds;
eight runs with the pauses below take about two seconds."""

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
"""Errors that mean another batch holds the same rows, or inserted them first (a unique violation). Retry the batch."""

INVALID_VALUE_ERRORS: Final[tuple[type[BaseException], ...]] = (
    asyncpg.IntegrityConstraintViolationError,
    asyncpg.DataError,
    asyncpg.RaiseError,
    asyncpg.ProgramLimitExceededError,  # a string too long for an index, among others
)
"""Errors of the database, or its driver, for a value or a change that it can't store."""

MAX_STUCK_LOCKS: Final = 1_000
"""Limit of expired locks that one engine skips because they can't be expired. More mean a bug in the expiry itself."""


_BATCH_ERRORS: Final[tuple[type[BaseException], ...]] = (
    *CONFLICTS,
    *UNAVAILABLE,
    *NOT_MIGRATED,
    SplitBatchError,
)
"""Errors that no single command or lock causes."""


class LedgerUnavailableError(Exception):
    """The ledger is unavailable, or a batch kept failing. Nothing is lost: execute the same commands later."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """A command without a verdict: its id has another request, the database can't store it, or it caused a bug.

    The command had no effect. With `is_bug` it may succeed with a later version of Couponry; the log has the traceback.
    `text` may be shown to the sender of the command.
    """

    command_id: str
    error_class: str
    text: str
    is_bug: bool = False


_FATAL_ERRORS: Final[tuple[type[BaseException], ...]] = (LedgerUnavailableError, *NOT_MIGRATED)
"""Errors that are raised to the caller, because no command causes them."""

Answer = Verdict | Rejected
_RequestKey = tuple[str, bytes]
"""(command id, fingerprint)"""


class _ExpiryError(Exception):
    """A batch that expires locks as well failed, so one of the locks may be the cause. `__cause__` is the error."""

    def __init__(self, references: Sequence[str]) -> None:
        super().__init__(f"A batch that expires {len(references)} locks failed")
        self.references = list(references)


class Engine:
    """Executes commands against the ledger of `pool`. Any number of engines may use one ledger.

    `rules` normalise the customers' identifiers; all engines of a ledger need the same.
    """

    def __init__(self, pool: Pool, rules: IdentityRules = DEFAULT_RULES) -> None:
        self._pool = pool
        self._rules = rules
        self._campaigns = CampaignCache()
        self._stuck_locks: set[str] = set()

    async def execute(self, commands: Sequence[Command]) -> list[Answer]:
        """Execute commands and return one answer for each, in their order.

        Commands are decided one after another in this order, in one transaction unless a command has to be isolated or
        all of them would take too long. A command that was executed before gets its recorded verdict. One that the
        database can't store or that causes a bug gets a Rejected; the others are executed.

        Raises LedgerUnavailableError: the commands may or may not have been executed; executing them again finds out.
        Raises one of `NOT_MIGRATED`: nothing was executed.
        """
        answered: dict[_RequestKey, Answer] = {}
        requests: list[tuple[Command, _RequestKey]] = []
        for command in commands:
            try:
                requests.append((command, (command.command_id, journal.fingerprint(command))))
            except Exception as error:  # any error is caused by this command
                without_fingerprint = (command.command_id, b"")
                answered[without_fingerprint] = _bug(command, error)
                requests.append((command, without_fingerprint))
        while waiting := [request for request in requests if request[1] not in answered]:
            # Run duplicates of one id in separate rounds, because either may already have a verdict.
            first: dict[str, tuple[Command, _RequestKey]] = {}
            for request in waiting:
                first.setdefault(request[0].command_id, request)
            fingerprints = {command_id: key[1] for command_id, (_, key) in first.items()}
            answers = await self._isolating([command for command, _ in first.values()], fingerprints)
            answered |= {key: answers[command_id] for command_id, (_, key) in first.items()}
        return [answered[key] for _, key in requests]

    async def sweep_expired(self, limit: int = 10 * EXPIRED_LOCKS_PER_BATCH) -> int:
        """Expire about `limit` locks whose time is over, and publish their events. Return the number of expired locks.

        A lock that can't be expired is logged, and skipped by this engine from then on.
        """
        swept = 0
        while swept < limit:
            try:
                _, expired = await self._persisting([], {})
            except _ExpiryError:
                expired = await self._sweep_one_by_one()
            swept += expired
            if expired < EXPIRED_LOCKS_PER_BATCH:
                break
        return swept

    async def _sweep_one_by_one(self) -> int:
        """Expire a batch of locks, each in its own transaction. Return the number of expired locks."""
        swept = 0
        for _ in range(EXPIRED_LOCKS_PER_BATCH):
            try:
                _, expired = await self._persisting([], {}, expire=1)
            except _ExpiryError as failed:
                if len(self._stuck_locks) >= MAX_STUCK_LOCKS:
                    raise
                self._stuck_locks.update(failed.references)
                telemetry.BUGS.labels("expiry").inc()
                log.exception(
                    "bug: a lock can't be expired and is skipped", locks=[readable(one) for one in failed.references]
                )
                continue
            if not expired:
                break
            swept += expired
        return swept

    async def _isolating(self, commands: Sequence[Command], fingerprints: dict[str, bytes]) -> dict[str, Answer]:
        """Execute commands and return answers by command id. Halve the batch to find one that can't be executed."""
        if not commands:
            return {}
        try:
            answers, _ = await self._persisting(commands, fingerprints)
        except _FATAL_ERRORS:
            raise
        except SplitBatchError as split:
            first = await self._isolating(commands[: split.count], fingerprints)
            return first | await self._isolating(commands[split.count :], fingerprints)
        except Exception as error:
            if len(commands) == 1:
                return {commands[0].command_id: await self._answer_to_failed(commands[0], fingerprints, error)}
            middle = len(commands) // 2
            first = await self._isolating(commands[:middle], fingerprints)
            return first | await self._isolating(commands[middle:], fingerprints)
        return answers

    async def _answer_to_failed(self, command: Command, fingerprints: dict[str, bytes], error: Exception) -> Answer:
        """Return the answer to a command that failed alone.

        An expired lock may have caused the failure, so sweep those first and try again.
        """
        if isinstance(error, _ExpiryError):
            await self.sweep_expired()
            try:
                answers, _ = await self._persisting([command], fingerprints)
            except _FATAL_ERRORS:
                raise
            except Exception as again:  # any error is caused by this command
                error = again
            else:
                return answers[command.command_id]
        cause = error.__cause__ if isinstance(error, _ExpiryError) else error
        if isinstance(cause, INVALID_VALUE_ERRORS):
            text = readable(str(cause))  # PostgreSQL's details may quote the order's key
            log.warning("command_rejected", command_id=command.command_id, error=text)
            return Rejected(command.command_id, type(cause).__name__, text)
        return _bug(command, error)

    async def _persisting(
        self, commands: Sequence[Command], fingerprints: dict[str, bytes], *, expire: int = EXPIRED_LOCKS_PER_BATCH
    ) -> tuple[dict[str, Answer], int]:
        """Run the batch until it succeeds, at most `RUNS` times."""
        for run in range(1, RUNS + 1):
            try:
                return await self._run(commands, fingerprints, expire)
            except customers.CustomersToMergeError as found:
                await self._merge(found)
            except SweepFirstError:
                await self.sweep_expired()
            except CONFLICTS as conflict:
                if run == RUNS:
                    if isinstance(conflict, INVALID_VALUE_ERRORS):
                        raise  # the key stays taken, so a command of this batch is the cause
                    raise LedgerUnavailableError(
                        f"A batch conflicted with others {RUNS} times in a row: {conflict!r}"
                    ) from conflict
                log.info("batch_retried", run=run, reason=type(conflict).__name__, commands=len(commands))
            except UNAVAILABLE as error:
                if run == RUNS:
                    if (bug := _hidden_bug(error)) is not None:
                        raise bug from None
                    raise LedgerUnavailableError(f"PostgreSQL doesn't answer: {error!r}") from error
                log.warning("ledger_unavailable", run=run, error=repr(error))
            await pause_after(run)
        raise LedgerUnavailableError(f"A batch did not succeed within {RUNS} runs")

    async def _merge(self, found: customers.CustomersToMergeError) -> None:
        try:
            await customers.merge(self._pool, found.groups)
        except (*UNAVAILABLE, *CONFLICTS) as error:
            log.warning("merge_retried", error=repr(error))

    async def _run(
        self, commands: Sequence[Command], fingerprints: dict[str, bytes], expire: int
    ) -> tuple[dict[str, Answer], int]:
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute(sql("batch_begin"), customers.DEFINITIONS_LOCK)
            answers = await self._recorded(connection, commands, fingerprints)
            fresh = [command for command in commands if command.command_id not in answers]
            if commands and not fresh:
                return answers, 0
            campaigns = await self._campaigns.refresh(connection)
            now = await connection.fetchval(sql("batch_clock"))
            loaded = await load(
                connection, fresh, campaigns, now, expire=expire, except_locks=self._stuck_locks, rules=self._rules
            )
            try:
                decided = await _decide_all(loaded, fresh, fingerprints)
                await write(connection, loaded, decided)
            except _BATCH_ERRORS:
                raise
            except Exception as error:
                if loaded.expired:
                    raise _ExpiryError(loaded.expired) from error
                raise
        answers.update((entry.verdict.command_id, entry.verdict) for entry in decided if entry.fingerprint is not None)
        return answers, len(loaded.expired)

    async def _recorded(
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
    """Return the error that closed the connection: asyncpg closes it if COPY can't encode a value."""
    before = error.__context__
    known = (*UNAVAILABLE, *CONFLICTS)
    return before if isinstance(before, Exception) and not isinstance(before, known) else None


async def pause_after(run: int) -> None:
    """Wait before the next run of a batch, with exponential backoff and jitter."""
    await asyncio.sleep(random.uniform(0.5, 1.0) * min(LONGEST_PAUSE_SECONDS, PAUSE_SECONDS * 2**run))  # noqa: S311


async def _decide_all(loaded: Loaded, commands: Sequence[Command], fingerprints: dict[str, bytes]) -> list[Decided]:
    """Decide one command after another, each on the state after the previous one. Raises SplitBatchError."""
    state, now, pace = loaded.state, loaded.now, Pace()
    works = works_of(commands, state, now)
    decided: list[Decided] = []
    for reference in loaded.expired:
        expire = ExpireLock(f"expire {reference} {now.isoformat()}", reference)
        verdict = decide(expire, state, now)
        evolve(state, verdict)
        decided.append(Decided.of(expire, None, verdict, state))
    for command, work in zip(commands, works, strict=True):
        verdict = await pace.call(work, decide, command, state, now)
        evolve(state, verdict)
        decided.append(await pace.call(work, Decided.of, command, fingerprints[command.command_id], verdict, state))
    return decided


def _bug(command: Command, error: BaseException) -> Rejected:
    telemetry.BUGS.labels("command").inc()
    kind, name = type(command).__name__, type(error).__name__
    log.error("bug: command rejected", command_id=command.command_id, command=kind, exc_info=error)
    return Rejected(
        command.command_id,
        "bug",
        f"Couponry failed with an internal error ({name}) and did not execute this request. Its log has "
        f"the details under the command id '{command.command_id}'. Send the request again after an upgrade.",
        is_bug=True,
    )


def _reused(command_id: str) -> Rejected:
    return Rejected(
        command_id,
        "CommandIdReused",
        f"The id '{command_id}' was used before for a request with different content. "
        "Use a new id for each request, and repeat a request without changes.",
    )
