"""Clients that misbehave: bytes over real sockets, without a library that would keep them polite."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]

PATIENCE_SECONDS = 20.0
"""How long a test waits for what a server does within its own, shorter bounds."""


async def connect(url: str) -> Connection:
    """A connection, with nothing sent."""
    parts = urlsplit(url)
    return await asyncio.open_connection(parts.hostname, parts.port)


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[Connection]:
    """A connection that is dropped at the end."""
    reader, writer = await connect(url)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


async def rest(reader: asyncio.StreamReader) -> bytes:
    """Everything until the server closes; b"" where it just closes. Fails when it doesn't close."""
    try:
        return await asyncio.wait_for(reader.read(), PATIENCE_SECONDS)
    except ConnectionError:
        return b""


async def send(url: str, content: bytes, *, ends: bool = False) -> bytes:
    """Send bytes as fast as they are taken, and nothing more with `ends`; return what comes until the server closes."""
    async with connected(url) as (reader, writer):
        answer = asyncio.create_task(rest(reader))
        try:
            for start in range(0, len(content), 65_536):
                writer.write(content[start : start + 65_536])
                await writer.drain()
            if ends:
                writer.write_eof()
        except ConnectionError:
            pass  # the server had enough
        return await answer


async def drip(url: str, content: bytes, *, every_seconds: float) -> bytes:
    """Send byte by byte until the server closes; return what it said."""
    async with connected(url) as (reader, writer):
        answer = asyncio.create_task(rest(reader))
        try:
            for byte in content:
                if answer.done():
                    break
                writer.write(bytes([byte]))
                await writer.drain()
                await asyncio.sleep(every_seconds)
        except ConnectionError:
            pass
        return await answer


def status_of(answer: bytes) -> int:
    """The status of the first answer; 0 where there is none."""
    return int(answer[9:12]) if answer.startswith(b"HTTP/1.1 ") else 0
