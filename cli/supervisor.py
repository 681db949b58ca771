"""Run service processes: one log file each, restarted when they die, stopped together within a time limit.

For a laptop and for tests; in a deployment the platform does this. A service with wrong settings isn't restarted, and
one that keeps dying soon after its start is given up. Both stop the whole stack with a message that says why.
"""

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx

from cli.private_files import open_private, private_folder
from cli.processes import LOOPBACK, ServerError, attached_command, free_port, log_tail, port_is_free
from shared.runtime.errors import EXIT_BAD_SETTINGS

LOG_BYTES = 20_000_000  # one older log is kept, as `.1`


class ServiceFailedError(ServerError):
    """A service can't be kept running; the message names the service, the reason and its log."""


@dataclass(frozen=True, slots=True)
class RestartPolicy:
    """The delays between restarts, which double while the service keeps dying quickly, and their limit."""

    first_delay_seconds: float = 0.2
    longest_delay_seconds: float = 10.0
    stable_seconds: float = 5.0  # a death after this long is not counted as quick
    most_quick_deaths: int = 10


def service_command(name: str) -> list[str]:
    """Return the command line of a service. `-P` keeps the current folder out of the import path."""
    return [sys.executable, "-P", "-m", f"services.{name}"]


class SupervisedProcess:
    """One process of a service: `name`, `number` (from 0), `pid`, the number of `restarts`, and its log."""

    def __init__(
        self, name: str, number: int, command: Sequence[str], environment: Mapping[str, str], log_dir: Path
    ) -> None:
        self.name = name
        self.number = number
        self.restarts = 0
        self.health_port = free_port()
        self.log_path = log_dir / f"{name}-{number}.log"
        self._command = command
        self._environment = environment
        self._ending = False
        self._process: asyncio.subprocess.Process | None = None

    @property
    def title(self) -> str:
        return f"{self.name}-{self.number}"

    @property
    def pid(self) -> int | None:
        """The pid of the running process; None while it is down."""
        return self._process.pid if self._process is not None and self._process.returncode is None else None

    async def run_once(self) -> int:
        """Start the process, wait for its end, and return its exit code, negative for a signal."""
        if not port_is_free(self.health_port):
            self.health_port = free_port()
        log = _open_log(self.log_path)
        try:
            self._process = await asyncio.create_subprocess_exec(
                *attached_command(self._command, at_parents_death=signal.SIGTERM),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **self._environment, "COUPONRY_HEALTH_PORT": str(self.health_port)},
                start_new_session=True,  # Ctrl-C in a terminal reaches only this process, which forwards it
            )
        finally:
            os.close(log)
        if self._ending:  # stop was requested while it was being started
            self.send(signal.SIGTERM)
        return await self._process.wait()

    def end(self) -> None:
        """Ask the process to stop in order, even while it is being started."""
        self._ending = True
        self.send(signal.SIGTERM)

    def send(self, number: signal.Signals) -> None:
        """Send a signal. Does nothing while the process is down."""
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(number)

    async def is_ready(self, client: httpx.AsyncClient) -> bool:
        """Return whether /readyz of the process reports that it is ready."""
        try:
            reply = await client.get(f"http://{LOOPBACK}:{self.health_port}/readyz")
        except httpx.TransportError:
            return False
        return reply.status_code == httpx.codes.OK


