"""Is this process alive (it makes progress) and ready (it has what it needs)? Over HTTP, and for a watchdog."""

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
"""Returns None when ready, else a sentence saying what is missing. An exception counts as not ready."""

READY_SECONDS = 15.0
"""Work goes on every few milliseconds, waiting every fraction of a second; fifteen seconds are no busy moment."""

CHECK_SECONDS = 2.0  # below the second or so that probes usually wait, times two
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
"""Probes and a Prometheus or two ask here; nobody else has a reason to."""


class Health:
    """Progress, and checks of what this process needs. One a process; safe to read from another thread.

    Without progress for `ready_seconds` it isn't ready; for `progress_timeout_seconds`, it isn't alive.
    """

    def __init__(self, progress_timeout_seconds: float, ready_seconds: float = READY_SECONDS) -> None:
        self.progress_timeout_seconds = progress_timeout_seconds
        self.ready_seconds = ready_seconds
        self._checks: dict[str, Check] = {}
        self._progressed_at = time.monotonic()
        self._starting = True
        self._looking: asyncio.Task[dict[str, str]] | None = None

    def started(self) -> None:
        """Say that all checks are here, and that the work begins: nothing is ready before that."""
        self._starting = False

    def note_progress(self) -> None:
        """Say that work went on: a batch done, an answer from the broker, a try that was counted."""
        self._progressed_at = time.monotonic()

    def seconds_since_progress(self) -> float:
        return time.monotonic() - self._progressed_at

    def alive(self) -> bool:
        return self.seconds_since_progress() <= self.progress_timeout_seconds

    def add_check(self, name: str, check: Check) -> None:
        """Ready only when `check` says so too."""
        self._checks[name] = check

    async def unready(self) -> dict[str, str]:
        """What is missing, by the name of the check; empty when ready. Each check is bounded by CHECK_SECONDS.

        Who asks while somebody else does gets the same answer: any number of probes costs one look.
        """
        if self._starting:
            return {"service": "still starting"}
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look())
        return await asyncio.shield(self._looking)

    async def _look(self) -> dict[str, str]:
        problems = await asyncio.gather(*(self._run(check) for check in self._checks.values()))
        missing = {name: problem for name, problem in zip(self._checks, problems, strict=True) if problem}
        without = self.seconds_since_progress()
        return missing | ({"progress": f"nothing went on for {without:.0f} s"} if without > self.ready_seconds else {})

    async def _run(self, check: Check) -> str | None:
        try:
            return await asyncio.wait_for(check(), CHECK_SECONDS)
        except TimeoutError:
            return f"no answer within {CHECK_SECONDS:g} s"
        except Exception as error:
            return f"{type(error).__name__}: {error}"


def health_app(health: Health) -> FastAPI:
    """`/livez`, `/readyz` and `/metrics`; nothing else, not even documentation pages."""
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
    """Serve `health_app` while inside; yields the port, None when `port` is 0 (served nowhere).

    Raises:
        OperatorError: the port is taken or not ours to open.
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
        server.force_exit = True  # a probe that hangs must not hold up the leaving
        await serving
        listener.close()


@contextlib.contextmanager
def watchdog(health: Health) -> Iterator[None]:
    """While inside: end the process with EXIT_RESTART when it makes no progress for too long.

    A thread, because what hangs may be the event loop itself; `os._exit`, because what hangs can't be asked to leave.
    """
    left = threading.Event()
    interval = min(1.0, health.progress_timeout_seconds / 4)

    def watch() -> None:
        while not left.wait(interval):
            if not health.alive():
                sys.stderr.write(
                    f"no progress for {health.seconds_since_progress():.0f} s: leaving with code {EXIT_RESTART} "
                    "to be started again\n"
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
