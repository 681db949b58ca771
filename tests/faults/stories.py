"""Seeded stories of orders that are changed, paid, declined, cancelled and returned, and how their events arrive.

Prices are multiples of 10.00 and discounts multiples of 10 %, so that no share of a discount is rounded.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from tests.faults.shop import Sent, event

PERCENT: Final = {"TEN": 10, "TWENTY": 20, "OWN": 30}
"""Code → percent off. An order's own code begins with OWN; the others are shared by all orders."""

MINIMUM_MINOR: Final = {"TWENTY": 12_000}
SHOPS: Final = ("north", "south", None)
CUSTOMERS: Final = 40
SHUFFLED: Final = 0.4
"""The part of the orders whose events arrive in another order than that of their times."""

_TIMES: Final = {
    "placed": "placed_at", "changed": "changed_at", "paid": "paid_at", "payment_failed": "failed_at",
    "cancelled": "cancelled_at", "returned": "returned_at",
}  # fmt: skip


@dataclass(frozen=True)
class Content:
    """What an order has: units of its two lines, their prices in minor units, and the code that it names."""

    quantities: tuple[int, int]
    prices: tuple[int, int]
    code: str | None

    @property
    def amount(self) -> int:
        return sum(quantity * price for quantity, price in zip(self.quantities, self.prices, strict=True))

    @property
    def percent(self) -> int:
        """Return the percentage that the named code takes off this order, 0 if the order can't use it."""
        if self.code is None or self.amount < MINIMUM_MINOR.get(self.code, 0):
            return 0
        return PERCENT[self.code.partition("-")[0]]


@dataclass(frozen=True)
class Fact:
    """One event of an order, at a minute of its own. `content` of `placed` and `changed`.

    `returned_minor`: the price of goods returned, None for the whole order; `fields` are the event's further fields.
    `again`: it places the order again, after it was closed. `customer`: another than the order's.
    """

    kind: str
    minute: int
    content: Content | None = None
    returned_minor: int | None = None
    fields: tuple[tuple[str, Any], ...] = ()
    again: bool = False
    customer: str | None = None

    def event(self, order_id: str, event_id: str, customer: str, **common: Any) -> Sent:
        fields: dict[str, Any] = dict(self.fields) | {_TIMES[self.kind]: f"2026-03-01T12:{self.minute:02}:00Z"} | common
        if self.content is not None:
            lines = zip(self.content.quantities, self.content.prices, strict=True)
            fields |= {
                "customer": {"customer_id": self.customer or customer},
                "currency": "USD",
                "amount": money(self.content.amount),
                "coupon_codes": [self.content.code] if self.content.code else [],
                "lines": [
                    {
                        "line_id": str(number),
                        "product_id": f"P{number}",
                        "quantity": quantity,
                        "unit_price": money(price),
                    }
                    for number, (quantity, price) in enumerate(lines, start=1)
                ],
            }
        return event(f"order.{self.kind}", order_id, event_id, **fields)


@dataclass(frozen=True)
class Story:
    """An order of a shop. `facts` are in the order of their times, `arrivals` are the events in the order sent."""

    order_id: str
    shop_id: str | None
    facts: tuple[Fact, ...]
    arrivals: tuple[Sent, ...]


def story(number: int, chance: random.Random) -> Story:
    """Make up an order. Three shops use each order id."""
    order_id, shop_id = f"ORD{number // len(SHOPS)}", SHOPS[number % len(SHOPS)]
    facts = _facts(f"OWN-{number}", chance)
    arriving = facts
    if chance.random() < SHUFFLED and not any(fact.again for fact in facts):
        arriving = _shuffled(facts, chance)
    events = _repeated(arriving, chance, in_order=arriving == facts)
    common = {"shop_id": shop_id} if shop_id else {}
    sent = tuple(
        fact.event(
            order_id, f"{number} {fact.kind} {fact.minute} {variant}", f"customer {number % CUSTOMERS}", **common
        )
        for fact, variant in events
    )
    return Story(order_id, shop_id, tuple(facts), sent)


# Facts


def _facts(own_code: str, chance: random.Random) -> list[Fact]:
    content = _content(own_code, chance)
    facts = [Fact("placed", 0, content)]
    paid = False
    for _ in range(chance.randint(0, 4)):
        minute = facts[-1].minute + chance.randint(1, 5)
        kind = chance.choice(("changed", "placed", "paid", "payment_failed"))
        if kind == "changed" or (kind == "placed" and not paid):
            content = _content(own_code, chance, before=content)
            facts.append(Fact(kind, minute, content))
        elif kind != "placed" and not paid:
            paid = kind == "paid"
            facts.append(Fact(kind, minute))
    facts += _end(content, facts[-1].minute + 5, chance, paid=paid)
    is_closed = facts[-1].kind == "cancelled" or (facts[-1].kind == "returned" and facts[-1].returned_minor is None)
    if is_closed and chance.random() < 0.3:
        facts.append(Fact("placed", facts[-1].minute + 5, _content(own_code, chance), again=True))
        if chance.random() < 0.5:
            facts.append(Fact("paid", facts[-1].minute + 5))
    return facts


