"""Lists in pages, with opaque cursors."""

import base64
import binascii
from collections.abc import Sequence
from typing import Annotated, Any, Final

import orjson
from fastapi import Query

from services.gateway.problems import Problem

MAX_ITEMS: Final = 200

Limit = Annotated[int, Query(ge=1, le=MAX_ITEMS, description="items per page")]
Cursor = Annotated[
    str | None, Query(max_length=2_000, description="`next_cursor` of the previous page; leave out for the first page")
]


def encode_cursor(keys: Sequence[Any]) -> str:
    """Encode the sort keys of a page's last item as an opaque text."""
    return base64.urlsafe_b64encode(orjson.dumps(list(keys))).decode().rstrip("=")


def decode_cursor(cursor: str | None, *kinds: type) -> list[Any] | None:
    """Decode a cursor into one key of each of `kinds`. Raises a Problem (422) for an invalid cursor."""
    if cursor is None:
        return None
    try:
        keys = orjson.loads(base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True))
    except (binascii.Error, ValueError):
        keys = None
    well_formed = isinstance(keys, list) and len(keys) == len(kinds)
    if not well_formed or any(type(key) is not kind or "\0" in str(key) for key, kind in zip(keys, kinds, strict=True)):
        raise Problem(422, "invalid_request", "cursor: is not valid; use `next_cursor` of the previous page.")
    return list(keys)


def page(items: Sequence[Any], limit: int, *keys: Any) -> dict[str, Any]:
    """Build a page of the first `limit` items. One item more means that another page follows after `keys`."""
    more = len(items) > limit
    return {"items": list(items[:limit]), "next_cursor": encode_cursor(keys) if more else None}
