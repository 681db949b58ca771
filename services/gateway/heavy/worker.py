"""The heavy process at work: it takes a request from the channel, lets the application answer it, and says so."""

import asyncio
import itertools
from typing import Any, Final

import orjson
from fastapi import FastAPI
from prometheus_client import REGISTRY

from services.gateway.access.guesses import Guesses, Ticket
from services.gateway.heavy.channel import PIECE_BYTES, Channel, ChannelClosedError, Frame, Kind
from services.gateway.heavy.handed import HANDED, scope_of, texts_of
from services.gateway.problems import MEDIA_TYPE, Problem
from shared.runtime.logging import get_logger
from shared.runtime.telemetry import Increments

log = get_logger("gateway")
MEMORY: Final = "process_resident_memory_bytes"


class Worker:
    """Answers the requests of one channel, one at a time."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._requests: asyncio.Queue[Frame | None] = asyncio.Queue()
        self._asked: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._numbers = itertools.count()
        self._increments = Increments()
        self.busy = False

    async def run(self, app: FastAPI, guesses: Guesses) -> None:
        """Answer requests until the gateway's process closes the channel."""
        self._channel.write(Kind.READY)
        while await self.run_once(app, guesses):
            pass

    async def run_once(self, app: FastAPI, guesses: Guesses) -> bool:
        """Answer one request. Return False where there will be none any more."""
        frame = await self._requests.get()
        if frame is None:
            return False
        self.busy = True
        await self._answer(frame, app, DistantTicket(self, guesses))
        self.busy = False
        return True

    async def listen(self) -> None:
        """Read what the gateway's process says, until it closes the channel or is gone."""
        try:
            while True:
                frame = await self._channel.read()
                if frame.kind is Kind.REQUEST:
                    self._requests.put_nowait(frame)
                elif frame.kind is Kind.ROOM:
                    waiting = self._asked.pop(frame.head["number"], None)
                    if waiting is not None and not waiting.done():
                        waiting.set_result(frame.head)
        except ChannelClosedError:
            self._requests.put_nowait(None)

    async def take(self, attempts: int) -> None:
        """Have the gateway's process find room for so many guesses. Raises the Problem (429) that it says."""
        number = next(self._numbers)
        waiting: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._asked[number] = waiting
        self._channel.write(Kind.TAKE, {"number": number, "attempts": attempts})
        try:
            problem = (await waiting).get("problem")
        finally:
            self._asked.pop(number, None)
        if problem is not None:
            raise Problem(problem["status"], problem["code"], problem["detail"], headers=problem["headers"])

    def say(self, kind: Kind, **head: int) -> None:
        """Say something of the request at hand."""
        self._channel.write(kind, head)

    async def _answer(self, frame: Frame, app: FastAPI, ticket: "DistantTicket") -> None:
        scope = scope_of(frame.head, ticket)
        left = [frame.body]
        started = False

        async def receive() -> dict[str, Any]:
            if left:
                return {"type": "http.request", "body": left.pop(), "more_body": False}
            await asyncio.Event().wait()  # nobody says here that the client left
            raise AssertionError

        async def send(message: Any) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                by_route = scope[HANDED].answered
                head = {"status": message["status"], "headers": texts_of(message["headers"]), "by_route": by_route}
                self._channel.write(Kind.ANSWER, head)
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
            log.exception("a bug: a heavy request got no answer")
            if not started:
                self._channel.write(Kind.ANSWER, {"status": 500, "headers": [("content-type", MEDIA_TYPE)]})
                document = Problem(500, "internal_error", "This is a bug of the gateway's; its log has the details.")
                self._channel.write(Kind.PIECE, body=orjson.dumps(document.document()))
        self._channel.write(
            Kind.END, {"increments": self._increments.take(), "memory": REGISTRY.get_sample_value(MEMORY) or 0}
        )


class DistantTicket(Ticket):
    """The ticket of a request whose guesses the gateway's process counts: it has the budgets."""

    def __init__(self, worker: Worker, guesses: Guesses) -> None:
        super().__init__(guesses, "", "", "")
        self._worker = worker

    async def take(self, attempts: int) -> tuple[int, int]:
        """Wait for room in the gateway's process. Raises a Problem (429)."""
        await self._worker.take(attempts)
        return attempts, attempts

    def give_back(self, taken: tuple[int, int]) -> None:
        """Give it back there."""
        self._worker.say(Kind.GIVE_BACK)

    async def count(self) -> None:
        """Have what was reported counted there."""
        unknown, self._uncounted = self._uncounted, 0
        if unknown:
            self._worker.say(Kind.COUNT, unknown=unknown)
