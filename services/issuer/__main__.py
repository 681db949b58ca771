"""`python -m services.issuer`: wiring, nothing else."""

import sys

from schemas.topics import REWARDS, SIGNUPS
from services.issuer.handler import SERVICE, IssueHandler
from services.issuer.settings import IssuerSettings
from services.issuer.sources.coupon_api import open_client
from services.issuer.sources.external import ExternalCodes
from shared.ledger.engine import Engine
from shared.ledger.identity import rules_of
from shared.ledger.service_pool import service_pool
from shared.ledger.stored_definitions import check_readable
from shared.messaging.access import check_access
from shared.messaging.consumer import ConsumerLoop
from shared.runtime.service import ServiceContext, run_service
from shared.runtime.settings import load_settings_or_exit


async def main(context: ServiceContext[IssuerSettings]) -> None:
    """Issue coupons for the events of `rewards` and `signups` until asked to stop."""
    settings = context.settings
    limits = settings.api_limits
    await check_access(settings)
    async with service_pool(context) as pool, open_client(limits, settings.external_concurrency) as client:
        await check_readable(pool)
        external = ExternalCodes(
            pool,
            client,
            limits,
            concurrency=settings.external_concurrency,
            batch_seconds=settings.external_batch_seconds,
        )
        handler = IssueHandler(pool, Engine(pool, rules_of(settings)), external)
        consumer = ConsumerLoop(settings, SERVICE, [REWARDS.name, SIGNUPS.name], handler, health=context.health)
        context.health.started()
        await consumer.run(context.stopping)


if __name__ == "__main__":
    sys.exit(run_service(main, load_settings_or_exit(IssuerSettings), SERVICE))
