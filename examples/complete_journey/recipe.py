"""The noise: what is sent in addition to the study's own events. Seeds and choices only; no engine, no data.

Both `replay.py` (which sends the noise) and `expected.py` (which computes its results) use this file. It therefore
contains only arbitrary choices: which events are sent again, which order is cancelled, which shopping trips are sent as
orders without coupons. Every choice has a string as its seed, so it is the same on every machine and in every run.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

SEED = "complete-journey-1"

REPEATED_SHARE = 10
"""One event in ten is sent again."""

NEW_ID_SHARE = 0.3
"""About this share of them has a new event id, as from producers that lost an acknowledgement."""

PLAIN_ORDERS = 1_000
"""Shopping trips without a coupon, which are the majority in the study."""

CANCELLED_ORDER_ID = "order-1197-20170826"
"""Cancelled after its redemption. It has several coupons, some of them refused, and none used by another order."""

REUSED_IDS = 4
"""Events with the id of another event but different content: dead letters. Half rewards, half orders."""


@dataclass(frozen=True, slots=True)
class Repeat:
    """An event that is sent again: with a new event id or not, at once (in its own phase) or at the end."""

    subject: str
    new_id: bool
    at_once: bool


def randomness(purpose: str) -> Random:
    """Return a separate generator for each purpose, so that a change to one doesn't affect the others."""
    return Random(f"{SEED}:{purpose}")


def repeats(kind: str, subjects: Sequence[str]) -> list[Repeat]:
    """Return the tenth of `subjects` (event ids of rewards, order ids of orders) that is sent again, shuffled.

    The order of `subjects` does not matter. The cancelled order is never included: it is sent again separately.
    """
    random = randomness(f"repeat {kind}")
    pool = sorted(subject for subject in subjects if subject != CANCELLED_ORDER_ID)
    chosen = random.sample(pool, len(subjects) // REPEATED_SHARE)
    return [Repeat(subject, random.random() < NEW_ID_SHARE, random.random() < 0.5) for subject in chosen]


def plain_baskets(basket_ids: Sequence[int]) -> list[int]:
    """Return the baskets that are sent as orders without coupons, in ascending order."""
    return sorted(randomness("plain orders").sample(sorted(basket_ids), PLAIN_ORDERS))
