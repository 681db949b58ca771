"""The relay's own settings."""

from pydantic import Field

from shared.runtime.settings import Settings

DAY_SECONDS = 24 * 60 * 60
WEEK_SECONDS = 7 * DAY_SECONDS


class RelaySettings(Settings):
    """What every service has, and how events leave the outbox."""

    relay_max_events: int = Field(1_000, ge=1, le=10_000, description="events in one Kafka transaction at most")
    relay_takeover_seconds: float = Field(
        10.0, gt=0, le=3600, description="a relay that leaves events lying for so long is replaced by one standing by"
    )
    relay_start_at: int | None = Field(
        None,
        ge=1,
        description="the first outbox position to publish, where the broker's memory of it is lost; else not looked at",
    )
    outbox_retention_seconds: float = Field(
        WEEK_SECONDS, ge=0, description="published events stay in the outbox for so long"
    )
    webhooks_retention_seconds: float = Field(
        90 * DAY_SECONDS,
        ge=DAY_SECONDS,
        description="webhook deliveries and their attempts are kept for so long, pending ones too",
    )
    external_requests_retention_seconds: float = Field(
        30 * DAY_SECONDS,
        ge=DAY_SECONDS,
        description="what external sources were asked is kept for so long; longer than input topics keep events",
    )
    erasures_retention_seconds: float = Field(
        3 * 365 * DAY_SECONDS, ge=DAY_SECONDS, description="the log of erasures is kept for so long; it names nobody"
    )

    @property
    def retention(self) -> dict[str, float]:
        """How long rows are kept that the relay deletes beside the outbox: statement → seconds."""
        return {
            "deliveries_prune": self.webhooks_retention_seconds,
            "external_requests_prune": self.external_requests_retention_seconds,
            "erasures_prune": self.erasures_retention_seconds,
        }
