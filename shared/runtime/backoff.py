"""How long to wait before trying again."""

import random
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Backoff:
    """Doubling waits with jitter (between half of the step and the step), so that many processes don't come at once."""

    first_seconds: float = 0.1
    longest_seconds: float = 10.0

    def seconds(self, attempt: int) -> float:
        """The wait after the given attempt; the first is 1."""
        step = min(self.longest_seconds, self.first_seconds * 2 ** min(attempt - 1, 30))
        return random.uniform(step / 2, step)  # noqa: S311 - not a secret
