"""A limit per address and minute of unknown keys and refused tokens. Attempts in progress count as failures.

Counted in this process. Keys are too long to be guessed; the limit protects the ledger and the CPU from attempts.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from services.gateway.access.failure_budgets import Budgets, Clock
from services.gateway.access.guesses import as_problem


@dataclass
class Attempt:
    """One key or token that is being checked."""

    is_bad: bool = False

    def failed(self) -> None:
        """Mark the key or token as unknown or refused."""
        self.is_bad = True


class Failures:
    """Failed authentications of each address within the last minute."""

    def __init__(self, per_minute: int) -> None:
        self._clock = Clock()
        self._addresses = Budgets(per_minute, self._clock)

    @asynccontextmanager
    async def attempt(self, address: str) -> AsyncIterator[Attempt]:
        """Run one attempt, which counts if it is marked as `failed`. Raises a Problem (429)."""
        with as_problem("unknown keys or refused tokens from this address"):
            taken = await self._addresses.of(address).take(1)
        attempt = Attempt()
        try:
            yield attempt
        finally:
            budget = self._addresses.of(address)
            if attempt.is_bad:
                budget.add({self._clock.slot(): 1}, known=False)
            budget.give_back(taken)
            self._addresses.drop_unused(address)
