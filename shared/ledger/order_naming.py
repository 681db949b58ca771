"""Name orders in what is read from the ledger by their own id and their shop's, because rows have keys (`OrderKey`)."""

import json
from typing import Any, Final

from shared.domain.model.ids import SHOP_SEPARATOR, order_key, order_names, readable, split_order_key

_REFERENCES: Final = ("lock_reference", "command_id")
"""Columns that may contain a key: the hold of an order, and the engine's command that expired it."""

_OF_CALLERS: Final = frozenset(("metadata", "customer"))
"""Parts of rows that callers wrote; they have no keys."""


def selected_orders(shop_id: str | None, order_id: str | None) -> tuple[str | None, str | None]:
    """Return the key of the selected order, and how the keys of all selected orders begin; None selects all.

    An order id without a shop selects the order without a shop; a shop without an order id selects all of its orders.
    """
    if order_id is not None:
        return order_key(shop_id, order_id), None
    return None, order_key(shop_id, "") if shop_id else None


def named_row(record: Any) -> dict[str, Any]:
    """Return a row with an `order_id`, which is a key, as a row with `order_id` and `shop_id`."""
    named = {**record, **order_names(record["order_id"])}
    for column in _REFERENCES:
        if named.get(column) is not None:
            named[column] = readable(named[column])
    return named


def named_json(row: str) -> str:
    """Return a row as JSON text in which every order is named by `order_id` and, if it has one, `shop_id`."""
    if "\\u001f" not in row:  # how PostgreSQL writes the separator
        return row
    return json.dumps(_named(json.loads(row)), ensure_ascii=False)


def _named(value: Any) -> Any:
    if isinstance(value, list):
        return [_named(item) for item in value]
    if not isinstance(value, dict):
        return value
    named: dict[str, Any] = {}
    for name, item in value.items():
        if name == "details" and isinstance(item, list):  # of an order: the subscription's id may have its shop
            named[name] = [split_order_key(one)[1] if isinstance(one, str) else one for one in item]
        elif name in _OF_CALLERS or not (isinstance(item, str) and SHOP_SEPARATOR in item):
            named[name] = item if name in _OF_CALLERS else _named(item)
        elif name == "order_id":
            named |= order_names(item)
        elif name == "subscription_id":
            named[name] = split_order_key(item)[1]
        else:
            named[name] = readable(item) if name in _REFERENCES else item
    return named
