"""Codes from patterns: `SAVE-####-####`, where each `#` is one random character and everything else is itself.

Pure: chance comes in as a function that gives random bytes (`secrets.token_bytes`).
"""

from array import array
from collections.abc import Callable
from typing import Literal

DEFAULT_CHARSET = "ABCDEFGHJKMNPQRSTUVWXYZ23456789"
"""Letters and digits without those that look alike when read or heard: 0 O, 1 I L."""

DEFAULT_PATTERN = "####-####-####"
"""For campaigns that name none: 31^12 codes, enough for any number of coupons."""

CODES_PER_COUPON = 1_000_000
"""A pattern must make this many codes for each coupon: then a guess is right once in a million tries, which no shop's
rate limit lets anybody make, and two codes made by chance are the same about never."""

COUPONS_ASSUMED = 1_000
"""A campaign that doesn't say how many coupons it will issue is judged as if it were this many."""

MAX_LENGTH = 64
"""Longest code: more doesn't fit on a receipt, nor into most shops' fields."""

_BYTES_A_CHARACTER = 8


class CodePatternError(ValueError):
    """A pattern or charset that can't be used. The text is one sentence that says what to do; `about` is which."""

    def __init__(self, text: str, about: Literal["pattern", "charset"] = "pattern") -> None:
        super().__init__(text)
        self.about = about


def space(pattern: str | None, charset: str | None = None) -> int:
    """How many different codes `pattern` makes."""
    size, places = len(charset or DEFAULT_CHARSET), (pattern or DEFAULT_PATTERN).count("#")
    return int(size**places)


def check(pattern: str | None, charset: str | None, coupons_total: int | None) -> None:
    """Raise CodePatternError where `pattern` makes codes that people can't type, or too few for `coupons_total`."""
    pattern, charset = pattern or DEFAULT_PATTERN, charset or DEFAULT_CHARSET
    if not pattern.isprintable() or not pattern.isascii() or pattern != pattern.strip():
        raise CodePatternError(f"The pattern {pattern!r} must be printable ASCII, without blanks at its ends.")
    if len(pattern) > MAX_LENGTH:
        raise CodePatternError(f"The pattern has {len(pattern)} characters; a code has at most {MAX_LENGTH}.")
    if not charset.isascii() or not charset.isalnum():
        raise CodePatternError(f"The charset {charset!r} may hold only the letters A-Z and the digits 0-9.", "charset")
    if len(set(charset.upper())) < len(charset):
        text = f"The charset {charset!r} holds a character twice; upper and lower case count as one."
        raise CodePatternError(text, "charset")
    if "#" not in pattern:
        raise CodePatternError(
            f"The pattern {pattern!r} has no #, so every code would be the same; write a # for each random character, "
            "or give it as shared_code, one code for everybody."
        )
    coupons = COUPONS_ASSUMED if coupons_total is None else coupons_total
    wanted, made = coupons * CODES_PER_COUPON, space(pattern, charset)
    if made < wanted:
        for_what = f"{coupons:,} coupons" + (" (assumed, as coupons_total is null)" if coupons_total is None else "")
        raise CodePatternError(
            f"The pattern {pattern!r} makes {made:,} codes, too few for {for_what}: at least {wanted:,} are needed, so "
            f"that nobody guesses one; use {_needed(len(charset), wanted)}."
        )


def render(pattern: str | None, charset: str | None, random_bytes: Callable[[int], bytes]) -> str:
    """One code. `random_bytes(n)` gives n bytes from a secure source."""
    return render_many(pattern, charset, 1, random_bytes)[0]


def render_many(
    pattern: str | None, charset: str | None, count: int, random_bytes: Callable[[int], bytes]
) -> list[str]:
    """`count` codes, each by chance: the same one may come twice.

    A character is a 64-bit number modulo the charset's size. The bias of that is below 36 / 2^64, far too small for
    anybody to see, and it needs no second try, as rejecting would.
    """
    pattern, letters = pattern or DEFAULT_PATTERN, charset or DEFAULT_CHARSET
    size, places = len(letters), pattern.count("#")
    if not places:
        return [pattern] * count
    numbers = array("Q", random_bytes(_BYTES_A_CHARACTER * places * count))
    chosen = "".join([letters[number % size] for number in numbers])
    template = pattern.replace("%", "%%").replace("#", "%s")
    return [template % tuple(chosen[start : start + places]) for start in range(0, places * count, places)]


def _needed(size: int, wanted: int) -> str:
    places = 1
    while size**places < wanted and places < MAX_LENGTH:
        places += 1
    return f"{places} or more #" if size**places >= wanted else "a larger charset"
