"""The engine: commands in, verdicts out, one Postgres transaction a batch.

    begin → seen these before? → load and lock → decide one after another → write → commit

What can go wrong is told apart here and nowhere else: a batch that met another batch runs again (bounded, with jitter);
a lost reply to COMMIT is resolved by running again, since the journal knows; a command that the database can't take is
found by halving the batch, and rejected alone; a database that is away is the caller's to wait for.
"""

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import asyncpg
import structlog

from shared.domain.commands import Command, ExpireLock
from shared.domain.decide import decide, evolve
from shared.domain.verdicts import Verdict
from shared.ledger import customers, journal
from shared.ledger.campaigns import CampaignCache
from shared.ledger.database import UNAVAILABLE, Connection, Pool
from shared.ledger.loading import EXPIRED_LOCKS_A_BATCH, Loaded, RunAgainError, SweepFirstError, load
from shared.ledger.pacing import Pace, SplitBatchError, works_of
from shared.ledger.sql import sql
from shared.ledger.writing import Decided, write

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
)
"""What the database, or its driver, says of a value or a change that it can't take."""


class LedgerUnavailableError(Exception):
    """The ledger can't be reached, or can't get a batch through. Nothing is lost: execute the same commands later."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """A command that got no verdict and never will: its id was used for something else, or no database takes it."""

    command_id: str
    error_class: str
    text: str


Answer = Verdict | Rejected


class Engine:
    """Executes commands against the ledger behind `pool`. Any number of engines may run against one ledger."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._campaigns = CampaignCache()

    async def execute(self, commands: Sequence[Command]) -> list[Answer]:
        """One answer a command, in their order; all effects in one transaction unless a command had to be set apart, or
        all of them would take too long.

        Commands are decided one after another as if each ran alone in this order. One that was executed before gets
        its recorded verdict. Raises LedgerUnavailableError: then any of the batch may or may not have happened, and
        executing it again finds out.
        """
        answered: dict[tuple[str, bytes], Answer] = {}
        asked = [(command, (command.command_id, journal.fingerprint(command))) for command in commands]
        while waiting := [one for one in asked if one[1] not in answered]:
            # One a round for each id: of two requests under one id, either may be the one that has a verdict already.
            first: dict[str, tuple[Command, tuple[str, bytes]]] = {}
            for one in waiting:
                first.setdefault(one[0].command_id, one)
            fingerprints = {command_id: key[1] for command_id, (_, key) in first.items()}
            answers = await self._isolating([command for command, _ in first.values()], fingerprints)
            answered |= {key: answers[command_id] for command_id, (_, key) in first.items()}
        return [answered[key] for _, key in asked]

    async def sweep_expired(self, limit: int = 10 * EXPIRED_LOCKS_A_BATCH) -> int:
        """Tidy up locks whose time is over, and publish that; about `limit` of them at most. Returns how many."""
        swept = 0
        while swept < limit:
            _, expired = await self._persisting([], {})
            swept += expired
            if expired < EXPIRED_LOCKS_A_BATCH:
                break
        return swept

    async def _isolating(self, commands: Sequence[Command], fingerprints: dict[str, bytes]) -> dict[str, Answer]:
        """Answers by command id; a command that the database can't take is found by halving and rejected alone."""
        if not commands:
            return {}
        try:
            answers, _ = await self._persisting(commands, fingerprints)
        except SplitBatchError as split:
            first = await self._isolating(commands[: split.count], fingerprints)
            return first | await self._isolating(commands[split.count :], fingerprints)
        except UNTAKEABLE as error:
            if len(commands) == 1:
                log.warning("command_rejected", command_id=commands[0].command_id, error=str(error))
                return {commands[0].command_id: Rejected(commands[0].command_id, type(error).__name__, str(error))}
            middle = len(commands) // 2
            first = await self._isolating(commands[:middle], fingerprints)
            return first | await self._isolating(commands[middle:], fingerprints)
        return answers

    async def _persisting(
        self, commands: Sequence[Command], fingerprints: dict[str, bytes]
    ) -> tuple[dict[str, Answer], int]:
        """Run the batch until it gets through, at most `RUNS` times."""
        for run in range(1, RUNS + 1):
            try:
                return await self._run(commands, fingerprints)
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
                    raise LedgerUnavailableError(f"PostgreSQL doesn't answer: {error!r}") from error
                log.warning("ledger_unavailable", run=run, error=repr(error))
            await pause_after(run)
        raise LedgerUnavailableError(f"A batch did not settle within {RUNS} runs")

    async def _merge(self, found: customers.SamePersonError) -> None:
        try:
            await customers.merge(self._pool, found.groups)
        except (*UNAVAILABLE, *CONFLICTS) as error:
            log.warning("merge_runs_again", error=repr(error))

    async def _run(self, commands: Sequence[Command], fingerprints: dict[str, bytes]) -> tuple[dict[str, Answer], int]:
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute(sql("batch_begin"), customers.DEFINITIONS_LOCK)
            answers = await self._seen(connection, commands, fingerprints)
            fresh = [command for command in commands if command.command_id not in answers]
            if commands and not fresh:
                return answers, 0
            campaigns = await self._campaigns.refresh(connection)
            now = await connection.fetchval(sql("batch_clock"))
            loaded = await load(connection, fresh, campaigns, now)
            decided = await _decide_all(loaded, fresh, fingerprints)
            await write(connection, loaded, decided)
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


def _reused(command_id: str) -> Rejected:
    return Rejected(
        command_id,
        "CommandIdReused",
        f"The id '{command_id}' was used before for a request with other content. "
        "Send each request under an id of its own, and a repeated one exactly as it was.",
    )
