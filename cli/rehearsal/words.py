"""Describe the result of a step, one line per coupon, from the events that it publishes."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from cli.output import count

PublishedEvent = tuple[str, dict[str, Any]]
"""The (type, data) of an event."""

NOTHING = "nothing"
NO_CUSTOMER = "no customer"

_SHOWN_DETAILS = ("condition", "winner")
"""Details of a refusal that its reason doesn't name: the condition, the other coupon."""


def lines_of(events: Iterable[PublishedEvent], forms: Mapping[str, str | None]) -> tuple[str, ...]:
    """Return one line per coupon; coupons of one campaign issued to one customer share a line. Never empty.

    `forms`: the pattern of each issued code.
    """
    issued: dict[tuple[str, str], list[str]] = {}
    lines: list[str] = []
    taking: set[tuple[str | None, str]] = set()
    for kind, data in events:
        if kind == "coupon.issued":
            issued.setdefault((_customer(data), data["campaign_id"]), []).append(data["code"])
            continue
        if kind == "coupon.locked":
            taking.add((data.get("shop_id"), data["order_id"]))
        of_other_order = kind == "coupon.released" and taking and (data.get("shop_id"), data["order_id"]) not in taking
        lines += _taken_over(data) if of_other_order else _line(kind, data)
    coupons = [_issued(*receiver, codes, forms) for receiver, codes in issued.items()]
    return tuple(coupons + lines) or (NOTHING,)


def _issued(customer: str, campaign_id: str, codes: list[str], forms: Mapping[str, str | None]) -> str:
    listed = ", ".join(code or "without a code" for code in codes)
    if customer == NO_CUSTOMER:
        return f"{count(len(codes), 'new coupon')} of {campaign_id}: {listed}"
    coupons = "a coupon" if len(codes) == 1 else f"{len(codes)} coupons"
    form = forms.get(codes[0])
    return f"{customer} gets {coupons} of {campaign_id}: {listed}{f' (like {form})' if form else ''}"


def _taken_over(data: dict[str, Any]) -> Iterator[str]:
    """Yield the coupons that the order of `data` held and that the order of this step holds now."""
    yield from (f"{coupon['code']}{OF_ANOTHER_ORDER}{data['order_id']}" for coupon in data["coupons"])


OF_ANOTHER_ORDER: Final = " is no longer held for "

_CHANGES: Final = {
    "coupon.voided": "is void",
    "coupon.unvoided": "can be used again",
    "coupon.exhausted": "is exhausted",
}


def _line(kind: str, data: dict[str, Any]) -> Iterator[str]:
    match kind:
        case "coupon.redeemed":
            yield from (_redeemed(coupon, data["currency"]) for coupon in data["coupons"])
        case "coupon.redemption_adjusted":
            yield from (_adjusted(coupon, data["currency"]) for coupon in data["coupons"])
        case "coupon.redemption_refused":
            yield from map(_refused, data["coupons"])
        case "coupon.redemption_restored":
            yield from (_restored(coupon) for coupon in data["coupons"])
        case "coupon.issue_refused":
            of_campaign = f" of {data['campaign_id']}" if data["campaign_id"] else ""
            customer = _customer(data)
            outcome = "no coupon is created" if customer == NO_CUSTOMER else f"{customer} gets nothing"
            yield f"{outcome}{of_campaign}: {data['reason']}"
        case "coupon.locked":
            yield from (f"{coupon['code']} is held for the order" for coupon in data["coupons"])
        case "coupon.released":
            yield from (f"{coupon['code']} is released" for coupon in data["coupons"])
        case "coupon.lock_expired":
            yield from (f"{coupon['code']} is no longer held: not paid in time" for coupon in data["coupons"])
        case "coupon.voided" | "coupon.unvoided" | "coupon.exhausted":
            yield f"{data['code']} {_CHANGES[kind]}"
        case "coupon.extended":
            yield f"{data['code']} {_end(data['ends_at'])}"
        case "campaign.exhausted":
            until = f", until {data['until'][:16]}Z" if data["until"] else ""
            yield f"{data['campaign_id']} is exhausted: {data['limit']}{until}"


def _end(ends_at: str | None) -> str:
    return f"ends {ends_at[:16]}Z" if ends_at else "has no end of its own"


def _customer(data: dict[str, Any]) -> str:
    return str((data.get("customer") or {}).get("customer_id") or NO_CUSTOMER)


def _refused(coupon: dict[str, Any]) -> str:
    details = coupon["details"]
    shown = [f"{name} {details[name]}" for name in _SHOWN_DETAILS if name in details]
    return f"{coupon['code']} is refused: {coupon['reason']}" + (f" ({', '.join(shown)})" if shown else "")


def _redeemed(coupon: dict[str, Any], currency: str) -> str:
    amount, shipping = coupon["discount_amount"], coupon.get("shipping_discount_amount")
    parts = []
    if free := coupon.get("free_product"):
        parts.append(f"adds {count(free['quantity'], 'unit')} of {free['product_id']}")
    if payload := coupon["discount"].get("payload"):
        parts.append(f"includes {', '.join(f'{name}: {value}' for name, value in sorted(payload.items()))}")
    if shipping is not None:
        parts.append(f"takes the shipping of {shipping} {currency} off")
    elif amount.strip("0.") or not parts:
        parts.append(_takes(coupon, currency))
    renewed = ", and no use" if coupon.get("recurring") else ""
    return f"{coupon['code']} {' and '.join(parts)}{renewed}"


def _adjusted(coupon: dict[str, Any], currency: str) -> str:
    return f"{coupon['code']} {_takes(coupon, currency)}"


def _takes(coupon: dict[str, Any], currency: str) -> str:
    lines = [f"{line['line_id']}: {line['discount_amount']}" for line in coupon.get("lines") or ()]
    shares = f" ({', '.join(lines)})" if len(lines) > 1 else ""
    return f"takes {coupon['discount_amount']} {currency} off{shares}"


def _restored(coupon: dict[str, Any]) -> str:
    uses = f"{coupon['uses']} use and " if coupon["uses"] else ""
    return f"{coupon['code']} gives back {uses}{coupon['discount_amount']}"
