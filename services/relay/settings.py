"""The relay's own settings."""

from pydantic import Field

from shared.runtime.settings import Settings

WEEK_SECONDS = 7 * 24 * 60 * 60


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
