"""Service processes that are killed, stopped for good, joined by others, and started again; and what they left."""

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
"""A consumer is ready again when the group has noticed that it died: its session timeout, and a start on a busy
machine."""

HURRIED = RestartPolicy(longest_delay_seconds=1.0, most_quick_deaths=100)
"""Here processes die because somebody kills them: that is no reason to wait longer each time."""

LOG_LINES = 15


class Fleet:
    """Processes of several services, restarted when they die. Use it as `async with`; a failure shows their logs.

    `kills` counts the processes that were killed, by service; `deaths` says how each process ended that did, killed by
    us or not.
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
        """Start processes of a service (`batch_max_records=25`); they are ready when `ready` says so.

        `named`: they keep their names in their consumer group, so that they get their partitions back at once.
        """
        told = {f"COUPONRY_{name.upper()}": str(value) for name, value in settings.items()}
        supervisor = Supervisor(
            {**self._environment, **told},
            {service: number},
            self._folder / str(len(self._supervisors)),
            policy=HURRIED,
            say=self.deaths.append,
            named_members=named,
        )
        self._supervisors.append(supervisor)
        return await supervisor.__aenter__()

    async def remove(self, supervisor: Supervisor) -> None:
        """Ask these processes to leave; they don't come back."""
        await supervisor.stop()
        self._supervisors.remove(supervisor)

    async def ready(self) -> None:
        """Wait until every process has its partitions and its database."""
        for supervisor in self._supervisors:
            await supervisor.ready(READY_SECONDS)

    async def kill(self, service: str, chance: random.Random) -> str:
        """SIGKILL a process of `service` that is ready, whichever `chance` takes; returns which."""
        process = chance.choice(await self._ready_ones(service))
        process.send(signal.SIGKILL)
        self.kills[service] += 1
        return process.title

    def supervisors_of(self, service: str) -> list[Supervisor]:
        return [one for one in self._supervisors if one.processes[0].name == service]

    def processes(self, service: str) -> list[SupervisedProcess]:
        return [one for supervisor in self._supervisors for one in supervisor.processes if one.name == service]

    async def _ready_ones(self, service: str) -> list[SupervisedProcess]:
        """Those that work at this moment; waits for the first."""
        deadline = time.monotonic() + READY_SECONDS
        while time.monotonic() < deadline:
            if found := [one for one in self.processes(service) if one.pid and await one.is_ready(self._client)]:
                return found
            await asyncio.sleep(0.1)
        raise AssertionError(f"no {service} became ready within {READY_SECONDS:g} seconds")

    def log_of(self, service: str) -> str:
        """Everything that processes of `service` have logged so far."""
        return "".join(path.read_text(encoding="utf-8") for path in sorted(self._folder.glob(f"*/{service}*.log")))

    def logs(self) -> str:
        """The end of every log: for people who wonder what went wrong."""
        paths = sorted(self._folder.glob("*/*.log"))
        killed = ", ".join(f"{count} {service}" for service, count in self.kills.items()) or "none"
        ends = [f"--- {path.relative_to(self._folder)}\n{_shortened(log_tail(path, LOG_LINES))}" for path in paths]
        return "\n".join([f"killed: {killed}", *self.deaths, *ends])

    @property
    def unforeseen(self) -> list[str]:
        """Deaths that nobody here caused: a process that found a bug, or gave something up."""
        return [death for death in self.deaths if "signal SIGKILL" not in death]


def _shortened(log: str) -> str:
    """Each line's beginning and end: a traceback tells most in its last line."""
    return "\n".join(line if len(line) <= 600 else f"{line[:250]} … {line[-350:]}" for line in log.splitlines())
