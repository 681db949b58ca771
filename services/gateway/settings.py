"""The gateway's own settings."""

from ipaddress import ip_network
from typing import Final, Self

from pydantic import Field, model_validator

from shared.runtime.settings import PREFIX, ServiceSettings

DAY_SECONDS: Final = 24 * 60 * 60
MAX_LOCK_SECONDS: Final = DAY_SECONDS
EARLY_BODY_BYTES: Final = 64 * 1024
"""Limit of a body that identifies its caller and so is read before authentication."""

BODY_BYTES_AT_ONCE: Final = 128 * 1024 * 1024
"""Limit of all request bodies in the memory of a process; beyond it, requests get a 503."""

MAX_BODY_BYTES: Final = 2 * 1024 * 1024
"""Above the limit of an order event in Kafka (1 MB), so that HTTP accepts every order that Kafka accepts."""


class GatewaySettings(ServiceSettings):
    """Settings of the gateway: address, batching and limits."""

    http_host: str = Field("127.0.0.1", description="address on which the API listens; 0.0.0.0 in a container")
    http_port: int = Field(
        8080, ge=1, le=65_535, description="port of the API; several processes of one machine may share it"
    )
    http_batch_size: int = Field(
        200, ge=1, le=1_000, description="commands in one transaction at most; 1: a transaction for each command"
    )
    http_batches: int = Field(2, ge=1, le=32, description="concurrent transactions")
    http_waiting: int = Field(
        10_000, ge=1, le=1_000_000, description="commands that may wait for a transaction; beyond, a 503"
    )
    http_answer_seconds: float = Field(30.0, gt=0, le=600, description="time limit of a request; beyond, a 503")
    http_heavy_process: bool = Field(
        True, description="answer heavy requests in a separate process, so that other requests aren't delayed"
    )
    http_rate_per_minute: int = Field(
        1_000, ge=1, le=10_000_000, description="requests per minute, key and process; beyond, a 429"
    )
    http_unknown_per_minute: int = Field(
        60,
        ge=1,
        le=1_000_000,
        description="unknown codes, locks and customers per minute and caller, over all gateways; beyond, a 429",
    )
    http_unknown_per_minute_and_address: int = Field(
        300, ge=1, le=10_000_000, description="the same for all callers of one address together (IPv6: one /64)"
    )
    http_bad_keys_per_minute: int = Field(
        60, ge=1, le=1_000_000, description="unknown keys and refused tokens per minute and address; beyond, a 429"
    )
    http_connections: int = Field(
        1_000, ge=8, le=60_000, description="concurrent connections; beyond, the longest idle one is closed"
    )
    http_connections_per_address: int = Field(
        500, ge=4, le=60_000, description="concurrent connections of one address; trusted proxies have no such limit"
    )
    http_at_once: int = Field(500, ge=1, le=100_000, description="concurrent requests of one caller; beyond, a 429")
    http_at_once_per_address: int = Field(
        1_000, ge=1, le=100_000, description="concurrent requests of one address; beyond, a 429"
    )
    http_trusted_proxies: str = Field(
        "",
        max_length=2_000,
        description="addresses or networks, separated by commas, whose X-Forwarded-For is trusted; default: none",
    )
    http_jobs_per_caller: int = Field(20, ge=1, le=10_000, description="unfinished jobs of one caller; beyond, a 429")
    http_job_coupons_per_caller: int = Field(
        2_000_000,
        ge=1_000,
        le=1_000_000_000,
        description="coupons that the jobs of one caller still have to create; beyond, a 429",
    )
    answers_retention_seconds: float = Field(
        30 * DAY_SECONDS, ge=60, description="seconds for which the response to an Idempotency-Key is kept"
    )
    jobs_retention_seconds: float = Field(
        90 * DAY_SECONDS, ge=60, description="seconds for which a finished job is kept; its coupons stay"
    )
    lock_seconds: int = Field(
        15 * 60, ge=1, le=MAX_LOCK_SECONDS, description="duration of a lock whose request names none"
    )
    currency: str = Field(
        "USD", pattern=r"^[A-Z]{3}$", description="currency (ISO 4217) of amounts in APIs without a currency field"
    )
    region: str | None = Field(
        None,
        pattern=r"^[A-Z]{2}$",
        description="country (ISO 3166) of phone numbers without a country code",
    )
    oauth_issuer: str | None = Field(None, description="issuer of accepted OAuth2 bearer tokens: their `iss`")
    oauth_audience: str | None = Field(None, description="required `aud` of the tokens")
    oauth_jwks_url: str | None = Field(None, description="URL of the issuer's public keys")
    oauth_algorithms: str = Field(
        "RS256,ES256,EdDSA", description="accepted signature algorithms, separated by commas; no shared secrets"
    )
    webhooks_allow_private: bool = Field(
        False, description="allow endpoints with http:// and private addresses; for development only"
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
