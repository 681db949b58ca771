"""The relay's own settings."""

from pydantic import Field

from shared.runtime.settings import Settings

DAY_SECONDS = 24 * 60 * 60
WEEK_SECONDS = 7 * DAY_SECONDS


class RelaySettings(Settings):
    """The settings of every service, and those of publishing and retention."""

    relay_max_events: int = Field(
        1_000, ge=1, le=10_000, description="maximum number of events in one Kafka transaction"
    )
    relay_takeover_seconds: float = Field(
        10.0,
        gt=0,
        le=3600,
        description="a relay that leaves events unpublished for this long is replaced by a waiting one",
    )
    relay_start_at: int | None = Field(
        None,
        ge=1,
        description="the first outbox position to publish, if the broker has lost the position; otherwise ignored",
    )
    outbox_retention_seconds: float = Field(
        WEEK_SECONDS, ge=0, description="how long published events stay in the outbox"
    )
    webhooks_retention_seconds: float = Field(
        90 * DAY_SECONDS,
        ge=DAY_SECONDS,
        description="how long webhook deliveries and their attempts are kept, pending ones included",
    )
    external_requests_retention_seconds: float = Field(
        30 * DAY_SECONDS,
        ge=DAY_SECONDS,
        description="how long requests to external sources are kept; must be longer than input topics keep events",
    )
    erasures_retention_seconds: float = Field(
        3 * 365 * DAY_SECONDS,
        ge=DAY_SECONDS,
        description="how long the log of erasures is kept; it holds no personal data",
    )

    @property
    def retention(self) -> dict[str, float]:
        """The retention of other rows that the relay deletes: statement → seconds."""
        return {
            "deliveries_prune": self.webhooks_retention_seconds,
            "external_requests_prune": self.external_requests_retention_seconds,
            "erasures_prune": self.erasures_retention_seconds,
        }
