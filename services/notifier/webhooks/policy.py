"""How webhooks are sent: bounds and waits, apart from where they are configured."""

import random
from dataclasses import dataclass
from typing import Final

BACKOFF_FACTOR: Final = 4.0
"""Ten attempts from five seconds on then reach over a day: a night's outage on the other side loses nothing."""


@dataclass(frozen=True, slots=True)
class WebhookPolicy:
    """Bounds of the sender; the defaults are the settings' defaults, whose descriptions say what each means."""

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
        """How long to wait after the failed `attempt` (1, 2, …): between half of the step and the whole of it.

        `random_fraction` in [0, 1) is drawn when absent. The spread keeps the deliveries that failed together (the
        other side was down) from coming back together.
        """
        fraction = random.random() if random_fraction is None else random_fraction  # noqa: S311 - spreads, guards nothing
        # The exponent is bounded so that no number of attempts overflows a float; the cap is reached long before.
        step: float = min(self.backoff_max_seconds, self.backoff_seconds * BACKOFF_FACTOR ** min(attempt - 1, 30))
        return step * (1 + fraction) / 2
