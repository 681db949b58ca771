"""Codes: rendering of patterns, and the number of codes that a pattern must allow."""

import re
import secrets
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.coupons import code_patterns as codes
from shared.domain.model.coupon import code_key


def counting_bytes(size: int) -> bytes:
    """Return 0, 1, 2 … as 64-bit numbers."""
    return b"".join(number.to_bytes(8, "little") for number in range(size // 8))


def zeros(size: int) -> bytes:
    return bytes(size)


def test_a_code_is_the_pattern_with_each_hash_replaced() -> None:
    assert re.fullmatch(r"SAVE-[A-Z2-9]{4}-[A-Z2-9]{4}", codes.render("SAVE-####-####", None, secrets.token_bytes))
    assert codes.render("100%-##", "XY", zeros) == "100%-XX"
    assert codes.render("%s##", "AB", counting_bytes) == "%sAB"
    assert codes.render("FIXED", None, zeros) == "FIXED"


def test_the_default_charset_has_no_characters_that_look_alike() -> None:
    assert not set("01OIL") & set(codes.DEFAULT_CHARSET)
    assert len(set(codes.DEFAULT_CHARSET)) == len(codes.DEFAULT_CHARSET)
    assert codes.render(None, None, zeros) == "AAAA-AAAA-AAAA"


def test_the_same_random_bytes_give_the_same_codes() -> None:
    assert codes.render_many("##", "ABC", 3, counting_bytes) == ["AB", "CA", "BC"]


def test_every_character_is_about_equally_likely() -> None:
    # 90,000 throws of a 9-sided die: each side about 10,000 times; ten standard deviations are 943.
    thrown = Counter("".join(codes.render_many("#########", "ABCDEFGHJ", 10_000, secrets.token_bytes)))
    assert len(thrown) == 9
    assert all(abs(times - 10_000) < 943 for times in thrown.values())


def test_a_hundred_thousand_codes_made_at_once_are_distinct() -> None:
    made = codes.render_many("SAVE-####-####", None, 100_000, secrets.token_bytes)
    # With 31^8 codes, one pair of duplicates is expected in 170 runs; three pairs are practically impossible.
    assert len(set(made)) >= 99_998


@given(st.text(alphabet="SAVE#-10%", min_size=1, max_size=20), st.integers(0, 5))
def test_a_code_has_the_patterns_length_and_is_its_own_key(pattern: str, number: int) -> None:
    for code in codes.render_many(pattern, None, number, secrets.token_bytes):
        assert len(code) == len(pattern)
        assert code_key(code) == code


@pytest.mark.parametrize(
    ("pattern", "charset", "coupons_total"),
    [
        ("SAVE-####-####", None, 100_000),
        (None, None, 10_000_000),
        ("#######", None, None),
        ("############", "0123456789", 1_000_000),
        ("##########", "0123456789", 10_000),
    ],
)
def test_a_pattern_with_enough_codes_passes(
    pattern: str | None, charset: str | None, coupons_total: int | None
) -> None:
    codes.check(pattern, charset, coupons_total)


@pytest.mark.parametrize(
    ("pattern", "charset", "coupons_total", "says"),
    [
        ("SAVE-####", None, 100, "makes 923,521 codes, too few for 100 coupons: at least 100,000,000 are needed"),
        ("SAVE-####", None, 100, "use 6 or more #"),
        ("######", None, None, "for 1,000 coupons (assumed, as coupons_total is null)"),
        ("WELCOME", None, 1, "has no #, so every code would be the same"),
        ("WELCOME", None, None, "or use shared_code for one code that all customers share"),
        ("##########", "0123456789", 10_001, "makes 10,000,000,000 codes"),
        ("########", "A", 1, "use a larger charset"),
        ("########", "ABCa", 1, "twice"),
        ("########", "AB-", 1, "only the letters A-Z and the digits 0-9"),
        (" ########", None, 1, "without blanks at its ends"),
        ("\u00c4########", None, 1, "printable ASCII"),
        ("A\n########", None, 1, "printable ASCII"),
        ("#" * 65, None, 1, "has 65 characters; a code has at most 64"),
    ],
)
def test_a_pattern_that_cannot_be_used_is_refused_with_a_number(
    pattern: str, charset: str | None, coupons_total: int | None, says: str
) -> None:
    with pytest.raises(codes.CodePatternError) as caught:
        codes.check(pattern, charset, coupons_total)
    assert says in str(caught.value)
