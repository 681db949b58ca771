"""Turn order events into commands on coupons. The engine decides; the outbox holds the events."""

from collections import Counter
from collections.abc import Sequence
from typing import Final

from schemas.common import Event
from schemas.orders import (
    OrderCancelled,
    OrderChanged,
    OrderContent,
    OrderPaid,
    OrderPaymentFailed,
    OrderPlaced,
    OrderReference,
    OrderReturned,
)
from schemas.salvage import OrderInPart, unread_of, without
from services.redeemer.settings import RedeemerSettings
from shared.domain.model.commands import Command
from shared.domain.model.customer import IdentityRules, identifiers
from shared.domain.model.ids import OrderKey, order_key
from shared.domain.model.money import MoneyError
from shared.domain.model.order import Order
from shared.domain.model.order_commands import (
    CancelOrder,
    FailPayment,
    PayOrder,
    RedeemCoupons,
    ReturnOrder,
    UnreadField,
    new_redeem_coupons,
)
from shared.domain.model.state import order_hold
from shared.domain.model.verdicts import Verdict
from shared.ledger.campaigns import CampaignCache
from shared.ledger.database import NOT_MIGRATED, UNAVAILABLE, Pool
from shared.ledger.engine import CONFLICTS, Engine, LedgerUnavailableError, Rejected
from shared.ledger.identity import rules_of
from shared.ledger.order_conversion import to_customer, to_order, to_returned
from shared.ledger.sql import sql
from shared.messaging.consumer import Poison
from shared.messaging.records import ReceivedEvent
from shared.runtime import telemetry
from shared.runtime.errors import TransientError

SERVICE: Final = "redeemer"
_AMOUNTS: Final = 2
"""Amounts of an order that it can be judged without: those of its lines, and that of its shipping."""

_TRY_AGAIN: Final[tuple[type[BaseException], ...]] = (
    *UNAVAILABLE,
    *CONFLICTS,
    *NOT_MIGRATED,
    LedgerUnavailableError,
)


def to_command(
    event: ReceivedEvent, settings: RedeemerSettings, *, record_orders: bool = False, has_coupons: bool = False
) -> Command | None:
    """Return the command for `event`, or None for an order that names neither coupon nor lock.

    `has_coupons`: the order has used or held coupons, which the event may take away. With `record_orders`, any order
    without coupons is recorded if it names its customer. Raises MoneyError for an amount that is not valid in its
    currency, except for orders that are only recorded, or that can be judged without it.
    """
    data = event.data
    if isinstance(data, OrderPlaced | OrderChanged):
        if has_coupons or _has_coupons(data):
            return _order_command(event, data, settings)
        return _record_command(event, data) if record_orders and _is_recordable(data, rules_of(settings)) else None
    if isinstance(data, OrderPaid):
        return PayOrder(event.command_id, _key(data), at=data.paid_at)
    if isinstance(data, OrderPaymentFailed):
        return FailPayment(event.command_id, _key(data), at=data.failed_at)
    if isinstance(data, OrderCancelled):
        return CancelOrder(event.command_id, _key(data), at=data.cancelled_at)
    if isinstance(data, OrderReturned):
        return ReturnOrder(
            event.command_id,
            _key(data),
            whole=data.whole,
            at=data.returned_at,
            lines=to_returned(data.lines or ()),
            amount=None if data.lines else data.amount,
            return_id=data.return_id,
            refunded_amount=None if data.lines or data.amount is not None else data.refunded_amount,
        )
    raise AssertionError(f"the redeemer doesn't read {event.type}")


def _order_command(event: ReceivedEvent, data: OrderPlaced | OrderChanged, settings: RedeemerSettings) -> RedeemCoupons:
    """Return the command for an order, without amounts that it can be judged without. Raises MoneyError."""
    for _ in range(_AMOUNTS):
        try:
            return _redeem_command(event, data, to_order(data, data.order_id), settings)
        except MoneyError as error:
            data = _without(data, error)
    return _redeem_command(event, data, to_order(data, data.order_id), settings)


