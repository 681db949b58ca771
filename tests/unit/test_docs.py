"""What the texts say exists: files, tests, commands, settings, statements. A page that names what is gone misleads."""

import importlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic_core import PydanticUndefined

from cli.main import ENTRIES
from shared.runtime.encryption import EncryptionSettings
from shared.runtime.settings import ServiceSettings

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(
    page
    for pattern in ("*.md", "docs/**/*.md", "services/*/README.md", "*/README.md", "examples/*/README.md")
    for page in ROOT.glob(pattern)
    if not page.relative_to(ROOT).parts[0].startswith(".")
)
SERVICE_SETTINGS: list[type[ServiceSettings]] = [
    getattr(importlib.import_module(f"services.{service}.settings"), f"{service.capitalize()}Settings")
    for service in ("issuer", "redeemer", "notifier", "relay", "gateway")
]
TREES = ("schemas/", "shared/", "services/", "cli/", "deploy/", "examples/", "bench/", "docs/", "tests/", ".ci/")

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def code_in(text: str) -> Iterator[str]:
    """Everything between backticks, and every line of an indented block."""
    yield from re.findall(r"`([^`\n]+)`", text)
    yield from (line.strip() for line in text.splitlines() if line.startswith("    "))


def anchors(page: Path) -> set[str]:
    """The names that headings can be linked by."""
    headings = re.findall(r"^#+ (.*)$", text_of(page), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@each_page
def test_links_between_the_pages_lead_somewhere(page: Path) -> None:
    dead = []
    for target in re.findall(r"\]\(([^)\s]+)\)", text_of(page)):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        file = (page.parent / name).resolve() if name else page
        if not file.exists() or (anchor and anchor not in anchors(file)):
            dead.append(target)
    assert not dead


@each_page
def test_paths_that_a_page_names_exist(page: Path) -> None:
    gone = []
    for code in re.findall(r"`([^`\n]+)`", text_of(page)):
        path = code.partition("::")[0].rstrip("/")
        if code.startswith(TREES) and not re.search(r"[\s…*<>{}]", path) and not (ROOT / path).exists():
            gone.append(code)
    assert not gone


SOURCES = {path.name for tree in (*TREES, "security/") for path in (ROOT / tree).rglob("*.py")}


@each_page
def test_files_that_a_page_names_without_a_folder_exist(page: Path) -> None:
    named = re.findall(r"`(\w+\.py)`", text_of(page))
    assert not set(named) - SOURCES


@each_page
def test_tests_that_a_page_names_exist(page: Path) -> None:
    gone = []
    for file, name in re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", text_of(page)):
        path = ROOT / file
        if not path.is_file() or not re.search(rf"^(async )?def {name}\(", text_of(path), flags=re.MULTILINE):
            gone.append(f"{file}::{name}")
    assert not gone


@each_page
def test_a_file_contains_what_a_page_says_is_in_it(page: Path) -> None:
    """A name behind a path (`some/file.py`: `Class.method`) is defined in that file."""
    gone = []
    for file, name in re.findall(r"`((?:[\w.]+/)+\w+\.py)`:\s+`([\w.]+)`", text_of(page)):
        source = text_of(ROOT / file if (ROOT / file).is_file() else page.parent / file)
        gone += [
            f"{file}: {name}"
            for part in name.split(".")
            if not re.search(rf"^\s*(async )?(def|class) {part}\b", source, flags=re.MULTILINE)
        ]
    assert not gone


@each_page
def test_commands_that_a_page_names_exist(page: Path) -> None:
    unknown = []
    for code in code_in(text_of(page)):
        for first, second in re.findall(r"(?:^|[|(/\s])couponry ([a-z]+)(?: ([a-z]+))?", code):
            entry = ENTRIES.get(first)
            if entry is None:
                unknown.append(f"couponry {first}")
            elif not entry.alone and second and second not in entry.load().commands:
                unknown.append(f"couponry {first} {second}")
    assert not unknown


def test_the_page_on_operations_lists_every_setting_with_its_default_and_description() -> None:
    """The texts are equal word for word; only the page has backticks."""
    rows = re.findall(
        r"^\| `(COUPONRY_\w+)` \| (.*?) \| (.*) \|$", text_of(ROOT / "docs" / "operations.md"), flags=re.MULTILINE
    )
    listed = {(name, default, description.replace("`", "")) for name, default, description in rows}
    known = {
        (f"COUPONRY_{name.upper()}", shown(field.default), field.description)
        for settings_class in (*SERVICE_SETTINGS, EncryptionSettings)
        for name, field in settings_class.model_fields.items()
    }
    assert listed == known


def shown(default: Any) -> str:
    if default is PydanticUndefined:
        return "needed"
    if default is None or default == "":
        return "none" if default is None else "empty"
    if isinstance(default, bool):
        return str(default).lower()
    return f"{default:.12g}" if isinstance(default, float) else str(default)


def test_every_setting_that_a_page_names_exists() -> None:
    page_of_settings = text_of(ROOT / "docs" / "operations.md")
    made_elsewhere = {"COUPONRY_TEST_BROKER", "COUPONRY_TEST_DATABASE", "COUPONRY_IMAGE_TAG", "COUPONRY_"}
    unknown = {
        (page.name, name)
        for page in PAGES
        for name in re.findall(r"COUPONRY_[A-Z_]*[A-Z]|COUPONRY_(?=…)", text_of(page))
        if name not in made_elsewhere and name not in page_of_settings
    }
    assert not unknown


def test_the_page_on_architecture_names_every_statement_of_a_batch_and_no_other() -> None:
    text = text_of(ROOT / "docs" / "architecture.md")
    part = text.partition("## The engine's transaction")[2].partition("## The relay")[0]
    rows = [line for line in part.splitlines() if re.match(r"\| \d+ \|", line)]
    named = {name for row in rows for name in re.findall(r"`(\w+)`", row.split("|")[2])}
    sources = [
        ROOT / "shared" / "ledger" / name
        for name in (
            "engine",
            "loading",
            "metering",
            "period_metering",
            "customer_facts",
            "codes_to_issue",
            "rewards",
            "persist",
            "reminding",
            "cycles",
            "journal",
            "outbox",
        )
    ]
    used = {
        name
        for source in [*sources, ROOT / "shared" / "ledger" / "campaigns"]
        for name in re.findall(r'sql\("(\w+)"\)', text_of(source.with_suffix(".py")))
    }
    used |= {"customers_find", "customers_add"}
    not_of_a_batch = {
        "definitions_lock_exclusive",
        "campaigns_definitions",
        "campaigns_other_currency",
        "campaigns_save",
        "coupons_add_shared",
        "coupons_apply_limit",
        "meters_drop",
        "meters_rebuild",
        "period_meters_drop",
        "period_meters_rebuild",
        "reminders_facts",
        "reminders_wake_campaigns",
        "time_zone_differs",
        "outbox_read_after",
    }
    tables_copied = {"ledger_entries", "journal", "outbox"}
    assert named - tables_copied == used - not_of_a_batch


def test_the_index_of_decisions_lists_all_of_them_by_their_titles() -> None:
    folder = ROOT / "docs" / "decisions"
    index = text_of(folder / "README.md")
    missing = []
    for record in sorted(folder.glob("[0-9]*.md")):
        title = text_of(record).splitlines()[0].removeprefix("# ")
        number, _, rest = title.partition(". ")
        if f"| [{number}]({record.name}) | {rest} |" not in index:
            missing.append(f"| [{number}]({record.name}) | {rest} |")
    assert not missing, "\n".join(missing)
