"""`python -m services.relay`: wiring, nothing else."""

import sys

from services.relay.position import SERVICE
from services.relay.pruner import Pruner
from services.relay.relay import Relay
from services.relay.settings import RelaySettings
from shared.ledger.service_pool import service_pool
from shared.messaging.access import check_access
from shared.runtime.service import ServiceContext, run_service, together
from shared.runtime.settings import load_settings_or_exit


async def main(context: ServiceContext[RelaySettings]) -> None:
    """Publish the outbox, or stand by while another relay does, until asked to stop."""
    settings = context.settings
    await check_access(settings)
    async with service_pool(context) as pool:
        relay = Relay(settings, pool, health=context.health)
        pruner = Pruner(
            pool,
            lambda: relay.position,
            retention_seconds=settings.outbox_retention_seconds,
            others=settings.retention,
        )
        context.health.started()
        await together(relay.run(context.stopping), pruner.run(context.stopping))


if __name__ == "__main__":
    sys.exit(run_service(main, load_settings_or_exit(RelaySettings), SERVICE))
