"""The gateway's own settings."""

from ipaddress import ip_network
from typing import Final, Self

from pydantic import Field, model_validator

from shared.runtime.settings import PREFIX, CustomerSettings, ServiceSettings

DAY_SECONDS: Final = 24 * 60 * 60
MAX_LOCK_SECONDS: Final = DAY_SECONDS
EARLY_BODY_BYTES: Final = 64 * 1024
"""Limit of a body that identifies its caller and so is read before authentication."""

BODY_BYTES_AT_ONCE: Final = 128 * 1024 * 1024
"""Limit of all request bodies in the memory of a process; beyond it, requests get a 503."""

MAX_BODY_BYTES: Final = 2 * 1024 * 1024
"""Above the limit of an order event in Kafka (1 MB), so that HTTP accepts every order that Kafka accepts."""


class GatewaySettings(ServiceSettings, CustomerSettings):
    """Settings of the gateway: address, batching and limits."""

    http_host: str = Field("127.0.0.1", description="address of the API; 0.0.0.0 in a container")
    http_port: int = Field(
        8080, ge=1, le=65_535, description="port of the API; several processes on one machine can share it"
    )
    http_batch_size: int = Field(
        200,
        ge=1,
        le=1_000,
        description="maximum number of commands per transaction; 1 gives each command a separate transaction",
    )
    http_batches: int = Field(2, ge=1, le=32, description="maximum number of concurrent transactions")
    http_waiting: int = Field(
        10_000, ge=1, le=1_000_000, description="maximum number of commands that wait for a transaction; beyond it, 503"
    )
    http_answer_seconds: float = Field(30.0, gt=0, le=600, description="maximum time for a response; then 503")
    http_heavy_process: bool = Field(
        True, description="answer heavy requests in a separate process, so other requests don't wait"
    )
    http_rate_per_minute: int = Field(
        1_000, ge=1, le=10_000_000, description="requests per minute and key, per process; beyond it, 429"
    )
    http_unknown_per_minute: int = Field(
        60,
        ge=1,
        le=1_000_000,
        description="unknown codes, locks and customers per minute and caller, across all gateways; beyond it, 429",
    )
    http_unknown_per_minute_and_address: int = Field(
        300, ge=1, le=10_000_000, description="the same for all callers of one address (IPv6: one /64) together"
    )
    http_bad_keys_per_minute: int = Field(
        60, ge=1, le=1_000_000, description="unknown keys and refused tokens per minute and address; beyond it, 429"
    )
    http_connections: int = Field(
        1_000,
        ge=8,
        le=60_000,
        description="maximum number of connections; beyond it, the connection that is idle longest is closed",
    )
    http_connections_per_address: int = Field(
        500, ge=4, le=60_000, description="the same for one address; trusted proxies are exempt"
    )
    http_at_once: int = Field(500, ge=1, le=100_000, description="concurrent requests per caller; beyond it, 429")
    http_at_once_per_address: int = Field(
        1_000, ge=1, le=100_000, description="concurrent requests per address; beyond it, 429"
    )
    http_trusted_proxies: str = Field(
        "",
        max_length=2_000,
        description="addresses or networks, separated by commas, whose X-Forwarded-For is trusted; empty: none",
    )
    http_jobs_per_caller: int = Field(20, ge=1, le=10_000, description="unfinished jobs per caller; beyond it, 429")
    http_job_coupons_per_caller: int = Field(
        2_000_000,
        ge=1_000,
        le=1_000_000_000,
        description="coupons that the jobs of one caller still have to create; beyond it, 429",
    )
    answers_retention_seconds: float = Field(
        30 * DAY_SECONDS, ge=60, description="how long a response under an Idempotency-Key is kept"
    )
    jobs_retention_seconds: float = Field(
        90 * DAY_SECONDS, ge=60, description="how long a finished job can be read; its coupons stay"
    )
    lock_seconds: int = Field(
        15 * 60, ge=1, le=MAX_LOCK_SECONDS, description="duration of a lock that doesn't name one"
    )
    currency: str = Field(
        "USD", pattern=r"^[A-Z]{3}$", description="the currency of amounts in APIs that don't name one (ISO 4217)"
    )
    region: str | None = Field(
        None,
        pattern=r"^[A-Z]{2}$",
        description="the country of phone numbers without a country code (ISO 3166), in APIs that allow these",
    )
    oauth_issuer: str | None = Field(None, description="accept OAuth2 bearer tokens of this issuer (iss)")
    oauth_audience: str | None = Field(None, description="required value of aud")
    oauth_jwks_url: str | None = Field(None, description="URL of the issuer's public keys")
    oauth_algorithms: str = Field(
        "RS256,ES256,EdDSA", description="accepted signatures, separated by commas; shared secrets are not supported"
    )
    webhooks_allow_private: bool = Field(
        False, description="allow http:// and non-public addresses; only for a laptop or a closed network"
    )
    sitevibes_path: str = Field("/sitevibes", pattern=r"^/[\w./-]*$", description="base path of the SiteVibes API")
    paddle_path: str = Field("/paddle", pattern=r"^/[\w./-]*$", description="base path of the Paddle Classic API")
    capillary_path: str = Field("/capillary", pattern=r"^/[\w./-]*$", description="base path of the Capillary API")
    gameball_path: str = Field("/gameball", pattern=r"^/[\w./-]*$", description="base path of the Gameball API")
    voucherify_path: str = Field("/voucherify", pattern=r"^/[\w./-]*$", description="base path of the Voucherify API")

    @model_validator(mode="after")
    def _oauth_is_complete(self) -> Self:
        oauth = [self.oauth_issuer, self.oauth_audience, self.oauth_jwks_url]
        if any(oauth) and not all(oauth):
            raise ValueError(
                f"{PREFIX}OAUTH_ISSUER, {PREFIX}OAUTH_AUDIENCE and {PREFIX}OAUTH_JWKS_URL: set all or none"
            )
        secret = [name for name in self.algorithms if name.upper().startswith("HS") or name.lower() == "none"]
        if secret:
            raise ValueError(
                f"{PREFIX}OAUTH_ALGORITHMS contains {secret[0]}: only signatures of a key pair are supported"
            )
        return self

    @model_validator(mode="after")
    def _proxies_are_networks(self) -> Self:
        for one in self.trusted_proxies:
            try:
                ip_network(one, strict=False)
            except ValueError:
                raise ValueError(
                    f"{PREFIX}HTTP_TRUSTED_PROXIES contains {one!r}, not an address or network like 10.0.0.0/8"
                ) from None
        return self

    @property
    def trusted_proxies(self) -> tuple[str, ...]:
        """Addresses and networks of proxies whose X-Forwarded-For is trusted."""
        return tuple(one.strip() for one in self.http_trusted_proxies.split(",") if one.strip())

    @property
    def algorithms(self) -> tuple[str, ...]:
        """Accepted signature algorithms of bearer tokens."""
        return tuple(name.strip() for name in self.oauth_algorithms.split(",") if name.strip())
