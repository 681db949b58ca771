"""The heavy process's side: read requests from the channel, run the application, send the responses."""

import asyncio
import itertools
from typing import Any, Final

import orjson
from fastapi import FastAPI
from prometheus_client import REGISTRY

from services.gateway.access.guesses import Guesses, Ticket
from services.gateway.heavy.channel import PIECE_BYTES, Channel, ChannelClosedError, Frame, Kind
from services.gateway.heavy.handover import HANDED, scope_of, texts_of
from services.gateway.problems import MEDIA_TYPE, Problem
from shared.runtime.logging import get_logger
from shared.runtime.telemetry import Increments

log = get_logger("gateway")
MEMORY: Final = "process_resident_memory_bytes"


class Worker:
    """Answers the requests of a channel, one at a time."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._requests: asyncio.Queue[Frame | None] = asyncio.Queue()
        self._reservations: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._numbers = itertools.count()
        self._increments = Increments()
        self.busy = False

    async def run(self, app: FastAPI, guesses: Guesses) -> None:
        """Answer requests until the gateway process closes the channel."""
        self._channel.write(Kind.READY)
        while await self.run_once(app, guesses):
            pass

    async def run_once(self, app: FastAPI, guesses: Guesses) -> bool:
        """Answer one request. Return False if the channel is closed."""
        frame = await self._requests.get()
        if frame is None:
            return False
        self.busy = True
        await self._answer(frame, app, DistantTicket(self, guesses))
        self.busy = False
        return True

    async def listen(self) -> None:
        """Read frames of the gateway process until it closes the channel or dies."""
        try:
            while True:
                frame = await self._channel.read()
                if frame.kind is Kind.REQUEST:
                    self._requests.put_nowait(frame)
                elif frame.kind is Kind.ROOM:
                    waiting = self._reservations.pop(frame.head["number"], None)
                    if waiting is not None and not waiting.done():
                        waiting.set_result(frame.head)
        except ChannelClosedError:
            self._requests.put_nowait(None)

    async def take(self, attempts: int) -> None:
        """Reserve `attempts` guesses in the gateway process. Raises the Problem (429) that it replies with."""
        number = next(self._numbers)
        waiting: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._reservations[number] = waiting
        self._channel.write(Kind.TAKE, {"number": number, "attempts": attempts})
        try:
            problem = (await waiting).get("problem")
        finally:
            self._reservations.pop(number, None)
        if problem is not None:
            raise Problem(problem["status"], problem["code"], problem["detail"], headers=problem["headers"])

    def send(self, kind: Kind, **head: int) -> None:
        """Send a frame about the current request."""
        self._channel.write(kind, head)

    async def _answer(self, frame: Frame, app: FastAPI, ticket: "DistantTicket") -> None:
        scope = scope_of(frame.head, ticket)
        left = [frame.body]
        started = False

        async def receive() -> dict[str, Any]:
            if left:
                return {"type": "http.request", "body": left.pop(), "more_body": False}
            await asyncio.Event().wait()  # a disconnect of the client is not passed on to this process
            raise AssertionError

        async def send(message: Any) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                by_route = scope[HANDED].by_route
                head = {"status": message["status"], "headers": texts_of(message["headers"]), "by_route": by_route}
                self._channel.write(Kind.RESPONSE, head)
                return
            body = message.get("body", b"")
            for start in range(0, len(body), PIECE_BYTES):
                self._channel.write(Kind.PIECE, body=body[start : start + PIECE_BYTES])
                await self._channel.drain()

        try:
            await app(scope, receive, send)
        except ChannelClosedError:
            return
        except Exception:
            log.exception("bug in a route: a heavy request failed")
            if not started:
                self._channel.write(Kind.RESPONSE, {"status": 500, "headers": [("content-type", MEDIA_TYPE)]})
                document = Problem(500, "internal_error", "This is a bug in the gateway; its log has the details.")
                self._channel.write(Kind.PIECE, body=orjson.dumps(document.document()))
        self._channel.write(
            Kind.END, {"increments": self._increments.take(), "memory": REGISTRY.get_sample_value(MEMORY) or 0}
        )


class DistantTicket(Ticket):
    """The ticket of a heavy request. The gateway process has the budgets and counts the guesses."""

    def __init__(self, worker: Worker, guesses: Guesses) -> None:
        super().__init__(guesses, "", "", "")
        self._worker = worker

    async def take(self, attempts: int) -> tuple[int, int]:
        """Reserve guesses in the gateway process. Raises a Problem (429)."""
        await self._worker.take(attempts)
        return attempts, attempts

    def give_back(self, taken: tuple[int, int]) -> None:
        """Release the reservation in the gateway process."""
        self._worker.send(Kind.GIVE_BACK)

    async def count(self) -> None:
        """Send the reported guesses to the gateway process, which counts them."""
        unknown, self._uncounted = self._uncounted, 0
        if unknown:
            self._worker.send(Kind.COUNT, unknown=unknown)
