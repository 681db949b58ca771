"""Run a server as a child process: log to a file, wait until it answers, stop or kill it by its pid.

The embedded stack and the test backends share this module. Nothing here depends on the kind of server.
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

CHILD_PROCESS = Path(__file__).with_name("child_process.py")
LOOPBACK = "127.0.0.1"


class ServerError(RuntimeError):
    """A server did not start or did not stop; the message names the server, the reason and its log."""


class EndedWhileStartingError(ServerError):
    """The process ended before it answered. Starting it again may help, unlike for one that runs without answering."""


def free_port() -> int:
    """Return a free TCP port on loopback. Another process may take it before the caller does."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def port_is_free(port: int) -> bool:
    """Return whether a server can listen on this loopback port now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
        return True


def attached_command(command: Sequence[str], *, at_parents_death: signal.Signals, account: str = "-") -> list[str]:
    """Return a command line that runs `command` and ends it together with this process.

    Start it from a thread that lives as long as this process: the kernel watches the thread.
    """
    python = [sys.executable, "-I", "-S", str(CHILD_PROCESS)]
    return [*python, str(os.getpid()), str(int(at_parents_death)), account, "--", *command]


def log_tail(path: Path, lines: int = 12) -> str:
    """Return the last lines of a log file, an empty string if there is no file."""
    try:
        with path.open(encoding="utf-8", errors="replace") as log:
            return "".join(deque(log, maxlen=lines)).rstrip()
    except FileNotFoundError:
        return ""


@dataclass
class ServerProcess:
    """One server program.

    `command` is called at each start, because the port may change. `answers` raises any exception until the server
    serves requests. `stop_signals` are sent one after another, with `stop_seconds` between them, before SIGKILL.
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
    # Children and sockets of a killed server exist for a moment longer, so a quick failure to start is retried.
    start_attempts: int = 5
    _process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The server's pid. Raises ServerError if it isn't running."""
        if not self.alive or self._process is None:
            raise ServerError(f"{self.name} is not running; its log is {self.log_path}")
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Return whether the process exists; it may not answer yet."""
        return self._process is not None and self._process.poll() is None

    def launch(self) -> None:
        """Start the process and return at once.

        Call it from the main thread: the kernel ends the server together with the thread that started it.
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
                start_new_session=True,  # Ctrl-C reaches only this process, which stops the servers in order
            )

    def wait_until_it_answers(self) -> None:
        """Block until the server serves requests.

        Raises ServerError with the end of the log after `start_seconds`, or if the server exits before.
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
        """Launch the server and wait until it answers; up to `start_attempts` times if it ends while starting."""
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
        """Stop the server in order, with SIGKILL as the last step. Does nothing if it isn't running."""
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
        """Kill the server with SIGKILL, as a power cut would, and wait for its end."""
        if self._process is None:
            return
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
