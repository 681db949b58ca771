"""Run a PostgreSQL and its standby, both from the wheel, to test failovers on real servers."""

import os
import shutil
import signal
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit, urlunsplit

import psycopg

from cli.embedded_servers import SUPERUSER, EmbeddedPostgres
from cli.processes import LOOPBACK, attached_command
from tests.backends.handles import BackendError, temporary_folder

STANDBY = "standby"
"""The name of the standby in `synchronous_standby_names`."""

COPY_SECONDS = 120
PROMOTE_SECONDS = 60


class StandbyPair:
    """A primary and a standby made by pg_basebackup. Leaving its context stops both and removes their data.

    `copy` and `follow` start the replication, over a port that the caller can cut; `wait_for_standby` makes it
    synchronous.
    """

    def __init__(self) -> None:
        self.folder = temporary_folder("standby")
        self.primary = EmbeddedPostgres(self.folder / "primary", durable_creation=False)
        self.standby: EmbeddedPostgres | None = None

    def __enter__(self) -> Self:
        self.primary.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for server in (self.standby, self.primary):
            if server is not None:
                server.process.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def copy(self, port: int) -> None:
        """Copy the primary over `port`, which the standby will use for replication."""
        folder = self.folder / "standby"
        folder.mkdir()
        password = self.folder / "primary" / "password"
        shutil.copy2(password, folder / "password")
        self.standby = EmbeddedPostgres(folder, durable_creation=False)
        self._copy(self.standby.data, port, password.read_text(encoding="ascii").strip())

    def follow(self) -> None:
        """Start the standby. Call it from the main thread: a server ends with the thread that started it."""
        if self.standby is None:
            raise BackendError("copy() comes first")
        self.standby.prepare()
        self.standby.process.start()

    def wait_for_standby(self) -> None:
        """Make COMMIT wait for the standby, and return once the primary sees it."""
        with psycopg.connect(self.primary.url("postgres"), autocommit=True) as admin:
            admin.execute(f"ALTER SYSTEM SET synchronous_standby_names = '{STANDBY}'")
            admin.execute("SELECT pg_reload_conf()")
            for _ in range(600):
                if admin.execute("SELECT FROM pg_stat_replication WHERE sync_state = 'sync'").fetchone() is not None:
                    return
                admin.execute("SELECT pg_sleep(0.05)")
        raise BackendError("the standby never became synchronous")

    def promote(self) -> EmbeddedPostgres:
        """Make the standby the primary; the old one must be dead."""
        standby = self.standby
        if standby is None:
            raise BackendError("there is no standby yet")
        with psycopg.connect(standby.url("postgres"), autocommit=True) as admin:
            admin.execute("SELECT pg_promote(true, %s)", (PROMOTE_SECONDS,))
        return standby

    def _copy(self, data: Path, port: int, password: str) -> None:
        data.mkdir(mode=0o700)
        self.primary._own(data)
        source = f"host={LOOPBACK} port={port} user={SUPERUSER} password={password} application_name={STANDBY}"
        program = str(self.primary._programs / "pg_basebackup")
        options = ["-D", str(data), "-d", source, "--write-recovery-conf", "--checkpoint=fast", "--no-sync"]
        done = subprocess.run(
            attached_command([program, *options], at_parents_death=signal.SIGKILL, account=self.primary._account),
            cwd=self.folder,
            env={**os.environ, "LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=COPY_SECONDS,
            check=False,
        )
        if done.returncode != 0:
            raise BackendError(f"pg_basebackup failed: {(done.stderr or done.stdout).strip()}")


def through(url: str, port: int) -> str:
    """Return `url` with another port, such as that of a proxy."""
    parts = urlsplit(url)
    login = parts.netloc.rpartition("@")[0]
    return urlunsplit(parts._replace(netloc=f"{login}@{LOOPBACK}:{port}"))
