"""What the gateway's two processes say to one another: frames of a kind, a small JSON head and bytes."""

import asyncio
import socket
import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final, Self

import orjson

MOST_HEAD_BYTES: Final = 1024 * 1024
"""Far above a request's target and headers, which have 48 KiB at most, and a problem's details."""

MOST_BODY_BYTES: Final = 4 * 1024 * 1024
"""Above the largest body of a request. Answers come in pieces."""

PIECE_BYTES: Final = 64 * 1024
"""Of an answer, in one frame: what the gateway's loop handles at a time."""

_START: Final = struct.Struct(">BII")


class Kind(IntEnum):
    """What a frame is. Those of the heavy process come from READY on."""

    REQUEST = 1
    """a request: its head, and its body"""
    ROOM = 2
    """the answer to TAKE: nothing, or the problem that the request gets"""
    READY = 3
    """requests are taken from now on"""
    TAKE = 4
    """ask for room for so many guesses"""
    GIVE_BACK = 5
    """give that room back"""
    COUNT = 6
    """count so many guesses"""
    ANSWER = 7
    """an answer's status and headers"""
    PIECE = 8
    """a piece of its body"""
    END = 9
    """the request is answered; what the process counted since the last one"""


class ChannelClosedError(ConnectionError):
    """The other process is gone, or says what it can't say."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One message."""

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
        """Take over a connected Unix socket."""
        return cls(*await asyncio.open_unix_connection(sock=end, limit=2 * PIECE_BYTES))

    async def read(self) -> Frame:
        """Wait for the next frame. Raises ChannelClosedError."""
        try:
            kind, head_bytes, body_bytes = _START.unpack(await self._reader.readexactly(_START.size))
            if head_bytes > MOST_HEAD_BYTES or body_bytes > MOST_BODY_BYTES:
                raise ChannelClosedError("a frame is too large")
            head = orjson.loads(await self._reader.readexactly(head_bytes)) if head_bytes else {}
            return Frame(Kind(kind), head, await self._reader.readexactly(body_bytes))
        except (EOFError, OSError, ValueError) as error:
            raise ChannelClosedError(f"the other process is gone ({error!r})") from error

    def write(self, kind: Kind, head: dict[str, Any] | None = None, body: bytes = b"") -> None:
        """Send a frame; `drain` afterwards where bodies are large."""
        told = orjson.dumps(head) if head else b""
        self._writer.write(_START.pack(kind, len(told), len(body)) + told)
        if body:
            self._writer.write(body)

    async def drain(self) -> None:
        """Wait until the other process has read enough. Raises ChannelClosedError."""
        try:
            await self._writer.drain()
        except OSError as error:
            raise ChannelClosedError(f"the other process is gone ({error!r})") from error

    def close(self) -> None:
        """Close this end, which the other one sees."""
        self._writer.close()
