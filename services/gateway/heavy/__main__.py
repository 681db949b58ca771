"""Entry point of the heavy process: `python -m services.gateway.heavy FD`. The gateway starts it; it ends with it."""

import asyncio
import logging
import os
import socket
import sys
from typing import Final

import uvloop

from services.gateway.app import create_app
from services.gateway.gateway import Gateway
from services.gateway.heavy.channel import Channel
from services.gateway.heavy.worker import Worker
from services.gateway.idempotency import Housekeeper
from services.gateway.settings import GatewaySettings
from shared.ledger.service_pool import service_pool
from shared.runtime.errors import EXIT_RESTART
from shared.runtime.service import ServiceContext, run_service, together
from shared.runtime.settings import load_settings_or_exit
from shared.runtime.shutdown import sleep_unless

SERVICE: Final = "gateway-heavy"
CONNECTIONS: Final = 3
"""Database connections of the current request: a command, its recorded response, a read."""

NICENESS: Final = 10
"""Run at a lower CPU priority than the other processes."""

BEAT_SECONDS: Final = 1.0


async def main(context: ServiceContext[GatewaySettings]) -> None:
    """Answer requests of the gateway until it closes the channel."""
    settings = context.settings
    channel = await Channel.over(socket.socket(fileno=int(sys.argv[1])))
    worker = Worker(channel)
    closed = asyncio.Event()

    async def listen() -> None:
        await worker.listen()
        if worker.busy:  # the gateway died, so the response can't be sent
            logging.shutdown()
            os._exit(EXIT_RESTART)
        closed.set()
        context.stopping.set()

    async def beat() -> None:
        while not await sleep_unless(closed, BEAT_SECONDS):
            context.health.note_progress()

    async def work() -> None:
        async with service_pool(context, max_size=CONNECTIONS) as pool:
            gateway = Gateway(pool, settings)
            housekeeper = Housekeeper(gateway.idempotency, settings.database_url.get_secret_value())
            await housekeeper.run_once()
            await together(worker.run(create_app(gateway), gateway.guesses), housekeeper.run(closed))

    context.health.started()
    await together(work(), listen(), beat())


if __name__ == "__main__":
    os.nice(NICENESS)
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    settings = load_settings_or_exit(GatewaySettings)
    sys.exit(run_service(main, settings.model_copy(update={"health_port": 0}), SERVICE))
