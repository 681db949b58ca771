"""The gateway's side: it starts the heavy process, starts it again when it dies, and hands requests over to it."""

import asyncio
import socket
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

from fastapi import Request

from services.gateway.access.callers import Caller
from services.gateway.access.guesses import Ticket
from services.gateway.batching import OverloadedError
from services.gateway.heavy.channel import Channel, ChannelClosedError, Frame, Kind
from services.gateway.heavy.handed import HandedAnswer, bytes_of, told
from services.gateway.heavy.turns import Turns
from services.gateway.problems import Problem
from shared.runtime import telemetry
from shared.runtime.backoff import Backoff
from shared.runtime.logging import get_logger

log = get_logger("gateway")

HANDED_OVER_BYTES: Final = 32 * 1024
"""Bodies above it are handed over. Reading one of so many bytes takes 2 ms, which is about what handing over costs."""

MOST_WAITING: Final = 100
WAITING_SECONDS: Final = 20.0
"""A request that would wait longer, going by how long the last ones took, is to come back later."""

USUAL_SECONDS: Final = 0.25
"""What a heavy request takes, before one was seen."""

NEWEST_WEIGHT: Final = 0.2
START_SECONDS: Final = 60.0
"""In which the process must say that it is ready. It waits for the ledger by itself, so it may take long."""

ROOM_SECONDS: Final = 10.0
"""For which one waits for room for its guesses; the others wait behind it."""

END_SECONDS: Final = 3.0
LATE_SECONDS: Final = 15.0
"""Beyond the time in which the process answers "not in time" by itself: then it hangs, and is killed."""

STEADY_SECONDS: Final = 30.0
"""A process that ran so long and died is started again at once, as the first time."""