class Supervisor:
    """A supervisor that keeps `services` (name → number of processes) running. Use it as `async with Supervisor(…)`.

    `environment` is added to that of this process. Every process gets its own health port. `command` returns the
    command line of a service. `say` is called with a message whenever a process dies, restarts or is given up.

    `named_members` makes each process a static member of its consumer group: a process that was killed gets its
    partitions back as soon as it is restarted, on any broker; one that never restarts keeps them for the session
    timeout.
    """

    def __init__(
        self,
        environment: Mapping[str, str],
        services: Mapping[str, int],
        log_dir: Path,
        *,
        stop_seconds: float = 15.0,
        policy: RestartPolicy | None = None,
        command: Callable[[str], Sequence[str]] = service_command,
        say: Callable[[str], None] = lambda _: None,
        named_members: bool = False,
    ) -> None:
        private_folder(log_dir)
        self.processes = [
            SupervisedProcess(
                name, number, command(name), {**environment, **_member(name, number, named_members)}, log_dir
            )
            for name, count in services.items()
            for number in range(count)
        ]
        self._stop_seconds = stop_seconds
        self._policy = policy or RestartPolicy()
        self._say = say
        self._stopping = asyncio.Event()
        self._keepers: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        self._keepers = [asyncio.create_task(self._keep(process), name=process.title) for process in self.processes]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.shield(self.stop())

    async def wait(self, until: asyncio.Event | None = None) -> None:
        """Wait until `until` is set, for ever without it.

        Raises ServiceFailedError as soon as a service can't be kept running.
        """
        waiting = asyncio.create_task((until or asyncio.Event()).wait())
        try:
            done, _ = await asyncio.wait([waiting, *self._keepers], return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiting.cancel()
        for task in done - {waiting}:
            task.result()

    async def ready(self, within_seconds: float = 60.0) -> None:
        """Wait until every process is ready.

        Raises ServiceFailedError if one isn't ready in time or can't be kept running.
        """
        async with httpx.AsyncClient(timeout=2.0, trust_env=False) as client:
            deadline = time.monotonic() + within_seconds
            late = list(self.processes)
            while late:
                for keeper in self._keepers:
                    if keeper.done():
                        keeper.result()
                late = [process for process in late if not await process.is_ready(client)]
                if late and time.monotonic() > deadline:
                    names = ", ".join(f"{process.title} (log: {process.log_path})" for process in late)
                    raise ServiceFailedError(f"Not ready after {within_seconds:.0f} s: {names}")
                if late:
                    await asyncio.sleep(0.1)

    async def stop(self) -> None:
        """Stop every process: SIGTERM, then SIGKILL for those running after `stop_seconds`. Safe to call twice."""
        self._stopping.set()
        for process in self.processes:
            process.end()
        if not self._keepers:
            return
        _, late = await asyncio.wait(self._keepers, timeout=self._stop_seconds)
        if late:
            for process in self.processes:
                if process.pid is not None:
                    self._say(f"{process.title} did not stop within {self._stop_seconds:.0f} s and was killed")
                    process.send(signal.SIGKILL)
            await asyncio.wait(late, timeout=self._stop_seconds)
        await asyncio.gather(*self._keepers, return_exceptions=True)

    async def _keep(self, process: SupervisedProcess) -> None:
        """Run and restart the process until the supervisor stops, or after `most_quick_deaths` in a row."""
        quick_deaths = 0
        while not self._stopping.is_set():
            started = time.monotonic()
            code = await process.run_once()
            if self._stopping.is_set():
                return
            quick_deaths = 0 if time.monotonic() - started >= self._policy.stable_seconds else quick_deaths + 1
            if code == EXIT_BAD_SETTINGS:
                raise ServiceFailedError(f"{process.title} refused its settings: {log_tail(process.log_path, 3)}")
            if quick_deaths >= self._policy.most_quick_deaths:
                raise ServiceFailedError(
                    f"{process.title} died {quick_deaths} times in a row and was given up; the end of its log "
                    f"{process.log_path}:\n{log_tail(process.log_path)}"
                )
            self._say(f"{process.title} ended with {_describe(code)}; restarting it")
            process.restarts += 1
            await self._pause(quick_deaths)

    async def _pause(self, quick_deaths: int) -> None:
        """Wait before a restart, longer after each quick death, but no longer than until the supervisor stops."""
        delay = self._policy.first_delay_seconds * 2 ** max(0, quick_deaths - 1)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), min(delay, self._policy.longest_delay_seconds))


def _member(name: str, number: int, named: bool) -> dict[str, str]:
    return {"COUPONRY_GROUP_INSTANCE_ID": f"{name}-{number}"} if named else {}


def _describe(code: int) -> str:
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"


def _open_log(path: Path) -> int:
    """Open the log for appending and return its descriptor; a log that is too large is rotated first."""
    if path.exists() and path.stat().st_size > LOG_BYTES:
        path.replace(path.with_name(path.name + ".1"))
    return open_private(path)
