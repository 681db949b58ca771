"""The audit reports packages, licences, and a vulnerability service that can't be reached."""

from pathlib import Path
from typing import Any

import pytest

from security import audit


def test_the_offline_part_finds_nothing_wrong() -> None:
    for _, check in audit.OFFLINE:
        assert not check().problems


def dependency(name: str, *ids: str, known: bool = True) -> dict[str, Any]:
    if not known:
        return {"name": name, "skip_reason": "not found"}
    return {"name": name, "version": "1", "vulns": [{"id": one, "fix_versions": ["2"]} for one in ids]}


def test_a_vulnerability_service_that_knows_no_package_counts_as_unreachable() -> None:
    result = audit.judge_vulnerabilities([dependency("a", known=False), dependency("b", known=False)])
    assert not result.problems
    assert "NOT CHECKED" in result.notes[0]
    assert not result.checked


def test_a_vulnerability_and_a_skipped_package_are_problems() -> None:
    result = audit.judge_vulnerabilities(
        [dependency("a"), dependency("b", "PYSEC-1", "PYSEC-2"), dependency("c", known=False)]
    )
    assert len(result.problems) == 3
    assert result.notes == ["2 packages looked up"]


@pytest.mark.parametrize(
    ("package", "licence", "refused"),
    [
        ("x", "MIT", []),
        ("x", "Apache Software License; MIT License", []),
        ("x", "MIT OR GPL-3.0", []),
        ("x", "BSD-3-Clause AND 0BSD AND MIT AND Zlib AND CC0-1.0", []),
        ("x", "MPL-2.0 AND (Apache-2.0 OR MIT)", ["MPL-2.0"]),
        ("orjson", "MPL-2.0 AND (Apache-2.0 OR MIT)", []),
        ("psycopg", "LGPL-3.0-only", []),
        ("x", "LGPL-3.0-only", ["LGPL-3.0-only"]),
        ("x", "GPL-3.0", ["GPL-3.0"]),
        ("x", "UNKNOWN", ["UNKNOWN"]),
    ],
)
def test_a_licence_with_conditions_is_allowed_package_by_package(
    package: str, licence: str, refused: list[str]
) -> None:
    assert audit.refused_parts(package, licence) == refused


def test_a_secret_in_a_file_is_found_and_the_baseline_is_unchanged(tmp_path: Path) -> None:
    before = audit.BASELINE.read_bytes()
    planted, innocent = tmp_path / "settings.py", tmp_path / "other.py"
    planted.write_text(f'key = "{"AKIA" + "QYLPMN5HFIQR7XYA"}"\n')
    innocent.write_text("key = None\n")
    result = audit.scan_for_secrets([str(planted), str(innocent)])
    assert len(result.problems) == 1
    assert "settings.py:1" in result.problems[0]
    assert audit.BASELINE.read_bytes() == before
