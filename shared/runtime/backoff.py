"""Waits between retries."""

import random
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Backoff:
    """Doubling waits with jitter (between half a step and the step), so that processes don't retry at the same time."""

    first_seconds: float = 0.1
    longest_seconds: float = 10.0

    def seconds(self, attempt: int) -> float:
        """Return the wait after the given attempt; the first is 1."""
        step = min(self.longest_seconds, self.first_seconds * 2 ** min(attempt - 1, 30))
        return random.uniform(step / 2, step)  # noqa: S311 - not a secret
