"""Run a transaction outside of batches again when it conflicts with others."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from shared.ledger.database import UNAVAILABLE
from shared.ledger.engine import CONFLICTS, RUNS, LedgerUnavailableError, pause_after

Result = TypeVar("Result")


async def persisting(what: str, attempt: Callable[[int], Awaitable[Result]]) -> Result:
    """Call `attempt` with its number, 1 to RUNS, until it doesn't conflict with other batches. Return its result.

    `what` names the transaction for the error. Raises LedgerUnavailableError.
    """
    for number in range(1, RUNS + 1):
        try:
            return await attempt(number)
        except (*CONFLICTS, *UNAVAILABLE) as error:
            if number == RUNS:
                raise LedgerUnavailableError(f"{what} did not succeed in {RUNS} attempts: {error!r}") from error
            await pause_after(number)
    raise AssertionError("unreachable")
