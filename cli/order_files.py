"""Read an order from a file: an order.placed event, either the CloudEvent or only its `data`."""

import json
from datetime import UTC, datetime
from uuid import uuid4

from pydantic import BaseModel, Field

from cli.errors import CommandFailedError
from cli.files import InputFile
from schemas.common import Identifier, Moment
from schemas.orders import OrderPlaced
from schemas.parsing import InvalidDocumentError, parse
from shared.domain.model.money import MoneyError
from shared.domain.model.order import Order
from shared.ledger.order_conversion import to_order

MAX_ORDER_BYTES = 4 * 1024 * 1024
"""Larger than any order that a broker accepts."""

_LATER_THAN_NOW = datetime(9999, 12, 31, tzinfo=UTC)  # the engine uses the current time instead


class OrderAskedAbout(OrderPlaced):
    """An order to check coupons for. Its id and its time are optional."""

    order_id: Identifier = Field(default_factory=lambda: f"question-{uuid4()}")
    placed_at: Moment = _LATER_THAN_NOW


class _CloudEvent(BaseModel):
    data: OrderAskedAbout


def read_order(file: InputFile) -> tuple[OrderAskedAbout, Order]:
    """Return the order in `file` as an event model and as a domain object. Raises CommandFailedError."""
    content = file.content(MAX_ORDER_BYTES)
    try:
        document = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise CommandFailedError(f"{file.name}: not valid JSON ({error}); {_HOW}") from None
    if not isinstance(document, dict):
        raise CommandFailedError(f"{file.name}: an order must be a JSON object; {_HOW}")
    try:
        data = _read(content, document)
        return data, to_order(data, data.order_id)
    except (InvalidDocumentError, MoneyError) as error:
        raise CommandFailedError(f"{file.name}: {error}") from None


_HOW = "`couponry example order` prints one."


def _read(content: bytes, document: dict[str, object]) -> OrderAskedAbout:
    """Parse the bytes again, so that amounts given as numbers keep their digits. Raises InvalidDocumentError."""
    if "specversion" in document or "data" in document:
        if (kind := document.get("type", "order.placed")) != "order.placed":
            raise InvalidDocumentError(f"This is an event of type {kind!r}, not order.placed; {_HOW}")
        if not isinstance(document.get("data"), dict):
            raise InvalidDocumentError(f"The event's `data` must be a JSON object; {_HOW}")
        data = parse(_CloudEvent, content).data
    else:
        data = parse(OrderAskedAbout, content)
    if problem := data.problem():
        raise InvalidDocumentError(problem)
    return data
