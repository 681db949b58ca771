"""Turn order events into commands on coupons. The engine decides; the outbox holds the events."""

from collections import Counter
from collections.abc import Sequence
from typing import Final

from schemas.common import Event
from schemas.orders import OrderCancelled, OrderPaid, OrderPlaced, OrderReturned
from services.redeemer.settings import RedeemerSettings
from shared.domain.model.commands import CancelOrder, Command, PayOrder, RedeemCoupons, ReturnOrder, new_redeem_coupons
from shared.domain.model.customer import identifiers
from shared.domain.model.money import MoneyError
from shared.domain.model.order import Order
from shared.domain.model.state import order_hold
from shared.domain.model.verdicts import Verdict
from shared.ledger.campaigns import CampaignCache
from shared.ledger.database import NOT_MIGRATED, UNAVAILABLE, Pool
from shared.ledger.engine import CONFLICTS, Engine, LedgerUnavailableError, Rejected
from shared.ledger.order_conversion import to_customer, to_order
from shared.ledger.sql import sql
from shared.messaging.consumer import Poison
from shared.messaging.records import ReceivedEvent
from shared.runtime import telemetry
from shared.runtime.errors import TransientError

SERVICE: Final = "redeemer"

_TRY_AGAIN: Final[tuple[type[BaseException], ...]] = (
    *UNAVAILABLE,
    *CONFLICTS,
    *NOT_MIGRATED,
    LedgerUnavailableError,
)


def to_command(event: ReceivedEvent, settings: RedeemerSettings, *, record_orders: bool = False) -> Command | None:
    """Return the command for `event`, or None for an order that names neither coupon nor lock.

    With `record_orders`, such an order is recorded if it names its customer. Raises MoneyError for an amount with too
    many decimals for its currency, except for orders that are only recorded.
    """
    data = event.data
    if isinstance(data, OrderPlaced):
        if not data.coupon_codes and not data.lock_reference:
            return _record_command(event, data) if record_orders and _is_recordable(data) else None
        hold = settings.burn_on == "paid"
        return new_redeem_coupons(
            command_id=event.command_id,
            order=to_order(data, data.order_id),
            codes=data.coupon_codes or (),
            customer=None if data.customer is None else to_customer(data.customer),
            lock_reference=data.lock_reference,
            atomic=bool(data.atomic),
            hold=hold,
            hold_seconds=settings.hold_seconds if hold else 0,
            at=data.placed_at,
            validation_code=data.validation_code,
        )
    if isinstance(data, OrderPaid):
        return PayOrder(event.command_id, data.order_id, at=data.paid_at)
    if isinstance(data, OrderCancelled):
        return CancelOrder(event.command_id, data.order_id, at=data.cancelled_at)
    if isinstance(data, OrderReturned):
        return ReturnOrder(
            event.command_id,
            data.order_id,
            whole=data.whole,
            at=data.returned_at,
            lines=tuple([(line.line_id, line.quantity) for line in data.lines or ()]),
            amount=None if data.lines else data.amount,
        )
    raise AssertionError(f"the redeemer doesn't read {event.type}")


def _is_recordable(data: Event) -> bool:
    """Return whether the order has no coupons and its customer has an identifier."""
    return (
        isinstance(data, OrderPlaced) and not data.coupon_codes and not data.lock_reference
        and data.customer is not None and bool(identifiers(to_customer(data.customer)))
    )  # fmt: skip


def _record_command(event: ReceivedEvent, data: OrderPlaced) -> RedeemCoupons:
    """Return the command that records an order without coupons for its customer.

    An amount with too many decimals is recorded as 0: the amount isn't used, but without the order a later one would
    count as the customer's first.
    """
    try:
        order = to_order(data, data.order_id)
    except MoneyError:
        order = Order(order_id=data.order_id, currency=data.currency, amount_minor=0, placed_at=data.placed_at)
    customer = None if data.customer is None else to_customer(data.customer)
    return RedeemCoupons(event.command_id, order, customer=customer, at=data.placed_at)


class OrderHandler:
    """Executes a batch of order events in one transaction of the ledger."""

    def __init__(self, pool: Pool, engine: Engine, settings: RedeemerSettings) -> None:
        self._pool = pool
        self._engine = engine
        self._settings = settings
        self._cache = CampaignCache()

    async def handle(self, events: Sequence[ReceivedEvent]) -> Sequence[Poison]:
        """Execute `events` in order and return those that can never be executed, with the reason.

        Raises TransientError if the database is unavailable; the same batch can then be handled again safely.
        """
        try:
            return await self._handle(events)
        except _TRY_AGAIN as error:
            raise TransientError(f"{type(error).__name__}: {error}") from error

    async def _handle(self, events: Sequence[ReceivedEvent]) -> Sequence[Poison]:
        poison: list[Poison] = []
        planned: list[tuple[ReceivedEvent, Command]] = []
        record_orders = await self._must_record_orders(events)
        for event in events:
            try:
                command = to_command(event, self._settings, record_orders=record_orders)
            except MoneyError as error:
                poison.append(Poison(event, type(error).__name__, str(error)))
                continue
            if command is not None:
                planned.append((event, command))
        if self._settings.burn_on == "placed":
            planned = await self._without_idle_payments(planned)
        if planned:
            verdicts = await self._engine.execute([command for _, command in planned])
            poison += [
                Poison(event, verdict.error_class, verdict.text, is_bug=verdict.is_bug)
                for (event, _), verdict in zip(planned, verdicts, strict=True)
                if isinstance(verdict, Rejected)
            ]
            _count_refusals(verdicts)
        return poison

    async def _must_record_orders(self, events: Sequence[ReceivedEvent]) -> bool:
        """Return whether orders without coupons must be recorded: by setting, or for a campaign on first orders.

        Reads the campaigns only if `events` has such an order.
        """
        if self._settings.note_orders == "always":
            return True
        if not any(_is_recordable(event.data) for event in events):
            return False
        async with self._pool.acquire() as connection:
            campaigns = await self._cache.refresh(connection)
        return any(one.eligibility.first_order_only and one.status != "archived" for one in campaigns.values())

    async def _without_idle_payments(
        self, planned: list[tuple[ReceivedEvent, Command]]
    ) -> list[tuple[ReceivedEvent, Command]]:
        """Drop payments of orders that hold nothing.

        With burn_on=placed a payment changes no coupon, and would only add a journal row for every order of the shop.
        Orders placed while the setting was `paid` still hold their coupons, and are looked up.
        """
        holds = [order_hold(command.order_id) for _, command in planned if isinstance(command, PayOrder)]
        if not holds:
            return planned
        rows = await self._pool.fetch(sql("order_holds_open", "services.redeemer"), holds)
        still_open = {row["lock_reference"] for row in rows}
        return [
            (event, command)
            for event, command in planned
            if not isinstance(command, PayOrder) or order_hold(command.order_id) in still_open
        ]


def _count_refusals(verdicts: Sequence[Verdict | Rejected]) -> None:
    reasons = Counter(
        verdict.refused[0].reason for verdict in verdicts if isinstance(verdict, Verdict) and verdict.refused
    )
    for reason, count in reasons.items():
        telemetry.REFUSED.labels(SERVICE, reason.value).inc(count)
