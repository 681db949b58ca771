"""uvicorn with bounds that hold before anybody is known: connections, headers, time, and what is kept in memory.

uvicorn's httptools protocol has none of them: it takes headers of any size and number, waits for the rest of a request
for ever, and never closes a connection whose client doesn't read. `BoundedProtocol` adds them:

    connection → (a slot; else the longest idle one gives way) → head in time and small → body at a fair pace → answer

A connection that waits for its client is *idle*: it holds a slot only for as long as nobody else needs one.
"""

import asyncio
import contextlib
import json
from collections.abc import Iterator, Sequence
from functools import partial
from http import HTTPStatus
from typing import Any, Final

import httptools
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from shared.runtime import telemetry
from shared.runtime.http_connections import PACE_BYTES, Connections, HttpLimits

PIECE: Final = 16 * 1024
"""Bytes parsed at a time at most, so that a bound is passed by so much at most."""

LINGER_SECONDS: Final = 2.0
"""How long a body that nobody wants any more is read, so that its sender sees the answer before the end."""

LINGER_BYTES: Final = 1024 * 1024
CLOSE_SECONDS: Final = 5.0
MAX_PIPELINED: Final = 16

SAFE_HEADERS: Final[tuple[tuple[bytes, bytes], ...]] = (
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
)
"""On every response that doesn't set them itself."""


