"""Encrypting stored secrets under the first key, a bounded piece at a time."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

Place = TypeVar("Place")

PASSES_MAX: Final = 5
"""A secret that is changed while it is encrypted anew is left to the next pass; more than a few means a fault."""


@dataclass(frozen=True, slots=True)
class Piece(Generic[Place]):
    """A piece that is done. `last`: where the next begins, None behind the end. `missed`: changed by others meanwhile.

    `damaged`: a sentence for each secret that no key opens.
    """

    last: Place | None
    seen: int
    changed: int
    missed: int
    damaged: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Rotated:
    """What a rotation did: rows looked at, rows encrypted anew, and a sentence for each that is damaged."""

    seen: int
    changed: int
    missed: int
    damaged: tuple[str, ...]


async def rotate(piece: Callable[[Place | None, int], Awaitable[Piece[Place]]], size: int) -> Rotated:
    """Run `piece(after, size)` from the beginning to the end, again where others changed rows meanwhile.

    Each piece is a transaction of its own, so that a rotation that was stopped goes on where it is given again.
    """
    changed = 0
    for _ in range(PASSES_MAX):
        seen = missed = 0
        damaged: list[str] = []
        after: Place | None = None
        while True:
            done = await piece(after, size)
            seen, changed, missed = seen + done.seen, changed + done.changed, missed + done.missed
            damaged += done.damaged
            after = done.last
            if after is None:
                break
        if not missed:
            break
    return Rotated(seen, changed, missed, tuple(damaged))
