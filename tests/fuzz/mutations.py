"""Changes to well-formed documents, strings and bytes."""

import copy
import random
from collections.abc import Iterator
from typing import Any, Final

from tests.fuzz.values import AMOUNTS, INTEGERS, TEXTS, TIMES, hostile, written

Place = tuple[Any, ...]

MAX_BYTES: Final = 900_000
"""Below a broker's default limit. A longer body is cut, and is then not valid JSON."""

RAW: Final[tuple[bytes, ...]] = (
    b"", b"null", b"[]", b"{}", b"1", b'"a"', b"[" * 5_000, b'{"a":' * 3_000, b"\xff\xfe", b"\x00", b"\xef\xbb\xbf{}",
    b'{"a":1,"a":2}', b'{"a":NaN}', b'{"a":Infinity}', b'{"a":1e400}', b'{"a":"\\ud800"}', b'{"a":"\\u0000"}', b"{}{}",
    b'{"a":1', b"-", b"1" * 5_000,
)  # fmt: skip


def places(document: Any, place: Place = ()) -> Iterator[Place]:
    """Yield every place of a document, from its root."""
    yield place
    if isinstance(document, dict):
        for key in document:
            yield from places(document[key], (*place, key))
    elif isinstance(document, list):
        for number in range(len(document)):
            yield from places(document[number], (*place, number))


def mutated(document: Any, chance: random.Random, *, changes: int = 3) -> bytes:
    """Return the document as JSON bytes, changed in one to `changes` places; sometimes the bytes are changed."""
    if chance.random() < 0.04:
        return chance.choice(RAW)
    changed = copy.deepcopy(document)
    for _ in range(chance.randint(1, changes)):
        changed = _changed(changed, chance)
    body = written(changed)[:MAX_BYTES]
    return damaged(body, chance) if chance.random() < 0.05 else body


def _changed(document: Any, chance: random.Random) -> Any:
    place = chance.choice(list(places(document)))
    if not place:
        return document if chance.random() < 0.9 else hostile(chance)
    parent = document
    for part in place[:-1]:
        parent = parent[part]
    key = place[-1]
    how = chance.randrange(10)
    if how == 0 and isinstance(parent, dict):
        del parent[key]
    elif how == 1 and isinstance(parent, dict):
        parent[chance.choice((*TEXTS, "metadata", "lines", "unknown", key + "x"))] = hostile(chance)
    elif how == 2 and isinstance(parent, list):
        parent *= chance.choice((2, 20, 200))
    else:
        parent[key] = alike(parent[key], chance) if how < 7 else hostile(chance)
    return document


def alike(value: Any, chance: random.Random) -> Any:
    """Return a hostile value of the same kind."""
    if isinstance(value, bool) or value is None:
        return chance.choice((None, True, False, "true", 0, 1))
    if isinstance(value, int | float):
        return chance.choice((*INTEGERS, str(value), float(value)))
    if isinstance(value, str):
        if value[:4].isdigit() and "T" in value:
            return chance.choice(TIMES)
        if value.replace(".", "").isdigit():
            return chance.choice((*AMOUNTS, *INTEGERS))
        return chance.choice((*TEXTS, chance.choice("a漢é\U0001f4a5") * chance.choice((300, 2_001, 2_800, 9_000))))
    return hostile(chance)


def damaged(body: bytes, chance: random.Random) -> bytes:
    """Return bytes with a few of them changed, cut or doubled."""
    changed = bytearray(body)
    for _ in range(chance.randint(1, 4)):
        if not changed:
            break
        at = chance.randrange(len(changed))
        how = chance.randrange(4)
        if how == 0:
            changed[at] ^= 1 << chance.randrange(8)
        elif how == 1:
            del changed[at : at + chance.randint(1, 20)]
        elif how == 2:
            changed[at:at] = bytes(chance.randrange(256) for _ in range(chance.randint(1, 8)))
        else:
            changed += changed[at : at + 50]
    return bytes(changed)
