"""Identifiers that follow from what they name, so that doing a thing twice names it the same."""

from hashlib import blake2b

_VARIANT = {digit: "89ab"[int(digit, 16) & 3] for digit in "0123456789abcdef"}
"""The first digit of a UUID's fourth group: its two upper bits are 10, the lower two are kept."""


def derived_id(*parts: str) -> str:
    """A UUID, as text, that `parts` alone decide (128 bits of BLAKE2b, marked as UUID version 8).

    The parts are joined by a line feed, which no identifier on the wire contains.
    """
    text = blake2b("\n".join(parts).encode(), digest_size=16).hexdigest()
    return f"{text[:8]}-{text[8:12]}-8{text[13:16]}-{_VARIANT[text[16]]}{text[17:20]}-{text[20:]}"
