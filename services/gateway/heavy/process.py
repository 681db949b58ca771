"""The gateway's side of the heavy process: start it, restart it when it dies, and hand requests over to it."""

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
from services.gateway.heavy.handover import HeavyResponse, bytes_of, request_head
from services.gateway.heavy.turns import Turns
from services.gateway.problems import Problem
from shared.runtime import telemetry
from shared.runtime.backoff import Backoff
from shared.runtime.logging import get_logger

log = get_logger("gateway")

HANDED_OVER_BYTES: Final = 32 * 1024
"""Larger bodies are handed over. Parsing a body of this size takes 2 ms, about as long as handing it over."""

MAX_WAITING: Final = 100
WAITING_SECONDS: Final = 20.0
"""Refuse a request whose expected wait, estimated from the last requests, is longer."""

USUAL_SECONDS: Final = 0.25
"""The expected duration of a heavy request before one was measured."""

NEWEST_WEIGHT: Final = 0.2
START_SECONDS: Final = 60.0
"""The time limit for READY. The process waits for the ledger first, so starting may take long."""

ROOM_SECONDS: Final = 10.0
"""The time limit for reserving guesses; all other heavy requests wait meanwhile."""

END_SECONDS: Final = 3.0
LATE_SECONDS: Final = 15.0
"""Extra time after the heavy process's own timeout; then it is considered hung and is killed."""

STEADY_SECONDS: Final = 30.0
"""After running this long, a process that dies is restarted with the shortest backoff."""


class HeavyProcess:
    """The heavy process of a gateway. It answers one request at a time; the number of waiting ones is limited."""

    def __init__(self, answer_seconds: float) -> None:
        self._answer_seconds = answer_seconds
        self.turns = Turns(MAX_WAITING, WAITING_SECONDS, USUAL_SECONDS)
        self._channel: Channel | None = None
        self._is_up = asyncio.Event()
        self._child: asyncio.subprocess.Process | None = None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run the process in the context. Exit it only when all requests are finished."""
        keeping = asyncio.create_task(self._keep_running())
        try:
            yield
        finally:
            keeping.cancel()
            with suppress(asyncio.CancelledError):
                await keeping

    async def answer(
        self, request: Request, caller: Caller, ticket: Ticket, *, handles_key: bool = True
    ) -> HeavyResponse:
        """Return the heavy process's response to a request whose body was read.

        `handles_key`: the heavy process handles the idempotency key. Raises OverloadedError if too many requests wait,
        and ChannelClosedError (a ConnectionError) if the process is not running or dies. Both: retry later.
        """
        head, body = request_head(request, caller, handles_key=handles_key), await request.body()
        telemetry.HEAVY_WAITING.inc()
        try:
            await self.turns.take(caller.name)
        except OverloadedError:
            telemetry.HEAVY_REQUESTS.labels("refused").inc()
            raise
        finally:
            telemetry.HEAVY_WAITING.dec()
        # Shielded: a cancelled request must not leave half an exchange on the channel.
        return await asyncio.shield(
            asyncio.create_task(self._have_answered(head, body, _Reservation(ticket), caller.name))
        )

    async def _have_answered(
        self, head: dict[str, Any], body: bytes, room: "_Reservation", caller: str
    ) -> HeavyResponse:
        outcome = "lost"
        try:
            async with asyncio.timeout(self._answer_seconds):
                await self._is_up.wait()
            started = time.monotonic()
            try:
                async with asyncio.timeout(self._answer_seconds + LATE_SECONDS):
                    response = await self._exchange(head, body, room)
            except BaseException:  # it died or hangs: the channel can't be used any more
                self._kill()
                raise
            self.turns.took(time.monotonic() - started, NEWEST_WEIGHT)
            outcome = "answered"
        finally:
            telemetry.HEAVY_REQUESTS.labels(outcome).inc()
            room.give_back()
            self.turns.give_back(caller)
        return response

    async def _exchange(self, head: dict[str, Any], body: bytes, room: "_Reservation") -> HeavyResponse:
        channel = self._channel
        if channel is None:
            raise ChannelClosedError("the heavy process has ended")
        channel.write(Kind.REQUEST, head, body)
        await channel.drain()
        response: Frame | None = None
        pieces: list[bytes] = []
        while (frame := await channel.read()).kind is not Kind.END:
            if frame.kind is Kind.TAKE:
                problem = await room.take(frame.head["attempts"])
                channel.write(Kind.ROOM, {"number": frame.head["number"], "problem": problem})
            elif frame.kind is Kind.GIVE_BACK:
                room.give_back()
            elif frame.kind is Kind.COUNT:
                await room.count(frame.head["unknown"])
            elif frame.kind is Kind.RESPONSE:
                response = frame
            elif frame.kind is Kind.PIECE:
                pieces.append(frame.body)
        telemetry.add((name, tuple(labels), count) for name, labels, count in frame.head["increments"])
        telemetry.HEAVY_MEMORY.set(frame.head["memory"])
        if response is None:
            raise ChannelClosedError("the heavy process sent no response")
        status, headers = response.head["status"], bytes_of(response.head["headers"])
        return HeavyResponse(status, headers, pieces, response.head.get("by_route", False))

    async def _keep_running(self) -> None:
        backoff, deaths = Backoff(), 0
        while True:
            started = time.monotonic()
            try:
                code = await self._run_once()
            except Exception as error:  # no process or no descriptors, for example: a retry may succeed
                code = repr(error)
            deaths = 1 if time.monotonic() - started > STEADY_SECONDS else deaths + 1
            seconds = backoff.seconds(deaths)
            log.error("the heavy process died and is restarted", exit_code=code, deaths=deaths, seconds=seconds)
            await asyncio.sleep(seconds)

    async def _run_once(self) -> object:
        """Run one process until it exits. Return its exit code."""
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
            self._mark_down()
            channel.close()
            await self._wait_or_kill(child)
        return child.returncode

    async def _wait_or_kill(self, child: asyncio.subprocess.Process) -> None:
        """Wait for a process whose channel is closed; kill it if it does not exit in time."""
        try:
            async with asyncio.timeout(END_SECONDS):
                await child.wait()
        except TimeoutError:
            child.kill()
            await child.wait()

    def _mark_down(self) -> None:
        self._is_up.clear()
        self._channel = None
        telemetry.HEAVY_RUNNING.set(0)

    def _kill(self) -> None:
        self._mark_down()
        if self._child is not None:
            with suppress(ProcessLookupError):
                self._child.kill()


class _Reservation:
    """The guesses that a handed-over request has reserved for its caller."""

    def __init__(self, ticket: Ticket) -> None:
        self._ticket = ticket
        self._taken: tuple[int, int] | None = None

    async def take(self, attempts: int) -> dict[str, Any] | None:
        """Replace the reservation by `attempts` guesses. Return the problem if that is over the limits."""
        self.give_back()
        try:
            async with asyncio.timeout(ROOM_SECONDS):
                self._taken = await self._ticket.take_instead(attempts)
        except Problem as error:
            problem = error
        except TimeoutError:
            problem = Problem(
                503, "unavailable", "Too many concurrent requests of this caller name codes. Retry later."
            )
        else:
            return None
        return {"status": problem.status, "code": problem.code, "detail": problem.detail, "headers": problem.headers}

    async def count(self, unknown: int) -> None:
        """Count `unknown` wrong guesses."""
        self._ticket.report(unknown)
        await self._ticket.count()

    def give_back(self) -> None:
        """Release the reservation."""
        taken, self._taken = self._taken, None
        if taken is not None:
            self._ticket.give_back(taken)
