"""Campaigns, customers and orders for the state machine: few of each, with tight limits, so that they interact."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from schemas.campaigns import CampaignDefinition
from shared.domain.model.customer import Customer
from shared.domain.model.order import Line, Order
from tests.ledger import PLACED_AT
from tests.ledger import definition as plain_definition
from tests.stateful.facts import Offer

STARTS_AT = PLACED_AT - timedelta(days=30)

CUSTOMERS: tuple[tuple[str | None, str | None] | None, ...] = (
    None,
    ("ann", None),
    (None, "ann"),
    ("ann", "ann"),
    ("bob", None),
    ("bob", "bob"),
    ("carol", "bob"),
)
"""(customer id, email): a guest, and customers with several identifiers that are merged."""

CHANGES: tuple[dict[str, Any], ...] = (
    {"active": False},
    {"active": True},
    {"in_total": None},
    {"in_total": 1},
    {"in_total": 3},
    {"per_customer": None},
    {"per_customer": 1},
    {"per_coupon": 1},
    {"per_coupon": 3},
    {"coupons_total": 2},
    {"per_day": 1},
    {"per_day": None},
    {"budget": 500},
    {"restored_on": frozenset()},
)
"""Changes of a campaign while it is used."""

GOODS: tuple[tuple[tuple[str, int, int], ...], ...] = (
    (("1", 2, 5_000), ("2", 1, 2_500)),
    (("1", 1, 5_000), ("2", 1, 2_500), ("3", 3, 333)),
    (("1", 1, 100), ("2", 1, 50)),
    (("2", 2, 2_500),),
    (),
)
"""What an order may consist of: (line, units, price). The third is below a minimum and less than some discounts. The
last names no lines, only its amount.
"""
WITHOUT_LINES = 7_777
"""The amount of an order without lines."""


@dataclass(frozen=True)
class World:
    """The names of one example; `number` distinguishes them from those of other examples in the database."""

    number: int

    @property
    def names(self) -> list[str]:
        return [offer.name for offer in self.offers()]

    def offers(self) -> list[Offer]:
        n = self.number
        return [
            Offer(f"single-{n}", percent=10, per_coupon=1, starts_at=STARTS_AT),
            Offer(f"pair-{n}", off_minor=100, shared_code=f"PAIR{n}", per_coupon=2, priority=5, group="g", per_day=2,
                  starts_at=STARTS_AT, restored_on=frozenset({"cancelled"})),
            Offer(f"head-{n}", off_minor=200, shared_code=f"HEAD{n}", per_customer=1, group="g", budget=900,
                  starts_at=STARTS_AT),
            Offer(f"total-{n}", percent=5, per_coupon=1, per_customer=1, in_total=2, at_most=2, starts_at=STARTS_AT),
            Offer(f"alone-{n}", off_minor=4_000, per_coupon=2, alone=True, holder_only=True, coupons_per_customer=2,
                  coupons_total=3, starts_at=STARTS_AT),
            Offer(f"vip-{n}", percent=33, shared_code=f"VIP{n}", segments=frozenset({"vip", "staff"}), in_total=2,
                  starts_at=STARTS_AT),
            Offer(f"often-{n}", off_minor=301, shared_code=f"OFTEN{n}", per_coupon=3, recurring=True, minimum=1_000,
                  budget=2_500, starts_at=STARTS_AT),
            Offer(f"rest-{n}", percent=20, shared_code=f"REST{n}", per_coupon=5, minimum=4_000, rejudged=True,
                  starts_at=STARTS_AT),
        ]  # fmt: skip

    def customer(self, number: int, segments: tuple[str, ...] | None = None) -> Customer | None:
        named = CUSTOMERS[number]
        if named is None:
            return None
        customer_id, email = named
        return Customer(
            None if customer_id is None else f"{customer_id}-{self.number}",
            None if email is None else f" {email.title()}-{self.number}@example.com",
            segments=segments,
        )

    @property
    def identifiers(self) -> list[str]:
        """Return every identifier of a customer, as the ledger stores it."""
        names = {one for named in CUSTOMERS if named is not None for one in named if one is not None}
        return [f"{name}-{self.number}{at}" for name in sorted(names) for at in ("", "@example.com")]

    def order_id(self, number: int) -> str:
        return f"order-{self.number}-{number}"

    def order(self, number: int, day: int) -> Order:
        """Return an order; every other one is smaller than the coupons' discounts."""
        lines = (Line("1", "p1", 1, 100), Line("2", "p2", 1, 50))
        if number % 2 == 0:
            lines = (Line("1", "p1", 2, 5_000), Line("2", "p2", 1, 2_500))
        amount = sum(line.amount_minor for line in lines)
        return Order(self.order_id(number), "USD", amount, lines, placed_at=PLACED_AT + timedelta(days=day))

    def content(self, number: int, goods: int, at: datetime | None, cycle: int) -> Order:
        """Return an order of some goods; with a cycle, it is one of a subscription."""
        lines = tuple(Line(line_id, f"p{line_id}", units, price) for line_id, units, price in GOODS[goods])
        amount = sum(line.amount_minor for line in lines) or WITHOUT_LINES
        return Order(
            self.order_id(number), "USD", amount, lines, placed_at=at,
            subscription_id=f"subscription-{self.number}" if cycle else None, cycle=cycle,
        )  # fmt: skip

    def reference(self, number: int) -> str:
        return f"lock-{self.number}-{number}"


def definition(offer: Offer) -> CampaignDefinition:
    """Return the campaign definition of an offer."""
    value = str(offer.percent) if offer.percent else f"{offer.off_minor / 100:.2f}"
    code = {"shared_code": offer.shared_code} if offer.shared_code else {"pattern": f"{offer.name.upper()}-########"}
    return plain_definition(
        offer.name,
        status="active" if offer.active else "paused",
        discount={
            "kind": "percentage" if offer.percent else "fixed",
            "value": value,
            "currency": None if offer.percent else "USD",
        },
        code=code,
        limits={
            "uses_per_coupon": offer.per_coupon,
            "uses_per_customer": offer.per_customer,
            "uses_total": offer.in_total,
            "coupons_per_customer": offer.coupons_per_customer,
            "coupons_total": offer.coupons_total,
            "spend_total": None if offer.budget is None else f"{offer.budget / 100:.2f}",
            "caps": [] if offer.per_day is None else [{"per": "day", "uses": offer.per_day}],
        },
        window={"starts_at": STARTS_AT.isoformat(), "ends_at": "2038-01-19T03:14:08Z"},
        stacking={
            "policy": "exclusive" if offer.alone else "combinable",
            "priority": offer.priority,
            "group": offer.group,
            "max_coupons": offer.at_most,
        },
        eligibility={
            "holder_only": offer.holder_only,
            "currency": "USD",
            "segments_any": sorted(offer.segments),
            "min_order_amount": f"{offer.minimum / 100:.2f}" if offer.minimum else None,
        },
        recurring=offer.recurring,
        on_return="rejudge" if offer.rejudged else "share",
        restore_on=[f"order.{how}" for how in sorted(offer.restored_on)],
    )
