"""One order with a few coupons that is sent whole again and again, for tests of orders that change."""

import json
from dataclasses import dataclass, field, replace
from typing import Any

from schemas.catalogue import BY_TYPE
from schemas.parsing import parse
from shared.domain.model.campaign import Campaign
from shared.domain.model.commands import Command
from shared.domain.model.customer import Customer
from shared.domain.model.order import Order
from shared.domain.model.order_commands import CancelOrder, FailPayment, PayOrder, RedeemCoupons
from shared.domain.model.state import order_hold
from shared.domain.model.verdicts import Verdict
from shared.ledger.events import events_of
from tests.builders import DAY, JOHN, MARY, MINUTE, NOW, Limits, World, campaign, key_of, line, order

PLENTY = Limits(9, uses_per_customer=9, uses_total=9)


def one(code: str, **fields: Any) -> Campaign:
    """Build the combinable campaign of coupon `code`, with every meter."""
    return campaign(code, **{"limits": PLENTY, "stacking": "combinable", **fields})


@dataclass
class Shop:
    """One order of coupons A, B and C. `hold`: it holds them until payment. `as_event`: how changes are sent."""

    campaigns: tuple[Campaign, ...]
    hold: bool = False
    as_event: str = "order.changed"
    world: World = field(default_factory=World)
    published: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    types: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.world = World(self.campaigns, now=NOW + DAY)
        for made in self.campaigns:
            self.world.coupon(made.campaign_id, made.campaign_id)

    def send(
        self, *codes: str, goods: Order, minute: float, changed: bool = True, by: Customer | None = JOHN, **fields: Any
    ) -> Verdict:
        """Send the whole order as it is at `minute`. The discounts of the order never exceed its amount."""
        at = NOW + minute * MINUTE
        changed = changed and self.as_event == "order.changed"
        fields = {
            "complete": True,
            "hold": self.hold,
            "hold_seconds": 2 * 86_400 if self.hold else 0,
            "takeover": self.hold,
        } | fields
        command = RedeemCoupons(
            self.world.command_id(), replace(goods, placed_at=None if changed else at), codes, by, at=at,
            changed=changed, **fields,
        )  # fmt: skip
        verdict = self.run(command)
        assert sum(self.discounts(goods.order_id).values()) <= goods.amount_minor or verdict.outcome == "refused"
        return verdict

    def place(self, *codes: str, order_id: str = "ORD1", minute: float = 0, **fields: Any) -> Verdict:
        """Place an order of 100.00."""
        return self.send(
            *codes, goods=replace(goods(10_000), order_id=order_id), minute=minute, changed=False, **fields
        )

    def fail(self, minute: float, order_id: str = "ORD1") -> Verdict:
        return self.run(FailPayment(self.world.command_id(), order_id, NOW + minute * MINUTE))

    def pay(self, minute: float, order_id: str = "ORD1") -> Verdict:
        return self.run(PayOrder(self.world.command_id(), order_id, NOW + minute * MINUTE))

    def cancel(self, minute: float, order_id: str = "ORD1") -> Verdict:
        return self.run(CancelOrder(self.world.command_id(), order_id, NOW + minute * MINUTE))

    def run(self, command: Command) -> Verdict:
        """Decide a command after expired locks are swept, as the engine does. Check what holds always."""
        for customer in (JOHN, MARY):
            self.world.state.orders_of.setdefault(key_of(customer) or "", set())
        for lock in list(self.world.state.locks.values()):
            if lock.status == "open" and lock.expires_at <= self.world.now:
                self.world.expire(lock.lock_reference)
        verdict = self.world.run(command)
        events = list(events_of(command, verdict, self.world.state))
        for event in events:
            parse(BY_TYPE[event.type].model, event.data.encode())
        self.published = [(event.type.removeprefix("coupon."), json.loads(event.data)) for event in events]
        self.types = [kind for kind, _ in self.published]
        asks_nothing = isinstance(command, RedeemCoupons) and not command.codes
        assert (verdict.outcome == "unchanged") == (verdict.why is not None) or asks_nothing
        self.check_totals()
        return verdict

    def discounts(self, order_id: str = "ORD1") -> dict[str, int]:
        """Return what the order has or holds: code → discount."""
        state = self.world.state
        known, hold = state.orders.get(order_id), state.locks.get(order_hold(order_id))
        uses = [*(known.redemptions.values() if known else ()), *(hold.uses if hold and hold.status == "open" else ())]
        return {use.campaign_id: use.discount_minor for use in uses}

    def check_totals(self) -> None:
        """Check that coupons and meters equal the sums of ledger entries."""
        entries = [entry for verdict in self.world.verdicts for entry in verdict.entries]
        for made in self.campaigns:
            mine = [entry for entry in entries if entry.campaign_id == made.campaign_id]
            held, used = sum(entry.held_uses for entry in mine), sum(entry.used_uses for entry in mine)
            coupon, meter = self.world.state.coupons[f"id-{made.campaign_id}"], self.world.meter(made.campaign_id)
            assert (coupon.held, coupon.used) == (held, used)
            assert (meter.held, meter.used) == (held, used)
            assert meter.held_minor == sum(entry.held_minor for entry in mine)
            assert meter.used_minor == sum(entry.used_minor for entry in mine)
            assert min(held, used, meter.held_minor, meter.used_minor) >= 0
            limits = made.limits
            assert coupon.uses_limit is None or held + used <= coupon.uses_limit
            assert limits.uses_total is None or held + used <= limits.uses_total


def goods(*minor: int, **fields: Any) -> Order:
    """Build an order of one unit per amount; products are p1, p2, …"""
    lines = [line(str(number), one, product_id=f"p{number}") for number, one in enumerate(minor, start=1)]
    return order("ORD1", *lines, **fields)
