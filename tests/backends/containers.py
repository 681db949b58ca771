"""Run servers in containers, with testcontainers, if a container engine is running.

testcontainers' reaper container removes them if this process is killed. Ports are chosen before the start, so that a
restarted container keeps its port, and because Kafka must advertise the port that clients use.
"""

import contextlib
import os
import secrets
import socket
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import psycopg

from cli.processes import LOOPBACK, free_port
from tests.backends.apache import ask_metadata, one_node_properties
from tests.backends.handles import Backend, BackendError, Broker, Postgres

if TYPE_CHECKING:
    from testcontainers.core.container import DockerContainer

KAFKA_IMAGE = "apache/kafka:4.3.0"
POSTGRES_IMAGE = "postgres:18"
ANSWER_SECONDS = 5
START_SECONDS = 120.0


def engine_answers() -> bool:
    """Return whether a container engine can be used. Never raises, and takes a few seconds at most."""
    address = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")
    if address.startswith("unix://") and not _listens(address.removeprefix("unix://")):
        return False  # checked here, because the client library leaks a socket in this case
    try:
        import docker

        with contextlib.closing(docker.from_env(timeout=ANSWER_SECONDS)) as client:
            return bool(client.ping())
    except Exception:  # any error means that the engine can't be used
        return False


def _listens(path: str) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(ANSWER_SECONDS)
        try:
            probe.connect(path)
        except OSError:
            return False
        return True


class _Container(Backend):
    """A container that keeps its port and its data when it is restarted."""

    _container: "DockerContainer"
    _answers: Callable[[], None]
    _made = False

    def start(self) -> None:
        if self._made:
            self._container.get_wrapped_container().start()
        else:
            self._container.start()
            self._made = True
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            with contextlib.suppress(Exception):
                self._answers()
                return
            time.sleep(0.1)
        raise BackendError(f"{self.description} did not answer within {START_SECONDS:.0f} s")

    def stop(self) -> None:
        self._container.get_wrapped_container().stop(timeout=20)

    def kill(self) -> None:
        self._container.get_wrapped_container().kill()

    def close(self) -> None:
        if self._made:
            self._container.stop()
            self._made = False


def _container(image: str, inner_port: int, outer_port: int, environment: dict[str, str]) -> "DockerContainer":
    from testcontainers.core.container import DockerContainer

    container = DockerContainer(image).with_envs(**environment)
    container.ports[inner_port] = (
        LOOPBACK,
        outer_port,
    )  # only on loopback; with_bind_ports would listen on all interfaces
    return container


class ContainerKafka(_Container, Broker):
    """Apache Kafka's own image, one node."""

    def __init__(self) -> None:
        port = free_port()
        self.bootstrap_servers = f"{LOOPBACK}:{port}"
        self.description = f"{KAFKA_IMAGE} in a container on {self.bootstrap_servers}"
        properties = one_node_properties(":9092", self.bootstrap_servers, "localhost:9093") | {"log.dirs": "/tmp/kafka"}
        environment = {f"KAFKA_{name.upper().replace('.', '_')}": str(value) for name, value in properties.items()}
        self._container = _container(KAFKA_IMAGE, 9092, port, environment)
        self._answers = lambda: ask_metadata(port)


class ContainerPostgres(_Container, Postgres):
    """PostgreSQL's own image."""

    def __init__(self) -> None:
        port = free_port()
        password = secrets.token_hex(16)
        self.admin_url = f"postgresql://postgres:{password}@{LOOPBACK}:{port}/postgres"
        self.description = f"{POSTGRES_IMAGE} in a container on port {port}"
        self._container = _container(POSTGRES_IMAGE, 5432, port, {"POSTGRES_PASSWORD": password})
        self._container.with_command(["postgres", "-c", "max_connections=200"])

    def _answers(self) -> None:
        with psycopg.connect(self.admin_url, connect_timeout=2) as connection:
            connection.execute("SELECT 1")
