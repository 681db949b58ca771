"""An order from a file: an order.placed event, whole as a CloudEvent or its `data` alone."""

import json
from datetime import UTC, datetime
from uuid import uuid4

from pydantic import BaseModel, Field

from cli.errors import CommandFailedError
from cli.files import InputFile
from schemas.common import Identifier, Moment
from schemas.orders import OrderPlaced
from schemas.parsing import InvalidDocumentError, parse
from services.redeemer.handler import order_of
from shared.domain.model.money import MoneyError
from shared.domain.model.order import Order

MAX_ORDER_BYTES = 4 * 1024 * 1024
"""Above any order that a broker takes."""

_LATER_THAN_NOW = datetime(9999, 12, 31, tzinfo=UTC)  # is judged as now


class OrderAskedAbout(OrderPlaced):
    """An order that a question is about: it may do without an id and a time of its own."""

    order_id: Identifier = Field(default_factory=lambda: f"question-{uuid4()}")
    placed_at: Moment = _LATER_THAN_NOW


class _CloudEvent(BaseModel):
    data: OrderAskedAbout


def read_order(file: InputFile) -> tuple[OrderAskedAbout, Order]:
    """The order in `file`, as it is written and as it is decided on. Raises CommandFailedError."""
    content = file.content(MAX_ORDER_BYTES)
    try:
        document = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise CommandFailedError(f"{file.name}: this is no valid JSON ({error}); {_HOW}") from None
    if not isinstance(document, dict):
        raise CommandFailedError(f"{file.name}: an order is a JSON object; {_HOW}")
    try:
        data = _read(content, document)
        return data, order_of(data)
    except (InvalidDocumentError, MoneyError) as error:
        raise CommandFailedError(f"{file.name}: {error}") from None


_HOW = "`couponry example order` prints one."


def _read(content: bytes, document: dict[str, object]) -> OrderAskedAbout:
    """Read from the bytes again, so that amounts that are numbers keep their digits. Raises InvalidDocumentError."""
    if "specversion" in document or "data" in document:
        if (kind := document.get("type", "order.placed")) != "order.placed":
            raise InvalidDocumentError(f"This is an event of type {kind!r}, not order.placed; {_HOW}")
        if not isinstance(document.get("data"), dict):
            raise InvalidDocumentError(f"The event has no data that is a JSON object; {_HOW}")
        data = parse(_CloudEvent, content).data
    else:
        data = parse(OrderAskedAbout, content)
    if problem := data.problem():
        raise InvalidDocumentError(problem)
    return data
