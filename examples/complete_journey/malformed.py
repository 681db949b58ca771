"""Records that no consumer can read, each broken in one way. All of them become dead letters.

Every order here names a coupon code, because an order without coupons may be skipped before its amounts are read.
"""

import json
from collections.abc import Callable
from typing import Any, NamedTuple

Json = dict[str, Any]
Headers = tuple[tuple[str, bytes], ...]


class Malformed(NamedTuple):
    """A broken record as it is sent, and the reason why it is broken."""

    topic: str
    key: bytes
    value: bytes
    headers: Headers
    wrong: str


STRUCTURED: Headers = (("content-type", b"application/cloudevents+json; charset=utf-8"),)


def reward(name: str) -> Json:
    """Return a valid reward, to be broken."""
    return {
        "specversion": "1.0",
        "id": name,
        "source": "/complete-journey/loyalty",
        "type": "reward.earned",
        "subject": "household-0",
        "time": "2017-01-01T12:00:00Z",
        "datacontenttype": "application/json",
        "data": {
            "reward_id": name,
            "rule_id": "no-such-rule",
            "customer": {"customer_id": "household-0"},
            "earned_at": "2017-01-01T12:00:00Z",
        },
    }


def order(name: str) -> Json:
    """Return a valid order, to be broken."""
    return {
        "specversion": "1.0",
        "id": name,
        "source": "/complete-journey/shop",
        "type": "order.placed",
        "subject": name,
        "time": "2017-01-01T12:00:00Z",
        "datacontenttype": "application/json",
        "data": {
            "order_id": name,
            "customer": {"customer_id": "household-0"},
            "placed_at": "2017-01-01T12:00:00Z",
            "currency": "USD",
            "amount": "3.00",
            "lines": [
                {
                    "line_id": "1",
                    "product_id": "1",
                    "variant_id": None,
                    "collection_ids": [],
                    "quantity": 1,
                    "unit_price": "3.00",
                }
            ],
            "coupon_codes": ["NO-SUCH-CODE"],
        },
    }


def _without(*path: str) -> Callable[[Json], None]:
    def change(event: Json) -> None:
        _parent(event, path).pop(path[-1])

    return change


def _with(value: object, *path: str) -> Callable[[Json], None]:
    def change(event: Json) -> None:
        _parent(event, path)[path[-1]] = value

    return change


def _parent(event: Json, path: tuple[str, ...]) -> Json:
    for step in path[:-1]:
        event = event[step]
    return event


_BROKEN_REWARDS: dict[str, Callable[[Json], None]] = {
    "no event id": _without("id"),
    "an empty event id": _with("", "id"),
    "no source": _without("source"),
    "no type": _without("type"),
    "an unknown type": _with("reward.burned", "type"),
    "a type that belongs on another topic": _with("order.placed", "type"),
    "no data": _without("data"),
    "data that is a list": _with([], "data"),
    "no reward id": _without("data", "reward_id"),
    "a reward id that is a number": _with(42, "data", "reward_id"),
    "no customer": _without("data", "customer"),
    "a customer that is a string": _with("household-0", "data", "customer"),
    "no time of earning": _without("data", "earned_at"),
    "a time that is a word": _with("yesterday", "data", "earned_at"),
    "a thirteenth month": _with("2017-13-01T12:00:00Z", "data", "earned_at"),
}

_BROKEN_ORDERS: dict[str, Callable[[Json], None]] = {
    "no event id": _without("id"),
    "an unknown type": _with("order.gift_wrapped", "type"),
    "no order id": _without("data", "order_id"),
    "no amount": _without("data", "amount"),
    "no currency": _without("data", "currency"),
    "a currency in words": _with("dollars", "data", "currency"),
    "no time of placing": _without("data", "placed_at"),
    "a negative amount": _with("-3.00", "data", "amount"),
    "an amount in words": _with("three", "data", "amount"),
    "an amount with three decimals, a string": _with("3.005", "data", "amount"),
    "an amount with three decimals, a number": _with(3.005, "data", "amount"),
    "an amount with a comma": _with("3,00", "data", "amount"),
    "codes that are a string": _with("NO-SUCH-CODE", "data", "coupon_codes"),
    "codes that are an object": _with({"code": "NO-SUCH-CODE"}, "data", "coupon_codes"),
    "an order id that is a number": _with(42, "data", "order_id"),
    "a blank order id": _with(" ", "data", "order_id"),
    "an amount with its currency": _with("3.00 USD", "data", "amount"),
    "a time without a time zone": _with("2017-01-01T12:00:00", "data", "placed_at"),
    "a customer that is a string": _with("household-0", "data", "customer"),
    "an `atomic` that is neither true nor false": _with("perhaps", "data", "atomic"),
}

_NOT_EVENTS: dict[str, bytes] = {
    "nothing at all": b"",
    "a string without quotes": b"hello, is this thing on?",
    "an event cut short": json.dumps(order("order-cut-short")).encode()[:120],
    "bytes that aren't UTF-8": b"\xff\xfe\x00\x7b\x80",
    "a list": b"[]",
    "a number": b"42",
    "a string": b'"order.placed"',
    "an empty object": b"{}",
    "NaN in place of an amount": json.dumps(order("order-nan")).replace('"3.00"', "NaN").encode(),
}


def records() -> list[Malformed]:
    """Return all broken records, in a fixed order."""
    found = []
    for number, (wrong, change) in enumerate(_BROKEN_REWARDS.items(), start=1):
        found.append(_broken("rewards", reward(f"reward-broken-{number}"), wrong, change))
    for number, (wrong, change) in enumerate(_BROKEN_ORDERS.items(), start=1):
        found.append(_broken("orders", order(f"order-broken-{number}"), wrong, change))
    for topic in ("rewards", "signups", "orders"):
        found.extend(Malformed(topic, b"broken", value, STRUCTURED, wrong) for wrong, value in _NOT_EVENTS.items())
    return [*found, *_broken_binary()]


def _broken(topic: str, event: Json, wrong: str, change: Callable[[Json], None]) -> Malformed:
    key = str(event["subject"]).encode()
    change(event)
    return Malformed(topic, key, json.dumps(event).encode(), STRUCTURED, wrong)


def _broken_binary() -> list[Malformed]:
    """Return broken records in binary mode, where the attributes are headers."""
    body = json.dumps(order("order-binary")["data"]).encode()
    attributes = {
        "content-type": b"application/json",
        "ce_specversion": b"1.0",
        "ce_id": b"placed-order-binary",
        "ce_source": b"/complete-journey/shop",
        "ce_type": b"order.placed",
        "ce_time": b"2017-01-01T12:00:00Z",
    }

    def headers(**changed: bytes | None) -> Headers:
        kept = {**attributes, **{name.replace("content_type", "content-type"): text for name, text in changed.items()}}
        return tuple((name, text) for name, text in kept.items() if text is not None)

    key = b"order-binary"
    return [
        Malformed("orders", key, body, headers(ce_id=None), "a header with the event id is missing"),
        Malformed("orders", key, body, headers(ce_type=b"order.gift_wrapped"), "a header names an unknown type"),
        Malformed("orders", key, body[:-9], headers(), "a body cut short"),
        Malformed("orders", key, b"\x07rubbish", headers(content_type=b"application/avro"), "invalid Avro wire format"),
    ]
