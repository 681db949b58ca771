"""Run PostgreSQL and a Kafka-protocol broker on a laptop, with their data in a folder.

For development only. A folder belongs to one running stack at a time, and can be used again, even after everything was
killed.
"""

import asyncio
import contextlib
import fcntl
import json
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Final, Self

from cli.embedded_servers import DATABASE, EmbeddedBroker, EmbeddedPostgres, EmbeddedStackUnavailableError
from cli.locations import ENCRYPTION_KEY_FILE, KEY_FILE
from cli.private_files import open_private, prepare_data_folder, write_private
from cli.processes import ServerError, port_is_free

__all__ = ["EmbeddedStack", "EmbeddedStackUnavailableError", "Endpoints", "ServerError", "running_stack"]

FILES: Final = ("postgres", "broker", "logs", "lock", "stack.json", KEY_FILE, ENCRYPTION_KEY_FILE)
"""Everything that a stack keeps in its folder."""


@dataclass(frozen=True, slots=True)
class Endpoints:
    """The addresses of a stack. `database_url` contains a password: don't print it."""

    database_url: str
    bootstrap_servers: str
    pid: int


class EmbeddedStack:
    """Both servers, with their data under `data_dir`. Use it as `async with EmbeddedStack(folder) as stack`.

    Ports are the given ones, else those of the last run if they are free, else any. Other terminals find the running
    stack by `stack.json` in the folder (`running_stack`), which only its owner can read. `say` is called with a
    message at each step.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        postgres_port: int = 0,
        kafka_port: int = 0,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.data_dir = data_dir.resolve()
        self._say = say
        last = _read_endpoints(self.data_dir)
        self.postgres = EmbeddedPostgres(
            self.data_dir / "postgres",
            within=self.data_dir,
            port=postgres_port or _port_if_free(last.database_url.rsplit("/", 1)[0] if last else ""),
        )
        self.broker = EmbeddedBroker(
            self.data_dir / "broker", port=kafka_port or _port_if_free(last.bootstrap_servers if last else "")
        )
        self._lock: IO[str] | None = None

    @property
    def database_url(self) -> str:
        """The URL of the ledger's database, as superuser, with the password."""
        return self.postgres.url()

    @property
    def bootstrap_servers(self) -> str:
        """The broker's address for `COUPONRY_KAFKA_BOOTSTRAP_SERVERS`."""
        return self.broker.bootstrap_servers

    @property
    def environment(self) -> dict[str, str]:
        """The environment variables with which services find the stack."""
        return {"COUPONRY_DATABASE_URL": self.database_url, "COUPONRY_KAFKA_BOOTSTRAP_SERVERS": self.bootstrap_servers}

    async def __aenter__(self) -> Self:
        self._take_folder()
        try:
            await self._start()
        except BaseException:
            await asyncio.shield(asyncio.to_thread(self.stop))
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.shield(asyncio.to_thread(self.stop))

    async def _start(self) -> None:
        self._say("Preparing PostgreSQL and the broker")
        await asyncio.to_thread(self.postgres.prepare)
        for folder in self.postgres.opened:
            self._say(
                f"Other accounts can now pass through {folder}: PostgreSQL refuses to run as root and needs access"
            )
        await asyncio.to_thread(self.broker.prepare)
        # Launched from the main thread: the kernel ends the servers together with the thread that started them.
        self.postgres.launch()
        self.broker.launch()
        await asyncio.gather(
            asyncio.to_thread(self.postgres.process.wait_until_it_answers),
            asyncio.to_thread(self.broker.process.wait_until_it_answers),
        )
        await asyncio.to_thread(self.postgres.make_database, DATABASE)
        self._write_endpoints()
        self._say(f"PostgreSQL answers on port {self.postgres.port}, the broker on port {self.broker.port}")

    def stop(self) -> None:
        """Stop both servers, the broker first, and unlock the folder. Takes a bounded time; safe to call twice."""
        try:
            self.broker.process.stop()
        finally:
            try:
                self.postgres.process.stop()
            finally:
                if self._lock is not None:
                    self._lock.close()
                    self._lock = None

    def _take_folder(self) -> None:
        try:
            prepare_data_folder(self.data_dir, FILES, skipped=self.postgres.data)
            lock = os.fdopen(open_private(self.data_dir / "lock", os.O_RDWR | os.O_CREAT), "w", encoding="ascii")
        except OSError as error:
            raise ServerError(
                f"{self.data_dir} can't hold the stack's data ({error.strerror}): choose another with --data-dir."
            ) from None
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.close()
            raise ServerError(
                f"A stack is already running in {self.data_dir}: use it, stop it with Ctrl-C in its terminal, or "
                "choose another folder with --data-dir."
            ) from None
        self._lock = lock

    def _write_endpoints(self) -> None:
        endpoints = Endpoints(self.database_url, self.bootstrap_servers, os.getpid())
        write_private(self.data_dir / "stack.json", json.dumps(asdict(endpoints)))


def running_stack(data_dir: Path) -> Endpoints | None:
    """Return the addresses of the stack that runs in `data_dir`, or None if none runs there."""
    endpoints = _read_endpoints(data_dir)
    if endpoints is None:
        return None
    with contextlib.suppress(OSError), (data_dir / "lock").open("r", encoding="ascii") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return endpoints
    return None


def _read_endpoints(data_dir: Path) -> Endpoints | None:
    try:
        return Endpoints(**json.loads((data_dir / "stack.json").read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def _port_if_free(address: str) -> int:
    """Return the port at the end of an address if nothing listens on it, else 0."""
    port = address.rpartition(":")[2]
    return int(port) if port.isdigit() and port_is_free(int(port)) else 0
