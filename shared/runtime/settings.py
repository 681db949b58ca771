"""Settings from the environment, each named `COUPONRY_…`, and from files for what must not stand in an environment.

A value is looked for in this order: the arguments of the constructor, the variable `COUPONRY_DATABASE_URL`, then a file
`couponry_database_url` in the folder that `COUPONRY_SECRETS_DIR` names (as Docker and Kubernetes hand secrets over).
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

from shared.runtime.elsewhere import ENCRYPTED_SSLMODES, first_elsewhere, hosts_and_sslmode
from shared.runtime.errors import EXIT_BAD_SETTINGS, OperatorError

PREFIX = "COUPONRY_"
SECRETS_DIR_VARIABLE = PREFIX + "SECRETS_DIR"


class SettingsError(OperatorError):
    """One sentence a variable, each naming it and saying what is wrong; never the value, which may be a secret."""


class CommonSettings(BaseSettings):
    """What every process has: its log."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_ignore_empty=True, extra="ignore", frozen=True)

    log_format: Literal["auto", "json", "console"] = Field(
        "auto", description="auto: readable on a terminal, JSON lines otherwise"
    )
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment before secret files; no `.env`, which would make a process depend on where it was started."""
        folder = os.environ.get(SECRETS_DIR_VARIABLE)
        if not folder:
            return init_settings, env_settings
        if not Path(folder).is_dir():
            raise SettingsError(f"{SECRETS_DIR_VARIABLE} names {folder}, which is not a folder.")
        return init_settings, env_settings, SecretsSettingsSource(settings_cls, secrets_dir=folder)


class NetworkSettings(CommonSettings):
    """Whether servers beyond this machine may be talked to without encryption."""

    allow_plaintext: bool = Field(
        False, description="allow connections to brokers and PostgreSQL beyond this machine that aren't encrypted"
    )


class KafkaSettings(NetworkSettings):
    """How to reach the broker, and what its topics are called here."""

    kafka_bootstrap_servers: str = Field(min_length=1, description="host:port, several separated by commas")
    kafka_security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    kafka_sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "PLAIN"
    kafka_sasl_username: str | None = None
    kafka_sasl_password: SecretStr | None = None
    kafka_ssl_cafile: Path | None = Field(None, description="certificates to trust; the system's where absent")
    kafka_ssl_certfile: Path | None = Field(None, description="this client's certificate, for mutual TLS")
    kafka_ssl_keyfile: Path | None = None
    topic_prefix: str = Field(
        "",
        pattern=r"^[A-Za-z0-9._-]*$",
        max_length=100,
        description="before every topic, group and transactional id, so that several installations share a broker",
    )
    schema_registry_url: str | None = None
    event_format: Literal["json", "avro"] = "json"

    @model_validator(mode="after")
    def _sasl_needs_a_login(self) -> Self:
        if self.kafka_security_protocol.startswith("SASL") and not (
            self.kafka_sasl_username and self.kafka_sasl_password
        ):
            raise ValueError(
                f"{PREFIX}KAFKA_SECURITY_PROTOCOL={self.kafka_security_protocol} needs {PREFIX}KAFKA_SASL_USERNAME "
                f"and {PREFIX}KAFKA_SASL_PASSWORD"
            )
        return self

    @model_validator(mode="after")
    def _brokers_elsewhere_are_encrypted(self) -> Self:
        if self.kafka_security_protocol.endswith("PLAINTEXT") and not self.allow_plaintext:
            hosts = [broker.strip().rpartition(":")[0] for broker in self.kafka_bootstrap_servers.split(",")]
            elsewhere = first_elsewhere(hosts)
            if elsewhere:
                raise ValueError(
                    f"{PREFIX}KAFKA_BOOTSTRAP_SERVERS names {elsewhere}, which is not this machine, and "
                    f"{PREFIX}KAFKA_SECURITY_PROTOCOL={self.kafka_security_protocol} encrypts nothing: use SASL_SSL "
                    f"or SSL, or set {PREFIX}ALLOW_PLAINTEXT=true where everybody on the network is trusted"
                )
        return self

    def topic(self, name: str) -> str:
        """A topic of the contract as it is called on this broker."""
        return self.topic_prefix + name

    def group(self, service_name: str) -> str:
        """The consumer group of a service on this broker; its transactional id is the same text."""
        return f"{self.topic_prefix}couponry.{service_name}"


class DatabaseSettings(NetworkSettings):
    """How to reach the ledger."""

    database_url: SecretStr = Field(min_length=1, description="postgresql://user:password@host:port/name")

    @model_validator(mode="after")
    def _a_database_elsewhere_is_encrypted(self) -> Self:
        if self.allow_plaintext:
            return self
        hosts, sslmode = hosts_and_sslmode(self.database_url.get_secret_value())
        elsewhere = first_elsewhere(hosts)
        if elsewhere and sslmode not in ENCRYPTED_SSLMODES:
            raise ValueError(
                f"{PREFIX}DATABASE_URL names {elsewhere}, which is not this machine, and doesn't insist on encryption: "
                f"add ?sslmode=verify-full&sslrootcert=FILE to it (or sslmode=require), or set "
                f"{PREFIX}ALLOW_PLAINTEXT=true where everybody on the network is trusted"
            )
        return self


class ServiceSettings(DatabaseSettings):
    """What every service process has: the ledger, its health, and how long it waits before it leaves."""

    health_host: str = "127.0.0.1"
    health_port: int = Field(0, ge=0, le=65535, description="/livez /readyz /metrics; 0 serves none")
    drain_seconds: float = Field(
        15.0, gt=0, le=600, description="a stopping service has left by then; the supervisor's grace must be longer"
    )
    progress_timeout_seconds: float = Field(
        120.0, gt=0, description="no progress for so long: exit, so that the supervisor restarts"
    )
    ready_seconds: float = Field(
        15.0, gt=0, description="not ready (/readyz) while one batch takes longer, or nothing went on for longer"
    )
    commit_seconds: float = Field(
        10.0,
        gt=0,
        le=30,
        description="a COMMIT without an answer for so long: the connection is closed, the batch rerun",
    )
    transient_attempts: int = Field(
        60, ge=1, description="tries of one batch while the database or broker is away, before leaving to be restarted"
    )


class Settings(KafkaSettings, ServiceSettings):
    """What every service has that reads or writes topics. Services subclass it."""

    batch_max_records: int = Field(1_000, ge=1, le=10_000, description="records of one poll, hence of one transaction")
    poll_timeout_ms: int = Field(200, ge=1, le=60_000, description="how long one poll waits for the first record")
    session_timeout_ms: int = Field(
        30_000,
        ge=6_000,
        le=1_800_000,
        description="without a heartbeat for so long, a consumer's partitions go elsewhere",
    )
    group_instance_id: str | None = Field(
        None,
        min_length=1,
        max_length=200,
        description="this process's own name in its consumer group, the same after a restart, no other process's: "
        "a restarted process then has its partitions back at once, a stopped one keeps them for the session timeout",
    )
    rebalance_timeout_ms: int = Field(60_000, ge=2_000, le=1_800_000, description="work is drained within half of it")


SomeSettings = TypeVar("SomeSettings", bound=CommonSettings)


def load_settings(settings_class: type[SomeSettings]) -> SomeSettings:
    """Read settings from the environment.

    Raises:
        SettingsError: naming every variable that is missing or wrong.
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
    """Read settings; when one is missing or wrong, name it in one sentence and leave with code 2, no traceback."""
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
