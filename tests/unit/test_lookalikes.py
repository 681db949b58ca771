"""Warnings of shared codes that look alike, and of codes that mix scripts."""

from pathlib import Path

import pytest

from cli.campaign_files import read_campaigns
from cli.errors import CommandFailedError
from cli.files import open_input
from shared.ledger.lookalikes import compare, mixed_scripts, shared_codes

FILES = Path(__file__).parents[1] / "cases" / "files"


@pytest.mark.parametrize(
    ("new", "existing"),
    [
        ("S\u0410VE10", "SAVE10"),  # Cyrillic A
        ("SAVE10", "S\u0410VE10"),
        ("\u0405\u0410V\u041510", "SAVE10"),
        ("\u0391\u0392\u03a7", "ABX"),  # Greek
        ("s\u0430ve10", "SAVE10"),
        ("\u043e\u0441\u0435\u0430\u043d", "OCEAH"),
        ("SAVE1O", "SAVE10"),  # the letter O
        ("\u13aa\u13a0", "AD"),  # Cherokee
        ("\u03bdip", "VIP"),  # a Greek nu, alike in lower case
    ],
)
def test_a_code_that_looks_like_another_is_warned_of(new: str, existing: str) -> None:
    [sentence] = [one for one in compare([("b", new)], [("a", existing)]).get("b", ()) if "looks like" in one]
    assert f"{new!r} looks like {existing!r} of campaign 'a'" in sentence


@pytest.mark.parametrize(
    ("new", "existing"),
    [
        ("SAVE10", "SAVE20"),
        ("SALE1", "SALEL"),
        ("CAF\u00c9", "CAFE"),
        ("save10", "SAVE10"),
        ("\u65e5", "\u672c"),
        ("A", "B"),
    ],
)
def test_other_codes_are_not(new: str, existing: str) -> None:
    assert compare([("b", new)], [("a", existing)]) == {}


def test_codes_that_are_loaded_together_are_compared() -> None:
    found = compare([("h1", "SAVE10"), ("h2", "S\u0410VE10"), ("h3", "OTHER")])
    assert list(found) == ["h2"]
    assert "looks like 'SAVE10' of campaign 'h1'" in found["h2"][0]
    assert "mixes the scripts Cyrillic and Latin" in found["h2"][1]


@pytest.mark.parametrize(
    ("code", "scripts"),
    [
        ("S\u0410VE10", ["Cyrillic", "Latin"]),
        ("SA\u03bdE", ["Greek", "Latin"]),
        ("\u05d0A1", ["Hebrew", "Latin"]),
        ("\u0421\u043a\u0438\u0434\u043a\u0430-10", []),
        ("CAFE\u030110", []),
        ("\u590fSALE10", []),
        ("\u30bb\u30fc\u30eb\u590f", []),
        ("\uff33\u0391", ["Greek", "Latin"]),
        ("10-20", []),
        ("\u2764SALE", []),
    ],
)
def test_a_code_of_several_scripts_is_reported_unless_a_language_writes_them_together(
    code: str, scripts: list[str]
) -> None:
    assert mixed_scripts(code) == scripts


def test_a_file_with_a_look_alike_is_read_and_warned_of() -> None:
    with open_input(FILES / "homoglyph.yaml") as file:
        found = compare(shared_codes(read_campaigns(file)))
    assert list(found) == ["h2"]
    assert "looks like 'SAVE10' of campaign 'h1'" in found["h2"][0]


def test_a_file_with_two_spellings_of_one_code_is_refused_and_both_are_named() -> None:
    with open_input(FILES / "nfd-and-nfc.yaml") as file, pytest.raises(CommandFailedError) as caught:
        read_campaigns(file)
    assert "campaign 'n2', code.shared_code: the same code as 'CAF\u00c910' of campaign 'n1'" in str(caught.value)
