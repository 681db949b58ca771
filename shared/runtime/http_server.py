"""uvicorn with limits that apply before authentication: connections, headers, time, and memory.

uvicorn's httptools protocol has none of them: it accepts headers of any size and number, waits for the rest of a
request for ever, and never closes a connection whose client doesn't read. `BoundedProtocol` adds them:

    connection → slot (or the longest idle connection is closed) → small head in time → body at a pace → response

A connection that waits for its client is *idle*: it loses its slot if another connection needs one.
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
"""The most bytes parsed at a time, and so the most by which a limit can be exceeded."""

LINGER_SECONDS: Final = 2.0
"""The seconds for which an unneeded body is read, so that its sender sees the response before the connection closes."""

LINGER_BYTES: Final = 1024 * 1024
CLOSE_SECONDS: Final = 5.0
MAX_PIPELINED: Final = 16

SAFE_HEADERS: Final[tuple[tuple[bytes, bytes], ...]] = (
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
)
"""Added to every response that doesn't set them itself."""


class BoundedProtocol(HttpToolsProtocol):
    """uvicorn's protocol with the limits of `HttpLimits`."""

    def __init__(self, *args: Any, bounds: Connections, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._bounds = bounds
        self._limits = bounds.limits
        self._host = ""
        self._admitted = False
        self._running: RequestResponseCycle | None = None
        self._refused = False
        self._ignores_input = False
        self._reading_head = True
        self._reading_body = False
        self._head_bytes = 0
        self._headers_seen = 0
        self._unparsed_bytes = 0  # bytes since the parser's last callback, which it keeps for an unfinished element
        self._arrived = 0
        self._drained = 0
        self._was_paused = False
        self._receiving: asyncio.TimerHandle | None = None
        self._writing: asyncio.TimerHandle | None = None
        self._unwritten = 0

    @property
    def is_idle(self) -> bool:
        """Return whether the connection only waits for its client and no route is running."""
        return self.cycle is None or self.cycle.response_complete

    def evict(self) -> None:
        """Close, because another connection needs the slot."""
        telemetry.HTTP_CUT.labels("gave_way").inc()
        self._leave()
        self.transport.abort()

    # The connection

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a slot, or refuse the connection."""
        super().connection_made(transport)
        self._host = self.client[0] if self.client else ""
        self._admitted = self._bounds.enter(self, self._host)
        if self._admitted:
            self._arm(self._limits.receive_seconds, self._head_is_late)
        else:
            self._refuse(503, "Too many connections. Try again in a moment.", "too_many_connections")

    def connection_lost(self, exc: Exception | None) -> None:
        """Free the slot and all timers."""
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
        """Parse piece by piece, so that nothing exceeds its limit in between."""
        if self.transport.is_closing():
            return
        if self._refused or self._ignores_input:
            self._skip(len(data))
            return
        self._unset_keepalive_if_required()
        if self._receiving is None and self._reading_head:
            self._arm(self._limits.receive_seconds, self._head_is_late)
        size = min(PIECE, self._limits.header_bytes // 2)
        for start in range(0, len(data), size):
            piece = data[start : start + size]
            self._unparsed_bytes += len(piece)
            try:
                self.parser.feed_data(piece)
            except httptools.HttpParserUpgrade:
                self._ignore_upgrade()
                return
            except httptools.HttpParserError:
                if not self._refused:
                    self._refuse(400, "The request isn't valid HTTP/1.1.", "invalid")
            if not self._refused and self._unparsed_bytes > self._limits.header_bytes:
                self._refuse(431, "The request's headers are too large.", "large_head")
            if self._refused or self.parser is None or self.transport.is_closing():
                return

    def _ignore_upgrade(self) -> None:
        """Answer a request for a protocol upgrade as HTTP, and ignore all further input of the connection."""
        self._ignores_input = True
        if self.cycle is not None:
            self.cycle.keep_alive = False

    def on_message_begin(self) -> None:
        """Handle the start of a request."""
        super().on_message_begin()
        self._reading_head, self._reading_body = True, False
        self._head_bytes = self._headers_seen = self._unparsed_bytes = 0

    def on_url(self, url: bytes) -> None:
        """Add a part of the request's target."""
        self._unparsed_bytes = 0
        if len(self.url) + len(url) > self._limits.target_bytes:
            self._refuse(414, f"A request's target has at most {self._limits.target_bytes:,} bytes.", "large_head")
        elif not self._refused:
            super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Add a header, or count one that follows a chunked body."""
        self._unparsed_bytes = 0
        self._head_bytes += len(name) + len(value) + 4
        self._headers_seen += 1
        if self._head_bytes > self._limits.header_bytes:
            self._refuse(431, f"All headers have at most {self._limits.header_bytes:,} bytes together.", "large_head")
        elif self._headers_seen > self._limits.header_count:
            self._refuse(431, f"A request has at most {self._limits.header_count} headers.", "large_head")
        elif not self._refused and self._reading_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Start the route of the request."""
        self._unparsed_bytes = 0
        if self._refused:
            return
        if len(self.pipeline) >= MAX_PIPELINED:
            self._refuse(429, "Too many pipelined requests on one connection.", "pipelined")
            return
        self._reading_head, self._reading_body = False, True
        self._arrived = self._drained = 0
        self._bounds.touch(self, self._host)
        super().on_headers_complete()
        self._arm(self._limits.receive_seconds, self._body_is_late)

    def on_body(self, body: bytes) -> None:
        """Add a part of the body. After the response, up to LINGER_BYTES of it are skipped."""
        self._unparsed_bytes = 0
        if self._refused or self.cycle is None:
            return
        self._arrived += len(body)
        super().on_body(body)
        self._was_paused = self._was_paused or self.flow.read_paused
        if self.cycle.response_complete:
            self._skip(len(body))

    def _skip(self, count: int) -> None:
        self._drained += count
        if self._drained > LINGER_BYTES:
            self._close()

    def on_message_complete(self) -> None:
        """Handle the end of a request."""
        self._unparsed_bytes = 0
        if self._refused:  # the rest of the parsed piece; the connection is closing
            return
        self._reading_head, self._reading_body = True, False
        self._disarm()
        if self.cycle is None:
            return
        super().on_message_complete()
        if self.cycle.response_complete and not self.transport.is_closing():
            self._wait_for_next_request()

    # Responses

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        """Start the response to a request."""
        self._running = cycle
        super()._start_asgi_task(cycle, app)

    def on_response_complete(self) -> None:
        """Handle the end of a response: wait for the next request, or skip the rest of this one."""
        super().on_response_complete()
        if self._reading_body and not self.transport.is_closing() and self.cycle.response_complete:
            self._unset_keepalive_if_required()
            self._arm(LINGER_SECONDS, self._close)

    def _wait_for_next_request(self) -> None:
        self._unset_keepalive_if_required()
        self.timeout_keep_alive_task = self.loop.call_later(self.timeout_keep_alive, self.timeout_keep_alive_handler)

    def timeout_keep_alive_handler(self) -> None:
        """Close an idle connection, even if its client doesn't read."""
        self._close()

    def pause_writing(self) -> None:
        """Start timing a client that reads more slowly than the response is written."""
        super().pause_writing()
        if self._writing is None:
            self._unwritten = self.transport.get_write_buffer_size()
            self._writing = self.loop.call_later(self._limits.receive_seconds, self._reader_is_slow)

    def resume_writing(self) -> None:
        """Stop timing: the client has read."""
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
        if not self.is_idle:  # the late head belongs to a later request; the running one is answered first
            self._arm(self._limits.receive_seconds, self._head_is_late)
            return
        self._refuse(408, f"The headers took longer than {self._limits.receive_seconds:g} s.", "slow_head")

    def _body_is_late(self) -> None:
        """Check the body's pace every `receive_seconds`. Time taken by the server itself doesn't count."""
        if self._arrived >= PACE_BYTES or self._was_paused or self.flow.read_paused:
            self._arrived, self._was_paused = 0, False
            self._arm(self._limits.receive_seconds, self._body_is_late)
            return
        self._refuse(408, f"The body came too slowly: at least {PACE_BYTES:,} bytes in "
                     f"{self._limits.receive_seconds:g} s, or all of it.", "slow_body")  # fmt: skip

    # The end

    def _refuse(self, status: int, text: str, why: str) -> None:
        """Send an error without a route, and close after the client has read it. A running response is aborted."""
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
                cycle.disconnected = True  # its route finds that the client has disconnected
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
        """Close after the written bytes are read, or after CLOSE_SECONDS."""
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
    """ASGI middleware that adds `SAFE_HEADERS` to every response that doesn't set them itself."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Run the application and add the headers."""

        async def with_headers(message: Any) -> None:
            if message["type"] == "http.response.start":
                headers = list(message.get("headers", ()))
                present = {name.lower() for name, _ in headers}
                headers += [one for one in SAFE_HEADERS if one[0] not in present]
                message = {**message, "headers": headers}
            await send(message)

        await self._app(scope, receive, with_headers if scope["type"] == "http" else send)


class BoundedServer(uvicorn.Server):
    """A server with `BoundedProtocol`. The service handles signals, because it drains first."""

    def __init__(self, app: Any, limits: HttpLimits, *, trusted_proxies: Sequence[str] = (), **options: Any) -> None:
        protocol = partial(BoundedProtocol, bounds=Connections(limits, trusted_proxies))
        super().__init__(
            uvicorn.Config(
                app,
                http=protocol,  # type: ignore[arg-type]  # it is only called
                ws="none",
                log_config=None,
                access_log=False,
                lifespan="off",
                server_header=False,
                # Only trusted proxies may declare a request's origin.
                proxy_headers=bool(trusted_proxies),
                forwarded_allow_ips=list(trusted_proxies),
                timeout_keep_alive=int(limits.idle_seconds),
                **options,
            )
        )

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Handle no signals."""
        yield
