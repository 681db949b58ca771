"""Records for Kafka: well-formed events of every incoming type, and mutations of them."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import orjson

from schemas.topics import ORDERS, REWARDS, SIGNUPS
from shared.messaging.avro_body import AvroBodies
from tests.fuzz.mutations import damaged, mutated
from tests.fuzz.values import TEXTS, written

CODES: Final = ("FUZZ", "FUZZ-LINES", "FUZZ-YEN", "FUZZ-CUSTOM", "FUZZ-SHIP", "FUZZ-IF", "FUZZ-CAP", "unknown")
"""Shared codes of the campaigns in `stack`, and one that doesn't exist."""

ORDER_IDS: Final = 300
"""Few, so that orders are placed, changed, paid, cancelled and returned repeatedly, in any order."""

REWARD_IDS: Final = 2_000
"""Few enough that some rewards are revoked, before or after they are earned."""


@dataclass(frozen=True, slots=True)
class Record:
    """One record to write. `topic` has no prefix."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()


def customer(chance: random.Random) -> dict[str, Any]:
    number = chance.randrange(200)
    return {
        "customer_id": f"fuzz-{number}",
        "email": f"fuzz-{number % 50}@example.com",
        "mobile": f"+49301234{number:04}",
    }


def order(chance: random.Random) -> dict[str, Any]:
    """Return the data of a well-formed `order.placed`."""
    lines = [
        {
            "line_id": str(number),
            "product_id": chance.choice(("p1", "p2", "p3")),
            "variant_id": "v1",
            "collection_ids": ["c1", "c2"],
            "quantity": chance.randint(1, 5),
            "unit_price": "12.50",
            "metadata": {"weight": 3, "tags": ["a", "b"]},
        }
        for number in range(chance.randint(0, 4))
    ]
    return {
        "order_id": _order_id(chance),
        "shop_id": chance.choice((None, None, None, "shop-2")),
        "customer": customer(chance),
        "placed_at": moment(chance),
        "currency": chance.choice(("USD", "USD", "USD", "JPY", "KWD")),
        "amount": "125",
        "shipping_amount": "5",
        "lines": lines,
        "coupon_codes": chance.sample(CODES, chance.randint(0, 4)),
        "lock_reference": None,
        "channel": "web",
        "atomic": chance.random() < 0.1,
        "metadata": {"utm": {"source": "mail", "clicks": 3}, "gift": True},
    }


def moment(chance: random.Random) -> str:
    return f"2026-0{chance.randint(1, 9)}-{chance.randint(10, 28)}T{chance.randint(10, 23)}:30:00Z"


Made = tuple[str, str, str, dict[str, Any]]
"""(topic, type, source, data) of a well-formed event."""


def _order_event(kind: str, time: str, *more: str) -> Callable[[random.Random], Made]:
    """Return the maker of an event about an order. `time`: its field for the time; `more`: optional fields of it."""

    def make(chance: random.Random) -> Made:
        optional: dict[str, Any] = {
            "reason": "why",
            "lines": [{"line_id": "1", "quantity": 1}],
            "amount": "12.50",
            "refunded_amount": "10.00",
            "return_id": f"r{chance.randrange(5)}",
            "shop_id": "shop-2",
        }
        data = {name: optional[name] for name in more if chance.random() < 0.4}
        return ORDERS.name, kind, "/shop", {"order_id": _order_id(chance), time: moment(chance), **data}

    return make


def _order_id(chance: random.Random) -> str:
    return f"fuzz-{chance.randrange(ORDER_IDS)}"


def _changed(chance: random.Random) -> Made:
    data = order(chance)
    return ORDERS.name, "order.changed", "/shop", {**data, "changed_at": data.pop("placed_at"), "reason": "why"}


def _reward(chance: random.Random) -> Made:
    data = {
        "reward_id": f"fuzz-{chance.randrange(REWARD_IDS)}",
        "rule_id": chance.choice(("gold", "silver", "none")),
        "customer": customer(chance),
        "points": 100,
        "earned_at": moment(chance),
        "campaign_id": chance.choice((None, None, "fuzz-reward", "no such campaign")),
        "metadata": {"tier": "gold", "n": 1},
    }
    return REWARDS.name, "reward.earned", "/loyalty", data


def _revoked(chance: random.Random) -> Made:
    data = {"reward_id": f"fuzz-{chance.randrange(REWARD_IDS)}", "revoked_at": moment(chance), "reason": "why"}
    return REWARDS.name, "reward.revoked", "/loyalty", data


def _signed_up(chance: random.Random) -> Made:
    data = {"customer": customer(chance), "signed_up_at": moment(chance), "referred_by": "fuzz-1", "metadata": {"a": 1}}
    return SIGNUPS.name, "customer.signed_up", "/signup", data


EVENTS: Final[tuple[tuple[int, Callable[[random.Random], Made]], ...]] = (
    (6, lambda chance: (ORDERS.name, "order.placed", "/shop", order(chance))),
    (2, _changed),
    (1, _order_event("order.paid", "paid_at", "shop_id")),
    (1, _order_event("order.payment_failed", "failed_at", "reason", "shop_id")),
    (1, _order_event("order.cancelled", "cancelled_at", "reason", "shop_id")),
    (
        2,
        _order_event(
            "order.returned", "returned_at", "lines", "amount", "refunded_amount", "return_id", "reason", "shop_id"
        ),
    ),
    (2, _reward),
    (1, _revoked),
    (1, _signed_up),
)
"""(weight, maker) of every incoming type of event."""


def event(chance: random.Random) -> Made:
    """Return a random well-formed event."""
    [maker] = chance.choices([maker for _, maker in EVENTS], [weight for weight, _ in EVENTS])
    return maker(chance)


class Records:
    """Makes random records. Event ids repeat now and then, like those of a producer that retries."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._avro = AvroBodies()
        self._number = 0

    def next(self) -> Record:
        chance = self._chance
        topic, kind, source, data = event(chance)
        self._number += 1
        repeated = chance.random() < 0.05
        number = chance.randrange(1, 1 + self._number) if repeated else self._number
        attributes = {
            "specversion": "1.0",
            "id": f"fuzz-{number}",
            "source": source,
            "type": kind,
            "subject": "fuzz",
            "time": "2026-03-01T12:00:00Z",
        }
        key = chance.choice((str(data.get("order_id", "k")).encode(), b"", None, b"\xff\xfe", b"k" * 3_000))
        how = chance.randrange(10)
        if how < 5:
            document = {**attributes, "datacontenttype": "application/json", "data": data}
            return Record(topic, key, mutated(document, chance))
        if how < 8:
            return Record(topic, key, mutated(data, chance), self._headers(attributes, "application/json"))
        return self._avro_record(topic, key, kind, attributes, data)

    def _avro_record(
        self, topic: str, key: bytes | None, kind: str, attributes: dict[str, str], data: dict[str, Any]
    ) -> Record:
        chance = self._chance
        body, name = self._avro.from_json(orjson.dumps(data), kind, topic)
        if chance.random() < 0.7:
            body = damaged(body, chance)
        headers = self._headers({**attributes, "dataschema": name or ""}, "application/avro")
        return Record(topic, key, body, headers)

    def _headers(self, attributes: dict[str, str], content_type: str) -> tuple[tuple[str, bytes], ...]:
        chance = self._chance
        headers = [(f"ce_{name}", value.encode()) for name, value in attributes.items()]
        headers.append(("content-type", content_type.encode()))
        if chance.random() < 0.5:
            at = chance.randrange(len(headers))
            name, value = headers[at]
            how = chance.randrange(6)
            if how == 0:
                del headers[at]
            elif how == 1:
                headers.append((name, value + b"x"))
            elif how == 2:
                headers[at] = (name, written(chance.choice(TEXTS)))
            elif how == 3:
                headers[at] = (name, bytes(chance.randrange(256) for _ in range(8)))
            elif how == 4:
                headers[at] = (name, value * 200)
            else:
                headers.append((chance.choice(("couponry_dlq_topic", "traceparent", "x")), damaged(value, chance)))
        return tuple(headers)
