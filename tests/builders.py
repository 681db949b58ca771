"""Campaigns, coupons, orders and commands for tests. Defaults are valid, so a test names only what it is about.

`World` is a small ledger in memory: it decides a command, checks that the state was not changed, and folds in the
verdict.
"""

import copy
from dataclasses import dataclass, field, replace
from dataclasses import fields as dataclass_fields
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

from shared.domain.decide import decide, evolve
from shared.domain.model.campaign import (
    Campaign,
    CodeRule,
    DiscountOffer,
    Eligibility,
    Limits,
    Scope,
    Source,
    Stacking,
    Window,
)
from shared.domain.model.commands import Cause, Command, ExpireLock, IssueCoupons, LockCoupons, ReleaseLock, VoidCoupon
from shared.domain.model.coupon import Coupon, code_key
from shared.domain.model.customer import Customer, identifiers
from shared.domain.model.order import Line, Order
from shared.domain.model.order_commands import CancelOrder, PayOrder, RedeemCoupons, ReturnOrder
from shared.domain.model.reasons import Reason
from shared.domain.model.state import Meter, State, Supply
from shared.domain.model.verdicts import Verdict

NOW = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)

JOHN = Customer("john", "john.smith@email.com")
MARY = Customer("mary")


def key_of(customer: Customer | None) -> str | None:
    """Return the customer's key in the ledger, or None for a customer without an identifier."""
    return None if customer is None or not identifiers(customer) else f"customer-{customer.customer_id}"


def percent(value: str, cap: int | None = None) -> DiscountOffer:
    whole, _, fraction = value.partition(".")
    return DiscountOffer("percentage", value, int(whole + fraction), 10 ** len(fraction), max_discount_minor=cap)


def fixed(amount_minor: int, cap: int | None = None) -> DiscountOffer:
    return DiscountOffer("fixed", str(amount_minor), amount_minor=amount_minor, max_discount_minor=cap)


FREE_SHIPPING = DiscountOffer("free_shipping", "100")


def any_currency(value: str, **fields: Any) -> DiscountOffer:
    """Build a fixed discount without a currency."""
    return DiscountOffer("fixed", value, amount_minor=None, **fields)


def each(amount_minor: int, cap: int | None = None) -> DiscountOffer:
    """Build a fixed discount on each unit."""
    return replace(fixed(amount_minor, cap), per_unit=True)


def gift(units: int = 1, product_id: str = "mug", cap: int | None = None) -> DiscountOffer:
    return DiscountOffer("free_product", str(units), product_id=product_id, units=units, max_discount_minor=cap)


def campaign(campaign_id: str = "save10", **fields: Any) -> Campaign:
    """Build a campaign: ten percent off everything, one use per coupon, restored on cancellation and return.

    Fields of `Eligibility` and `Stacking` may be given directly.
    """
    fields.setdefault("discount", percent("10"))
    fields.setdefault("limits", Limits(uses_per_coupon=1))
    fields.setdefault("restore_on", frozenset({"order.cancelled", "order.returned"}))
    if isinstance(fields.get("stacking"), str):
        fields["policy"] = fields.pop("stacking")
    for name, part in (("eligibility", Eligibility), ("stacking", Stacking)):
        if given := {one.name: fields.pop(one.name) for one in dataclass_fields(part) if one.name in fields}:
            fields[name] = part(**given)
    return Campaign(campaign_id, **fields)


def line(line_id: str = "1", unit_minor: int = 10_000, quantity: int = 1, **fields: Any) -> Line:
    return Line(line_id, fields.pop("product_id", f"product-{line_id}"), quantity, unit_minor, **fields)


def order(order_id: str = "ORD1", *lines: Line, **fields: Any) -> Order:
    """Build an order of `lines` (by default one of 100.00 USD), placed at NOW."""
    lines = lines or (line(),)
    fields.setdefault("amount_minor", sum(one.amount_minor for one in lines))
    fields.setdefault("currency", "USD")
    fields.setdefault("placed_at", NOW)
    return Order(order_id, lines=lines, **fields)


