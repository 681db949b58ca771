"""uvicorn under the service's own signals, health and bounds."""

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from typing import Final

import uvicorn
from fastapi import FastAPI

from services.gateway.settings import GatewaySettings
from shared.runtime.errors import OperatorError
from shared.runtime.logging import get_logger
from shared.runtime.service import ServiceContext
from shared.runtime.settings import PREFIX
from shared.runtime.shutdown import sleep_unless

log = get_logger("gateway")

BACKLOG: Final = 2_048
KEEP_ALIVE_SECONDS: Final = 75
"""Above the minute for which load balancers keep connections, so that they close first."""

BEAT_SECONDS: Final = 1.0


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals belong to the service, which drains first."""
        yield


async def serve(app: FastAPI, context: ServiceContext[GatewaySettings]) -> None:
    """Serve `app` until asked to stop, then answer what is under way. Raises OperatorError for a port that is taken."""
    settings = context.settings
    listener = _listener(settings.http_host, settings.http_port)
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        lifespan="off",
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=int(settings.drain_seconds),
        server_header=False,
    )
    server = _Server(config)
    context.health.started()
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    log.info("listening", host=settings.http_host, port=settings.http_port)
    try:
        while not serving.done() and not await sleep_unless(context.stopping, BEAT_SECONDS):
            context.health.note_progress()  # the loop turns: that is all the progress an idle gateway makes
    finally:
        server.should_exit = True
        await serving
        listener.close()


def _listener(host: str, port: int) -> socket.socket:
    """A socket that several gateways of one machine may share: the kernel spreads connections over them."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # The protocol is named because asyncio sends small answers at once (TCP_NODELAY) only where it is.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind((host, port))
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise OperatorError(
            f"{PREFIX}HTTP_PORT={port} can't be opened on {host}: {error.strerror or error}; set another one."
        ) from None
    return listener
