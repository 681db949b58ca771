"""The gateway's own settings."""

from ipaddress import ip_network
from typing import Final, Self

from pydantic import Field, model_validator

from shared.runtime.settings import PREFIX, ServiceSettings

DAY_SECONDS: Final = 24 * 60 * 60
MAX_LOCK_SECONDS: Final = DAY_SECONDS
EARLY_BODY_BYTES: Final = 64 * 1024
"""Of a body that says who calls, and so is read before that is known."""

BODY_BYTES_AT_ONCE: Final = 128 * 1024 * 1024
"""Of all bodies that a process has in memory at a time; more are told to come back."""

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
    http_heavy_process: bool = Field(
        True, description="answer heavy requests in a process of their own, so that the others don't wait for them"
    )
    http_rate_per_minute: int = Field(1_000, ge=1, le=10_000_000, description="requests a minute and key, a process")
    http_unknown_per_minute: int = Field(
        60,
        ge=1,
        le=1_000_000,
        description="unknown codes, locks and customers a minute and caller, over all gateways; beyond, a 429",
    )
    http_unknown_per_minute_and_address: int = Field(
        300, ge=1, le=10_000_000, description="the same for all callers of one address (IPv6: one /64) together"
    )
    http_bad_keys_per_minute: int = Field(
        60, ge=1, le=1_000_000, description="unknown keys and refused tokens a minute and address; beyond, a 429"
    )
    http_connections: int = Field(
        1_000, ge=8, le=60_000, description="connections at a time; beyond, the longest idle one gives way"
    )
    http_connections_per_address: int = Field(
        500, ge=4, le=60_000, description="the same for one address; not for trusted proxies"
    )
    http_at_once: int = Field(500, ge=1, le=100_000, description="requests at a time of one caller; more are a 429")
    http_at_once_per_address: int = Field(
        1_000, ge=1, le=100_000, description="requests at a time of one address; more are a 429"
    )
    http_trusted_proxies: str = Field(
        "",
        max_length=2_000,
        description="addresses or networks, separated by commas, whose X-Forwarded-For is believed; none without",
    )
    http_jobs_per_caller: int = Field(
        20, ge=1, le=10_000, description="jobs of one caller that aren't done; then a 429"
    )
    http_job_coupons_per_caller: int = Field(
        2_000_000,
        ge=1_000,
        le=1_000_000_000,
        description="coupons that the jobs of one caller have still to make; more are a 429",
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

    @model_validator(mode="after")
    def _proxies_are_networks(self) -> Self:
        for one in self.trusted_proxies:
            try:
                ip_network(one, strict=False)
            except ValueError:
                raise ValueError(
                    f"{PREFIX}HTTP_TRUSTED_PROXIES holds {one!r}, which is no address or network like 10.0.0.0/8"
                ) from None
        return self

    @property
    def trusted_proxies(self) -> tuple[str, ...]:
        """Addresses and networks of proxies that say where a request came from."""
        return tuple(one.strip() for one in self.http_trusted_proxies.split(",") if one.strip())

    @property
    def algorithms(self) -> tuple[str, ...]:
        """Signatures of bearer tokens that are accepted."""
        return tuple(name.strip() for name in self.oauth_algorithms.split(",") if name.strip())
