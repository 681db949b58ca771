"""Lists in pages: opaque cursors that say where the last page ended."""

import base64
import binascii
from collections.abc import Sequence
from typing import Annotated, Any, Final

import orjson
from fastapi import Query

from services.gateway.problems import Problem

MOST_ITEMS: Final = 200

Limit = Annotated[int, Query(ge=1, le=MOST_ITEMS, description="items of one page")]
Cursor = Annotated[
    str | None, Query(max_length=2_000, description="`next_cursor` of the page before; left out: the first page")
]


def encode_cursor(keys: Sequence[Any]) -> str:
    """The sort keys of a page's last item, as an opaque text."""
    return base64.urlsafe_b64encode(orjson.dumps(list(keys))).decode().rstrip("=")


def decode_cursor(cursor: str | None, *kinds: type) -> list[Any] | None:
    """The keys that `encode_cursor` was given, one of each of `kinds`. Raises a Problem (422) for another text."""
    if cursor is None:
        return None
    try:
        keys = orjson.loads(base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True))
    except (binascii.Error, ValueError):
        keys = None
    good = isinstance(keys, list) and len(keys) == len(kinds)
    if not good or any(type(key) is not kind or "\0" in str(key) for key, kind in zip(keys, kinds, strict=True)):
        raise Problem(422, "invalid_request", "cursor: is none that was given here; take it from next_cursor.")
    return list(keys)


def page(items: Sequence[Any], limit: int, *keys: Any) -> dict[str, Any]:
    """A page of at most `limit` of `items`, which are one more where another follows; `keys` are its last one's."""
    more = len(items) > limit
    return {"items": list(items[:limit]), "next_cursor": encode_cursor(keys) if more else None}
