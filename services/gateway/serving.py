"""Run uvicorn with the service's own signal handling, health checks and limits."""

import asyncio
import resource
import socket
from typing import Final

from fastapi import FastAPI

from services.gateway.settings import GatewaySettings
from shared.runtime.errors import OperatorError
from shared.runtime.http_connections import HttpLimits
from shared.runtime.http_server import BoundedServer
from shared.runtime.logging import get_logger
from shared.runtime.service import ServiceContext
from shared.runtime.settings import PREFIX
from shared.runtime.shutdown import sleep_unless

log = get_logger("gateway")

BACKLOG: Final = 512
"""Connections that the kernel queues until they are accepted; all may be accepted at once."""

KEEP_ALIVE_SECONDS: Final = 75
"""Longer than the 60 seconds of common load balancers, so that they close connections first."""

BEAT_SECONDS: Final = 1.0
OWN_DESCRIPTORS: Final = 64
"""File descriptors reserved for ledger connections, the event loop and files."""

MAX_DESCRIPTORS: Final = 65_536


async def serve(app: FastAPI, context: ServiceContext[GatewaySettings]) -> None:
    """Serve `app` until asked to stop, then finish current requests. Raises OperatorError if the port is taken."""
    settings = context.settings
    connections, backlog = connection_limits(settings.http_connections)
    listener = _listener(settings.http_host, settings.http_port, backlog)
    server = BoundedServer(
        app,
        limits_of(settings, connections),
        trusted_proxies=settings.trusted_proxies,
        backlog=backlog,
        timeout_graceful_shutdown=int(settings.drain_seconds),
    )
    context.health.started()
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    log.info("listening", host=settings.http_host, port=settings.http_port, connections=connections)
    try:
        while not serving.done() and not await sleep_unless(context.stopping, BEAT_SECONDS):
            context.health.note_progress()  # an idle gateway only shows that its event loop runs
    finally:
        server.should_exit = True
        await serving
        listener.close()


def limits_of(settings: GatewaySettings, connections: int) -> HttpLimits:
    """Return the connection limits that apply before authentication."""
    return HttpLimits(
        connections=connections,
        connections_per_address=min(settings.http_connections_per_address, connections),
        idle_seconds=KEEP_ALIVE_SECONDS,
    )


def connection_limits(wanted: int) -> tuple[int, int]:
    """Return the number of connections that file descriptors allow (at most `wanted`), and the backlog.

    Raises the soft limit of the process as far as allowed. Some descriptors stay free: a new connection has to be
    accepted before it can replace an idle one.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    max_descriptors = MAX_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, MAX_DESCRIPTORS)
    if soft != resource.RLIM_INFINITY and soft < max_descriptors:
        resource.setrlimit(resource.RLIMIT_NOFILE, (max_descriptors, hard))
        soft = max_descriptors
    free = max((max_descriptors if soft == resource.RLIM_INFINITY else soft) - OWN_DESCRIPTORS, 32)
    backlog = max(min(free // 4, BACKLOG), 8)
    connections = min(wanted, free - backlog)
    if connections < wanted:
        log.warning(
            "fewer connections than configured: too few file descriptors", connections=connections, descriptors=soft
        )
    return connections, backlog


def _listener(host: str, port: int, backlog: int) -> socket.socket:
    """Open a port that several gateways of one machine may share: the kernel distributes connections."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio sets TCP_NODELAY (small responses are sent at once) only if the protocol is given.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind((host, port))
        listener.listen(backlog)
    except OSError as error:
        listener.close()
        raise OperatorError(
            f"{PREFIX}HTTP_PORT={port} can't be opened on {host}: {error.strerror or error}. Set another port."
        ) from None
    return listener
