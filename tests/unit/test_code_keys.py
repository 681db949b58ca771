"""Keys of codes: one key for every way to write a code."""

import sys
import unicodedata
from itertools import combinations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from schemas.limits import MAX_ID_LENGTH, MAX_KEY_BYTES
from shared.domain.model.code_keys import MAX_KEY_LENGTH
from shared.domain.model.coupon import code_key

LETTERS = [chr(point) for point in range(sys.maxunicode + 1) if not 0xD800 <= point <= 0xDFFF]

SAME = {
    "SAVE10": (
        "save10", " SAVE10", "SAVE10  ", "\tSave10\n", "\u00a0SAVE10\u00a0", "\u3000SAVE10", "SAVE 10", "S A V E 1 0",
        "SAVE\u202f10", "SAVE\u200910\u2029", "SAVE\u280010", "SAVE\u316410", "\r\nSAVE10\x85", "\x1cSAVE10",
        "SAVE10\u200b", "\ufeffSAVE10", "SAVE\u00ad10", "SAVE10\u200e", "\u202bSAVE10\u202c",
        "SA\u2060VE\u200c10\u200d",
        "SAVE10\ufe0f", "SA\u034fVE10", "SAVE10\U000e0100", "SAVE\u180e10", "\u2066SAVE10\u2069",
        "\uff33\uff21\uff36\uff25\uff11\uff10", "\uff53\uff41\uff56\uff45\uff11\uff10", "SAVE\u2460\u24ea",
        "\U0001d412\U0001d400\U0001d415\U0001d404\U0001d7cf\U0001d7ce", "\u017fave10", "SAVE\u00b9\u2070",
    ),
    "VIP-10": (
        "VIP\u201010", "VIP\u201110", "VIP\u201210", "VIP\u201310", "VIP\u201410", "VIP\u201510", "VIP\u221210",
        "VIP\uff0d10", "VIP\ufe5810", "VIP\ufe6310", "VIP\u204310", "vip \u2013 10", "VIP\u30fc10", "VIP\uff7010",
        "VIP\u02d710", "VIP\u207b10", "VIP\u279610", "VIP\u301c10", "VIP\u3030\ufe0f10", "VIP\ufe3110",
    ),
    "CAF\u00c910": ("caf\u00e910", "CAFE\u030110", "cafe\u030110", "CAFE\u200b\u030110", "CAF\uff25\u030110"),
    "STRASSE": ("stra\u00dfe", "STRA\u1e9eE", "Stra\u1e9ee", "strasse", "STRA\u00dfE"),
    "ISTANBUL": ("\u0130stanbul", "\u0131stanbul", "istanbul", "i\u0307stanbul",
        "I\u0307STANBUL", "\u0131\u0307stanbul"),
    "FIX-FLAT": ("\ufb01x-\ufb02at", "\ufb01X\u2013FLAT"),
    "\u1eca1": ("\u1ecb\u03071", "I\u0307\u03231", "\u0130\u03231", "I\u0323\u03071", "\u0131\u03231"),
    "\u03a3\u0391\u03a3": ("\u03c3\u03b1\u03c2", "\u03c2\u03b1\u03c3"),
    "\u30ab\u3099": ("\u30ac", "\uff76\uff9e"),
    "\uac00": ("\u1100\u1161",),
    "\u212b1": ("\u00e51", "\u00c51", "A\u030a1"),
    "\u00c5\u0323": ("A\u030a\u0323", "a\u0323\u030a", "\u1ea1\u030a", "A\u030a\u200b\u0323"),
}  # fmt: skip
"""A code, and other ways to write it."""

DIFFERENT = (
    "SAVE10", "SAVE1O", "SAVE-10", "SAVE_10", "S\u0410VE10", "CAF\u00c9", "CAFE", "CAF\u00c8", "DON\u00b4T",
    "DO\u0143T",
    "DONT", "DON'T", "A1", "\u01041", "\u00c41", "A\u00a81", "A+1", "A.1", "\u2764", "\u263a", "\u0623", "\u0627",
    "\u00d81", "O1", "\u0141", "L", "\u30cf", "\u30d0", "=1+1", "-1+1", "*", "%", "J", "J\u0307",
)  # fmt: skip
"""Codes that are all different."""


