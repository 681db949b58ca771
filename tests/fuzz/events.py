"""Records for Kafka: well-formed events of every incoming type, and mutations of them."""

import random
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
"""Few, so that orders are placed, paid, cancelled and returned repeatedly, in any order."""


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
        "order_id": f"fuzz-{chance.randrange(ORDER_IDS)}",
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


_TIMES: Final = {"order.paid": "paid_at", "order.payment_failed": "failed_at", "order.cancelled": "cancelled_at"}


def event(chance: random.Random) -> tuple[str, str, str, dict[str, Any]]:
    """Return (topic, type, source, data) of a well-formed event."""
    kind = chance.choice((*["order.placed"] * 6, *["order.changed"] * 2, *_TIMES, "order.returned", "reward.earned",
                          "reward.earned", "customer.signed_up"))  # fmt: skip
    order_id = f"fuzz-{chance.randrange(ORDER_IDS)}"
    if kind in ("order.placed", "order.changed"):
        content = order(chance)
        if kind == "order.changed":
            content["changed_at"] = content.pop("placed_at")
        return ORDERS.name, kind, "/shop", content
    if kind in _TIMES:
        return ORDERS.name, kind, "/shop", {"order_id": order_id, _TIMES[kind]: moment(chance), "reason": "why"}
    if kind == "order.returned":
        lines = [{"line_id": "1", "quantity": 1}] if chance.random() < 0.5 else None
        return ORDERS.name, kind, "/shop", {"order_id": order_id, "returned_at": moment(chance), "lines": lines}
    if kind == "reward.earned":
        data = {
            "reward_id": f"fuzz-{chance.randrange(10_000)}",
            "rule_id": chance.choice(("gold", "silver", "none")),
            "customer": customer(chance),
            "points": 100,
            "earned_at": moment(chance),
            "campaign_id": chance.choice((None, None, "fuzz-reward", "no such campaign")),
            "metadata": {"tier": "gold", "n": 1},
        }
        return REWARDS.name, kind, "/loyalty", data
    data = {"customer": customer(chance), "signed_up_at": moment(chance), "referred_by": "fuzz-1", "metadata": {"a": 1}}
    return SIGNUPS.name, kind, "/signup", data


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
