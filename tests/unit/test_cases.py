"""Cases of `tests/cases/rehearsal`: small scripts, each an example of a kind of input that must come out right."""

from pathlib import Path

import pytest

from cli.rehearsal.play import play, script_of

FILES = sorted((Path(__file__).parents[1] / "cases" / "rehearsal").iterdir())


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_case_has_its_expected_results(file: Path) -> None:
    for one in play(script_of(file.name, file.read_text("utf-8"))):
        assert one.as_expected is not False, f"step {one.step.number}: {one.lines}"