def _content(own_code: str, chance: random.Random, before: Content | None = None) -> Content:
    """Make up a content. Half of those that follow another one name the same code."""
    quantities = chance.randint(1, 3), chance.randint(1, 3)
    prices = 1_000 * chance.randint(2, 6), 1_000 * chance.randint(1, 4)
    code = chance.choice(("TEN", "TEN", "TWENTY", "TWENTY", own_code, None))
    return Content(quantities, prices, before.code if before is not None and chance.random() < 0.5 else code)


def _end(content: Content, minute: int, chance: random.Random, *, paid: bool) -> list[Fact]:
    """Return how the order ends: a cancellation, a return, returns in parts, or nothing."""
    kind = chance.choice(("nothing", "cancelled", "returned", "parts", "parts", "parts"))
    if kind == "nothing":
        return []
    if kind != "parts":
        return [Fact(kind, minute)]
    parts: list[Fact] = []
    left = list(content.quantities)
    for number in range(chance.randint(1, 4)):
        line = chance.randrange(2)
        if not left[line]:
            continue
        units = chance.randint(1, left[line])
        left[line] -= units
        fields = _part(content, line, units, chance, paid=paid) | {"return_id": f"return {number}"}
        worth = units * content.prices[line]
        parts.append(Fact("returned", minute + number, None, worth, tuple(fields.items())))
    return parts


def _part(content: Content, line: int, units: int, chance: random.Random, *, paid: bool) -> dict[str, Any]:
    """Return a part as a request states it: as lines, their price, or what the customer got back."""
    worth = units * content.prices[line]
    by = chance.choice(("lines", "amount", "refunded_amount") if paid else ("lines", "amount"))
    if by == "lines":
        return {"lines": [{"line_id": str(line + 1), "quantity": units}]}
    if by == "amount":
        return {"amount": money(worth)}
    return {"refunded_amount": money(worth * (100 - content.percent) // 100)}


# Arrivals


def _shuffled(facts: Sequence[Fact], chance: random.Random) -> list[Fact]:
    """Return the facts in another order of arrival that leads to the same end."""
    for _ in range(20):
        arriving = chance.sample(facts, len(facts))
        if _has_the_same_end(arriving):
            return arriving
    return list(facts)


def _has_the_same_end(arriving: Sequence[Fact]) -> bool:
    """Return whether the exceptions in docs/decisions/0062-an-order-that-changes.md leave this order of arrival out."""
    versions = [number for number, fact in enumerate(arriving) if fact.content is not None]
    for number, fact in enumerate(arriving):
        paid_before = any(one.kind == "paid" for one in arriving[:number])
        if fact.kind == "placed" and paid_before and number > versions[0]:
            return False  # other goods after the payment, though dated before it
        if fact.returned_minor is not None and len(versions) > 1 and number < versions[-1]:
            return False  # a return in part before a change
        if fact.kind == "payment_failed" and number < versions[-1]:
            return False  # before its order, or before a version that is dated earlier
        if fact.content is not None and fact.content.code is None and _is_older(arriving[number + 1 :], fact):
            return False  # an order without coupons isn't recorded, so a later arrival can't be compared with it
    return True


def _is_older(later: Sequence[Fact], version: Fact) -> bool:
    """Return whether an older version than `version` arrives later."""
    return any(one.content is not None and one.minute < version.minute for one in later)


def _repeated(arriving: Sequence[Fact], chance: random.Random, *, in_order: bool) -> list[tuple[Fact, str]]:
    """Add events that must change nothing; return facts with the end of their event ids.

    Duplicates: the same event, at any later time. Repeats: the same content under another event id. Contradictions:
    another part under a known `return_id`, or a placing for another customer.
    """
    found: list[tuple[Fact, str]] = []
    for fact in arriving:
        found.append((fact, ""))
        if chance.random() < 0.2:
            found.append((fact, "again"))
        if fact.returned_minor is not None and chance.random() < 0.2:
            names = dict(fact.fields)
            found.append((replace(fact, fields=(("amount", "1.00"), ("return_id", names["return_id"]))), "other"))
        if in_order and fact.content is not None and fact.content.code and chance.random() < 0.1:
            found.append((replace(fact, customer="another"), "another"))
        if chance.random() < 0.2:
            found.append((fact, ""))
    # A version without a code isn't recorded while its order has no coupons, so it has no late duplicate.
    recorded = [fact for fact in arriving if fact.content is None or fact.content.code]
    found += [(fact, "") for fact in recorded if chance.random() < 0.1]
    return found


def money(minor: int) -> str:
    return f"{minor // 100}.{minor % 100:02}"
