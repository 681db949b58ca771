"""The limits and waits of the webhook sender, independent of the settings they come from."""

import random
from dataclasses import dataclass
from typing import Final

BACKOFF_FACTOR: Final = 4.0
"""With ten attempts and a first wait of five seconds, retries span over a day, longer than a night's outage."""


@dataclass(frozen=True, slots=True)
class WebhookPolicy:
    """Limits of the sender. Meaning and defaults: see the settings of the same names."""

    allow_private: bool = False
    timeout_seconds: float = 10.0
    lease_seconds: float = 60.0
    slow_seconds: float = 1.0
    concurrency: int = 32
    endpoint_concurrency: int = 8
    attempts_max: int = 10
    backoff_seconds: float = 5.0
    backoff_max_seconds: float = 43_200.0
    disable_after: int = 10
    poll_seconds: float = 1.0
    drain_seconds: float = 12.0

    def wait_seconds(self, attempt: int, random_fraction: float | None = None) -> float:
        """Return the seconds to wait after the failed `attempt` (1, 2, …): between half a step and a whole one.

        `random_fraction` in [0, 1) is drawn if absent. The jitter spreads the retries of deliveries that failed
        together.
        """
        fraction = random.random() if random_fraction is None else random_fraction  # noqa: S311 - spreads, guards nothing
        # The exponent is limited so that a float can't overflow; the longest wait is reached long before.
        step: float = min(self.backoff_max_seconds, self.backoff_seconds * BACKOFF_FACTOR ** min(attempt - 1, 30))
        return step * (1 + fraction) / 2
