"""Deterministic identifiers: a repeated command gets the same ids."""

from functools import lru_cache
from hashlib import blake2b

_VARIANT = {digit: "89ab"[int(digit, 16) & 3] for digit in "0123456789abcdef"}
"""The first digit of a UUID's fourth group: its two upper bits are 10, the lower two are kept."""


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
