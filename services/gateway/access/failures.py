"""Unknown keys and refused tokens, by address: so many a minute, and what is under way counts as if it failed.

Counted in this process. Keys can't be guessed at any rate; this keeps those who try from the ledger and the processor.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from services.gateway.access.budgets import Budgets, Clock
from services.gateway.access.guesses import as_problem


@dataclass
class Attempt:
    """One key or token on its way."""

    is_bad: bool = False

    def failed(self) -> None:
        """Say that it is nobody's."""
        self.is_bad = True


class Failures:
    """What each address sent in vain within the last minute."""

    def __init__(self, per_minute: int) -> None:
        self._clock = Clock()
        self._addresses = Budgets(per_minute, self._clock)

    @asynccontextmanager
    async def attempt(self, address: str) -> AsyncIterator[Attempt]:
        """While inside: one attempt, which counts when it `failed`. Raises a Problem (429)."""
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