@pytest.mark.parametrize(("code", "written"), [(code, other) for code, others in SAME.items() for other in others])
def test_every_way_to_write_a_code_has_its_key(code: str, written: str) -> None:
    assert code_key(written) == code_key(code)


def test_different_codes_have_different_keys() -> None:
    assert [pair for pair in combinations(DIFFERENT, 2) if code_key(pair[0]) == code_key(pair[1])] == []


@pytest.mark.parametrize("code", ["SAVE10", "CAF\u00c910", "STRASSE", "\u00c4PFEL", "=1+1", "A'B", "\u65e5\u672c"])
def test_an_upper_case_code_is_its_own_key(code: str) -> None:
    assert code_key(code) == code


@given(st.text(max_size=40))
@example("\u0130\u0323\u0307")
@example("I\u200b\u0307")
@example("A\u00b4\u0323")
def test_the_key_of_a_key_is_the_key(code: str) -> None:
    assert code_key(code_key(code)) == code_key(code)


@given(st.text(alphabet=st.characters(max_codepoint=0x24F), max_size=20), st.data())
def test_case_form_blanks_and_invisible_characters_do_not_count(code: str, data: st.DataObject) -> None:
    code = code.replace("\u00b4", "").replace("\u00a8", "").replace("\u00af", "").replace("\u00b8", "")
    for mark in "\u02d8\u02d9\u02da\u02db\u02dc\u02dd":
        code = code.replace(mark, "")  # accents of their own, which the compatibility forms join to a letter
    form = data.draw(st.sampled_from(("NFC", "NFD", "NFKC", "NFKD")))
    place = data.draw(st.integers(0, len(code)))
    added = data.draw(st.sampled_from(" \t\u00a0\u200b\u00ad\ufeff\u200e\u3000\ufe0f"))
    written = unicodedata.normalize(form, code)
    for way in (str.upper, str.lower, str.swapcase, str.casefold):
        assert code_key(way(written)) == code_key(code)
    assert code_key(code[:place] + added + code[place:]) == code_key(code)


def test_the_key_of_a_key_is_the_same_key_for_every_character() -> None:
    assert [letter for letter in LETTERS if code_key(code_key(f"A{letter}A")) != code_key(f"A{letter}A")] == []


def test_upper_and_lower_case_of_every_character_have_the_same_key() -> None:
    wrong = [
        letter
        for letter in LETTERS
        if not code_key(letter) == code_key(letter.upper()) == code_key(letter.lower()) == code_key(letter.casefold())
    ]
    assert wrong == []


def test_only_characters_that_cannot_be_seen_have_an_empty_key() -> None:
    seen = {"L", "N", "P", "S"}
    fillers = set("\u115f\u1160\u3164\uffa0\u2800")
    empty = [letter for letter in LETTERS if unicodedata.category(letter)[0] in seen and not code_key(letter)]
    assert set(empty) == fillers


@pytest.mark.parametrize("letter", ["\ufdfa", "\u0390", "\ufb03", "A", "\U0001d7cf", "\u1f82"])
def test_the_longest_code_has_a_key_that_fits_an_index_row(letter: str) -> None:
    key = code_key(letter * MAX_ID_LENGTH)
    assert len(key.encode()) <= MAX_KEY_BYTES
    assert code_key(key) == key


def test_the_longest_key_fits_an_index_row_in_any_script() -> None:
    assert 4 * MAX_KEY_LENGTH <= MAX_KEY_BYTES


@pytest.mark.parametrize("blank", ["", " ", "\u200b", "\ufeff\u00a0", "\ufe0f", "\u3164", "\t\n"])
def test_a_code_without_visible_characters_has_an_empty_key(blank: str) -> None:
    assert code_key(blank) == ""


def test_a_code_of_a_megabyte_has_a_key() -> None:
    assert len(code_key("\u00e9" * 1_000_000)) == MAX_KEY_LENGTH
