"""A real HTTP server on loopback that receives webhooks: it stores the requests and responds as configured."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import h11

from services.notifier.webhooks.policy import WebhookPolicy

LOCAL = WebhookPolicy(allow_private=True)
"""The policy of the tests' senders: the receiver is on loopback."""


@dataclass(frozen=True)
class Call:
    """One request as it arrived."""

    path: str
    headers: dict[str, str]
    body: str

    @property
    def webhook_id(self) -> str:
        return self.headers["webhook-id"]


Answer = Callable[[Call], Awaitable[h11.Response]]


def status(code: int, *, headers: tuple[tuple[str, str], ...] = ()) -> Answer:
    """Answer every request like this."""

    async def answer(_call: Call) -> h11.Response:
        return h11.Response(status_code=code, headers=[("content-length", "0"), *headers])

    return answer


@dataclass
class Receiver:
    """`calls` are the requests in order; `connections` counts TCP connections, `most_at_a_time` concurrent calls."""

    port: int = 0
    answer: Answer = field(default_factory=lambda: status(200))
    calls: list[Call] = field(default_factory=list)
    connections: int = 0
    open_calls: int = 0
    most_at_a_time: int = 0

    def url(self, host: str = "127.0.0.1", *, scheme: str = "http", path: str = "/hooks") -> str:
        return f"{scheme}://{host}:{self.port}{path}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        connection = h11.Connection(h11.SERVER)
        try:
            while (call := await _read(connection, reader)) is not None:
                self.calls.append(call)
                self.open_calls += 1
                self.most_at_a_time = max(self.most_at_a_time, self.open_calls)
                try:
                    response = await self.answer(call)
                finally:
                    self.open_calls -= 1
                writer.write((connection.send(response) or b"") + (connection.send(h11.EndOfMessage()) or b""))
                await writer.drain()
                connection.start_next_cycle()
        except (ConnectionError, h11.RemoteProtocolError, h11.LocalProtocolError):
            pass  # the sender closed the connection, which it may
        finally:
            writer.close()


async def _read(connection: h11.Connection, reader: asyncio.StreamReader) -> Call | None:
    request: h11.Request | None = None
    body = b""
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            connection.receive_data(await reader.read(65_536))
        elif isinstance(event, h11.Request):
            request = event
        elif isinstance(event, h11.Data):
            body += bytes(event.data)
        elif isinstance(event, h11.EndOfMessage) and request is not None:
            headers = {name.decode(): value.decode() for name, value in request.headers}
            return Call(request.target.decode(), headers, body.decode())
        else:
            return None


@asynccontextmanager
async def receiving(answer: Answer | None = None) -> AsyncIterator[Receiver]:
    """A receiver on a free port of loopback; at the end all its connections are closed."""
    receiver = Receiver()
    if answer is not None:
        receiver.answer = answer
    talks: set[asyncio.Task[None]] = set()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        talks.add(task)
        try:
            await receiver.serve(reader, writer)
        except asyncio.CancelledError:
            pass  # the test is over
        finally:
            talks.discard(task)

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    receiver.port = server.sockets[0].getsockname()[1]
    try:
        yield receiver
    finally:
        server.close()
        for task in list(talks):
            task.cancel()
        await asyncio.gather(*talks, return_exceptions=True)
        await server.wait_closed()
