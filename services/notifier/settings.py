"""The notifier's settings: those of every service, and those of webhooks."""

from typing import Final, Self

from pydantic import Field, model_validator

from services.notifier.webhooks.policy import WebhookPolicy
from shared.runtime.settings import PREFIX, Settings

RECORD_SECONDS: Final = 3.0
"""The part of the shutdown time that is reserved for recording the last outcomes and closing connections."""


class NotifierSettings(Settings):
    """The environment of `python -m services.notifier`."""

    webhooks_enabled: bool = Field(True, description="false: this process sends no webhooks and leaves that to others")
    webhooks_allow_private: bool = Field(
        False, description="allow http:// and non-public addresses; only for a laptop or a closed network"
    )
    webhooks_timeout_seconds: float = Field(
        10.0, gt=0, le=120, description="timeout of one attempt: name resolution, connection and response"
    )
    webhooks_lease_seconds: float = Field(
        60.0, gt=0, le=3600, description="an attempt without a recorded result is repeated after this time"
    )
    webhooks_concurrency: int = Field(
        32,
        ge=1,
        le=1_000,
        description="maximum number of concurrent calls per process; slow endpoints have as many again, and "
        "four times as many for calls that began before an endpoint was known to be slow",
    )
    webhooks_slow_seconds: float = Field(
        1.0,
        gt=0,
        le=120,
        description="a call that takes longer marks its endpoint as slow; slow endpoints delay only each other",
    )
    webhooks_endpoint_concurrency: int = Field(8, ge=1, le=1_000, description="concurrent calls per endpoint")
    webhooks_attempts_max: int = Field(10, ge=1, le=100, description="attempts per delivery before it counts as failed")
    webhooks_backoff_seconds: float = Field(
        5.0, gt=0, description="pause after the first failed attempt; each further pause is four times as long"
    )
    webhooks_backoff_max_seconds: float = Field(43_200.0, gt=0, description="longest pause between two attempts")
    webhooks_disable_after: int = Field(10, ge=1, description="failed deliveries in a row that disable an endpoint")
    webhooks_poll_seconds: float = Field(1.0, gt=0, le=60, description="pause when no delivery is due")

    @model_validator(mode="after")
    def _check_lease(self) -> Self:
        if self.webhooks_lease_seconds < 2 * self.webhooks_timeout_seconds:
            raise ValueError(
                f"{PREFIX}WEBHOOKS_LEASE_SECONDS must be at least twice {PREFIX}WEBHOOKS_TIMEOUT_SECONDS, "
                "otherwise a slow call is repeated while it is still running"
            )
        return self

    @property
    def webhook_policy(self) -> WebhookPolicy:
        """The sender's policy from these settings."""
        return WebhookPolicy(
            allow_private=self.webhooks_allow_private,
            timeout_seconds=self.webhooks_timeout_seconds,
            lease_seconds=self.webhooks_lease_seconds,
            slow_seconds=self.webhooks_slow_seconds,
            concurrency=self.webhooks_concurrency,
            endpoint_concurrency=self.webhooks_endpoint_concurrency,
            attempts_max=self.webhooks_attempts_max,
            backoff_seconds=self.webhooks_backoff_seconds,
            backoff_max_seconds=self.webhooks_backoff_max_seconds,
            disable_after=self.webhooks_disable_after,
            poll_seconds=self.webhooks_poll_seconds,
            drain_seconds=max(0.0, self.drain_seconds - RECORD_SECONDS),
        )
