"""The issuer's own settings: how customers are recognised, and external sources of codes."""

from pydantic import Field

from services.issuer.sources.coupon_api import ApiLimits
from shared.runtime.settings import CustomerSettings, Settings


class IssuerSettings(Settings, CustomerSettings):
    """The settings of every service, and the limits of calls to external coupon APIs."""

    external_attempts: int = Field(
        3, ge=1, le=10, description="attempts per request while the external API is unavailable or busy"
    )
    external_try_seconds: float = Field(3.0, gt=0, le=30, description="timeout of one attempt")
    external_total_seconds: float = Field(
        10.0, gt=0, le=60, description="timeout of all attempts of one request, pauses included"
    )
    external_concurrency: int = Field(16, ge=1, le=256, description="concurrent calls")
    external_batch_seconds: float = Field(
        10.0,
        gt=0,
        le=60,
        description="no further call begins after this time; the remaining requests are made when the events "
        "are redelivered",
    )
    sources_allow_private: bool = Field(
        False,
        description="allow external sources with http:// or non-public addresses; only for a laptop or a "
        "closed network",
    )

    @property
    def api_limits(self) -> ApiLimits:
        """The limits of one request to an external source."""
        return ApiLimits(
            self.external_attempts, self.external_try_seconds, self.external_total_seconds, self.sources_allow_private
        )
