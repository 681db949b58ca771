"""Service processes that are killed, restarted, stopped and added, with their logs."""

import asyncio
import random
import signal
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx

from cli.processes import log_tail
from cli.supervisor import RestartPolicy, SupervisedProcess, Supervisor

READY_SECONDS = 90.0
"""A restarted consumer is ready after the group's session timeout, plus a start on a busy machine."""

HURRIED = RestartPolicy(longest_delay_seconds=1.0, most_quick_deaths=100)
"""The tests kill the processes, so the supervisor must not wait longer after each death."""

LOG_LINES = 15


class Fleet:
    """Processes of several services, restarted when they die. An async context manager; a failure shows their logs.

    `kills` counts the killed processes by service; `deaths` describes how each process ended, killed or not.
    """

    def __init__(self, environment: Mapping[str, str], folder: Path) -> None:
        self.kills: Counter[str] = Counter()
        self.deaths: list[str] = []
        self._environment = environment
        self._folder = folder
        self._supervisors: list[Supervisor] = []
        self._client = httpx.AsyncClient(timeout=2.0, trust_env=False)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.gather(*(supervisor.stop() for supervisor in self._supervisors), return_exceptions=True)
        await self._client.aclose()
        if error is not None:
            error.add_note(self.logs())

    async def add(self, service: str, number: int = 1, *, named: bool = False, **settings: object) -> Supervisor:
        """Start processes of a service, with settings such as `batch_max_records=25`; wait for them with `ready`.

        `named`: they have static names in their consumer group, so that they get their partitions back at once.
        """
        variables = {f"COUPONRY_{name.upper()}": str(value) for name, value in settings.items()}
        supervisor = Supervisor(
            {**self._environment, **variables},
            {service: number},
            self._folder / str(len(self._supervisors)),
            policy=HURRIED,
            say=self.deaths.append,
            named_members=named,
        )
        self._supervisors.append(supervisor)
        return await supervisor.__aenter__()

    async def remove(self, supervisor: Supervisor) -> None:
        """Stop these processes permanently."""
        await supervisor.stop()
        self._supervisors.remove(supervisor)

    async def ready(self) -> None:
        """Wait until every process has its partitions and its database."""
        for supervisor in self._supervisors:
            await supervisor.ready(READY_SECONDS)

    async def kill(self, service: str, chance: random.Random) -> str:
        """SIGKILL a random ready process of `service`; return its title."""
        process = chance.choice(await self._ready_ones(service))
        process.send(signal.SIGKILL)
        self.kills[service] += 1
        return process.title

    def supervisors_of(self, service: str) -> list[Supervisor]:
        return [one for one in self._supervisors if one.processes[0].name == service]

    def processes(self, service: str) -> list[SupervisedProcess]:
        return [one for supervisor in self._supervisors for one in supervisor.processes if one.name == service]

    async def _ready_ones(self, service: str) -> list[SupervisedProcess]:
        """Return the ready processes; wait for the first one."""
        deadline = time.monotonic() + READY_SECONDS
        while time.monotonic() < deadline:
            if found := [one for one in self.processes(service) if one.pid and await one.is_ready(self._client)]:
                return found
            await asyncio.sleep(0.1)
        raise AssertionError(f"no {service} became ready within {READY_SECONDS:g} seconds")

    def log_of(self, service: str) -> str:
        """Return everything that processes of `service` have logged so far."""
        return "".join(path.read_text(encoding="utf-8") for path in sorted(self._folder.glob(f"*/{service}*.log")))

    def logs(self) -> str:
        """Return the end of every log, to find out what went wrong."""
        paths = sorted(self._folder.glob("*/*.log"))
        killed = ", ".join(f"{count} {service}" for service, count in self.kills.items()) or "none"
        ends = [f"--- {path.relative_to(self._folder)}\n{_shortened(log_tail(path, LOG_LINES))}" for path in paths]
        return "\n".join([f"killed: {killed}", *self.deaths, *ends])

    @property
    def unforeseen(self) -> list[str]:
        """Return the deaths that the test didn't cause, such as a bug."""
        return [death for death in self.deaths if "signal SIGKILL" not in death]


def _shortened(log: str) -> str:
    """Return each line's beginning and end, because the last line of a traceback is the most useful."""
    return "\n".join(line if len(line) <= 600 else f"{line[:250]} … {line[-350:]}" for line in log.splitlines())
