"""`python -m security.audit`: check the packages that Couponry ships with, and its files for secrets.

    python -m security.audit --offline   # hashes and licences: seconds, needs no network; part of `make check`
    python -m security.audit             # vulnerabilities, bill of materials and a scan for secrets too: `make audit`

Exit code 0 if there is no problem, 1 otherwise. If the vulnerability service can't be reached, the audit says so and
doesn't fail; if the service doesn't know some of the packages, it fails.
"""

import json
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[1]
REQUIREMENTS: Final = ROOT / "requirements.txt"
PINNED: Final = ("requirements.txt", "requirements-demo.txt", "requirements-dev.txt", "requirements-build.txt")
BILL: Final = ROOT / "build" / "sbom.json"
BASELINE: Final = ROOT / "security" / "secrets.baseline"
NOT_SCANNED: Final = re.compile(r"requirements[\w-]*\.txt$|security/secrets\.baseline$")
"""Files that contain hashes: of packages, and of reviewed findings."""
TOOL_SECONDS: Final = 600

PERMISSIVE: Final = frozenset(
    {
        "0BSD", "Apache-2.0", "Apache Software License", "BSD License", "BSD-2-Clause", "BSD-3-Clause", "CC0-1.0",
        "ISC", "ISC License (ISCL)", "MIT", "MIT License", "MIT-0", "PSF-2.0",
        "Python Software Foundation License", "Zlib",
    }
)  # fmt: skip
"""Licences that only require a notice, as packages spell them."""

ALLOWED_FOR: Final = {
    "certifi": {"Mozilla Public License 2.0 (MPL 2.0)"},
    "orjson": {"MPL-2.0"},
    "psycopg": {"LGPL-3.0-only"},
    "psycopg-binary": {"LGPL-3.0-only"},
}
"""Licences with conditions, by package. These packages are imported and not changed."""

