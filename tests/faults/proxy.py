"""A TCP proxy on loopback that can drop all connections, or the answer to a COMMIT."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from cli.processes import LOOPBACK

CHUNK = 65_536


class Proxy:
    """A proxy between clients and the port `target`, which may change. Create it with `proxy`."""

    def __init__(self, target: int) -> None:
        self.target = target
        self.port = 0
        self.swallowed = asyncio.Event()
        """Set after a COMMIT's answer was dropped."""
        self._loses_next_commit = False
        self._closed = False
        self._writers: set[asyncio.StreamWriter] = set()

    def lose_next_commits_answer(self) -> None:
        """Let the next COMMIT reach the server, then drop all answers on its connection, which stays open."""
        self._loses_next_commit = True

    def cut(self) -> None:
        """End every connection and refuse new ones until `mend`."""
        self._closed = True
        for writer in list(self._writers):
            writer.transport.abort()

    def mend(self, target: int | None = None) -> None:
        """Accept connections again, optionally to another server."""
        self.target = target or self.target
        self._closed = False

    async def ended(self) -> None:
        """Wait until no connection is left."""
        while self._writers:
            await asyncio.sleep(0.01)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._closed:
            writer.transport.abort()
            return
        try:
            there_reader, there_writer = await asyncio.open_connection(LOOPBACK, self.target)
        except OSError:
            writer.transport.abort()
            return
        ends = (writer, there_writer)
        self._writers.update(ends)
        lost = asyncio.Event()
        ways = (
            asyncio.create_task(self._pass_on(reader, there_writer, lost, asks=True)),
            asyncio.create_task(self._pass_on(there_reader, writer, lost, asks=False)),
        )
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            self._writers.difference_update(ends)
            for end in ends:
                end.transport.abort()

    async def _pass_on(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, lost: asyncio.Event, *, asks: bool
    ) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(CHUNK):
                if asks and self._loses_next_commit and b"COMMIT" in data:
                    self._loses_next_commit = False
                    lost.set()
                if not asks and lost.is_set():
                    self.swallowed.set()
                    continue
                writer.write(data)
                await writer.drain()


@asynccontextmanager
async def proxy(target: int) -> AsyncIterator[Proxy]:
    """Run a proxy in front of the server at port `target`."""
    made = Proxy(target)
    server = await asyncio.start_server(made.serve, LOOPBACK, 0)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        made.cut()
        server.close()
        await made.ended()
