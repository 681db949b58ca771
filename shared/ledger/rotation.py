"""Encrypt stored secrets under the first key, in pieces of limited size."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

Place = TypeVar("Place")

PASSES_MAX: Final = 5
"""A secret that is changed during its rotation is left to the next pass. More passes than these mean a fault."""


@dataclass(frozen=True, slots=True)
class Piece(Generic[Place]):
    """The result of a piece. `last`: where the next begins, None at the end. `missed`: rows that others changed.

    `damaged`: a sentence for each secret that no key decrypts.
    """

    last: Place | None
    seen: int
    changed: int
    missed: int
    damaged: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Rotated:
    """The result of a rotation: rows read, rows encrypted again, and a sentence for each damaged one."""

    seen: int
    changed: int
    missed: int
    damaged: tuple[str, ...]


async def rotate(piece: Callable[[Place | None, int], Awaitable[Piece[Place]]], size: int) -> Rotated:
    """Call `piece(after, size)` from the beginning to the end, and again if others changed rows meanwhile.

    Each piece is its own transaction, so a rotation that was stopped can be run again.
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
