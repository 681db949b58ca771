"""Use servers named by environment variables. Tests never stop them."""

import os
from urllib.parse import urlsplit

from tests.backends.handles import Broker, NotStoppableError, Postgres

DATABASE_VARIABLE = "COUPONRY_DATABASE_URL"
BROKER_VARIABLE = "COUPONRY_KAFKA_BOOTSTRAP_SERVERS"


class _NotOurs:
    description: str

    def start(self) -> None:
        """Do nothing: the server is already running."""

    def stop(self) -> None:
        raise NotStoppableError(f"{self.description} was given by an environment variable: tests never stop it")

    def kill(self) -> None:
        self.stop()

    def close(self) -> None:
        """Do nothing: the server keeps running."""


class ConfiguredKafka(_NotOurs, Broker):
    """The broker of COUPONRY_KAFKA_BOOTSTRAP_SERVERS. Clients also get every other COUPONRY_KAFKA_ setting."""

    def __init__(self) -> None:
        self.bootstrap_servers = os.environ[BROKER_VARIABLE]
        self.description = f"the Kafka given by {BROKER_VARIABLE} ({self.bootstrap_servers})"

    @property
    def environment(self) -> dict[str, str]:
        return {name: value for name, value in os.environ.items() if name.startswith("COUPONRY_KAFKA_")}


class ConfiguredPostgres(_NotOurs, Postgres):
    """The server of COUPONRY_DATABASE_URL; its login must have the right to create databases and roles."""

    def __init__(self) -> None:
        self.admin_url = os.environ[DATABASE_VARIABLE]
        parts = urlsplit(self.admin_url)
        self.description = f"the PostgreSQL given by {DATABASE_VARIABLE} ({parts.hostname}:{parts.port or 5432})"
