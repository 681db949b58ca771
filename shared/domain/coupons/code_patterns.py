"""Codes from patterns such as `SAVE-####-####`: each `#` becomes a random character, everything else is kept.

Pure: the caller passes the source of random bytes (`secrets.token_bytes`).
"""

from array import array
from collections.abc import Callable
from typing import Literal

from shared.domain.model.coupon import code_key

DEFAULT_CHARSET = "ABCDEFGHJKMNPQRSTUVWXYZ23456789"
"""Letters and digits without those that look or sound alike: 0 O, 1 I L."""

DEFAULT_PATTERN = "####-####-####"
"""The pattern of campaigns without one: 31^12 codes, enough for any number of coupons."""

CODES_PER_COUPON = 1_000_000
"""Codes that a pattern must make for each coupon. A guess then succeeds once in a million tries, more than any shop's
rate limit allows, and two random codes are almost never equal."""

COUPONS_ASSUMED = 1_000
"""Number of coupons assumed for a campaign without `coupons_total`."""

MAX_LENGTH = 64
"""Maximum length of a code; longer ones don't fit on receipts and in most shops' fields."""

_BYTES_PER_CHARACTER = 8


class CodePatternError(ValueError):
    """An invalid pattern or charset. The text is one sentence that says what to do; `about` names the field."""

    def __init__(self, text: str, about: Literal["pattern", "charset"] = "pattern") -> None:
        super().__init__(text)
        self.about = about


def space(pattern: str | None, charset: str | None = None) -> int:
    """Return how many different codes `pattern` makes."""
    size, places = len(charset or DEFAULT_CHARSET), (pattern or DEFAULT_PATTERN).count("#")
    return int(size**places)


def check(pattern: str | None, charset: str | None, coupons_total: int | None) -> None:
    """Raise CodePatternError if `pattern` makes codes that people can't type, or too few for `coupons_total`."""
    pattern, charset = pattern or DEFAULT_PATTERN, charset or DEFAULT_CHARSET
    if not pattern.isprintable() or not pattern.isascii() or pattern != pattern.strip():
        raise CodePatternError(f"The pattern {pattern!r} must be printable ASCII, without blanks at its ends.")
    if len(pattern) > MAX_LENGTH:
        raise CodePatternError(f"The pattern has {len(pattern)} characters; a code has at most {MAX_LENGTH}.")
    if not charset.isascii() or not charset.isalnum():
        raise CodePatternError(f"The charset {charset!r} may hold only the letters A-Z and the digits 0-9.", "charset")
    if len(set(map(code_key, charset))) < len(charset):
        text = f"The charset {charset!r} holds a character twice; upper and lower case count as one."
        raise CodePatternError(text, "charset")
    if "#" not in pattern:
        raise CodePatternError(
            f"The pattern {pattern!r} has no #, so every code would be the same; write a # for each random character, "
            "or use shared_code for one code that all customers share."
        )
    coupons = COUPONS_ASSUMED if coupons_total is None else coupons_total
    wanted, made = coupons * CODES_PER_COUPON, space(pattern, charset)
    if made < wanted:
        for_what = f"{coupons:,} coupons" + (" (assumed, as coupons_total is null)" if coupons_total is None else "")
        raise CodePatternError(
            f"The pattern {pattern!r} makes {made:,} codes, too few for {for_what}: at least {wanted:,} are needed, so "
            f"that codes can't be guessed; use {_needed(len(charset), wanted)}."
        )


def render(pattern: str | None, charset: str | None, random_bytes: Callable[[int], bytes]) -> str:
    """Return one code. `random_bytes(n)` returns n bytes from a secure source."""
    return render_many(pattern, charset, 1, random_bytes)[0]


def render_many(
    pattern: str | None, charset: str | None, count: int, random_bytes: Callable[[int], bytes]
) -> list[str]:
    """Return `count` random codes; the same one may occur twice.

    A character is a 64-bit number modulo the charset's size. Its bias is below 36 / 2^64, which is negligible, and
    unlike rejection sampling it never needs a second try.
    """
    pattern, letters = pattern or DEFAULT_PATTERN, charset or DEFAULT_CHARSET
    size, places = len(letters), pattern.count("#")
    if not places:
        return [pattern] * count
    numbers = array("Q", random_bytes(_BYTES_PER_CHARACTER * places * count))
    chosen = "".join([letters[number % size] for number in numbers])
    template = pattern.replace("%", "%%").replace("#", "%s")
    return [template % tuple(chosen[start : start + places]) for start in range(0, places * count, places)]


def _needed(size: int, wanted: int) -> str:
    places = 1
    while size**places < wanted and places < MAX_LENGTH:
        places += 1
    return f"{places} or more #" if size**places >= wanted else "a larger charset"
