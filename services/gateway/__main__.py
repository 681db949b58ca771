"""Entry point of the gateway: `python -m services.gateway`."""

import asyncio
import sys
from contextlib import AsyncExitStack
from typing import Final

import uvloop

from services.gateway.app import create_app
from services.gateway.erasures import ErasureRunner
from services.gateway.gateway import Gateway
from services.gateway.heavy.process import HeavyProcess
from services.gateway.idempotency import Housekeeper
from services.gateway.jobs import JobRunner
from services.gateway.serving import serve
from services.gateway.settings import GatewaySettings
from services.gateway.threads import take_short_turns
from shared.ledger.service_pool import service_pool
from shared.runtime.service import ServiceContext, run_service, together
from shared.runtime.settings import load_settings_or_exit

SERVICE: Final = "gateway"
READING: Final = 8
"""Connections in addition to those of batches: reads, validations and recorded responses."""


async def main(context: ServiceContext[GatewaySettings]) -> None:
    """Serve requests until asked to stop, then finish current requests."""
    settings = context.settings
    take_short_turns()
    async with service_pool(context, max_size=settings.http_batches + READING) as pool:
        gateway = Gateway(pool, settings)
        housekeeper = Housekeeper(gateway.idempotency, settings.database_url.get_secret_value())
        await housekeeper.run_once()
        jobs = JobRunner(pool, gateway.engine, retention_seconds=settings.jobs_retention_seconds)
        erasures = ErasureRunner(pool, gateway.identity)
        async with AsyncExitStack() as stack:
            if settings.http_heavy_process:
                process = HeavyProcess(settings.http_answer_seconds)
                await stack.enter_async_context(process.running())
                gateway.hand_over_to(process)
            await together(
                serve(create_app(gateway), context),
                housekeeper.run(context.stopping),
                jobs.run(context.stopping),
                erasures.run(context.stopping),
                gateway.guesses.run(context.stopping),
            )


if __name__ == "__main__":
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())  # the same choice as uvicorn's
    sys.exit(run_service(main, load_settings_or_exit(GatewaySettings), SERVICE))