UNREACHABLE: Final = re.compile(
    r"ConnectionError|NameResolutionError|Max retries exceeded|ProxyError|Timeout", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Result:
    """The result of a check: problems, and notes for the output. `checked`: False if nothing could be checked."""

    problems: Sequence[str] = ()
    notes: Sequence[str] = ()
    checked: bool = True


def check_hashes() -> Result:
    """Check that every line of every requirements file has one version and the hashes of its files."""
    problems, count = [], 0
    for name in PINNED:
        for line in (ROOT / name).read_text(encoding="utf-8").replace("\\\n", " ").splitlines():
            if not line.strip() or line.lstrip().startswith("#"):
                continue
            count += 1
            if not re.match(r"[\w.\[\],-]+==\S+ .*--hash=sha256:[0-9a-f]{64}", line):
                problems.append(f"{name}: no version with hashes: {line[:60].strip()}")
    return Result(problems, [f"{count} pinned packages in {len(PINNED)} files"])


def check_licences() -> Result:
    """Check that every package of `requirements.txt` has an allowed licence."""
    listed = json.loads(_run("pip-licenses", ["--from=mixed", "--format=json"]).stdout)
    licences = {_name(one["Name"]): one["License"] for one in listed}
    problems = []
    for package in packages():
        licence = licences.get(package)
        if licence is None:
            problems.append(f"{package}: not installed, so its licence is unknown; run `make setup`")
        elif refused := refused_parts(package, licence):
            problems.append(f"{package}: {licence}; {', '.join(refused)} is not allowed in security/audit.py")
    return Result(problems, [f"{len(packages())} packages that are shipped"])


def refused_parts(package: str, licence: str) -> list[str]:
    """Return the licences in `licence` that aren't allowed for `package`; one allowed alternative is enough."""
    allowed = PERMISSIVE | ALLOWED_FOR.get(package, set())
    refused = []
    for part in re.split(r";| AND ", licence):
        choices = [choice.strip().strip("()") if " OR " in part else choice.strip() for choice in part.split(" OR ")]
        if not any(choice in allowed for choice in choices):
            refused.append(" OR ".join(choices))
    return refused


def check_vulnerabilities() -> Result:
    """Check that no package of `requirements.txt` has a known vulnerability."""
    options = ["--require-hashes", "--disable-pip", "-f", "json", "--progress-spinner", "off"]
    done = _run("pip-audit", ["-r", str(REQUIREMENTS), *options])
    try:
        return judge_vulnerabilities(json.loads(done.stdout)["dependencies"])
    except (ValueError, KeyError):
        last = (done.stderr.strip().splitlines() or ["no output"])[-1]
        if UNREACHABLE.search(done.stderr):
            return Result((), [NOTHING_CHECKED.format(why=last[:200])], checked=False)
        return Result([f"pip-audit failed: {last[:300]}"])


NOTHING_CHECKED: Final = (
    "NOT CHECKED: no vulnerability service can be reached ({why}). No package was looked up; before a release, run "
    "`make audit` where one can be reached."
)


def judge_vulnerabilities(dependencies: Sequence[dict[str, Any]]) -> Result:
    """Return the result for pip-audit's list. A service that knows none of the packages counts as unreachable."""
    skipped = [one["name"] for one in dependencies if "skip_reason" in one]
    if dependencies and len(skipped) == len(dependencies):
        return Result((), [NOTHING_CHECKED.format(why=f"it knows none of {len(skipped)} packages")], checked=False)
    problems = [f"{name}: the vulnerability service doesn't know it" for name in skipped]
    for one in dependencies:
        for found in one.get("vulns", ()):
            fixed = ", ".join(found.get("fix_versions") or ()) or "no version"
            problems.append(f"{one['name']} {one['version']}: {found['id']}, fixed in {fixed}")
    return Result(problems, [f"{len(dependencies) - len(skipped)} packages looked up"])


def write_bill() -> Result:
    """Write the bill of materials (CycloneDX) to `build/sbom.json`, which isn't committed."""
    BILL.parent.mkdir(exist_ok=True)
    options = ["--pyproject", str(ROOT / "pyproject.toml"), "--output-reproducible", "-o", str(BILL)]
    done = _run("cyclonedx-py", ["requirements", str(REQUIREMENTS), *options])
    if done.returncode != 0:
        return Result([f"the bill of materials failed: {(done.stderr.strip().splitlines() or ['?'])[-1][:300]}"])
    components = len(json.loads(BILL.read_text(encoding="utf-8"))["components"])
    return Result((), [f"{components} components in {BILL.relative_to(ROOT)}"])


def scan_for_secrets(names: Sequence[str] | None = None) -> Result:
    """Check that no committed file has a likely secret, except those reviewed in `security/secrets.baseline`."""
    if names is None:
        listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)  # noqa: S607
        names = [name for name in listed.stdout.split("\0") if name and not NOT_SCANNED.match(name)]
    before = BASELINE.read_bytes()
    try:
        done = _run("detect-secrets-hook", ["--json", "--baseline", str(BASELINE), *names])
    finally:
        BASELINE.write_bytes(before)  # the hook updates line numbers; a person has to review changes
    if done.returncode == 0 or not done.stdout.strip().startswith("{"):
        failed = done.returncode != 0 and not done.stdout.strip().startswith("{")
        return Result(
            [f"detect-secrets failed: {done.stderr.strip()[-300:]}"] if failed else [], [f"{len(names)} files"]
        )
    found = json.loads(done.stdout)["results"]
    problems = [
        f"{name}:{one['line_number']}: looks like a secret ({one['type']}); remove it, or review it into the baseline"
        for name, several in found.items()
        for one in several
    ]
    return Result(problems, [f"{len(names)} files"])


def packages() -> list[str]:
    """Return the normalised names in `requirements.txt`."""
    text = REQUIREMENTS.read_text(encoding="utf-8")
    return [_name(name) for name in re.findall(r"^([\w.-]+)(?:\[[\w,-]+\])?==", text, flags=re.MULTILINE)]


def _name(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _run(program: str, arguments: Sequence[str]) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).with_name(program)), *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=TOOL_SECONDS, check=False)


OFFLINE: Final[tuple[tuple[str, Callable[[], Result]], ...]] = (("hashes", check_hashes), ("licences", check_licences))
THE_REST: Final[tuple[tuple[str, Callable[[], Result]], ...]] = (
    ("vulnerabilities", check_vulnerabilities),
    ("bill of materials", write_bill),
    ("secrets", scan_for_secrets),
)


def main(arguments: Sequence[str]) -> int:
    """Run the checks and print their results. Return the exit code."""
    checks = OFFLINE if "--offline" in arguments else OFFLINE + THE_REST
    failed = False
    for title, check in checks:
        result = check()
        failed = failed or bool(result.problems)
        verdict = ["no problem found"] if result.checked and not result.problems else []
        sys.stdout.write(f"{title}: {'; '.join([*result.notes, *verdict])}\n")
        for problem in result.problems:
            sys.stdout.write(f"  {problem}\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
