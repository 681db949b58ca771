"""Build events as a service receives them from the consumer."""

import json
from typing import Any

from schemas.catalogue import BY_TYPE
from shared.messaging.records import ReceivedEvent, Record


def received(event_type: str, data: dict[str, Any], *, event_id: str = "1", source: str = "/test") -> ReceivedEvent:
    """Return an event of `event_type` with `data` in wire format."""
    entry = BY_TYPE[event_type]
    record = Record.unsent(entry.topic.name, json.dumps(data).encode())
    model = entry.model.model_validate_json(record.value or b"")
    return ReceivedEvent(id=event_id, source=source, type=event_type, data=model, record=record)


def reward(event_id: str = "1", **fields: Any) -> ReceivedEvent:
    """Return a `reward.earned` of customer c1; `fields` are added to the required ones."""
    data = {"reward_id": f"rw-{event_id}", "customer": {"customer_id": "c1"}, "earned_at": "2026-01-02T03:04:05Z"}
    return received("reward.earned", data | fields, event_id=event_id, source="/loyalty")


def signup(event_id: str = "1", **fields: Any) -> ReceivedEvent:
    """Return a `customer.signed_up` of customer c1."""
    data = {"customer": {"customer_id": "c1"}, "signed_up_at": "2026-01-02T03:04:05Z"}
    return received("customer.signed_up", data | fields, event_id=event_id, source="/signup")


def placed(event_id: str = "1", **fields: Any) -> ReceivedEvent:
    """Return an `order.placed` of order O1, 10.00 USD, without lines or coupons."""
    data = {"order_id": "O1", "placed_at": "2026-01-02T03:04:05Z", "currency": "USD", "amount": "10.00"}
    return received("order.placed", data | fields, event_id=event_id, source="/shop")


def paid(event_id: str = "1", **fields: Any) -> ReceivedEvent:
    data = {"order_id": "O1", "paid_at": "2026-01-02T03:05:00Z"}
    return received("order.paid", data | fields, event_id=event_id, source="/shop")


def cancelled(event_id: str = "1", **fields: Any) -> ReceivedEvent:
    data = {"order_id": "O1", "cancelled_at": "2026-01-02T03:06:00Z"}
    return received("order.cancelled", data | fields, event_id=event_id, source="/shop")


def returned(event_id: str = "1", **fields: Any) -> ReceivedEvent:
    data = {"order_id": "O1", "returned_at": "2026-01-02T03:07:00Z"}
    return received("order.returned", data | fields, event_id=event_id, source="/shop")


def changed(event_id: str = "1", **fields: Any) -> ReceivedEvent:
    """Return an `order.changed` of order O1, which is 10.00 USD now, without lines or coupons."""
    data = {"order_id": "O1", "changed_at": "2026-01-02T03:04:30Z", "currency": "USD", "amount": "10.00"}
    return received("order.changed", data | fields, event_id=event_id, source="/shop")


def payment_failed(event_id: str = "1", **fields: Any) -> ReceivedEvent:
    data = {"order_id": "O1", "failed_at": "2026-01-02T03:05:00Z"}
    return received("order.payment_failed", data | fields, event_id=event_id, source="/shop")
