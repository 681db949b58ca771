"""Liveness (the process makes progress) and readiness (it has what it needs), over HTTP and for a watchdog."""

import asyncio
import contextlib
import os
import socket
import sys
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from shared.runtime.errors import EXIT_RESTART, OperatorError
from shared.runtime.http_connections import HttpLimits
from shared.runtime.http_server import BoundedServer, SafeHeaders
from shared.runtime.settings import PREFIX

Check = Callable[[], Awaitable[str | None]]
"""Returns None if ready, otherwise a sentence about the problem. An exception counts as not ready."""

READY_SECONDS = 15.0
"""Working loops report progress every few milliseconds, waiting loops several times a second. Fifteen seconds without
any are not just a busy moment."""

CHECK_SECONDS = 2.0  # about twice the time that probes usually wait
BACKLOG = 16
LIMITS = HttpLimits(
    connections=32,
    connections_per_address=32,
    header_bytes=8 * 1024,
    header_count=50,
    target_bytes=1024,
    receive_seconds=5.0,
    idle_seconds=30.0,
)
"""Only probes and a few Prometheus servers are expected."""


class Health:
    """The progress of a process, and checks of what it needs. One per process; safe to read from another thread.

    Without progress for `ready_seconds` the process isn't ready; for `progress_timeout_seconds`, it isn't alive.
    """

    def __init__(self, progress_timeout_seconds: float, ready_seconds: float = READY_SECONDS) -> None:
        self.progress_timeout_seconds = progress_timeout_seconds
        self.ready_seconds = ready_seconds
        self._checks: dict[str, Check] = {}
        self._progressed_at = time.monotonic()
        self._starting = True
        self._checking: asyncio.Task[dict[str, str]] | None = None

    def started(self) -> None:
        """Report that all checks are added and the work begins. The process isn't ready before that."""
        self._starting = False

    def note_progress(self) -> None:
        """Report progress: a finished batch, an answer from the broker, a counted attempt."""
        self._progressed_at = time.monotonic()

    def seconds_since_progress(self) -> float:
        return time.monotonic() - self._progressed_at

    def alive(self) -> bool:
        return self.seconds_since_progress() <= self.progress_timeout_seconds

    def add_check(self, name: str, check: Check) -> None:
        """Add a check that must pass for the process to be ready."""
        self._checks[name] = check

    async def unready(self) -> dict[str, str]:
        """Return the problems by name of the check; empty if ready. Each check has a timeout of CHECK_SECONDS.

        Concurrent callers share one run of the checks, so that many probes cost no more than one.
        """
        if self._starting:
            return {"service": "still starting"}
        if self._checking is None or self._checking.done():
            self._checking = asyncio.create_task(self._run_checks())
        return await asyncio.shield(self._checking)

    async def _run_checks(self) -> dict[str, str]:
        problems = await asyncio.gather(*(self._run(check) for check in self._checks.values()))
        missing = {name: problem for name, problem in zip(self._checks, problems, strict=True) if problem}
        without = self.seconds_since_progress()
        return missing | ({"progress": f"no progress for {without:.0f} s"} if without > self.ready_seconds else {})

    async def _run(self, check: Check) -> str | None:
        try:
            return await asyncio.wait_for(check(), CHECK_SECONDS)
        except TimeoutError:
            return f"no answer within {CHECK_SECONDS:g} s"
        except Exception as error:
            return f"{type(error).__name__}: {error}"


def health_app(health: Health) -> FastAPI:
    """Return the application of `/livez`, `/readyz` and `/metrics`, without documentation pages."""
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)

    @app.get("/livez")
    async def livez() -> Response:
        seconds = round(health.seconds_since_progress(), 3)
        return JSONResponse({"seconds_since_progress": seconds}, status_code=200 if health.alive() else 503)

    @app.get("/readyz")
    async def readyz() -> Response:
        missing = await health.unready()
        return JSONResponse({"ready": not missing, "missing": missing}, status_code=503 if missing else 200)

    @app.get("/metrics")
    async def metrics() -> Response:
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    return app


@asynccontextmanager
async def health_server(health: Health, host: str, port: int) -> AsyncIterator[int | None]:
    """Serve `health_app` while inside; yields the port, or None if `port` is 0 (not served).

    Raises:
        OperatorError: the port is in use or may not be opened.
    """
    if port == 0:
        yield None
        return
    try:
        listener = socket.create_server((host, port), backlog=BACKLOG)
    except OSError as error:
        raise OperatorError(
            f"{PREFIX}HEALTH_PORT={port} can't be opened on {host}: {error.strerror or error}; set another one, or 0."
        ) from None
    server = BoundedServer(SafeHeaders(health_app(health)), LIMITS, backlog=BACKLOG)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield port
    finally:
        server.should_exit = True
        server.force_exit = True  # a hanging probe must not delay the exit
        await serving
        listener.close()


@contextlib.contextmanager
def watchdog(health: Health) -> Iterator[None]:
    """End the process with EXIT_RESTART if it makes no progress for too long while inside.

    Runs in a thread, because the event loop itself may hang; uses `os._exit`, because hanging code can't stop itself.
    """
    left = threading.Event()
    interval = min(1.0, health.progress_timeout_seconds / 4)

    def watch() -> None:
        while not left.wait(interval):
            if not health.alive():
                sys.stderr.write(
                    f"no progress for {health.seconds_since_progress():.0f} s: exiting with code {EXIT_RESTART} "
                    "to be restarted\n"
                )
                sys.stderr.flush()
                os._exit(EXIT_RESTART)

    thread = threading.Thread(target=watch, name="watchdog", daemon=True)
    thread.start()
    try:
        yield
    finally:
        left.set()
        thread.join(timeout=1)