def _redeem_command(
    event: ReceivedEvent, data: OrderPlaced | OrderChanged, order: Order, settings: RedeemerSettings
) -> RedeemCoupons:
    hold = settings.burn_on == "paid"
    changed = isinstance(data, OrderChanged)
    unread = [UnreadField(one.part, one.field, one.problem, one.given) for one in unread_of(data)]
    return new_redeem_coupons(
        command_id=event.command_id,
        order=order,
        codes=data.coupon_codes or (),
        customer=None if data.customer is None else to_customer(data.customer),
        lock_reference=data.lock_reference,
        atomic=bool(data.atomic),
        hold=hold,
        hold_seconds=settings.hold_seconds if hold else 0,
        at=data.changed_at if isinstance(data, OrderChanged) else data.placed_at,
        validation_code=data.validation_code,
        unread=tuple(unread),
        takeover=hold and settings.hold_takeover == "same_customer",
        complete=True,
        changed=changed,
    )


def _without(data: OrderPlaced | OrderChanged, error: MoneyError) -> OrderInPart:
    """Return the order without the field that `error` names. Raises `error` if the order can't be judged without it."""
    in_part = without(data, error.field, error.sentence.rstrip("."))
    if in_part is None:
        raise error
    return in_part


def _key(data: OrderContent | OrderReference) -> OrderKey:
    return order_key(data.shop_id, data.order_id)


def _has_coupons(data: Event) -> bool:
    """Return whether the order names a coupon or a lock, even one that can't exist."""
    if not isinstance(data, OrderContent):
        return False
    return bool(data.coupon_codes or data.lock_reference) or any(
        one.part in ("code", "lock") for one in unread_of(data)
    )


def _is_recordable(data: Event, rules: IdentityRules) -> bool:
    """Return whether the order has no coupons and its customer has an identifier."""
    return (
        isinstance(data, OrderContent) and not _has_coupons(data)
        and data.customer is not None and bool(identifiers(to_customer(data.customer), rules))
    )  # fmt: skip


def _record_command(event: ReceivedEvent, data: OrderPlaced | OrderChanged) -> RedeemCoupons:
    """Return the command that records an order without coupons for its customer.

    An amount with too many decimals is recorded as 0: the amount isn't used, but without the order a later one would
    count as the customer's first.
    """
    at = data.changed_at if isinstance(data, OrderChanged) else data.placed_at
    try:
        order = to_order(data, data.order_id)
    except MoneyError:
        order = Order(order_id=_key(data), currency=data.currency, amount_minor=0, placed_at=at)
    customer = None if data.customer is None else to_customer(data.customer)
    changed = isinstance(data, OrderChanged)
    return RedeemCoupons(event.command_id, order, customer=customer, at=at, complete=True, changed=changed)


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
        with_coupons = await self._orders_with_coupons(events)
        for event in events:
            has_coupons = isinstance(event.data, OrderContent) and _key(event.data) in with_coupons
            try:
                command = to_command(event, self._settings, record_orders=record_orders, has_coupons=has_coupons)
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
            _count(verdicts)
        return poison

    async def _orders_with_coupons(self, events: Sequence[ReceivedEvent]) -> set[OrderKey]:
        """Return the keys of orders that have coupons, now or within this batch, though their events name none."""
        without = {
            _key(event.data)
            for event in events
            if isinstance(event.data, OrderContent) and not _has_coupons(event.data)
        }
        if not without:
            return without
        with_coupons = {
            _key(event.data) for event in events if isinstance(event.data, OrderContent) and _has_coupons(event.data)
        }
        rows = await self._pool.fetch(sql("orders_with_coupons", "services.redeemer"), list(without))
        return {OrderKey(row["order_id"]) for row in rows} | (without & with_coupons)

    async def _must_record_orders(self, events: Sequence[ReceivedEvent]) -> bool:
        """Return whether orders without coupons must be recorded: by setting, or for a campaign on first orders.

        Reads the campaigns only if `events` has such an order.
        """
        if self._settings.note_orders == "always":
            return True
        rules = rules_of(self._settings)
        if not any(_is_recordable(event.data, rules) for event in events):
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


def _count(verdicts: Sequence[Verdict | Rejected]) -> None:
    """Count refusals by their first reason, and what changed nothing by its reason."""
    decided = [verdict for verdict in verdicts if isinstance(verdict, Verdict)]
    for reason, count in Counter(one.refused[0].reason.value for one in decided if one.refused).items():
        telemetry.REFUSED.labels(SERVICE, reason).inc(count)
    for why, count in Counter(one.why for one in decided if one.why is not None).items():
        telemetry.UNCHANGED.labels(SERVICE, why).inc(count)
