"""`python -m services.redeemer`: wiring, nothing else."""

import sys

from schemas.topics import ORDERS
from services.redeemer.handler import SERVICE, OrderHandler
from services.redeemer.janitor import Janitor
from services.redeemer.settings import RedeemerSettings
from shared.ledger.engine import Engine
from shared.ledger.identity import rules_of
from shared.ledger.reminder_sweep import Reminders
from shared.ledger.service_pool import service_pool
from shared.messaging.access import check_access
from shared.messaging.consumer import ConsumerLoop
from shared.runtime.service import ServiceContext, run_service, together
from shared.runtime.settings import load_settings_or_exit


async def main(context: ServiceContext[RedeemerSettings]) -> None:
    """Redeem coupons for the events of `orders` sweep expired locks and publish reminders, until asked to stop."""
    settings = context.settings
    await check_access(settings)
    async with service_pool(context) as pool:
        engine = Engine(pool, rules_of(settings))
        handler = OrderHandler(pool, engine, settings)
        consumer = ConsumerLoop(settings, SERVICE, [ORDERS.name], handler, health=context.health)
        pause_seconds, limit = settings.sweep_seconds, settings.sweep_limit
        locks = Janitor(engine.sweep_expired, "expired locks", "expiry", pause_seconds=pause_seconds, limit=limit)
        reminders = Janitor(Reminders(pool).sweep, "reminders", "reminder", pause_seconds=pause_seconds, limit=limit)
        context.health.started()
        await together(consumer.run(context.stopping), locks.run(context.stopping), reminders.run(context.stopping))


if __name__ == "__main__":
    sys.exit(run_service(main, load_settings_or_exit(RedeemerSettings), SERVICE))
