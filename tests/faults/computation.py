"""What a ledger must contain after stories of orders and rewards, computed without Couponry's code.

The facts of an order are applied in the order of their times. Duplicates, arrival and faults don't exist here.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from tests.faults.stories import Content, Fact, Story

OrderName = tuple[str | None, str]
"""(shop id, order id)"""


@dataclass
class Coupon:
    """What an order has of a coupon at its end: uses, and their discount in minor units."""

    held: int = 0
    used: int = 0
    discount_minor: int = 0


def coupons_of(stories: Iterable[Story], burn_on: str) -> dict[tuple[OrderName, str], Coupon]:
    """Return what each order has at its end: (order, code) → coupon. Orders that have nothing are left out."""
    found = {}
    for story in stories:
        order = _Order(burn_on)
        for fact in sorted(story.facts, key=lambda fact: fact.minute):
            order.apply(fact)
        if (coupon := order.coupon()) is not None and order.content is not None:
            found[(story.shop_id, story.order_id), str(order.content.code)] = coupon
    return found


class _Order:
    """One order, for as long as its facts are applied."""

    def __init__(self, burn_on: str) -> None:
        self._burn_on = burn_on
        self.content: Content | None = None
        self._open = self._paid = self._declined = False
        self._returned_minor = 0

    def apply(self, fact: Fact) -> None:
        if fact.content is not None:
            if fact.again:
                self._paid, self._returned_minor = False, 0
            self.content, self._open, self._declined = fact.content, True, False
        elif fact.kind == "paid":
            self._paid, self._declined = True, False
        elif fact.kind == "payment_failed":
            self._declined = not self._paid
        elif fact.returned_minor is not None and self.content is not None:
            self._returned_minor += fact.returned_minor
            self._open = self._open and self._returned_minor < self.content.amount
        else:
            self._open = False

    def coupon(self) -> Coupon | None:
        content = self.content
        if content is None or not self._open or not content.percent:
            return None
        if self._burn_on == "placed" or self._paid:
            return Coupon(0, 1, content.percent * (content.amount - self._returned_minor) // 100)
        return None if self._declined else Coupon(1, 0, content.percent * content.amount // 100)
