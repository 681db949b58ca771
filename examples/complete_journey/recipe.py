"""The noise recipe: what is sent besides the study's own events. Seeds and choices only; no engine, no data.

Both `replay.py` (which sends it) and `expected.py` (which reckons what comes of it) read this file, so it holds
nothing but what is arbitrary: which events are sent again, which order is cancelled, which shopping trips come along
without coupons. Every choice is seeded with text, so it is the same on every machine and in every run.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

SEED = "complete-journey-1"

REPEATED_SHARE = 10
"""One event in ten is sent again."""

NEW_ID_SHARE = 0.3
"""Of those, about this share comes back under a new event id, as producers do that lost an acknowledgement."""

PLAIN_ORDERS = 1_000
"""Shopping trips without a coupon; in the study, as in life, they are the many."""

CANCELLED_ORDER_ID = "order-1197-20170826"
"""Cancelled after it was redeemed: several coupons, some of them refused, none of them used by any other order."""

REUSED_IDS = 4
"""Events that come under the id of another event but say something else: dead letters. Half rewards, half orders."""


@dataclass(frozen=True, slots=True)
class Repeat:
    """One event that is sent again: under a new event id or not, at once (in its own phase) or at the end."""

    subject: str
    new_id: bool
    at_once: bool


def randomness(purpose: str) -> Random:
    """A generator of its own for each purpose, so that a change to one leaves the others as they were."""
    return Random(f"{SEED}:{purpose}")


def repeats(kind: str, subjects: Sequence[str]) -> list[Repeat]:
    """The tenth of `subjects` (event ids of rewards, order ids of orders) that is sent again, in shuffled order.

    The order of `subjects` does not matter. The cancelled order is never among them: it is sent again on its own.
    """
    random = randomness(f"repeat {kind}")
    pool = sorted(subject for subject in subjects if subject != CANCELLED_ORDER_ID)
    chosen = random.sample(pool, len(subjects) // REPEATED_SHARE)
    return [Repeat(subject, random.random() < NEW_ID_SHARE, random.random() < 0.5) for subject in chosen]


def plain_baskets(basket_ids: Sequence[int]) -> list[int]:
    """The baskets that come along as orders without coupons, in ascending order."""
    return sorted(randomness("plain orders").sample(sorted(basket_ids), PLAIN_ORDERS))
