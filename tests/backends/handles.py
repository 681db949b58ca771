"""What a test gets: a broker and a PostgreSQL it may stop, kill and start again, whoever runs them."""

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
"""Far above what a whole run of the tests leaves in both servers' folders."""


class Folders:
    """Where servers keep their data: `root`, the machine's temporary folder until `in_memory` finds a better one."""

    root = Path(tempfile.gettempdir())

    @classmethod
    def in_memory(cls) -> None:
        """A new database is some 400 files: half a second on a common disk, a fiftieth of that in memory.

        The servers run as they do anywhere, fsync and all; what they acknowledged survives a kill as it does in the
        page cache of a disk. What is measured (`make bench`) stays on the disk.
        """
        if not os.access(MEMORY, os.W_OK):
            return
        if min(shutil.disk_usage(MEMORY).free, psutil.virtual_memory().available) >= ROOM_BYTES:
            cls.root = MEMORY


class BackendError(RuntimeError):
    """A backend that was asked for can't be had here; the text says why and what to do."""


class NotOursError(BackendError):
    """A server somebody else runs was to be stopped; tests that need to do that skip."""


def temporary_folder(name: str) -> Path:
    """A folder for a server's data, named after this process; folders of processes that were killed are removed on
    the way.
    """
    root = Folders.root
    for folder in root.glob(f"{FOLDER_PREFIX}*"):
        owner = folder.name.removeprefix(FOLDER_PREFIX).partition("-")[0]
        if owner.isdigit() and not psutil.pid_exists(int(owner)):
            shutil.rmtree(folder, ignore_errors=True)
    return Path(tempfile.mkdtemp(prefix=f"{FOLDER_PREFIX}{psutil.Process().pid}-{name}-", dir=root))


class Backend(ABC):
    """A running server. Use it as a context manager, or call `close`: it stops the server and removes its data."""

    description: str

    @property
    def pid(self) -> int:
        """The server's own pid; NotOursError when it isn't a process of this machine that we started."""
        raise NotOursError(f"{self.description} has no pid here")

    @abstractmethod
    def start(self) -> None:
        """Start (again) on the same port with the same data, and wait until it answers."""

    @abstractmethod
    def stop(self) -> None:
        """End in good order."""

    @abstractmethod
    def kill(self) -> None:
        """End as a power cut would: SIGKILL, nothing flushed, nobody told."""

    @abstractmethod
    def close(self) -> None:
        """End it and remove its data; safe to call twice."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Broker(Backend):
    """A Kafka-protocol broker. `environment` is what a client process needs to reach it."""

    bootstrap_servers: str

    @property
    def environment(self) -> dict[str, str]:
        return {"COUPONRY_KAFKA_BOOTSTRAP_SERVERS": self.bootstrap_servers}


class Postgres(Backend):
    """A PostgreSQL server and somebody who may create databases on it."""

    admin_url: str

    def url(self, database: str) -> str:
        """The URL of another database of this server."""
        return urlunsplit(urlsplit(self.admin_url)._replace(path=f"/{quote(database)}"))

    def create_database(self, name: str, *, template: str = "template1") -> str:
        """Create a database (a copy of `template`, to which nobody may be connected) and return its URL."""
        self._run(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(template)))
        return self.url(name)

    def drop_database(self, name: str) -> None:
        """Drop a database, ending whatever is connected to it; no error when there is none."""
        self._run(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    def _run(self, statement: sql.Composed) -> None:
        with psycopg.connect(self.admin_url, autocommit=True) as connection:
            connection.execute(statement)


class ProcessMixin(Backend):
    """A server that is a child process of ours, with its data in a temporary folder."""

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
