"""Messages between the gateway process and the heavy process: frames with a kind, a small JSON head and bytes."""

import asyncio
import socket
import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final, Self

import orjson

MAX_HEAD_BYTES: Final = 1024 * 1024
"""Far above the URL and headers of a request (at most 48 KiB) and the details of a problem."""

MAX_BODY_BYTES: Final = 4 * 1024 * 1024
"""Above the largest request body. Responses are sent in pieces."""

PIECE_BYTES: Final = 64 * 1024
"""Response bytes in one frame, and so the work of the gateway's event loop at a time."""

_START: Final = struct.Struct(">BII")


class Kind(IntEnum):
    """The kind of a frame. The heavy process sends READY and those that follow it here."""

    REQUEST = 1
    """a request: head and body"""
    ROOM = 2
    """the reply to TAKE: nothing, or the problem to respond with"""
    READY = 3
    """requests are accepted from now on"""
    TAKE = 4
    """reserve a number of guesses"""
    GIVE_BACK = 5
    """release the reservation"""
    COUNT = 6
    """count a number of wrong guesses"""
    RESPONSE = 7
    """status and headers of the response"""
    PIECE = 8
    """a piece of the response body"""
    END = 9
    """end of the response; increments of counters since the last request"""


class ChannelClosedError(ConnectionError):
    """The other process has ended or sent an invalid frame."""


@dataclass(frozen=True, slots=True)
class Frame:
    """A message."""

    kind: Kind
    head: dict[str, Any]
    body: bytes


class Channel:
    """One end of the socket pair."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def over(cls, end: socket.socket) -> Self:
        """Create a channel that owns a connected Unix socket."""
        return cls(*await asyncio.open_unix_connection(sock=end, limit=2 * PIECE_BYTES))

    async def read(self) -> Frame:
        """Wait for the next frame. Raises ChannelClosedError."""
        try:
            kind, head_bytes, body_bytes = _START.unpack(await self._reader.readexactly(_START.size))
            if head_bytes > MAX_HEAD_BYTES or body_bytes > MAX_BODY_BYTES:
                raise ChannelClosedError("a frame is too large")
            head = orjson.loads(await self._reader.readexactly(head_bytes)) if head_bytes else {}
            return Frame(Kind(kind), head, await self._reader.readexactly(body_bytes))
        except (EOFError, OSError, ValueError) as error:
            raise ChannelClosedError(f"the other process has ended ({error!r})") from error

    def write(self, kind: Kind, head: dict[str, Any] | None = None, body: bytes = b"") -> None:
        """Send a frame. Call `drain` after large bodies."""
        head_bytes = orjson.dumps(head) if head else b""
        self._writer.write(_START.pack(kind, len(head_bytes), len(body)) + head_bytes)
        if body:
            self._writer.write(body)

    async def drain(self) -> None:
        """Wait until the write buffer has space again. Raises ChannelClosedError."""
        try:
            await self._writer.drain()
        except OSError as error:
            raise ChannelClosedError(f"the other process has ended ({error!r})") from error

    def close(self) -> None:
        """Close this end; the other process notices it."""
        self._writer.close()
