"""A coupon API on loopback with scripted responses, valid or faulty, on raw sockets."""

import asyncio
import json
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Self


@dataclass(frozen=True, slots=True)
class Request:
    """One request as it arrived; header names in lower case."""

    line: str
    headers: dict[str, str]
    body: bytes

    @property
    def email(self) -> Any:
        return json.loads(self.body)["email"]


Reply = Callable[[Request, asyncio.StreamWriter], Awaitable[None]]


def code(text: str) -> Reply:
    """Return a valid response with a code."""
    return answer(200, json.dumps({"coupon_code": text}).encode())


def answer(status: int, body: bytes = b"", *headers: str) -> Reply:
    async def reply(_: Request, writer: asyncio.StreamWriter) -> None:
        head = [f"HTTP/1.1 {status} Scripted", f"Content-Length: {len(body)}", "Connection: close", *headers]
        writer.write("\r\n".join([*head, "", ""]).encode() + body)
        await writer.drain()

    return reply


async def hang(_: Request, writer: asyncio.StreamWriter) -> None:
    """Never respond."""
    await writer.drain()
    await asyncio.sleep(3600)


async def drip(_: Request, writer: asyncio.StreamWriter) -> None:
    """Send single bytes endlessly: each arrives in time, the whole response never does."""
    writer.write(b"HTTP/1.1 200 Scripted\r\nContent-Length: 60000\r\n\r\n")
    while True:
        writer.write(b" ")
        await writer.drain()
        await asyncio.sleep(0.05)


async def hang_up(_: Request, writer: asyncio.StreamWriter) -> None:
    """Close the connection without a response."""
    writer.transport.abort()


class CouponApi:
    """`async with CouponApi() as api`: listens on a free port. Replies are used in turn; the last one is repeated."""

    def __init__(self, *replies: Reply) -> None:
        self.requests: list[Request] = []
        self._replies = deque(replies)
        self._connections: set[asyncio.Task[None]] = set()

    def replies(self, *replies: Reply) -> None:
        self._replies = deque(replies)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/coupons?shop=7"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            request = await self._read(reader)
            self.requests.append(request)
            reply = self._replies[0] if len(self._replies) == 1 else self._replies.popleft()
            await reply(request, writer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self._connections.discard(task)
            writer.close()

    @staticmethod
    async def _read(reader: asyncio.StreamReader) -> Request:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
        return Request(head[0], headers, await reader.readexactly(int(headers.get("content-length", "0"))))
