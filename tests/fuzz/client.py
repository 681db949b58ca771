"""A plain HTTP/1.1 client that sends any bytes; h11 reads the responses."""

import asyncio
from dataclasses import dataclass
from typing import Final

import h11

from tests.fuzz.requests import HttpRequest

ANSWER_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True)
class Answer:
    """The status and the start of the body. Status 0: the connection ended or timed out without a response."""

    status: int
    body: bytes = b""


class Client:
    """One connection, reopened after it ended."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def send(self, request: HttpRequest) -> Answer:
        """Send `request` and read the response."""
        head = [f"{request.method} {request.path} HTTP/1.1", "Host: 127.0.0.1"]
        head += [f"{name}: {value}" for name, value in request.headers]
        if request.body or request.method in {"POST", "PUT", "PATCH"}:
            head.append(f"Content-Length: {len(request.body)}")
        raw = "\r\n".join([*head, "", ""]).encode("latin-1", "replace") + request.body
        for fresh in (False, True):
            reader, writer = await self._connected(fresh)
            try:
                writer.write(raw)
                await writer.drain()
                async with asyncio.timeout(ANSWER_SECONDS):
                    answer = await self._read(reader, request.method)
            except TimeoutError:
                await self.close()
                return Answer(0, b"no answer in time")
            except (ConnectionError, asyncio.IncompleteReadError):
                answer = None
            if answer is not None:
                return answer
        return Answer(0)

    async def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None

    async def _connected(self, fresh: bool) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if fresh:
            await self.close()
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._port)
        return self._streams

    async def _read(self, reader: asyncio.StreamReader, method: str) -> Answer | None:
        """Return the response; None if the connection ended before it began."""
        parser = h11.Connection(h11.CLIENT)
        parser.send(h11.Request(method=method if method.isalpha() else "GET", target="/", headers=[("Host", "x")]))
        parser.send(h11.EndOfMessage())
        status, body = 0, b""
        while True:
            event = parser.next_event()
            if event is h11.NEED_DATA:
                chunk = await reader.read(65_536)
                if not chunk and not status:
                    return None
                parser.receive_data(chunk)
            elif isinstance(event, h11.Response):
                status = event.status_code
            elif isinstance(event, h11.Data):
                body = (body + bytes(event.data))[:2_000]
            elif isinstance(event, h11.EndOfMessage | h11.ConnectionClosed):
                if parser.their_state is not h11.DONE or parser.our_state is h11.MUST_CLOSE:
                    await self.close()
                return Answer(status, body)
