"""Deterministic identifiers, and the keys of orders.

Two shops may both have an order 777. So the domain and the ledger name an order by one text, its *key*: the order's id,
or for an order of a shop the shop's id, a separator and the order's id. Everything that comes in makes the key with
`order_key`. Everything that goes out splits it with `split_order_key` or `order_names`, or shows it to people with
`order_text` or `readable`. No key leaves Couponry.
"""

from functools import lru_cache
from hashlib import blake2b
from typing import Final, NewType, TypedDict

_VARIANT = {digit: "89ab"[int(digit, 16) & 3] for digit in "0123456789abcdef"}
"""The first digit of a UUID's fourth group: its two upper bits are 10, the lower two are kept."""


SHOP_SEPARATOR: Final = "\x1f"
"""Between the ids of shop and order in a key. Neither id can contain a control character, so keys are unambiguous."""

OrderKey = NewType("OrderKey", str)
"""The key of an order. In commands, orders and the ledger `order_id` is this key; in events, bodies and responses it is
the shop's own id, next to `shop_id`.
"""


class OrderNames(TypedDict):
    """An order as callers and readers name it. `shop_id` None: it belongs to no shop."""

    order_id: str | None
    shop_id: str | None


def order_key(shop_id: str | None, order_id: str) -> OrderKey:
    """Return the key of an order. An empty `shop_id` counts as none; the order's id is its key then."""
    return OrderKey(f"{shop_id}{SHOP_SEPARATOR}{order_id}" if shop_id else order_id)


def split_order_key(key: str) -> tuple[str | None, str]:
    """Return (the shop's id or None, the order's id)."""
    shop_id, separator, order_id = key.partition(SHOP_SEPARATOR)
    return (shop_id, order_id) if separator else (None, key)


def order_names(key: str | None) -> OrderNames:
    """Return the two fields that name an order in a document; both are None without an order."""
    shop_id, order_id = (None, None) if key is None else split_order_key(key)
    return {"order_id": order_id, "shop_id": shop_id}


def order_details(key: str) -> dict[str, str]:
    """Return the details of a refusal that name an order."""
    return {name: text for name, text in order_names(key).items() if isinstance(text, str)}


def order_text(key: str | None) -> str:
    """Return the order as messages name it: `'777'`, or `'777' of shop 'acme'`."""
    if key is None:
        return repr(None)
    shop_id, order_id = split_order_key(key)
    return repr(order_id) if shop_id is None else f"{order_id!r} of shop {shop_id!r}"


def readable(text: str) -> str:
    """Return a lock reference, or another text that may contain a key, as it is shown: `order:acme/777`.

    It doesn't name the order unambiguously; the fields `order_id` and `shop_id` next to it do.
    """
    return text.replace(SHOP_SEPARATOR, "/")


def derived_id(kind: str, *parts: str) -> str:
    """Return a UUID string, computed from `kind` (one of few words) and `parts`: 128 bits of BLAKE2b, version 8.

    The parts are joined by a line feed, which no identifier on the wire contains.
    """
    hashed = _begun(kind).copy()
    hashed.update("\n".join(parts).encode())
    text = hashed.hexdigest()
    return f"{text[:8]}-{text[8:12]}-8{text[13:16]}-{_VARIANT[text[16]]}{text[17:20]}-{text[20:]}"


def lock_reference(command_id: str) -> str:
    """Return the lock reference for a command that names none: the same for the same command."""
    return f"lock_{derived_id('lock', command_id).replace('-', '')[:16]}"


def redemption_id(command_id: str) -> str:
    """Return the id of the redemption that a command causes: the same for the same command."""
    return derived_id("redemption", command_id)


def referral_occasion(customer_id: str) -> str:
    """Return the occasion of a referral. A customer is referred once, under any event id."""
    return f"referral {customer_id.strip()}"


def reward_occasion(reward_id: str) -> str:
    """Return the occasion of a reward. It issues its coupons once, under any event id."""
    return f"reward {reward_id}"


@lru_cache(maxsize=64)
def _begun(kind: str) -> blake2b:
    """Return the hash of the first part, cached because copying it is faster than creating it."""
    return blake2b(f"{kind}\n".encode(), digest_size=16)
