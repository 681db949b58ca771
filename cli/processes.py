"""A server as a child process: its log in a file, watched until it answers, stopped or killed by its own pid.

The embedded stack and the test backends share it. Nothing here knows what the server is.
"""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cli.private_files import open_private

ATTACHED = Path(__file__).with_name("attached.py")
LOOPBACK = "127.0.0.1"


class ServerError(RuntimeError):
    """A server did not start or did not stop; the text says which, why and where its log is."""


class EndedWhileStartingError(ServerError):
    """The process ended before it answered; worth another try, unlike one that runs and stays silent."""


def free_port() -> int:
    """A TCP port on loopback that nothing listens on now; another process may take it before you do."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def port_is_free(port: int) -> bool:
    """Whether a server could listen on this loopback port now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
        return True


def attached_command(command: Sequence[str], *, at_parents_death: signal.Signals, account: str = "-") -> list[str]:
    """The command line that runs `command` so that it ends with this process.

    Start it from a thread that lives as long as this process: the kernel goes by the thread.
    """
    python = [sys.executable, "-I", "-S", str(ATTACHED)]
    return [*python, str(os.getpid()), str(int(at_parents_death)), account, "--", *command]


def log_tail(path: Path, lines: int = 12) -> str:
    """The last lines of a log file, or an empty string when there is none."""
    try:
        with path.open(encoding="utf-8", errors="replace") as log:
            return "".join(deque(log, maxlen=lines)).rstrip()
    except FileNotFoundError:
        return ""


@dataclass
class ServerProcess:
    """One server program.

    `command` is called at each start, because a port may be chosen anew. `answers` returns normally once the server
    serves requests and raises anything until then. `stop_signals` are tried in turn, `stop_seconds` apart, before
    SIGKILL.
    """

    name: str
    command: Callable[[], Sequence[str]]
    answers: Callable[[], None]
    log_path: Path
    working_folder: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    account: str = "-"
    stop_signals: Sequence[signal.Signals] = (signal.SIGTERM,)
    stop_seconds: float = 10.0
    start_seconds: float = 60.0
    # A server just killed leaves children and sockets behind for a moment, so a start that ends at once is tried
    # again.
    start_attempts: int = 5
    _process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The server's own pid; raises ServerError when it isn't running."""
        if not self.alive or self._process is None:
            raise ServerError(f"{self.name} is not running; its log is {self.log_path}")
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the process exists; it may not answer yet."""
        return self._process is not None and self._process.poll() is None

    def launch(self) -> None:
        """Start the process and return at once. Call it from the main thread: the kernel ends the server with the
        thread that started it.
        """
        if self.alive:
            raise ServerError(f"{self.name} is already running with pid {self.pid}")
        self.log_path.parent.mkdir(parents=True, exist_ok=True)
        line = attached_command(self.command(), at_parents_death=self.stop_signals[0], account=self.account)
        with os.fdopen(open_private(self.log_path), "ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own command line, no shell
                line,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.working_folder,
                env={**os.environ, **self.environment},
                start_new_session=True,  # Ctrl-C in a terminal reaches us alone, and we stop the servers in order
            )

    def wait_until_it_answers(self) -> None:
        """Block until the server serves requests; ServerError with the log's end after `start_seconds`, or when it
        exits before.
        """
        deadline = time.monotonic() + self.start_seconds
        while time.monotonic() < deadline:
            if not self.alive:
                raise EndedWhileStartingError(
                    f"{self.name} ended while starting; the end of {self.log_path}:\n{log_tail(self.log_path)}"
                )
            with contextlib.suppress(Exception):
                self.answers()
                return
            time.sleep(0.05)
        self.kill()
        raise ServerError(
            f"{self.name} did not answer within {self.start_seconds:.0f} s; the end of {self.log_path}:\n"
            f"{log_tail(self.log_path)}"
        )

    def start(self) -> None:
        """Launch and wait until it answers, trying again a bounded number of times when it ends while starting."""
        for attempt in range(1, self.start_attempts + 1):
            self.launch()
            try:
                self.wait_until_it_answers()
            except EndedWhileStartingError:
                if attempt == self.start_attempts:
                    raise
                time.sleep(0.2 * attempt)
            else:
                return

    def stop(self) -> None:
        """End the server in good order; bounded, and by SIGKILL at last. Does nothing when it isn't running."""
        if self._process is None:
            return
        for number in self.stop_signals:
            if not self.alive:
                break
            self._process.send_signal(number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(self.stop_seconds)
        self.kill()

    def kill(self) -> None:
        """End the server as a power cut would (SIGKILL), and reap it."""
        if self._process is None:
            return
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
