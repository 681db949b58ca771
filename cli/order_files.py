"""An order from a file: an order.placed event, whole as a CloudEvent or its `data` alone."""

import json

from cli.errors import CommandFailedError
from cli.files import InputFile
from schemas.orders import OrderPlaced
from schemas.parsing import InvalidDocumentError, parse

MAX_ORDER_BYTES = 4 * 1024 * 1024
"""Above any order that a broker takes."""


def read_order(file: InputFile) -> OrderPlaced:
    """The order in `file`; its id and time may be left out: a question can do without. Raises CommandFailedError."""
    content = file.content(MAX_ORDER_BYTES)
    try:
        document = json.loads(content, parse_float=str)
    except (ValueError, RecursionError) as error:
        raise CommandFailedError(f"{file.name}: this is no valid JSON ({error}).") from None
    data = document.get("data", document) if isinstance(document, dict) else document
    if not isinstance(data, dict):
        raise CommandFailedError(f"{file.name}: an order is a JSON object; `couponry example order` prints one.")
    if "type" in document and document["type"] != "order.placed":
        raise CommandFailedError(f"{file.name} holds an event {document['type']}; give an order.placed.")
    data.setdefault("order_id", "explain")
    data.setdefault("placed_at", "9999-12-31T00:00:00Z")  # later than now is judged as now
    try:
        return parse(OrderPlaced, json.dumps(data).encode())
    except InvalidDocumentError as error:
        raise CommandFailedError(f"{file.name}: {error}") from None
