"""Settings from environment variables named `COUPONRY_…`, and from files for secrets.

A value is looked up in this order: the constructor's arguments, the variable (`COUPONRY_DATABASE_URL`), then a file
(`couponry_database_url`) in the folder `COUPONRY_SECRETS_DIR`, where Docker and Kubernetes mount secrets.
"""

import os
import sys
from pathlib import Path
from typing import Literal, Self, TypeVar

from pydantic import Field, SecretStr, ValidationError, model_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SecretsSettingsSource,
    SettingsConfigDict,
)
from pydantic_settings import (
    SettingsError as SourceError,
)

from shared.runtime.errors import EXIT_BAD_SETTINGS, OperatorError
from shared.runtime.remote_hosts import ENCRYPTED_SSLMODES, first_remote, hosts_and_sslmode

PREFIX = "COUPONRY_"
SECRETS_DIR_VARIABLE = PREFIX + "SECRETS_DIR"


class SettingsError(OperatorError):
    """Wrong or missing settings: one sentence per variable, without its value, which may be a secret."""


class CommonSettings(BaseSettings):
    """The settings of every process: its log."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_ignore_empty=True, extra="ignore", frozen=True)

    log_format: Literal["auto", "json", "console"] = Field(
        "auto", description="auto, json or console; auto: readable on a terminal, JSON lines otherwise"
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="debug, info, warning, error")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Return the environment, then secret files. No `.env`: a process must not depend on its working directory."""
        folder = os.environ.get(SECRETS_DIR_VARIABLE)
        if not folder:
            return init_settings, env_settings
        if not Path(folder).is_dir():
            raise SettingsError(f"{SECRETS_DIR_VARIABLE} names {folder}, which is not a folder.")
        return init_settings, env_settings, SecretsSettingsSource(settings_cls, secrets_dir=folder)


class NetworkSettings(CommonSettings):
    """The setting for unencrypted connections to other machines."""

    allow_plaintext: bool = Field(
        False, description="allow unencrypted connections to brokers and PostgreSQL on other machines"
    )


class KafkaSettings(NetworkSettings):
    """The connection to the broker, and the names of topics and groups."""

    kafka_bootstrap_servers: str = Field(min_length=1, description="host:port; separate several with commas")
    kafka_security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        "PLAINTEXT", description="PLAINTEXT, SSL, SASL_PLAINTEXT, SASL_SSL"
    )
    kafka_sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = Field(
        "PLAIN", description="PLAIN, SCRAM-SHA-256, SCRAM-SHA-512"
    )
    kafka_sasl_username: str | None = Field(None, description="for SASL")
    kafka_sasl_password: SecretStr | None = Field(None, description="for SASL; better given as a file")
    kafka_ssl_cafile: Path | None = Field(None, description="certificates to trust; by default the system's")
    kafka_ssl_certfile: Path | None = Field(None, description="this client's certificate, for mutual TLS")
    kafka_ssl_keyfile: Path | None = Field(None, description="the key of that certificate")
    topic_prefix: str = Field(
        "",
        pattern=r"^[A-Za-z0-9._-]*$",
        max_length=100,
        description="prefix of every topic, group and transactional id, so that several installations can "
        "share a broker",
    )
    schema_registry_url: str | None = Field(
        None, description="a Confluent-compatible registry; without it, the schemas in the repository are used"
    )
    event_format: Literal["json", "avro"] = Field(
        "json", description="json or avro: the format of published events; both are always read"
    )

    @model_validator(mode="after")
    def _require_sasl_login(self) -> Self:
        if self.kafka_security_protocol.startswith("SASL") and not (
            self.kafka_sasl_username and self.kafka_sasl_password
        ):
            raise ValueError(
                f"{PREFIX}KAFKA_SECURITY_PROTOCOL={self.kafka_security_protocol} needs {PREFIX}KAFKA_SASL_USERNAME "
                f"and {PREFIX}KAFKA_SASL_PASSWORD"
            )
        return self

    @model_validator(mode="after")
    def _require_encrypted_brokers(self) -> Self:
        if self.kafka_security_protocol.endswith("PLAINTEXT") and not self.allow_plaintext:
            hosts = [broker.strip().rpartition(":")[0] for broker in self.kafka_bootstrap_servers.split(",")]
            remote = first_remote(hosts)
            if remote:
                raise ValueError(
                    f"{PREFIX}KAFKA_BOOTSTRAP_SERVERS names {remote}, which is not this machine, and "
                    f"{PREFIX}KAFKA_SECURITY_PROTOCOL={self.kafka_security_protocol} doesn't encrypt: use SASL_SSL "
                    f"or SSL, or set {PREFIX}ALLOW_PLAINTEXT=true on a trusted network"
                )
        return self

    def topic(self, name: str) -> str:
        """Return the broker's name of a topic."""
        return self.topic_prefix + name

    def group(self, service_name: str) -> str:
        """Return the consumer group of a service on this broker. Its transactional id is the same."""
        return f"{self.topic_prefix}couponry.{service_name}"


