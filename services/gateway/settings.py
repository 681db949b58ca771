"""The gateway's own settings."""

from typing import Final, Self

from pydantic import Field, model_validator

from shared.runtime.settings import PREFIX, ServiceSettings

DAY_SECONDS: Final = 24 * 60 * 60
MAX_LOCK_SECONDS: Final = DAY_SECONDS
MAX_BODY_BYTES: Final = 2 * 1024 * 1024
"""Above the largest order that Kafka takes (1 MB), so that no order is too large for HTTP alone."""


class GatewaySettings(ServiceSettings):
    """Where to listen, how to batch, how much anybody may ask."""

    http_host: str = Field("127.0.0.1", description="where the API listens; 0.0.0.0 in a container")
    http_port: int = Field(8080, ge=1, le=65_535, description="several processes of one machine may share it")
    http_batch_size: int = Field(
        200, ge=1, le=1_000, description="commands of one transaction at most; 1 gives each a transaction of its own"
    )
    http_batches: int = Field(2, ge=1, le=32, description="transactions under way at a time")
    http_waiting: int = Field(
        10_000, ge=1, le=1_000_000, description="commands that may wait for a transaction; more are told to come back"
    )
    http_answer_seconds: float = Field(30.0, gt=0, le=600, description="no answer takes longer; then it is a 503")
    http_rate_per_minute: int = Field(1_000, ge=1, le=10_000_000, description="requests a minute and key, a process")
    http_unknown_per_minute: int = Field(
        30, ge=1, le=1_000_000, description="unknown codes a minute and key; beyond, each answer takes longer"
    )
    answers_retention_seconds: float = Field(
        30 * DAY_SECONDS, ge=60, description="an answer under an Idempotency-Key is kept for so long"
    )
    jobs_retention_seconds: float = Field(
        90 * DAY_SECONDS, ge=60, description="a job that ended can be looked at for so long; its coupons stay"
    )
    lock_seconds: int = Field(
        15 * 60, ge=1, le=MAX_LOCK_SECONDS, description="how long a lock holds that names no time of its own"
    )
    currency: str = Field(
        "USD", pattern=r"^[A-Z]{3}$", description="the currency of amounts in APIs that name none (ISO 4217)"
    )
    region: str | None = Field(
        None,
        pattern=r"^[A-Z]{2}$",
        description="the country of phone numbers that name none (ISO 3166), in APIs that send such",
    )
    oauth_issuer: str | None = Field(None, description="accept its OAuth2 bearer tokens: their `iss`")
    oauth_audience: str | None = Field(None, description="what their `aud` must be")
    oauth_jwks_url: str | None = Field(None, description="where the issuer's public keys are")
    oauth_algorithms: str = Field(
        "RS256,ES256,EdDSA", description="signatures that are accepted, separated by commas; never a shared secret's"
    )
    webhooks_allow_private: bool = Field(
        False, description="endpoints may be http:// and lead to private addresses: for development only"
    )
    sitevibes_path: str = Field("/sitevibes", pattern=r"^/[\w./-]*$", description="base path of the SiteVibes API")
    paddle_path: str = Field("/paddle", pattern=r"^/[\w./-]*$", description="base path of the Paddle Classic API")
    capillary_path: str = Field("/capillary", pattern=r"^/[\w./-]*$", description="base path of the Capillary API")
    gameball_path: str = Field("/gameball", pattern=r"^/[\w./-]*$", description="base path of the Gameball API")
    voucherify_path: str = Field("/voucherify", pattern=r"^/[\w./-]*$", description="base path of the Voucherify API")

    @model_validator(mode="after")
    def _oauth_is_whole(self) -> Self:
        told = [self.oauth_issuer, self.oauth_audience, self.oauth_jwks_url]
        if any(told) and not all(told):
            raise ValueError(
                f"{PREFIX}OAUTH_ISSUER, {PREFIX}OAUTH_AUDIENCE and {PREFIX}OAUTH_JWKS_URL go together: set all or none"
            )
        secret = [name for name in self.algorithms if name.upper().startswith("HS") or name.lower() == "none"]
        if secret:
            raise ValueError(f"{PREFIX}OAUTH_ALGORITHMS holds {secret[0]}: only signatures of a key pair are accepted")
        return self

    @property
    def algorithms(self) -> tuple[str, ...]:
        """Signatures of bearer tokens that are accepted."""
        return tuple(name.strip() for name in self.oauth_algorithms.split(",") if name.strip())
