"""Rehearsals of small inputs that once came out wrong; each file says what is expected."""

from pathlib import Path

import pytest

from cli.files import InputFile
from cli.rehearsal.play import play, read_script

CASES = Path(__file__).parents[1] / "cases" / "rehearsal"


@pytest.mark.parametrize("path", sorted(CASES.glob("*.yaml")), ids=lambda path: path.stem)
def test_the_steps_of_a_case_have_the_expected_results(path: Path) -> None:
    with path.open("rb") as file:
        script = read_script(InputFile(path.name, file))
    played = list(play(script))
    assert [one.lines for one in played if one.as_expected is False] == []