class BoundedProtocol(HttpToolsProtocol):
    """uvicorn's protocol with the bounds of `HttpLimits`."""

    def __init__(self, *args: Any, bounds: Connections, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._bounds = bounds
        self._limits = bounds.limits
        self._host = ""
        self._admitted = False
        self._running: RequestResponseCycle | None = None
        self._refused = False
        self._deaf = False
        self._reading_head = True
        self._reading_body = False
        self._head_bytes = 0
        self._headers_seen = 0
        self._silent_bytes = 0  # bytes since the parser last said anything: what it keeps of an unfinished element
        self._arrived = 0
        self._drained = 0
        self._was_paused = False
        self._receiving: asyncio.TimerHandle | None = None
        self._writing: asyncio.TimerHandle | None = None
        self._unwritten = 0

    @property
    def is_idle(self) -> bool:
        """Whether nothing but its client is waited for, and no route works for it."""
        return self.cycle is None or self.cycle.response_complete

    def give_way(self) -> None:
        """Close, as another connection needs the slot."""
        telemetry.HTTP_CUT.labels("gave_way").inc()
        self._leave()
        self.transport.abort()

    # The connection

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a slot, or say that there is none."""
        super().connection_made(transport)
        self._host = self.client[0] if self.client else ""
        self._admitted = self._bounds.enter(self, self._host)
        if self._admitted:
            self._arm(self._limits.receive_seconds, self._head_is_late)
        else:
            self._refuse(503, "Too many connections. Try again in a moment.", "too_many_connections")

    def connection_lost(self, exc: Exception | None) -> None:
        """Give everything back."""
        self._leave()
        super().connection_lost(exc)

    def _leave(self) -> None:
        self._disarm()
        if self._writing is not None:
            self._writing.cancel()
            self._writing = None
        self._unset_keepalive_if_required()
        if self._admitted:
            self._admitted = False
            self._bounds.leave(self, self._host)

    # Arriving bytes

    def data_received(self, data: bytes) -> None:
        """Parse piece by piece, so that nothing grows beyond its bound in between."""
        if self.transport.is_closing():
            return
        if self._refused or self._deaf:
            self._pass_over(len(data))
            return
        self._unset_keepalive_if_required()
        if self._receiving is None and self._reading_head:
            self._arm(self._limits.receive_seconds, self._head_is_late)
        size = min(PIECE, self._limits.header_bytes // 2)
        for start in range(0, len(data), size):
            piece = data[start : start + size]
            self._silent_bytes += len(piece)
            try:
                self.parser.feed_data(piece)
            except httptools.HttpParserUpgrade:
                self._stays_as_it_is()
                return
            except httptools.HttpParserError:
                if not self._refused:
                    self._refuse(400, "The request isn't valid HTTP/1.1.", "invalid")
            if not self._refused and self._silent_bytes > self._limits.header_bytes:
                self._refuse(431, "The request's headers are too large.", "large_head")
            if self._refused or self.parser is None or self.transport.is_closing():
                return

    def _stays_as_it_is(self) -> None:
        """Answer a request that would switch to another protocol as it is, and nothing after it on this connection."""
        self._deaf = True
        if self.cycle is not None:
            self.cycle.keep_alive = False

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self._reading_head, self._reading_body = True, False
        self._head_bytes = self._headers_seen = self._silent_bytes = 0

    def on_url(self, url: bytes) -> None:
        """A part of its target."""
        self._silent_bytes = 0
        if len(self.url) + len(url) > self._limits.target_bytes:
            self._refuse(414, f"A request's target has at most {self._limits.target_bytes:,} bytes.", "large_head")
        elif not self._refused:
            super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header, or one of those that follow a body in chunks."""
        self._silent_bytes = 0
        self._head_bytes += len(name) + len(value) + 4
        self._headers_seen += 1
        if self._head_bytes > self._limits.header_bytes:
            self._refuse(431, f"Headers have at most {self._limits.header_bytes:,} bytes together.", "large_head")
        elif self._headers_seen > self._limits.header_count:
            self._refuse(431, f"A request has at most {self._limits.header_count} headers.", "large_head")
        elif not self._refused and self._reading_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The request is known; its route begins."""
        self._silent_bytes = 0
        if self._refused:
            return
        if len(self.pipeline) >= MAX_PIPELINED:
            self._refuse(429, "Too many requests on one connection before their answers.", "pipelined")
            return
        self._reading_head, self._reading_body = False, True
        self._arrived = self._drained = 0
        self._bounds.came_on(self, self._host)
        super().on_headers_complete()
        self._arm(self._limits.receive_seconds, self._body_is_late)

    def on_body(self, body: bytes) -> None:
        """A part of the body; of one that nobody reads any more, so much and no more is passed over."""
        self._silent_bytes = 0
        if self._refused or self.cycle is None:
            return
        self._arrived += len(body)
        super().on_body(body)
        self._was_paused = self._was_paused or self.flow.read_paused
        if self.cycle.response_complete:
            self._pass_over(len(body))

    def _pass_over(self, count: int) -> None:
        self._drained += count
        if self._drained > LINGER_BYTES:
            self._close()

    def on_message_complete(self) -> None:
        """The request is whole."""
        self._silent_bytes = 0
        if self._refused:  # the rest of what was parsed; the end is on its way
            return
        self._reading_head, self._reading_body = True, False
        self._disarm()
        if self.cycle is None:
            return
        super().on_message_complete()
        if self.cycle.response_complete and not self.transport.is_closing():
            self._wait_for_the_next()

    # Answers

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        """Begin to answer a request."""
        self._running = cycle
        super()._start_asgi_task(cycle, app)

    def on_response_complete(self) -> None:
        """An answer was written; the connection waits for the next request, or reads away the rest of this one."""
        super().on_response_complete()
        if self._reading_body and not self.transport.is_closing() and self.cycle.response_complete:
            self._unset_keepalive_if_required()
            self._arm(LINGER_SECONDS, self._close)

    def _wait_for_the_next(self) -> None:
        self._unset_keepalive_if_required()
        self.timeout_keep_alive_task = self.loop.call_later(self.timeout_keep_alive, self.timeout_keep_alive_handler)

    def timeout_keep_alive_handler(self) -> None:
        """Close a connection that nothing was asked on, also one whose client doesn't read."""
        self._close()

    def pause_writing(self) -> None:
        """The client reads more slowly than it is answered."""
        super().pause_writing()
        if self._writing is None:
            self._unwritten = self.transport.get_write_buffer_size()
            self._writing = self.loop.call_later(self._limits.receive_seconds, self._reader_is_slow)

    def resume_writing(self) -> None:
        """The client has read."""
        super().resume_writing()
        if self._writing is not None:
            self._writing.cancel()
            self._writing = None

    def _reader_is_slow(self) -> None:
        self._writing = None
        unwritten = self.transport.get_write_buffer_size()
        if self._unwritten - unwritten < PIECE:
            telemetry.HTTP_CUT.labels("slow_reader").inc()
            self.transport.abort()
            return
        self._unwritten = unwritten
        self._writing = self.loop.call_later(self._limits.receive_seconds, self._reader_is_slow)

    # Time

    def _arm(self, seconds: float, then: Any) -> None:
        self._disarm()
        self._receiving = self.loop.call_later(seconds, then)

    def _disarm(self) -> None:
        if self._receiving is not None:
            self._receiving.cancel()
            self._receiving = None

    def _head_is_late(self) -> None:
        if not self.is_idle:  # what arrived is of a later request; the one under way is answered first
            self._arm(self._limits.receive_seconds, self._head_is_late)
            return
        self._refuse(408, f"The headers took longer than {self._limits.receive_seconds:g} s.", "slow_head")

    def _body_is_late(self) -> None:
        """Called every `receive_seconds`; time that the server itself took doesn't count."""
        if self._arrived >= PACE_BYTES or self._was_paused or self.flow.read_paused:
            self._arrived, self._was_paused = 0, False
            self._arm(self._limits.receive_seconds, self._body_is_late)
            return
        self._refuse(408, f"The body came too slowly: at least {PACE_BYTES:,} bytes in "
                     f"{self._limits.receive_seconds:g} s, or all of it.", "slow_body")  # fmt: skip

    # The end

    def _refuse(self, status: int, text: str, why: str) -> None:
        """Answer without a route, and close once the client has seen it. An answer that is under way is broken off."""
        if self._refused:
            return
        self._refused = True
        telemetry.HTTP_CUT.labels(why).inc()
        self._disarm()
        self.pipeline.clear()
        started = False
        for cycle in (self._running, self.cycle):  # two where requests are pipelined
            if cycle is not None and not cycle.response_complete:
                started = started or cycle.response_started
                cycle.disconnected = True  # its route finds that the client is gone
                cycle.waiting_for_100_continue = False
                cycle.message_event.set()
        if self.transport.is_closing():
            return
        if started:
            self.transport.abort()
            return
        self.transport.write(_problem(status, text, why))
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._drained = 0
        self._arm(LINGER_SECONDS, self._close)

    def _close(self) -> None:
        """Close after what is written was read, or soon."""
        self._disarm()
        self._unset_keepalive_if_required()
        if not self.transport.is_closing():
            self.transport.close()
        if self.transport.get_write_buffer_size():
            self.loop.call_later(CLOSE_SECONDS, self.transport.abort)


def _problem(status: int, text: str, code: str) -> bytes:
    phrase = HTTPStatus(status).phrase
    document = {
        "type": f"urn:couponry:problem:{code}", "title": phrase, "status": status, "detail": text, "code": code,
    }  # fmt: skip
    content = json.dumps(document).encode()
    lines = [
        f"HTTP/1.1 {status} {phrase}".encode(),
        b"content-type: application/problem+json",
        b"content-length: " + str(len(content)).encode(),
        b"connection: close",
        *[name + b": " + value for name, value in SAFE_HEADERS],
    ]
    if status in {429, 503}:
        lines.append(b"retry-after: 1")
    return b"\r\n".join(lines) + b"\r\n\r\n" + content


class SafeHeaders:
    """ASGI middleware: `SAFE_HEADERS` on every response, but for those that it sets itself."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer as the application does."""

        async def with_headers(message: Any) -> None:
            if message["type"] == "http.response.start":
                headers = list(message.get("headers", ()))
                present = {name.lower() for name, _ in headers}
                headers += [one for one in SAFE_HEADERS if one[0] not in present]
                message = {**message, "headers": headers}
            await send(message)

        await self._app(scope, receive, with_headers if scope["type"] == "http" else send)


class BoundedServer(uvicorn.Server):
    """A server of `BoundedProtocol`. Signals belong to the service, which drains first."""

    def __init__(self, app: Any, limits: HttpLimits, *, trusted_proxies: Sequence[str] = (), **options: Any) -> None:
        protocol = partial(BoundedProtocol, bounds=Connections(limits, trusted_proxies))
        super().__init__(
            uvicorn.Config(
                app,
                http=protocol,  # type: ignore[arg-type]  # called, and nothing else
                ws="none",
                log_config=None,
                access_log=False,
                lifespan="off",
                server_header=False,
                # Who isn't a trusted proxy says nothing about where a request came from.
                proxy_headers=bool(trusted_proxies),
                forwarded_allow_ips=list(trusted_proxies),
                timeout_keep_alive=int(limits.idle_seconds),
                **options,
            )
        )

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals alone."""
        yield
