"""The key of a code with characters other than printable ASCII: every way to write a code yields the same key.

Characters are compared as Unicode's NFKC_Casefold does (UAX #44), with three additions: dashes are one character, an I
is the same with and without a dot, and blanks don't count. The result is in upper case, like the key of an ASCII code.
"""

import unicodedata
from functools import lru_cache
from typing import Final

MAX_KEY_LENGTH: Final = 380
"""The longest key, in characters; at most 1,520 bytes in UTF-8, which fits an index row.

A code has at most 255 characters. Only codes of ligatures such as U+FDFA, which stands for 18 letters, reach it.
"""

_DOT: Final = "\u0307"
_DASHES: Final = frozenset("\u02d7\u2043\u2212\u2796\u30fc")
"""Dashes outside the category Pd: three minus signs, a bullet, and the long vowel mark of Japanese keyboards."""

_INVISIBLE: Final = (
    (0x034F, 0x034F),  # combining grapheme joiner
    (0x115F, 0x1160),  # Hangul fillers
    (0x17B4, 0x17B5),  # Khmer inherent vowels
    (0x180B, 0x180F),  # Mongolian variation selectors
    (0x2800, 0x2800),  # Braille pattern without dots
    (0x3164, 0x3164),  # Hangul filler
    (0xFE00, 0xFE0F),  # variation selectors
    (0xFFA0, 0xFFA0),  # Hangul filler, half width
    (0xE0100, 0xE01EF),  # further variation selectors
)
"""Characters that can't be seen, in addition to blanks and the category Cf (zero width, marks of direction)."""


def folded_key(code: str) -> str:
    """Return the key of a code in any script. Idempotent. Empty only if no character of the code can be seen."""
    folded = "".join(map(_folded, unicodedata.normalize("NFC", code)))
    upper = _without_dots(unicodedata.normalize("NFD", folded)).upper()
    return unicodedata.normalize("NFC", upper)[:MAX_KEY_LENGTH]


def earlier_code_key(code: str) -> str:
    """Return a code as versions before migration 0024 compared it: refusals that they recorded have no key."""
    return code.strip().upper()


@lru_cache(maxsize=4_096)
def _folded(character: str) -> str:
    """Return a character as it is compared: folded, without accents being composed, "" if it doesn't count."""
    parts = unicodedata.normalize("NFKD", character)
    if len(parts) > 1 and parts[0] == " ":
        return character  # an accent of its own (U+00B4); without the blank it would join the letter before
    folded = "".join(map(_folded_part, parts))
    return folded if folded == character else "".join(map(_folded, folded))


def _folded_part(part: str) -> str:
    if part.isspace() or _is_invisible(part):
        return ""
    if part in _DASHES or unicodedata.category(part) == "Pd":
        return "-"
    return "i" if part == "\u0131" else unicodedata.normalize("NFKD", part.casefold())


def _is_invisible(character: str) -> bool:
    point = ord(character)
    return unicodedata.category(character) == "Cf" or any(first <= point <= last for first, last in _INVISIBLE)


def _without_dots(text: str) -> str:
    """Return the text without the dots above an i: a Turkish capital I with a dot is an I."""
    if _DOT not in text:
        return text
    kept, letter = [], ""
    for character in text:
        if character == _DOT and letter == "i":
            continue
        if not unicodedata.combining(character):
            letter = character
        kept.append(character)
    return "".join(kept)
