"""The issuer's own settings, all of them about external sources."""

from pydantic import Field

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
