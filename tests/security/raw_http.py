"""Misbehaving clients: raw bytes over sockets, without a library that would enforce HTTP."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]

PATIENCE_SECONDS = 20.0
"""Much longer than any timeout of the servers under test."""


async def connect(url: str) -> Connection:
    """Open a connection and send nothing."""
    parts = urlsplit(url)
    return await asyncio.open_connection(parts.hostname, parts.port)


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[Connection]:
    """Open a connection; abort it at the end."""
    reader, writer = await connect(url)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


async def rest(reader: asyncio.StreamReader) -> bytes:
    """Return everything until the server closes, b"" if it sends nothing. Fail if it doesn't close."""
    try:
        return await asyncio.wait_for(reader.read(), PATIENCE_SECONDS)
    except ConnectionError:
        return b""


async def send(url: str, content: bytes, *, ends: bool = False) -> bytes:
    """Send bytes, and an end of file if `ends`; return everything until the server closes."""
    async with connected(url) as (reader, writer):
        answer = asyncio.create_task(rest(reader))
        try:
            for start in range(0, len(content), 65_536):
                writer.write(content[start : start + 65_536])
                await writer.drain()
            if ends:
                writer.write_eof()
        except ConnectionError:
            pass  # the server closed the connection
        return await answer


async def drip(url: str, content: bytes, *, every_seconds: float) -> bytes:
    """Send byte by byte until the server closes; return the response."""
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
    """Return the status of the first response, 0 without one."""
    return int(answer[9:12]) if answer.startswith(b"HTTP/1.1 ") else 0