class DatabaseSettings(NetworkSettings):
    """The connection to the ledger."""

    database_url: SecretStr = Field(min_length=1, description="postgresql://user:password@host:port/name")

    @model_validator(mode="after")
    def _require_encrypted_database(self) -> Self:
        if self.allow_plaintext:
            return self
        hosts, sslmode = hosts_and_sslmode(self.database_url.get_secret_value())
        remote = first_remote(hosts)
        if remote and sslmode not in ENCRYPTED_SSLMODES:
            raise ValueError(
                f"{PREFIX}DATABASE_URL names {remote}, which is not this machine, and doesn't require encryption: "
                f"add ?sslmode=verify-full&sslrootcert=FILE to it (or sslmode=require), or set "
                f"{PREFIX}ALLOW_PLAINTEXT=true on a trusted network"
            )
        return self


class CustomerSettings(CommonSettings):
    """How customers are recognised. All processes of one ledger need the same values."""

    email_plus: Literal["distinct", "same"] = Field(
        "distinct",
        description="distinct: ann+2@shop.example is another address than ann@shop.example; same: it is the same",
    )
    placeholders: str = Field(
        "0,-1,-,null,(null),nil,none,undefined,[object object],n/a,guest,anonymous,"
        "00000000-0000-0000-0000-000000000000,guest@,anonymous@,noreply@,no-reply@,donotreply@,noemail@,no-email@",
        max_length=10_000,
        description="customer ids, addresses and numbers that name no one, separated by commas; guest@ is every "
        "address with that local part, @shop.example every address of that domain; a comma alone: none",
    )


class ServiceSettings(DatabaseSettings):
    """The settings of every service process: the ledger, its health, and its timeouts."""

    health_host: str = Field("127.0.0.1", description="address for health and metrics")
    health_port: int = Field(0, ge=0, le=65535, description="port for /livez /readyz /metrics; 0 disables it")
    drain_seconds: float = Field(
        15.0,
        gt=0,
        le=600,
        description="maximum time a service takes to stop; the supervisor must wait longer before it kills",
    )
    progress_timeout_seconds: float = Field(
        120.0, gt=0, description="a process without progress for this long exits, so that the supervisor restarts it"
    )
    ready_seconds: float = Field(
        15.0,
        gt=0,
        description="a process is not ready (/readyz) if one batch takes longer, or if there is no progress for longer",
    )
    commit_seconds: float = Field(
        10.0,
        gt=0,
        le=30,
        description="a COMMIT without an answer for this long: its connection is closed, the batch runs again",
    )
    transient_attempts: int = Field(
        60,
        ge=1,
        description="attempts per batch while the database or broker is unavailable, before the process exits"
        " to be restarted",
    )


class Settings(KafkaSettings, ServiceSettings):
    """The settings of every service that reads or writes topics. Services subclass it."""

    batch_max_records: int = Field(
        1_000, ge=1, le=10_000, description="maximum number of records of one poll, and therefore of one transaction"
    )
    poll_timeout_ms: int = Field(200, ge=1, le=60_000, description="how long a poll waits for the first record")
    session_timeout_ms: int = Field(
        30_000,
        ge=6_000,
        le=1_800_000,
        description="a consumer without a heartbeat for this long loses its partitions",
    )
    group_instance_id: str | None = Field(
        None,
        min_length=1,
        max_length=200,
        description="a name for this process in its consumer group, unique and the same after a restart: a "
        "restarted process gets its partitions back at once; a stopped one keeps them until the "
        "session timeout",
    )
    rebalance_timeout_ms: int = Field(
        60_000,
        ge=2_000,
        le=1_800_000,
        description="timeout of a rebalance; the current work is finished within half of it",
    )


SomeSettings = TypeVar("SomeSettings", bound=CommonSettings)


def load_settings(settings_class: type[SomeSettings]) -> SomeSettings:
    """Read settings from the environment.

    Raises:
        SettingsError: at least one variable is missing or wrong; the text names them all.
    """
    try:
        return settings_class()
    except ValidationError as error:
        raise SettingsError(
            " ".join(
                _sentence(problem["loc"], problem["type"], problem["msg"])
                for problem in error.errors(include_input=False, include_context=False, include_url=False)
            )
        ) from None
    except SourceError as error:
        raise SettingsError(f"{error}.") from None


def load_settings_or_exit(settings_class: type[SomeSettings]) -> SomeSettings:
    """Read settings; if any are missing or wrong, name them on standard error and exit with code 2."""
    try:
        return load_settings(settings_class)
    except SettingsError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(EXIT_BAD_SETTINGS)


def _sentence(location: tuple[int | str, ...], kind: str, message: str) -> str:
    if not location:
        return f"{message.removeprefix('Value error, ')}."
    variable = PREFIX + str(location[0]).upper()
    if kind == "missing":
        return f"{variable} is not set."
    return f"{variable} is not valid: {message[:1].lower()}{message[1:]}."
