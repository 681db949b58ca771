"""The issuer's own settings, all of them about external sources."""

from pydantic import Field

from services.issuer.sources.coupon_api import ApiLimits
from shared.runtime.settings import Settings


class IssuerSettings(Settings):
    """What every service has, and how external coupon APIs are asked."""

    external_attempts: int = Field(3, ge=1, le=10, description="tries of one question while the API is away or busy")
    external_try_seconds: float = Field(3.0, gt=0, le=30, description="how long one try may take")
    external_total_seconds: float = Field(
        10.0, gt=0, le=60, description="how long all tries of one question may take, pauses included"
    )
    external_concurrency: int = Field(16, ge=1, le=256, description="calls at the same time")
    external_batch_seconds: float = Field(
        10.0, gt=0, le=60, description="no further call is begun after this; the rest is asked when redelivered"
    )
    sources_allow_private: bool = Field(
        False,
        description="allow http:// and addresses that aren't public as external sources; "
        "for a laptop or a closed network only",
    )

    @property
    def api_limits(self) -> ApiLimits:
        """The bounds of one question to an external source."""
        return ApiLimits(
            self.external_attempts, self.external_try_seconds, self.external_total_seconds, self.sources_allow_private
        )
