"""Test `couponry coupons create` and `import`: many coupons from a pattern or from a file."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.integration.cli_calls import Called, call

pytestmark = pytest.mark.postgres

Couponry = Callable[..., Called]


@pytest.fixture
def couponry(database_url: str) -> Couponry:
    """Call `couponry(…)` on this test's ledger, with the campaign `flyer`."""

    def called(*arguments: str, given: str | bytes | None = None) -> Called:
        return call({"COUPONRY_DATABASE_URL": database_url}, *arguments, given=given)

    load(called, "flyer")
    return called


def load(couponry: Couponry, campaign_id: str, **changes: Any) -> None:
    document = {"campaign_id": campaign_id, "discount": {"kind": "percentage", "value": "10"}} | changes
    assert couponry("campaigns", "load", "-", given=json.dumps(document)).exit_code == 0


def test_codes_are_printed_as_they_are_created_and_the_same_id_prints_the_same(couponry: Couponry) -> None:
    made = couponry("coupons", "create", "flyer", "--count", "2300", "--id", "run 1")
    codes = made.out.split()
    assert (made.exit_code, len(codes), len(set(codes))) == (0, 2_300, 2_300)
    assert made.err.splitlines() == [
        "To continue after an interruption, or to print the same codes again: --id run 1",
        "1,000 of 2,300 coupons created.",
        "2,000 of 2,300 coupons created.",
        "2,300 of 2,300 coupons created.",
    ]
    assert couponry("coupons", "create", "flyer", "--count", "2300", "--id", "run 1").out.split() == codes
    assert couponry("coupons", "create", "flyer", "--count", "2000", "--id", "run 1").out.split() == codes[:2_000]
    assert couponry("coupons", "validate", codes[0]).exit_code == 0
    assert "2,300 issued" in couponry("campaigns", "show", "flyer").words
    other = couponry("coupons", "create", "flyer", "--count", "1500", "--id", "run 1")
    assert (other.exit_code, "was used before for a request with different content" in other.err) == (1, True)


def test_codes_go_to_a_file_that_can_be_imported_elsewhere(couponry: Couponry, tmp_path: Path) -> None:
    file = tmp_path / "codes.txt"
    made = couponry("coupons", "create", "flyer", "--count", "3", "--output", str(file))
    assert (made.exit_code, made.out, len(file.read_text().split())) == (0, "", 3)
    again = couponry("coupons", "import", "flyer", str(file))
    assert again.words.startswith("0 codes added to flyer. 3 codes left out, because they exist already: ")
    assert couponry("coupons", "create", "flyer", "--count", "1", "--output", str(tmp_path)).exit_code == 2


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the disk that is always full is Linux's")
def test_codes_that_cannot_be_written_are_not_lost(couponry: Couponry, tmp_path: Path) -> None:
    full = couponry("coupons", "create", "flyer", "--count", "2", "--id", "again", "--output", "/dev/full")
    assert (full.exit_code, "No space left on device" in full.err, "--id again" in full.err) == (1, True, True)
    assert len(couponry("coupons", "create", "flyer", "--count", "2", "--id", "again").out.split()) == 2
    assert "2 issued" in couponry("campaigns", "show", "flyer").words


def test_a_number_of_coupons_over_a_limit_is_refused(couponry: Couponry) -> None:
    load(couponry, "few", limits={"coupons_total": 1_500})
    refused = couponry("coupons", "create", "few", "--count", "2000")
    assert (refused.exit_code, len(refused.out.split())) == (1, 1_000)
    assert "has issued 1,000 of its 1,500 coupons; 1,000 more don't fit. Created before: 1,000 coupons." in refused.err


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"status": "archived"}, "is archived"),
        ({"code": {"shared_code": "HELLO"}}, "has one shared code"),
        ({"source": {"kind": "pool"}}, "takes its codes from a pool"),
        ({"source": {"kind": "external", "url": "https://codes.example"}}, "from an external API"),
        ({"code": {"pattern": "F-#######"}}, "too few for 30,000 coupons"),
    ],
)
def test_a_campaign_without_creatable_coupons_is_refused_with_a_reason(
    couponry: Couponry, changes: dict[str, Any], says: str
) -> None:
    load(couponry, "other", **changes)
    made = couponry("coupons", "create", "other", "--count", "30000")
    assert (made.exit_code, made.out) == (1, "")
    assert says in " ".join(made.err.split())


def test_an_unknown_campaign_is_refused(couponry: Couponry, tmp_path: Path) -> None:
    (tmp_path / "codes").write_text("A-1\n")
    assert "There is no campaign 'nope'" in couponry("coupons", "create", "nope", "--count", "1").err
    assert "There is no campaign 'nope'" in couponry("coupons", "import", "nope", str(tmp_path / "codes")).err


@pytest.mark.parametrize(
    ("content", "codes"),
    [
        (b"OLD-1\n\n  old-2\n", ["OLD-1", "old-2"]),
        (b"code\nOLD-1\n", ["OLD-1"]),
        (b'\xef\xbb\xbfname,Code,note\nx,OLD-1,"a, b"\ny," OLD-2 ",\n', ["OLD-1", "OLD-2"]),
        (b"name;code\nx;OLD-1\ny;A,B\n", ["OLD-1", "A,B"]),
        ("Straße\n".encode(), ["Straße"]),
    ],
)
def test_existing_codes_are_read_from_lines_or_a_column_and_can_be_used_at_once(
    couponry: Couponry, content: bytes, codes: list[str]
) -> None:
    added = couponry("coupons", "import", "flyer", "-", given=content)
    assert added.words == f"{len(codes)} code{'s' if len(codes) > 1 else ''} added to flyer."
    for code in codes:
        assert couponry("coupons", "validate", code.lower()).exit_code == 0
    again = couponry("coupons", "import", "flyer", "-", "--json", given=content).json
    assert again == {"campaign_id": "flyer", "added": 0, "already_there": codes}


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"OK-1\nA\x07B\n", "line 2: a code must have 1 to 255 characters and no control characters"),
        (b"x" * 256, "line 1: a code must have"),
        (b"OK-1\nA,B\n", "line 2: has several columns. Which column holds the codes?"),
        (b"name,code\nx,A\n\ny\n", "line 4: has 1 column, and the codes are in column 2"),
        (b"name,code\nx,\n", "line 2: a code must have 1 to 255"),
        (b"OK-1\n\xff\xfe\n", "line 2: is not valid UTF-8"),
        (b"code\n", "has no codes"),
        (b"\n", "has no codes"),
    ],
)
def test_an_invalid_code_file_is_refused_with_its_line_and_adds_nothing(
    couponry: Couponry, content: bytes, says: str
) -> None:
    refused = couponry("coupons", "import", "flyer", "-", given=content)
    assert refused.exit_code == 1
    assert says in " ".join(refused.err.split())
    assert "coupons 0 issued" in couponry("campaigns", "show", "flyer").words
