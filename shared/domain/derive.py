"""Identifiers that follow from what they name, so that doing a thing twice names it the same."""

from hashlib import blake2b


def derived_id(*parts: str) -> str:
    """A UUID, as text, that `parts` alone decide (128 bits of BLAKE2b, marked as UUID version 8).

    The parts are joined by a line feed, which no identifier on the wire contains.
    """
    digest = bytearray(blake2b("\n".join(parts).encode(), digest_size=16).digest())
    digest[6] = (digest[6] & 0x0F) | 0x80
    digest[8] = (digest[8] & 0x3F) | 0x80
    text = digest.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
