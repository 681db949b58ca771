"""What became of a step, in a line each, from the events that are told of it."""

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

Told = tuple[str, dict[str, Any]]
"""(type, data) of an event"""

NOTHING = "nothing"


def lines_of(events: Iterable[Told]) -> tuple[str, ...]:
    """One line a coupon; coupons that one customer gets of one campaign at once are one line. Never empty."""
    issued: Counter[tuple[str, str]] = Counter()
    lines: list[str] = []
    for kind, data in events:
        if kind == "coupon.issued":
            issued[_customer(data), data["campaign_id"]] += 1
        else:
            lines += _line(kind, data)
    given = [
        f"{customer} gets {'a coupon' if number == 1 else f'{number} coupons'} of {campaign}"
        for (customer, campaign), number in issued.items()
    ]
    return tuple(given + lines) or (NOTHING,)


def _line(kind: str, data: dict[str, Any]) -> Iterator[str]:
    match kind:
        case "coupon.redeemed":
            yield from (_redeemed(coupon, data["currency"]) for coupon in data["coupons"])
        case "coupon.redemption_refused":
            yield from (f"{coupon['code']} is refused: {coupon['reason']}" for coupon in data["coupons"])
        case "coupon.redemption_restored":
            yield from (_restored(coupon) for coupon in data["coupons"])
        case "coupon.issue_refused":
            yield f"{_customer(data)} gets nothing of {data['campaign_id']}: {data['reason']}"
        case "coupon.locked":
            yield from (f"{coupon['code']} is held for the order" for coupon in data["coupons"])
        case "coupon.released":
            yield from (f"{coupon['code']} is let go" for coupon in data["coupons"])
        case "coupon.voided":
            yield f"{data['code']} is void"
        case "coupon.exhausted":
            yield f"{data['code']} is exhausted"
        case "campaign.exhausted":
            yield f"{data['campaign_id']} is exhausted: {data['limit']}"


def _customer(data: dict[str, Any]) -> str:
    return str((data.get("customer") or {}).get("customer_id") or "nobody")


def _redeemed(coupon: dict[str, Any], currency: str) -> str:
    amount, shipping = coupon["discount_amount"], coupon.get("shipping_discount_amount")
    parts = []
    if free := coupon.get("free_product"):
        parts.append(f"adds {free['quantity']} {free['product_id']}")
    if payload := coupon["discount"].get("payload"):
        parts.append(f"hands on {', '.join(f'{name}: {value}' for name, value in payload.items())}")
    if shipping is not None:
        parts.append(f"takes the shipping of {shipping} {currency} off")
    elif amount.strip("0.") or not parts:
        lines = [f"{line['line_id']}: {line['discount_amount']}" for line in coupon.get("lines") or ()]
        parts.append(f"takes {amount} {currency} off" + (f" ({', '.join(lines)})" if len(lines) > 1 else ""))
    renewed = ", and no use" if coupon.get("recurring") else ""
    return f"{coupon['code']} {' and '.join(parts)}{renewed}"


def _restored(coupon: dict[str, Any]) -> str:
    uses = f"{coupon['uses']} use and " if coupon["uses"] else ""
    return f"{coupon['code']} gives back {uses}{coupon['discount_amount']}"
