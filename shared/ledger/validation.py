"""Decide a command without executing it; nothing is written."""

from collections.abc import Callable, Collection
from datetime import datetime
from typing import Final, TypeVar

from shared.domain.decide import decide, evolve
from shared.domain.explain import Explanation
from shared.domain.explain import explain as explain_code
from shared.domain.model.commands import Command, ExpireLock, LockCoupons
from shared.domain.model.customer import DEFAULT_RULES, IdentityRules
from shared.domain.model.order_commands import RedeemCoupons
from shared.domain.model.state import State
from shared.domain.model.verdicts import Verdict
from shared.domain.offers.work import work_of
from shared.ledger import customers
from shared.ledger.campaigns import CampaignCache
from shared.ledger.database import UNAVAILABLE, Pool
from shared.ledger.engine import CONFLICTS, RUNS, Engine, LedgerUnavailableError, pause_after
from shared.ledger.loading import SweepFirstError, load
from shared.ledger.sql import sql
from shared.ledger.workload import HeavyWork

_Command = TypeVar("_Command", bound=Command)
_Answer = TypeVar("_Answer")

_TRY_AGAIN: Final[tuple[type[BaseException], ...]] = (*CONFLICTS, *UNAVAILABLE)


class _StuckLockError(Exception):
    """An expired lock can't be expired, because of a bug. The engine logs it when it meets the lock."""

    def __init__(self, reference: str) -> None:
        super().__init__(f"Lock {reference!r} can't be expired")
        self.reference = reference


async def validate(
    pool: Pool,
    command: Command,
    campaigns: CampaignCache | None = None,
    heavy: HeavyWork | None = None,
    rules: IdentityRules = DEFAULT_RULES,
) -> Verdict:
    """Return the verdict that `command` would get now. Load as the engine does, decide, and roll back.

    Rows are locked briefly, as by any batch. If identifiers belong to several customers, the first one's counts; only
    execution merges them. `rules` normalise identifiers. Expired locks may be swept first. Heavy work runs in a thread,
    in `heavy` if given. Raise LedgerUnavailableError, TooMuchAtOnceError, and asyncpg's errors for values that the
    database can't store.
    """
    return await _judge(pool, command, decide, campaigns, heavy, rules=rules)


async def explain(
    pool: Pool,
    command: RedeemCoupons | LockCoupons,
    campaigns: CampaignCache | None = None,
    heavy: HeavyWork | None = None,
    rules: IdentityRules = DEFAULT_RULES,
) -> Explanation:
    """Return every rule for the code that `command` names, with the current numbers. Otherwise like `validate`."""
    return await _judge(pool, command, explain_code, campaigns, heavy, rules=rules)


async def _judge(
    pool: Pool,
    command: _Command,
    judge: Callable[[_Command, State, datetime], _Answer],
    campaigns: CampaignCache | None,
    heavy: HeavyWork | None,
    *,
    rules: IdentityRules,
) -> _Answer:
    cache = campaigns or CampaignCache()
    stuck_locks: set[str] = set()
    for run in range(1, RUNS + 1):
        try:
            state, now = await _state_for(pool, command, cache, stuck_locks, rules)
            break
        except _StuckLockError as stuck:  # it has expired and holds nothing, so skip it
            stuck_locks.add(stuck.reference)
        except SweepFirstError:
            await Engine(pool).sweep_expired()
        except _TRY_AGAIN as error:
            if run == RUNS:
                raise LedgerUnavailableError(f"Validation failed in {RUNS} attempts: {error!r}") from error
            await pause_after(run)
    else:
        raise LedgerUnavailableError(f"Validation failed in {RUNS} attempts")
    # The transaction has ended, so a slow decision holds no rows and no connection.
    heavy = heavy or HeavyWork()
    if work_of(command, state, now) <= heavy.threshold:
        return judge(command, state, now)
    return await heavy.judge(judge, command, state, now)


async def _state_for(
    pool: Pool, command: Command, campaigns: CampaignCache, stuck_locks: Collection[str], rules: IdentityRules
) -> tuple[State, datetime]:
    """Return the state that `command` needs, and the time of the decision."""
    async with pool.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        try:
            await connection.execute(sql("batch_begin"), customers.DEFINITIONS_LOCK)
            known = await campaigns.refresh(connection)
            now = await connection.fetchval(sql("batch_clock"))
            loaded = await load(
                connection, [command], known, now, except_locks=stuck_locks, rules=rules, may_merge=False
            )
            for reference in loaded.expired:
                _expire(loaded.state, reference, now)
            return loaded.state, now
        finally:
            await transaction.rollback()


def _expire(state: State, reference: str, now: datetime) -> None:
    try:
        evolve(state, decide(ExpireLock(f"expire {reference}", reference), state, now))
    except Exception as error:
        raise _StuckLockError(reference) from error
