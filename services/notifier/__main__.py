"""The notifier process: reads the redemption stream, writes notifications and deliveries, and sends webhooks."""

import asyncio
import sys
from collections.abc import Coroutine

from schemas.topics import COUPONS_REDEMPTIONS
from services.notifier.handler import NotificationHandler
from services.notifier.settings import NotifierSettings
from services.notifier.webhooks.sender import Sender
from services.notifier.webhooks.transport import open_client
from shared.ledger.database import UNAVAILABLE, Pool, open_pool
from shared.messaging.codec import Codec
from shared.messaging.consumer import ConsumerLoop
from shared.runtime.errors import TransientError
from shared.runtime.schema_registry import HttpSchemaRegistry
from shared.runtime.service import ServiceContext, run_service
from shared.runtime.settings import load_settings_or_exit

NAME = "notifier"
SERVICE_CONNECTIONS = 6
"""One for the batch in hand, the others for the outcomes of webhook calls, which take a millisecond each."""


async def main(context: ServiceContext[NotifierSettings]) -> None:
    """Consume, and send unless this process leaves the sending to others, until asked to stop."""
    settings = context.settings
    registry = HttpSchemaRegistry(settings.schema_registry_url) if settings.schema_registry_url else None
    pool = await _open_pool(settings)
    context.health.add_check("database", lambda: _database_answers(pool))
    consumer = ConsumerLoop(
        settings,
        NAME,
        [COUPONS_REDEMPTIONS.name],
        NotificationHandler(pool),
        codec=Codec(topic_prefix=settings.topic_prefix, registry=registry, event_format=settings.event_format),
        health=context.health,
    )
    try:
        async with open_client(settings.webhook_policy) as client:
            loops = [consumer.run(context.stopping)]
            if settings.webhooks_enabled:
                loops.append(Sender(pool, client, settings.webhook_policy).run(context.stopping))
            await _together(loops)
    finally:
        pool.terminate()  # what is committed is safe, and closing politely could wait for a database that is away


async def _open_pool(settings: NotifierSettings) -> Pool:
    try:
        return await open_pool(
            settings.database_url.get_secret_value(), max_size=SERVICE_CONNECTIONS, application_name=f"couponry {NAME}"
        )
    except UNAVAILABLE as error:
        raise TransientError(f"PostgreSQL can't be reached: {error}") from error


async def _database_answers(pool: Pool) -> str | None:
    await pool.fetchval("SELECT 1")
    return None


async def _together(loops: list[Coroutine[None, None, None]]) -> None:
    """Run all until all have returned; when one fails the others end with it, for the process is to be started anew."""
    tasks = [asyncio.ensure_future(loop) for loop in loops]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


if __name__ == "__main__":
    sys.exit(run_service(main, load_settings_or_exit(NotifierSettings), NAME))
