"""The notifier process: reads the redemption stream, writes notifications and deliveries, and sends webhooks."""

import sys

from schemas.topics import COUPONS_REDEMPTIONS
from services.notifier.handler import NotificationHandler
from services.notifier.settings import NotifierSettings
from services.notifier.webhooks.sender import Sender, open_client
from shared.ledger.service_pool import service_pool
from shared.messaging.access import check_access
from shared.messaging.consumer import ConsumerLoop
from shared.runtime.service import ServiceContext, run_service, together
from shared.runtime.settings import load_settings_or_exit
from shared.webhooks.stored_secrets import check_readable

NAME = "notifier"
SERVICE_CONNECTIONS = 6
"""One for the current batch, the others for recording webhook outcomes, which take a millisecond each."""


async def main(context: ServiceContext[NotifierSettings]) -> None:
    """Consume, and send webhooks unless that is disabled for this process, until asked to stop."""
    settings = context.settings
    await check_access(settings)
    async with (
        service_pool(context, max_size=SERVICE_CONNECTIONS) as pool,
        open_client(settings.webhook_policy) as client,
    ):
        # Check first: deliveries that can't be signed would use up their attempts.
        await check_readable(pool)
        consumer = ConsumerLoop(
            settings, NAME, [COUPONS_REDEMPTIONS.name], NotificationHandler(pool), health=context.health
        )
        loops = [consumer.run(context.stopping)]
        if settings.webhooks_enabled:
            loops.append(Sender(pool, client, settings.webhook_policy).run(context.stopping))
        context.health.started()
        await together(*loops)


if __name__ == "__main__":
    sys.exit(run_service(main, load_settings_or_exit(NotifierSettings), NAME))
