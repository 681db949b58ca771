"""Handles for tests: a broker and a PostgreSQL that can be stopped, killed and started again."""

import os
import shutil
import tempfile
from abc import ABC, abstractmethod
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote, urlsplit, urlunsplit

import psutil
import psycopg
from psycopg import sql

from cli.processes import ServerProcess

FOLDER_PREFIX = "couponry-tests-"
MEMORY = Path("/dev/shm")
ROOM_BYTES = 6 * 1024**3
"""More than the data of both servers after a whole test run."""


class Folders:
    """The folder for the servers' data: `root` is the temporary folder of the machine, or memory after `in_memory`."""

    root = Path(tempfile.gettempdir())

    @classmethod
    def in_memory(cls) -> None:
        """Keep the data in memory if there is enough: a new database has about 400 files, created fifty times faster.

        The servers run with fsync as usual; acknowledged data survives a kill, as in the page cache of a disk.
        Benchmarks (`make bench`) stay on the disk.
        """
        if not os.access(MEMORY, os.W_OK):
            return
        if min(shutil.disk_usage(MEMORY).free, psutil.virtual_memory().available) >= ROOM_BYTES:
            cls.root = MEMORY


class BackendError(RuntimeError):
    """A requested backend can't be used here; the message says why and what to do."""


class NotStoppableError(BackendError):
    """A test tried to stop a server that this run didn't start; such tests are skipped."""


def temporary_folder(name: str) -> Path:
    """Create a folder for a server's data, named after this process, and remove those of killed processes."""
    root = Folders.root
    for folder in root.glob(f"{FOLDER_PREFIX}*"):
        owner = folder.name.removeprefix(FOLDER_PREFIX).partition("-")[0]
        if owner.isdigit() and not psutil.pid_exists(int(owner)):
            shutil.rmtree(folder, ignore_errors=True)
    return Path(tempfile.mkdtemp(prefix=f"{FOLDER_PREFIX}{psutil.Process().pid}-{name}-", dir=root))


class Backend(ABC):
    """A running server. Leaving its context or calling `close` stops the server and removes its data."""

    description: str

    @property
    def pid(self) -> int:
        """The server's pid. Raises NotStoppableError if this run didn't start it as a process."""
        raise NotStoppableError(f"{self.description} has no pid here")

    @abstractmethod
    def start(self) -> None:
        """Start (again) on the same port with the same data, and wait until it answers."""

    @abstractmethod
    def stop(self) -> None:
        """Stop the server in order."""

    @abstractmethod
    def kill(self) -> None:
        """Kill the server with SIGKILL, as a power cut would; it flushes nothing."""

    @abstractmethod
    def close(self) -> None:
        """Stop the server and remove its data. Safe to call twice."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Broker(Backend):
    """A Kafka-protocol broker. `environment` has the settings of a client process."""

    bootstrap_servers: str

    @property
    def environment(self) -> dict[str, str]:
        return {"COUPONRY_KAFKA_BOOTSTRAP_SERVERS": self.bootstrap_servers}


class Postgres(Backend):
    """A PostgreSQL server, with an account that may create databases."""

    admin_url: str

    def url(self, database: str) -> str:
        """Return the URL of another database of this server."""
        return urlunsplit(urlsplit(self.admin_url)._replace(path=f"/{quote(database)}"))

    def create_database(self, name: str, *, template: str = "template1") -> str:
        """Create a database as a copy of `template`, which must have no connections, and return its URL."""
        self._run(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(template)))
        return self.url(name)

    def drop_database(self, name: str) -> None:
        """Drop a database if it exists, closing its connections."""
        self._run(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    def _run(self, statement: sql.Composed) -> None:
        with psycopg.connect(self.admin_url, autocommit=True) as connection:
            connection.execute(statement)


class ProcessMixin(Backend):
    """A server as a child process, with its data in a temporary folder."""

    process: ServerProcess
    folder: Path

    @property
    def pid(self) -> int:
        return self.process.pid

    def start(self) -> None:
        self.process.start()

    def stop(self) -> None:
        self.process.stop()

    def kill(self) -> None:
        self.process.kill()

    def close(self) -> None:
        self.process.stop()
        shutil.rmtree(self.folder, ignore_errors=True)