class HeavyProcess:
    """The heavy process of a gateway. One request at a time is handed over; few wait."""

    def __init__(self, answer_seconds: float) -> None:
        self._answer_seconds = answer_seconds
        self.turns = Turns(MOST_WAITING, WAITING_SECONDS, USUAL_SECONDS)
        self._channel: Channel | None = None
        self._is_up = asyncio.Event()
        self._child: asyncio.subprocess.Process | None = None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """While inside: the process runs. Leave it when no request is under way."""
        keeping = asyncio.create_task(self._keep_running())
        try:
            yield
        finally:
            keeping.cancel()
            with suppress(asyncio.CancelledError):
                await keeping

    async def answer(self, request: Request, caller: Caller, ticket: Ticket, *, once: bool = True) -> HandedAnswer:
        """The heavy process's answer to a request whose body was read.

        `once`: it looks after the idempotency key too. Raises OverloadedError where too many wait,
        ChannelClosedError (a ConnectionError) where the process dies of it or isn't there: the same request later
        is right.
        """
        head, body = told(request, caller, once=once), await request.body()
        telemetry.HEAVY_WAITING.inc()
        try:
            await self.turns.take(caller.name)
        except OverloadedError:
            telemetry.HEAVY_REQUESTS.labels("refused").inc()
            raise
        finally:
            telemetry.HEAVY_WAITING.dec()
        # From here on it goes to its end, whoever gives up waiting: the next one needs the channel as it was before.
        return await asyncio.shield(asyncio.create_task(self._have_answered(head, body, _Room(ticket), caller.name)))

    async def _have_answered(self, head: dict[str, Any], body: bytes, room: "_Room", who: str) -> HandedAnswer:
        outcome = "lost"
        try:
            async with asyncio.timeout(self._answer_seconds):
                await self._is_up.wait()
            started = time.monotonic()
            try:
                async with asyncio.timeout(self._answer_seconds + LATE_SECONDS):
                    answer = await self._converse(head, body, room)
            except BaseException:  # it is gone or hangs; at any rate nothing else may be said to it
                self._give_up()
                raise
            self.turns.took(time.monotonic() - started, NEWEST_WEIGHT)
            outcome = "answered"
        finally:
            telemetry.HEAVY_REQUESTS.labels(outcome).inc()
            room.give_back()
            self.turns.give_back(who)
        return answer

    async def _converse(self, head: dict[str, Any], body: bytes, room: "_Room") -> HandedAnswer:
        channel = self._channel
        if channel is None:
            raise ChannelClosedError("the heavy process is gone")
        channel.write(Kind.REQUEST, head, body)
        await channel.drain()
        answer: Frame | None = None
        pieces: list[bytes] = []
        while (frame := await channel.read()).kind is not Kind.END:
            if frame.kind is Kind.TAKE:
                problem = await room.take(frame.head["attempts"])
                channel.write(Kind.ROOM, {"number": frame.head["number"], "problem": problem})
            elif frame.kind is Kind.GIVE_BACK:
                room.give_back()
            elif frame.kind is Kind.COUNT:
                await room.count(frame.head["unknown"])
            elif frame.kind is Kind.ANSWER:
                answer = frame
            elif frame.kind is Kind.PIECE:
                pieces.append(frame.body)
        telemetry.add((name, tuple(labels), count) for name, labels, count in frame.head["increments"])
        telemetry.HEAVY_MEMORY.set(frame.head["memory"])
        if answer is None:
            raise ChannelClosedError("the heavy process gave no answer")
        status, headers = answer.head["status"], bytes_of(answer.head["headers"])
        return HandedAnswer(status, headers, pieces, answer.head.get("by_route", False))

    async def _keep_running(self) -> None:
        backoff, deaths = Backoff(), 0
        while True:
            started = time.monotonic()
            try:
                code = await self._run_once()
            except Exception as error:  # no process, no descriptors; whatever it is, another try may do
                code = repr(error)
            deaths = 1 if time.monotonic() - started > STEADY_SECONDS else deaths + 1
            seconds = backoff.seconds(deaths)
            log.error("the heavy process is gone and is started again", exit_code=code, deaths=deaths, seconds=seconds)
            await asyncio.sleep(seconds)

    async def _run_once(self) -> object:
        """Run one process to its end. Return its exit code."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._child = child = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "services.gateway.heavy", str(theirs.fileno()),
                stdin=asyncio.subprocess.DEVNULL, pass_fds=[theirs.fileno()],
            )  # fmt: skip
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        channel = await Channel.over(ours)
        try:
            with suppress(ChannelClosedError, TimeoutError):
                async with asyncio.timeout(START_SECONDS):
                    ready = await channel.read()
                if ready.kind is Kind.READY:
                    self._channel = channel
                    self._is_up.set()
                    telemetry.HEAVY_RUNNING.set(1)
                    log.info("the heavy process is ready", pid=child.pid)
                    await child.wait()
        finally:
            self._is_away()
            channel.close()
            await self._see_off(child)
        return child.returncode

    async def _see_off(self, child: asyncio.subprocess.Process) -> None:
        """Wait for a process whose channel is closed, and kill it where it doesn't leave."""
        try:
            async with asyncio.timeout(END_SECONDS):
                await child.wait()
        except TimeoutError:
            child.kill()
            await child.wait()

    def _is_away(self) -> None:
        self._is_up.clear()
        self._channel = None
        telemetry.HEAVY_RUNNING.set(0)

    def _give_up(self) -> None:
        self._is_away()
        if self._child is not None:
            with suppress(ProcessLookupError):
                self._child.kill()


class _Room:
    """What one request that was handed over has of its caller's room for guesses."""

    def __init__(self, ticket: Ticket) -> None:
        self._ticket = ticket
        self._taken: tuple[int, int] | None = None

    async def take(self, attempts: int) -> dict[str, Any] | None:
        """Have room for so many guesses instead of what there was; return the problem where there is none."""
        self.give_back()
        try:
            async with asyncio.timeout(ROOM_SECONDS):
                self._taken = await self._ticket.take_instead(attempts)
        except Problem as error:
            problem = error
        except TimeoutError:
            problem = Problem(503, "unavailable", "Too many guesses of this caller are under way; ask again later.")
        else:
            return None
        return {"status": problem.status, "code": problem.code, "detail": problem.detail, "headers": problem.headers}

    async def count(self, unknown: int) -> None:
        """Count so many guesses."""
        self._ticket.report(unknown)
        await self._ticket.count()

    def give_back(self) -> None:
        """Give back what it has."""
        taken, self._taken = self._taken, None
        if taken is not None:
            self._ticket.give_back(taken)