@dataclass
class World:
    """A state, and a current time that tests may change."""

    campaigns: tuple[Campaign, ...] = ()
    now: datetime = NOW
    state: State = field(default_factory=State)
    verdicts: list[Verdict] = field(default_factory=list)
    numbers: Any = field(default_factory=lambda: count(1))

    def __post_init__(self) -> None:
        for one in self.campaigns:
            self.state.campaigns[one.campaign_id] = one

    def coupon(self, code: str = "SAVE10", campaign_id: str = "save10", **fields: Any) -> Coupon:
        limits = self.state.campaigns[campaign_id].limits if campaign_id in self.state.campaigns else Limits(1)
        fields.setdefault("uses_limit", limits.uses_per_coupon)
        coupon = Coupon(f"id-{code.strip()}", code, campaign_id, **fields)
        self.state.coupons[coupon.coupon_id] = coupon
        self.state.coupon_ids[code_key(code)] = coupon.coupon_id
        return coupon

    def meter(self, campaign_id: str = "save10", customer: Customer | None = None) -> Meter:
        return self.state.meters.setdefault((campaign_id, key_of(customer)), Meter())

    def run(self, command: Command) -> Verdict:
        """Decide a command, check that the state was not changed, and fold the verdict in."""
        customer = getattr(command, "customer", None)
        self.state.customers[command.command_id] = key_of(customer)
        before = copy.deepcopy(self.state)
        verdict = decide(command, self.state, self.now)
        assert self.state == before, "deciding changed the state"
        assert decide(command, before, self.now) == verdict, "deciding twice gave two verdicts"
        evolve(self.state, verdict)
        self.verdicts.append(verdict)
        return verdict

    def redeem(self, *codes: str, to: Order | None = None, by: Customer | None = JOHN, **fields: Any) -> Verdict:
        to = to or order()
        fields.setdefault("at", to.placed_at)
        return self.run(RedeemCoupons(self.command_id(), to, codes, by, **fields))

    def lock(self, *codes: str, reference: str = "lock-1", by: Customer | None = JOHN, **fields: Any) -> Verdict:
        fields.setdefault("lock_seconds", 900)
        return self.run(LockCoupons(self.command_id(), reference, codes, customer=by, **fields))

    def release(self, reference: str = "lock-1") -> Verdict:
        return self.run(ReleaseLock(self.command_id(), reference))

    def expire(self, reference: str = "lock-1") -> Verdict:
        return self.run(ExpireLock(self.command_id(), reference))

    def pay(self, order_id: str = "ORD1", at: datetime | None = None) -> Verdict:
        return self.run(PayOrder(self.command_id(), order_id, at))

    def cancel(self, order_id: str = "ORD1", at: datetime | None = None) -> Verdict:
        return self.run(CancelOrder(self.command_id(), order_id, at))

    def return_order(self, order_id: str = "ORD1", at: datetime | None = None, whole: bool = True) -> Verdict:
        return self.run(ReturnOrder(self.command_id(), order_id, whole, at))

    def part(
        self, *units: tuple[str, int], at: datetime | None = None, order_id: str = "ORD1", **fields: Any
    ) -> Verdict:
        """Return a part of an order: units of lines as (line id, quantity), goods of an amount, or a refund."""
        return self.run(ReturnOrder(self.command_id(), order_id, False, at, lines=units, **fields))

    def void(self, code: str = "SAVE10") -> Verdict:
        return self.run(VoidCoupon(self.command_id(), code))

    def issue(self, *campaign_ids: str, to: Customer = JOHN, codes: str | None = "NEW", **fields: Any) -> Verdict:
        """Issue a coupon with a new code for each campaign. `codes` None means that the source has no codes."""
        command_id = self.command_id()
        for campaign_id in campaign_ids:
            for number in range(dict(fields.get("several", ())).get(campaign_id, 1)):
                code = (
                    None if codes is None else f"{codes}-{campaign_id}-{command_id}" + (f"-{number}" if number else "")
                )
                supply = Supply(f"id-{command_id}-{campaign_id}-{number}", code)
                self.state.supplies.setdefault((command_id, campaign_id, number), supply)
        cause = Cause("customer.signed_up", "/signup", command_id)
        return self.run(IssueCoupons(command_id, cause, to, campaign_ids, **fields))

    def command_id(self) -> str:
        return f"command-{next(self.numbers)}"


def reasons(verdict: Verdict) -> dict[str | None, Reason]:
    """Return the reason for each refused code."""
    return {one.code: one.reason for one in verdict.refused}


def only_reason(verdict: Verdict) -> Reason | None:
    """Return the reason of a verdict that refused everything, or None if something was accepted."""
    assert len({one.reason for one in verdict.refused}) <= 1, verdict.refused
    return verdict.refused[0].reason if verdict.outcome == "refused" else None


def window(starts_in: timedelta | None = None, ends_in: timedelta | None = None, **fields: Any) -> Window:
    """Build a window relative to NOW."""
    return Window(None if starts_in is None else NOW + starts_in, None if ends_in is None else NOW + ends_in, **fields)


__all__ = [
    "DAY", "FREE_SHIPPING", "JOHN", "MARY", "MINUTE", "NOW", "CodeRule", "Limits", "Scope", "Source", "World",
    "any_currency", "campaign", "each", "fixed", "gift", "key_of", "line", "only_reason", "order", "percent", "reasons",
    "window",
]  # fmt: skip
